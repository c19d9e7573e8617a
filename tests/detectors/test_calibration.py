"""Calibration: the operator's knob turns the right way, and says how sure it is."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.calibration import DAY_S, Calibration, event_peaks
from detectors.speed import fit_profile
from detectors.tail import fit_tail

peaks = st.lists(st.floats(0.0, 1e3), max_size=60).map(lambda x: np.array(x, np.float64))
footage = st.floats(10.0, 30 * DAY_S)
rates = st.floats(1e-4, 1e5)


@settings(deadline=None, max_examples=200)
@given(peaks, footage, rates, rates)
def test_fewer_alerts_need_a_higher_threshold(
    seen: np.ndarray, footage_s: float, one: float, other: float
) -> None:
    """Asking for fewer alerts never lowers the threshold, whatever was seen."""
    calibration = Calibration(seen, footage_s)
    fewer, more = sorted((one, other))
    assert calibration.threshold(fewer).value >= calibration.threshold(more).value


@settings(deadline=None, max_examples=200)
@given(peaks, footage, st.floats(0, 1e4), st.floats(0, 1e4))
def test_higher_scores_are_rarer(
    seen: np.ndarray, footage_s: float, one: float, other: float
) -> None:
    """A higher score is never expected more often."""
    calibration = Calibration(seen, footage_s)
    low, high = sorted((one, other))
    assert calibration.expected_per_day(low) >= calibration.expected_per_day(high) >= 0


@settings(deadline=None, max_examples=200)
@given(peaks, footage, rates)
def test_threshold_keeps_what_it_promises(seen: np.ndarray, footage_s: float, rate: float) -> None:
    """What is expected at the threshold is what was asked for, or less, inside the interval."""
    calibration = Calibration(seen, footage_s)
    threshold = calibration.threshold(rate)
    expected = calibration.expected_per_day(threshold.value)
    assert expected <= rate * 1.001
    assert threshold.low <= expected <= threshold.high
    assert np.isfinite([threshold.value, threshold.low, threshold.high]).all()
    assert threshold.value > 0


def test_says_when_it_extrapolates() -> None:
    """Four minutes cannot show one alert a day: that is said, with a wide interval; a week can."""
    rng = np.random.default_rng(0)
    short = Calibration(rng.exponential(1, 80), 240).threshold(1)
    assert short.extrapolated
    assert "extrapolated from 4 minutes" in short.text
    assert short.high / short.low > 20
    week = Calibration(rng.exponential(1, 20_000), 7 * DAY_S).threshold(10)
    assert not week.extrapolated
    assert week.high / week.low < 3


def test_rate_is_kept_on_new_footage() -> None:
    """Peaks from the same life reach the threshold about as often as was asked for."""
    rng = np.random.default_rng(1)
    day = Calibration(rng.exponential(2, 5000), DAY_S)
    for rate in (2.0, 20.0, 200.0):
        new = rng.exponential(2, 5000 * 50)  # fifty more days
        per_day = float((new >= day.threshold(rate).value).sum()) / 50
        assert per_day == pytest.approx(rate, rel=0.5)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_rates_are_refused(rate: float) -> None:
    """No alerts a day is no rate."""
    with pytest.raises(ValueError, match="alerts a day"):
        Calibration(np.ones(3), 60).threshold(rate)


def test_peaks_near_each_other_are_one_event() -> None:
    """Ten seconds of one commotion count once, two a minute apart twice."""
    t = np.arange(0, 120, 0.2)
    scores = np.exp(-(((t - 30) / 2) ** 2)) * 9 + np.exp(-(((t - 90) / 2) ** 2)) * 7
    found, footage_s, _ = event_peaks(t, scores, np.zeros(len(t), int))
    assert np.round(found[found > 1]).tolist() == [7, 9]
    assert footage_s == pytest.approx(120)


def test_tail_is_empirical_then_exponential() -> None:
    """Surprise is -log of the share that reaches a number, and goes on rising beyond all seen."""
    values = np.random.default_rng(0).exponential(3, 20_000)
    tail = fit_tail(values)
    x = np.array([0.0, 3.0, 9.0, 15.0, 60.0])
    assert tail(x) == pytest.approx(x / 3, rel=0.1, abs=0.05)
    assert (np.diff(tail(np.linspace(-5, 100, 500))) >= 0).all()
    assert (fit_tail(np.zeros(5))(np.array([0.0, 1.0])) >= 0).all()


def test_usual_speed_follows_the_rows() -> None:
    """The usual speed of a row is what moved there, far away too, where a line would be below 0;
    rows in which nothing moved take after their neighbours."""
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(8, 26), 300).astype(np.int16)
    usual = np.maximum(0.15, (rows - 10) * 0.08)
    speeds = (usual * rng.lognormal(0, 0.3, len(rows))).astype(np.float32)
    profile = fit_profile(rows, speeds, 30)
    assert profile.shape == (30,)
    assert profile[9] == pytest.approx(0.15, rel=0.2)
    assert profile[22] == pytest.approx(12 * 0.08, rel=0.2)
    assert profile[0] == pytest.approx(profile[8], rel=0.2)
    assert (np.diff(profile[12:26]) > 0).all()
    assert fit_profile(rows[:0], speeds[:0], 5).tolist() == [1.0] * 5
