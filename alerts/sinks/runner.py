"""The thread of one sink: follows the outbox, offers, waits, offers again."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from alerts import wire
from alerts.follower import Follower
from alerts.sinks.backoff import Backoff
from alerts.sinks.choice import Choice
from alerts.sinks.halt import Halt
from alerts.sinks.sink import Item, NotNow, Refused, Sink

log = logging.getLogger(__name__)

IDLE_S: Final = 0.25
"""A sink with nothing to deliver is tended this often."""

LAST_S: Final = 0.05
"""At the end it is waited this long for what comes last."""

TRIES: Final = 5
"""However old a message is, so many attempts in a row have to fail before it is given up."""

AFTER_MOST_S: Final = 300.0
"""No other side is believed that it cannot be tried for longer."""


@dataclass(frozen=True, slots=True)
class SinkReport:
    """How a sink does. Counts are since the program's start.

    `position`: number of the last message that it has dealt with; None at the very start.
    `behind`: how many numbers the outbox is ahead.
    `retries`: attempts that failed and are made again. `given_up`: messages that the other side
    will never take, or that became too old. `missed`: messages that the outbox forgot before
    they were delivered. `error`: what went wrong last; `failing`: whether it still does.
    """

    name: str
    type: str
    state: Literal["working", "failing", "stopped"]
    position: int | None
    behind: int
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
        """`give_up_after_s`: a message that goes on failing when its moment is longer ago."""
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
        self._follower.close()

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
            self._follower.position,
            self._follower.behind,
            self._delivered,
            self._retries,
            self._given_up,
            self._missed,
            self._error,
        )

    def _run(self) -> None:
        try:
            while not self._halt.is_set() and not self._follower.closed:
                try:
                    busy = self._turn()
                    self._recover()
                except Exception as exc:
                    if self._closing.is_set():
                        break  # what is left is for the next start
                    self._fail(exc)
                else:
                    if self._closing.is_set() and not busy:
                        break
        finally:
            try:
                self._sink.close()
            except Exception:
                log.exception("sink %s: could not be closed", self.name)
            self._follower.close()

    def _turn(self) -> bool:
        """Deliver what there is; whether there was any. Raises what the sink does, but Refused."""
        if not self._pending:
            self._take(self._follower.wait(LAST_S if self._closing.is_set() else IDLE_S))
        if not self._pending:
            self._sink.tend()
            return False
        items = [item for _, item in self._pending if item is not None]
        if not items:
            self._pass(self._pending[-1][0])
            return True
        try:
            self._sink.deliver(items, self._done)
        except Refused as exc:
            first = next(item for _, item in self._pending if item is not None)
            self._give_up(first, str(exc))
        return True

    def _take(self, bodies: list[bytes]) -> None:
        """Note what was given; what the outbox had forgotten meanwhile is counted."""
        before = self._follower.position
        for body in bodies:
            event = wire.decode(body)
            if before is not None and event.seq > before + 1:
                self._missed += event.seq - before - 1
                log.warning(
                    "sink %s: %d messages before number %d were forgotten before it had them",
                    self.name,
                    event.seq - before - 1,
                    event.seq,
                )
            before = event.seq
            wanted = self._choice.takes(event)
            self._pending.append((event.seq, Item(event, body) if wanted else None))

    def _done(self, item: Item) -> None:
        self._delivered += 1
        self._pass(item.event.seq)
        self._recover()

    def _pass(self, seq: int) -> None:
        """Everything up to `seq`, and what follows on it that is not wanted, is dealt with."""
        through = seq
        while self._pending and (self._pending[0][0] <= seq or self._pending[0][1] is None):
            through, _ = self._pending.popleft()
        self._follower.done(through)

    def _give_up(self, item: Item, reason: str) -> None:
        self._given_up += 1
        self._error = reason
        log.error(
            "sink %s: gives up message %d (%s, %s of %s): %s",
            self.name,
            item.event.seq,
            item.event.camera,
            item.event.type,
            item.event.id,
            reason,
        )
        self._pass(item.event.seq)

    def _fail(self, exc: Exception) -> None:
        """Note that it does not work now, and wait, unless it is time to end."""
        self._failures += 1
        self._retries += 1
        known = isinstance(exc, NotNow)
        self._error = str(exc) if known else f"{type(exc).__name__}: {exc}"
        wait_s = self._backoff.wait_s(self._failures)
        if isinstance(exc, NotNow) and exc.after_s is not None:
            wait_s = max(wait_s, min(exc.after_s, AFTER_MOST_S))
        if self._failures & (self._failures - 1) == 0:  # the 1st, 2nd, 4th, ...
            log.warning(
                "sink %s: %s (failed %d times, tries again in %.1f s)",
                self.name,
                self._error,
                self._failures,
                wait_s,
                exc_info=None if known else exc,
            )
        first = next((item for _, item in self._pending if item is not None), None)
        if first is not None and self._failures >= TRIES and self._too_old(first):
            self._give_up(first, f"too old, and failed {self._failures} times: {self._error}")
        self._closing.wait(wait_s)

    def _too_old(self, item: Item) -> bool:
        event = item.event
        moment_s = event.start_time if event.time is None else event.time
        return self._utc_clock() - moment_s > self._give_up_after_s

    def _recover(self) -> None:
        if self._failures:
            log.info("sink %s: works again after %d failures", self.name, self._failures)
        self._failures = 0
