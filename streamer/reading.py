"""Reading sources to their end, one after the other, as windows: the live path without the clock.

Each source is decoded in a worker process of its own, so that a decoder that aborts is an error
that names its source. The worker of the next source starts while this one is read.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, NamedTuple, Self

from sorawatch import SourceError
from streamer.capture.doorbell import Doorbell, wait
from streamer.capture.ring import FrameRing
from streamer.capture.settings import CaptureSettings
from streamer.capture.source import Source
from streamer.capture.states import CameraState, StateChange
from streamer.capture.supervisor import CameraSpec, Supervisor
from streamer.capture.windows import RingWindow, WindowCutter
from streamer.watch import WINDOW_FRAMES

log = logging.getLogger(__name__)

SLOTS: Final = 24
"""Of each ring; two are open at a time, which fits into the 64 MB that containers give."""

PATIENCE_S: Final = 30.0
"""For a picture: of a file that hangs, of a live source that has gone."""

_LOOK_S: Final = 0.25


class ReadWindow(NamedTuple):
    """A window of source number `number`; good until the next one is asked for."""

    number: int
    seen: RingWindow


@dataclass(slots=True)
class _Open:
    """A source that is being read: its end, once that is known."""

    source: Source
    ring: FrameRing
    end: StateChange | None = None


class SourceReader:
    """Walks sources in order. A context manager, for one thread.

    Files and folders are read as fast as they are taken and no frame is lost; live sources never
    end and are reopened when they go.

    `frames_read`: for each source that was read to its end, how many frames its decoder gave.
    """

    def __init__(self, sources: Sequence[Source], fps: float) -> None:
        """`fps`: frames analysed a second."""
        self._sources = sources
        self._fps = fps
        self._states: SimpleQueue[StateChange] = SimpleQueue()
        self._open: dict[int, _Open] = {}
        self.frames_read: list[int] = []

    def __enter__(self) -> Self:
        """Start the machinery; nothing is opened yet."""
        with ExitStack() as stack:
            self._bell = stack.enter_context(Doorbell())
            stack.callback(self._close_rings)
            self._supervisor = stack.enter_context(
                Supervisor(workers=1, on_state=self._heard, bell=self._bell)
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End what is being read."""
        self._stack.__exit__(kind, error, traceback)

    def windows(self) -> Iterator[ReadWindow]:
        """Every window of every source, in order.

        Raises SourceError for a source that cannot be opened, gives no frame, or breaks off.
        """
        for index in range(len(self._sources)):
            self._begin(index)
            if index + 1 < len(self._sources) and not self._sources[index + 1].live:
                self._begin(index + 1)
            for seen in self._read(self._open[index]):
                yield ReadWindow(index, seen)
            self.frames_read.append(self._open[index].ring.counters.frames_read)
            self._supervisor.remove(str(index))
            self._open.pop(index).ring.__exit__()

    def _begin(self, index: int) -> None:
        if index in self._open:
            return
        source = self._sources[index]
        settings = CaptureSettings(
            fps=self._fps, mode="drop" if source.live else "wait", once=not source.live
        )
        opened = self._open[index] = _Open(source, FrameRing.create(SLOTS))
        self._supervisor.add(CameraSpec(str(index), source, settings), opened.ring)

    def _read(self, opened: _Open) -> Iterator[RingWindow]:
        source, ring = opened.source, opened.ring
        cutter = WindowCutter(ring, WINDOW_FRAMES, 1.0 / self._fps)
        waits_since_s: float | None = None
        while True:
            self._hear()
            seen = cutter.next()
            if seen is not None:
                waits_since_s = None
                yield seen
                continue
            if opened.end is not None:  # heard of before the look: the ring holds nothing newer
                self._check_end(opened)
                return
            now_s = time.monotonic()
            waits_since_s = waits_since_s or now_s
            if now_s - waits_since_s > PATIENCE_S:
                text = f"{source.masked}: no picture for {PATIENCE_S:.0f} s"
                raise SourceError(text, "timeout")
            wait([self._bell], _LOOK_S)

    def _check_end(self, opened: _Open) -> None:
        end = opened.end
        if end is not None and (end.reason != "ended" or opened.ring.written == 0):
            text = end.detail or f"{opened.source.masked}: no picture"
            raise SourceError(text, end.reason or "error")

    def _heard(self, change: StateChange) -> None:
        """On the supervisor's thread."""
        self._states.put(change)
        self._bell.ring()

    def _hear(self) -> None:
        self._supervisor.check()
        while True:
            try:
                change = self._states.get_nowait()
            except Empty:
                return
            opened = self._open.get(int(change.camera))
            # A live source that has been there may come back.
            if (
                opened is not None
                and change.state is CameraState.OFFLINE
                and not (opened.source.live and opened.ring.written)
            ):
                opened.end = change

    def _close_rings(self) -> None:
        for opened in self._open.values():
            opened.ring.__exit__()
        self._open.clear()
