"""What the page knows of one camera: everything that it decides, draws and explains with."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from alerts.event import EventDraft
from alerts.judge import JudgeSettings
from detectors.drift_timeline import DriftTimeline
from streamer.deciding.redecide import Footage, Settings, redecide
from streamer.deciding.replayed import ReplayedCamera, ReplayedSource
from streamer.replay_report.kept import Kept, bands, columns
from streamer.replay_report.levels import Lifts, lifts, rates
from streamer.replay_report.pictures import Pictures
from streamer.trace.read import Words, read_columns
from streamer.trace.row import Gate
from streamer.trace.rows import RowReader

LOWEST_LEAVE: Final = 0.4
"""The lowest leave ratio that is offered, but where the camera has a lower one."""

_NEAR: Final = 0.8  # of the threshold: drawn frame by frame
_BANDS: Final = 200
_SHOWN_GATES: Final = (Gate.INVALID, Gate.TORN, Gate.OTHER_SIZE, Gate.FOREIGN, Gate.WHOLE)


@dataclass(frozen=True, slots=True)
class Room:
    """What one camera may take. `rows`: that decide, of all sources; `columns`: to draw a source;
    `levels`: lifted thresholds of all sources at numbers of alerts a day other than today's;
    `alerts`: of all sources; `facts`: what explains high scores of a source."""

    rows: int
    columns: int
    levels: int
    alerts: int
    facts: int


@dataclass
class _Source:
    kept: Kept
    closings: list[list[object]]
    lifts: list[Lifts | None]
    document: dict[str, Any]


class CameraDocument:
    """Made of a camera's sources one after the other; no more than one is in memory whole."""

    def __init__(
        self, camera: ReplayedCamera, room: Room, pictures: Pictures, chosen: Settings | None = None
    ) -> None:
        """`chosen`: what the page begins with, where that is not what it was replayed with."""
        self._camera, self._room, self._pictures = camera, room, pictures
        self._chosen = camera.today if chosen is None else chosen
        self._rates = rates(camera, self._chosen.alerts_per_day)
        leaves = (camera.today.judge.leave_ratio, self._chosen.judge.leave_ratio)
        self._lowest = min(LOWEST_LEAVE, *leaves)
        self._asked = [camera.calibration.threshold(rate).value for rate in self._rates]
        self._floor = min(self._asked) * self._lowest
        self._decides = True
        self._sources: list[_Source] = []
        self._levels_left, self._alerts_left = room.levels, room.alerts
        self._alerts = 0
        self._footage_s = 0.0

    def add(self, source: ReplayedSource, footage: Footage) -> None:
        """The next source. ReplayError where its trace cannot be read."""
        camera = self._camera
        rows = RowReader(source.path)  # that of the source would stay in memory
        today = self._rates.index(camera.today.alerts_per_day)
        hot = _NEAR * self._asked[today]
        about = self._room.rows // (4 * max(1, len(camera.sources)))
        kept = Kept.of(footage, self._floor, hot, about).wanted(
            camera.today.judge, lambda row: rows.region(footage.trace_row(row))
        )
        own, drafts = self._decide(footage, rows)
        start_s, end_s = source.start_utc_s, source.end_utc_s
        self._footage_s += max(0.0, end_s - start_s)
        low, high = columns(footage, start_s, end_s, self._room.columns)
        document: dict[str, Any] = {
            "name": source.name,
            "source": source.record.source,
            "start": start_s,
            "end": end_s,
            "low": _packed(low, "<f4"),
            "high": _packed(high, "<f4"),
            "bands": self._bands(source),
            "alerts": self._told(drafts),
            "facts": self._facts(rows, footage, kept),
        }
        closings: list[list[object]] = [list(one) for one in footage.closings]
        self._sources.append(_Source(kept, closings, own, document))
        self._keep_room()

    def document(self) -> dict[str, Any]:
        """All of it, as JSON holds it."""
        camera, judge = self._camera, self._camera.today.judge
        first = self._first_rate() if self._decides else len(self._rates) - 1
        return {
            "name": camera.name,
            "decides": self._decides,
            "today": _settings(camera.today),
            "chosen": _settings(self._chosen),
            "limited": bool(judge.zones) or judge.schedule is not None,
            "restrained": _restrained(judge),
            "lowest_leave": self._lowest,
            "rates": [self._rate(k) for k in range(first + 1)],
            "sources": [self._packed(one, first) for one in self._sources],
            "problems": [
                f"{record.source}: {record.problem or 'not replayed to its end'}"
                for record in camera.facts.sources
                if record.problem is not None or not record.complete
            ],
            "alerts": self._alerts,
            "footage_s": self._footage_s,
        }

    def _decide(
        self, footage: Footage, rows: RowReader
    ) -> tuple[list[Lifts | None], list[EventDraft]]:
        """The thresholds at every number of alerts a day, and what was told at today's."""
        camera = self._camera
        today = camera.today.alerts_per_day
        found: dict[float, Lifts | None] = {}
        drafts: list[EventDraft] = []
        for rate in sorted(self._rates, key=lambda one: abs(np.log(one / today))):
            timeline = DriftTimeline.of(footage.watched, camera.calibration, rate)
            found[rate] = self._lifts(footage, timeline, rate)
            if rate == today:
                drafts = redecide(
                    footage,
                    camera.calibration,
                    camera.today,
                    camera=camera.name,
                    facts=rows,
                    timeline=timeline,
                )
        return [found[rate] for rate in self._rates], drafts

    def _lifts(self, footage: Footage, timeline: DriftTimeline, rate: float) -> Lifts | None:
        wanted = (self._camera.today.alerts_per_day, self._chosen.alerts_per_day)
        most = None if rate in wanted else max(0, self._levels_left)
        found = lifts(footage, timeline, self._lowest, most)
        if most is not None and found:
            self._levels_left -= len(found)
        return found

    def _first_rate(self) -> int:
        """The highest number of alerts a day that the kept rows can decide on."""
        return max(k for k, asked in enumerate(self._asked) if k == 0 or self._fits(asked))

    def _fits(self, asked: float) -> bool:
        return asked * self._lowest >= self._floor

    def _keep_room(self) -> None:
        """Offer fewer alerts a day until the rows that decide are few enough."""
        today = self._rates.index(
            max(self._camera.today.alerts_per_day, self._chosen.alerts_per_day)
        )
        while sum(len(one.kept) for one in self._sources) > self._room.rows and self._decides:
            first = self._first_rate()
            if first > today:
                self._floor = self._asked[first - 1] * self._lowest
            else:
                self._decides, self._floor = False, np.inf
            for one in self._sources:
                one.kept = one.kept.above(self._floor)

    def _rate(self, k: int) -> dict[str, Any]:
        threshold = self._camera.calibration.threshold(self._rates[k])
        return {
            "rate": self._rates[k],
            "threshold": threshold.value,
            "text": threshold.text,
            "warning": threshold.warning,
        }

    def _packed(self, one: _Source, first: int) -> dict[str, Any]:
        return {
            **one.document,
            "row": _packed(one.kept.row, "<u4"),
            "utc_s": _packed(one.kept.utc_s, "<f8"),
            "score": _packed(one.kept.score, "<f8"),
            "closings": one.closings,
            "lifts": one.lifts[: first + 1],
        }

    def _told(self, drafts: Sequence[EventDraft]) -> list[dict[str, Any]]:
        """The alerts as replayed."""
        raised = {draft.id: draft for draft in drafts if draft.type == "new"}
        told = []
        for end in drafts:
            if end.type != "end":
                continue
            self._alerts += 1
            if self._alerts_left > 0:
                self._alerts_left -= 1
                told.append(
                    {
                        "id": end.id,
                        "start": end.start_time,
                        "raised": raised[end.id].time,
                        "end": end.end_time,
                        "score": end.score,
                        "threshold": raised[end.id].threshold,
                        "a_day": end.expected_per_day,
                        "text": end.explanation.text,
                        "parts": dict(end.explanation.parts),
                        "picture": self._pictures.of(end.id),
                    }
                )
        return told

    def _facts(self, rows: RowReader, footage: Footage, kept: Kept) -> list[list[object]]:
        """What explains the highest scores: (UTC, score, a day, text, parts)."""
        calibration = self._camera.calibration
        found: list[list[object]] = []
        for row in kept.peaks(min(self._asked), self._room.facts):
            one = rows.row(footage.trace_row(row))
            parts = {name: round(share, 3) for name, share in one.parts.items()}
            a_day = calibration.expected_per_day(one.score)
            found.append([one.utc_s, one.score, a_day, one.text, parts])
        return found

    def _bands(self, source: ReplayedSource) -> list[list[object]]:
        read = read_columns([source.path], ("utc_s", "gate", "conditions"))
        gates, conditions = read["gate"], read["conditions"]
        assert isinstance(gates, Words)  # noqa: S101 - both are columns of words
        assert isinstance(conditions, Words)  # noqa: S101
        names = [gate.value for gate in _SHOWN_GATES if gate in gates.words]
        held = [gates.are(name) for name in names]
        for one in sorted({word for words in conditions.words for word in words.split()}):
            if one not in names:
                names.append(one)
                held.append(conditions.are(*(w for w in conditions.words if one in w.split())))
        found = bands(np.asarray(read["utc_s"]), held, _BANDS)
        return [[start, end, names[k] if k >= 0 else "gap"] for start, end, k in found]


def _settings(settings: Settings) -> dict[str, float]:
    judge = settings.judge
    return {
        "alerts_per_day": settings.alerts_per_day,
        "leave_ratio": judge.leave_ratio,
        "min_length_s": judge.min_length_s,
        "merge_gap_s": judge.merge_gap_s,
        "cooldown_s": judge.cooldown_s,
    }


def _packed(values: NDArray[Any], kind: str) -> str:
    """Numbers as base64 of their little-endian bytes."""
    return base64.b64encode(values.astype(kind).tobytes()).decode()


def _restrained(judge: JudgeSettings) -> bool:
    """Whether it holds back what the page's judge, which knows no more than hysteresis and rests,
    would tell."""
    return (
        judge.cooldown != "interval"
        or judge.most_per_hour is not None
        or judge.alert_ratio != 1.0
        or any(zone.threshold_ratio != 1.0 for zone in judge.zones)
    )
