"""From a ring of frames to the windows that the detector takes, one for every analysed frame."""

from collections import deque
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.window import Window
from streamer.capture.frame import FrameHeader, Validity
from streamer.capture.ring import FrameRing, StoredFrame

MAX_GAP_PERIODS: Final = 2.5
"""A longer gap between two analysed frames starts a new generation."""

MAX_INVALID_S: Final = 1.0
"""So does a longer time from one valid frame to the next, with invalid ones in between."""


# A picture that repeats the one before shows the scene all the same: still footage is full of them.
_SHOWS_THE_SCENE: Final = frozenset({Validity.VALID, Validity.FROZEN})


class RingWindow:
    """A window whose frames lie in the ring, true for as long as the writer has not come round.

    `window`: for the detector; its frames are read-only views.
    `header`: of the newest frame.
    """

    __slots__ = ("_newest", "_oldest", "_ring", "header", "window")

    def __init__(self, ring: FrameRing, window: Window, newest: StoredFrame, oldest: int) -> None:
        """Wrap what `WindowCutter` cut; `oldest` is the number of the first frame in the ring."""
        self.window: Final = window
        self.header: Final[FrameHeader] = newest.header
        self._ring = ring
        self._newest = newest
        self._oldest = oldest

    def intact(self) -> bool:
        """Whether every frame is still what it was: ask after use, and drop the result if not."""
        return self._ring.holds(self._oldest)  # the writer overwrites the oldest first

    def picture(self) -> NDArray[np.uint8] | None:
        """A copy of the newest frame's picture, (h, w, 3) BGR; None if it was overwritten."""
        copy = self._newest.picture.copy()
        return copy if self._ring.holds(self.header.seq) else None


class Walked(NamedTuple):
    """One frame that was walked. `seen`: the window that ends in it, None where it is invalid.

    `generation`, `t_s`: of that window, or of the one before, so that the frame can be placed.
    """

    header: FrameHeader
    seen: RingWindow | None
    generation: int
    t_s: float


class _Past(NamedTuple):
    """A valid frame that a window holds."""

    seq: int
    time_s: float
    luma: NDArray[np.uint8]


class WindowCutter:
    """Walks every frame of a ring in order and cuts the window that ends in it.

    A window holds the newest valid frames of one generation, at most `frames` of them and none
    older than `frames` before the newest, so that what a window holds depends on the frames alone
    and never on how far the writer has got. A generation ends where the header says so, where the
    picture's size changes, where time stands still or runs back, after `MAX_GAP_PERIODS` periods
    without a frame, after `MAX_INVALID_S` (never less than that gap) without a valid one, and
    where frames were missed.
    A window's times count from the first frame of its generation: so large numbers cost no digits,
    and the same footage gives the same windows, bit for bit, whenever it is read.

    A reader so late that the writer has overwritten what the next window needs drops what it
    missed and goes on with the newest few frames, enough to fill a window again by the time that
    it has caught up. In wait mode that never happens: each `next` tells the writer which frames
    are done with, for `FrameRing.has_room(keep=frames)` to go by.

    `dropped`: frames that were never walked. `walked`: header of the last one that was, be it
    valid or not; None before the first.
    """

    def __init__(self, ring: FrameRing, frames: int = 8, period_s: float = 0.2) -> None:
        """Begin with the oldest frame in the ring. `period_s`: what the frames are meant to keep.

        ValueError when the ring is too small for windows of so many frames.
        """
        if frames < 1 or ring.slots < frames + 2:
            raise ValueError(
                f"windows of {frames} frames want a ring of at least {frames + 2} slots, "
                f"not {ring.slots}: raise capture.slots"
            )
        self.dropped = 0
        self.walked: FrameHeader | None = None
        self._ring = ring
        self._frames = frames
        self._max_gap_ns = round(MAX_GAP_PERIODS * period_s * 1e9)
        self._max_invalid_ns = max(self._max_gap_ns, round(MAX_INVALID_S * 1e9))
        # How many of the newest frames a late reader goes on with.
        self._resume = min(frames, ring.slots - frames)
        self._next = max(0, ring.written - ring.slots + 1)
        self._past: deque[_Past] = deque()  # of this generation, oldest first
        self._last: FrameHeader | None = None  # the last valid frame; None: the next starts anew
        self._shape: tuple[int, ...] = ()  # of its luma
        self._generation = -1
        self._seq = 0
        self._origin_ns = 0  # of this generation's times

    def next(self) -> RingWindow | None:
        """The window of the next valid frame; None when there is none yet. Never blocks.

        The window before it counts as done with.
        """
        while (walked := self.step()) is not None:
            if walked.seen is not None:
                return walked.seen
        return None

    def step(self) -> Walked | None:
        """Walk one frame, be it valid or not; None when there is none yet. Otherwise as `next`."""
        ring, past = self._ring, self._past
        while True:
            ring.advance_reader(self._next)
            if self._next >= ring.written:
                return None
            while past and (len(past) >= self._frames or past[0].seq < self._next - self._frames):
                past.popleft()
            if past and not ring.holds(past[0].seq):
                self._skip_to(max(self._next, ring.written - self._resume))
            stored = ring.read(self._next)
            if stored is None:
                late = self._next <= ring.written - ring.slots
                # If not late, it was broken by a writer that ran amok.
                self._skip_to(ring.written - self._resume if late else self._next + 1)
                continue
            seen = self._take(stored)
            passed_ns = stored.header.t_media_ns - self._origin_ns if self._generation >= 0 else 0
            return Walked(stored.header, seen, max(0, self._generation), max(0, passed_ns) / 1e9)

    def _take(self, stored: StoredFrame) -> RingWindow | None:
        """Walk one frame; the window that ends in it, unless it is invalid."""
        header, walked, past = stored.header, self.walked, self._past
        self._next = header.seq + 1
        self.walked = header
        if walked is not None and header.t_media_ns - walked.t_media_ns > self._max_gap_ns:
            self._last = None
        if header.validity not in _SHOWS_THE_SCENE:
            return None
        if self._last is None or self._differs(stored, self._last):
            past.clear()
            self._generation += 1
            self._seq = -1
            self._origin_ns = header.t_media_ns
        self._last, self._shape = header, stored.luma.shape
        self._seq += 1
        time_s = (header.t_media_ns - self._origin_ns) / 1e9
        past.append(_Past(header.seq, time_s, stored.luma))
        _, times_s, lumas = zip(*past, strict=True)
        window = Window(lumas, times_s, self._seq, self._generation, stored.picture)
        return RingWindow(self._ring, window, stored, past[0].seq)

    def _differs(self, stored: StoredFrame, last: FrameHeader) -> bool:
        """Whether a frame cannot be compared with the last valid one."""
        header = stored.header
        passed_ns = header.t_media_ns - last.t_media_ns
        return (
            header.generation != last.generation
            or not 0 < passed_ns <= self._max_invalid_ns
            or stored.luma.shape != self._shape
        )

    def _skip_to(self, seq: int) -> None:
        """Go on with frame `seq`, which starts anew."""
        self.dropped += seq - self._next
        self._next = seq
        self._past.clear()
        self._last = None
