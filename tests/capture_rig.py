"""A supervisor with cameras, and somebody who reads their rings: what capture tests stand on."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from numbered import read_number

from streamer.capture.doorbell import Doorbell, wait
from streamer.capture.frame import FrameHeader
from streamer.capture.ring import FrameRing
from streamer.capture.settings import CaptureSettings
from streamer.capture.source import Source
from streamer.capture.states import CameraState, StateChange
from streamer.capture.supervisor import CameraSpec, Supervisor

SLOTS = 64
PROMISE_S = 5.0  # to notice a fault, and to be back once it is over


@dataclass
class Track:
    """What has been read of one camera: headers, and the numbers that the pictures bear.

    `missed`: frames that were overwritten before they were read.
    """

    headers: list[FrameHeader] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    missed: int = 0
    next_seq: int = 0

    def __len__(self) -> int:
        return len(self.headers)

    def longest_lag_s(self, since: int = 0) -> float:
        """The longest that a frame, of those read since, came later than its own time says."""
        return max((header.t_mono_ns - header.t_media_ns) / 1e9 for header in self.headers[since:])


class Rig:
    """A context manager; for the test's thread alone."""

    def __init__(
        self, workers: int | None = 1, on_state: Callable[[StateChange], None] | None = None
    ) -> None:
        self._bell = Doorbell()
        self._news = Doorbell()
        self.supervisor = Supervisor(self._bell, on_state or self._heard, workers)
        self.specs: dict[str, CameraSpec] = {}
        self.rings: dict[str, FrameRing] = {}
        self.tracks: dict[str, Track] = {}
        self.history: dict[str, list[StateChange]] = defaultdict(list)

    def __enter__(self) -> Self:
        self.supervisor.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.supervisor.__exit__(kind, error, traceback)
        finally:
            for ring in self.rings.values():
                ring.__exit__(None, None, None)
            self._bell.close()
            self._news.close()

    def _heard(self, change: StateChange) -> None:
        self.history[change.camera].append(change)
        self._news.ring()

    def add(self, name: str, source: str, **settings: Any) -> Track:
        """Capture a source, every frame of it unless told otherwise; what comes is read."""
        self.rings[name] = FrameRing.create(SLOTS)
        self.tracks[name] = Track()
        chosen = CaptureSettings(**{"fps": 30.0, **settings})
        self.specs[name] = CameraSpec(name, Source.parse(source), chosen)
        self.supervisor.add(self.specs[name], self.rings[name])
        return self.tracks[name]

    def remove(self, name: str) -> None:
        """Capture it no more; what was read of it stays."""
        self.supervisor.remove(name)
        self.rings.pop(name).__exit__(None, None, None)

    def until(self, what: Callable[[], bool], within_s: float = PROMISE_S, why: str = "") -> float:
        """Read on until something holds; how long that took, seconds. AssertionError if too long.

        `what` is asked whenever a frame or a change of state has come, and a few times a second
        for what has no bell.
        """
        began_s = time.monotonic()
        while True:
            self.read()
            if what():
                return time.monotonic() - began_s
            left_s = began_s + within_s - time.monotonic()
            if left_s <= 0:
                last = {name: (c[-1].state, c[-1].reason) for name, c in self.history.items()}
                raise AssertionError(f"not within {within_s} s: {why}; states are {last}")
            wait([self._bell, self._news], min(left_s, 0.05))
            self.supervisor.check()

    def until_state(
        self, name: str, state: CameraState, reason: str | None = None, within_s: float = PROMISE_S
    ) -> float:
        """Read on until a camera is in this state; how long that took, seconds."""
        return self.until(
            lambda: self.is_in(name, state, reason), within_s, f"{name} {state} {reason or ''}"
        )

    def until_frames(self, name: str, count: int, within_s: float = PROMISE_S) -> float:
        """Read on until so many more frames of a camera have come."""
        target = len(self.tracks[name]) + count
        return self.until(
            lambda: len(self.tracks[name]) >= target, within_s, f"{count} frames of {name}"
        )

    def is_in(self, name: str, state: CameraState, reason: str | None = None) -> bool:
        """Whether the camera's newest change was to this state, for this reason if one is given."""
        changes = self.history[name]
        return (
            bool(changes)
            and changes[-1].state is state
            and (reason is None or changes[-1].reason == reason)
        )

    def read(self) -> None:
        """Read every frame that is there."""
        for name, ring in self.rings.items():
            track = self.tracks[name]
            while track.next_seq < (written := ring.written):
                if track.next_seq < written - ring.slots:
                    track.missed += written - ring.slots - track.next_seq
                    track.next_seq = written - ring.slots
                stored = ring.read(track.next_seq)
                track.next_seq += 1
                if stored is None:
                    track.missed += 1
                    continue
                track.headers.append(stored.header)
                track.numbers.append(read_number(stored.picture))
            ring.advance_reader(track.next_seq)
