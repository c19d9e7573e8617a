"""From stored scores to events, message for message what `CalibratedJudge` gives, in little time.

Nearly all of a week's rows cannot change anything: nothing unusual is followed and the score does
not reach the threshold. Those that do are found in whole arrays, the levels of the drift watch
too; the judge itself steps through them and through what follows them until nothing unusual goes
on. A test holds this equal to stepping through every row.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from alerts.event import EndedBy, EventDraft, Provenance
from alerts.judge import LONGEST_SILENCE_S, Idle, Judge, JudgeSettings, Observation
from detectors.calibration import Calibration
from detectors.drift_timeline import DriftTimeline
from detectors.watched import Watched
from streamer.judging import LONGEST_STEP_S, calibrated, observation_of
from streamer.trace.row import TraceRow

_FIRST_LOOK: Final = 64
_EARLY_S: Final = 1e-3  # near the end of a gap the judge itself is asked

_CLOSED_AFTER_S: Final = 1.0
"""What is open when the camera goes away was seen in the newest frame, a second longer at most."""


class Closing(NamedTuple):
    """What is open ends before the row `before` is judged, at `utc_s`."""

    before: int
    utc_s: float
    ended_by: EndedBy = "camera_lost"


class Facts(Protocol):
    """What a trace knows of single rows."""

    def row(self, row: int, /) -> TraceRow:
        """One row of the trace."""

    def region(self, row: int, /) -> tuple[float, float, float, float] | None:
        """Its region alone."""


@dataclass(frozen=True)
class Footage:
    """What one judge was given, from its first row to its last.

    `utc_s`, `score`, `strange`: (n,) of the rows that have a score, in order. `closings`: when it
    was told that the camera had gone, in order. `rows`: (n,) the row of the trace that each is;
    None where every row has a score.
    """

    utc_s: NDArray[np.float64]
    score: NDArray[np.float64]
    strange: NDArray[np.bool_]
    closings: tuple[Closing, ...] = ()
    rows: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        """Number of rows that have a score."""
        return len(self.score)

    @classmethod
    def of(
        cls,
        utc_s: NDArray[np.float64],
        score: NDArray[np.float64],
        strange: NDArray[np.bool_],
        dark: NDArray[np.bool_],
        unseen: NDArray[np.bool_],
        end_utc_s: float,
    ) -> "Footage":
        """From the columns of a trace, (m,) each; `score` is NaN where there is none.

        `dark`: whether the picture is called dark. `unseen`: whether nothing was seen of the frame
        (its gate is invalid or torn). `end_utc_s`: when the footage ends.
        """
        scored = ~np.isnan(score)
        closings = []
        for row in [*np.flatnonzero(dark[1:] & ~dark[:-1]) + 1, len(utc_s)]:
            seen = row - 1
            while seen >= 0 and unseen[seen]:
                seen -= 1
            if seen < 0:
                continue  # nothing can be open
            last, newest_s = row == len(utc_s), float(utc_s[seen])
            now_s = end_utc_s if last else float(utc_s[row])
            at_s = min(max(now_s, newest_s), newest_s + _CLOSED_AFTER_S)
            before = int(np.count_nonzero(scored[:row]))
            closings.append(Closing(before, at_s, "stopped" if last else "camera_lost"))
        if scored.all():
            return cls(utc_s, score, strange, tuple(closings))
        return cls(
            utc_s[scored],
            score[scored],
            strange[scored],
            tuple(closings),
            np.flatnonzero(scored),
        )

    def trace_row(self, row: int) -> int:
        """The row of the trace that a row with a score is."""
        return row if self.rows is None else self.rows.item(row)

    @cached_property
    def watched(self) -> Watched:
        """What the drift watch sees, whatever the calibration."""
        n = len(self)
        passed_s = np.diff(self.utc_s, prepend=self.utc_s[0]) if n else np.zeros(0)
        return Watched.of(self.score, np.clip(passed_s, 0.0, LONGEST_STEP_S), self.strange)

    @cached_property
    def breaks(self) -> NDArray[np.int64]:
        """Rows before which nothing was seen for long, or whose time is before that of the row
        before."""
        step_s = np.diff(self.utc_s)
        return np.flatnonzero((step_s < 0) | (step_s > LONGEST_SILENCE_S)) + 1

    @cached_property
    def back(self) -> NDArray[np.int64]:
        """Rows whose time is before that of the row before."""
        return np.flatnonzero(np.diff(self.utc_s) < 0) + 1


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator can choose: how many alerts a day, and how the judge makes events."""

    alerts_per_day: float = 1.0
    judge: JudgeSettings = field(default_factory=JudgeSettings)


def redecide(
    footage: Footage,
    calibration: Calibration,
    settings: Settings,
    *,
    camera: str = "camera",
    facts: Facts | None = None,
    provenance: Provenance | None = None,
    timeline: DriftTimeline | None = None,
) -> list[EventDraft]:
    """Every message that a camera with these settings would have given of `footage`, in order.

    `facts`: where explanations and regions come from; without, events have times and scores alone,
    and zones cannot be decided on (ValueError). `timeline`: that of `footage` at this
    `alerts_per_day`, where it is known already.
    """
    if settings.judge.zones and facts is None:
        raise ValueError("zones need to know the region of a row")
    if timeline is None:
        timeline = DriftTimeline.of(footage.watched, calibration, settings.alerts_per_day)
    rules = calibrated(settings.judge, calibration, settings.alerts_per_day)
    judge = Judge(camera, timeline.limits.asked, rules, provenance)
    return Pass(footage, calibration, judge, timeline, facts).run()


class Pass:
    """One pass of a judge over footage; `judge` is then as it was after its last row."""

    def __init__(
        self,
        footage: Footage,
        calibration: Calibration,
        judge: Judge,
        timeline: DriftTimeline,
        facts: Facts | None,
    ) -> None:
        """`timeline`: that of `footage`, or of longer footage that begins like it."""
        self._footage = footage
        self._calibration = calibration
        self.judge = judge
        self._timeline = timeline
        self._facts = facts
        self._breaks: list[int] = footage.breaks.tolist()
        self._whole: tuple[int, Observation] | None = None  # of the row that was last asked for
        self._drafts: list[EventDraft] = []

    def run(self) -> list[EventDraft]:
        """Every message, in order; once."""
        reaching: Any = self._timeline.reaching(self.judge.settings.least_ratio)
        if len(self._footage.back):
            reaching = np.union1d(reaching, self._footage.back)
        wakes: list[int] = reaching.tolist()
        start = 0
        for closing in (*self._footage.closings, None):
            end = len(self._footage) if closing is None else closing.before
            if end > start:
                self._span(wakes, start, end)
                start = end
            if closing is not None:
                self._drafts += self.judge.close(closing.utc_s, closing.ended_by)
        return self._drafts

    def _span(self, wakes: list[int], start: int, end: int) -> None:
        """Rows from `start` up to `end`, not included."""
        row = wake = start  # the first is always stepped: it may lie before the last closing
        at = bisect_left(wakes, start)
        while wake < end:
            if wake > row:
                self._pass_over(wake - 1)
            row = self._follow(wake, end)
            at = bisect_left(wakes, row, at)
            wake = wakes[at] if at < len(wakes) else end
        if row < end:
            self._pass_over(end - 1)

    def _pass_over(self, row: int) -> None:
        """Tell the judge how far nothing was unusual."""
        self.judge.pass_over(self._footage.utc_s.item(row))

    def _follow(self, row: int, end: int) -> int:
        """Step from `row` on until nothing unusual goes on; the row after."""
        judge, rows, lifted = self.judge, self._timeline.rows, -1
        while True:
            if row >= lifted:
                segment = self._timeline.segment(row)
                judge.move_threshold(self._timeline.level(segment))
                lifted = rows[segment + 1] if segment + 1 < len(rows) else len(self._footage)
            seen = _Row(self, row, self._footage.utc_s.item(row), self._footage.score.item(row))
            self._drafts += judge.step(seen)
            row += 1
            if row >= end or not judge.following:
                return row
            idle = judge.idle
            if idle is not None:
                row = self._skip(idle, row, min(lifted, end))
                if row >= end:
                    return row

    def _skip(self, idle: Idle, row: int, limit: int) -> int:
        """The first row from `row` on that may change something, `limit` at most."""
        footage, breaks = self._footage, self._breaks
        at = bisect_left(breaks, row)
        limit = min(limit, breaks[at]) if at < len(breaks) else limit
        first, length = row, _FIRST_LOOK
        while first < limit:
            last = min(limit, first + length)
            score = footage.score[first:last]
            tells = (score < idle.low) | (score >= idle.high)
            if idle.until_s < math.inf:
                tells |= footage.utc_s[first:last] >= idle.until_s - _EARLY_S
            if tells.any():
                limit = first + int(tells.argmax())
                break
            first, length = last, 4 * length
        if limit > row:
            self._pass_over(limit - 1)
            return limit
        return row

    def whole(self, row: int) -> Observation:
        """All that is known of a row; its time and score alone without facts."""
        if self._whole is None or self._whole[0] != row:
            self._whole = (row, self._look_up(row))
        return self._whole[1]

    def _look_up(self, row: int) -> Observation:
        if self._facts is None:
            utc_s, score = self._footage.utc_s.item(row), self._footage.score.item(row)
            return Observation(utc_s, score, None, {}, "", None)
        trace_row = self._facts.row(self._footage.trace_row(row))
        return observation_of(trace_row, self._calibration)

    def region(self, row: int) -> tuple[float, float, float, float] | None:
        """The region of a row; None without facts."""
        return None if self._facts is None else self._facts.region(self._footage.trace_row(row))


class _Row:
    """What the judge is given of a row; looked up when it asks for more than time and score."""

    __slots__ = ("_of", "_row", "score", "utc_s")

    def __init__(self, of: Pass, row: int, utc_s: float, score: float) -> None:
        self._of = of
        self._row = row
        self.utc_s = utc_s
        self.score = score

    @property
    def region(self) -> tuple[float, float, float, float] | None:
        return self._of.region(self._row)

    @property
    def parts(self) -> Mapping[str, float]:
        return self._of.whole(self._row).parts

    @property
    def text(self) -> str:
        return self._of.whole(self._row).text

    @property
    def expected_per_day(self) -> float | None:
        return self._of.whole(self._row).expected_per_day
