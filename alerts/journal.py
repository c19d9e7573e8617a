"""The journal: the outbox while the disk takes events, memory while it does not."""

import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import islice

from alerts import wire
from alerts.event import Event, EventDraft
from alerts.outbox import Outbox, Stored
from sorawatch import OutboxError

log = logging.getLogger(__name__)

RETRY_EVERY_S = 1.0
KEEP_EVERY_S = 60.0


class Journal:
    """Numbers every draft, whatever the disk does; owned by one thread.

    While the outbox refuses (disk full, for one), events are numbered and kept in memory, the
    newest `capacity` of them, and brought to disk once it takes them again. Only a kill in that
    time loses them, and even then no number is given twice.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        on_degraded: Callable[[bool, str], None] = lambda _degraded, _reason: None,
        capacity: int = 10_000,
    ) -> None:
        """`on_degraded(True, reason)` when the disk begins to refuse, `(False, "")` afterwards."""
        self._outbox = outbox
        self._on_degraded = on_degraded
        self._pending: deque[Event] = deque(maxlen=capacity)
        self._degraded = False
        self._last = outbox.last
        self._retry_at_s = 0.0
        self._keep_at_s = 0.0

    @property
    def stream(self) -> str:
        """Id of the outbox."""
        return self._outbox.stream

    @property
    def last(self) -> int:
        """The newest number given, 0 at first."""
        return self._last

    @property
    def forgotten(self) -> int:
        """Messages with this number or a lower one may be gone."""
        return self._outbox.forgotten

    @property
    def pending(self) -> int:
        """Events that are in memory only."""
        return len(self._pending)

    def append(self, drafts: Sequence[EventDraft], utc_s: float, mono_s: float) -> list[Event]:
        """Number the drafts and keep them: on disk if it can be, else in memory."""
        numbered = enumerate(drafts, start=self._last + 1)
        events = [Event.of(draft, self.stream, seq) for seq, draft in numbered]
        self._last += len(events)
        if not self._degraded:
            try:
                self._outbox.store(events, utc_s)
            except OutboxError as exc:
                self._degrade(exc, mono_s)
            else:
                return events
        self._pending.extend(events)
        try:
            self._outbox.mark_published(self._last)
        except OSError as exc:
            log.warning("a restart may give numbers up to %d again: %s", self._last, exc)
        return events

    def tend(self, utc_s: float, mono_s: float) -> None:
        """Bring what is in memory to disk when it is time to try again; housekeeping."""
        if self._degraded and mono_s >= self._retry_at_s:
            self._retry_at_s = mono_s + RETRY_EVERY_S
            self._recover(utc_s)
        if not self._degraded and mono_s >= self._keep_at_s:
            self._keep_at_s = mono_s + KEEP_EVERY_S
            try:
                self._outbox.keep(utc_s)
            except OutboxError as exc:
                self._degrade(exc, mono_s)

    def after(self, seq: int, cameras: Sequence[str] | None, limit: int) -> Stored:
        """As `Outbox.after`, with what is in memory. Raises OutboxError."""
        stored = self._outbox.after(seq, cameras, limit)
        if stored.through < self._outbox.last or not self._pending:
            return stored
        bodies = list(stored.bodies)
        size = sum(map(len, bodies))
        through = stored.through
        for event in self._pending:
            if event.seq <= seq:
                continue
            if cameras is None or event.camera in cameras:
                body = wire.encode(event)
                size += len(body)
                if len(bodies) >= limit or (bodies and size > wire.MAX_PAGE_BYTES):
                    break
                bodies.append(body)
            through = event.seq
        return Stored(through, tuple(bodies))

    def position(self, name: str) -> int | None:
        """As `Outbox.position`."""
        return self._outbox.position(name)

    def move(self, positions: Mapping[str, int]) -> bool:
        """As `Outbox.move`; False where it has to be tried again: not before the disk recovers.

        A position never gets to disk before the events up to it do.
        """
        if self._degraded:
            return False
        try:
            self._outbox.move(positions)
        except OutboxError as exc:
            log.debug("positions of %s stay in memory: %s", ", ".join(positions), exc)
            return False
        return True

    def close(self, utc_s: float) -> None:
        """Try once more to bring everything to disk, then let go of the outbox."""
        if self._degraded:
            self._recover(utc_s)
        if self._pending:
            log.error("%d events are published but not stored", len(self._pending))
        self._outbox.close()

    def _recover(self, utc_s: float) -> None:
        try:
            while self._pending:  # in pieces: a little space may do
                piece = list(islice(self._pending, 500))
                self._outbox.store(piece, utc_s)
                for _ in piece:
                    self._pending.popleft()
            self._outbox.keep(utc_s)
        except OutboxError as exc:
            log.debug("still in memory: %d events: %s", len(self._pending), exc)
            return
        self._degraded = False
        log.warning("the outbox takes events again: all are stored")
        self._on_degraded(False, "")

    def _degrade(self, exc: OutboxError, mono_s: float) -> None:
        self._degraded = True
        self._retry_at_s = mono_s + RETRY_EVERY_S
        log.error("events are kept in memory until the outbox takes them: %s", exc)
        self._on_degraded(True, str(exc))
