"""From calibrated scores to events: the judge, and the drift watch that moves its threshold.

Live watching and evaluation share this, so that both raise the same alerts.
"""

from collections.abc import Sequence
from dataclasses import replace

from alerts.event import EndedBy, EventDraft, Provenance
from alerts.judge import Judge, JudgeSettings, Observation
from detectors.calibration import Calibration
from detectors.drift import Drift, DriftWatch
from streamer.config_judge import JudgeConfig
from streamer.trace.row import TraceRow

LONGEST_STEP_S = 1.0
"""Footage that nobody saw is no footage: a gap counts as this much."""


def judge_settings(judge: JudgeConfig) -> JudgeSettings:
    """The configuration's section `judge`, as the judge takes it."""
    return JudgeSettings(
        min_length_s=judge.min_length_s,
        merge_gap_s=judge.merge_gap_s,
        cooldown_s=judge.cooldown_s,
        leave_ratio=judge.leave_ratio,
        update_every_s=judge.update_every_s,
        zones=tuple(zone.zone() for zone in judge.zones),
        schedule=None if judge.schedule is None else judge.schedule.schedule(),
        cooldown=judge.cooldown,
        most_per_hour=judge.most_per_hour,
        alert_ratio=judge.alert_ratio,
    )


def calibrated(
    settings: JudgeSettings, calibration: Calibration, alerts_per_day: float
) -> JudgeSettings:
    """`settings` with zones that have a rate of their own measured against the camera's.

    A zone's `alerts_per_day` is what the whole picture would give at its threshold, so the zone
    alone gives that many at most.
    """
    if all(zone.alerts_per_day is None for zone in settings.zones):
        return settings
    asked = calibration.threshold(alerts_per_day).value
    zones = tuple(
        zone
        if zone.alerts_per_day is None
        else replace(
            zone,
            threshold_ratio=calibration.threshold(zone.alerts_per_day).value / asked,
            alerts_per_day=None,
        )
        for zone in settings.zones
    )
    return replace(settings, zones=zones)


class CalibratedJudge:
    """One camera's judge at a number of alerts a day. Reads no clock; not thread-safe."""

    def __init__(
        self,
        camera: str,
        calibration: Calibration,
        alerts_per_day: float,
        settings: JudgeSettings | None = None,
        provenance: Provenance | None = None,
    ) -> None:
        """`alerts_per_day` > 0, on normal footage."""
        self.asked = calibration.threshold(alerts_per_day)
        """What was asked for, whatever the drift."""
        self._watch = DriftWatch(calibration, alerts_per_day)
        settings = calibrated(settings or JudgeSettings(), calibration, alerts_per_day)
        self._judge = Judge(camera, self.asked.value, settings, provenance)
        self._newest_s: float | None = None

    @property
    def threshold(self) -> float:
        """The score that opens an event now; higher than asked for while the camera drifts."""
        return self._judge.threshold

    @property
    def drift(self) -> Drift | None:
        """What is no longer as it was learned, None while all is."""
        return self._watch.drift

    @property
    def open_event(self) -> bool:
        """Whether an event has been announced and not ended."""
        return self._judge.open_event

    @property
    def following(self) -> bool:
        """Whether something unusual goes on, be it announced already or not."""
        return self._judge.following

    @property
    def held_back(self) -> int:
        """How many events the cap per hour has held back."""
        return self._judge.held_back

    @property
    def following_since_s(self) -> float | None:
        """Start of what is unusual now, UTC seconds; None while nothing is."""
        return self._judge.state.start_s

    def now_by(self, provenance: Provenance) -> None:
        """What messages say from now on that they were decided with."""
        self._judge.provenance = provenance

    def step(self, seen: Observation, *, strange: bool) -> list[EventDraft]:
        """What is to be told after this frame; `strange`: it is not of the scene learned."""
        before_s = seen.utc_s if self._newest_s is None else self._newest_s
        self._newest_s = seen.utc_s
        self._watch.step(seen.score, min(max(seen.utc_s - before_s, 0.0), LONGEST_STEP_S), strange)
        self._judge.move_threshold(self._watch.level)
        return self._judge.step(seen)

    def close(self, utc_s: float, ended_by: EndedBy = "camera_lost") -> list[EventDraft]:
        """End what is open at `utc_s`; it may go on afterwards."""
        return self._judge.close(utc_s, ended_by)


def observation_of(row: TraceRow, calibration: Calibration) -> Observation:
    """What the judge is given of a row that has a score: live, in replay, and from a trace."""
    return Observation(
        utc_s=row.utc_s,
        score=row.score,
        region=row.region,
        parts={name: round(share, 4) for name, share in row.parts.items()},
        text=row.text,
        # Asked only of what can be part of an event: it costs more than the judge does.
        expected_per_day=calibration.expected_per_day(row.score) if row.score > 0 else None,
    )


def judged(
    judge: CalibratedJudge, seen: Sequence[Observation], strange: Sequence[bool], end_s: float
) -> list[EventDraft]:
    """All that is told of footage that ends at `end_s`."""
    drafts = [
        draft
        for one, flag in zip(seen, strange, strict=True)
        for draft in judge.step(one, strange=flag)
    ]
    return drafts + judge.close(end_s, "stopped")
