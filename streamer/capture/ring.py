"""The frame ring: shared memory that one capture thread writes and the main process reads.

Layout of a segment, all of it allocated when it is created::

    control page    what the segment is, frames written, the reader's cursor, the counters
    slot 0          stamp, header, luma plane, BGR picture
    slot 1 ...      frame `seq` lives in slot `seq % slots`

Each slot is a sequence lock. Its stamp is `2 seq + 1` while frame `seq` is being written and
`2 seq + 2` once it is whole, so that a reader that finds the stamp it expects, before and after,
has read that very frame. Nobody ever waits for anybody: a writer killed in the middle of a frame
leaves an odd stamp, which no reader accepts and the next writer overwrites.

Order of memory. The scheme needs the stamp, the pixels and the count of frames to become visible
in the order in which they are written. x86-64 promises that of ordinary stores, ARM does not, and
Python has no fence to ask for; so `_Fence` takes and releases a lock twice, whose release and
acquire no machine we know lets pixels cross. Only x86-64 is covered by our tests.
"""

import math
import threading
from struct import Struct
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sorawatch import ResourceError
from streamer.capture.counters import CameraCounters, Phase
from streamer.capture.frame import FrameHeader, Validity
from streamer.capture.segment import Segment, check_room, remove_abandoned

__all__ = [
    "CameraCounters",
    "FrameRing",
    "Phase",
    "SlotViews",
    "StoredFrame",
    "check_budget",
    "ring_bytes",
]

MAX_LUMA_BYTES: Final = 180 * 180
MAX_PICTURE_PIXELS: Final = 640 * 480

_MAGIC: Final = 0x32474E4952524F53  # "SORRING2" read as a little-endian int64
_PAGE: Final = 4096
_HEADER: Final = Struct("@10q")  # generation, 3 times, validity, number, luma h w, picture h w
_LUMA_AT: Final = 128  # from the slot's start; the stamp and the header come before
_PICTURE_AT: Final = _LUMA_AT + -(-MAX_LUMA_BYTES // 64) * 64
_SLOT_BYTES: Final = -(-(_PICTURE_AT + 3 * MAX_PICTURE_PIXELS) // _PAGE) * _PAGE

_VALIDITIES: Final = tuple(Validity)  # by their codes

# Heights and widths: luma, then picture.
_Shapes = tuple[int, int, int, int]

# Cells (int64) of the control page. Those that different processes write are a cache line apart.
_CELL_MAGIC: Final = 0
_CELL_SLOTS: Final = 1
_CELL_WRITTEN: Final = 8
_CELL_READER: Final = 16
_CELL_COUNTERS: Final = 24


class SlotViews(NamedTuple):
    """Where the writer puts a frame: `luma` (h, w) uint8 and `picture` (ph, pw, 3) uint8 BGR."""

    luma: NDArray[np.uint8]
    picture: NDArray[np.uint8]


class StoredFrame(NamedTuple):
    """A frame in the ring: read-only views as in `SlotViews`, true while `holds(header.seq)`."""

    header: FrameHeader
    luma: NDArray[np.uint8]
    picture: NDArray[np.uint8]


def ring_bytes(slots: int) -> int:
    """Bytes of shared memory that a ring of so many slots takes (16: 15.3 MB)."""
    return _PAGE + slots * _SLOT_BYTES


def check_budget(total_bytes: int) -> None:
    """Raise ResourceError unless the machine has room for rings of so many bytes; ask at start.

    What a killed Sorawatch left in shared memory is removed first.
    """
    remove_abandoned()
    check_room(total_bytes, "the cameras' frame rings")


class FrameRing:
    """The newest `slots` frames of one camera: one writer, one reader, neither blocks the other.

    The process that creates it owns it and removes it; a worker attaches to it by name. Views
    that were handed out stay readable memory after `close`, so a late reader cannot crash.
    Not for several threads at once on either side, `counters` excepted.
    """

    def __init__(self, segment: Segment, slots: int) -> None:
        """Wrap a segment of `ring_bytes(slots)`; use `create` or `attach`."""
        self.slots: Final = slots
        self._segment = segment
        self._buffer = segment.buffer
        self._cells = segment.cells
        self._fence = _Fence()
        self._views: list[tuple[_Shapes, SlotViews, SlotViews] | None] = [None] * slots
        self._open: _Shapes | None = None  # shapes of the slot being written
        self.counters: Final = CameraCounters(
            self._cells[_CELL_COUNTERS : _CELL_COUNTERS + CameraCounters.CELLS]
        )

    @classmethod
    def create(cls, slots: int = 16) -> Self:
        """A new ring, its memory reserved. ResourceError when the machine has not that much."""
        if slots < 2:
            raise ValueError(f"a ring wants at least 2 slots, got {slots}")
        segment = Segment.create(ring_bytes(slots))
        segment.cells[_CELL_SLOTS] = slots
        segment.cells[_CELL_MAGIC] = _MAGIC  # last: says that the segment is whole
        return cls(segment, slots)

    @classmethod
    def attach(cls, name: str) -> Self:
        """The ring of that name, in a worker. ResourceError when it is gone or is no such ring."""
        segment = Segment.attach(name)
        slots = segment.cells[_CELL_SLOTS]
        whole = segment.cells[_CELL_MAGIC] == _MAGIC and slots >= 2
        if not whole or ring_bytes(slots) != segment.size or segment.cells[_CELL_WRITTEN] < 0:
            segment.close()
            raise ResourceError(f"frame ring {name} is not one of this version's")
        return cls(segment, slots)

    @property
    def name(self) -> str:
        """What `attach` wants."""
        return self._segment.name

    @property
    def written(self) -> int:
        """Frames committed so far; the newest is `written - 1`. For both sides."""
        return self._cells[_CELL_WRITTEN]

    @property
    def reader(self) -> int:
        """The frame that the reader comes to next, as of its last `advance_reader`."""
        return self._cells[_CELL_READER]

    # The writer's side.

    def begin(self, luma_shape: tuple[int, int], picture_shape: tuple[int, int]) -> SlotViews:
        """Open the next slot, destroying what it held; write into the views, then `commit`.

        Shapes are (height, width). A second `begin` before `commit` starts the frame anew.
        ValueError when a shape does not fit the slot.
        """
        shapes = (*luma_shape, *picture_shape)
        if not _fits(*shapes):
            raise ValueError(f"luma {luma_shape} or picture {picture_shape} does not fit a slot")
        seq = self._cells[_CELL_WRITTEN]
        slot = seq % self.slots
        self._cells[(_PAGE + slot * _SLOT_BYTES) // 8] = 2 * seq + 1
        self._fence()
        self._open = shapes
        return self._views_of(slot, shapes)[1]

    def commit(self, header: FrameHeader) -> int:
        """Publish the slot that `begin` opened; returns the number that the frame got."""
        if self._open is None:
            raise RuntimeError("commit without begin")
        seq = self._cells[_CELL_WRITTEN]
        start = _PAGE + seq % self.slots * _SLOT_BYTES
        _HEADER.pack_into(self._buffer, start + 8, *header[:6], *self._open)
        self._open = None
        self._fence()
        self._cells[start // 8] = 2 * seq + 2
        self._fence()
        self._cells[_CELL_WRITTEN] = seq + 1
        return seq

    def has_room(self, keep: int) -> bool:
        """Whether one more frame leaves alone what the reader still wants.

        That is every frame it has not passed, and the `keep` frames before those (its window).
        """
        return self._cells[_CELL_WRITTEN] - self.slots < self._cells[_CELL_READER] - keep

    # The reader's side.

    def read(self, seq: int) -> StoredFrame | None:
        """Frame `seq`; None when the ring does not hold it, or holds something broken."""
        slot = seq % self.slots
        start = _PAGE + slot * _SLOT_BYTES
        if seq < 0 or self._cells[start // 8] != 2 * seq + 2:
            return None
        self._fence()
        fields = _HEADER.unpack_from(self._buffer, start + 8)
        self._fence()
        if self._cells[start // 8] != 2 * seq + 2:
            return None
        generation, t_media_ns, t_mono_ns, utc_ns, validity, number = fields[:6]
        shapes: _Shapes = fields[6:]
        # A decoder that ran amok before it died may have left anything in here.
        if not (_fits(*shapes) and 0 <= validity < len(Validity)):
            return None
        luma, picture = self._views_of(slot, shapes)[2]
        header = FrameHeader(
            generation, t_media_ns, t_mono_ns, utc_ns, _VALIDITIES[validity], number, seq
        )
        return StoredFrame(header, luma, picture)

    def holds(self, seq: int) -> bool:
        """Whether frame `seq` is still whole, so that what was read from its views until now is."""
        self._fence()
        slot = seq % self.slots
        return self._cells[(_PAGE + slot * _SLOT_BYTES) // 8] == 2 * seq + 2

    def advance_reader(self, seq: int) -> None:
        """Say that every frame before `seq` is done with; a waiting writer goes by this."""
        self._cells[_CELL_READER] = seq

    # Its life.

    def close(self) -> None:
        """Let go of the memory; views that are still held keep it mapped. May be repeated.

        After it the ring and its counters raise ValueError.
        """
        self._views = []
        self.counters.cells.release()
        self._segment.close()

    def unlink(self) -> None:
        """Remove the segment from the machine; for the owner. May be repeated."""
        self._segment.unlink()

    def __enter__(self) -> Self:
        """The ring itself."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close, and remove the segment if this process owns it."""
        self.close()
        if self._segment.owned:
            self.unlink()

    def _views_of(self, slot: int, shapes: _Shapes) -> tuple[_Shapes, SlotViews, SlotViews]:
        """Views for the writer and for the reader, made anew only when the shapes change."""
        known = self._views[slot]
        if known is None or known[0] != shapes:
            start = _PAGE + slot * _SLOT_BYTES
            luma = self._view(start + _LUMA_AT, shapes[:2])
            picture = self._view(start + _PICTURE_AT, (*shapes[2:], 3))
            known = (shapes, SlotViews(luma, picture), SlotViews(luma.view(), picture.view()))
            for view in known[2]:
                view.flags.writeable = False
            self._views[slot] = known
        return known

    def _view(self, start: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        # Not np.ndarray(buffer=...), which does not hold the buffer: `close` would unmap it while
        # somebody looks at it.
        return np.frombuffer(self._buffer, np.uint8, math.prod(shape), start).reshape(shape)


def _fits(luma_height: int, luma_width: int, picture_height: int, picture_width: int) -> bool:
    """Whether planes of these sizes exist and fit a slot (each side checked: no overflow)."""
    return (
        0 < luma_height <= MAX_LUMA_BYTES
        and 0 < luma_width <= MAX_LUMA_BYTES
        and luma_height * luma_width <= MAX_LUMA_BYTES
        and 0 < picture_height <= MAX_PICTURE_PIXELS
        and 0 < picture_width <= MAX_PICTURE_PIXELS
        and picture_height * picture_width <= MAX_PICTURE_PIXELS
    )


class _Fence:
    """Keeps stores and loads before a call apart from those after it; see the module's text."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            pass
        with self._lock:
            pass
