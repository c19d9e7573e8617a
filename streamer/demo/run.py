"""The demonstration from end to end: footage, cameras, learning, watching, and what came of it.

Nothing is faked on the way: the cameras are real RTSP streams, and `sorawatch fit` and
`sorawatch run` are child processes, used as anyone would use them; alerts come over ZeroMQ.
"""

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import yaml

from alerts.event import Event
from alerts.subscriber import Subscriber, format_event
from sorawatch import ConfigError, ResourceError, SorawatchError
from streamer.demo.children import Children, LineReader, sorawatch_command
from streamer.demo.groundwork import Tell, learn, make_footage, wait_for_any
from streamer.demo.pictures import write_alert_picture
from streamer.demo.plan import ALERTS_PER_DAY, CameraPlan, recorded_plan, rendered_plan
from streamer.demo.render import read_truth
from streamer.demo.report import Camera, Message, Report, clock, judge, table
from streamer.demo.serve import Served

_POLL_S = 0.1
_START_S = 45.0  # the program must have opened every camera within this time
_STOP_S = 15.0
_EARLY_S = 0.6  # stopped so long before the films end, or cameras would begin again

_MARK = ".sorawatch-demo"  # in a folder that a demo made
_OURS = ("footage", "normal", "alerts", "snapshots", "var", "logs", "cameras.yaml", "report.json")


@dataclass(slots=True)
class _Watched:
    """What was seen while the program ran: first frames sent, by camera, and messages."""

    plays: dict[str, list[float]]
    messages: list[Message]


def run_demo(out: Path, footage: Path | None = None, *, tell: Tell = print) -> int:
    """Run the demonstration in the folder `out`; with `footage`, on that data set.

    `tell` gets lines for people. Returns 0 when every planted event was found through ZeroMQ,
    else 1; raises SorawatchError when it could not be run. Leaves no process behind.
    """
    began_s = time.monotonic()
    out = out.resolve()
    if footage is not None and footage.resolve().is_relative_to(out):
        raise ConfigError(f"{footage} lies in {out}, which is cleared first: choose another --out")
    plan = rendered_plan(out) if footage is None else recorded_plan(out, footage)
    _make_room(out)
    with _ended_in_order(), Children(out / "logs") as children:
        make_footage(children, plan.jobs, tell)
        learn(children, plan, out, tell)
        watched = _watch(children, plan.cameras, out, tell)
    cameras = [
        Camera(camera.name, read_truth(camera.truth), watched.plays[camera.name])
        for camera in plan.cameras
    ]
    report = judge(cameras, watched.messages)
    _write_report(report, out / "report.json")
    tell("")
    tell(table(report, cameras))
    tell(f"pictures of the alerts: {out / 'alerts'}; in all {time.monotonic() - began_s:.0f} s")
    return report.exit_status


def _make_room(out: Path) -> None:
    """The folder, without what an earlier demo left there; nobody else's files are touched."""
    mark = out / _MARK
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not mark.exists() and any(out.iterdir()):
            raise ConfigError(f"{out} holds files that no demo made: choose another --out")
        mark.touch()
        for name in _OURS:
            path = out / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    except OSError as exc:
        raise ResourceError(f"{exc.filename or out}: {exc.strerror}: choose another --out") from exc


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM and a terminal that is closed end the demo as Ctrl-C does; nohup is respected."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    numbers = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) != signal.SIG_IGN
    ]
    before = {number: signal.signal(number, leave) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(children: Children, cameras: Sequence[CameraPlan], out: Path, tell: Tell) -> _Watched:
    """Serve the cameras, run the program, and print alerts until the films are over."""
    films = [f"{camera.name}={camera.film}" for camera in cameras]
    command = [sys.executable, "-m", "streamer.demo.serve", *films]
    server = children.start("serve", command, talks=True)
    told = LineReader(server)
    port = _ready_port(children, server, told)
    config, publish, catch_up = _write_config(out, cameras, port)
    tell(f"cameras at rtsp://127.0.0.1:{port}/NAME; sorawatch run {config}")
    program = children.start("run", [*sorawatch_command(), "run", str(config)])
    watched = _Watched({camera.name: [] for camera in cameras}, [])
    by_name = {camera.name: camera for camera in cameras}
    give_up_s = time.time() + _START_S
    with Subscriber(publish, catch_up, after=0) as events:

        def take(timeout_s: float) -> bool:
            event = events.next(timeout_s)
            if event is not None:
                _take(event, by_name[event.camera], watched, out, tell)
            return event is not None

        while True:
            _hear_server(told, watched)
            take(_POLL_S)
            for child in (program, server):
                if child.poll() is not None:
                    raise children.failed(child)
            silent = [name for name, plays in watched.plays.items() if not plays]
            if not silent and time.time() > _over_s(cameras, watched.plays):
                break
            if silent and time.time() > give_up_s:
                raise SorawatchError(
                    f"the program did not open {silent[0]} within {_START_S:.0f} s: "
                    f"see {children.log('run')}"
                )
        program.send_signal(signal.SIGTERM)
        stop_s = time.monotonic() + _STOP_S
        while program.poll() is None and time.monotonic() < stop_s:
            take(_POLL_S)
        while take(2 * _POLL_S):  # its last words
            continue
    if children.stop(program, 0.0 if program.poll() is None else _STOP_S) != 0:
        raise children.failed(program)
    return watched


def _ready_port(children: Children, server: "subprocess.Popen[str]", told: LineReader) -> int:
    deadline_s = time.monotonic() + _START_S
    while time.monotonic() < deadline_s:
        for line in told.lines():
            return Served.parse(line).port
        if server.poll() is not None:
            raise children.failed(server)
        wait_for_any([server])
    raise ResourceError(f"the demo's RTSP server did not start: see {children.log('serve')}")


def _hear_server(told: LineReader, watched: _Watched) -> None:
    for line in told.lines():
        served = Served.parse(line)
        if served.what == "play":
            watched.plays[served.camera].append(served.utc_s)


def _over_s(cameras: Sequence[CameraPlan], plays: Mapping[str, Sequence[float]]) -> float:
    """When the first film that is the last to end is nearly over."""
    ends = [plays[camera.name][0] + camera.seconds for camera in cameras]
    return max(ends) - _EARLY_S


def _write_config(out: Path, cameras: Sequence[CameraPlan], port: int) -> tuple[Path, str, str]:
    """The configuration that a user would write: its path, and the addresses of the alerts."""
    publish, catch_up = (f"tcp://127.0.0.1:{free}" for free in _free_ports(2))
    document = {
        "cameras": {
            camera.name: {
                "source": f"rtsp://127.0.0.1:{port}/{camera.name}",
                "normal": f"normal/{camera.learned}.normal",
                "alerts_per_day": ALERTS_PER_DAY,
            }
            for camera in cameras
        },
        "alerts": {
            "publish": publish,
            "catch_up": catch_up,
            "outbox": "var/alerts.db",
            "snapshots": "snapshots",
        },
        "metrics": {"listen": "127.0.0.1:0"},
    }
    path = out / "cameras.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path, publish, catch_up


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment, all different."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


def _take(event: Event, camera: CameraPlan, watched: _Watched, out: Path, tell: Tell) -> None:
    """Print what came; keep alerts and their pictures."""
    came = time.time()
    if event.kind != "anomaly":
        if event.type == "new" or event.ended_by not in (None, "over", "stopped"):
            tell(f"  {format_event(event)}")
        return
    region = event.region
    message = Message(
        event.camera,
        event.id,
        event.time if event.time is not None else event.start_time,
        event.start_time,
        came,
        None if region is None else (region.x, region.y, region.width, region.height),
        event.score or 0.0,
        event.explanation.text,
    )
    watched.messages.append(message)
    plays = [play for play in watched.plays[event.camera] if play <= event.start_time + 1.0]
    shown_s = max(0.0, event.start_time - plays[-1]) if plays else 0.0
    picture = write_alert_picture(event, camera, shown_s, out / "alerts")
    if event.type == "new":
        tell(f"  {format_event(event)}  [{clock(shown_s)} of the film] -> {picture.name}")


def _write_report(report: Report, path: Path) -> None:
    document = {
        "planted": [{**asdict(line), "found": line.found} for line in report.lines],
        "false": [asdict(message) for message in report.false],
        "watched_s": report.watched_s,
        "exit_status": report.exit_status,
    }
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
