"""An event: something happened at a camera, from its first message to its last.

The judge and the health log make drafts; the outbox gives each a number and makes it an `Event`,
which is what travels (docs/wire.md). Several messages tell one event: `new`, any number of
`update`, one `end`; they share `id` and `start_time`.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

SCHEMA: Literal["sorawatch.event/1"] = "sorawatch.event/1"

EventType = Literal["new", "update", "end"]
Kind = Literal["anomaly", "health"]
Severity = Literal["alert", "warning", "info"]
HealthState = Literal[
    "online",
    "offline",
    "stalled",
    "frozen",
    "dark",
    "tampered",
    "learning",
    "scene_changed",
    "drifted",
    "unsteady",
    "outbox",
]
EndedBy = Literal["over", "camera_lost", "stopped", "interrupted"]

PROGRAM = "@program"
"""Stands for a camera in health events of the program itself; no camera can be called so."""

# What the first version of the schema promised; later fields are optional to those who read.
_PROMISED = (
    *("schema", "stream", "seq", "type", "id", "camera", "kind", "severity"),
    *("start_time", "end_time", "score", "threshold", "expected_per_day", "region"),
    *("explanation", "snapshot", "clip", "model", "normal", "config"),
)


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Region(_Value):
    """A rectangle as shares of the picture, origin at the top left."""

    x: float = Field(ge=0, le=1)
    y: float = Field(ge=0, le=1)
    width: float = Field(ge=0, le=1)
    height: float = Field(ge=0, le=1)

    @classmethod
    def clipped(cls, shares: tuple[float, float, float, float]) -> Self:
        """The part of (x, y, width, height) that lies in the picture, to 4 decimals."""
        x, y, width, height = shares
        left, top = (min(max(edge, 0.0), 1.0) for edge in (x, y))
        right, bottom = (min(max(edge, 0.0), 1.0) for edge in (x + width, y + height))
        sides = (left, top, max(right - left, 0.0), max(bottom - top, 0.0))
        x, y, width, height = (round(side, 4) for side in sides)
        return cls(x=x, y=y, width=width, height=height)


class Explanation(_Value):
    """What is unusual, for people: a short clause, and the share of each part in the score."""

    text: str = Field(max_length=1000)
    parts: Mapping[str, float] = Field(default_factory=dict)


class HeldBack(_Value):
    """What the cap per hour has held back before this event. Times are UTC seconds."""

    count: int = Field(ge=1, description="events that were not told")
    since: float = Field(description="first unusual frame of the first of them")
    until: float = Field(description="last unusual frame of the last of them")
    highest: float = Field(description="the highest score among them")


class _Facts(_Value):
    """What a draft and an event have in common. Times are UTC seconds."""

    type: EventType
    id: str = Field(min_length=1, max_length=64, description="<start_time>-<6 hex digits>")
    camera: str = Field(pattern=r"^[^/\x00-\x1f\x7f]{1,100}$")
    kind: str = Field(description="anomaly or health; others may come")
    severity: str = Field(description="alert, warning or info; others may come")
    time: float | None = Field(default=None, description="the moment that this message tells of")
    start_time: float = Field(description="the first unusual frame, or the start of the state")
    end_time: float | None = Field(default=None, description="null while the event is open")
    score: float | None = Field(
        default=None, description="of the worst moment so far; null for health"
    )
    threshold: float | None = Field(default=None, description="the score that starts an event")
    expected_per_day: float | None = Field(
        default=None, ge=0, description="how often normal footage reaches this score"
    )
    region: Region | None = Field(default=None, description="where, when the score was highest")
    explanation: Explanation
    state: str | None = Field(
        default=None,
        description="of a health event: online, offline, stalled, frozen, dark, tampered, "
        "scene_changed, drifted, unsteady, learning or outbox; others may come",
    )
    reason: str | None = Field(default=None, description="of a health event: why, in one word")
    ended_by: str | None = Field(
        default=None,
        description="of an end: over, camera_lost, stopped (the program did) or interrupted "
        "(the program was killed; end_time is when it was last known to live)",
    )
    held_back: HeldBack | None = Field(
        default=None, description="what the cap per hour held back since the event before"
    )
    snapshot: str | None = Field(default=None, description="path or URL of a picture")
    clip: str | None = Field(default=None, description="path or URL of a film")
    model: str | None = Field(default=None, description="SHA-256 of the encoder file")
    normal: str | None = Field(default=None, description="SHA-256 of the normality file")
    config: str | None = Field(default=None, description="SHA-256 of the configuration")


class EventDraft(_Facts):
    """A message about an event before it has a number: what judge and health log give."""

    kind: Kind
    severity: Severity
    time: float
    state: HealthState | None = None
    ended_by: EndedBy | None = None


class _Number(_Value):
    schema_: Literal["sorawatch.event/1"] = Field(default=SCHEMA, alias="schema")
    stream: str = Field(min_length=1, max_length=64, description="id of the outbox")
    seq: int = Field(ge=1, description="+1 for each message of this stream, without gaps")


class Event(_Facts, _Number):
    """A message about an event as it travels. Build one with `of`; read one with `wire.decode`."""

    @classmethod
    def of(cls, draft: EventDraft, stream: str, seq: int) -> Self:
        """The message `seq` of `stream`."""
        return cls(stream=stream, seq=seq, **draft.model_dump())


class Provenance(_Value):
    """What an event was decided with: SHA-256 of encoder, normality file and configuration."""

    model: str | None = None
    normal: str | None = None
    config: str | None = None


def event_id(camera: str, kind: Kind, state: str | None, start_time: float) -> str:
    """`<start_time>-<6 hex digits>`: the same for the same start, so that replay agrees."""
    start = f"{start_time:.6f}"
    facts = "\0".join((camera, kind, state or "", start))
    return f"{start}-{hashlib.sha256(facts.encode()).hexdigest()[:6]}"


def event_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of an event on the wire. Fields that it does not name may come."""
    schema = Event.model_json_schema(by_alias=True)
    for part in (schema, *schema["$defs"].values()):
        part.pop("additionalProperties", None)
    schema["required"] = list(_PROMISED)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:sorawatch:event:1",
        **schema,
        "title": SCHEMA,
    }
