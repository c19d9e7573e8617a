"""Zones and schedule: where and when alerts are wanted."""

from datetime import UTC, datetime

import pytest

from alerts.judge import Judge, JudgeSettings, Observation
from alerts.wanted import Hours, Schedule, Zone, held_back

LOWER = ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0))
ROOF = ((0.0, 0.0), (0.5, 0.4), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
BERLIN = "Europe/Berlin"


def utc_s(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_middle_and_overlap() -> None:
    """A region that reaches into a zone with its feet alone is in it by overlap, not by middle."""
    reaching = (0.1, 0.2, 0.1, 0.4)
    assert not Zone("road", LOWER).holds(reaching)
    assert Zone("road", LOWER, by="overlap").holds(reaching)
    assert not Zone("road", LOWER, by="overlap").holds((0.1, 0.1, 0.1, 0.4))  # they touch alone
    assert Zone("road", LOWER).holds((0.1, 0.7, 0.1, 0.1))


def test_a_zone_may_be_hollow() -> None:
    """A polygon that is bent inwards does not hold what lies in the bend."""
    for by in ("middle", "overlap"):
        zone = Zone("roof", ROOF, by=by)
        assert not zone.holds((0.45, 0.05, 0.1, 0.1))
        assert zone.holds((0.05, 0.2, 0.1, 0.1))


def test_include_and_exclude() -> None:
    """Alerts come from the included zone, but not from what is excluded in it."""
    zones = (
        Zone("yard", LOWER),
        Zone("tree", ((0.0, 0.8), (0.2, 0.8), (0.2, 1.0), (0.0, 1.0)), "exclude"),
    )
    assert held_back(zones, None, (0.5, 0.6, 0.1, 0.1), 0.0) is None
    assert "'tree'" in (held_back(zones, None, (0.05, 0.85, 0.1, 0.1), 0.0) or "")
    assert "'yard'" in (held_back(zones, None, (0.5, 0.1, 0.1, 0.1), 0.0) or "")
    assert held_back(zones, None, None, 0.0) is None


def test_hours_over_midnight_belong_to_the_day_they_begin_on() -> None:
    """Friday's night lasts into Saturday; Sunday's morning is nobody's night."""
    schedule = Schedule("UTC", (Hours.parse("mon-fri 18:00-06:00"),))
    assert schedule.holds(utc_s("2025-11-21T18:00:00"))  # a Friday
    assert schedule.holds(utc_s("2025-11-22T05:59:59"))
    assert not schedule.holds(utc_s("2025-11-22T06:00:00"))
    assert not schedule.holds(utc_s("2025-11-23T03:00:00"))
    assert not schedule.holds(utc_s("2025-11-24T03:00:00"))  # Monday's night begins at 18:00


def test_local_time_follows_summer() -> None:
    """Six in the evening is an hour earlier in UTC in summer."""
    schedule = Schedule(BERLIN, (Hours.parse("all 18:00-24:00"),))
    assert schedule.holds(utc_s("2025-07-01T16:00:00"))
    assert not schedule.holds(utc_s("2025-12-01T16:00:00"))
    assert schedule.holds(utc_s("2025-12-01T17:00:00"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("always", "expected days and hours"),
        ("mon 25:00-26:00", "no such hours"),
        ("mon 10:00-10:00", "no such hours"),
        ("mon 10:61-11:00", "no such hours"),
        ("someday 10:00-11:00", "'someday' is no day"),
    ],
)
def test_what_is_no_schedule_is_said(text: str, says: str) -> None:
    """A mistake in hours is told with what would be right."""
    with pytest.raises(ValueError, match=says):
        Hours.parse(text)
    with pytest.raises(ValueError, match="no time zone known"):
        Schedule("Europe/Nowhere", (Hours.parse("mon 10:00-11:00"),))


@pytest.mark.parametrize("points", [LOWER[:2], ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0))])
def test_what_is_no_polygon_is_said(points: tuple[tuple[float, float], ...]) -> None:
    """Corners that enclose nothing are refused."""
    with pytest.raises(ValueError, match="'line'"):
        Zone("line", points)


def test_the_judge_sees_nothing_where_none_is_wanted() -> None:
    """An event begins when what is unusual enters the zone, and ends when it has left it."""
    judge = Judge("gate", 5.0, JudgeSettings(zones=(Zone("yard", LOWER),), merge_gap_s=1.0))
    drafts = []
    for k in range(100):
        y = 0.1 if k < 20 or k >= 60 else 0.7
        region = (0.1, y, 0.1, 0.1)
        drafts += judge.step(Observation(1e9 + k / 5, 9.0, region, {}, "", None))
    new, end = drafts
    assert (new.start_time, end.end_time, end.ended_by) == (1e9 + 4.0, 1e9 + 59 / 5, "over")
