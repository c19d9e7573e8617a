"""`sorawatch explain`: why something was told at one moment, or why nothing was."""

from bisect import bisect_right
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from alerts.judge import Judge, JudgeState
from alerts.restraint import Hold
from alerts.wanted import held_back, threshold_ratio
from detectors.calibration import Calibration, duration
from detectors.drift import FLOOD
from detectors.drift_timeline import DriftTimeline
from sorawatch import ConfigError
from streamer.deciding.moment import spoken, utc
from streamer.deciding.redecide import Footage, Pass
from streamer.deciding.replayed import ReplayedCamera, ReplayedSource
from streamer.judging import calibrated, observation_of
from streamer.trace.row import Gate, TraceRow

_FARTHEST_S: Final = 5.0
"""A moment without a frame for so long is not in the footage."""

_BESIDE_S: Final = 10.0
_SAID: Final = {
    Gate.SCORED: "something changed, or stands out",
    Gate.STILL: "nothing changed; what was unusual fades",
    Gate.WHOLE: "(nearly) all of the picture changed at once, as when a lamp is switched",
    Gate.FOREIGN: "the picture is of another scene than the one that was learned",
    Gate.WARMING: "there was no frame before it to compare with",
    Gate.OTHER_SIZE: "pictures of another size than those learned from are not scored",
    Gate.TORN: "it was overwritten while it was analysed",
    Gate.INVALID: "the picture does not show the scene (black, grey or smeared)",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A gate on the way to an alert: its name, whether it let the moment pass, and why."""

    name: str
    passed: bool
    text: str


@dataclass(frozen=True, slots=True)
class Explained:
    """One moment of one camera. `steps`: the gates in order, the last the one that stopped it, if
    any did. `nearest`: when, in the footage that was learned from, what is most like it was seen;
    None where nothing is unusual. `threshold`: what held then; `asked`: without drift. `event`:
    start of the event that it belongs to. `higher`: a row beside it with a higher score."""

    camera: str
    source: str
    row: TraceRow
    into_s: float
    threshold: float
    asked: float
    expected_per_day: float | None
    compared: str
    nearest: str | None
    drift: str | None
    steps: tuple[Step, ...]
    event_utc_s: float | None
    higher: tuple[float, float] | None

    @property
    def alert(self) -> bool:
        """Whether it belongs to an event that was told."""
        return all(step.passed for step in self.steps)

    @property
    def stopped_by(self) -> str | None:
        """The gate that stopped it."""
        return next((step.name for step in self.steps if not step.passed), None)

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        row = self.row
        scored = row.score == row.score
        return {
            "camera": self.camera,
            "source": self.source,
            "source_s": round(self.into_s, 3),
            "utc": utc(row.utc_s),
            "time": row.utc_s,
            "frame": row.frame,
            "score": row.score if scored else None,
            "moving": row.moving if scored else None,
            "standing": row.standing if scored else None,
            "parts": {name: round(share, 4) for name, share in row.parts.items()},
            "region": None if row.region is None else [round(side, 4) for side in row.region],
            "text": row.text,
            "gate": row.gate.value,
            "conditions": list(row.conditions),
            "threshold": self.threshold,
            "asked_threshold": self.asked,
            "expected_per_day": self.expected_per_day,
            "compared_with": self.compared,
            "nearest_normal": self.nearest,
            "drift": self.drift,
            "gates": [
                {"gate": step.name, "passed": step.passed, "text": step.text} for step in self.steps
            ],
            "alert": self.alert,
            "stopped_by": self.stopped_by,
            "event_start": self.event_utc_s,
            "higher_beside": None
            if self.higher is None
            else {"time": self.higher[0], "score": self.higher[1]},
        }


class _Outcome(NamedTuple):
    """How long what is followed lasted, when it was first told of, until when the camera rested,
    and what held it back last."""

    lasted_s: float
    told_s: float | None
    rest_s: float
    held: Hold | None


def source_at(camera: ReplayedCamera, at_s: float) -> ReplayedSource:
    """The source that holds a moment. ConfigError says when there is footage."""
    for after_s in (0.0, _FARTHEST_S):  # the next source may begin where this one ends
        for source in camera.sources:
            if source.start_utc_s - 1e-3 <= at_s <= source.end_utc_s + after_s:
                return source
    when = "; ".join(f"{utc(s.start_utc_s)} to {utc(s.end_utc_s)}" for s in camera.sources[:3])
    more = f" and {len(camera.sources) - 3} more" if len(camera.sources) > 3 else ""
    raise ConfigError(f"{camera.name} has no footage of {utc(at_s)}: it has {when or 'none'}{more}")


def explain(camera: ReplayedCamera, at_s: float) -> Explained:
    """The frame that was shown at `at_s`, UTC seconds, and its way through the gates.

    ConfigError where there is no footage of it, ReplayError where the trace cannot be read.
    """
    source = source_at(camera, at_s)
    times_s, footage = source.times_s(), source.footage()
    number = max(0, int(np.searchsorted(times_s, at_s + 1e-6, side="right")) - 1)
    if not len(times_s) or abs(float(times_s[number]) - at_s) > _FARTHEST_S:
        raise ConfigError(f"{camera.name} has no frame within {_FARTHEST_S:g} s of {utc(at_s)}")
    return _Explainer(camera, source, footage).at(number)


class _Explainer:
    def __init__(self, camera: ReplayedCamera, source: ReplayedSource, footage: Footage) -> None:
        self._camera = camera
        self._source = source
        self._footage = footage
        today = camera.today
        self._rules = calibrated(today.judge, camera.calibration, today.alerts_per_day)
        self._timeline = DriftTimeline.of(
            footage.watched, camera.calibration, camera.today.alerts_per_day
        )
        self._drifted = False

    def at(self, number: int) -> Explained:
        """Of the row `number` of the trace."""
        row = self._source.facts.row(number)
        scored = row.score == row.score
        place = (
            number if self._footage.rows is None
            else int(np.searchsorted(self._footage.rows, number))
        )  # fmt: skip
        known = min(place, len(self._footage) - 1)
        segment = self._timeline.segment(max(known, 0))
        threshold, asked = self._timeline.level(segment), self._timeline.limits.asked
        drift = self._timeline.drift(known) if known >= 0 else None
        self._drifted = drift is not None
        steps = [Step("scored", scored, _SAID[row.gate])]
        event_s = None
        if scored:
            more, event_s = self._judge(row, place, threshold, asked)
            steps += more
        stopped = [k for k, step in enumerate(steps) if not step.passed]
        calibration = self._camera.calibration
        return Explained(
            camera=self._camera.name,
            source=self._source.name,
            row=row,
            into_s=row.utc_s - self._source.start_utc_s,
            threshold=threshold,
            asked=asked,
            expected_per_day=calibration.expected_per_day(row.score) if scored else None,
            compared=_compared(row, calibration) if scored else "",
            nearest=None if row.nearest_s is None else self._camera.learned.moment(row.nearest_s),
            drift=None if drift is None else drift.text,
            steps=tuple(steps[: stopped[0] + 1] if stopped else steps),
            event_utc_s=event_s,
            higher=self._higher(row) if scored else None,
        )

    def _judge(
        self, row: TraceRow, place: int, threshold: float, asked: float
    ) -> tuple[list[Step], float | None]:
        """The judge's gates, and the start of the event that the row belongs to."""
        judge = self._before(place)
        was = judge.state
        judge.move_threshold(threshold)
        judge.step(observation_of(row, self._camera.calibration))
        now = judge.state
        ratio = threshold_ratio(self._rules.zones, row.region)
        steps = [self._above(row, was, threshold * ratio, asked * ratio)]
        for name, why in (
            ("zone", held_back(self._rules.zones, None, row.region, row.utc_s)),
            ("schedule", held_back((), self._rules.schedule, None, row.utc_s)),
        ):
            given = self._rules.zones if name == "zone" else self._rules.schedule
            steps.append(Step(name, why is None, why or ("it lets pass" if given else "none set")))
        if now.start_s is None or not all(step.passed for step in steps):
            return steps, None
        outcome = self._outcome(judge, place)
        return [*steps, *self._told(row, now, outcome)], now.start_s

    def _told(self, row: TraceRow, now: JudgeState, outcome: "_Outcome") -> list[Step]:
        """The gates of time: length, cooldown, cap, merging."""
        assert now.start_s is not None  # noqa: S101 - something is followed
        lasted_s, told_s, rest_s, held = outcome
        least_s, told = self._rules.min_length_s, told_s is not None
        long_enough = told or lasted_s >= least_s - 1e-6
        length = Step(
            "long enough",
            long_enough,
            f"it lasted {lasted_s:.1f} s, {least_s:g} s are needed (min_length_s)",
        )
        resting = not told and held != "cap" and rest_s > now.start_s
        rest = Step(
            "cooldown",
            not resting,
            f"the camera rested until {spoken(rest_s)}, after the event before (cooldown_s)"
            if resting
            else "the camera was not resting any more",
        )
        gates = [length, rest]
        if self._rules.most_per_hour is not None:
            most = f"{self._rules.most_per_hour} (most_per_hour) events were told within the hour"
            text = most if held == "cap" and not told else f"fewer than {most}, or less severe ones"
            gates.append(Step("cap", told or held != "cap", text))
        if told_s is None:
            return gates
        begun = f"the event that began at {spoken(now.start_s)}, told at {spoken(told_s)}"
        if told_s < row.utc_s:
            merged = "" if now.unusual else ", in a gap that is bridged (merge_gap_s)"
            return [*gates, Step("merged", True, f"it belongs to {begun}{merged}")]
        return [*gates, Step("told", True, f"it is of {begun}")]

    def _above(self, row: TraceRow, was: JudgeState, threshold: float, asked: float) -> Step:
        """Whether the score is enough: to begin, or to go on."""
        leave = threshold * self._rules.leave_ratio
        rate = f"{self._camera.today.alerts_per_day:g} a day"
        if row.score >= threshold:
            text = f"{row.score:.2f} reaches {threshold:.2f} ({rate})"
            return Step("above the threshold", True, text)
        if was.unusual and row.score >= leave:
            text = f"{row.score:.2f} is enough to go on: {leave:.2f} (leave_ratio)"
            return Step("above the threshold", True, text)
        if was.announced_s is not None and was.last_s is not None:
            gap_s = row.utc_s - was.last_s
            if gap_s <= self._rules.merge_gap_s:
                text = f"{row.score:.2f} is below {threshold:.2f}, the event waits for more"
                return Step("above the threshold", False, text)
        if row.score >= asked:
            why = "drift" if self._drifted else f"more alerts than {FLOOD:g} times that lately"
            text = (
                f"{row.score:.2f} reaches {asked:.2f} ({rate}), but {why} lifted the threshold to "
                f"{threshold:.2f}"
            )
            return Step("threshold lifted", False, text)
        at = self._camera.calibration.expected_per_day(row.score)
        text = f"{row.score:.2f} is below {threshold:.2f} ({rate}); it would do at {at:.2g} a day"
        return Step("above the threshold", False, text)

    def _before(self, place: int) -> Judge:
        """The judge as it was before a row with a score."""
        whole = self._footage
        begun = Footage(
            whole.utc_s[:place],
            whole.score[:place],
            whole.strange[:place],
            tuple(one for one in whole.closings if one.before <= place and one.before < len(whole)),
            None if whole.rows is None else whole.rows[:place],
        )
        judge = Judge(self._camera.name, self._timeline.limits.asked, self._rules)
        facts = self._source.facts if self._rules.zones else None
        Pass(begun, self._camera.calibration, judge, self._timeline, facts).run()
        return judge

    def _outcome(self, judge: Judge, place: int) -> "_Outcome":
        """What became of what is followed."""
        start_s = judge.state.start_s
        told_s, last_s = judge.state.announced_s, judge.state.last_s
        rest_s, held = judge.state.rest_until_s, judge.state.held
        if told_s is not None:
            told_s = self._first_told(start_s, told_s)
        ends = [one.before for one in self._footage.closings if one.before > place]
        end = min([len(self._footage), *ends])
        for row in range(place + 1, end):
            judge.move_threshold(self._timeline.level(self._timeline.segment(row)))
            seen = self._source.facts.row(self._footage.trace_row(row))
            drafts = judge.step(observation_of(seen, self._camera.calibration))
            if told_s is None and any(draft.type == "new" for draft in drafts):
                told_s = seen.utc_s
            if told_s is not None or judge.state.start_s != start_s:
                break
            last_s, held = judge.state.last_s, judge.state.held
            rest_s = judge.state.rest_until_s
        lasted_s = (last_s or 0.0) - (start_s or 0.0)
        return _Outcome(lasted_s, told_s, rest_s, held)

    def _first_told(self, start_s: float | None, told_s: float) -> float:
        """When an open event was announced: its newest message may be an update."""
        if start_s is None:
            return told_s
        rows = self._footage.utc_s
        first = int(np.searchsorted(rows, start_s + self._rules.min_length_s - 1e-6))
        return min(told_s, float(rows[min(first, len(rows) - 1)]))

    def _higher(self, row: TraceRow) -> tuple[float, float] | None:
        """Time and score of the highest within some seconds, where it is higher than this."""
        times_s = self._footage.utc_s
        first = int(np.searchsorted(times_s, row.utc_s - _BESIDE_S))
        last = bisect_right(times_s, row.utc_s + _BESIDE_S)
        beside = self._footage.score[first:last]
        if not len(beside) or float(beside.max()) <= row.score:
            return None
        at = first + int(beside.argmax())
        return float(times_s[at]), float(beside.max())


def _compared(row: TraceRow, calibration: Calibration) -> str:
    """What the score is held against."""
    peaks, learned = calibration.peaks, duration(calibration.footage_s)
    above = len(peaks) - int(np.searchsorted(peaks, row.score, side="left"))
    if not len(peaks):
        return f"nothing stood out in the {learned} of normal footage"
    highest = float(peaks[-1])
    if not above:
        return (
            f"nothing in the {learned} of normal footage reached it; the highest was {highest:.2f}"
        )
    nearest = float(peaks[np.abs(peaks - row.score).argmin()])
    return (
        f"{above} of the {len(peaks)} most unusual moments in {learned} of normal footage reach "
        f"it; the nearest scored {nearest:.2f}, the highest {highest:.2f}"
    )
