"""One camera behind its ring: windows to the detector, scores to the judge, states to the log.

Live watching and replay share this; it reads no clock of its own. What the judge is given goes
through a `TraceRow`, live as well, so that deciding anew from a trace gives the same events.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from alerts.event import EndedBy, EventDraft, Provenance
from alerts.health import HealthLog
from detectors.detector import Detector
from detectors.drift import Drift
from detectors.normality import Normality
from detectors.score import Score
from detectors.tokens import grid_of
from sorawatch import NormalityError
from streamer.camera_health import CameraHealth, Condition, ConditionChange, HealthSettings
from streamer.capture.frame import FrameHeader, Validity
from streamer.capture.ring import FrameRing
from streamer.capture.states import CameraState, StateChange
from streamer.capture.windows import RingWindow, Walked, WindowCutter
from streamer.config import CameraConfig
from streamer.event_memory import EventMemory, Recollection
from streamer.evidence.snapshots import PeakPicture, Snapshots
from streamer.judging import CalibratedJudge, judge_settings, observation_of
from streamer.learning import Learning
from streamer.trace.row import PARTS, Gate, TraceRow, short

log = logging.getLogger(__name__)

WINDOW_FRAMES = 8

_SLOW_AFTER = 10
"""So many pictures in a row that nothing can be compared with, and the camera is too slow."""


_DECIDED = frozenset({"scene_changed", "drifted"})
"""Conditions that are no facts about the pictures: what is decided from a trace finds them anew."""


class Look(NamedTuple):
    """One frame that was walked: its window, None where it is invalid, and what is to be told."""

    header: FrameHeader
    seen: RingWindow | None
    drafts: list[EventDraft]


class CameraWatch:
    """Belongs to the analysis thread, as does all that it holds.

    `ring`: where its frames come from; the owner closes it. `conditions`: what is wrong with the
    picture now. `last`: the newest score; None while warming up or learning. `alerts`: anomaly
    events opened.
    `torn_windows`: windows overwritten while they were analysed, their scores dropped.
    """

    def __init__(
        self,
        name: str,
        config: CameraConfig,
        ring: FrameRing,
        detector: Detector,
        *,
        normality: Normality | None,
        provenance: Provenance,
        snapshots: Snapshots | None = None,
        follow: Callable[[float | None], None] | None = None,
        record: Callable[[TraceRow], None] | None = None,
        memory: EventMemory | None = None,
        key: str | None = None,
    ) -> None:
        """`config` is resolved. Without `normality` the camera learns first.

        `follow`: hears since when something unusual goes on, and None when it does no more.
        `record`: is given a row for every frame, once there is a normality. `memory`: of what was
        unusual in events, where somebody may call them normal. `key`: its name in the detector,
        where that is not the camera's.
        """
        self.name = name
        self.key = name if key is None else key
        self.config = config
        self.ring = ring
        self.cutter = WindowCutter(ring, WINDOW_FRAMES, 1.0 / config.detect.fps)
        self.state = StateChange(name, CameraState.CONNECTING, None, "", 0, 0.0)
        self.last: Score | None = None
        self.alerts = 0
        self.torn_windows = 0
        self.learning: Learning | None = None
        self.conditions: set[str] = set()
        self._newest_utc_s = 0.0
        self._alone = 0  # pictures in a row that had none before them in their window
        self._detector = detector
        self._provenance = provenance
        self._snapshots = snapshots
        self._follow = follow
        self._followed_s: float | None = None
        self._record = record
        self._recollection = None if memory is None else Recollection(memory)
        self._origin_ns: int | None = None  # of the media time that health goes by
        self._walked: Walked | None = None
        self._peak = PeakPicture()
        self._judge: CalibratedJudge | None = None
        self._told: Drift | None = None
        self._normality: Normality | None = None
        self._log = HealthLog(name, provenance)
        self._health = CameraHealth(
            HealthSettings(
                config.health.frozen_after_s,
                config.health.dark_after_s,
                config.health.tampered_after_s,
            )
        )
        if normality is None:
            self._learn()
        else:
            self._watch(normality)

    @property
    def threshold(self) -> float | None:
        """The score that opens an event; None while learning."""
        return None if self._judge is None else self._judge.threshold

    @property
    def calibration_warning(self) -> str | None:
        """What is wrong with the footage that it was calibrated on, None where nothing is."""
        return None if self._judge is None else self._judge.asked.warning

    @property
    def drift(self) -> str | None:
        """What is no longer as it was learned, one clause; None while all is."""
        return None if self._told is None else self._told.text

    @property
    def normality(self) -> Normality | None:
        """What it watches by; None while learning."""
        return self._normality

    @property
    def held_back(self) -> int:
        """Events that the cap per hour has held back since the start."""
        return 0 if self._judge is None else self._judge.held_back

    def teach(self, normality: Normality) -> None:
        """Watch by the same normality with other lessons, from the next frame on.

        What is open goes on, and ends of itself where it is normal now.
        """
        assert self._judge is not None  # noqa: S101 - it has learned
        self._normality = normality
        self._detector.teach(self.key, normality)
        self._judge.now_by(self._provenance.model_copy(update={"normal": normality.sha256}))

    @property
    def normal_sha256(self) -> str | None:
        """Of the normality that it watches by; None while learning."""
        return None if self._normality is None else self._normality.sha256

    @property
    def alerting(self) -> bool:
        """Whether an anomaly event is open."""
        return self._judge is not None and self._judge.open_event

    def look(self) -> Look | None:
        """Walk the next frame of the ring; None when there is none yet.

        A window that it gives is to be scored, and both given to `observe`, before the next look.
        """
        self._walked = walked = self.cutter.step()
        if walked is None:
            return None
        header = walked.header
        changes = self._health.look(
            frozen=header.validity is Validity.FROZEN,
            black=header.validity is Validity.BLACK,
            t_s=self._health_s(header),
        )
        drafts = self._conditions(changes, header.utc_ns / 1e9)
        drafts += self._log.tick(header.utc_ns / 1e9)
        if walked.seen is None:
            self._note(walked, Gate.INVALID)
        return Look(header, walked.seen, drafts)

    def observe(self, seen: RingWindow, score: Score | None) -> list[EventDraft]:
        """Take what the detector said of the window of the last look; what is to be told."""
        header, walked = seen.header, self._walked
        assert walked is not None  # noqa: S101 - there was a look
        assert walked.seen is seen  # noqa: S101 - and this came of it
        if not seen.intact():
            # What was read may be half of another frame: forget what was made of it.
            self.torn_windows += 1
            self._detector.reset(self.key)
            self._note(walked, Gate.TORN)
            return []
        self._newest_utc_s = utc_s = header.utc_ns / 1e9
        self._note_rate(seen.window.seq == 0)
        changes = self._health.view(seen.window.frames[-1], self._health_s(header))
        drafts = self._conditions(changes, utc_s)
        normality = self._normality
        if normality is not None and self._note_size(normality, seen.window.frames[-1].shape):
            self.last = None
            self._note(walked, Gate.OTHER_SIZE)
            return drafts
        self.last = score
        if score is None or self._judge is None or normality is None:
            return drafts
        row = self._note(walked, Gate(score.gate), score)
        made = self._judge.step(
            observation_of(row, normality.calibration), strange=self._detector.strange(self.key)
        )
        if self._recollection is not None:
            told = [draft.id for draft in made if draft.type == "new"]
            since_s = self._judge.following_since_s
            recent = partial(self._detector.recent, self.key)
            self._recollection.see(normality, since_s, told, recent)
        drafts += self._tell_drift(self._judge.drift, utc_s)
        self._tell_followed(self._judge)
        return drafts + self._pictured(made, score.value, seen)

    def _health_s(self, header: FrameHeader) -> float:
        """Media time since the first frame: the same footage gives the same digits."""
        if self._origin_ns is None:
            self._origin_ns = header.t_media_ns
        return (header.t_media_ns - self._origin_ns) / 1e9

    def _note(self, walked: Walked, gate: Gate, score: Score | None = None) -> TraceRow:
        """The row of a frame, recorded where that is wanted."""
        nothing = float("nan")
        row = TraceRow(
            frame=walked.header.number,
            generation=walked.generation,
            t_s=walked.t_s,
            utc_s=walked.header.utc_ns / 1e9,
            score=nothing if score is None else score.value,
            moving=nothing if score is None else score.moving,
            standing=nothing if score is None else score.standing,
            gate=gate,
            strange=self._detector.strange(self.key),
            changed=0.0 if score is None else short(self._detector.changed(self.key)),
            region=None if score is None else _short_region(score),
            text="" if score is None else score.text,
            parts={} if score is None else _short_parts(score),
            conditions=tuple(sorted(self.conditions - _DECIDED)),
            nearest_s=(
                None if score is None or score.nearest_s is None else short(score.nearest_s)
            ),
        )
        if self._record is not None and self._normality is not None:
            self._record(row)
        return row

    def change_state(self, change: StateChange) -> list[EventDraft]:
        """The camera went to another state; what was open about its picture ends with it."""
        self.state = change
        drafts = self._log.camera_state(change.state.value, change.reason, change.utc_s)
        if change.state in (CameraState.OFFLINE, CameraState.STALLED):
            self.last = None
            # What was learned does not fit better because the camera was away.
            self.conditions &= {"scene_changed", "drifted"}
            self._alone = 0
            self._health.restart()
            drafts += self._close_judge(change.utc_s, "camera_lost")
        return drafts

    def every_second(self, utc_s: float) -> list[EventDraft]:
        """What only time tells: learning that is done, a camera that is steady again."""
        online = self.state.state is CameraState.ONLINE
        drafts = [] if online else self._log.tick(utc_s)  # frames tell the time while they come
        return drafts if self.learning is None else drafts + self._learn_on(self.learning, utc_s)

    def close(self, utc_s: float, ended_by: EndedBy = "stopped") -> list[EventDraft]:
        """Stop watching: keep what was learned, end what is open."""
        if self.learning is not None:
            self.learning.close()
        self._detector.remove(self.key)
        return self._close_judge(utc_s, ended_by) + self._log.close(utc_s, ended_by)

    def _close_judge(self, utc_s: float, ended_by: EndedBy) -> list[EventDraft]:
        if self._judge is None:
            return []
        # It was last seen in the newest frame, whenever it was found that no more come.
        end_s = min(max(utc_s, self._newest_utc_s), self._newest_utc_s + 1)
        self._peak.forget()
        drafts = [self._with_picture(draft) for draft in self._judge.close(end_s, ended_by)]
        self._tell_followed(self._judge)
        return drafts

    def _tell_followed(self, judge: CalibratedJudge) -> None:
        since_s = judge.following_since_s
        if self._follow is not None and since_s != self._followed_s:
            self._followed_s = since_s
            self._follow(since_s)

    def _watch(self, normality: Normality) -> None:
        """Judge from now on by `normality`."""
        config = self.config
        self._normality = normality
        self._detector.add(self.key, normality)
        settings = judge_settings(config.judge)
        provenance = self._provenance.model_copy(update={"normal": normality.sha256})
        self._judge = CalibratedJudge(
            self.name, normality.calibration, config.alerts_per_day, settings, provenance
        )
        log.info("%s: %s", self.name, self._judge.asked.text)
        if self.calibration_warning is not None:
            log.warning("%s: %s", self.name, self.calibration_warning)

    def _learn(self) -> None:
        assert self.config.normal is not None  # noqa: S101 - resolve() has filled it in
        self.learning = Learning(
            self.name, self.config.normal, self.config.learn_for_s, encoder=self._detector.encoder
        )
        log.info(
            "%s: no normality file %s, learns for %.0f s first (%.0f %% done)",
            self.name,
            self.config.normal,
            self.config.learn_for_s,
            100 * self.learning.share,
        )
        self._detector.add(self.key, None, self.learning.fitter)

    def _learn_on(self, learning: Learning, utc_s: float) -> list[EventDraft]:
        normality = learning.step()
        if normality is None:
            return self._log.condition("learning", True, utc_s)
        log.info("%s: has learned what is normal: %s", self.name, learning.normal)
        self.learning = None
        self._watch(normality)
        return self._log.condition("learning", False, utc_s)

    def _note_rate(self, alone: bool) -> None:
        """Say it when pictures come so far apart that none can be compared with the one before.

        Nothing else would: such a camera is online, and never scored nor learned.
        """
        self._alone = self._alone + 1 if alone else 0
        if not alone:
            self.conditions.discard("slow")
        elif self._alone >= _SLOW_AFTER and "slow" not in self.conditions:
            self.conditions.add("slow")
            log.warning(
                "%s: too few pictures a second for detect.fps %g: nothing is scored or learned; "
                "set this camera's detect.fps to what it sends, 1 at the least",
                self.name,
                self.config.detect.fps,
            )

    def _note_size(self, normality: Normality, shape: tuple[int, ...]) -> bool:
        """Whether the pictures are not of the shape that was learned; that is logged once."""
        try:
            normality.facts.check_grid(grid_of(shape), self.config.normal or self.name)
        except NormalityError as exc:
            if "other_size" not in self.conditions:
                log.error("%s: nothing is scored: %s", self.name, exc)
            self.conditions.add("other_size")
        else:
            self.conditions.discard("other_size")
        return "other_size" in self.conditions

    def _tell_drift(self, now: Drift | None, utc_s: float) -> list[EventDraft]:
        """Say it once when the camera is no longer as it was learned, and when it is again."""
        if now == self._told:
            return []
        before, self._told, drafts = self._told, now, []
        if before is not None:
            log.info("%s: %s: over", self.name, before.kind)
            self.conditions.discard(before.kind)
            drafts += self._log.condition(before.kind, False, utc_s)
        if now is not None:
            log.warning("%s: %s: %s", self.name, now.kind, now.text)
            self.conditions.add(now.kind)
            drafts += self._log.condition(now.kind, True, utc_s, now.kind, now.text)
        return drafts

    def _conditions(self, changes: list[ConditionChange], utc_s: float) -> list[EventDraft]:
        drafts = []
        for change in changes:
            (self.conditions.add if change.active else self.conditions.discard)(change.condition)
            drafts += self._log.condition(change.condition.value, change.active, utc_s)
            if change.active and change.condition is Condition.DARK:
                # Black pictures are not scored, so nothing else would end what is open.
                drafts += self._close_judge(utc_s, "camera_lost")
        return drafts

    def _pictured(self, made: list[EventDraft], score: float, seen: RingWindow) -> list[EventDraft]:
        """The drafts with their pictures, where pictures are wanted."""
        self.alerts += sum(draft.type == "new" for draft in made)
        if self._snapshots is None or self._judge is None:
            return made
        for draft in made:
            if draft.type == "end":
                self._peak.forget()
            else:
                self._peak.see(score, seen.picture)
                if self._peak.picture is not None:
                    self._snapshots.write(draft, self._peak.picture)
        if self._judge.following:
            self._peak.see(score, seen.picture)
        else:
            self._peak.forget()
        return [self._with_picture(draft) for draft in made]

    def _with_picture(self, draft: EventDraft) -> EventDraft:
        """The draft with the picture that was last written for its event, if one was."""
        path = None if self._snapshots is None else self._snapshots.existing(draft)
        return draft if path is None else draft.model_copy(update={"snapshot": path})


def _short_region(score: Score) -> tuple[float, float, float, float] | None:
    if score.region is None:
        return None
    x, y, width, height = score.region
    return short(x), short(y), short(width), short(height)


def _short_parts(score: Score) -> dict[str, float]:
    """The parts above 0, in the order of `PARTS`."""
    shares = ((name, short(score.parts.get(name, 0.0))) for name in PARTS)
    return {name: share for name, share in shares if share > 0.0}
