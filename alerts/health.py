"""Camera health as events: each state is an event that lasts as long as the state does."""

from dataclasses import dataclass
from typing import Literal

from alerts.event import (
    EndedBy,
    EventDraft,
    EventType,
    Explanation,
    HealthState,
    Provenance,
    Severity,
    event_id,
)

LinkState = Literal["connecting", "online", "stalled", "offline"]
Condition = Literal["frozen", "dark", "tampered", "learning", "scene_changed", "drifted", "outbox"]

# What can only be seen in the picture ends with the picture.
_OF_THE_PICTURE: frozenset[HealthState] = frozenset({"frozen", "dark", "tampered"})

_SEVERITY: dict[HealthState, Severity] = {
    "online": "info",
    "learning": "info",
    "offline": "warning",
    "stalled": "warning",
    "frozen": "warning",
    "dark": "warning",
    "tampered": "warning",
    "scene_changed": "warning",
    "drifted": "warning",
    "outbox": "warning",
}
_TEXT: dict[HealthState, str] = {
    "online": "the camera sends pictures",
    "offline": "the camera cannot be reached",
    "stalled": "the camera has stopped sending pictures",
    "frozen": "the picture stands still",
    "dark": "the picture is black",
    "tampered": "the view has changed or is covered",
    "learning": "learning what is normal here",
    "scene_changed": "the picture is not of the scene that was learned",
    "outbox": "alerts cannot be stored, and are kept in memory",
    "drifted": "far more is unusual than was to be expected",
}
_REASON_TEXT = {
    "auth": "the camera refuses user name or password",
    "not_found": "the camera does not know this stream",
    "refused": "the camera refuses the connection",
    "timeout": "the camera does not answer",
    "codec": "the stream cannot be decoded",
    "ended": "the footage has ended",
}


@dataclass(slots=True)
class _Open:
    start_s: float
    reason: str | None
    text: str | None = None


class HealthLog:
    """One camera's states as events. Call it as often as you like: only changes make events.

    At most one of online, stalled and offline is open; frozen, dark, tampered and learning may
    overlap them. When the camera leaves online, the conditions of its picture end as well: they
    have to be found again. Not thread-safe.
    """

    def __init__(self, camera: str, provenance: Provenance | None = None) -> None:
        """`provenance` goes into every event."""
        self.camera = camera
        self._provenance = provenance or Provenance()
        self._open: dict[HealthState, _Open] = {}
        self._link: HealthState | None = None

    @property
    def active(self) -> tuple[HealthState, ...]:
        """The states that last now, in the order in which they began."""
        return tuple(self._open)

    def camera_state(self, state: LinkState, reason: str | None, utc_s: float) -> list[EventDraft]:
        """The camera is in `state` since `utc_s`; `reason` is one word, as in SourceError.

        `connecting` makes no event: until it succeeds, the camera is what it was.
        """
        if state == "connecting":
            return []
        if state == self._link:
            return self._reason(state, reason or None, utc_s)
        drafts: list[EventDraft] = []
        for old in self.active:
            if old == self._link or (state != "online" and old in _OF_THE_PICTURE):
                drafts += self._end(old, utc_s, "over" if old == self._link else "camera_lost")
        self._link = state
        return drafts + self._begin(state, reason or None, utc_s)

    def condition(
        self,
        name: Condition,
        active: bool,
        utc_s: float,
        reason: str | None = None,
        text: str | None = None,
    ) -> list[EventDraft]:
        """The condition `name` holds, or does not, at `utc_s`.

        `text`: tells people more than its name does; that of its beginning stays.
        """
        if not active:
            return self._end(name, utc_s, "over")
        if name in self._open:
            return self._reason(name, reason, utc_s)
        return self._begin(name, reason, utc_s, text)

    def close(self, utc_s: float, ended_by: EndedBy = "stopped") -> list[EventDraft]:
        """End every state: the program stops, or the camera was taken out."""
        self._link = None
        return [draft for state in self.active for draft in self._end(state, utc_s, ended_by)]

    def _begin(
        self, state: HealthState, reason: str | None, utc_s: float, text: str | None = None
    ) -> list[EventDraft]:
        opened = self._open[state] = _Open(round(utc_s, 6), reason, text)
        return [self._draft("new", state, opened, utc_s)]

    def _reason(self, state: HealthState, reason: str | None, utc_s: float) -> list[EventDraft]:
        opened = self._open[state]
        if reason == opened.reason:
            return []
        opened.reason = reason
        return [self._draft("update", state, opened, utc_s)]

    def _end(self, state: HealthState, utc_s: float, ended_by: EndedBy) -> list[EventDraft]:
        opened = self._open.pop(state, None)
        if opened is None:
            return []
        return [self._draft("end", state, opened, utc_s, ended_by)]

    def _draft(
        self,
        type_: EventType,
        state: HealthState,
        opened: _Open,
        utc_s: float,
        ended_by: EndedBy | None = None,
    ) -> EventDraft:
        time_s = max(
            round(utc_s, 6), opened.start_s
        )  # a clock that was set back ends no event early
        return EventDraft(
            type=type_,
            id=event_id(self.camera, "health", state, opened.start_s),
            camera=self.camera,
            kind="health",
            severity=_SEVERITY[state],
            time=time_s,
            start_time=opened.start_s,
            end_time=None if ended_by is None else time_s,
            explanation=Explanation(
                text=opened.text or _REASON_TEXT.get(opened.reason or "", _TEXT[state])
            ),
            state=state,
            reason=opened.reason,
            ended_by=ended_by,
            **self._provenance.model_dump(),
        )
