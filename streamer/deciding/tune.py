"""`sorawatch tune`: what a number of alerts a day would have given on replayed footage."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from detectors.calibration import Threshold
from streamer.config_yaml import Key
from streamer.deciding.alert import Alert, decided
from streamer.deciding.labels import Interval, Labels
from streamer.deciding.moment import utc
from streamer.deciding.redecide import Footage, Settings
from streamer.deciding.replayed import Replay, ReplayedCamera, ReplayedSource, each_footage
from streamer.deciding.sweep import Change, Tried, choice, grid, sweep, trade_offs
from streamer.evaluation.alarms import Alarm, outcome_of

_SECTION: Final[dict[str, Key]] = {"alerts_per_day": ()}


@dataclass(frozen=True, slots=True)
class CameraTuning:
    """One camera at the wished settings, beside today's.

    `wished`, `today`: thresholds and what they promise. `alerts`: those that the wished settings
    give, most borderline first; `gone`: alerts of today that they do not give; `new`: of `alerts`,
    those that today's do not. `next`: what twice as many alerts a day would add. `found`, `missed`:
    labelled events that these settings find and today's do not, and the other way round.
    """

    camera: str
    footage_s: float
    settings: Settings
    wished: Threshold
    today_settings: Settings
    today: Threshold
    alerts: tuple[Alert, ...]
    new: tuple[Alert, ...]
    gone: tuple[Alert, ...]
    next: tuple[Alert, ...]
    today_count: int
    found: tuple[Interval, ...] = ()
    missed: tuple[Interval, ...] = ()

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "camera": self.camera,
            "footage_s": round(self.footage_s, 3),
            "wished": _promise(self.settings, self.wished),
            "today": {**_promise(self.today_settings, self.today), "alerts": self.today_count},
            "alerts": [alert.document() for alert in self.alerts],
            "new": [alert.id for alert in self.new],
            "gone": [alert.document() for alert in self.gone],
            "next": [alert.document() for alert in self.next],
            "events_gained": [[utc(start_s), utc(end_s)] for start_s, end_s in self.found],
            "events_lost": [[utc(start_s), utc(end_s)] for start_s, end_s in self.missed],
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """What labels tell: of today's settings, the wished rate alone, every trade-off, the choice."""

    today: Tried
    wished: Tried
    curve: tuple[Tried, ...]
    chosen: Tried

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "today": self.today.document(),
            "wished": self.wished.document(),
            "curve": [one.document() for one in self.curve],
            "chosen": self.chosen.document(),
        }


@dataclass(frozen=True, slots=True)
class Tuning:
    """The whole answer. `change`: what is to be written to the configuration."""

    alerts_per_day: float
    change: Change
    cameras: tuple[CameraTuning, ...]
    judged: Judged | None = None
    notes: tuple[str, ...] = field(default=())

    def values(self) -> dict[Key, float]:
        """What the configuration has to say, by key: the choice for each camera."""
        return {
            ("cameras", camera.camera, *_SECTION.get(name, ("judge",)), name): value
            for camera in self.cameras
            for name, value in self.change.document().items()
        }

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "alerts_per_day": self.alerts_per_day,
            "change": self.change.document(),
            "cameras": [camera.document() for camera in self.cameras],
            "labels": None if self.judged is None else self.judged.document(),
            "notes": list(self.notes),
        }


def tune(
    replay: Replay,
    alerts_per_day: float,
    labels: Labels | None = None,
    on_progress: Callable[[str], None] = lambda _text: None,
) -> Tuning:
    """What so many alerts a day would have given; with labels, the settings that do best within it.

    Raises ReplayError for a trace that cannot be read.
    """
    judged, change = None, Change(alerts_per_day)
    notes = _problems(replay)
    if labels is not None:
        judged = _judge(replay, labels, alerts_per_day, on_progress)
        change = judged.chosen.change
        notes += [*labels.notes, *_doubts(judged, alerts_per_day)]
    cameras = {name: _Tried() for name in replay.cameras}
    for camera, source, footage in each_footage(replay.sources()):
        on_progress(f"{camera.name}: {source.name}")
        events = () if labels is None else labels.events.get((camera.name, source.number), ())
        cameras[camera.name].add(camera, source, footage, change.on(camera.today), events)
    tuned = tuple(
        cameras[camera.name].tuning(camera, change.on(camera.today))
        for camera in replay.cameras.values()
    )
    return Tuning(alerts_per_day, change, tuned, judged, tuple(notes))


class _Tried:
    """What a camera's sources give, one after the other."""

    def __init__(self) -> None:
        self._footage_s = 0.0
        self._alerts: list[Alert] = []
        self._before: list[Alert] = []
        self._more: list[Alert] = []
        self._found: list[Interval] = []
        self._missed: list[Interval] = []

    def add(
        self,
        camera: ReplayedCamera,
        source: ReplayedSource,
        footage: Footage,
        settings: Settings,
        events: Sequence[Interval],
    ) -> None:
        self._footage_s += float(footage.watched.t_s[-1]) if len(footage) else 0.0
        doubled = replace(settings, alerts_per_day=2 * settings.alerts_per_day)
        own, today, twice = (
            decided(camera, source, one, footage=footage)
            for one in (settings, camera.today, doubled)
        )
        self._alerts += own
        self._before += today
        self._more += twice
        now, then = _found(own, events), _found(today, events)
        self._found += [event for event in now if event not in then]
        self._missed += [event for event in then if event not in now]

    def tuning(self, camera: ReplayedCamera, settings: Settings) -> CameraTuning:
        alerts, before, today = self._alerts, self._before, camera.today
        return CameraTuning(
            camera=camera.name,
            footage_s=self._footage_s,
            settings=settings,
            wished=camera.calibration.threshold(settings.alerts_per_day),
            today_settings=today,
            today=camera.calibration.threshold(today.alerts_per_day),
            alerts=tuple(sorted(alerts, key=_margin)),
            new=tuple(sorted(without(alerts, before), key=_margin)),
            gone=tuple(sorted(without(before, alerts), key=_margin)),
            next=tuple(sorted(without(self._more, alerts), key=_margin, reverse=True)),
            today_count=len(before),
            found=tuple(self._found),
            missed=tuple(self._missed),
        )


def _margin(alert: Alert) -> float:
    return alert.margin


def without(alerts: Sequence[Alert], others: Sequence[Alert]) -> list[Alert]:
    """Those of one camera's alerts, in order of time, at whose time none of the others is."""
    left, at = [], 0
    ordered = sorted(others, key=lambda alert: alert.start_utc_s)
    for alert in sorted(alerts, key=lambda alert: alert.start_utc_s):
        while at < len(ordered) and ordered[at].end_utc_s < alert.start_utc_s:
            at += 1
        if at == len(ordered) or not alert.overlaps(ordered[at]):
            left.append(alert)
    return left


def _judge(
    replay: Replay, labels: Labels, alerts_per_day: float, on_progress: Callable[[str], None]
) -> Judged:
    changes = grid(alerts_per_day)
    wished = Change(alerts_per_day)
    tried = sweep(replay, labels, changes, on_progress)
    curve = trade_offs(tried)
    rates = [camera.today.alerts_per_day for camera in replay.cameras.values()]
    chosen = choice(tried, alerts_per_day, rates)
    return Judged(
        tried[0],
        next(one for one in tried if one.change == wished),
        tuple(curve),
        chosen,
    )


def _found(alerts: Sequence[Alert], events: Sequence[Interval]) -> list[Interval]:
    """Those of the events that an alert finds."""
    alarms = [Alarm(one.start_utc_s, one.raised_utc_s, one.end_utc_s) for one in alerts]
    return [event for event in events if outcome_of(alarms, [event]).found]


def _problems(replay: Replay) -> list[str]:
    """What of the footage is not there."""
    return [
        f"{camera.name}: {record.source}: {record.problem or 'not replayed to its end'}"
        for camera in replay.cameras.values()
        for record in camera.facts.sources
        if not record.complete
    ]


def _doubts(judged: Judged, alerts_per_day: float) -> list[str]:
    """Where the labelled footage is too little to choose by."""
    notes = []
    hours = judged.chosen.normal_hours
    if alerts_per_day * hours < 72.0:
        notes.append(
            f"{hours:.2g} h of normal footage cannot show {alerts_per_day:g} false alarms a day: "
            "settings that ask for more were not chosen, however well they did here"
        )
    if judged.chosen.events < 10:
        notes.append(
            f"{judged.chosen.events} labelled events are few to choose by: label more of them"
        )
    if judged.chosen.outcome.false_alarms > max(1.0, alerts_per_day * hours / 24.0):
        notes.append(f"no setting keeps to {alerts_per_day:g} false alarms a day: this has fewest")
    return notes


def _promise(settings: Settings, threshold: Threshold) -> dict[str, Any]:
    return {
        "alerts_per_day": settings.alerts_per_day,
        "threshold": round(threshold.value, 4),
        "low": threshold.low,
        "high": threshold.high,
        "promises": threshold.text,
        "warning": threshold.warning,
    }
