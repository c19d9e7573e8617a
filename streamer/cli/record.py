"""`sorawatch record`: keep cameras' footage."""

import logging
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Final

import click

from sorawatch import ConfigError, SourceError
from streamer.capture.states import CameraState, StateChange
from streamer.cli.common import Progress, command, json_option, print_json, source_argument
from streamer.config import CameraConfig, resolve
from streamer.config_fields import parse_duration, parse_size
from streamer.config_load import load_config
from streamer.logs import set_up_logging
from streamer.recording.budget import Budget
from streamer.recording.camera import RecordSettings
from streamer.recording.recorder import CameraReport, RecordCamera, Recorder
from streamer.recording.stream import StreamOptions

log = logging.getLogger("streamer.record")

_SHORTEST_S: Final = 1.0
_LONGEST_S: Final = 86_400.0
_WAIT_S: Final = 0.2
_CONFIG_SUFFIXES: Final = (".yaml", ".yml")


class _Duration(click.ParamType[float]):
    """`90s`, `10m`, `1h`, `14d`, or seconds."""

    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        try:
            seconds = parse_duration(str(value))
        except ValueError as exc:
            self.fail(str(exc), param, ctx)
        if seconds <= 0:
            self.fail("must be more than nothing", param, ctx)
        return seconds


class _Size(click.ParamType[int]):
    """`20G`, `500M`, `2TiB`, or bytes."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_size(str(value))
        except ValueError as exc:
            self.fail(str(exc), param, ctx)


@command(
    "record",
    example="sorawatch record cameras.yaml --out recordings --max-size 200G --max-age 14d\n"
    "sorawatch record 'rtsp://viewer:${PW}@10.0.0.20/stream2' --camera gate \\\n"
    "    --out recordings --for 8h",
)
@click.argument("what", metavar="CONFIG|URL")
@click.option("--camera", "names", multiple=True, metavar="NAME",
              help="Only this camera of CONFIG; may be repeated. For a URL: its name")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="DIR",
              help="The recording: a folder for each camera in it.")  # fmt: skip
@click.option("--segment", "segment_s", type=_Duration(), default="10m", show_default=True,
              help="Length of a file, 1s to 1d; cut at key frames on even UTC times.")  # fmt: skip
@click.option("--max-size", "max_bytes", type=_Size(),
              help="Of all in DIR; the oldest goes first.  [default: no limit]")  # fmt: skip
@click.option("--max-age", "max_age_s", type=_Duration(),
              help="Older footage is removed.  [default: no limit]")  # fmt: skip
@click.option("--keep-free", "keep_free_bytes", type=_Size(), default="500M", show_default=True,
              help="Nothing is recorded while the disk has less left.")  # fmt: skip
@click.option("--for", "for_s", type=_Duration(), help="End after so long.")
@json_option
def record(
    what: str, names: tuple[str, ...], out: Path, segment_s: float, max_bytes: int | None,
    max_age_s: float | None, keep_free_bytes: int, for_s: float | None, as_json: bool,
) -> None:  # fmt: skip
    """Keep cameras' footage, without encoding it again.

    CONFIG names the cameras, or URL is one (a video file will do too). What the camera sends goes
    into MP4 as it is: H.264, H.265, MJPEG; sound is left out. Runs until SIGTERM or Ctrl-C, the
    end of --for, or of every file. A lost camera is tried again for ever.

    PRIVACY: masks cannot be burned in, for that would need encoding: whoever can read DIR sees
    all that the camera sees. Mask in the camera itself, and keep DIR to those who may.

    Files are fragmented MP4: a crash costs the last second of the segment being written, a power
    cut what the system had not yet put on the disk of it, and never more than that segment. Times
    are UTC; docs/recordings.md tells how they are kept. Exit status 3 when a camera gave nothing.
    """
    if not _SHORTEST_S <= segment_s <= _LONGEST_S:
        raise click.UsageError("--segment must lie between 1s and 1d.")
    cameras = _cameras(what, names, segment_s)
    budget = Budget(max_bytes, max_age_s, keep_free_bytes)
    if logging.getLogger().level != logging.DEBUG:
        set_up_logging("text", "info")
        logging.getLogger("streamer.recording").setLevel(logging.WARNING)
    stop = threading.Event()
    began_s = time.monotonic()
    with (
        _ended_by_signals(stop),
        Progress() as progress,
        Recorder(cameras, out, budget, _say) as recorder,
    ):
        while not stop.is_set() and not recorder.wait(0):
            left_s = _WAIT_S if for_s is None else began_s + for_s - time.monotonic()
            if left_s <= 0:
                break
            progress.show(_line(recorder.reports(), recorder.condition))
            stop.wait(min(left_s, _WAIT_S))
    reports = recorder.reports()
    if as_json:
        print_json(
            {
                "out": str(out),
                "seconds": round(time.monotonic() - began_s, 3),
                "removed_segments": recorder.removed,
                "disk_full": recorder.condition or None,
                "times_disk_full": recorder.times_full,
                "cameras": [asdict(report) for report in reports],
            }
        )
    else:
        click.echo("\n".join(_row(report) for report in reports))
    nothing = [report for report in reports if not report.frames]
    if nothing:
        lines = [
            f"{one.camera}: nothing was recorded: {one.detail or one.state}" for one in nothing
        ]
        raise SourceError("\n".join(lines), nothing[0].reason or "error")


def _cameras(what: str, names: tuple[str, ...], segment_s: float) -> dict[str, RecordCamera]:
    if "://" in what or not what.endswith(_CONFIG_SUFFIXES):
        if len(names) > 1:
            raise click.UsageError("A URL is one camera: give --camera once.")
        source = source_argument(what)
        return {names[0] if names else "camera": RecordCamera(source, RecordSettings(segment_s))}
    cameras = resolve(load_config(Path(what)))
    for name in names:
        if name not in cameras:
            raise ConfigError(f"{what}: no camera {name!r} in it, but {', '.join(cameras)}")
    for name, camera in cameras.items():
        if camera.masks and (not names or name in names):
            log.warning("%s: recorded as the camera sends it: its masks are not laid on", name)
    return {
        name: RecordCamera(camera.source, _settings(camera, segment_s))
        for name, camera in cameras.items()
        if not names or name in names
    }


def _settings(camera: CameraConfig, segment_s: float) -> RecordSettings:
    how = camera.capture
    stream = StreamOptions(how.transport, how.open_timeout_s, how.read_timeout_s)
    return RecordSettings(segment_s, stream, how.stall_after_s, how.backoff_max_s)


def _say(change: StateChange) -> None:
    reason = f" ({change.reason})" if change.reason else ""
    text = f"{change.camera} {change.state}{reason}{': ' if change.detail else ''}{change.detail}"
    good = change.state in (CameraState.CONNECTING, CameraState.ONLINE) or change.reason == "ended"
    log.log(logging.INFO if good else logging.WARNING, "%s", text)


@contextmanager
def _ended_by_signals(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and Ctrl-C end it well; a second one at once."""

    def end(number: int, _frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(128 + number)
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _line(reports: list[CameraReport], condition: str) -> str:
    online = sum(report.state is CameraState.ONLINE for report in reports)
    megabytes = sum(report.bytes for report in reports) / 1e6
    text = f"{online} of {len(reports)} cameras online, {megabytes:.1f} MB recorded"
    return f"{text}; {condition}" if condition else text


def _row(report: CameraReport) -> str:
    return (
        f"{report.camera:<20} {report.segments:>6} segments {report.frames:>9} frames "
        f"{report.bytes / 1e6:>9.1f} MB {report.reconnects:>4} reconnects"
    )
