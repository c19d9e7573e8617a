"""The rows of a trace that can matter to any decision, and columns to draw all of it by."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.judge import LONGEST_SILENCE_S, JudgeSettings
from streamer.deciding.redecide import Footage

Box = tuple[float, float, float, float]
_TYPICAL_ROWS: Final = 8
_PEAK_S: Final = 2.0
_ABOUT_S: Final = 10.0


@dataclass(frozen=True)
class Kept:
    """Rows of one source by which any decision at thresholds of some floor or more is made.

    `row`: (k,) number among the rows that have a score. `utc_s`, `score`: (k,) of each; 0 where an
    alert is not wanted. `edge`: (k,) kept whatever its score is.

    Between rows that follow one another here but not there, there were low ones alone, and never a
    silence. A row before which some are left out is itself low: so a judge that takes it that time
    went on until then comes to the same.
    """

    row: NDArray[np.uint32]
    utc_s: NDArray[np.float64]
    score: NDArray[np.float64]
    edge: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.row)

    @classmethod
    def of(cls, footage: Footage, floor: float, hot: float = np.inf, most_about: int = 0) -> "Kept":
        """Those of `footage` from `floor` on, what lies before each, and both sides of breaks.

        For drawing, too, some seconds about scores from `hot` on, where they are `most_about` rows
        at most.
        """
        n = len(footage)
        edge = np.zeros(n, np.bool_)
        if n:
            at = np.array([0, n - 1, *footage.breaks, *(c.before for c in footage.closings)])
            edge[at[at < n]] = True
            edge[np.maximum(at - 1, 0)] = True
            about = _about(footage.utc_s, footage.score >= hot)
            if np.count_nonzero(about) <= most_about:
                edge |= about
        high = footage.score >= floor
        rows = np.flatnonzero(edge | high | np.append(high[1:], False)[:n])
        return cls(
            rows.astype(np.uint32), footage.utc_s[rows], footage.score[rows].copy(), edge[rows]
        )

    def above(self, floor: float) -> "Kept":
        """What is left of them at a higher floor."""
        high = self.score >= floor
        before = np.append(high[1:] & (np.diff(self.row) == 1), False)[: len(self)]
        kept = self.edge | high | before
        return Kept(self.row[kept], self.utc_s[kept], self.score[kept], self.edge[kept])

    def wanted(self, judge: JudgeSettings, region: Callable[[int], Box | None]) -> "Kept":
        """With scores of 0 where or when `judge` wants no alert; `region`: of such a row."""
        if not judge.zones and judge.schedule is None:
            return self
        score = self.score.copy()
        for k in np.flatnonzero(score > 0).tolist():
            box = region(int(self.row[k])) if judge.zones else None
            if judge.held_back(box, float(self.utc_s[k])) is not None:
                score[k] = 0.0
        return Kept(self.row, self.utc_s, score, self.edge)

    def peaks(self, floor: float, most: int) -> list[int]:
        """The row of the highest score of each two seconds, where it is `floor` or more: the `most`
        highest of them, in order."""
        best: list[int] = []
        taken: set[float] = set()
        found = np.flatnonzero(self.score >= floor)
        blocks = self.utc_s // _PEAK_S
        for k in found[np.argsort(-self.score[found], kind="stable")].tolist():
            if len(best) == most:
                break
            if blocks[k] not in taken:
                taken.add(blocks[k])
                best.append(int(self.row[k]))
        return sorted(best)


def _about(utc_s: NDArray[np.float64], hot: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,) whether a row is within `_ABOUT_S` of one that is hot."""
    at = utc_s[hot]
    step = np.zeros(len(utc_s) + 1, np.int64)
    np.add.at(step, np.searchsorted(utc_s, at - _ABOUT_S), 1)
    np.add.at(step, np.searchsorted(utc_s, at + _ABOUT_S, side="right"), -1)
    return np.cumsum(step[:-1]) > 0


def columns(
    footage: Footage, start_s: float, end_s: float, most: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Lowest and highest score of `most` equal stretches at most from `start_s` to `end_s`.

    NaN where there was no score. A stretch is a few frames long at least, so that none is empty
    but where footage is missing.
    """
    count = max(1, min(most, len(footage) // _TYPICAL_ROWS))
    width_s = max(end_s - start_s, 1e-9) / count
    at = np.clip(((footage.utc_s - start_s) / width_s).astype(np.int64), 0, count - 1)
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, at, footage.score)
    np.maximum.at(high, at, footage.score)
    empty = np.isinf(low)
    low[empty] = high[empty] = np.nan
    return low.astype(np.float32), high.astype(np.float32)


def bands(
    utc_s: NDArray[np.float64], words: list[NDArray[np.bool_]], most: int
) -> list[tuple[float, float, int]]:
    """Stretches of time in which something held, as (start, end, which), the longest `most`.

    `words[k]`: (n,) whether it held at each row; -1 stands for time without a row at all.
    """
    if not len(utc_s):
        return []
    after = np.append(utc_s[1:], utc_s[-1])
    gap = after - utc_s > LONGEST_SILENCE_S
    found = [(float(utc_s[k]), float(after[k]), -1) for k in np.flatnonzero(gap)]
    until = np.where(gap, utc_s, after)
    for which, held in enumerate(words):
        step = np.diff(np.concatenate([[False], held, [False]]).astype(np.int8))
        for first, last in zip(np.flatnonzero(step > 0), np.flatnonzero(step < 0), strict=True):
            found.append((float(utc_s[first]), float(until[last - 1]), which))
    found.sort(key=lambda one: one[0] - one[1])
    return sorted(found[:most])
