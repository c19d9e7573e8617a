"""What the judge of the running program would have made of stored scores."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from alerts.event import EventDraft
from alerts.judge import Judge, JudgeSettings, Observation
from detectors.calibration import Calibration
from streamer.evaluation.dataset import Truth
from streamer.evaluation.metrics import poisson_upper
from streamer.evaluation.scores import EntryScores
from streamer.judging import CalibratedJudge, judged

_LOWEST: Final = 1e-6  # a threshold has to be above 0
_STEP: Final = 1.01  # finer is not worth judging the whole split again for
_GRACE_S: Final = 1e-5  # drafts give times to microseconds


@dataclass(frozen=True, slots=True)
class Alarm:
    """An event of the judge, seconds from the entry's first frame.

    `start_s`: its first unusual frame, `end_s` its last. `raised_s`: when it was announced.
    """

    start_s: float
    raised_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class JudgedEntry:
    """The observations of one entry, made once for many thresholds."""

    truth: Truth
    highest: float
    seen: tuple[Observation, ...]
    strange: tuple[bool, ...]

    @classmethod
    def of(cls, truth: Truth, scores: EntryScores) -> "JudgedEntry":
        """Of the analysed frames alone, as live: the judge knows nothing of held scores."""
        pairs = zip(scores.frame.tolist(), scores.score.tolist(), strict=True)
        seen = tuple(
            Observation(frame / truth.fps, score, None, {}, "", None)
            for frame, score in pairs
            if frame < truth.frames
        )
        flags = [False] * len(seen) if scores.strange is None else scores.strange.tolist()
        highest = max((one.score for one in seen), default=0.0)
        return cls(truth, highest, seen, tuple(flags[: len(seen)]))

    def alarms(self, threshold: float, settings: JudgeSettings) -> list[Alarm]:
        """What the judge would announce at this threshold, in order."""
        if self.highest < threshold:
            return []
        judge = Judge("evaluation", threshold, settings)
        drafts = [draft for one in self.seen for draft in judge.step(one)]
        drafts += judge.close(self.truth.frames / self.truth.fps, "stopped")
        return _alarms(drafts)

    def alarms_at(
        self, calibration: Calibration, alerts_per_day: float, settings: JudgeSettings
    ) -> list[Alarm]:
        """What a camera would announce that is watched at so many alerts a day, in order."""
        judge = CalibratedJudge("evaluation", calibration, alerts_per_day, settings)
        end_s = self.truth.frames / self.truth.fps
        return _alarms(judged(judge, self.seen, self.strange, end_s))


def _alarms(drafts: Sequence[EventDraft]) -> list[Alarm]:
    raised = [draft for draft in drafts if draft.type == "new"]
    ended = [draft for draft in drafts if draft.type == "end"]
    return [
        Alarm(new.start_time, new.time, float(end.end_time or 0.0))
        for new, end in zip(raised, ended, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a threshold gives on a whole test split.

    `alarms`: all of them; `false_alarms`: those of whose time nothing is anomalous. `found`: events
    that an alarm overlaps which was raised before they were over; `early`: of them, those before
    whose first frame it had been raised already. `delays_s`: of the others, from the first
    anomalous frame to the moment the alarm is raised.
    """

    alarms: int
    false_alarms: int
    found: int
    early: int
    delays_s: tuple[float, ...]

    def __add__(self, other: "Outcome") -> "Outcome":
        """Of both stretches of footage together."""
        return Outcome(
            self.alarms + other.alarms,
            self.false_alarms + other.false_alarms,
            self.found + other.found,
            self.early + other.early,
            self.delays_s + other.delays_s,
        )

    @property
    def median_delay_s(self) -> float | None:
        """None when nothing was found but early."""
        return float(np.median(self.delays_s)) if self.delays_s else None


def judge(
    entries: Sequence[JudgedEntry], threshold: float, settings: JudgeSettings | None = None
) -> Outcome:
    """What `threshold` gives on `entries`, each judged from its beginning."""
    settings = settings or JudgeSettings()
    return _outcome(entries, [entry.alarms(threshold, settings) for entry in entries])


def judge_at(
    entries: Sequence[JudgedEntry], calibration: Calibration, alerts_per_day: float
) -> Outcome:
    """What cameras watched at so many alerts a day give, each connected at its entry's start."""
    settings = JudgeSettings()
    return _outcome(
        entries, [entry.alarms_at(calibration, alerts_per_day, settings) for entry in entries]
    )


def _outcome(entries: Sequence[JudgedEntry], found_alarms: Sequence[list[Alarm]]) -> Outcome:
    outcome = Outcome(0, 0, 0, 0, ())
    for entry, alarms in zip(entries, found_alarms, strict=True):
        fps = entry.truth.fps
        events = [(start / fps, end / fps) for start, end in entry.truth.anomalous]
        outcome += outcome_of(alarms, events)
    return outcome


def outcome_of(alarms: Sequence[Alarm], events: Sequence[tuple[float, float]]) -> Outcome:
    """What alarms are worth on one stretch of footage in which `events` happen; all in seconds.

    Both ascending. An end is not part of its event.
    """
    found = early = false = 0
    delays: list[float] = []
    starts, ends = ([event[k] - _GRACE_S for event in events] for k in (0, 1))
    for alarm in alarms:
        first = bisect_right(ends, alarm.start_s)  # the first event that it may overlap
        false += first == len(events) or alarm.end_s < starts[first]
    alarm_ends = [alarm.end_s for alarm in alarms]
    for start_s, before_s, event in zip(starts, ends, events, strict=True):
        own = bisect_left(alarm_ends, start_s)
        while own < len(alarms) and alarms[own].start_s < before_s:
            if alarms[own].raised_s < before_s:
                break
            own += 1
        else:
            continue
        found += 1
        delay_s = alarms[own].raised_s - event[0]
        if delay_s < -_GRACE_S:
            early += 1
        else:
            delays.append(max(0.0, delay_s))
    return Outcome(len(alarms), false, found, early, tuple(delays))


def threshold_at(
    entries: Sequence[JudgedEntry],
    rates_per_hour: Sequence[float],
    normal_hours: float,
    settings: JudgeSettings | None = None,
) -> dict[float, tuple[float, Outcome]]:
    """The lowest threshold for each rate up to which no higher one gives more false alarms.

    To one per cent. From just above the highest normal score downwards; it stops at the first that
    gives too many: far below it everything becomes one long alarm that overlaps some event, which
    is no better.
    """
    settings = settings or JudgeSettings()
    best: dict[float, tuple[float, Outcome]] = {}
    left = set(rates_per_hour)
    for threshold in _candidates(entries, settings.leave_ratio):
        outcome = judge(entries, threshold, settings)
        left -= {rate for rate in left if outcome.false_alarms > rate * normal_hours + 1e-9}
        best |= dict.fromkeys(left, (threshold, outcome))
        if not left:
            break
    return best


def _candidates(entries: Sequence[JudgedEntry], leave_ratio: float) -> list[float]:
    """Thresholds to try, highest first: from just above the highest normal score downwards.

    Steps of `_STEP`, and of them only those beside which something changes: where the threshold, or
    the level at which an event is left, passes a score.
    """
    highest = 0.0
    scores: set[float] = set()
    for entry in entries:
        mask = entry.truth.mask()
        for one in entry.seen:
            scores.add(one.score)
            if not mask[round(one.utc_s * entry.truth.fps)]:
                highest = max(highest, one.score)
    top = max(float(np.nextafter(highest, np.inf)), _LOWEST)
    levels = np.array([level for s in scores for level in (s, s / leave_ratio)])
    levels = levels[(levels > 0) & (levels <= top)]
    steps = np.floor(np.log(top / levels) / np.log(_STEP)).astype(np.int64)
    tried = np.unique(np.concatenate([[0], steps, steps + 1]))
    return [max(top / _STEP**k, _LOWEST) for k in tried.tolist()]


def per_hour(count: int, hours: float) -> tuple[float | None, float | None]:
    """False alarms an hour, and their one-sided 95 % upper bound; None without footage."""
    if hours <= 0:
        return None, None
    return count / hours, poisson_upper(count) / hours
