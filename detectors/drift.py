"""Drift: a camera whose normal footage is no longer what was learned, said once and kept quiet.

Two things are noticed. *Another scene*: the picture is not that of the scene that was learned: the
camera was moved, or sees by infrared. *Slow drift*: far more events than calibration expects.
While either lasts the threshold is lifted to where the scores of the last minutes or hours
themselves put `FLOOD` times the asked rate, so that alerts do not flood; what is far beyond all of
them still gets through. So it is, without a word, while more alerts come than `FLOOD` times what
was asked for: a calibration from minutes of footage may err by more than a test can show. It counts
media time alone, so recorded footage gives the same. What it decides hangs on scores and scene
alone, never on the level that it gave: `detectors/drift_timeline.py` makes use of that.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import BLOCK_S, DAY_S, Calibration

FLOOD: Final = 5.0
"""While drifted, so many times the asked rate of alerts is aimed at, at most."""

SIGNIFICANT: Final = 1e-4
"""Of a Poisson test: with this chance normal footage gives so many events in a window."""

_TOO_MANY: Final = 1e-2
"""The same chance, given `FLOOD` times the asked rate, at which the threshold is lifted."""

WINDOWS_S: Final = (600.0, 3600.0, 6 * 3600.0)
FOREIGN_AFTER_S: Final = 20.0
"""The scene has to be another for so long: lamps that are switched on for a moment are not."""

FAMILIAR_AFTER_S: Final = 60.0
"""The learned scene has to be back for so long."""

LULL_S: Final = 3600.0
"""Drift is over after an hour in which nothing more happened than is expected."""

_ORDINARY: Final = 0.05  # above this the events of the last hour are what is expected
MINUTE_S: Final = 60.0
_HOURLY: Final = 24.0
LIFT_EVERY_S: Final = 30.0
_ADVICE: Final = (
    "learn it anew with sorawatch fit, or teach what is normal with sorawatch normal teach"
)

Kind = Literal["scene_changed", "drifted"]


@dataclass(frozen=True, slots=True)
class Drift:
    """What was noticed: `kind`, and `text`, one clause for people with figures and what to do."""

    kind: Kind
    text: str


class DriftWatch:
    """Watches the scores of one camera. Not for use by two threads at once.

    Memory: at most the event peaks of six hours. `level`: the threshold that holds now, never below
    the one asked for. `drift`: what is noticed now, None while all is as learned.
    """

    def __init__(self, calibration: Calibration, alerts_per_day: float) -> None:
        """`calibration`: of the normality that gives the scores."""
        self._limits = Limits.of(calibration, alerts_per_day)
        self._counters = [_Minutes(level) for level in self._limits.levels]
        self.level = self._limits.asked
        self.drift: Drift | None = None
        self._t_s = 0.0
        self._familiar_at_s = self._foreign_at_s = 0.0  # last seen: the learned scene, another one
        self._began_s = self._from_s = 0.0
        self._lifted_s = -np.inf
        self._block_ends_s = BLOCK_S
        self._highest = [0.0, 0.0, 0.0]  # of the last two blocks and of the one that goes on
        self._peaks: deque[tuple[float, float]] = deque(maxlen=round(WINDOWS_S[-1] / BLOCK_S))

    def step(self, value: float, passed_s: float, foreign: bool) -> None:
        """Take the newest score, `passed_s` after the one before.

        `foreign`: the picture is not that of the scene that was learned.
        """
        self._t_s += passed_s
        self._see_scene(foreign)
        for minutes in self._counters:
            if value >= minutes.level:
                minutes.note(self._t_s)
        if self._t_s >= self._block_ends_s:
            self._block_ends_s = (self._t_s // BLOCK_S + 1.0) * BLOCK_S
            self._end_block()
        self._highest[2] = max(self._highest[2], value)

    def _see_scene(self, foreign: bool) -> None:
        if foreign:
            self._foreign_at_s = self._t_s
        else:
            self._familiar_at_s = self._t_s
        foreign_s = self._t_s - self._familiar_at_s
        changed = self.drift is not None and self.drift.kind == "scene_changed"
        if not changed and foreign_s >= FOREIGN_AFTER_S:
            self._begin("scene_changed", foreign_s, scene_text())
        elif changed and self._t_s - self._foreign_at_s >= FAMILIAR_AFTER_S:
            self._end()

    def _end_block(self) -> None:
        before, middle, now = self._highest
        if middle > 0 and before < middle >= now:
            self._peaks.append((self._t_s, middle))
        self._highest = [middle, now, 0.0]
        for minutes in self._counters:
            minutes.forget(self._t_s - WINDOWS_S[-1])
        if self.drift is None:
            self._look_for_drift()
        elif self.drift.kind == "drifted" and self._ordinary():
            self._end()
        flooded_s = self._flooded_s()
        if self.drift is None and flooded_s is None:
            self.level, self._lifted_s = self._limits.asked, -np.inf
        elif self._t_s - self._lifted_s >= LIFT_EVERY_S:
            self._lift(self._from_s if flooded_s is None else self._t_s - flooded_s)

    def _look_for_drift(self) -> None:
        for minutes, limits in zip(self._counters, self._limits.tallies, strict=True):
            for window_s, too_many in zip(WINDOWS_S, limits.drifted, strict=True):
                count = minutes.since(self._t_s - window_s)
                if count >= too_many:
                    self._begin("drifted", window_s, drift_text(count, limits.per_s, window_s))
                    return

    def _flooded_s(self) -> float | None:
        """The longest window with more alerts than `FLOOD` times what was asked for, if any."""
        alerts, too_many = self._counters[-1], self._limits.flooded
        for window_s, many in zip(reversed(WINDOWS_S), reversed(too_many), strict=True):
            if alerts.since(self._t_s - window_s) >= many:
                return window_s
        return None

    def _ordinary(self) -> bool:
        """Whether an hour has passed in which nothing more happened than is expected."""
        return self._t_s - self._began_s >= LULL_S and all(
            minutes.since(self._t_s - LULL_S) <= limits.ordinary
            for minutes, limits in zip(self._counters, self._limits.tallies, strict=True)
        )

    def _begin(self, kind: Kind, ago_s: float, text: str) -> None:
        self.drift = Drift(kind, text)
        self._began_s = self._t_s - (ago_s if kind == "scene_changed" else 0.0)
        self._from_s = self._t_s - ago_s
        self._lift(self._from_s)

    def _end(self) -> None:
        self.drift = None
        for minutes in self._counters:
            minutes.forget(self._t_s)

    def _lift(self, from_s: float) -> None:
        """Set the level by what has come since `from_s`."""
        self._lifted_s = self._t_s
        from_s = max(from_s, self._t_s - WINDOWS_S[-1], 0.0)
        recent = np.array([peak for t_s, peak in self._peaks if t_s >= from_s])
        self.level = self._limits.lifted(recent, from_s, self._t_s)


@dataclass(frozen=True, slots=True)
class Tally:
    """Minutes in which `level` is reached: how many are expected a second, and how many are too
    many in each of `WINDOWS_S`, or still `ordinary` in an hour."""

    level: float
    per_s: float
    drifted: tuple[int, ...]
    ordinary: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What the watch holds the scores of one camera against, at one number of alerts a day.

    `asked`: the threshold asked for. `tallies`: the last is that of `asked`; `flooded`: so many of
    its minutes in each of `WINDOWS_S` lift the level without a word.
    """

    rate: float
    asked: float
    tallies: tuple[Tally, ...]
    flooded: tuple[int, ...]

    @classmethod
    def of(cls, calibration: Calibration, alerts_per_day: float) -> "Limits":
        """Of what was learned; ValueError unless `alerts_per_day` > 0."""
        hourly, asked = calibration.threshold(_HOURLY), calibration.threshold(alerts_per_day)
        # A minute in which anything reaches the level counts once: one long event is one event.
        levels = [hourly, asked] if asked.value > hourly.value else [asked]
        tallies = []
        for level in levels:
            per_s = min(level.high / DAY_S, 1.0 / MINUTE_S)
            drifted = tuple(too_many(per_s * window_s, SIGNIFICANT) for window_s in WINDOWS_S)
            ordinary = too_many(per_s * LULL_S, _ORDINARY, least=1) - 1
            tallies.append(Tally(level.value, per_s, drifted, ordinary))
        flood_per_s = FLOOD * alerts_per_day / DAY_S
        flooded = tuple(too_many(flood_per_s * window_s, _TOO_MANY) for window_s in WINDOWS_S)
        return cls(alerts_per_day, asked.value, tuple(tallies), flooded)

    @property
    def levels(self) -> tuple[float, ...]:
        """The level of each tally."""
        return tuple(tally.level for tally in self.tallies)

    def lifted(self, recent: NDArray[np.float64], from_s: float, t_s: float) -> float:
        """The threshold that the event peaks `recent` (n,) from `from_s` to `t_s` ask for."""
        footage_s = max(t_s - from_s, FOREIGN_AFTER_S)
        lifted = Calibration(recent, footage_s).threshold(FLOOD * self.rate).value
        return max(self.asked, lifted)


class _Minutes:
    """Minutes in which a level was reached."""

    def __init__(self, level: float) -> None:
        self.level = level
        self._minutes: deque[float] = deque()

    def note(self, t_s: float) -> None:
        """The level is reached at `t_s`."""
        minute_s = t_s // MINUTE_S * MINUTE_S
        if not self._minutes or self._minutes[-1] < minute_s:
            self._minutes.append(minute_s)

    def forget(self, before_s: float) -> None:
        """Drop what is older."""
        while self._minutes and self._minutes[0] < before_s:
            self._minutes.popleft()

    def since(self, t_s: float) -> int:
        """How many minutes of them began at `t_s` or later."""
        return sum(minute_s >= t_s for minute_s in self._minutes)


def too_many(mean: float, chance: float, least: int = 3) -> int:
    """The smallest count, `least` or more, that a Poisson variable with this mean reaches or
    exceeds with less than `chance`; more than there are minutes when there is none."""
    most = round(WINDOWS_S[-1] / MINUTE_S) + 2
    term = fewer = float(np.exp(-mean))  # P(N < 1)
    for n in range(1, most):
        if n >= least and 1.0 - fewer < chance:
            return n
        term *= mean / n
        fewer += term
    return most


def scene_text() -> str:
    """What is said of another scene."""
    return (
        f"for {FOREIGN_AFTER_S:.0f} s the picture has not been that of the scene that was learned "
        f"(moved, or another light): {_ADVICE}"
    )


def drift_text(count: int, per_s: float, window_s: float) -> str:
    """What is said of `count` unusual minutes where `per_s` a second were to be expected."""
    expected = per_s * window_s
    window = f"{window_s / 3600:.0f} h" if window_s >= 3600 else f"{window_s / 60:.0f} min"
    return (
        f"unusual in {count} minutes of the last {window}, {expected:.2g} were to be expected at "
        f"most: {_ADVICE}"
    )
