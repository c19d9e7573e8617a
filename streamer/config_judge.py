"""The configuration's `judge` section and what of the picture counts: zones, masks, a schedule."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from alerts.wanted import Hours, Schedule, Zone
from streamer.config_fields import Count, Number, PositiveSeconds, Seconds
from streamer.config_fields import Section as _Section

Corner = tuple[Number, Number]


def _mask(corners: tuple[Corner, ...]) -> tuple[Corner, ...]:
    try:
        Zone("mask", corners)
    except ValueError as exc:
        raise ValueError(str(exc).replace("zone 'mask'", "a mask")) from exc
    return corners


Mask = Annotated[tuple[Corner, ...], AfterValidator(_mask)]
"""A polygon of the picture: corners (x, y) as shares of it."""


class ZoneConfig(_Section):
    """A part of the picture: a polygon that alerts come from alone, or never."""

    name: str = Field(min_length=1, max_length=64)
    include: tuple[Corner, ...] | None = None
    exclude: tuple[Corner, ...] | None = None
    by: Literal["middle", "overlap"] = "middle"
    """A region is in the zone when its middle is, or when they overlap at all."""
    threshold_ratio: Number | None = Field(default=None, gt=0, le=1000)
    """What is in it needs so many times the threshold; below 1 it takes less."""
    alerts_per_day: Number | None = Field(default=None, gt=0, le=100_000)
    """Instead: the rate whose threshold holds in it."""

    @model_validator(mode="after")
    def _polygon(self) -> "ZoneConfig":
        if (self.include is None) == (self.exclude is None):
            raise ValueError("a zone has the corners of either include or exclude")
        budgets = (self.threshold_ratio, self.alerts_per_day)
        if self.exclude is not None and budgets != (None, None):
            raise ValueError("what is in an excluded zone raises nothing, whatever its threshold")
        if None not in budgets:
            raise ValueError("a zone has either alerts_per_day or threshold_ratio")
        self.zone()
        return self

    def zone(self) -> Zone:
        """As the judge takes it."""
        if self.include is not None:
            ratio = 1.0 if self.threshold_ratio is None else self.threshold_ratio
            return Zone(self.name, self.include, "include", self.by, ratio, self.alerts_per_day)
        return Zone(self.name, self.exclude or (), "exclude", self.by)


class ScheduleConfig(_Section):
    """Days and hours in which alerts are wanted."""

    time_zone: str
    alert: tuple[str, ...]
    """Each such as "mon-fri 18:00-06:00"."""

    @model_validator(mode="after")
    def _hours(self) -> "ScheduleConfig":
        self.schedule()
        return self

    def schedule(self) -> Schedule:
        """As the judge takes it."""
        return Schedule(self.time_zone, tuple(Hours.parse(text) for text in self.alert))


class JudgeConfig(_Section):
    """How scores become events."""

    min_length_s: Seconds = 0.6
    merge_gap_s: Seconds = 3.0
    cooldown_s: Seconds = 10.0
    cooldown: Literal["interval", "idle"] = "interval"
    """What lasts through it is told afterwards; idle asks for so long without anything unusual."""
    most_per_hour: Count | None = None
    """Events of a camera told within an hour; None: any number. A rise in severity goes through."""
    alert_ratio: Number = Field(default=1.0, ge=1, le=1000)
    """An event is an alert from so many times the threshold on, a warning below."""
    leave_ratio: Number = Field(default=0.7, gt=0, le=1)
    """An event ends below this share of the threshold that opened it."""
    update_every_s: PositiveSeconds = 2.0
    zones: Annotated[tuple[ZoneConfig, ...], Field(max_length=50)] = ()
    schedule: ScheduleConfig | None = None
    """None: always."""
