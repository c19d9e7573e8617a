"""Calibration: from alerts a day to a threshold, and back, with how sure that is.

Normal footage that was left out of fitting is cut into blocks of 3 s; the largest score of a
block, where it is also the largest of the blocks beside it, is an *event peak*. How many peaks
reach a level says how many events a day normal footage gives there: counted where there is enough
footage, an exponential tail through the largest peaks beyond, which is then said to be
extrapolated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

DAY_S = 86400.0
BLOCK_S = 3.0
"""Peaks closer than about this are one event."""

_TAIL_SHARE = 0.1  # of the blocks: their peaks shape the tail
_TAIL_RANGE = (8, 200)
_PRIOR_SCALE = 1.5  # of the tail, nats; a surprise that is calibrated has about 1
_PRIOR_WEIGHT = 3.0
_Z90 = 1.645


@dataclass(frozen=True, slots=True)
class Threshold:
    """A level of the score, and what it promises.

    `value`: the level, > 0. `low`, `high`: alerts a day on normal footage, a 90 % interval about
    the rate asked for. `extrapolated`: no event this rare fits into the footage that was learned
    from. `text`: the same for people.
    """

    value: float
    low: float
    high: float
    extrapolated: bool
    text: str


class Calibration:
    """How often normal footage of one camera reaches a score.

    `peaks`: (n,) float64, ascending, > 0: event peaks in left-out normal footage, seconds of it
    `footage_s`. Immutable.
    """

    def __init__(self, peaks: NDArray[np.float64], footage_s: float) -> None:
        """Take the peaks; ValueError when they are not finite, or there is no footage."""
        peaks = np.sort(np.asarray(peaks, np.float64))
        if footage_s <= 0 or not np.isfinite(footage_s):
            raise ValueError("calibration needs some footage")
        if not np.isfinite(peaks).all():
            raise ValueError("peaks must be finite")
        self.peaks = peaks[peaks > 0]
        self.footage_s = float(footage_s)
        n, blocks = len(self.peaks), footage_s / BLOCK_S
        low, high = _TAIL_RANGE
        k = min(int(min(max(_TAIL_SHARE * blocks, low), high)), n // 2)
        self._tail = k
        """So many peaks lie beyond where the tail begins."""
        self._beyond = float(self.peaks[n - k - 1]) if n else 0.0
        excess = float((self.peaks[n - k :] - self._beyond).sum())
        self._scale = (excess + _PRIOR_WEIGHT * _PRIOR_SCALE) / (k + _PRIOR_WEIGHT)
        # The curve below the tail: so many events reach this level. Strictly falling.
        self._levels, first = np.unique(self.peaks[: n - k], return_index=True)
        self._counts = (n - first).astype(np.float64) if n else np.zeros(0)
        if len(self._levels):
            self._counts[-1] = max(k, 1)

    @property
    def days(self) -> float:
        """Normal footage that stands behind this, days."""
        return self.footage_s / DAY_S

    def expected_per_day(self, value: float) -> float:
        """Events a day that reach `value` on normal footage; falls as `value` grows, > 0."""
        return self._count(value) / self.days

    def threshold(self, alerts_per_day: float) -> Threshold:
        """The level that normal footage reaches so many times a day; ValueError unless > 0."""
        if not alerts_per_day > 0 or not np.isfinite(alerts_per_day):
            raise ValueError(f"alerts a day must be a number above 0, not {alerts_per_day!r}")
        count = alerts_per_day * self.days
        at_tail = self._count(self._beyond)
        if count <= at_tail or not len(self._levels):
            value = self._beyond + self._scale * float(np.log(at_tail / count))
        else:
            value = float(np.interp(-np.log(count), -np.log(self._counts), self._levels))
        value = max(value, 1e-6)
        low, high = self._interval(value)
        extrapolated = count < 1.0
        return Threshold(
            value, low, high, extrapolated, self._text(alerts_per_day, low, high, extrapolated)
        )

    def _count(self, value: float) -> float:
        """Events in the footage that reach `value`."""
        if not len(self._levels):  # nothing ever moved: half an event is as good a guess as any
            return 0.5 * float(np.exp(-max(value, 0.0) / self._scale))
        if value >= self._beyond:
            return float(self._counts[-1] * np.exp(-(value - self._beyond) / self._scale))
        return float(np.exp(np.interp(value, self._levels, np.log(self._counts))))

    def _interval(self, value: float) -> tuple[float, float]:
        """90 % interval of the events a day that reach `value`."""
        count = self._count(value)
        k = max(self._tail, 1)
        if value > self._beyond:
            steps = (value - self._beyond) / self._scale
            error = float(np.sqrt((1.0 + steps**2) / k))
        else:
            error = float(1.0 / np.sqrt(max(count, 1.0)))
        factor = float(np.exp(min(_Z90 * error, 50.0)))
        return count / factor / self.days, count * factor / self.days

    def _text(self, rate: float, low: float, high: float, extrapolated: bool) -> str:
        alerts = "alert" if rate == 1 else "alerts"
        text = f"{_number(rate)} {alerts} a day (between {_number(low)} and {_number(high)})"
        if extrapolated:
            text += f", extrapolated from {_duration(self.footage_s)} of normal footage"
        return text


def event_peaks(
    times_s: NDArray[np.float64],
    values: NDArray[np.float32] | NDArray[np.float64],
    runs: Sequence[int] | NDArray[np.integer],
) -> tuple[NDArray[np.float64], float]:
    """Event peaks of left-out scores, and seconds of footage that they stand for.

    `times_s`, `values`, `runs`: (n,) of each frame in order: media time, score, and which unbroken
    run of footage it is from.
    """
    runs = np.asarray(runs)
    peaks: list[float] = []
    footage_s = 0.0
    for start, end in _spans(runs):
        t, v = times_s[start:end], np.asarray(values[start:end], np.float64)
        step_s = float(np.median(np.diff(t))) if len(t) > 1 else 0.0
        footage_s += float(t[-1] - t[0]) + step_s
        block = ((t - t[0]) / BLOCK_S).astype(np.int64)
        highest = np.zeros(int(block[-1]) + 1)
        np.maximum.at(highest, block, v)
        padded = np.concatenate([[-1.0], highest, [-1.0]])
        top = (highest > padded[:-2]) & (highest >= padded[2:]) & (highest > 0)
        peaks.extend(highest[top].tolist())
    return np.sort(np.array(peaks, np.float64)), footage_s


def _spans(runs: NDArray[np.integer]) -> list[tuple[int, int]]:
    """Start and end of each stretch of equal numbers."""
    if not len(runs):
        return []
    cuts = np.flatnonzero(np.diff(runs)) + 1
    edges = [0, *cuts.tolist(), len(runs)]
    return list(pairwise(edges))


def _number(x: float) -> str:
    return f"{x:.2g}" if x < 100 else f"{x:.0f}"


def _duration(seconds: float) -> str:
    for unit, size in (("days", DAY_S), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
