"""Single rows of a trace, read an hour at a time: what an event was made of."""

from bisect import bisect_right
from collections import OrderedDict
from itertools import accumulate
from pathlib import Path
from typing import Final

from streamer.trace.read import Groups, Trace
from streamer.trace.row import TraceRow

_KEPT: Final = 4


class RowReader:
    """Rows of one file by number; a few hours of it are kept in memory. Errors as `read_trace`."""

    def __init__(self, path: Path) -> None:
        """Nothing but the number of rows is read yet."""
        self._groups = Groups(path)
        self._starts = [0, *accumulate(self._groups.rows)]
        self._kept: OrderedDict[int, Trace] = OrderedDict()

    def __len__(self) -> int:
        """Number of rows."""
        return self._starts[-1]

    def row(self, row: int) -> TraceRow:
        """One row, as it was written."""
        trace, at = self._at(row)
        return trace.row(at)

    def region(self, row: int) -> tuple[float, float, float, float] | None:
        """The region of one row; quicker than the whole of it."""
        trace, at = self._at(row)
        x, y, width, height = (trace.numbers(k).item(at) for k in ("x", "y", "width", "height"))
        return None if x != x else (x, y, width, height)

    def _at(self, row: int) -> tuple[Trace, int]:
        """The hour that a row is in, and its number there."""
        if not 0 <= row < len(self):
            raise IndexError(f"{self._groups.path}: no row {row}")
        group = bisect_right(self._starts, row) - 1
        if group not in self._kept:
            self._kept[group] = self._groups.read(group)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(group)
        return self._kept[group], row - self._starts[group]
