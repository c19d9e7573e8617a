"""Reading sources to their end, one after the other, as windows: the live path without the clock.

Each source is decoded in a worker process of its own, so that a decoder that aborts is an error
that names its source. The worker of the next source starts while this one is read.
"""

import logging
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Final, NamedTuple, Self

from sorawatch import SourceError
from streamer.capture.doorbell import Doorbell, wait
from streamer.capture.masks import Polygon
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


class OpenSource:
    """A source that is being read: its ring, and whether there is more to come.

    For the thread that reads. `number`: of the source among those of its reader.
    """

    def __init__(self, number: int, source: Source, reader: "SourceReader") -> None:
        """Reserve its ring; ResourceError when the machine has no room."""
        self.number = number
        self.source = source
        self.ring = FrameRing.create(SLOTS)
        self.end: StateChange | None = None
        self._reader = reader
        self._ended = False
        self._waits_since_s: float | None = None
        self._written = 0

    def more(self) -> bool:
        """Wait a while for frames, after all that were there have been walked.

        False at the end of the source; True means: look again, there may be some. Raises
        SourceError when it cannot be opened, gives no frame, breaks off, or hangs.
        """
        if self._ended:  # heard of before the last look: the ring holds nothing newer
            self._check_end()
            return False
        self._reader.hear()
        if self.end is not None:
            self._ended = True
            return True
        now_s = time.monotonic()
        if self.ring.written != self._written or self._waits_since_s is None:
            self._written, self._waits_since_s = self.ring.written, now_s
        if now_s - self._waits_since_s > PATIENCE_S:
            text = f"{self.source.masked}: no picture for {PATIENCE_S:.0f} s"
            raise SourceError(text, "timeout")
        self._reader.wait()
        return True

    def _check_end(self) -> None:
        end = self.end
        if end is not None and (end.reason != "ended" or self.ring.written == 0):
            text = end.detail or f"{self.source.masked}: no picture"
            raise SourceError(text, end.reason or "error")


class SourceReader:
    """Walks sources in order. A context manager, for one thread.

    Files and folders are read as fast as they are taken and no frame is lost; live sources never
    end and are reopened when they go.

    `frames_read`: for each source that was read to its end, how many frames its decoder gave.
    """

    def __init__(
        self, sources: Sequence[Source], fps: float, masks: Sequence[Polygon] = ()
    ) -> None:
        """`fps`: frames analysed a second. `masks`: what nobody is to see of them."""
        self._masks = tuple(masks)
        self._sources = sources
        self._fps = fps
        self._states: SimpleQueue[StateChange] = SimpleQueue()
        self._open: dict[int, OpenSource] = {}
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
        for opened in self.sources():
            cutter = WindowCutter(opened.ring, WINDOW_FRAMES, 1.0 / self._fps)
            while True:
                seen = cutter.next()
                if seen is not None:
                    yield ReadWindow(opened.number, seen)
                elif not opened.more():
                    break

    def sources(self) -> Generator[OpenSource, None, None]:
        """Every source in order, open; who takes one walks its ring until there is no `more`.

        With the next one that is asked for it is closed, and `frames_read` says how long it was.
        """
        for index in range(len(self._sources)):
            self._begin(index)
            if index + 1 < len(self._sources) and not self._sources[index + 1].live:
                self._begin(index + 1)
            yield self._open[index]
            self.frames_read.append(self._open[index].ring.counters.frames_read)
            self._supervisor.remove(str(index))
            self._open.pop(index).ring.__exit__()

    def _begin(self, index: int) -> None:
        if index in self._open:
            return
        source = self._sources[index]
        settings = CaptureSettings(
            fps=self._fps,
            mode="drop" if source.live else "wait",
            once=not source.live,
            masks=self._masks,
        )
        opened = self._open[index] = OpenSource(index, source, self)
        self._supervisor.add(CameraSpec(str(index), source, settings), opened.ring)

    def wait(self) -> None:
        """For frames or news, a quarter of a second at most."""
        wait([self._bell], _LOOK_S)

    def _heard(self, change: StateChange) -> None:
        """On the supervisor's thread."""
        self._states.put(change)
        self._bell.ring()

    def hear(self) -> None:
        """Take in what the supervisor has said."""
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
