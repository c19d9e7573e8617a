"""The events of an outbox, each whole, with what people said of it. Reads only."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

from alerts import wire
from alerts.event import Event
from alerts.marks import NOTHING_SAID, Marks, read_marks
from alerts.outbox import is_outbox
from sorawatch import OutboxError

MOST: Final = 1000
_BUSY_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events: all where nothing is said.

    `since`, `until`: UTC seconds; it lasted at some time between. `acknowledged`: whether it was.
    `mark`: how it is marked, `none` not at all. `before`: its newest message has a lower number.
    """

    cameras: tuple[str, ...] | None = None
    kind: str | None = None
    since: float | None = None
    until: float | None = None
    acknowledged: bool | None = None
    mark: Literal["normal", "real", "none"] | None = None
    before: int | None = None

    def holds(self, event: Event, marks: Marks) -> bool:
        """Whether an event, by its newest message, is one of these."""
        end_s = event.time or event.start_time if event.end_time is None else event.end_time
        return (
            (self.kind is None or event.kind == self.kind)
            and (self.since is None or event.end_time is None or end_s >= self.since)
            and (self.until is None or event.start_time <= self.until)
            and self.acknowledged in (None, marks.acknowledged_utc is not None)
            and self.mark in (None, marks.mark or "none")
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """One event: its newest message, and what was said of it."""

    event: Event
    marks: Marks

    def document(self) -> dict[str, Any]:
        """As JSON holds it: the message as it travelled, `marks` beside it."""
        return {**json.loads(wire.encode(self.event)), "marks": self.marks.model_dump()}


class EventLog:
    """Reads the outbox file beside the program that writes it, or when none runs.

    For one thread, the one that made it. Use it as a context manager, or `close` it.
    """

    def __init__(self, outbox: Path) -> None:
        """Open it; OutboxError where there is none, or it is no outbox."""
        self._path = outbox
        try:
            if not is_outbox(outbox):
                raise OutboxError(f"{outbox} is not an outbox: give another path")
        except OSError as exc:
            text = exc.strerror or str(exc)
            raise OutboxError(f"the outbox {outbox} cannot be read: {text}") from exc
        with self._explained():
            self._db = sqlite3.connect(
                f"{outbox.absolute().as_uri()}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=_BUSY_S,
            )

    def newest(self, wanted: Filter, limit: int = 100) -> list[Listed]:
        """Up to `limit` events, those with the newest message first. Raises OutboxError."""
        found: list[Listed] = []
        seen: set[str] = set()
        with self._explained():
            for id_, body in self._bodies(wanted):
                if id_ in seen:
                    continue
                seen.add(id_)
                event = wire.decode(body)
                if wanted.before is not None and self._newest_seq(id_) >= wanted.before:
                    continue  # it was listed, by a newer message
                marks = read_marks(self._db, [id_]).get(id_, NOTHING_SAID)
                if wanted.holds(event, marks):
                    found.append(Listed(event, marks))
                    if len(found) >= limit:
                        break
        return found

    def find(self, name: str) -> str:
        """The id of an event that is called by its id, its last six digits, or `last`.

        OutboxError where there is none, or several.
        """
        with self._explained():
            if name == "last":
                query = (
                    "SELECT id FROM events WHERE json_extract(body, '$.kind') = 'anomaly'"
                    " ORDER BY seq DESC LIMIT 1"
                )
                rows = self._db.execute(query).fetchall()
            else:
                query = "SELECT DISTINCT id FROM events WHERE id = ?"
                rows = self._db.execute(query, (name,)).fetchall()
                if not rows and len(name) == 6 and name.isalnum():
                    query = "SELECT DISTINCT id FROM events WHERE id LIKE ? LIMIT 2"
                    rows = self._db.execute(query, (f"%-{name}",)).fetchall()
        if not rows:
            raise OutboxError(f"no event {name!r:.80} is in the outbox")
        if len(rows) > 1:
            raise OutboxError(f"{name!r:.80} may be several events: give the whole id")
        return str(rows[0][0])

    def messages(self, event_id: str) -> list[Event]:
        """All messages of an event that are kept, oldest first. Raises OutboxError."""
        query = "SELECT body FROM events WHERE id = ? ORDER BY seq"
        with self._explained():
            return [wire.decode(body) for (body,) in self._db.execute(query, (event_id,))]

    def show(self, event_id: str) -> Listed:
        """One event. OutboxError where it is not there any more."""
        messages = self.messages(event_id)
        if not messages:
            raise OutboxError(f"no event {event_id!r:.80} is in the outbox")
        with self._explained():
            marks = read_marks(self._db, [event_id]).get(event_id, NOTHING_SAID)
        return Listed(messages[-1], marks)

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._db.close()

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

    def _bodies(self, wanted: Filter) -> Iterator[tuple[str, bytes]]:
        """Messages, newest first, of which some may be of no event that is wanted."""
        where, values = ["1"], list[Any]()
        if wanted.before is not None:
            where.append("seq < ?")
            values.append(wanted.before)
        if wanted.since is not None:  # nothing is stored before it happened
            where.append("(stored_utc >= ? OR id IN (SELECT id FROM open))")
            values.append(wanted.since)
        if wanted.cameras is not None:
            where.append("camera IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(list(wanted.cameras)))
        query = f"SELECT id, body FROM events WHERE {' AND '.join(where)} ORDER BY seq DESC"  # noqa: S608
        yield from self._db.execute(query, values)

    def _newest_seq(self, event_id: str) -> int:
        row = self._db.execute("SELECT max(seq) FROM events WHERE id = ?", (event_id,)).fetchone()
        return int(row[0])

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, wire.WireError, ValueError) as exc:
            raise OutboxError(f"the outbox {self._path} cannot be read: {exc}") from exc
