"""The judge: turns one camera's scores into few events, each with a beginning and an end.

A *stretch* begins at a score that reaches the threshold and lasts while scores stay at or above
`leave_ratio` of it. A stretch of `min_length_s` opens an event; stretches that begin within
`merge_gap_s` of the event's last unusual frame belong to it; after its end the camera rests for
`cooldown_s`. What is still unusual when the rest is over opens an event all the same, with its
true start. Where or when no alert is wanted (`alerts.wanted`) nothing is unusual. How often events
are told, and what goes through all the same, `alerts.restraint` says.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

from alerts.event import (
    EndedBy,
    EventDraft,
    EventType,
    Explanation,
    HeldBack,
    Provenance,
    Region,
    event_id,
)
from alerts.restraint import GRACE_S, Hold, Restraint
from alerts.wanted import Schedule, Zone, held_back, threshold_ratio

# Longer without an observation, and nobody can say that what was unusual went on.
LONGEST_SILENCE_S = 3.0

_LESS = 1.0 - 1e-9  # a ratio may be multiplied where it was divided by


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """When scores become an event. Seconds of the footage's own time; all >= 0.

    `leave_ratio` in (0, 1]: an event goes on while scores stay above this share of the threshold.
    `update_every_s`: an event that gets worse says so, but not more often than this.
    `zones`, `schedule`: where and when alerts are wanted; everywhere and always where there are
    none.
    `cooldown`: `interval` delays what lasts longer than it; `idle` asks for so long without
    anything unusual. `most_per_hour`: events told within an hour, None for any number.
    `alert_ratio`, 1 or more: an event is an `alert` from so many times the threshold on, below it
    is a `warning`.
    """

    min_length_s: float = 0.6
    merge_gap_s: float = 3.0
    cooldown_s: float = 10.0
    leave_ratio: float = 0.7
    update_every_s: float = 2.0
    zones: tuple[Zone, ...] = ()
    schedule: Schedule | None = None
    cooldown: Literal["interval", "idle"] = "interval"
    most_per_hour: int | None = None
    alert_ratio: float = 1.0

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be meant."""
        durations = (self.min_length_s, self.merge_gap_s, self.cooldown_s, self.update_every_s)
        if not all(math.isfinite(value) and value >= 0 for value in durations):
            raise ValueError(f"durations must be finite and not negative: {self}")
        if not 0 < self.leave_ratio <= 1:
            raise ValueError(f"leave_ratio must be in (0, 1]: {self}")
        if not 1 <= self.alert_ratio < math.inf:
            raise ValueError(f"alert_ratio must be 1 or more: {self}")
        if self.most_per_hour is not None and self.most_per_hour < 1:
            raise ValueError(f"most_per_hour must be 1 or more: {self}")

    @property
    def least_ratio(self) -> float:
        """A score below this share of the threshold is not unusual in any zone; at most 1."""
        least = min((zone.threshold_ratio for zone in self.zones), default=1.0)
        return least * _LESS if least < 1.0 else 1.0

    def held_back(
        self, region: tuple[float, float, float, float] | None, utc_s: float
    ) -> str | None:
        """Why what is unusual there and then is to raise nothing; None when it may."""
        return held_back(self.zones, self.schedule, region, utc_s)


class Seen(Protocol):
    """What the judge wants to know of a frame; all but time and score only when it tells of it."""

    @property
    def utc_s(self) -> float:
        """As in `Observation`, and so are the others."""

    @property
    def score(self) -> float: ...  # noqa: D102

    @property
    def region(self) -> tuple[float, float, float, float] | None: ...  # noqa: D102

    @property
    def parts(self) -> Mapping[str, float]: ...  # noqa: D102

    @property
    def text(self) -> str: ...  # noqa: D102

    @property
    def expected_per_day(self) -> float | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Observation:
    """What the detector said about one frame.

    `utc_s`: wall-clock time of the frame, seconds.
    `score`: surprise, >= 0; `parts` the share of each part in it; `text` says it to people.
    `region`: (x, y, width, height) as shares of the picture, None when nothing moves.
    `expected_per_day`: how often normal footage reaches this score; None when not calibrated.
    """

    utc_s: float
    score: float
    region: tuple[float, float, float, float] | None
    parts: Mapping[str, float]
    text: str
    expected_per_day: float | None

    def __post_init__(self) -> None:
        """Raise ValueError where time or score is not finite."""
        if not (math.isfinite(self.utc_s) and math.isfinite(self.score)):
            raise ValueError(f"time and score must be finite: {self.utc_s}, {self.score}")


@dataclass(slots=True)
class _Incident:
    """What is unusual now: a candidate until it has been announced, then an event."""

    start_s: float
    last_s: float  # newest frame of its newest stretch
    peak: Seen
    peak_score: float  # as many times the threshold as that of `peak` is that of its zone
    ratio: float  # what the zone of `peak` multiplies the threshold by
    severe: bool
    unusual: bool = True  # in a stretch, not in the gap after one
    announced_s: float | None = None  # when the last message about it was made
    announced_score: float = 0.0
    announced_severe: bool = False
    held: Hold | None = None  # what kept it from being told, with its newest frame
    capped: bool = False  # the cap did, at some time
    held_back: HeldBack | None = None


class Idle(NamedTuple):
    """Frames with scores from `low` up to `high`, not included, change nothing before `until_s`."""

    low: float
    high: float
    until_s: float


@dataclass(frozen=True, slots=True)
class JudgeState:
    """What a judge has in hand. `start_s` to `last_s`: what is unusual, None when nothing is;
    `unusual`: it is in a stretch, not in the gap after one; `announced_s`: when it was last told
    of. `rest_until_s`: no event is opened before, -inf where none has ended. `held`: what keeps it
    from being told now."""

    start_s: float | None
    last_s: float | None
    unusual: bool
    announced_s: float | None
    rest_until_s: float
    held: Hold | None = None


class Judge:
    """One camera's judge. A pure function of what it is given: it reads no clock.

    Invariant: at most one event is open; it began after the one before had ended.
    Not thread-safe; a step costs about a microsecond while nothing is unusual.
    """

    def __init__(
        self,
        camera: str,
        threshold: float,
        settings: JudgeSettings | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        """`threshold` > 0: the score that is unusual. Raises ValueError.

        `provenance`, which goes into every message, may be set anew at any time.
        """
        self.camera = camera
        self.settings = settings = settings or JudgeSettings()
        self.provenance = provenance or Provenance()
        self._least = settings.least_ratio
        self._restricted = bool(settings.zones) or settings.schedule is not None
        self.move_threshold(threshold)
        self._incident: _Incident | None = None
        self._newest_s = -math.inf
        self._restraint = Restraint(
            settings.cooldown_s,
            idle=settings.cooldown == "idle",
            most_per_hour=settings.most_per_hour,
            merge_gap_s=settings.merge_gap_s,
        )

    def move_threshold(self, threshold: float) -> None:
        """From the next frame on `threshold` > 0 is unusual. Raises ValueError."""
        if not (math.isfinite(threshold) and threshold > 0):
            raise ValueError(f"the threshold of {self.camera} must be above 0, not {threshold}")
        self.threshold = threshold
        self._leave = threshold * self.settings.leave_ratio

    @property
    def open_event(self) -> bool:
        """Whether an event has been announced and not ended."""
        return self._incident is not None and self._incident.announced_s is not None

    @property
    def following(self) -> bool:
        """Whether something unusual goes on, be it announced already or not."""
        return self._incident is not None

    @property
    def held_back(self) -> int:
        """How many events the cap has held back."""
        return self._restraint.held

    @property
    def state(self) -> JudgeState:
        """What it has in hand now."""
        incident, rest_s = self._incident, self._restraint.rest_until_s
        if incident is None:
            return JudgeState(None, None, False, None, rest_s)
        return JudgeState(
            incident.start_s,
            incident.last_s,
            incident.unusual,
            incident.announced_s,
            rest_s,
            incident.held,
        )

    @property
    def idle(self) -> Idle | None:
        """What frames can change nothing about the event that is open; None when any may."""
        incident = self._incident
        if incident is None or incident.announced_s is None:
            return None
        if incident.peak_score > incident.announced_score:
            return None  # an update is due some time
        if not incident.unusual:
            until_s = incident.last_s + self.settings.merge_gap_s - GRACE_S
            return Idle(-math.inf, self.threshold * self._least, until_s)
        if self._restricted:
            return None
        return Idle(self._leave, math.nextafter(incident.peak_score, math.inf), math.inf)

    def pass_over(self, utc_s: float) -> None:
        """Take it that frames came up to `utc_s`, without silence, and that none changed anything:
        nothing is unusual and none reached the threshold, or all were as `idle` says."""
        self._newest_s = utc_s
        if self._incident is not None and self._incident.unusual:
            self._incident.last_s = utc_s

    def step(self, seen: Seen) -> list[EventDraft]:
        """What is to be told after this frame, oldest first; usually nothing.

        Times must rise. A time that goes back (the clock was set) or leaps by more than
        `LONGEST_SILENCE_S` ends what is open at the last frame before it.
        """
        drafts: list[EventDraft] = []
        if seen.utc_s < self._newest_s:
            drafts += self._finish(self._newest_s, "camera_lost")
            self._restraint.set_back(seen.utc_s)
        elif seen.utc_s - self._newest_s > LONGEST_SILENCE_S:
            drafts += self._finish(self._newest_s, "camera_lost")
        self._newest_s = seen.utc_s
        score, ratio = seen.score, 1.0
        if self._restricted and score >= self._leave * self._least:
            score, ratio = self._weigh(seen)
        if self._incident is not None:
            drafts += self._follow(self._incident, seen, score, ratio)
        if self._incident is None and score >= self.threshold:
            severe = self._severe(score)
            self._incident = _Incident(seen.utc_s, seen.utc_s, seen, score, ratio, severe)
        if self._incident is not None:
            drafts += self._announce(self._incident, seen)
        return drafts

    def close(self, utc_s: float, ended_by: EndedBy = "camera_lost") -> list[EventDraft]:
        """End what is open at `utc_s`: the camera was lost, or the program stops.

        The judge may go on afterwards, with later observations.
        """
        drafts = self._finish(utc_s, ended_by)
        self._newest_s = max(self._newest_s, utc_s)
        return drafts

    def _weigh(self, seen: Seen) -> tuple[float, float]:
        """The score in measures of the threshold, and what its zone multiplies that by."""
        settings, region = self.settings, seen.region
        if settings.held_back(region, seen.utc_s) is not None:
            return 0.0, 1.0
        ratio = threshold_ratio(settings.zones, region)
        return seen.score / ratio, ratio

    def _severe(self, score: float) -> bool:
        return score >= self.threshold * self.settings.alert_ratio

    def _follow(
        self, incident: _Incident, seen: Seen, score: float, ratio: float
    ) -> list[EventDraft]:
        """Carry what is unusual on to this frame, or end it."""
        gap_s = seen.utc_s - incident.last_s
        if incident.unusual:
            incident.unusual = score >= self._leave
        elif gap_s <= self.settings.merge_gap_s + GRACE_S:
            incident.unusual = score >= self.threshold
        if incident.unusual:
            incident.last_s = seen.utc_s
            if score > incident.peak_score:
                incident.peak, incident.peak_score, incident.ratio = seen, score, ratio
                incident.severe |= self._severe(score)
        elif incident.announced_s is None:
            self._drop(incident)
        elif gap_s >= self.settings.merge_gap_s - GRACE_S:
            return self._finish(seen.utc_s, "over")
        return []

    def _announce(self, incident: _Incident, seen: Seen) -> list[EventDraft]:
        """`new` when it has lasted long enough, `update` when it got worse."""
        now_s, severe = seen.utc_s, incident.severe
        if incident.announced_s is None:
            self._restraint.stir(now_s)
            if now_s - incident.start_s < self.settings.min_length_s - GRACE_S:
                return []
            incident.held = self._restraint.hold(now_s, severe=severe)
            if incident.held is not None:
                incident.capped |= incident.held == "cap"
                return []
            kind: EventType = "new"
            incident.held_back = self._restraint.tell(now_s, severe=severe)
        else:
            if incident.peak_score <= incident.announced_score:
                return []
            rises = severe and not incident.announced_severe
            if not rises and now_s - incident.announced_s < self.settings.update_every_s - GRACE_S:
                return []
            if rises:
                self._restraint.rise()
            kind = "update"
        incident.announced_s = now_s
        incident.announced_score = incident.peak_score
        incident.announced_severe = severe
        return [self._draft(incident, kind, now_s)]

    def _drop(self, incident: _Incident) -> None:
        """Forget what was never told."""
        self._incident = None
        if incident.capped:
            self._restraint.keep_back(incident.start_s, incident.last_s, incident.peak.score)

    def _finish(self, now_s: float, ended_by: EndedBy) -> list[EventDraft]:
        """Forget what is unusual; tell its end if it had been announced."""
        incident = self._incident
        if incident is None:
            return []
        if incident.announced_s is None:
            self._drop(incident)
            return []
        self._incident = None
        end_s = incident.last_s
        if incident.unusual:  # cut off in the middle: it lasted until now, for all we know
            end_s = min(max(now_s, end_s), end_s + LONGEST_SILENCE_S)
        self._restraint.end(end_s, severe=incident.severe)
        return [self._draft(incident, "end", max(now_s, end_s), end_s, ended_by)]

    def _draft(
        self,
        incident: _Incident,
        type_: EventType,
        now_s: float,
        end_s: float | None = None,
        ended_by: EndedBy | None = None,
    ) -> EventDraft:
        peak, start_s = incident.peak, round(incident.start_s, 6)
        return EventDraft(
            type=type_,
            id=event_id(self.camera, "anomaly", None, start_s),
            camera=self.camera,
            kind="anomaly",
            severity="alert" if incident.severe else "warning",
            time=round(now_s, 6),
            start_time=start_s,
            end_time=None if end_s is None else round(end_s, 6),
            score=peak.score,
            threshold=self.threshold * incident.ratio,
            expected_per_day=peak.expected_per_day,
            region=None if peak.region is None else Region.clipped(peak.region),
            explanation=Explanation(text=peak.text, parts=dict(peak.parts)),
            ended_by=ended_by,
            held_back=incident.held_back,
            **self.provenance.model_dump(),
        )
