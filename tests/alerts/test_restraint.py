"""Restraint: what is held back, what goes through all the same, and that it is said."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.event import EventDraft
from alerts.judge import Judge, JudgeSettings, Observation
from alerts.wanted import Zone

START_S = 1_763_802_000.0
PERIOD_S = 0.2
THRESHOLD = 5.0
LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
ALL = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def run(
    scores: list[float], rules: JudgeSettings, region: tuple[float, float, float, float] | None
) -> tuple[Judge, list[EventDraft]]:
    """Scores at five a second; every message."""
    judge, drafts = Judge("gate", THRESHOLD, rules), list[EventDraft]()
    for k, score in enumerate(scores):
        at_s = START_S + k * PERIOD_S
        drafts += judge.step(Observation(at_s, score, region, {}, "", None))
    return judge, drafts + judge.close(START_S + len(scores) * PERIOD_S)


def spells(*spells: tuple[float, float, float]) -> list[float]:
    """Spells of a score: (seconds of it, score, seconds of nothing after it)."""
    scores: list[float] = []
    for seconds, score, quiet_s in spells:
        scores += [score] * round(seconds / PERIOD_S) + [0.0] * round(quiet_s / PERIOD_S)
    return scores


def new(drafts: list[EventDraft]) -> list[tuple[float, str]]:
    """When events began, and how severe they were then."""
    return [(round(d.start_time - START_S, 3), d.severity) for d in drafts if d.type == "new"]


def test_a_cooldown_by_idle_time_waits_for_quiet() -> None:
    """What comes again and again is told once, until nothing came for as long as the cooldown."""
    restless = spells(*[(2.0, 8.0, 6.0)] * 20, (0.0, 0.0, 6.0), (2.0, 8.0, 20.0))
    interval = JudgeSettings(cooldown_s=10.0)
    idle = JudgeSettings(cooldown_s=10.0, cooldown="idle")
    assert len(new(run(restless, interval, None)[1])) > 10
    assert new(run(restless, idle, None)[1]) == [(0.0, "alert"), (166.0, "alert")]


def test_a_cap_says_what_it_held_back() -> None:
    """At most so many an hour; the next event says how many were not told, since when, how bad."""
    rules = JudgeSettings(cooldown_s=1.0, most_per_hour=3)
    judge, drafts = run(spells(*[(2.0, 8.0, 58.0)] * 60, (2.0, 7.0, 30.0)), rules, None)
    assert new(drafts) == [(0.0, "alert"), (60.0, "alert"), (120.0, "alert"), (3600.0, "alert")]
    assert [d.held_back for d in drafts if d.type == "new"][:3] == [None] * 3
    (held,) = {d.held_back for d in drafts if d.start_time == START_S + 3600.0}
    assert held is not None
    assert (held.count, held.highest) == (57, 8.0)
    assert held.since == pytest.approx(START_S + 180)
    assert held.until == pytest.approx(START_S + 59 * 60 + 1.8)
    assert judge.held_back == 57


def test_what_lasts_is_told_when_the_cap_allows() -> None:
    """A cap hides nothing that goes on: it is told with its true start, and not counted as held."""
    rules = JudgeSettings(cooldown_s=1.0, most_per_hour=1)
    judge, drafts = run(spells((2.0, 8.0, 58.0), (3700.0, 8.0, 5.0)), rules, None)
    told = [d for d in drafts if d.type == "new"]
    assert [d.start_time - START_S for d in told] == [0.0, 60.0]
    assert told[1].time - START_S == pytest.approx(3600.6, abs=0.3)
    assert judge.held_back == 0


def test_a_rise_in_severity_goes_through() -> None:
    """Warnings use up neither the alerts' cap nor their rest, and one that gets worse says so."""
    rules = JudgeSettings(cooldown_s=30.0, most_per_hour=2, alert_ratio=2.0)
    scores = spells(
        (2.0, 8.0, 58.0), (2.0, 8.0, 58.0), (2.0, 8.0, 58.0),  # the third is held back
        (2.0, 8.0, 8.0), (2.0, 12.0, 48.0),  # held back, and an alert, which is not
        (2.0, 12.0, 58.0), (2.0, 12.0, 58.0),  # the third alert is held back
    )  # fmt: skip
    judge, drafts = run(scores, rules, None)
    assert new(drafts) == [
        (0.0, "warning"), (60.0, "warning"), (190.0, "alert"), (240.0, "alert")
    ]  # fmt: skip
    assert judge.held_back == 3
    # Within the event the rise is told at once, not after update_every_s.
    _, worse = run(spells((1.0, 8.0, 0.0), (1.0, 11.0, 10.0)), rules, None)
    assert [(d.type, d.severity) for d in worse] == [
        ("new", "warning"), ("update", "alert"), ("end", "alert")
    ]  # fmt: skip
    assert worse[1].time - START_S == pytest.approx(1.0)


def test_a_zone_has_a_threshold_of_its_own() -> None:
    """The first zone that holds a place says how much is needed there; messages say how much."""
    zones = (
        Zone("door", LEFT, threshold_ratio=0.5),
        Zone("rest", ALL, threshold_ratio=2.0),
    )
    rules = JudgeSettings(zones=zones)
    left, right = (0.1, 0.4, 0.1, 0.1), (0.8, 0.4, 0.1, 0.1)
    faint, strong = spells((3.0, 3.0, 10.0)), spells((3.0, 9.0, 10.0))
    _, told = run(faint, rules, left)
    assert new(told) == [(0.0, "alert")]
    assert {(d.score, d.threshold) for d in told} == {(3.0, 2.5)}
    assert not run(faint, rules, right)[1]
    assert not run(strong, rules, right)[1]
    assert {d.threshold for d in run(spells((3.0, 11.0, 10.0)), rules, right)[1]} == {10.0}


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.4, 1.0, 5.0, 90.0]), st.sampled_from([0, 4, 6, 8, 12, 20]),
                  st.sampled_from([0.0, 2.0, 20.0, 500.0])), max_size=30
    ),
    st.integers(1, 4),
    st.sampled_from([1.0, 2.0]),
    st.sampled_from(["interval", "idle"]),
)  # fmt: skip
def test_never_more_than_the_cap_in_any_hour(
    shown: list[tuple[float, float, float]], most: int, ratio: float, cooldown: str
) -> None:
    """Whatever happens: not more than the cap of either severity in any hour."""
    rules = JudgeSettings(most_per_hour=most, alert_ratio=ratio, cooldown=cooldown)  # type: ignore[arg-type]
    judge, drafts = run(spells(*shown), rules, None)
    told = [d for d in drafts if d.type == "new"]
    for severity in ("alert", "warning"):
        times = [d.time for d in told if d.severity == severity]
        assert all(b - a >= 3600 - 1e-3 for a, b in zip(times, times[most:], strict=False))
    said = sum(d.held_back.count for d in told if d.held_back is not None)
    assert said <= judge.held_back


@pytest.mark.parametrize("wrong", [{"alert_ratio": 0.5}, {"most_per_hour": 0}])
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    """Settings that cannot be meant are errors."""
    with pytest.raises(ValueError, match="must be 1 or more"):
        JudgeSettings(**wrong)  # type: ignore[arg-type]
