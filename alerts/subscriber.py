"""Subscribers that miss nothing: iterate over the events of a running Sorawatch.

```python
with Subscriber("tcp://127.0.0.1:5556", "tcp://127.0.0.1:5557", position="hall.place") as events:
    for event in events:
        print(format_event(event))
```

`AsyncSubscriber` is the same for asyncio.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Collection, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import zmq
import zmq.asyncio

from alerts import wire
from alerts.course import Course
from alerts.curve import CurveClient
from alerts.event import Event
from alerts.place import Place
from alerts.text import format_event
from sorawatch import ConfigError

__all__ = ["AsyncSubscriber", "Subscriber", "format_event"]


class _Listener:
    """What both kinds share: options, sockets, and what is to be done when."""

    def __init__(
        self,
        address: str,
        catch_up: str | None = None,
        *,
        cameras: Collection[str] | None = None,
        after: int | None = None,
        stream: str | None = None,
        position: str | Path | None = None,
        curve: CurveClient | None = None,
        answer_timeout_s: float = 2.0,
    ) -> None:
        """Listen at `address` (`alerts.publish`), ask `catch_up` for what was missed.

        `cameras`: only these. `after`: begin after this number of `stream` (of whatever stream
        there is when None), 0 for everything that is kept; None begins with what comes.
        `position`: a file that remembers how far this subscriber has come; where it exists, it
        goes on from there, whatever `after` says. An event counts as done when the next one is
        asked for, or the subscriber is left without an error.
        """
        self._address = address
        self._catch_up = catch_up
        self._curve = curve
        self._answer_timeout_s = answer_timeout_s
        self._place = None if position is None else Place(Path(position))
        self._cameras = cameras
        self._course = self._begin(after, stream)
        self._out: Event | None = None
        self._answer_by_s: float | None = None  # while a question is out

    @property
    def stream(self) -> str | None:
        """Id of the outbox that is followed; None until it is known."""
        return self._course.stream

    @property
    def position(self) -> int | None:
        """All up to this number has been given out or is ready to be."""
        return self._course.position

    @property
    def available(self) -> bool | None:
        """Whether the program says that it publishes; None until it has said anything."""
        return self._course.available

    @property
    def lost(self) -> int:
        """Messages that nobody has any more, or nobody could be asked for."""
        return self._course.lost

    def _connect(self, context: Any, kind: int, address: str) -> Any:
        sock = context.socket(kind)
        sock.setsockopt(zmq.RCVHWM, 10_000)
        sock.setsockopt(zmq.LINGER, 0)
        sock.setsockopt(zmq.RECONNECT_IVL, 100)
        sock.setsockopt(zmq.RECONNECT_IVL_MAX, 2_000)
        sock.setsockopt(zmq.HEARTBEAT_IVL, 5_000)
        sock.setsockopt(zmq.HEARTBEAT_TIMEOUT, 15_000)
        if "[" in address:
            sock.setsockopt(zmq.IPV6, 1)
        try:
            if self._curve is not None:
                self._curve.apply(sock)
            sock.connect(address)
        except zmq.ZMQError as exc:
            sock.close()
            raise ConfigError(f"cannot listen to {address}: {exc}: write tcp://HOST:PORT") from exc
        return sock

    def _begin(self, after: int | None, stream: str | None) -> Course:
        return Course(
            cameras=self._cameras,
            after=after,
            stream=stream,
            can_ask=self._catch_up is not None,
        )

    def _open(self, context: Any, poller: Any) -> Any:
        if self._place is not None and (found := self._place.open()) is not None:
            stream, after = found
            self._course = self._begin(after, stream)
        sub = self._connect(context, zmq.SUB, self._address)
        for topic in (b"events/", b"status/", wire.AVAILABLE):
            sub.subscribe(topic)
        poller.register(sub, zmq.POLLIN)
        return sub

    def _question(self) -> bytes | None:
        """What to ask now, if anything; the answer is waited for from now on."""
        if self._answer_by_s is not None:
            return None
        now_s = time.monotonic()
        question = self._course.question(now_s)
        if question is not None:
            self._answer_by_s = now_s + self._answer_timeout_s
        return question

    def _patience_ms(self, deadline_s: float | None) -> int | None:
        """How long to wait for a message before there is something else to do."""
        ends = (deadline_s, self._answer_by_s or self._course.retry_at_s)
        first_s = min((end for end in ends if end is not None), default=None)
        if first_s is None:
            return None
        return max(math.ceil((first_s - time.monotonic()) * 1000), 0)

    def _overdue(self) -> bool:
        """Whether an answer has not come in time."""
        return self._answer_by_s is not None and time.monotonic() >= self._answer_by_s

    def _answered(self, parts: list[bytes] | None) -> None:
        """The answer, or None if there was none."""
        self._answer_by_s = None
        now_s = time.monotonic()
        if parts is None:
            self._course.no_answer(now_s)
        else:
            self._course.answer(parts[-1], now_s)

    def _give(self) -> Event:
        self._out = self._course.ready.popleft()
        return self._out

    def _close(self, context: Any, *, done: bool) -> None:
        context.destroy(linger=0)
        if self._place is not None:
            try:
                if done:
                    self._settle(sync=True)
            finally:
                self._place.close()

    def _settle(self, *, sync: bool = False) -> None:
        """What was given out is done: remember it."""
        if self._place is None:
            return
        if not self._course.ready:
            if self.stream is not None and self.position is not None:
                self._place.save(self.stream, self.position, sync=sync)
        elif self._out is not None:
            self._place.save(self._out.stream, self._out.seq, sync=sync)


class Subscriber(_Listener):
    """Events in order, each once. A context manager. Not thread-safe.

    Invariant: every number up to `position` of `stream` has been given out, was not for these
    cameras, or is counted in `lost`.
    """

    def next(self, timeout_s: float | None = None) -> Event | None:
        """The next event; None when none came within `timeout_s` (None waits for ever)."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        self._settle()
        while not self._course.ready:
            if not self._listen(deadline_s):
                return None
        return self._give()

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
        """Connect; whether anybody is there shows later.

        Raises ConfigError for a bad address, and for a position that cannot be used.
        """
        self._context = zmq.Context[zmq.Socket[bytes]]()
        self._poller = zmq.Poller()
        self._dealer: zmq.Socket[bytes] | None = None
        try:
            self._sub = self._open(self._context, self._poller)
        except BaseException:
            self._close(self._context, done=False)
            raise
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Disconnect. Raises ResourceError when the position cannot be stored."""
        self._close(self._context, done=type_ is None)

    def _listen(self, deadline_s: float | None) -> bool:
        """Take in what comes; False if nothing did by `deadline_s`."""
        if (question := self._question()) is not None:
            if self._dealer is None:
                self._dealer = self._connect(self._context, zmq.DEALER, self._catch_up or "")
                self._poller.register(self._dealer, zmq.POLLIN)
            self._dealer.send(question)
        came = dict(self._poller.poll(self._patience_ms(deadline_s)))
        if self._sub in came:
            self._course.hear(self._sub.recv_multipart())
            if self._out is None:
                self._settle()
        if self._dealer is not None and self._dealer in came:
            self._answered(self._dealer.recv_multipart())
        elif self._dealer is not None and self._overdue():
            self._poller.unregister(self._dealer)
            self._dealer.close()  # a late answer to this question is nobody's
            self._dealer = None
            self._answered(None)
        return bool(came) or deadline_s is None or time.monotonic() < deadline_s


class AsyncSubscriber(_Listener):
    """`Subscriber` for asyncio: `async with`, `async for`, `await next()`. For one task."""

    async def next(self, timeout_s: float | None = None) -> Event | None:
        """The next event; None when none came within `timeout_s` (None waits for ever)."""
        deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
        await self._settle_aside()
        while not self._course.ready:
            if not await self._listen(deadline_s):
                return None
        return self._give()

    async def wait_available(self, timeout_s: float) -> bool:
        """Wait until the program says that it publishes: from then on nothing is missed."""
        deadline_s = time.monotonic() + timeout_s
        while not self.available:
            if not await self._listen(deadline_s):
                return False
        return True

    async def events(self, timeout_s: float | None = None) -> AsyncIterator[Event]:
        """Iterate until none comes for `timeout_s` (None: for ever)."""
        while (event := await self.next(timeout_s)) is not None:
            yield event

    def __aiter__(self) -> AsyncIterator[Event]:
        """All events, for ever."""
        return self.events()

    async def __aenter__(self) -> Self:
        """Connect; whether anybody is there shows later.

        Raises ConfigError for a bad address, and for a position that cannot be used.
        """
        self._context = zmq.asyncio.Context()
        self._poller = zmq.asyncio.Poller()
        self._dealer: zmq.asyncio.Socket | None = None
        try:
            self._sub = self._open(self._context, self._poller)
        except BaseException:
            self._close(self._context, done=False)
            raise
        return self

    async def __aexit__(
        self,
        type_: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Disconnect. Raises ResourceError when the position cannot be stored."""
        self._close(self._context, done=type_ is None)

    async def _listen(self, deadline_s: float | None) -> bool:
        """Take in what comes; False if nothing did by `deadline_s`."""
        if (question := self._question()) is not None:
            if self._dealer is None:
                self._dealer = self._connect(self._context, zmq.DEALER, self._catch_up or "")
                self._poller.register(self._dealer, zmq.POLLIN)
            await self._dealer.send(question)
        patience_ms = self._patience_ms(deadline_s)
        came = dict(await self._poller.poll(-1 if patience_ms is None else patience_ms))
        if self._sub in came:
            self._course.hear(await self._sub.recv_multipart())
            if self._out is None:
                await self._settle_aside()
        if self._dealer is not None and self._dealer in came:
            self._answered(await self._dealer.recv_multipart())
        elif self._dealer is not None and self._overdue():
            self._poller.unregister(self._dealer)
            self._dealer.close()
            self._dealer = None
            self._answered(None)
        return bool(came) or deadline_s is None or time.monotonic() < deadline_s

    async def _settle_aside(self, *, sync: bool = False) -> None:
        """Remember what is done, without holding up the loop."""
        if self._place is not None:
            await asyncio.to_thread(self._settle, sync=sync)
