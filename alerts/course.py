"""The course of a stream at its subscriber: what came, what is missing, what to ask for.

No sockets and no clock in here, so that a program that waits and one that awaits share it.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Collection, Sequence

from alerts import wire
from alerts.event import Event

log = logging.getLogger(__name__)

RETRY_AFTER_S = 1.0
GIVE_UP_AFTER_S = 30.0  # of asking in vain while the program can be heard
_TRIES = 5
HELD = 10_000  # events that wait for what is missing before them; more are asked for again
REMEMBERED = 10_000  # beginnings and ends, to know a second one


class Course:
    """Events in order, each once, in `ready`. Not thread-safe.

    Invariant: every number up to `position` of `stream` is in `ready` or has been taken from it,
    was not for these cameras, or is counted in `lost`. Nothing after a gap is given out before
    the gap is filled, or given up: the program that is killed while it is asked is asked again.
    """

    def __init__(
        self,
        *,
        cameras: Collection[str] | None = None,
        after: int | None = None,
        stream: str | None = None,
        can_ask: bool = True,
    ) -> None:
        """As `Subscriber` takes them; `can_ask`: whether there is anybody to ask."""
        self._cameras = None if cameras is None else frozenset(cameras)
        self._after = after
        self._can_ask = can_ask
        self.ready: deque[Event] = deque()
        self.stream = stream
        self.position: int | None = after if stream is not None else None
        self.available: bool | None = None
        self.lost = 0
        self._target = 0  # the highest number that is known to exist
        self._held: deque[Event] = deque()
        self._told: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._failures = 0
        self._failing_since_s = self._retry_at_s = 0.0
        self._heard = False

    def hear(self, parts: Sequence[bytes]) -> None:
        """Take in a message as it was published; what is not understood is passed over."""
        self._heard = True
        body = parts[1] if len(parts) == 2 else b""
        try:
            if parts[0] == wire.AVAILABLE:
                word = wire.Available.parse(body)
                self.available = word.available
                self._reach(word.stream, word.seq)
            else:
                event = wire.decode(body)
                self._reach(event.stream, event.seq - 1)
                self._arrive(event)
        except wire.WireError as exc:
            log.warning("a message on %r is passed over: %s", parts[0][:80], exc)

    def question(self, mono_s: float) -> bytes | None:
        """What is to be asked at the catch-up socket now, if anything."""
        if not self._gap or mono_s < self._retry_at_s:
            return None
        assert self.position is not None  # noqa: S101 - there is a gap after it
        cameras = None if self._cameras is None else tuple(sorted(self._cameras))
        limit = wire.MAX_PAGE_MESSAGES
        return wire.CatchUpRequest(after=self.position, cameras=cameras, limit=limit).encode()

    @property
    def retry_at_s(self) -> float | None:
        """When `question` is to be looked at again; None while nothing is missing."""
        return self._retry_at_s if self._gap else None

    def answer(self, body: bytes, mono_s: float) -> None:
        """Take in a page; one that answers an older question counts as no answer."""
        try:
            page = wire.decode_page(body)
        except wire.WireError as exc:
            log.warning("%s", exc)
            self.no_answer(mono_s)
            return
        if page.stream != self.stream or page.after != self.position:
            self.no_answer(mono_s)
            return
        self._failures = 0
        self._retry_at_s = 0.0
        if page.through <= page.after:
            self._give_up()  # it knows of less than was published
            return
        if self._cameras is None and page.forgotten > page.after:
            gone = page.through - page.after - len(page.events)
            log.warning("%d messages after %d are no longer kept", gone, page.after)
            self.lost += gone
        for event in page.events:
            self._take(event)
        self.position = page.through
        while self._held and self._held[0].seq <= self.position + 1:
            event = self._held.popleft()
            if event.seq > self.position:
                self.position = event.seq
                self._take(event)

    def no_answer(self, mono_s: float) -> None:
        """Nobody answered the question: ask again after a while, as long as it makes sense."""
        if self._failures == 0:
            self._failing_since_s = mono_s
        self._failures += 1
        self._retry_at_s = mono_s + RETRY_AFTER_S
        waited_s = mono_s - self._failing_since_s
        if self._failures >= _TRIES and waited_s >= GIVE_UP_AFTER_S and self._heard:
            self._give_up()
        self._heard = False

    @property
    def _gap(self) -> bool:
        return self.position is not None and self.position < self._target

    def _reach(self, stream: str, seq: int) -> None:
        """All numbers of `stream` up to `seq` exist."""
        if self.position is None:
            self.position = seq if self._after is None else min(self._after, seq)
        elif stream != self.stream:
            log.warning("the outbox was replaced: following %s from its beginning", stream)
            self.position = self._target = 0
            self._held.clear()
        self.stream = stream
        self._target = max(self._target, seq)
        if not self._can_ask:
            self._give_up()

    def _arrive(self, event: Event) -> None:
        """Take `event`, or hold it until what is before it has come."""
        assert self.position is not None  # noqa: S101 - _reach has set it
        if event.seq <= self.position:
            return
        self._target = max(self._target, event.seq)
        if event.seq == self.position + 1:
            self.position = event.seq
            self._take(event)
        elif len(self._held) < HELD and (not self._held or event.seq > self._held[-1].seq):
            self._held.append(event)

    def _give_up(self) -> None:
        """What is missing is lost; what was held goes out."""
        assert self.position is not None  # noqa: S101 - called where it is known
        missing = 0
        while self._held:
            event = self._held.popleft()
            if event.seq > self.position:
                missing += event.seq - self.position - 1
                self.position = event.seq
                self._take(event)
        missing += max(self._target - self.position, 0)
        self.position = max(self._target, self.position)
        self._failures = 0
        if missing:
            log.warning("%d messages before %d were missed", missing, self.position + 1)
            self.lost += missing

    def _take(self, event: Event) -> None:
        if self._cameras is not None and event.camera not in self._cameras:
            return
        if event.type != "update":  # a beginning and an end come once, whatever the numbers say
            key = (event.id, event.type)
            if key in self._told:
                log.info("number %d repeats the %s of %s", event.seq, event.type, event.id)
                return
            self._told[key] = None
            if len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
        self.ready.append(event)
