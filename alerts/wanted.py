"""Where and when alerts are wanted: zones of the picture, and a schedule of days and hours.

What is unusual elsewhere or at another time counts as nothing unusual. Pure functions of a region
and a time; no clock is read.
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import cached_property
from typing import Final, Literal
from zoneinfo import ZoneInfo

Point = tuple[float, float]
Box = tuple[float, float, float, float]

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY_MIN: Final = 24 * 60
_SPAN: Final = re.compile(r"([a-z,-]+)\s+(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})", re.ASCII)
_EXAMPLE: Final = 'such as "mon-fri 18:00-06:00" or "sat,sun 00:00-24:00"'
_NO_AREA: Final = 1e-9


@dataclass(frozen=True)
class Zone:
    """A polygon in the picture.

    `points`: its corners (x, y) in order, as shares of the picture, 3 or more. `kind`: alerts come
    from `include` zones alone where there are any, and never from an `exclude` zone. `by`: a region
    is in it when its `middle` lies there, or when they `overlap` at all.
    """

    name: str
    points: tuple[Point, ...]
    kind: Literal["include", "exclude"] = "include"
    by: Literal["middle", "overlap"] = "middle"
    threshold_ratio: float = 1.0
    alerts_per_day: float | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for what is no polygon in the picture."""
        if len(self.points) < 3 or abs(_area(self.points)) < _NO_AREA:
            raise ValueError(f"zone {self.name!r}: needs three corners or more, not all in a line")
        if not all(0 <= value <= 1 for point in self.points for value in point):
            raise ValueError(f"zone {self.name!r}: corners are shares of the picture, from 0 to 1")
        if not 0 < self.threshold_ratio < math.inf:
            raise ValueError(f"zone {self.name!r}: threshold_ratio must be above 0 and finite")

    def holds(self, region: Box) -> bool:
        """Whether `region` (x, y, width, height) is in it."""
        x, y, width, height = region
        if self.by == "overlap":
            return abs(_area(_clipped(self.points, (x, y, x + width, y + height)))) > _NO_AREA
        return _inside(self.points, (x + width / 2, y + height / 2))


@dataclass(frozen=True)
class Hours:
    """Hours of some days: from minute `start` of the day to minute `end`, not included.

    `days`: 0 is Monday. `end` up to 1440; where it is not after `start` they last into the next
    day, and belong to the day on which they begin.
    """

    days: frozenset[int]
    start: int
    end: int

    @classmethod
    def parse(cls, text: str) -> "Hours":
        """Read "mon-fri 18:00-06:00"; ValueError says what is expected."""
        found = _SPAN.fullmatch(text.strip().lower())
        if found is None:
            raise ValueError(f"expected days and hours, {_EXAMPLE}, not {text!r:.40}")
        start, end = (int(found[k]) * 60 + int(found[k + 1]) for k in (2, 4))
        minutes = (int(found[3]), int(found[5]))
        if max(minutes) > 59 or start >= _DAY_MIN or end > _DAY_MIN or start == end:
            raise ValueError(f"{text!r:.40}: there are no such hours; expected them {_EXAMPLE}")
        return cls(_days(found[1]), start, end)

    def hold(self, day: int, minute: int) -> bool:
        """Whether `minute` of `day` (0 to 6) is in them."""
        if self.start < self.end:
            return day in self.days and self.start <= minute < self.end
        late = day in self.days and minute >= self.start
        return late or ((day - 1) % 7 in self.days and minute < self.end)


@dataclass(frozen=True)
class Schedule:
    """When alerts are wanted, in the local time of `time_zone` ("Europe/Berlin")."""

    time_zone: str
    hours: tuple[Hours, ...]

    def __post_init__(self) -> None:
        """Raise ValueError for a time zone that is not known, or no hours."""
        if not self.hours:
            raise ValueError("a schedule without hours would never alert")
        assert self._zone is not None  # noqa: S101 - raises where it is not known

    @cached_property
    def _zone(self) -> tzinfo:
        try:
            return UTC if self.time_zone == "UTC" else ZoneInfo(self.time_zone)
        except (KeyError, ValueError, OSError) as exc:
            raise ValueError(
                f"{self.time_zone!r:.60} is no time zone known here, such as Europe/Berlin or UTC "
                "(is tzdata installed?)"
            ) from exc

    def local(self, utc_s: float) -> datetime:
        """The moment in its time zone."""
        return datetime.fromtimestamp(utc_s, self._zone)

    def holds(self, utc_s: float) -> bool:
        """Whether alerts are wanted then."""
        then = self.local(utc_s)
        minute = then.hour * 60 + then.minute
        return any(hours.hold(then.weekday(), minute) for hours in self.hours)


def held_back(
    zones: tuple[Zone, ...], schedule: Schedule | None, region: Box | None, utc_s: float
) -> str | None:
    """Why nothing there and then is to raise an alert, one clause; None when it may.

    What has no region is in no zone and outside none: zones let it pass.
    """
    if schedule is not None and not schedule.holds(utc_s):
        return f"{schedule.local(utc_s):%A %H:%M} is outside the schedule ({schedule.time_zone})"
    if region is None:
        return None
    for zone in zones:
        if zone.kind == "exclude" and zone.holds(region):
            return f"it is in the zone {zone.name!r}, which is excluded"
    included = [zone for zone in zones if zone.kind == "include"]
    if included and not any(zone.holds(region) for zone in included):
        return f"it is outside {', '.join(repr(zone.name) for zone in included)}"
    return None


def threshold_ratio(zones: tuple[Zone, ...], region: Box | None) -> float:
    """How many times the threshold is needed there: that of the first included zone it is in."""
    if region is None:
        return 1.0
    for zone in zones:
        if zone.kind == "include" and zone.holds(region):
            return zone.threshold_ratio
    return 1.0


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if part in ("all", "daily"):
            found.update(range(7))
        elif first not in DAYS or (dash and last not in DAYS):
            raise ValueError(f"{part!r:.20} is no day: they are {', '.join(DAYS)}, or all")
        else:
            start = DAYS.index(first)
            length = (DAYS.index(last) - start) % 7 if dash else 0
            found.update((start + k) % 7 for k in range(length + 1))
    return frozenset(found)


def _area(points: tuple[Point, ...]) -> float:
    """Signed area of a polygon; 0 of fewer than three points."""
    ends = points[1:] + points[:1]
    pairs = zip(points, ends, strict=True)
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs) / 2


def _inside(points: tuple[Point, ...], at: Point) -> bool:
    """Whether a point is in a polygon (even-odd)."""
    x, y = at
    inside = False
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        if (ay > y) != (by > y) and x < (bx - ax) * (y - ay) / (by - ay) + ax:
            inside = not inside
    return inside


def _clipped(points: tuple[Point, ...], box: Box) -> tuple[Point, ...]:
    """The part of a polygon in the box (left, top, right, bottom); Sutherland and Hodgman 1974."""
    for axis, edge, sign in ((0, box[0], 1), (1, box[1], 1), (0, box[2], -1), (1, box[3], -1)):
        kept: list[Point] = []
        for a, b in zip(points, points[1:] + points[:1], strict=True):
            a_in, b_in = (sign * (p[axis] - edge) >= 0 for p in (a, b))
            if a_in:
                kept.append(a)
            if a_in != b_in:
                share = (edge - a[axis]) / (b[axis] - a[axis])
                kept.append((a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])))
        points = tuple(kept)
    return points
