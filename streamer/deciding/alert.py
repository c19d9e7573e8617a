"""What an operator sees of an event that was decided on: one line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from alerts.event import EventDraft
from streamer.deciding.moment import utc
from streamer.deciding.redecide import Footage, Settings, redecide
from streamer.deciding.replayed import ReplayedCamera, ReplayedSource


@dataclass(frozen=True, slots=True)
class Alert:
    """One event from its first message to its last; times are UTC seconds.

    `raised_utc_s`: when it was announced. `score`: the highest; `threshold`: the one it reached.
    `source`: the name of what it is in.
    """

    camera: str
    source: str
    id: str
    start_utc_s: float
    raised_utc_s: float
    end_utc_s: float
    score: float
    threshold: float
    expected_per_day: float | None
    text: str

    @property
    def margin(self) -> float:
        """How many times the threshold its score is, >= 1 but where the threshold has moved."""
        return self.score / self.threshold

    def overlaps(self, other: "Alert", grace_s: float = 0.0) -> bool:
        """Whether both are of the same camera and of the same time."""
        return (
            self.camera == other.camera
            and self.start_utc_s <= other.end_utc_s + grace_s
            and other.start_utc_s <= self.end_utc_s + grace_s
        )

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "camera": self.camera,
            "source": self.source,
            "id": self.id,
            "start_utc": utc(self.start_utc_s),
            "start_time": self.start_utc_s,
            "raised_time": self.raised_utc_s,
            "end_time": self.end_utc_s,
            "score": round(self.score, 4),
            "threshold": round(self.threshold, 4),
            "expected_per_day": self.expected_per_day,
            "text": self.text,
        }


def decided(
    camera: ReplayedCamera,
    source: ReplayedSource,
    settings: Settings,
    *,
    footage: Footage | None = None,
) -> list[Alert]:
    """The alerts that `settings` give in one source, whose `footage` may be at hand already."""
    drafts = redecide(
        source.footage() if footage is None else footage,
        camera.calibration,
        settings,
        camera=camera.name,
        facts=source.facts,
        provenance=camera.provenance,
    )
    return alerts_of(drafts, source.name)


def alerts_of(drafts: Sequence[EventDraft], source: str) -> list[Alert]:
    """Events out of their messages, in order of announcement."""
    began = {draft.id: draft for draft in drafts if draft.type == "new"}
    found = []
    for end in drafts:
        if end.type != "end" or end.id not in began:
            continue
        new = began[end.id]
        found.append(
            Alert(
                camera=end.camera,
                source=source,
                id=end.id,
                start_utc_s=end.start_time,
                raised_utc_s=new.time,
                end_utc_s=end.start_time if end.end_time is None else end.end_time,
                score=end.score or 0.0,
                threshold=new.threshold or 1.0,
                expected_per_day=end.expected_per_day,
                text=end.explanation.text,
            )
        )
    return found
