"""Recording under test: a recorder whose news can be waited for, a clock that runs, true times."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av

from streamer.capture.source import Source
from streamer.capture.states import CameraState, StateChange
from streamer.demo.packets import read_footage
from streamer.recording.budget import Budget
from streamer.recording.camera import RecordSettings
from streamer.recording.recorder import RecordCamera, Recorder
from streamer.recording.segment import Segment
from streamer.recording.stream import StreamOptions

ROOT = Path(__file__).resolve().parents[1]
CAMERA = "gate"
NO_LIMIT = Budget(keep_free_bytes=0)
QUICK = StreamOptions(open_timeout_s=2.0, read_timeout_s=1.0)


class Rig:
    """A recorder; for the test's thread alone, a context manager."""

    def __init__(
        self,
        out: Path,
        sources: dict[str, str],
        *,
        segment_s: float = 1.0,
        budget: Budget = NO_LIMIT,
        clock: Any = None,
    ) -> None:
        self.changes: list[StateChange] = []
        self._news = threading.Condition()
        settings = RecordSettings(segment_s, QUICK, stall_after_s=0.5, backoff_max_s=0.5)
        cameras = {name: RecordCamera(Source.parse(url), settings) for name, url in sources.items()}
        self.recorder = Recorder(cameras, out, budget, self._heard, clock=clock)

    def __enter__(self) -> Self:
        self.recorder.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.recorder.__exit__(kind, error, traceback)

    def _heard(self, change: StateChange) -> None:
        with self._news:
            self.changes.append(change)
            self._news.notify_all()

    def until(self, what: Callable[[], bool], within_s: float = 10.0) -> None:
        """Wait until something holds; asked after each change of state, and often."""
        end_s = time.monotonic() + within_s
        with self._news:
            while not what():
                said = [(change.state.value, change.reason) for change in self.changes]
                assert time.monotonic() < end_s, f"not within {within_s} s: {said}"
                self._news.wait(0.02)

    def until_state(
        self, state: CameraState, reason: str | None = None, since: int = 0, within_s: float = 10.0
    ) -> StateChange:
        """Wait until a camera has gone to this state, not counting the first `since` changes."""

        def found() -> list[StateChange]:
            return [
                change
                for change in self.changes[since:]
                if change.state is state and reason in (None, change.reason)
            ]

        self.until(lambda: bool(found()), within_s)
        return found()[0]

    def until_frames(self, more: int, within_s: float = 10.0) -> None:
        """Wait until so many more frames have been recorded, of all cameras together."""
        target = self.frames + more
        self.until(lambda: self.frames >= target, within_s)

    @property
    def frames(self) -> int:
        """Recorded so far."""
        return sum(report.frames for report in self.recorder.reports())


class RunningClock:
    """A clock that jumps over every wait, so that files are recorded in no time; any thread.

    `steps`: after so many seconds, UTC is stepped by so many.
    """

    def __init__(self, utc_s: float, steps: dict[float, float] | None = None) -> None:
        self._lock = threading.Lock()
        self._now_ns = 1_000_000_000
        self._utc_ns = round(utc_s * 1e9) - self._now_ns
        self._steps = steps or {}

    def mono_ns(self) -> int:
        with self._lock:
            return self._now_ns

    def utc_ns(self) -> int:
        with self._lock:
            passed_s = self._now_ns / 1e9 - 1.0
            stepped_s = sum(step for at, step in self._steps.items() if passed_s >= at)
            return self._utc_ns + self._now_ns + round(stepped_s * 1e9)

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        with self._lock:
            self._now_ns += round(seconds * 1e9)
        return stop.is_set()


def record_file(
    out: Path, path: Path, clock: RunningClock, *, segment_s: float = 2.0, camera: str = CAMERA
) -> Rig:
    """Record a file to its end, in no time."""
    with Rig(out, {camera: str(path)}, segment_s=segment_s, clock=clock) as rig:
        assert rig.recorder.wait(20)
    return rig


@contextmanager
def true_camera(clip: Path) -> Iterator[tuple[str, Callable[[], float]]]:
    """A camera that plays a clip to each client from its beginning, and tells when.

    Its URL, and what waits for the UTC at which the first frame of the next client left.
    """
    command = [sys.executable, "-m", "streamer.demo.serve", f"{CAMERA}={clip}"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        port = json.loads(server.stdout.readline())["port"]
        lines = server.stdout

        def played() -> float:
            while (told := json.loads(lines.readline()))["what"] != "play":
                pass
            utc_s: float = told["utc_s"]
            return utc_s

        try:
            yield f"rtsp://127.0.0.1:{port}/{CAMERA}", played
        finally:
            assert server.stdin is not None
            server.stdin.close()
            server.wait(10)


@dataclass(frozen=True)
class Frame:
    """An encoded frame: its NAL units, and its time."""

    at_s: float
    units: tuple[bytes, ...]


def frames_of(segments: list[Segment]) -> list[Frame]:
    """Every H.264 frame of segments, with its UTC as start plus PTS."""
    return [
        Frame(segment.start_utc_s + at_s, units)
        for segment in segments
        for at_s, units in read_footage(segment.path).frames
    ]


def packets_of(path: Path) -> list[tuple[float, bytes]]:
    """PTS in seconds, and bytes, of every packet of a video."""
    with av.open(str(path)) as container:
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in container.demux(video=0)
            if packet.size and packet.pts is not None
        ]
