"""What a camera's capture thread says about itself, readable from the main process.

Each value is one aligned int64 in the ring's segment with a single writer (the capture thread,
or the worker's monitor for those that it owns), so a reader sees an old value or a new one and
never a mixture. They outlive the worker: a restarted one goes on counting where the last stopped.
"""

from enum import IntEnum
from typing import Final, overload

from streamer.capture.frame import Validity


class Phase(IntEnum):
    """What the capture thread is doing; says which camera to suspect when a worker dies."""

    IDLE = 0
    OPENING = 1
    FIRST_READ = 2
    READING = 3


class _Counter:
    """One int64 of `CameraCounters`, as an attribute."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    @overload
    def __get__(self, counters: None, owner: type) -> "_Counter": ...
    @overload
    def __get__(self, counters: "CameraCounters", owner: type) -> int: ...
    def __get__(self, counters: "CameraCounters | None", owner: type) -> "int | _Counter":
        if counters is None:
            return self
        return counters.cells[self.index]

    def __set__(self, counters: "CameraCounters", value: int) -> None:
        counters.cells[self.index] = value


class CameraCounters:
    """Named int64s of one camera. `counters.frames_read += 1` is the writer's alone to do.

    `frames_read`: frames the decoder gave; `frames_analysed`: those written to the ring.
    `invalid_*`: analysed frames by kind of defect.
    `reconnects`, `stalls`: how often the source was reopened, and found hanging in a read.
    `state`: code of the `CameraState`, as `streamer.capture.states` numbers them.
    `phase`: a `Phase`. `read_started_ns`: monotonic start of the read or open under way, 0 if none.
    `last_frame_ns`: monotonic receipt of the newest frame, 0 before the first.
    `width`, `height`: of the source picture, px. `fps_declared_milli`: declared rate x 1000, or 0.
    """

    CELLS: Final = 32

    frames_read = _Counter(0)
    frames_analysed = _Counter(1)
    reconnects = _Counter(2)
    stalls = _Counter(3)
    state = _Counter(4)
    phase = _Counter(5)
    read_started_ns = _Counter(6)
    last_frame_ns = _Counter(7)
    width = _Counter(8)
    height = _Counter(9)
    fps_declared_milli = _Counter(10)
    invalid_black = _Counter(16 + Validity.BLACK)
    invalid_frozen = _Counter(16 + Validity.FROZEN)
    invalid_torn = _Counter(16 + Validity.TORN)
    invalid_smeared = _Counter(16 + Validity.SMEARED)

    __slots__ = ("cells",)

    def __init__(self, cells: "memoryview[int]") -> None:
        """Name the cells, `CELLS` int64s."""
        if len(cells) != self.CELLS or cells.format != "q":
            raise ValueError(f"counters want {self.CELLS} int64 cells")
        self.cells = cells

    def count_invalid(self, validity: Validity) -> None:
        """Add one to the kind of defect; VALID is not counted."""
        if validity:
            self.cells[16 + validity] += 1

    def as_dict(self) -> dict[str, int]:
        """Every counter by name, as it stands now; not one moment for all of them."""
        return {name: self.cells[index] for name, index in _INDEXES.items()}


_INDEXES: Final = {
    name: value.index for name, value in vars(CameraCounters).items() if isinstance(value, _Counter)
}
