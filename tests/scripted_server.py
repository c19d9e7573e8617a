"""A TCP server on 127.0.0.1 that answers every request with what the test says."""

import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

Reply = Callable[[str], bytes | None]


class ScriptedServer:
    """A context manager. `reply` gets a request's head and gives the bytes to send.

    None hangs up. `requests`: every head that came, in order; complete once it is left.
    """

    def __init__(self, reply: Reply) -> None:
        self.requests: list[str] = []
        self._reply = reply
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()  # guards _open and requests
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, name="scripted-server")]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                _hang_up(connection)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            with self._lock:
                self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        data = b""
        with connection:
            try:
                while received := connection.recv(4096):
                    data += received
                    while b"\r\n\r\n" in data:
                        head, _, data = data.partition(b"\r\n\r\n")
                        with self._lock:
                            self.requests.append(head.decode())
                        answer = self._reply(head.decode())
                        if answer is None:
                            return
                        connection.sendall(answer)
            except OSError:
                return


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def rtsp_reply(request: str, status: int, headers: str = "", body: str = "") -> bytes:
    """An RTSP reply to a request. `headers`: lines, each with its line end."""
    number = next(x for x in request.split("\r\n") if x.lower().startswith("cseq"))
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"RTSP/1.0 {status} So\r\n{number}\r\n{headers}{length}\r\n{body}".encode()


def method_of(request: str) -> str:
    """The request's method."""
    return request.partition(" ")[0]
