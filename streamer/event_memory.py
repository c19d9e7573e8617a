"""What the program still knows of recent events, so that it can be told that they were normal."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from detectors.detector import Recent
from detectors.normality import Normality
from detectors.teaching import Collector

MOST_EVENTS: Final = 100
"""So many events, of all cameras together, are remembered; the oldest are forgotten first."""

MOST_TOKENS: Final = 500
"""Of each kind in one of them, twice as many for a moment: about 100 KB an event, 200 at most."""


class EventMemory:
    """What was unusual in recent events, for as long as somebody may call them normal.

    Tokens, no pictures. Belongs to the analysis thread.
    """

    def __init__(self, most: int = MOST_EVENTS) -> None:
        """Nothing remembered."""
        self._most = most
        self._events: OrderedDict[str, Collector] = OrderedDict()

    def __len__(self) -> int:
        """Number of events."""
        return len(self._events)

    def keep(self, event_id: str, collector: Collector) -> None:
        """Remember an event; the collector may go on collecting."""
        self._events[event_id] = collector
        while len(self._events) > self._most:
            self._events.popitem(last=False)

    def of(self, event_id: str) -> Collector | None:
        """What was unusual in an event, None where that is not known any more."""
        return self._events.get(event_id)


class Recollection:
    """Collects what is unusual while one camera's judge follows something. Analysis thread."""

    def __init__(self, memory: EventMemory) -> None:
        """Events go to `memory` once they are told."""
        self._memory = memory
        self._since_s: float | None = None
        self._collector: Collector | None = None

    def see(
        self,
        normality: Normality,
        since_s: float | None,
        told: list[str],
        recent: Callable[[], tuple[Recent, ...]],
    ) -> None:
        """After every frame: since when something unusual goes on, and events told just now.

        `recent`: gives the newest frames, the newest last; asked only while something goes on.
        """
        if since_s is None:
            self._since_s = self._collector = None
            return
        frames = recent()
        if since_s != self._since_s or self._collector is None:
            self._since_s = since_s
            self._collector = Collector(normality, MOST_TOKENS)
        else:
            frames = frames[-1:]
        for frame in frames:
            self._collector.see(frame.observation, frame.figures)
        for event_id in told:
            self._memory.keep(event_id, self._collector)
