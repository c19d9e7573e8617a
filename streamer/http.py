"""A small HTTP server for metrics, liveness and status: one thread, everything bounded.

`/metrics` (Prometheus) · `/status` (JSON) · `/livez`, `/readyz` (200 or 503, for supervisors).
With a token, the first two ask for `Authorization: Bearer TOKEN`; the others say only yes or no.
"""

import asyncio
import hmac
import logging
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, NamedTuple, Self

from sorawatch import ConfigError, ResourceError
from streamer.config_listen import HostPort
from streamer.status import ProgramStatus

MAX_CONNECTIONS: Final = 32
MAX_REQUEST_BYTES: Final = 16 * 1024
DEADLINE_S: Final = 5.0
"""For the whole request to arrive, and again for the whole answer to leave."""

log = logging.getLogger(__name__)


class _Answer(NamedTuple):
    status: str
    body: bytes
    kind: str = "text/plain; charset=utf-8"
    extra: str = ""


class StatusServer:
    """Serves from a thread of its own while entered. Leaving closes every connection at once."""

    def __init__(
        self,
        listen: HostPort,
        snapshot: Callable[[], ProgramStatus],
        metrics: Callable[[], bytes],
        *,
        token: str | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        """`snapshot` and `metrics` are called on the server's thread, one at a time.

        Raises ConfigError when others than this machine could connect without a token.
        """
        if not listen.loopback and not token:
            raise ConfigError(f"metrics.listen {listen} needs metrics.token, or use 127.0.0.1")
        self._listen = listen
        self._snapshot = snapshot
        self._metrics = metrics
        self._token = token
        self._deadline_s = deadline_s
        self._stop = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="http")

    def __enter__(self) -> Self:
        """Bind and start. Raises ResourceError when the address cannot be had."""
        family = socket.AF_INET6 if ":" in self._listen.host else socket.AF_INET
        try:
            self._socket = socket.create_server(self._listen, family=family, backlog=16)
        except OSError as exc:
            raise ResourceError(
                f"metrics.listen {self._listen}: {exc.strerror or exc}; choose another port"
            ) from exc
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Stop and join."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def address(self) -> HostPort:
        """Where it listens, with the port that it got."""
        return HostPort(*self._socket.getsockname()[:2])

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._socket.close()
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(
            self._connected, sock=self._socket, limit=MAX_REQUEST_BYTES
        )
        await self._stop.wait()
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this as a task
        if len(self._open) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._open.add(task)
        try:
            await self._converse(reader, writer)
        except (TimeoutError, asyncio.IncompleteReadError, OSError) as exc:
            log.debug("connection given up: %s", exc)
        except asyncio.CancelledError:
            log.debug("connection given up: the server stops")  # asyncio would log it as a fault
        finally:
            self._open.discard(task)
            writer.transport.abort()  # does nothing to a connection that was closed properly

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(self._deadline_s):
                request = await reader.readuntil(b"\r\n\r\n")
            answer = self._answer(request)
        except asyncio.LimitOverrunError:
            answer = _Answer("431 Request Header Fields Too Large", b"request too large\n")
        head = (
            f"HTTP/1.1 {answer.status}\r\nContent-Type: {answer.kind}\r\n"
            f"Content-Length: {len(answer.body)}\r\nCache-Control: no-store\r\n"
            f"X-Content-Type-Options: nosniff\r\nConnection: close\r\n{answer.extra}\r\n"
        )
        writer.write(head.encode() + answer.body)
        async with asyncio.timeout(self._deadline_s):
            await writer.drain()
            writer.close()
            await writer.wait_closed()

    def _answer(self, request: bytes) -> _Answer:
        line, *headers = request.decode("latin-1").split("\r\n")
        parts = line.split(" ")
        if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
            return _Answer("400 Bad Request", b"not HTTP\n")
        method, target, _ = parts
        if method != "GET":
            return _Answer("405 Method Not Allowed", b"only GET\n", extra="Allow: GET\r\n")
        allowed = self._token is None or _bearer_is(self._token, headers)
        try:
            return self._page(target.partition("?")[0], allowed)
        except Exception:  # a failed snapshot must not end the server
            log.exception("cannot answer %s", target)
            return _Answer("500 Internal Server Error", b"see the log\n")

    def _page(self, path: str, allowed: bool) -> _Answer:
        if path in ("/livez", "/readyz"):
            status = self._snapshot()
            good = status.live if path == "/livez" else status.ready
            if good:
                return _Answer("200 OK", b"ok\n")
            why = "\n".join(status.problems or ("analysis hangs",)) if allowed else "no"
            return _Answer("503 Service Unavailable", f"{why}\n".encode())
        if path not in ("/metrics", "/status"):
            return _Answer("404 Not Found", b"try /metrics /status /livez /readyz\n")
        if not allowed:
            extra = "WWW-Authenticate: Bearer\r\n"
            return _Answer("401 Unauthorized", b"a token is needed\n", extra=extra)
        if path == "/metrics":
            return _Answer("200 OK", self._metrics(), "text/plain; version=0.0.4; charset=utf-8")
        body = self._snapshot().model_dump_json(indent=1).encode() + b"\n"
        return _Answer("200 OK", body, "application/json")


def _bearer_is(token: str, headers: list[str]) -> bool:
    for header in headers:
        name, _, value = header.partition(":")
        if name.strip().lower() == "authorization":
            scheme, _, given = value.strip().partition(" ")
            expected = token.encode()
            # Compared in constant time: how long it takes must not tell how much was right.
            same = hmac.compare_digest(given.strip().encode("latin-1"), expected)
            return same and scheme.lower() == "bearer"
    return False
