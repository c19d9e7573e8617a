"""What the judge makes of stored scores: alarms, found events, delays, operating points."""

from collections.abc import Sequence

import numpy as np
import pytest

from streamer.evaluation.alarms import JudgedEntry, judge, per_hour, threshold_at
from streamer.evaluation.dataset import Truth
from streamer.evaluation.scores import EntryScores

FPS = 5.0


def entry(scores: Sequence[float], *events: tuple[int, int]) -> JudgedEntry:
    """An entry at 5 frames a second, each of which was analysed."""
    n = len(scores)
    return JudgedEntry.of(
        Truth(n, FPS, events),
        EntryScores(np.arange(n), np.array(scores, np.float64), np.full((n, 4), np.nan), n),
    )


def test_found_false_and_delayed() -> None:
    """An alarm during the event finds it, 0.6 s after the score rose; one elsewhere is false."""
    scores = [0.0] * 100
    scores[5:12] = [9.0] * 7  # false
    scores[83:95] = [9.0] * 12
    outcome = judge([entry(scores, (80, 100))], 5.0)
    assert (outcome.alarms, outcome.false_alarms, outcome.found, outcome.early) == (2, 1, 1, 0)
    assert outcome.delays_s == pytest.approx((0.6 + 3 / FPS,))
    assert judge([entry(scores, (80, 100))], 9.5).alarms == 0


def test_what_is_too_short_is_no_alarm() -> None:
    """A score that is high for less than the judge's minimum raises nothing."""
    scores = [0.0] * 40
    scores[10:13] = [9.0] * 3
    assert judge([entry(scores, (10, 20))], 5.0).alarms == 0


def test_an_alarm_that_was_there_before_is_early() -> None:
    """An alarm that reaches into an event from before it is neither false nor punctual."""
    scores = [0.0] * 10 + [9.0] * 40
    outcome = judge([entry(scores, (30, 50))], 5.0)
    assert (outcome.alarms, outcome.false_alarms, outcome.found, outcome.early) == (1, 0, 1, 1)
    assert outcome.median_delay_s is None


def test_an_alarm_after_the_event_does_not_find_it() -> None:
    """What begins with the event's last frame is raised too late for it, and is not false."""
    scores = [0.0] * 29 + [9.0] * 21
    outcome = judge([entry(scores, (20, 30))], 5.0)
    assert (outcome.alarms, outcome.false_alarms, outcome.found) == (1, 0, 0)
    outcome = judge([entry([0.0] * 30 + [9.0] * 20, (20, 30))], 5.0)
    assert (outcome.alarms, outcome.false_alarms, outcome.found) == (1, 1, 0)


def test_two_events_under_one_alarm() -> None:
    """One long alarm over two events finds both; for the second it is early."""
    outcome = judge([entry([0.0] * 10 + [9.0] * 90, (10, 40), (60, 90))], 5.0)
    assert (outcome.alarms, outcome.found, outcome.early) == (1, 2, 1)
    assert outcome.median_delay_s == pytest.approx(0.6)


def test_frames_that_were_not_analysed_raise_nothing() -> None:
    """The judge sees analysed frames alone: held scores do not make a glance last."""
    truth = Truth(100, 10.0, ((0, 100),))
    sparse = EntryScores(np.array([0, 10]), np.array([9.0, 0.0]), np.full((2, 4), np.nan), 100)
    assert judge([JudgedEntry.of(truth, sparse)], 5.0).alarms == 0


def test_the_operating_point_on_the_normal_frames() -> None:
    """The threshold lies just above the normal scores that would give one false alarm too many."""
    normal = [0.0] * 200
    normal[20:30] = [4.0] * 10  # false from 4 on
    normal[120:130] = [2.0] * 10
    event = [0.0] * 30 + [3.0] * 30
    entries = [entry(normal), entry(event, (30, 60))]
    hours = 0.5
    best = threshold_at(entries, (1.0, 2.0, 60.0), hours)
    for rate, level, false in [(1.0, 4.0, 0), (2.0, 2.0, 1), (60.0, 1.9, 2)]:
        threshold, outcome = best[rate]
        assert outcome.false_alarms == false
        assert level < threshold < 1.05 * level
    assert [best[rate][1].found for rate in (1.0, 2.0)] == [0, 1]


def test_one_endless_alarm_is_no_operating_point() -> None:
    """A threshold so low that all becomes one alarm, which overlaps an event, does not count."""
    scores = [1.0] * 50 + [5.0] * 5 + [1.0] * 50 + [2.0] * 20
    threshold, outcome = threshold_at([entry(scores, (105, 125))], (1.0,), 0.01)[1.0]
    assert threshold > 5.0
    assert outcome.found == 0


def test_false_alarms_an_hour() -> None:
    """A rate with its upper bound; without normal footage neither."""
    rate, upper = per_hour(3, 2.0)
    assert rate == 1.5
    assert upper == pytest.approx(7.7537 / 2, abs=1e-3)
    assert per_hour(0, 0.0) == (None, None)


def test_the_newest_score_is_held() -> None:
    """Each frame has the score of the newest analysed frame; before the first it is 0."""
    scores = EntryScores(np.array([2, 5]), np.array([1.5, 0.5]), np.full((2, 4), np.nan), 8)
    assert scores.every_frame(8).tolist() == [0, 0, 1.5, 1.5, 1.5, 0.5, 0.5, 0.5]
    assert scores.every_frame(4).tolist() == [0, 0, 1.5, 1.5]
    nothing = EntryScores(np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4)), 3)
    assert nothing.every_frame(3).tolist() == [0, 0, 0]
