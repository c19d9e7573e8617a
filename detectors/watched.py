"""Scores of hours, and what a drift watch needs of them whatever the calibration: event peaks,
ends of blocks, for how long the scene has been another one."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import BLOCK_S

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Watched:
    """Scores of one camera in order, and what of them no calibration changes.

    `value`: (n,) >= 0. `t_s`: (n,) media time from the first of them. `foreign_s`, `familiar_s`:
    (n,) for how long the scene has been another one, or the learned one; None where it always was.
    `block_ends`: (k,) rows with which a block ends. `peaks`: (p,) event peaks, `peak_rows`: with
    which row each was known, `peak_s`: its media time.
    """

    value: Floats
    t_s: Floats
    foreign_s: Floats | None
    familiar_s: Floats | None
    block_ends: Rows
    peaks: Floats
    peak_rows: Rows
    peak_s: Floats

    @classmethod
    def of(cls, value: Floats, passed_s: Floats, foreign: NDArray[np.bool_]) -> "Watched":
        """`value`, `passed_s`, `foreign`: (n,) as `DriftWatch.step` takes them, but that less than
        a block may pass from one to the next. ValueError."""
        if len(passed_s) and passed_s.max() >= BLOCK_S:
            raise ValueError(f"at least {BLOCK_S:g} s pass between two scores")
        t_s, n = np.cumsum(passed_s), len(value)
        last = float(t_s[-1]) if n else 0.0
        edges = np.arange(1.0, last // BLOCK_S + 1.0) * BLOCK_S
        ends = np.unique(np.searchsorted(t_s, edges, side="left")).astype(np.int64)
        ends = ends[ends < n]
        starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) if len(ends) else ends
        highest = np.zeros(0)
        if len(ends):
            highest = np.maximum(np.maximum.reduceat(value[: ends[-1]], starts), 0.0)
        before = np.concatenate([[0.0, 0.0], highest])[: len(highest)]
        middle = np.concatenate([[0.0], highest])[: len(highest)]
        top = np.flatnonzero((middle > 0) & (before < middle) & (middle >= highest))
        foreign_s = familiar_s = None
        if foreign.any():
            foreign_s, familiar_s = _since(t_s, ~foreign), _since(t_s, foreign)
        at = ends[top]
        return cls(value, t_s, foreign_s, familiar_s, ends, middle[top], at, t_s[at])


def _since(t_s: Floats, seen: NDArray[np.bool_]) -> Floats:
    """How long ago `seen` was last true, or the beginning."""
    newest_s = np.maximum.accumulate(np.where(seen, t_s, 0.0))  # media time never goes back
    return np.asarray(t_s - newest_s)
