"""A follower: one sink's place in the outbox, which outlives the program."""

import logging
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from alerts.journal import Journal
from sorawatch import OutboxError

log = logging.getLogger(__name__)

PAGE_MESSAGES = 100


class Follower:
    """Hands out what the outbox holds after a position, which is kept in it under `name`.

    `AlertWriter.follow` makes one. Any one thread waits and says what is done; `close` is for any
    thread. What was not said to be done is handed out again, also after a restart, so that an
    event reaches its sink at least once; `stream` and `seq` in it tell repetitions.

    What the writer's thread does is `begin`, `serve`, `moved` and `end`.
    """

    def __init__(self, name: str, after: int | None, ring: Callable[[], None]) -> None:
        """`after`: where a name begins that the outbox does not know; None: at its end.

        `ring` wakes the writer's thread.
        """
        self.name = name
        self._after = after
        self._ring = ring
        self._changed = threading.Condition()  # guards everything below
        self._position: int | None = None
        self._stored: int | None = None
        self._last = 0
        self._limit = 0
        self._bodies: tuple[bytes, ...] = ()
        self._closed = False

    @property
    def position(self) -> int | None:
        """All up to this number is done; None until the writer's thread has looked."""
        with self._changed:
            return self._position

    @property
    def behind(self) -> int:
        """How many numbers the outbox is ahead."""
        with self._changed:
            return 0 if self._position is None else max(self._last - self._position, 0)

    @property
    def closed(self) -> bool:
        """Whether nothing comes any more: `close` was called, or the writer has stopped."""
        with self._changed:
            return self._closed

    def wait(self, timeout_s: float | None = None, limit: int = PAGE_MESSAGES) -> list[bytes]:
        """The oldest messages that are not done, `limit` at most, as JSON (`wire.decode`).

        Empty when none came within `timeout_s` (None waits for ever), or when it is closed.
        """
        with self._changed:
            self._limit = limit
            self._bodies = ()
        self._ring()
        with self._changed:
            self._changed.wait_for(lambda: self._bodies or self._closed, timeout_s)
            self._limit = 0
            return [] if self._closed else list(self._bodies)

    def done(self, seq: int) -> None:
        """All up to number `seq` is where it was to go: it is not handed out again.

        Stored within a moment, not before this returns.
        """
        with self._changed:
            if self._position is None or seq <= self._position:
                return
            self._position = seq
            self._bodies = ()
        self._ring()

    def close(self) -> None:
        """End `wait`, now and from now on. What is done is still stored. Idempotent."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._ring()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Close."""
        self.close()

    def begin(self, journal: Journal) -> None:
        """Look where this name was. Raises OutboxError."""
        known = journal.position(self.name)
        start = journal.last if self._after is None else min(self._after, journal.last)
        with self._changed:
            self._stored = known
            self._position = start if known is None else known

    def serve(self, journal: Journal) -> None:
        """Hand out what is waited for, if there is any."""
        with self._changed:
            self._last = journal.last
            if self._position is None or not self._limit or self._bodies:
                return
            while not self._bodies and self._position < journal.last:
                try:
                    page = journal.after(self._position, None, self._limit)
                except OutboxError as exc:
                    log.warning("%s has to wait: %s", self.name, exc)
                    return
                self._bodies = page.bodies
                if not page.bodies:  # forgotten, all of it
                    self._position = max(page.through, self._position + 1)
            self._changed.notify_all()

    def moved(self) -> int | None:
        """The position, where the outbox does not know it yet."""
        with self._changed:
            return None if self._position == self._stored else self._position

    def stored(self, position: int) -> None:
        """The outbox knows `position` now."""
        with self._changed:
            self._stored = position

    def end(self) -> None:
        """Nothing comes any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
