"""Connections that never take longer than they may: looking up, connecting, TLS, sending, reading.

The standard library's timeouts are for one call: a name server that hangs has none, and a server
that sends a byte a second outlives them. Here a deadline stands over the whole, and `Halt`
interrupts it.
"""

import io
import os
import select
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar

from alerts.sinks.halt import Deadline, Halt, wait_for
from alerts.sinks.sink import NotNow

RESOLVE_S: Final = 5.0
CONNECT_S: Final = 5.0

_T = TypeVar("_T")
Addresses = list[tuple[Any, ...]]
Lookup = Callable[[str, int], Addresses]


def look_up(host: str, port: int) -> Addresses:
    """The machine's own resolver."""
    return list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))


class Resolver:
    """Looks names up, and waits no longer than it may.

    `getaddrinfo` cannot be interrupted, so it runs in a thread that is left behind when it hangs:
    one at the most for each resolver, and it does not hold the program's end.
    """

    def __init__(self, lookup: Lookup = look_up) -> None:
        """`lookup` may block; it raises OSError."""
        self._lookup = lookup
        self._pending: _Question | None = None

    def resolve(self, host: str, port: int, halt: Halt, within_s: float = RESOLVE_S) -> Addresses:
        """Addresses of `host`. Raises NotNow."""
        with suppress(OSError, UnicodeError):
            return socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
            )
        if self._pending is None:
            self._pending = _Question(self._lookup, host, port)
        question = self._pending
        if not question.answered(halt, Deadline(within_s)):
            raise NotNow(f"the name {host} could not be looked up within {within_s:g} s")
        self._pending = None
        question.close()
        if question.asked != (host, port):  # that was for somebody who has given up
            return self.resolve(host, port, halt, within_s)
        if question.problem is not None:
            raise NotNow(f"the name {host} cannot be looked up: {question.problem}")
        return question.addresses


class _Question:
    """One question to the name server, in a thread of its own."""

    def __init__(self, lookup: Lookup, host: str, port: int) -> None:
        self.asked = (host, port)
        self.addresses: Addresses = []
        self.problem: str | None = None
        self._lookup = lookup
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # A daemon: it may hang for minutes in the C library, which nothing can end.
        self._thread = threading.Thread(target=self._ask, name=f"look-up {host}", daemon=True)
        self._thread.start()

    def answered(self, halt: Halt, deadline: Deadline) -> bool:
        return bool(wait_for(self._bell, select.POLLIN, halt, deadline))

    def close(self) -> None:
        self._thread.join()  # it has answered: this is its last line
        os.close(self._bell)

    def _ask(self) -> None:
        try:
            self.addresses = self._lookup(*self.asked)
        except OSError as exc:
            self.problem = exc.strerror or str(exc)
        except Exception as exc:  # such as UnicodeError, for what can be no name
            self.problem = f"{type(exc).__name__}: {exc}"
        finally:
            os.eventfd_write(self._bell, 1)


@dataclass(frozen=True, slots=True)
class Dialer:
    """How one sink makes its connections."""

    resolver: Resolver
    halt: Halt
    connect_s: float = CONNECT_S
    """For the connection and TLS together."""

    def dial(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> "Line":
        """Connect, with TLS if wanted. Raises NotNow, one line that names host and port."""
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        addresses = self.resolver.resolve(host, port, self.halt)
        deadline = Deadline(self.connect_s)
        sock = self._connected(where, addresses, deadline)
        try:
            if tls is not None:
                sock = tls.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
                sock.setblocking(False)
                line = Line(sock, self.halt, where)
                line.deadline = deadline
                line.handshake()
                return line
            return Line(sock, self.halt, where)
        except BaseException:
            sock.close()
            raise

    def _connected(self, where: str, addresses: Addresses, deadline: Deadline) -> socket.socket:
        """The first address that answers; each gets its share of the time."""
        problem = "it has no address"
        for number, (family, kind, protocol, _name, address) in enumerate(addresses):
            share = Deadline(deadline.left_s / (len(addresses) - number))
            sock = socket.socket(family, kind, protocol)
            try:
                sock.setblocking(False)
                with suppress(BlockingIOError):
                    sock.connect(address)
                if not wait_for(sock.fileno(), select.POLLOUT, self.halt, share):
                    raise TimeoutError(f"no answer within {share.within_s:.3g} s")
                if failed := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(failed, os.strerror(failed))
            except OSError as exc:
                problem = exc.strerror or str(exc)
                sock.close()
                if self.halt.is_set():
                    break
            except BaseException:
                sock.close()
                raise
            else:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
        raise NotNow(f"{where} cannot be reached: {problem}")


class Line:
    """A connected socket, with or without TLS, under a deadline; owned by one thread.

    As much of a socket as `http.client` needs.
    """

    def __init__(self, sock: socket.socket, halt: Halt, where: str) -> None:
        """`sock` does not block; `where` names the other side."""
        self.sock = sock
        self.where = where
        self.deadline = Deadline(0.0)
        self._halt = halt

    def handshake(self) -> None:
        """Of TLS. Raises NotNow."""
        assert isinstance(self.sock, ssl.SSLSocket)  # noqa: S101 - whoever made it asks for it
        self._do(self.sock.do_handshake, select.POLLIN)

    def sendall(self, data: Any) -> None:
        """Send everything. Raises NotNow."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._do(partial(self.sock.send, rest), select.POLLOUT) :]

    def recv_into(self, buffer: Any) -> int:
        """Read some bytes; 0 at the end. Raises NotNow."""
        return self._do(lambda: self.sock.recv_into(buffer), select.POLLIN)

    def idle(self) -> bool:
        """Whether the other side holds the connection, and is silent."""
        try:
            self.sock.recv(1)  # and not poll: TLS says things of its own
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        return False  # closed, or it speaks unasked: not to be used again either way

    def makefile(self, *_args: object, **_options: object) -> io.BufferedReader:
        """To read from."""
        return io.BufferedReader(_Reader(self))

    def close(self) -> None:
        """Let go of the socket."""
        self.sock.close()

    def _do(self, act: Callable[[], _T], events: int) -> _T:
        """Call `act` until it does not have to wait any more. Raises NotNow."""
        while True:
            if self.deadline.left_s <= 0 or self._halt.is_set():
                raise self._overdue()  # also where there is always something to read
            try:
                return act()
            except BlockingIOError:
                wanted = events
            except ssl.SSLWantReadError:
                wanted = select.POLLIN
            except ssl.SSLWantWriteError:
                wanted = select.POLLOUT
            except ssl.SSLZeroReturnError:
                raise NotNow(f"{self.where} closed the connection") from None
            except ssl.SSLCertVerificationError as exc:
                text = f"{self.where} is not trusted: {exc.verify_message}"
                raise NotNow(text) from exc
            except ssl.SSLError as exc:
                raise NotNow(f"{self.where}: TLS failed: {exc.reason or exc}") from exc
            except OSError as exc:
                raise NotNow(f"{self.where} broke off: {exc.strerror or exc}") from exc
            wait_for(self.sock.fileno(), wanted, self._halt, self.deadline)

    def _overdue(self) -> NotNow:
        within = "" if self._halt.is_set() else f" within {self.deadline.within_s:g} s"
        return NotNow(f"{self.where} did not answer{within}")


class _Reader(io.RawIOBase):
    """A line, as a file."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._line.recv_into(buffer)
