"""What people said of events: seen, normal or real; a table in the outbox file.

The events themselves stay as they were published. A mark is kept as long as its event is.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from sorawatch import OutboxError

MarkAs = Literal["normal", "real"]

_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS marks (id TEXT PRIMARY KEY, acknowledged_utc REAL,"
    " acknowledged_by TEXT, mark TEXT, marked_utc REAL, marked_by TEXT, note TEXT, lesson TEXT)"
    " WITHOUT ROWID"
)
_COLUMNS: Final = "acknowledged_utc, acknowledged_by, mark, marked_utc, marked_by, note, lesson"
_BUSY_S: Final = 2.0


class Marks(BaseModel):
    """What was said of one event. Times are UTC seconds; None where nothing was said.

    `lesson`: id of the lesson that a mark "normal" gave to the camera's normality.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    acknowledged_utc: float | None = None
    acknowledged_by: str | None = Field(default=None, max_length=200)
    mark: MarkAs | None = None
    marked_utc: float | None = None
    marked_by: str | None = None
    note: str | None = None
    lesson: str | None = None


NOTHING_SAID: Final = Marks()


def read_marks(db: sqlite3.Connection, ids: Iterable[str]) -> dict[str, Marks]:
    """Marks of those of the events that have any. sqlite3.Error where it cannot be read."""
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'marks'").fetchone():
        return {}
    found = {}
    query = f"SELECT {_COLUMNS} FROM marks WHERE id = ?"  # noqa: S608 - nothing from outside
    for id_ in ids:
        row = db.execute(query, (id_,)).fetchone()
        if row is not None:
            names = _COLUMNS.split(", ")
            found[id_] = Marks.model_validate(dict(zip(names, row, strict=True)))
    return found


class MarkBook:
    """Writes marks into an outbox that another connection of this program owns.

    For one thread, the one that made it. A write takes the file for a moment (a sync of the disk);
    the outbox waits for it as for itself. Use it as a context manager, or `close` it.
    """

    def __init__(self, outbox: Path) -> None:
        """Make the table if it is not there, forget marks of events that are gone.

        Raises OutboxError.
        """
        self._path = outbox
        with self._explained():
            self._db = sqlite3.connect(outbox, isolation_level=None, timeout=_BUSY_S)
        try:
            with self._explained():
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute(_TABLE)
        except BaseException:
            self._db.close()
            raise
        self.tidy()

    def of(self, event_id: str) -> Marks:
        """What was said of an event. Raises OutboxError."""
        with self._explained():
            return read_marks(self._db, [event_id]).get(event_id, NOTHING_SAID)

    def acknowledge(self, ids: Iterable[str], utc_s: float | None, by: str | None) -> None:
        """Note that events were seen; `utc_s` None: that they were not. All or none.

        What was seen before stays as it was. Raises OutboxError.
        """
        with self._explained(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            for id_ in ids:
                self._db.execute("INSERT OR IGNORE INTO marks (id) VALUES (?)", (id_,))
                self._db.execute(
                    "UPDATE marks SET acknowledged_utc = ?1, acknowledged_by = ?2 WHERE id = ?3"
                    " AND (?1 IS NULL OR acknowledged_utc IS NULL)",
                    (utc_s, None if utc_s is None else by, id_),
                )

    def mark(
        self,
        event_id: str,
        mark: MarkAs | None,
        utc_s: float,
        *,
        by: str | None = None,
        note: str = "",
        lesson: str | None = None,
    ) -> None:
        """Mark an event, or take the mark away (None). Raises OutboxError."""
        values = (mark, utc_s, by, note or None, lesson) if mark else (None,) * 5
        with self._explained(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute("INSERT OR IGNORE INTO marks (id) VALUES (?)", (event_id,))
            self._db.execute(
                "UPDATE marks SET mark = ?, marked_utc = ?, marked_by = ?, note = ?, lesson = ?"
                " WHERE id = ?",
                (*values, event_id),
            )

    def tidy(self) -> None:
        """Forget marks of events that the outbox has forgotten. Raises OutboxError."""
        with self._explained():
            self._db.execute("DELETE FROM marks WHERE id NOT IN (SELECT id FROM events)")

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

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, ValueError) as exc:
            raise OutboxError(f"the outbox {self._path} cannot keep marks: {exc}") from exc
