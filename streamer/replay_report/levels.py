"""Thresholds by alerts a day, as the page offers them: exact, with what drift lifted them to."""

from typing import Final

import numpy as np

from detectors.drift_timeline import DriftTimeline
from streamer.deciding.redecide import Footage
from streamer.deciding.replayed import ReplayedCamera

RATES: Final = (
    0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0,
    10.0, 15.0, 20.0, 30.0, 50.0, 100.0,
)  # fmt: skip

Lifts = list[tuple[int, float, float]]


def rates(camera: ReplayedCamera, *others: float) -> list[float]:
    """The numbers of alerts a day that a camera can be set to, ascending; today's among them."""
    return sorted({*RATES, camera.today.alerts_per_day, *others})


def lifts(
    footage: Footage, timeline: DriftTimeline, lowest: float, most: int | None
) -> Lifts | None:
    """From which row on which threshold holds, and the UTC of that row.

    Empty where it is always the one asked for. `timeline`: of `footage`. `lowest`: the lowest leave
    ratio that is offered: where no score comes near enough to ask, the threshold before goes on. A
    threshold takes milliseconds to compute: None where there are more than `most` to.
    """
    if len(timeline.rows) == 1:
        return []
    asked = timeline.limits.asked
    highest = np.maximum.reduceat(footage.score, np.array(timeline.rows))
    needed = [
        lift is not None and bool(highest[k] >= asked * lowest)
        for k, lift in enumerate(timeline.lifts)
    ]
    if most is not None and sum(needed) > most:
        return None
    found: Lifts = []
    level = asked
    for k, row in enumerate(timeline.rows):
        before = level
        if timeline.lifts[k] is None:
            level = asked
        elif needed[k]:
            level = timeline.level(k)
        if level != before:
            found.append((row, level, float(footage.utc_s[row])))
    return found
