"""What stands in a camera's state topics, as its events tell it."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from alerts.event import Event


@dataclass(slots=True)
class CameraState:
    """One camera, as far as its events were seen. To tell it an event twice changes nothing.

    `alerts`: ids of events that are open. `states`: its health events that are open, in the order
    in which they began. `score`: of the newest event, the highest so far. `newest`: the JSON of
    the newest message that is not about the camera's health.
    """

    alerts: set[str] = field(default_factory=set)
    states: dict[str, str] = field(default_factory=dict)
    state: str | None = None
    score: float | None = None
    picture: str | None = None
    newest: bytes | None = None

    def see(self, event: Event, body: bytes) -> None:
        """Take in what an event tells; `body` is its JSON."""
        if event.kind == "health":
            self._see_health(event)
            return
        if event.type == "end":
            self.alerts.discard(event.id)
        else:
            self.alerts.add(event.id)
        self.newest = body
        if event.score is not None:
            self.score = event.score
        if event.snapshot is not None:
            self.picture = event.snapshot

    def _see_health(self, event: Event) -> None:
        if event.type == "end":
            self.states.pop(event.id, None)
        else:
            self.states[event.id] = event.state or "unknown"
        lasting = list(self.states.values())
        wrong = [state for state in lasting if state != "online"]
        if lasting:  # between two states it is what it was
            self.state = wrong[-1] if wrong else "online"

    def topics(self) -> Iterator[tuple[str, bytes]]:
        """Topics below the camera's, and what stands there; the picture aside.

        The alert comes last: whoever acts on it finds the rest in place.
        """
        if self.newest is not None:
            yield "newest", self.newest
        if self.score is not None:
            yield "score", f"{self.score:.4g}".encode()
        if self.state is not None:
            yield "state", self.state.encode()
        yield "alert", b"ON" if self.alerts else b"OFF"


def topic_word(text: str) -> str:
    """`text` as one level of a topic: without what MQTT keeps for itself."""
    return "".join("_" if c in "/+#$\0" else c for c in text)
