"""Calibration: from alerts a day to a threshold, and back, with how sure that is.

Normal footage that was left out of fitting is cut into blocks of 3 s; the largest score of a
block, where it is also the largest of the blocks beside it, is an *event peak*. How many peaks
reach a level says how many events a day normal footage gives there: counted where there is enough
footage, a tail through the largest peaks beyond (`detectors/exceedance.py`), which is then said to
be extrapolated.

Events come in spells, so a count of them is less sure than one of independent events: by the
*dispersion*, variance over mean of the peaks in 30 s of footage, which widens the interval. What
minutes cannot show of a day widens it again, the less footage the more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.exceedance import fit_exceedance

DAY_S = 86400.0
BLOCK_S = 3.0
"""Peaks closer than about this are one event."""

SPELL_S = 30.0
"""Stretches of footage whose events count as independent of one another's."""

FARTHEST = 30.0
"""Times its own length, footage can speak of rarer events than it shows; beyond that it is said
to be too short."""

_TAIL_SHARE = 0.05  # of the blocks: their peaks shape the tail
_TAIL_RANGE = (8, 200)
_MOST_DISPERSION = 20.0
_DISPERSION_WEIGHT = 20.0  # spells: so many count as much as what is taken for granted, 1.2
_USUAL_DISPERSION = 1.2
_UNSEEN = 0.5  # log deviation of the rate that `_UNSEEN_S` of footage leave open
_UNSEEN_S = 300.0
_Z90 = 1.645


@dataclass(frozen=True, slots=True)
class Threshold:
    """A level of the score, and what it promises.

    `value`: the level, > 0. `low`, `high`: alerts a day on normal footage, a 90 % interval about
    the rate asked for. `extrapolated`: no event this rare fits into the footage that was learned
    from. `text`: the same for people. `warning`: one clause where the footage is too short for the
    rate, None where it is not.
    """

    value: float
    low: float
    high: float
    extrapolated: bool
    text: str
    warning: str | None = None


class Peaks(NamedTuple):
    """Event peaks of normal footage: `values` (n,) ascending, in `footage_s` seconds of it, and
    their `dispersion`, >= 1."""

    values: NDArray[np.float64]
    footage_s: float
    dispersion: float


class Calibration:
    """How often normal footage of one camera reaches a score.

    `peaks`: (n,) float64, ascending, > 0: event peaks in left-out normal footage, seconds of it
    `footage_s`; `dispersion` >= 1 of them. Immutable.
    """

    def __init__(
        self, peaks: NDArray[np.float64], footage_s: float, dispersion: float = 1.0
    ) -> None:
        """Take the peaks; ValueError when they are not finite, or there is no footage."""
        peaks = np.sort(np.asarray(peaks, np.float64))
        if footage_s <= 0 or not np.isfinite(footage_s):
            raise ValueError("calibration needs some footage")
        if not np.isfinite(peaks).all():
            raise ValueError("peaks must be finite")
        if not 1.0 <= dispersion <= _MOST_DISPERSION:
            raise ValueError(f"dispersion must be from 1 to {_MOST_DISPERSION:g}")
        self.peaks = peaks[peaks > 0]
        self.footage_s = float(footage_s)
        self.dispersion = float(dispersion)
        n = len(self.peaks)
        k = tail_size(n, footage_s)
        self._beyond = float(self.peaks[n - k - 1]) if n else 0.0
        self._tail = fit_exceedance(self.peaks[n - k :] - self._beyond, self.dispersion)
        # The curve below the tail: so many events reach this level. Strictly falling.
        self._levels, first = np.unique(self.peaks[: n - k], return_index=True)
        self._counts = (n - first).astype(np.float64)
        if n:
            self._counts[-1] = max(k, 1)
        else:  # nothing ever moved: half an event is as good a guess as any
            self._levels, self._counts = np.zeros(1), np.full(1, 0.5)

    @property
    def days(self) -> float:
        """Normal footage that stands behind this, days."""
        return self.footage_s / DAY_S

    def expected_per_day(self, value: float) -> float:
        """Events a day that reach `value` on normal footage; falls as `value` grows, > 0."""
        return float(np.exp(self._log_counts(value)[1])) / self.days

    def threshold(self, alerts_per_day: float) -> Threshold:
        """The level that normal footage reaches so many times a day; ValueError unless > 0."""
        if not alerts_per_day > 0 or not np.isfinite(alerts_per_day):
            raise ValueError(f"alerts a day must be a number above 0, not {alerts_per_day!r}")
        count = alerts_per_day * self.days
        at_tail = float(self._counts[-1])
        if count <= at_tail:
            value = self._beyond + self._tail.excess_at(float(np.log(count / at_tail)))
        else:
            value = float(np.interp(-np.log(count), -np.log(self._counts), self._levels))
        value = max(value, 1e-6)
        low, _, high = np.exp(self._log_counts(value)) / self.days
        extrapolated = count < 1.0
        return Threshold(
            value,
            float(low),
            float(high),
            extrapolated,
            self._text(alerts_per_day, float(low), float(high), extrapolated),
            self._warning(alerts_per_day),
        )

    def _log_counts(self, value: float) -> NDArray[np.float64]:
        """Logarithm of the events in the footage that reach `value`: low, middle, high."""
        if value >= self._beyond:
            count = float(self._counts[-1])
            low, middle, high = self._tail.log_share(value - self._beyond)
        else:
            low = middle = high = 0.0
            count = float(np.exp(np.interp(value, self._levels, np.log(self._counts))))
        counted = self.dispersion / max(count, 1.0) + _UNSEEN**2 * _UNSEEN_S / (
            _UNSEEN_S + self.footage_s
        )
        down = np.hypot(middle - low, _Z90 * np.sqrt(counted))
        up = np.hypot(high - middle, _Z90 * np.sqrt(counted))
        middle += np.log(count)
        # So far out that nobody tells: numbers that can still be reckoned with.
        return np.asarray(np.clip([middle - down, middle, middle + up], -500.0, 500.0))

    def _text(self, rate: float, low: float, high: float, extrapolated: bool) -> str:
        text = f"{_alerts(rate)} a day (between {_number(low)} and {_number(high)})"
        if extrapolated:
            text += f", extrapolated from {duration(self.footage_s)} of normal footage"
        return text

    def _warning(self, rate: float) -> str | None:
        needed_s = DAY_S / rate / FARTHEST
        if self.footage_s >= needed_s:
            return None
        return (
            f"{duration(self.footage_s)} of normal footage are too short for {_alerts(rate)} a "
            f"day: learn from {duration(needed_s)} at least"
        )


def tail_size(peaks: int, footage_s: float) -> int:
    """How many of so many peaks, the largest, shape the tail: no rarer level is below the next."""
    low, high = _TAIL_RANGE
    return min(int(min(max(_TAIL_SHARE * (footage_s / BLOCK_S), low), high)), peaks // 2)


def event_peaks(
    times_s: NDArray[np.float64],
    values: NDArray[np.float32] | NDArray[np.float64],
    runs: Sequence[int] | NDArray[np.integer],
) -> Peaks:
    """Event peaks of left-out scores, and what they stand for.

    `times_s`, `values`, `runs`: (n,) of each frame in order: media time, score, and which unbroken
    run of footage it is from.
    """
    runs = np.asarray(runs)
    peaks: list[NDArray[np.float64]] = []
    spells: list[NDArray[np.int64]] = []
    footage_s, spell = 0.0, 0
    for start, end in _spans(runs):
        t, v = times_s[start:end], np.asarray(values[start:end], np.float64)
        step_s = float(np.median(np.diff(t))) if len(t) > 1 else 0.0
        footage_s += float(t[-1] - t[0]) + step_s
        block = ((t - t[0]) / BLOCK_S).astype(np.int64)
        highest = np.zeros(int(block[-1]) + 1)
        np.maximum.at(highest, block, v)
        padded = np.concatenate([[-1.0], highest, [-1.0]])
        top = (highest > padded[:-2]) & (highest >= padded[2:]) & (highest > 0)
        peaks.append(highest[top])
        spells.append(spell + (np.flatnonzero(top) * BLOCK_S / SPELL_S).astype(np.int64))
        spell += max(1, round(len(highest) * BLOCK_S / SPELL_S))
    if not peaks:
        return Peaks(np.zeros(0), footage_s, 1.0)
    found, which = np.concatenate(peaks), np.concatenate(spells)
    return Peaks(np.sort(found), footage_s, _dispersion(found, which, spell))


def _dispersion(peaks: NDArray[np.float64], which: NDArray[np.int64], spells: int) -> float:
    """Variance over mean of the number of larger peaks in a spell; few spells tell little of it."""
    usual, weight = _USUAL_DISPERSION, _DISPERSION_WEIGHT
    if len(peaks) < 2 or spells < 2:
        return usual
    counts = np.bincount(which[peaks >= np.median(peaks)], minlength=spells)
    found = float(counts.var(ddof=1) / counts.mean())
    blend = (found * spells + usual * weight) / (spells + weight)
    return float(np.clip(blend, 1.0, _MOST_DISPERSION))


def _spans(runs: NDArray[np.integer]) -> list[tuple[int, int]]:
    """Start and end of each stretch of equal numbers."""
    if not len(runs):
        return []
    cuts = np.flatnonzero(np.diff(runs)) + 1
    edges = [0, *cuts.tolist(), len(runs)]
    return list(pairwise(edges))


def _alerts(rate: float) -> str:
    return f"{_number(rate)} {'alert' if rate == 1 else 'alerts'}"


def _number(x: float) -> str:
    if x < 0.001:
        return "less than 0.001"
    return f"{x:.2g}" if x < 100 else f"{x:.0f}"


def duration(seconds: float) -> str:
    """`36 minutes`, `5 hours`: a length of time for people."""
    for unit, size in (("days", DAY_S), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
