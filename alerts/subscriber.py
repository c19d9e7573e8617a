"""A subscriber that misses nothing: iterate over the events of a running Sorawatch.

```python
with Subscriber("tcp://127.0.0.1:5556", "tcp://127.0.0.1:5557") as events:
    for event in events:
        print(format_event(event))
```
"""

import logging
import time
from collections import deque
from collections.abc import Collection, Iterator
from types import TracebackType
from typing import Self

import zmq

from alerts import wire
from alerts.curve import CurveClient
from alerts.event import Event
from alerts.text import format_event
from sorawatch import ConfigError

__all__ = ["Subscriber", "format_event"]

log = logging.getLogger(__name__)

_TRIES = 2


class Subscriber:
    """Events in order, each once. Not thread-safe.

    Invariant: every number up to `position` of `stream` has been given out, was not for these
    cameras, or is counted in `lost`.
    """

    def __init__(
        self,
        address: str,
        catch_up: str | None = None,
        *,
        cameras: Collection[str] | None = None,
        after: int | None = None,
        stream: str | None = None,
        curve: CurveClient | None = None,
        answer_timeout_s: float = 2.0,
    ) -> None:
        """Listen at `address` (`alerts.publish`), ask `catch_up` for what was missed.

        `cameras`: only these. `after`: begin after this number of `stream` (of whatever stream
        there is when None), 0 for everything that is kept; None begins with what comes. To go on
        where an earlier subscriber was, give its `position` and `stream`.
        """
        self._address = address
        self._catch_up = catch_up
        self._cameras = None if cameras is None else frozenset(cameras)
        self._curve = curve
        self._answer_timeout_s = answer_timeout_s
        self._ready: deque[Event] = deque()
        self._after = after
        self.stream = stream
        self.position: int | None = after if stream is not None else None
        self.available: bool | None = None
        self.lost = 0

    def next(self, timeout_s: float | None = None) -> Event | None:
        """The next event; None when none came within `timeout_s` (None waits for ever)."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._ready:
            if not self._listen(deadline_s):
                return None
        return self._ready.popleft()

    def wait_available(self, timeout_s: float) -> bool:
        """Wait until the program says that it publishes: from then on nothing is missed."""
        deadline_s = time.monotonic() + timeout_s
        while not self.available:
            if not self._listen(deadline_s):
                return False
        return True

    def events(self, timeout_s: float | None = None) -> Iterator[Event]:
        """Iterate until none comes for `timeout_s` (None: for ever)."""
        while (event := self.next(timeout_s)) is not None:
            yield event

    def __iter__(self) -> Iterator[Event]:
        """All events, for ever."""
        return self.events()

    def __enter__(self) -> Self:
        """Connect; whether anybody is there shows later. Raises ConfigError for a bad address."""
        self._context = zmq.Context[zmq.Socket[bytes]]()
        self._dealer: zmq.Socket[bytes] | None = None
        try:
            self._sub = self._connect(zmq.SUB, self._address)
            for topic in (b"events/", b"status/", wire.AVAILABLE):
                self._sub.subscribe(topic)
        except BaseException:
            self._context.destroy(linger=0)
            raise
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Disconnect."""
        self._context.destroy(linger=0)

    def _connect(self, kind: int, address: str) -> "zmq.Socket[bytes]":
        sock = self._context.socket(kind)
        sock.setsockopt(zmq.RCVHWM, 10_000)
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.RECONNECT_IVL, 100)
        sock.setsockopt(zmq.RECONNECT_IVL_MAX, 2_000)
        sock.setsockopt(zmq.HEARTBEAT_IVL, 5_000)
        sock.setsockopt(zmq.HEARTBEAT_TIMEOUT, 15_000)
        if "[" in address:
            sock.setsockopt(zmq.IPV6, 1)
        if self._curve is not None:
            self._curve.apply(sock)
        try:
            sock.connect(address)
        except zmq.ZMQError as exc:
            raise ConfigError(f"cannot listen to {address}: {exc}: write tcp://HOST:PORT") from exc
        return sock

    def _listen(self, deadline_s: float | None) -> bool:
        """Take in one message; False if none came by `deadline_s`."""
        if not self._sub.poll(_ms_until(deadline_s)):
            return False
        topic, *bodies = self._sub.recv_multipart()
        try:
            body = bodies[0] if len(bodies) == 1 else b""
            if topic == wire.AVAILABLE:
                word = wire.Available.parse(body)
                self.available = word.available
                self._reach(word.stream, word.seq, None)
            else:
                event = wire.decode(body)
                self._reach(event.stream, event.seq, event)
        except wire.WireError as exc:
            log.warning("a message on %r is passed over: %s", topic[:80], exc)
        return True

    def _reach(self, stream: str, seq: int, event: Event | None) -> None:
        """Number `seq` of `stream` exists, and is `event` if given: take in all up to it."""
        before = seq - 1 if event is not None else seq
        if self.position is None:
            self.position = before if self._after is None else min(self._after, before)
        elif stream != self.stream:
            log.warning("the outbox was replaced: following %s from its beginning", stream)
            self.position = 0
        self.stream = stream
        if before > self.position:
            self._fill(before)
        if event is not None and event.seq > self.position:
            self.position = event.seq
            self._take(event)

    def _fill(self, up_to: int) -> None:
        """Ask for what was missed, up to number `up_to` or beyond; what nobody has is lost."""
        assert self.position is not None  # noqa: S101 - _reach has set it
        while self.position < up_to:
            page = self._ask(self.position)
            if page is None or page.through <= self.position:
                missed = up_to - self.position
                log.warning("%d messages after %d were missed", missed, self.position)
                self.lost += missed
                self.position = up_to
                return
            if self._cameras is None and page.forgotten > self.position:
                gone = page.through - self.position - len(page.events)
                log.warning("%d messages after %d are no longer kept", gone, self.position)
                self.lost += gone
            for event in page.events:
                self._take(event)
            self.position = page.through

    def _take(self, event: Event) -> None:
        if self._cameras is None or event.camera in self._cameras:
            self._ready.append(event)

    def _ask(self, after: int) -> wire.Page | None:
        """One page of what comes after `after`; None when there is nobody to ask."""
        if self._catch_up is None:
            return None
        cameras = None if self._cameras is None else tuple(sorted(self._cameras))
        request = wire.CatchUpRequest(after=after, cameras=cameras, limit=wire.MAX_PAGE_MESSAGES)
        for _ in range(_TRIES):
            if self._dealer is None:
                self._dealer = self._connect(zmq.DEALER, self._catch_up)
            self._dealer.send(request.encode())
            if self._dealer.poll(round(self._answer_timeout_s * 1000)):
                try:
                    page = wire.decode_page(self._dealer.recv_multipart()[-1])
                except wire.WireError as exc:
                    log.warning("%s: %s", self._catch_up, exc)
                    return None
                if page.stream == self.stream and page.after == after:
                    return page
            # No answer, or one to an older question: begin anew with a fresh socket.
            self._dealer.close()
            self._dealer = None
        log.warning("%s does not answer", self._catch_up)
        return None


def _ms_until(deadline_s: float | None) -> int | None:
    return None if deadline_s is None else max(round((deadline_s - time.monotonic()) * 1000), 0)
