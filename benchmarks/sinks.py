"""What sinks cost the alerts, and what one that hangs costs the others, in the same run.

    python -m benchmarks.sinks

Latency is from `submit` to a ZeroMQ subscriber's `recv`, one message at a time, first without
sinks, then beside a webhook that works and four sinks that do not: a server that never answers,
one that answers 500, a name server that hangs, a broker where packets vanish. Then how many
messages a second each way takes on loopback, as ratios to bare PUB/SUB. MQTT wants Mosquitto.
"""

import multiprocessing
import shutil
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import zmq

from alerts import wire
from alerts.sinks.dial import Lookup, look_up
from alerts.sinks.mqtt import MqttSettings
from alerts.sinks.script import ScriptSettings
from alerts.sinks.sinks import Sinks, SinkSettings
from alerts.sinks.syslog import SyslogAddress, SyslogSettings
from alerts.sinks.webhook import WebhookSettings
from alerts.writer import AlertWriter, WriterSettings
from benchmarks.alerts import bare, draft, latencies_us, listen
from benchmarks.report import report

MESSAGES = {"webhook": 2_000, "mqtt": 2_000, "syslog, TCP": 5_000, "script": 100}
ROUNDS = 5
NAMELESS = "hangs.example"


def serve(status: int | None, told: Connection) -> None:
    """An HTTP server that answers `status`, or never; in a process of its own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            if status is None:
                threading.Event().wait()
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        told.send(running.server_address[1])
        running.serve_forever()


@contextmanager
def server(status: int | None) -> Iterator[str]:
    """Its URL."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=serve, args=(status, there))
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/hook"
    finally:
        process.kill()
        process.join()


def hanging(over: threading.Event, host: str, port: int) -> Any:
    """A name server that never answers for one name."""
    if host == NAMELESS:
        over.wait(60)
    return look_up(host, port)


def one_by_one(context: zmq.Context, sinks: list[SinkSettings], over: threading.Event) -> Any:
    """Latencies beside `sinks`."""
    lookup = partial(hanging, over)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        settings = WriterSettings(
            Path(folder) / "alerts.db", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0"
        )
        writer = stack.enter_context(AlertWriter(settings))
        stack.enter_context(
            Sinks(sinks, writer.follow, stream=writer.stream, cameras=["gate"], lookup=lookup)
        )
        sub = stack.enter_context(listen(context, writer.publish_address))
        sub.recv_multipart()  # `available`: the subscription is in force

        def receive() -> None:
            while sub.recv_multipart()[0] == wire.AVAILABLE:
                pass

        return latencies_us(lambda number: writer.submit(draft(number)), receive)


def per_second(
    sink: SinkSettings, count: int, others: Sequence[SinkSettings] = (), lookup: Lookup = look_up
) -> float:
    """Messages a second of `sink`, from the first one handed over to the last one confirmed."""
    with tempfile.TemporaryDirectory() as folder:
        settings = WriterSettings(
            Path(folder) / "alerts.db", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0"
        )
        with (
            AlertWriter(settings) as writer,
            Sinks(
                [sink, *others],
                writer.follow,
                stream=writer.stream,
                cameras=["gate"],
                lookup=lookup,
            ) as sinks,
        ):
            tick = threading.Event()
            wait_until(lambda: sinks.reports()[0].position is not None, tick)
            start_s = time.perf_counter()
            for number in range(count):
                writer.submit(draft(number))
            wait_until(lambda: sinks.reports()[0].delivered >= count, tick)
            return count / (time.perf_counter() - start_s)


def wait_until(holds: Callable[[], bool], tick: threading.Event) -> None:
    while not holds():
        tick.wait(0.002)


@contextmanager
def mosquitto() -> Iterator[int | None]:
    """Its port; None where it is not installed."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin")
    if program is None:
        yield None
        return
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
        config.flush()
        process = subprocess.Popen([program, "-c", config.name], stderr=subprocess.DEVNULL)
        try:
            yield port
        finally:
            process.terminate()
            process.wait()


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
def swallower() -> Iterator[int]:
    """A TCP port where everything is read and forgotten."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def swallow() -> None:
            with suppress(OSError):
                sock, _ = listening.accept()
                with sock:
                    while sock.recv(1 << 20):
                        pass

        thread = threading.Thread(target=swallow)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def main() -> None:
    """Run all, print JSON lines."""
    over = threading.Event()
    with (
        zmq.Context() as context,
        server(204) as good,
        server(500) as bad,
        server(None) as mute,
        black_hole() as hole,
    ):
        working = SinkSettings("good", WebhookSettings(good))
        failing = [
            SinkSettings("mute", WebhookSettings(mute)),
            SinkSettings("bad", WebhookSettings(bad)),
            SinkSettings("nameless", WebhookSettings(f"http://{NAMELESS}/")),
            SinkSettings("vanished", MqttSettings("127.0.0.1", hole)),
        ]
        rounds = []
        for _ in range(ROUNDS):
            bare_us, bare_rate = bare(context)
            alone = one_by_one(context, [], over)
            beside_good = one_by_one(context, [working], over)
            beside_all = one_by_one(context, [working, *failing], over)
            rounds.append((bare_us, alone, beside_good, beside_all))
        count, lookup = MESSAGES["webhook"], partial(hanging, over)
        pairs = [
            (per_second(working, count), per_second(working, count, failing, lookup))
            for _ in range(ROUNDS)
        ]
        over.set()
        report(
            "sink that works, beside four that fail",
            rounds=ROUNDS,
            messages_per_s=round(statistics.median(beside for _, beside in pairs)),
            to_alone=round(statistics.median(beside / alone for alone, beside in pairs), 2),
        )
        for index, name in enumerate(("no sink", "one that works", "and four that fail"), start=1):
            middle = {
                f"{figure}_to_{other}": round(
                    statistics.median(
                        one[index][f"{figure}_us"] / one[to][f"{figure}_us"] for one in rounds
                    ),
                    2,
                )
                for figure in ("p50", "p99")
                for to, other in enumerate(("bare", "no_sink"))
            }
            report(f"alert to subscriber, on disk first, {name}", rounds=ROUNDS, **middle)
        with mosquitto() as port, swallower() as swallowing:
            ways = {
                "webhook": WebhookSettings(good, secret="0123456789abcdef"),  # noqa: S106
                "syslog, TCP": SyslogSettings(SyslogAddress("tcp", "127.0.0.1", swallowing)),
                "script": ScriptSettings(("true",)),
            }
            if port is not None:
                ways["mqtt"] = MqttSettings("127.0.0.1", port)
            for name, way in ways.items():
                rate = per_second(SinkSettings("one", way), MESSAGES[name])
                report(
                    f"sink, {name}",
                    messages_per_s=round(rate),
                    to_bare=round(rate / bare_rate, 4),
                )


if __name__ == "__main__":
    main()
