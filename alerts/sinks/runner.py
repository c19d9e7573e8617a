"""The thread of one sink: follows the outbox, offers, waits, offers again."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from alerts import wire
from alerts.sinks.backoff import Backoff
from alerts.sinks.choice import Choice
from alerts.sinks.halt import Halt
from alerts.sinks.sink import Item, NotNow, Refused, Sink

log = logging.getLogger(__name__)

IDLE_S: Final = 0.25
"""A sink with nothing to deliver is tended this often."""

AFTER_MOST_S: Final = 300.0
"""No other side is believed that it cannot be tried for longer."""


class Follower(Protocol):
    """The outbox after a position that it keeps itself; for one thread."""

    def wait(self, timeout_s: float) -> list[bytes]:
        """JSON bodies after the position, in order; none after `timeout_s`.

        The same again until `done`.
        """

    def done(self, seq: int) -> None:
        """Everything up to `seq` has been dealt with, and is not given again, ever."""


@dataclass(frozen=True, slots=True)
class SinkReport:
    """How a sink does. Counts are since the program's start.

    `position`: number of the last message that it has dealt with; None before the first.
    `retries`: attempts that failed and are made again. `given_up`: messages that the other side
    will never take, or that became too old. `missed`: messages that the outbox forgot before
    they were delivered. `error`: what went wrong last; `failing`: whether it still does.
    """

    name: str
    type: str
    state: Literal["working", "failing", "stopped"]
    position: int | None
    delivered: int
    retries: int
    given_up: int
    missed: int
    error: str | None


class SinkRunner:
    """Owns a sink and its thread. `start`, then `finish`, `halt` and `join`, by one owner.

    Invariant: `Follower.done(n)` is called only when every message up to n was delivered, not
    wanted, or given up and said so.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        sink: Sink,
        follower: Follower,
        halt: Halt,
        *,
        choice: Choice = Choice(),  # noqa: B008 - frozen
        backoff: Backoff = Backoff(),  # noqa: B008 - frozen
        give_up_after_s: float = float("inf"),
        utc_clock: Callable[[], float] = time.time,
    ) -> None:
        """`give_up_after_s`: a message that fails when its event's moment is longer ago."""
        self.name = name
        self._kind = kind
        self._sink = sink
        self._follower = follower
        self._halt = halt
        self._choice = choice
        self._backoff = backoff
        self._give_up_after_s = give_up_after_s
        self._utc_clock = utc_clock
        self._closing = threading.Event()
        # What was given and is not done: (number, None where it is not wanted).
        self._pending: deque[tuple[int, Item | None]] = deque()
        self._position: int | None = None
        self._delivered = self._retries = self._given_up = self._missed = 0
        self._failures = 0
        self._error: str | None = None
        self._thread = threading.Thread(target=self._run, name=f"sink {name}")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def finish(self) -> None:
        """Deliver what can be without trouble, then end."""
        self._closing.set()

    def halt(self) -> None:
        """End now, whatever is under way."""
        self._closing.set()
        self._halt.set()

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; whether it came."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def report(self) -> SinkReport:
        """From any thread."""
        alive = self._thread.is_alive()
        return SinkReport(
            self.name,
            self._kind,
            ("failing" if self._failures else "working") if alive else "stopped",
            self._position,
            self._delivered,
            self._retries,
            self._given_up,
            self._missed,
            self._error,
        )

    def _run(self) -> None:
        try:
            while not self._halt.is_set():
                try:
                    if not self._turn() and self._closing.is_set():
                        break
                    self._recover()
                except Exception as exc:
                    if self._closing.is_set():
                        break
                    self._fail(exc)
        finally:
            try:
                self._sink.close()
            except Exception:
                log.exception("sink %s: could not be closed", self.name)

    def _turn(self) -> bool:
        """Deliver what there is; whether there was any. Raises whatever the sink does."""
        if not self._pending:
            self._take(self._follower.wait(0.05 if self._closing.is_set() else IDLE_S))
        if not self._pending:
            self._sink.tend()
            return False
        items = [item for _, item in self._pending if item is not None]
        if items:
            try:
                self._sink.deliver(items, self._done)
            except Refused as exc:
                self._give_up(str(exc))
        elif self._pending:
            self._move(len(self._pending))
        return True

    def _take(self, bodies: list[bytes]) -> None:
        for body in bodies:
            event = wire.decode(body)
            if self._position is not None and event.seq > self._position + 1 + len(self._pending):
                pass
            self._pending.append((event.seq, Item(event, body) if self._wanted(event) else None))
