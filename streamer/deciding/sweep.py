"""Many settings tried on labelled footage: what each finds, how late, and how often in vain."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from alerts.event import EventDraft
from detectors.drift_timeline import DriftTimeline
from streamer.deciding.labels import Labels
from streamer.deciding.redecide import Settings, redecide
from streamer.deciding.replayed import Replay, each_footage
from streamer.evaluation.alarms import Alarm, Outcome, outcome_of, per_hour

RATES: Final = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Times the wished number of alerts a day."""

LENGTHS_S: Final = (0.4, 0.6, 1.0, 2.0, 4.0)
GAPS_S: Final = (3.0, 15.0)


@dataclass(frozen=True, slots=True)
class Change:
    """Settings laid over those of each camera; None leaves what it has today."""

    alerts_per_day: float | None = None
    min_length_s: float | None = None
    merge_gap_s: float | None = None

    def on(self, today: Settings) -> Settings:
        """A camera's settings with this change."""
        judge = {
            name: value
            for name in ("min_length_s", "merge_gap_s")
            if (value := getattr(self, name)) is not None
        }
        rate = today.alerts_per_day if self.alerts_per_day is None else self.alerts_per_day
        return Settings(rate, replace(today.judge, **judge))

    def document(self) -> dict[str, float]:
        """What is changed, by the names that the configuration has for it."""
        names = ("alerts_per_day", "min_length_s", "merge_gap_s")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    @property
    def judge_changes(self) -> int:
        """How many of the judge's settings it changes."""
        return (self.min_length_s is not None) + (self.merge_gap_s is not None)

    def __str__(self) -> str:
        """For people: `10 alerts a day, min_length_s 1`, or `as today`."""
        said = [f"{k} {v:g}" for k, v in self.document().items()]
        return ", ".join(said) if said else "as today"


TODAY: Final = Change()


@dataclass(frozen=True, slots=True)
class Tried:
    """What a change gives on labelled footage with `events` events and so much normal time."""

    change: Change
    outcome: Outcome
    events: int
    normal_hours: float

    @property
    def recall(self) -> float | None:
        """Share of the events that an alert finds; None where there are none."""
        return self.outcome.found / self.events if self.events else None

    @property
    def precision(self) -> float | None:
        """Share of the alerts that are of an event; None where there are none."""
        alarms = self.outcome.alarms
        return (alarms - self.outcome.false_alarms) / alarms if alarms else None

    @property
    def false_per_hour(self) -> tuple[float | None, float | None]:
        """False alarms an hour of normal footage, and a 95 % upper bound."""
        return per_hour(self.outcome.false_alarms, self.normal_hours)

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        rate, upper = self.false_per_hour
        return {
            "settings": self.change.document(),
            "alerts": self.outcome.alarms,
            "false_alarms": self.outcome.false_alarms,
            "false_alarms_per_hour": rate,
            "false_alarms_per_hour_upper95": upper,
            "events": self.events,
            "found": self.outcome.found,
            "early": self.outcome.early,
            "recall": self.recall,
            "precision": self.precision,
            "median_delay_s": self.outcome.median_delay_s,
        }


def grid(alerts_per_day: float) -> list[Change]:
    """Changes worth trying around a wished number of alerts a day; today's settings first."""
    rates: list[float | None] = [None, *(float(f"{alerts_per_day * times:.3g}") for times in RATES)]
    rates[1 + RATES.index(1.0)] = alerts_per_day
    lengths = [None, *LENGTHS_S]
    gaps = [None, *GAPS_S]
    return [Change(r, s, g) for r in rates for s in lengths for g in gaps]


def sweep(
    replay: Replay,
    labels: Labels,
    changes: Sequence[Change],
    on_progress: Callable[[str], None] = lambda _text: None,
) -> list[Tried]:
    """Try every change on the labelled sources, one source in memory at a time."""
    totals = [Outcome(0, 0, 0, 0, ())] * len(changes)
    normal_s = 0.0
    labelled = (one for one in replay.sources() if (one[0].name, one[1].number) in labels.events)
    for camera, source, footage in each_footage(labelled):
        events = labels.events[source.camera, source.number]
        on_progress(f"{camera.name}: {source.name}")
        seen_s = float(footage.watched.t_s[-1]) if len(footage) else 0.0
        # A label may reach beyond its source.
        busy_s = sum(min(end_s, source.end_utc_s) - start_s for start_s, end_s in events)
        normal_s += max(0.0, seen_s - busy_s)
        timelines: dict[float, DriftTimeline] = {}
        done: dict[Settings, Outcome] = {}  # several changes may be the same for this camera
        for k, change in enumerate(changes):
            settings = change.on(camera.today)
            if settings not in done:
                rate = settings.alerts_per_day
                if rate not in timelines:
                    timelines = {rate: DriftTimeline.of(footage.watched, camera.calibration, rate)}
                drafts = redecide(
                    footage,
                    camera.calibration,
                    settings,
                    facts=source.facts if settings.judge.zones else None,
                    timeline=timelines[rate],
                )
                done[settings] = outcome_of(alarms(drafts), events)
            totals[k] += done[settings]
    return [
        Tried(change, outcome, labels.count, normal_s / 3600.0)
        for change, outcome in zip(changes, totals, strict=True)
    ]


def alarms(drafts: Sequence[EventDraft]) -> list[Alarm]:
    """Events out of messages, in seconds of UTC."""
    raised = {draft.id: draft.time for draft in drafts if draft.type == "new"}
    return [
        Alarm(draft.start_time, raised[draft.id], draft.end_time or draft.start_time)
        for draft in drafts
        if draft.type == "end"
    ]


def trade_offs(tried: Sequence[Tried]) -> list[Tried]:
    """Those that no other beats: more events found only with more false alarms, fewest first.

    Of equals the one that is told soonest, then the one that changes least.
    """

    best: list[Tried] = []
    for one in sorted(tried, key=_fewest_first):
        if not best or one.outcome.found > best[-1].outcome.found:
            best.append(one)
    return best


def choice(tried: Sequence[Tried], alerts_per_day: float, rates: Sequence[float]) -> Tried:
    """The one that finds most within so many false alarms a day.

    Of equals the one with the fewest, then the one that changes the least about the judge.

    A setting is within them when it asks for no more (`rates`: today's, of each camera), and the
    footage does not speak against it; or when the footage is long enough to show it, by the upper
    bound. Where none is, the one with the fewest false alarms.
    """

    def within(one: Tried) -> bool:
        per_day = alerts_per_day / 24.0
        asked = rates if one.change.alerts_per_day is None else (one.change.alerts_per_day,)
        seen = one.outcome.false_alarms <= max(1.0, per_day * one.normal_hours)
        upper = one.false_per_hour[1]
        return (max(asked) <= alerts_per_day and seen) or (upper is not None and upper <= per_day)

    kept = [one for one in tried if within(one)]
    if not kept:
        return min(tried, key=_fewest_first)
    most = max(one.outcome.found for one in kept)

    def order(one: Tried) -> tuple[float, ...]:
        rate = one.change.alerts_per_day
        away = 0.0 if rate is None else abs(math.log(rate / alerts_per_day))
        plain = rate == alerts_per_day
        return (one.outcome.false_alarms, one.change.judge_changes, not plain, away)

    return min((one for one in kept if one.outcome.found == most), key=order)


def _fewest_first(one: Tried) -> tuple[float, ...]:
    delay_s = one.outcome.median_delay_s
    return (
        one.outcome.false_alarms,
        -one.outcome.found,
        float("inf") if delay_s is None else delay_s,
        len(one.change.document()),
    )
