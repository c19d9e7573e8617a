"""Restraint: when an event is not told, or not yet, so that people go on reading those that are.

Pure functions of what they are given; no clock is read. `Restraint` is the judge's: cooldown and a
cap per hour, through both of which a rise in severity goes. `Unsteady` is the health log's: what
comes and goes is told as that, once.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from alerts.event import HeldBack

HOUR_S: Final = 3600.0
GRACE_S: Final = 1e-6
"""Frame times are sums of periods like 0.2 s: lengths are compared with this much grace."""

Hold = Literal["cooldown", "cap"]

RECENT_S: Final = 600.0
"""So far back it counts how often a state came."""

STEADY_S: Final = 60.0
"""What came and went and has not changed for so long is steady."""


@dataclass(slots=True)
class _Told:
    at_s: float
    severe: bool


class Restraint:
    """One camera's restraint about events. Not thread-safe.

    An event is of two severities. It is held back by the cooldown after an event of its own
    severity or a higher one, and by the cap when so many of its own severity or higher ones were
    told within the hour: so alerts go through what warnings have used up, and never the other way.

    `held`: how many events the cap has held back, ever.
    """

    def __init__(
        self,
        cooldown_s: float,
        *,
        idle: bool = False,
        most_per_hour: int | None = None,
        merge_gap_s: float = 0.0,
    ) -> None:
        """`cooldown_s` after an event's end; `idle`: counted anew from whatever is unusual.

        `merge_gap_s`: what is held back within this of what was held back before is the same.
        """
        self._cooldown_s = cooldown_s
        self._idle = idle
        self._most = most_per_hour
        self._merge_gap_s = merge_gap_s
        self._rest_severe = False
        self._told: deque[_Told] = deque()
        self._held: HeldBack | None = None
        self.rest_until_s = float("-inf")
        self.held = 0

    def stir(self, now_s: float) -> None:
        """Something is unusual that has not been told: where the cooldown asks for idle time, it
        begins anew."""
        if self._idle and now_s < self.rest_until_s - GRACE_S:
            self.rest_until_s = now_s + self._cooldown_s

    def hold(self, now_s: float, *, severe: bool) -> Hold | None:
        """What keeps an event of this severity from being told now; None where nothing does."""
        if now_s < self.rest_until_s - GRACE_S and (self._rest_severe or not severe):
            return "cooldown"
        if self._most is None:
            return None
        while self._told and now_s - self._told[0].at_s >= HOUR_S - GRACE_S:
            self._told.popleft()
        count = sum(one.severe or not severe for one in self._told)
        return "cap" if count >= self._most else None

    def tell(self, now_s: float, *, severe: bool) -> HeldBack | None:
        """An event is told; what was held back since the one before."""
        if self._most is not None:
            self._told.append(_Told(now_s, severe))
        held, self._held = self._held, None
        return held

    def rise(self) -> None:
        """The event that was told last is severe by now."""
        if self._told:
            self._told[-1].severe = True

    def end(self, end_s: float, *, severe: bool) -> None:
        """The event that was told ended: the camera rests."""
        self.rest_until_s = end_s + self._cooldown_s
        self._rest_severe = severe

    def keep_back(self, start_s: float, end_s: float, score: float) -> None:
        """The cap has held back an event that is over now."""
        before, count = self._held, 1
        if before is not None:
            again = start_s - before.until <= self._merge_gap_s + GRACE_S
            count = before.count + (not again)
            start_s, score = before.since, max(before.highest, score)
            self.held += not again
        else:
            self.held += 1
        since, until = round(start_s, 6), round(end_s, 6)
        self._held = HeldBack(count=count, since=since, until=until, highest=score)

    def set_back(self, now_s: float) -> None:
        """The clock was set back to `now_s`: nothing waits for a time that is hours ahead."""
        self.rest_until_s = min(self.rest_until_s, now_s + self._cooldown_s)
        for one in self._told:
            one.at_s = min(one.at_s, now_s)


class Unsteady:
    """Whether something comes and goes so often that telling each time helps nobody.

    `limit`: so many beginnings within `RECENT_S` are told; with the next it is unsteady, until
    nothing has changed for `STEADY_S`.
    """

    def __init__(self, limit: int) -> None:
        """Steady."""
        self._limit = limit
        self._began: deque[float] = deque()
        self._changed_s = float("-inf")
        self.active = False

    def change(self, utc_s: float, *, begins: bool) -> None:
        """It changed; `begins`: to what is not as it should be."""
        if utc_s < self._changed_s:  # the clock was set back
            self._began = deque(min(at_s, utc_s) for at_s in self._began)
        self._changed_s = utc_s
        if not begins:
            return
        while self._began and utc_s - self._began[0] > RECENT_S:
            self._began.popleft()
        self._began.append(utc_s)
        if len(self._began) > self._limit:
            self._began.popleft()
            self.active = True

    def settle(self, utc_s: float) -> bool:
        """Whether it is steady again, said once."""
        if not self.active:
            return False
        if utc_s < self._changed_s:
            self._changed_s = utc_s
        if utc_s - self._changed_s < STEADY_S:
            return False
        self.active = False
        return True
