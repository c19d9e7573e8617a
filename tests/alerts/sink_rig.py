"""Sinks on a real outbox, and the other sides that they talk to: servers with moods."""

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from alert_makers import WAIT_S, settings

from alerts.event import Event, Explanation
from alerts.sinks.backoff import Backoff
from alerts.sinks.dial import Lookup, look_up
from alerts.sinks.runner import SinkReport
from alerts.sinks.sink import Item
from alerts.sinks.sinks import Sinks, SinkSettings
from alerts.wire import encode
from alerts.writer import AlertWriter

QUICK = Backoff(first_s=0.01, most_s=0.05)


def sink(name: str, way: Any, **facts: Any) -> SinkSettings:
    """A sink that tries again soon."""
    return SinkSettings(name, way, **{"backoff": QUICK, **facts})


def item(seq: int = 1, **facts: Any) -> Item:
    """An event as a sink is given it."""
    event = Event.model_validate(
        {
            "stream": "8b1a9c0f5d2e4a77",
            "seq": seq,
            "type": "new",
            "id": f"1763802000.{seq:06d}-a1b2c3",
            "camera": "gate",
            "kind": "anomaly",
            "severity": "alert",
            "time": 1763802000.72,
            "start_time": 1763802000.123456,
            "score": 7.3,
            "threshold": 5.1,
            "explanation": Explanation(text="faster than anything seen here"),
            **facts,
        }
    )
    return Item(event, encode(event))


@contextmanager
def running(
    folder: Path,
    *sinks: SinkSettings,
    cameras: Sequence[str] = ("gate",),
    lookup: Lookup = look_up,
    **options: Any,
) -> Iterator[tuple[AlertWriter, Sinks]]:
    """A writer with its outbox in `folder`, and sinks that follow it."""
    with (
        AlertWriter(settings(folder, **options)) as writer,
        Sinks(
            sinks, writer.follow, stream=writer.stream, cameras=cameras, lookup=lookup
        ) as running_sinks,
    ):
        yield writer, running_sinks


def report(sinks: Sinks, name: str) -> SinkReport:
    """How one does."""
    return next(found for found in sinks.reports() if found.name == name)


def until(holds: Callable[[], bool], why: Callable[[], object] = lambda: "") -> None:
    """Wait for something that only looking tells."""
    tick = threading.Event()
    for _ in range(int(WAIT_S / 0.005)):
        if holds():
            return
        tick.wait(0.005)
    raise AssertionError(f"not within {WAIT_S} s: {why()}")


class Post:
    """What a server was sent."""

    def __init__(self, path: str, headers: dict[str, str], body: bytes) -> None:
        self.path = path
        self.headers = headers
        self.body = body

    @property
    def seq(self) -> int:
        number: int = json.loads(self.body)["seq"]
        return number


class Server:
    """An HTTP server that answers as `mood` says.

    `mood`: of the number of a request, from 0, and the request: a status, (status, headers), or
    None, which never answers.
    """

    def __init__(self, mood: Callable[[int, Post], Any] = lambda _n, _post: 204) -> None:
        self.mood = mood
        self.posts: list[Post] = []
        self.came = threading.Semaphore(0)
        self.gone = threading.Event()
        self.connections = 0

    def __enter__(self) -> "Server":
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                outer.connections += 1
                super().setup()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                post = Post(self.path, dict(self.headers.items()), body)
                number = len(outer.posts)
                outer.posts.append(post)
                outer.came.release()
                answer = outer.mood(number, post)
                if answer is None:
                    outer.gone.wait(WAIT_S)
                    self.close_connection = True
                    return
                status, headers = answer if isinstance(answer, tuple) else (answer, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.gone.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def socket(self) -> socket.socket:
        """What it listens on."""
        return self._server.socket

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook?key=s3cret-in-the-url"

    def wait(self, count: int = 1) -> None:
        """Until `count` more requests have come."""
        for _ in range(count):
            assert self.came.acquire(timeout=WAIT_S), f"only {len(self.posts)} requests came"


@contextmanager
def black_hole() -> Iterator[int]:
    """A TCP port where whoever connects is never answered: its queue is full."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port: int = listening.getsockname()[1]
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        yield port


@contextmanager
def talker(talk: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port where each connection is talked to by `talk`, in a thread."""
    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    sock, _ = server.accept()
                    thread = threading.Thread(target=run, args=(sock,))
                    threads.append(thread)
                    thread.start()

        def run(sock: socket.socket) -> None:
            with sock, suppress(OSError):
                talk(sock)

        acceptor = threading.Thread(target=accept)
        acceptor.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join()
