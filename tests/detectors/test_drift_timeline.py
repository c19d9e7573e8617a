"""The drift watch over whole arrays: the same levels and the same words as frame by frame."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.calibration import Calibration
from detectors.drift import Drift, DriftWatch
from detectors.drift_timeline import DriftTimeline, Watched

RATES = (0.3, 1.0, 24.0, 300.0, 5000.0)


def calibrated(hours: float) -> Calibration:
    rng = np.random.default_rng(1)
    return Calibration(np.sort(rng.exponential(1.5, max(1, round(hours * 180)))), hours * 3600)


def footage(seed: int, hours: float, step_s: float, busy: float):
    """Scores whose rate and height change, with gaps, and a scene that is another one at times."""
    rng = np.random.default_rng(seed)
    n = round(hours * 3600 / step_s)
    spell = np.repeat(rng.integers(0, 3, n // 500 + 1), 500)[:n]
    there = rng.random(n) < busy * np.array([0.2, 1.0, 6.0])[spell] * step_s / 20
    value = np.where(there, rng.exponential(1.5, n) + 3.0 * spell, 0.0)
    passed = np.where(rng.random(n) < 0.01, 1.0, step_s * rng.choice([1.0, 1.0, 0.0, 1.3], n))
    passed[0] = 0.0
    foreign = np.repeat(rng.random(n // 37 + 1) < rng.choice([0.0, 0.1, 0.7]), 37)[:n]
    return value, passed, foreign


def stepped(calibration: Calibration, rate: float, value, passed, foreign):
    watch = DriftWatch(calibration, rate)
    levels: list[float] = []
    drifts: list[Drift | None] = []
    for one in zip(value.tolist(), passed.tolist(), foreign.tolist(), strict=True):
        watch.step(*one)
        levels.append(watch.level)
        drifts.append(watch.drift)
    return levels, drifts


@pytest.mark.parametrize("hours", [0.05, 2.0])
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    rate=st.sampled_from(RATES),
    step_s=st.sampled_from([0.2, 0.6, 0.9]),
    busy=st.sampled_from([0.02, 0.3, 2.0]),
)
def test_whole_arrays_give_what_frames_give(
    hours: float, seed: int, rate: float, step_s: float, busy: float
) -> None:
    """What an operator tries on stored scores is what the camera would have done, to the bit."""
    calibration = calibrated(hours)
    value, passed, foreign = footage(seed, 2.0 if step_s > 0.2 else 0.7, step_s, busy)
    levels, drifts = stepped(calibration, rate, value, passed, foreign)
    timeline = DriftTimeline.of(Watched.of(value, passed, foreign), calibration, rate)
    found = [timeline.level(timeline.segment(row)) for row in range(len(value))]
    assert found == levels
    assert [timeline.drift(row) for row in range(len(value))] == drifts
    reaching = np.flatnonzero(value >= np.array(levels))
    assert timeline.reaching().tolist() == reaching.tolist()


def test_long_footage_with_drift_and_an_end_of_it() -> None:
    """A day on which drift begins and ends, and the night is another scene."""
    calibration, rng = calibrated(2.0), np.random.default_rng(3)
    n = 36_000
    value = np.where(rng.random(n) < 0.03, rng.exponential(1.5, n), 0.0)
    value[9_000:15_000] += np.where(rng.random(6_000) < 0.05, 9.0, 0.0)
    foreign = np.zeros(n, np.bool_)
    foreign[26_000:30_000] = True
    passed = np.full(n, 0.6)
    levels, drifts = stepped(calibration, 1.0, value, passed, foreign)
    assert {d.kind for d in drifts if d is not None} == {"drifted", "scene_changed"}
    assert drifts[-1] is None
    timeline = DriftTimeline.of(Watched.of(value, passed, foreign), calibration, 1.0)
    assert [timeline.level(timeline.segment(row)) for row in range(n)] == levels
    assert [timeline.drift(row) for row in range(n)] == drifts


def test_no_scores_are_no_drift() -> None:
    """A camera that was never scored has the threshold that was asked for."""
    nothing = np.zeros(0)
    watched = Watched.of(nothing, nothing, np.zeros(0, np.bool_))
    assert len(DriftTimeline.of(watched, calibrated(1.0), 1.0).reaching()) == 0
