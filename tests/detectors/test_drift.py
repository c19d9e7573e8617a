"""Drift: said once with what to do, no flood meanwhile, and nothing said of ordinary days."""

import numpy as np
import pytest
from scipy.stats import poisson

from detectors.calibration import Calibration
from detectors.drift import FLOOD, DriftWatch, too_many

STEP_S = 0.6
HOUR = round(3600 / STEP_S)


def scores(rng: np.random.Generator, hours: float, more: float = 1.0, shift: float = 0.0):
    """Event peaks every 20 s on average (`more` times as often), a mean of 1.5 nats + `shift`."""
    n = round(hours * HOUR)
    there = rng.random(n) < more * STEP_S / 20
    return np.where(there, rng.exponential(1.5, n) + shift, 0.0)


def calibrated(hours: float) -> Calibration:
    rng = np.random.default_rng(1)
    return Calibration(np.sort(rng.exponential(1.5, round(hours * 180))), hours * 3600)


def walk(watch: DriftWatch, values: np.ndarray, foreign: bool = False) -> tuple[list[str], int]:
    """Texts of what began, and how many frames reached the level."""
    said, reached, before = [], 0, watch.drift
    for value in values.tolist():
        watch.step(value, STEP_S, foreign)
        if watch.drift != before and watch.drift is not None:
            said.append(watch.drift.text)
        before = watch.drift
        reached += value >= watch.level
    return said, reached


@pytest.mark.parametrize("hours", [0.2, 2.0])
def test_ordinary_days_are_not_drift(hours: float) -> None:
    """A day like those that were learned say nothing, however little was learned from."""
    watch = DriftWatch(calibrated(hours), 1.0)
    assert walk(watch, scores(np.random.default_rng(5), 24.0))[0] == []
    assert watch.level == calibrated(hours).threshold(1.0).value


def test_drift_is_said_once_and_does_not_flood() -> None:
    """A day on which everything is nine nats more unusual: told once, with figures and what to
    do; few alerts come through, and what is far beyond still does; then it is over."""
    calibration, rng = calibrated(2.0), np.random.default_rng(2)
    watch, asked = DriftWatch(calibration, 1.0), calibration.threshold(1.0).value
    walk(watch, scores(rng, 2.0))
    day = scores(rng, 12.0, more=2.0, shift=9.0)
    said, reached = walk(watch, day)
    assert len(said) == 1
    assert "sorawatch fit" in said[0]
    assert "sorawatch normal teach" in said[0]
    assert (day >= asked).sum() > 50
    assert reached <= 3 * FLOOD
    assert asked < watch.level < 3 * asked
    assert walk(watch, np.full(3, 2.5 * watch.level))[1] == 3
    calm = walk(watch, scores(rng, 12.0))
    assert calm[0] == []
    assert watch.drift is None
    assert watch.level == asked


def test_another_scene_is_said_once_until_it_is_the_old_one() -> None:
    """A foreign picture is told after some seconds and lasts as long as it does; a lamp that is
    switched on for ten seconds is not told."""
    watch, rng = DriftWatch(calibrated(1.0), 1.0), np.random.default_rng(3)
    ten_s, ten_min = round(10 / STEP_S), round(600 / STEP_S)
    assert walk(watch, scores(rng, 1.0)[:ten_s], foreign=True)[0] == []
    assert walk(watch, scores(rng, 1.0))[0] == []
    said, _ = walk(watch, scores(rng, 1.0), foreign=True)
    assert len(said) == 1
    assert "scene" in said[0]
    walk(watch, np.zeros(ten_min))
    assert watch.drift is None


def test_more_alerts_than_asked_for_lift_the_level() -> None:
    """Alerts every few minutes where one a day was asked for stop after a handful, also where so
    little was learned from that nothing can be said against them."""
    calibration = calibrated(0.05)
    watch, asked = DriftWatch(calibration, 1.0), calibration.threshold(1.0).value
    values = np.zeros(6 * HOUR)
    values[:: round(180 / STEP_S)] = asked + 1.0
    _, reached = walk(watch, values)
    assert (values > 0).sum() == 120
    assert reached < 12


def test_the_same_scores_give_the_same_levels() -> None:
    """Live and replay agree: nothing depends on anything but what was fed."""
    values = scores(np.random.default_rng(4), 3.0, more=3.0, shift=3.0)
    one, other = (DriftWatch(calibrated(1.0), 2.0) for _ in range(2))
    for value in values.tolist():
        one.step(value, STEP_S, False)
        other.step(value, STEP_S, False)
        assert (one.level, one.drift) == (other.level, other.drift)


@pytest.mark.parametrize("mean", [0.01, 0.5, 3.0, 40.0, 200.0])
def test_too_many_is_what_the_textbook_calls_improbable(mean: float) -> None:
    """Drift is said at the smallest count whose chance is below one in ten thousand."""
    count = too_many(mean, 1e-4)
    assert poisson.sf(count - 1, mean) < 1e-4
    assert count == 3 or count > 360 or poisson.sf(count - 2, mean) >= 1e-4


def test_no_count_is_too_many_where_every_minute_is_expected() -> None:
    """A budget of thousands a day is never called a flood."""
    assert too_many(100_000.0, 1e-2) > 6 * 60
