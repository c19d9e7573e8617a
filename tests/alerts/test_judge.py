"""The judge: few events, each with a beginning and an end."""

import random
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.event import EventDraft
from alerts.judge import Judge, JudgeSettings, Observation

START_S = 1_763_802_000.0
PERIOD_S = 0.2
THRESHOLD = 5.0


def observation(index: float, score: float) -> Observation:
    return Observation(
        utc_s=START_S + index * PERIOD_S,
        score=score,
        region=(0.1, 0.2, 0.3, 0.4),
        parts={"speed": 1.0},
        text=f"score {score}",
        expected_per_day=1.0 / (1.0 + score),
    )


def run(scores: list[float], judge_settings: JudgeSettings | None = None) -> list[EventDraft]:
    judge = Judge("gate", THRESHOLD, judge_settings)
    drafts = [
        draft
        for index, score in enumerate(scores)
        for draft in judge.step(observation(index, score))
    ]
    return drafts + judge.close(START_S + (len(scores) - 1) * PERIOD_S, "stopped")


def spans(drafts: list[EventDraft]) -> list[tuple[int, int]]:
    """First and last unusual frame of each event."""
    return [
        (round((d.start_time - START_S) / PERIOD_S), round((d.end_time - START_S) / PERIOD_S))
        for d in drafts
        if d.type == "end" and d.end_time is not None
    ]


@dataclass
class Stretch:
    first: int
    last: int


def model(scores: list[float], rules: JudgeSettings) -> list[tuple[int, int]]:
    """What the judge promises, said in whole frames and with the future in view."""

    def frames(duration_s: float) -> int:
        return round(duration_s / PERIOD_S)  # the tests give whole periods

    stretches: list[Stretch] = []
    inside = False
    for index, score in enumerate(scores):
        if score >= THRESHOLD and not inside:
            stretches.append(Stretch(index, index))
            inside = True
        elif inside and score >= THRESHOLD * rules.leave_ratio:
            stretches[-1].last = index
        else:
            inside = inside and score >= THRESHOLD * rules.leave_ratio
    events: list[Stretch] = []
    rest_until = -1
    open_ = False
    for stretch in stretches:
        if open_ and stretch.first - events[-1].last <= frames(rules.merge_gap_s):
            events[-1].last = stretch.last
        else:
            if open_:
                rest_until = events[-1].last + frames(rules.cooldown_s)
            opens = max(stretch.first + frames(rules.min_length_s), rest_until)
            open_ = opens <= stretch.last
            if open_:
                events.append(replace(stretch))
            continue
        rest_until = events[-1].last + frames(rules.cooldown_s)
    return [(event.first, event.last) for event in events]


levels = st.sampled_from([0.0, 3.0, 3.5, 4.0, 5.0, 6.0, 9.0])
runs = st.lists(st.tuples(levels, st.integers(1, 25)), max_size=20).map(
    lambda pieces: [score for score, count in pieces for _ in range(count)]
)
periods = st.integers(0, 12).map(lambda count: count * PERIOD_S)
rules_of = st.builds(
    JudgeSettings,
    min_length_s=periods,
    merge_gap_s=periods,
    cooldown_s=st.integers(0, 40).map(lambda count: count * PERIOD_S),
    leave_ratio=st.sampled_from([0.7, 1.0]),
    update_every_s=periods,
)


@settings(max_examples=300, deadline=None)
@given(runs, rules_of)
def test_events_are_those_of_the_rules(scores: list[float], rules: JudgeSettings) -> None:
    """Hysteresis, minimum length, merge gap and cooldown give exactly the events of the model."""
    assert spans(run(scores, rules)) == model(scores, rules)


@settings(max_examples=200, deadline=None)
@given(runs, rules_of)
def test_every_event_is_told_in_order(scores: list[float], rules: JudgeSettings) -> None:
    """new, then updates that only get worse and keep their distance, then one end; no overlap."""
    told: EventDraft | None = None
    before: EventDraft | None = None
    for draft in run(scores, rules):
        if told is None:
            assert draft.type == "new"
            assert before is None or draft.start_time > (before.end_time or 0.0)
        else:
            assert draft.type != "new"
            assert draft.id == told.id
            assert draft.start_time == told.start_time
            assert (draft.score or 0) >= (told.score or 0)
            assert draft.time >= told.time
            if draft.type == "update":
                assert (draft.score or 0) > (told.score or 0)
                assert draft.time - told.time >= rules.update_every_s - 1e-5
        assert (draft.end_time is not None) == (draft.type == "end") == (draft.ended_by is not None)
        before, told = draft, None if draft.type == "end" else draft
    assert told is None


@settings(max_examples=50, deadline=None)
@given(runs, rules_of)
def test_the_same_scores_give_the_same_events(scores: list[float], rules: JudgeSettings) -> None:
    """Nothing but its input moves the judge: replay gives the same messages, ids included."""
    assert run(scores, rules) == run(scores, rules)


def test_an_event_explains_its_worst_moment() -> None:
    """Score, region, words and rarity are those of the peak; the start is the first frame above."""
    new, update, end = run([0, 0, 6, 6, 6, 6, *[6] * 10, 9, *[6] * 12, *[0] * 20])
    assert (new.type, update.type, end.type) == ("new", "update", "end")
    assert new.start_time == pytest.approx(START_S + 2 * PERIOD_S)
    assert new.time == pytest.approx(START_S + 5 * PERIOD_S)
    assert (new.score, update.score, end.score) == (6, 9, 9)
    assert end.explanation.text == "score 9"
    assert end.expected_per_day == pytest.approx(0.1)
    assert end.region is not None
    assert end.region.height == pytest.approx(0.4)
    assert end.threshold == THRESHOLD
    assert end.id == f"{new.start_time:.6f}-{end.id[-6:]}"


def test_what_goes_on_through_the_cooldown_is_told() -> None:
    """A cooldown delays an alert; it does not swallow one that lasts."""
    rules = JudgeSettings(cooldown_s=4.0, merge_gap_s=0.4)
    told = run([*[9] * 10, *[0] * 5, *[9] * 30, *[0] * 5], rules)
    assert spans(told) == [(0, 9), (15, 44)]
    assert told[2].time == pytest.approx(START_S + (9 + 20) * PERIOD_S)


def test_a_lost_camera_ends_its_event() -> None:
    """close ends what is open, says why, and claims no more than was seen."""
    judge = Judge("gate", THRESHOLD)
    for index in range(10):
        judge.step(observation(index, 9))
    assert judge.open_event
    (end,) = judge.close(START_S + 3600)
    assert (end.type, end.ended_by) == ("end", "camera_lost")
    assert end.end_time == pytest.approx(START_S + 9 * PERIOD_S + 3.0)
    assert not judge.close(START_S + 3601)


@pytest.mark.parametrize("leap_s", [-3600.0, 3600.0])
def test_a_leap_in_time_ends_the_event_and_the_judge_goes_on(leap_s: float) -> None:
    """The clock is set, or frames are missing for long: no event spans it, later ones come."""
    judge = Judge("gate", THRESHOLD)
    before = [d for index in range(10) for d in judge.step(observation(index, 9))]
    later = [
        d
        for index in range(100, 300)
        for d in judge.step(observation(index + leap_s / PERIOD_S, 9))
    ]
    assert [d.type for d in before] == ["new"]
    assert [d.type for d in later] == ["end", "new"]
    assert before[0].id == later[0].id != later[1].id


def test_nonsense_is_refused() -> None:
    """A threshold or a duration that cannot be meant, or a score that is no number, is an error."""
    with pytest.raises(ValueError, match="threshold of gate"):
        Judge("gate", 0.0)
    with pytest.raises(ValueError, match="not negative"):
        JudgeSettings(cooldown_s=-1)
    with pytest.raises(ValueError, match="leave_ratio"):
        JudgeSettings(leave_ratio=0)
    with pytest.raises(ValueError, match="finite"):
        observation(0, float("nan"))


def test_jittered_times_do_not_lengthen_the_wait() -> None:
    """A camera whose frames come unevenly alerts after min_length of footage all the same."""
    rng = random.Random(5)
    judge = Judge("gate", THRESHOLD)
    told = [
        draft
        for index in range(20)
        for draft in judge.step(observation(index + rng.uniform(-0.3, 0.3), 9))
    ]
    assert told[0].time - told[0].start_time <= 0.6 + 1.6 * PERIOD_S
