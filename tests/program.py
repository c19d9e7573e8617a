"""The program as its users have it: a process, its alerts through plain ZeroMQ, its HTTP pages."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import urlopen

import jsonschema
import psutil
import yaml
import zmq

from alerts.event import event_schema

ROOT = Path(__file__).resolve().parents[1]
START_S = 40.0
COMMAND = [sys.executable, "-c", "import sys; from streamer.cli import main; sys.exit(main())"]
Event = dict[str, Any]


def sorawatch(*arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **options,
    )


def free_port() -> int:
    """A TCP port of this machine that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


def write_config(
    folder: Path, cameras: dict[str, dict[str, Any]], **sections: dict[str, Any]
) -> Path:
    """A configuration in `folder` with addresses of its own; sections are laid over it."""
    path = folder / "cameras.yaml"
    before = yaml.safe_load(path.read_text()) if path.exists() else None
    tree = before or {
        "alerts": {
            "publish": f"ipc://{folder}/alerts.ipc",
            "catch_up": f"ipc://{folder}/catch-up.ipc",
            "snapshots": "pictures",
        },
        "metrics": {"listen": f"127.0.0.1:{free_port()}"},
    }
    for name, section in sections.items():
        tree[name] = {**tree.get(name, {}), **section}
    tree["cameras"] = cameras
    path.write_text(yaml.safe_dump(tree))
    return path


@dataclass
class Subscriber:
    """Everything that was published, through a plain SUB socket; each message is checked.

    A message that does not fit the published schema, or whose number does not follow on the one
    before, is an AssertionError.
    """

    address: str
    events: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._validator = jsonschema.Draft202012Validator(event_schema())
        self._context = zmq.Context[zmq.Socket[bytes]]()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.linger = 0
        self._socket.subscribe(b"")
        self._socket.connect(self.address)
        self.available: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()
        self._context.term()

    def until(self, what: Callable[[], bool], within_s: float, why: str = "") -> None:
        """Take messages until something holds; AssertionError if it does not in time."""
        deadline_s = time.monotonic() + within_s
        while not what():
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"not within {within_s} s: {why}; {self.told()}"
            if self._socket.poll(min(250, int(1000 * left_s) + 1)):
                self._take(*self._socket.recv_multipart())

    def until_event(self, within_s: float, since: int = 0, **fields: Any) -> Event:
        """The first event, of those from number `since` on, with these fields."""
        self.until(lambda: bool(self.find(since, **fields)), within_s, str(fields))
        return self.find(since, **fields)[0]

    def find(self, since: int = 0, **fields: Any) -> list[Event]:
        """Events so far, from number `since` on, that have these fields."""
        return [
            event
            for event in self.events[since:]
            if all(event[name] == value for name, value in fields.items())
        ]

    def told(self) -> str:
        """All events, short."""
        return "; ".join(
            f"{e['camera']} {e['type']} {e.get('state') or e['kind']}" for e in self.events
        )

    def _take(self, topic: bytes, body: bytes) -> None:
        event = json.loads(body)
        if topic == b"available":
            self.available = event["available"]
            return
        self._validator.validate(event)
        prefix = "events" if event["kind"] == "anomaly" else "status"
        assert topic.decode() == f"{prefix}/{event['camera']}"
        if self.events:
            assert event["stream"] == self.events[-1]["stream"]
            assert event["seq"] == self.events[-1]["seq"] + 1, "a message was lost"
        self.events.append(event)


class Program:
    """A `sorawatch run` in a process group of its own."""

    def __init__(self, config: Path, env: dict[str, str] | None = None) -> None:
        self.config = config
        self.tree = yaml.safe_load(config.read_text())
        self._notify = config.parent / "notify.sock"
        self._notified = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.unlink(missing_ok=True)
        self._notified.bind(str(self._notify))
        self._notified.settimeout(START_S)
        self.log = config.parent / "log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "run", str(config)],
                cwd=ROOT,
                env=os.environ | {"NOTIFY_SOCKET": str(self._notify)} | (env or {}),
                stderr=log,
                start_new_session=True,
            )

    def told(self) -> str:
        """What it tells systemd next: READY=1, RELOADING=1 or STOPPING=1."""
        return self._notified.recv(200).decode().splitlines()[0]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def reload(self, config: Path) -> None:
        """SIGHUP, and wait until it has been obeyed."""
        assert config == self.config
        self.signal(signal.SIGHUP)
        assert self.told() == "RELOADING=1"
        assert self.told() == "READY=1"

    def stop(self) -> float:
        """SIGTERM; how long it took, seconds. It must end well."""
        began_s = time.monotonic()
        self.signal(signal.SIGTERM)
        assert self.process.wait(timeout=START_S) == 0, self.said()
        return time.monotonic() - began_s

    def get(self, page: str) -> tuple[int, str]:
        """An HTTP page of it: status and text."""
        try:
            with urlopen(f"http://{self.tree['metrics']['listen']}{page}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def status(self) -> dict[str, Any]:
        """What it says of its cameras, by name."""
        cameras = json.loads(self.get("/status")[1])["cameras"]
        return {camera["name"]: camera for camera in cameras}

    def said(self) -> str:
        """All that it has logged."""
        return self.log.read_text()

    def close(self) -> None:
        """End whatever is left of it."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._notified.close()


class Remains:
    """What a program holds of the machine; taken while it runs."""

    def __init__(self, program: Program) -> None:
        pid = program.process.pid
        self._session = pid
        self._files = [
            Path(str(program.tree["alerts"][key])[len("ipc://") :])
            for key in ("publish", "catch_up")
        ]
        maps = Path(f"/proc/{pid}/maps").read_text().splitlines()
        self.rings = {Path(line.split()[-1]) for line in maps if "sorawatch-ring" in line}
        self.processes = self._members()

    def _members(self) -> set[int]:
        found = set()
        for pid in psutil.pids():
            try:
                if os.getsid(pid) == self._session:
                    found.add(pid)
            except ProcessLookupError:
                continue
        return found

    def after(self, within_s: float) -> list[str]:
        """What of it is left once all its processes have ended, or after this time."""
        processes = []
        for pid in self.processes:
            try:
                processes.append(psutil.Process(pid))
            except psutil.NoSuchProcess:
                continue
        _, alive = psutil.wait_procs(processes, within_s)
        left = []
        for process in alive:
            with suppress(psutil.NoSuchProcess):
                status = process.status()
                # One that has ended waits for init to notice; no business of the program.
                if status != psutil.STATUS_ZOMBIE:
                    left.append(f"{process.pid} {status}")
        return left + [str(path) for path in self.rings if path.exists()]


@contextmanager
def running(
    config: Path, env: dict[str, str] | None = None
) -> Iterator[tuple[Program, Subscriber]]:
    """The program, ready, and somebody who has listened since before it began."""
    program = Program(config, env)
    try:
        with Subscriber(program.tree["alerts"]["publish"]) as subscriber:
            assert program.told() == "READY=1"
            yield program, subscriber
    finally:
        program.close()
