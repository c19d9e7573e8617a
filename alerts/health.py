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
from alerts.restraint import Unsteady

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
    "unsteady": "warning",
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
    "unsteady": "the camera comes and goes",
}
_UNSTEADY_TEXT: dict[str, str] = {
    "frozen": "the picture freezes again and again",
    "dark": "the picture goes black again and again",
    "tampered": "the view changes again and again",
}
_LIMITS: dict[str, int] = {"link": 1, "frozen": 2, "dark": 2, "tampered": 2}
"""How often each may begin within ten minutes before it is called unsteady."""

_REASON_TEXT = {
    "auth": "the camera refuses user name or password",
    "not_found": "the camera does not know this stream",
    "refused": "the camera refuses the connection",
    "timeout": "the camera does not answer",
    "codec": "the stream cannot be decoded",
    "ended": "the footage has ended",
}


def _group(state: HealthState) -> str:
    """What a state is steady or unsteady with."""
    return "link" if state in ("online", "offline", "stalled") else state


@dataclass(slots=True)
class _Open:
    start_s: float
    reason: str | None
    text: str | None = None


class HealthLog:
    """One camera's states as events. Call it as often as you like: only changes make events.

    At most one of online, stalled and offline is open; frozen, dark, tampered and learning may
    overlap them. When the camera leaves online, the conditions of its picture end as well: they
    have to be found again.

    What comes and goes is told as `unsteady`, once: the second loss of the camera within ten
    minutes, and the third time that its picture is frozen, dark or tampered with. What was told
    stays as it was told until nothing has changed for a minute; then it is set right. Not
    thread-safe.
    """

    def __init__(self, camera: str, provenance: Provenance | None = None) -> None:
        """`provenance` goes into every event."""
        self.camera = camera
        self._provenance = provenance or Provenance()
        self._open: dict[HealthState, _Open] = {}  # what lasts
        self._told: dict[HealthState, _Open] = {}  # what people were told that lasts
        self._ended: dict[HealthState, float] = {}  # when what was told ended, not told yet
        self._link: HealthState | None = None
        self._unsteady = {group: Unsteady(limit) for group, limit in _LIMITS.items()}

    @property
    def active(self) -> tuple[HealthState, ...]:
        """The states that last now, in the order in which they began."""
        return tuple(self._open)

    @property
    def unsteady(self) -> bool:
        """Whether something comes and goes."""
        return any(one.active for one in self._unsteady.values())

    def camera_state(self, state: LinkState, reason: str | None, utc_s: float) -> list[EventDraft]:
        """The camera is in `state` since `utc_s`; `reason` is one word, as in SourceError.

        `connecting` makes no event: until it succeeds, the camera is what it was.
        """
        if state == "connecting":
            return []
        if state == self._link:
            return self._reason(state, reason or None, utc_s)
        lost = self._link == "online"
        drafts = self._change("link", state if lost else None, utc_s, reason or None)
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
            if name not in self._open:
                return []
            return self._change(name, None, utc_s) + self._end(name, utc_s, "over")
        if name in self._open:
            return self._reason(name, reason, utc_s)
        drafts = self._change(name, name, utc_s)
        return drafts + self._begin(name, reason, utc_s, text)

    def tick(self, utc_s: float) -> list[EventDraft]:
        """Time has come to `utc_s`: what came and went may be steady. Call it once a second."""
        if not self.unsteady:
            return []
        drafts: list[EventDraft] = []
        for group, one in self._unsteady.items():
            if one.settle(utc_s):
                drafts += self._set_right(group, utc_s)
        if drafts or not self.unsteady:
            drafts += [] if self.unsteady else self._end("unsteady", utc_s, "over")
        return drafts

    def close(self, utc_s: float, ended_by: EndedBy = "stopped") -> list[EventDraft]:
        """End every state: the program stops, or the camera was taken out."""
        self._link = None
        drafts = []
        for state, told in list(self._told.items()):
            if state in self._ended or self._open.get(state) is not told:
                end_s = self._ended.pop(state, utc_s)
                drafts.append(self._tell_end(state, end_s, "over"))
            else:
                drafts.append(self._tell_end(state, utc_s, ended_by))
        self._open.clear()
        self._ended.clear()
        return drafts

    def _change(
        self, group: str, begins: HealthState | None, utc_s: float, reason: str | None = None
    ) -> list[EventDraft]:
        """Something of a group changes; tells it when that becomes too much."""
        one = self._unsteady.get(group)
        if one is None:
            return []
        was = self.unsteady
        one.change(utc_s, begins=begins is not None)
        if was or not self.unsteady:
            return []
        text = _UNSTEADY_TEXT.get(begins or "", _TEXT["unsteady"])
        return self._begin("unsteady", reason or begins, utc_s, text)

    def _set_right(self, group: str, utc_s: float) -> list[EventDraft]:
        """Tell what the states of a group are by now."""
        drafts = []
        for state in [state for state in self._told if _group(state) == group]:
            if self._open.get(state) is not self._told[state]:
                drafts.append(self._tell_end(state, self._ended.pop(state, utc_s), "over"))
        for state, opened in self._open.items():
            if _group(state) == group and state not in self._told:
                self._told[state] = opened
                drafts.append(self._draft("new", state, opened, utc_s))
        return drafts

    def _quiet(self, state: HealthState) -> bool:
        """Whether changes of a state are not told now."""
        one = self._unsteady.get(_group(state))
        return one is not None and one.active

    def _begin(
        self, state: HealthState, reason: str | None, utc_s: float, text: str | None = None
    ) -> list[EventDraft]:
        opened = self._open[state] = _Open(round(utc_s, 6), reason, text)
        if self._quiet(state):
            if state in self._told:  # as it was told: nothing to set right
                self._open[state] = self._told[state]
                self._ended.pop(state, None)
            return []
        self._told[state] = opened
        return [self._draft("new", state, opened, utc_s)]

    def _reason(self, state: HealthState, reason: str | None, utc_s: float) -> list[EventDraft]:
        opened = self._open[state]
        if reason == opened.reason:
            return []
        opened.reason = reason
        if self._quiet(state):
            return []
        return [self._draft("update", state, opened, utc_s)]

    def _end(self, state: HealthState, utc_s: float, ended_by: EndedBy) -> list[EventDraft]:
        opened = self._open.pop(state, None)
        if opened is None:
            return []
        if self._quiet(state):
            if state in self._told:
                self._ended[state] = utc_s
            return []
        return [self._tell_end(state, utc_s, ended_by)]

    def _tell_end(self, state: HealthState, utc_s: float, ended_by: EndedBy) -> EventDraft:
        return self._draft("end", state, self._told.pop(state), utc_s, ended_by)

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
