"""Drift: a camera whose normal footage is no longer what was learned, said once and kept quiet.

Two things are noticed. *Another scene*: the picture is not that of the scene that was learned: the
camera was moved, or sees by infrared. *Slow drift*: far more events than calibration expects.
While either lasts the threshold is lifted to where the scores of the last minutes or hours
themselves put `FLOOD` times the asked rate, so that alerts do not flood; what is far beyond all of
them still gets through. So it is, without a word, while more alerts come than `FLOOD` times what
was asked for: a calibration from minutes of footage may err by more than a test can show. It counts
media time alone, so recorded footage gives the same.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

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

_FAMILIAR_AFTER_S: Final = 60.0
_LULL_S: Final = 3600.0
_ORDINARY: Final = 0.05  # above this the events of the last hour are what is expected
_MINUTE_S: Final = 60.0
_HOURLY: Final = 24.0
_LIFT_EVERY_S: Final = 30.0
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
        self._rate = alerts_per_day
        self._asked = calibration.threshold(alerts_per_day).value
        # A minute in which anything reaches the level counts once: one long event is one event.
        hourly = calibration.threshold(_HOURLY)
        asked = calibration.threshold(alerts_per_day)
        self._counters = [
            _Minutes(level.value, level.high / DAY_S)
            for level in ([hourly, asked] if asked.value > hourly.value else [asked])
        ]
        self.level = self._asked
        self.drift: Drift | None = None
        self._t_s = 0.0
        self._foreign_s = self._familiar_s = 0.0
        self._began_s = self._from_s = 0.0
        self._lifted_s = -np.inf
        self._block_s = 0.0
        self._highest = [0.0, 0.0, 0.0]  # of the last two blocks and of the one that goes on
        self._peaks: deque[tuple[float, float]] = deque(maxlen=round(WINDOWS_S[-1] / BLOCK_S))

    def step(self, value: float, passed_s: float, foreign: bool) -> None:
        """Take the newest score, `passed_s` after the one before.

        `foreign`: the picture is not that of the scene that was learned.
        """
        self._t_s += passed_s
        self._block_s += passed_s
        self._see_scene(foreign, passed_s)
        for minutes in self._counters:
            if value >= minutes.level:
                minutes.note(self._t_s)
        if self._block_s >= BLOCK_S:
            self._block_s = 0.0
            self._end_block()
        self._highest[2] = max(self._highest[2], value)

    def _see_scene(self, foreign: bool, passed_s: float) -> None:
        self._foreign_s = self._foreign_s + passed_s if foreign else 0.0
        self._familiar_s = 0.0 if foreign else self._familiar_s + passed_s
        changed = self.drift is not None and self.drift.kind == "scene_changed"
        if not changed and self._foreign_s >= FOREIGN_AFTER_S:
            self._begin("scene_changed", self._foreign_s, _scene_text())
        elif changed and self._familiar_s >= _FAMILIAR_AFTER_S:
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
            self.level, self._lifted_s = self._asked, -np.inf
        elif self._t_s - self._lifted_s >= _LIFT_EVERY_S:
            self._lift(self._from_s if flooded_s is None else self._t_s - flooded_s)

    def _look_for_drift(self) -> None:
        for minutes in self._counters:
            for window_s in WINDOWS_S:
                count, expected = minutes.since(self._t_s - window_s), minutes.per_s * window_s
                if count > 2 and poisson_at_least(count, expected) < SIGNIFICANT:
                    self._begin("drifted", window_s, _drift_text(count, expected, window_s))
                    return

    def _flooded_s(self) -> float | None:
        """The longest window with more alerts than `FLOOD` times what was asked for, if any."""
        alerts, per_s = self._counters[-1], FLOOD * self._rate / DAY_S
        for window_s in reversed(WINDOWS_S):
            count = alerts.since(self._t_s - window_s)
            if count > 2 and poisson_at_least(count, per_s * window_s) < _TOO_MANY:
                return window_s
        return None

    def _ordinary(self) -> bool:
        """Whether an hour has passed in which nothing more happened than is expected."""
        return self._t_s - self._began_s >= _LULL_S and all(
            poisson_at_least(minutes.since(self._t_s - _LULL_S), minutes.per_s * _LULL_S)
            > _ORDINARY
            for minutes in self._counters
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
        footage_s = max(self._t_s - from_s, FOREIGN_AFTER_S)
        lifted = Calibration(recent, footage_s).threshold(FLOOD * self._rate).value
        self.level = max(self._asked, lifted)


class _Minutes:
    """Minutes in which a level was reached, and how many are expected a second."""

    def __init__(self, level: float, per_s: float) -> None:
        self.level = level
        self.per_s = min(per_s, 1.0 / _MINUTE_S)
        self._minutes: deque[float] = deque()

    def note(self, t_s: float) -> None:
        """The level is reached at `t_s`."""
        minute_s = t_s // _MINUTE_S * _MINUTE_S
        if not self._minutes or self._minutes[-1] < minute_s:
            self._minutes.append(minute_s)

    def forget(self, before_s: float) -> None:
        """Drop what is older."""
        while self._minutes and self._minutes[0] < before_s:
            self._minutes.popleft()

    def since(self, t_s: float) -> int:
        """How many minutes of them began at `t_s` or later."""
        return sum(minute_s >= t_s for minute_s in self._minutes)


def poisson_at_least(count: int, mean: float) -> float:
    """P(N >= count) of a Poisson variable with this mean, <= a few hundred."""
    term = total = float(np.exp(-mean))
    for n in range(1, count):
        term *= mean / n
        total += term
    return max(0.0, 1.0 - total) if count > 0 else 1.0


def _scene_text() -> str:
    return (
        f"for {FOREIGN_AFTER_S:.0f} s the picture has not been that of the scene that was learned "
        f"(moved, or another light): {_ADVICE}"
    )


def _drift_text(count: int, expected: float, window_s: float) -> str:
    window = f"{window_s / 3600:.0f} h" if window_s >= 3600 else f"{window_s / 60:.0f} min"
    return (
        f"unusual in {count} minutes of the last {window}, {expected:.2g} were to be expected at "
        f"most: {_ADVICE}"
    )
