"""The outbox: every event on disk, numbered without gaps, before anyone hears of it."""

import json
import math
import secrets
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from alerts import wire
from alerts.event import Event, EventDraft
from alerts.mark import Mark
from sorawatch import OutboxError

_APPLICATION_ID = 0x536F7261  # "Sora": tells our files from other SQLite files
_VERSION = 1
MAX_BYTES = 500_000_000
LOG_BYTES = 4 * 1024 * 1024
_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID",
    "CREATE TABLE events (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, camera TEXT NOT NULL,"
    " stored_utc REAL NOT NULL, body BLOB NOT NULL)",
    "CREATE INDEX events_by_id ON events (id)",
    "CREATE INDEX events_by_camera ON events (camera, seq)",
    "CREATE INDEX events_by_time ON events (stored_utc)",
    "CREATE TABLE open (id TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID",
)
_POSITIONS = (  # came later: made where it is missing
    "CREATE TABLE IF NOT EXISTS positions (name TEXT PRIMARY KEY, seq INTEGER NOT NULL)"
    " WITHOUT ROWID"
)
_AFTER = "SELECT seq, body FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
_AFTER_OF_CAMERAS = (
    "SELECT seq, body FROM events WHERE seq > ?1"
    " AND camera IN (SELECT value FROM json_each(?3)) ORDER BY seq LIMIT ?2"
)
_OLDEST_ENDED = "SELECT id FROM events WHERE id NOT IN (SELECT id FROM open) ORDER BY seq LIMIT ?"
_AGED = (
    "SELECT id FROM events WHERE stored_utc < ?1 AND id NOT IN (SELECT id FROM open)"
    " AND NOT EXISTS (SELECT 1 FROM events AS newer"
    "  WHERE newer.id = events.id AND newer.stored_utc >= ?1)"
)
_FORGET = "DELETE FROM events WHERE id IN (SELECT value FROM json_each(?)) RETURNING seq"

_ADVICE = {
    "SQLITE_NOTADB": "is not an outbox: give another path (alerts.outbox)",
    "SQLITE_CORRUPT": "is damaged: move it away, and a new one is made",
    "SQLITE_CANTOPEN": "cannot be opened: is it a file, and its folder writable? (alerts.outbox)",
    "SQLITE_READONLY": "cannot be written: make the file and its folder writable",
    "SQLITE_FULL": "has no space: free some on its disk, or lower alerts.max_size",
    "SQLITE_BUSY": "is locked by another program: stop it",
}


def is_outbox(path: Path) -> bool:
    """Whether the file at `path` may become or be an outbox, by its head. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(72)  # of a SQLite file: a text, and at byte 68 whose it is
    ours = head.startswith(b"SQLite format 3\0") and head[68:] == _APPLICATION_ID.to_bytes(4, "big")
    return ours or not head


@dataclass(frozen=True, slots=True)
class Stored:
    """JSON bodies after a number, in order, complete up to number `through`."""

    through: int
    bodies: tuple[bytes, ...]


class Outbox:
    """A SQLite file of events, owned by one program and one thread at a time.

    Invariant: what `append` returned survives kill -9 and power loss, under numbers that rise by
    one. Bounded: beyond `max_events` messages, `max_bytes` in use or `max_age_s` the oldest events
    that have ended are forgotten, whole; events that are open never are. An append costs one sync
    of the disk, whatever the number of drafts.

    What the file holds stays within `max_bytes` but for what open events need; its size may be a
    tenth and one append above, and beside it stands SQLite's log, of about `LOG_BYTES`.
    """

    def __init__(
        self,
        path: Path,
        utc_s: float,
        *,
        max_events: int = 100_000,
        max_bytes: int = MAX_BYTES,
        max_age_s: float = 30 * 86_400.0,
        connect: Callable[..., sqlite3.Connection] = sqlite3.connect,
    ) -> None:
        """Open `path` at `utc_s`, or create it and its folder; end what an earlier run left open.

        Raises OutboxError: damaged, foreign, in use, not writable, disk full.
        """
        self.path = path
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._last = self._forgotten = self._count = 0
        self._mark = Mark(path.with_name(path.name + ".lock"))
        try:
            with self._explained():
                self._db = connect(path, isolation_level=None, timeout=1.0)
        except BaseException:
            self._mark.close()
            raise
        try:
            with self._explained():
                self._prepare(utc_s)
            self._end_orphans(utc_s)
            self.keep(utc_s)
            with self._explained():
                self._shrink()
        except BaseException:
            self.close()
            raise

    @property
    def last(self) -> int:
        """The newest number given, 0 at first."""
        return self._last

    @property
    def forgotten(self) -> int:
        """Messages with this number or a lower one may be gone."""
        return self._forgotten

    def append(self, drafts: Sequence[EventDraft], utc_s: float) -> list[Event]:
        """Number and store drafts, all or none. Raises OutboxError, and then nothing changed."""
        numbered = enumerate(drafts, start=self._last + 1)
        events = [Event.of(draft, self.stream, seq) for seq, draft in numbered]
        self.store(events, utc_s)
        return events

    def store(self, events: Sequence[Event], utc_s: float) -> None:
        """Store events that have been numbered already, rising, above `last`: all or none.

        Numbers that are left out count as forgotten. Raises OutboxError.
        """
        if not events:
            return
        numbers = [self._last, *(event.seq for event in events)]
        if any(seq <= before for before, seq in pairwise(numbers)):
            raise ValueError(f"numbers must rise: {numbers}")
        left_out = (seq - 1 for before, seq in pairwise(numbers) if seq > before + 1)
        forgotten = max(left_out, default=self._forgotten)
        with self._explained(), self._transaction():
            self._insert(events, utc_s)
            count = self._count + len(events)
            pruned, forgotten = self._prune(count, forgotten)
            count -= pruned
            self._set(last=numbers[-1], forgotten=forgotten)
        self._last, self._forgotten, self._count = numbers[-1], forgotten, count

    def mark_published(self, seq: int) -> None:
        """Remember that `seq` goes out unstored: after a crash it is not given again. OSError."""
        self._mark.write(self.stream, seq)

    def after(self, seq: int, cameras: Sequence[str] | None = None, limit: int = 1000) -> Stored:
        """Up to `limit` messages numbered above `seq`, of these cameras only. OutboxError."""
        bodies: list[bytes] = []
        size = through = 0
        with self._explained():
            rows = (
                self._db.execute(_AFTER, (seq, limit))
                if cameras is None
                else self._db.execute(_AFTER_OF_CAMERAS, (seq, limit, json.dumps(list(cameras))))
            )
            for number, body in rows:
                size += len(body)
                if bodies and size > wire.MAX_PAGE_BYTES:
                    return Stored(through, tuple(bodies))
                bodies.append(body)
                through = number
        return Stored(through if len(bodies) == limit else max(self._last, seq), tuple(bodies))

    def open_events(self) -> list[Event]:
        """The newest message of every event that has not ended, oldest first. OutboxError."""
        with self._explained():
            rows = self._db.execute(
                "SELECT body FROM events JOIN open USING (seq) ORDER BY seq"
            ).fetchall()
            return [wire.decode(body) for (body,) in rows]

    def position(self, name: str) -> int | None:
        """Up to which number the follower `name` has come; None for a new name. OutboxError."""
        with self._explained():
            row = self._db.execute("SELECT seq FROM positions WHERE name = ?", (name,)).fetchone()
        return None if row is None else min(int(row[0]), self._last)

    def move(self, positions: Mapping[str, int]) -> None:
        """Remember where followers are: a number for each name, all or none. OutboxError."""
        with self._explained(), self._transaction():
            self._db.executemany("REPLACE INTO positions VALUES (?, ?)", positions.items())

    def keep(self, utc_s: float) -> None:
        """Housekeeping, about once a minute: note that the program lives, forget what is old.

        Raises OutboxError.
        """
        with self._explained(), self._transaction():
            pruned, forgotten = self._forget(_AGED, utc_s - self._max_age_s, self._forgotten)
            more, forgotten = self._prune(self._count - pruned, forgotten)
            pruned += more
            self._set(alive=utc_s, forgotten=forgotten)
        self._count -= pruned
        self._forgotten = forgotten

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        self._db.close()
        self._mark.close()

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

    def _prepare(self, utc_s: float) -> None:
        """Check that the file is ours and sound, or make it so; read where it stands."""
        tables = self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        application_id = self._db.execute("PRAGMA application_id").fetchone()[0]
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        new = (tables, application_id, version) == (0, 0, 0)
        if not new and application_id != _APPLICATION_ID:
            raise OutboxError(f"{self.path} is not an outbox: give another path (alerts.outbox)")
        if not new and version != _VERSION:
            raise OutboxError(
                f"the outbox {self.path} has version {version}, this program reads {_VERSION}: "
                "update the program, or give another path (alerts.outbox)"
            )
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        if new:
            with self._transaction():
                for table in _TABLES:
                    self._db.execute(table)
                self._set(stream=secrets.token_hex(8), last=0, forgotten=0, alive=utc_s)
                self._db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
                self._db.execute(f"PRAGMA user_version = {_VERSION}")
            # Into the file itself, where `is_outbox` looks for whose it is.
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        elif (verdict := self._db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            line = verdict.splitlines()[-1]
            raise OutboxError(f"the outbox {self.path} {_ADVICE['SQLITE_CORRUPT']} ({line})")
        self._db.execute(_POSITIONS)
        self._page_bytes = int(self._db.execute("PRAGMA page_size").fetchone()[0])
        meta: dict[str, Any] = dict(self._db.execute("SELECT key, value FROM meta").fetchall())
        self.stream = str(meta["stream"])
        self._last, self._forgotten = int(meta["last"]), int(meta["forgotten"])
        self._alive_utc_s = float(meta["alive"])
        self._count = int(self._db.execute("SELECT count(*) FROM events").fetchone()[0])
        published = self._mark.read(self.stream)
        if published > self._last:  # an earlier run died while the disk was full
            self._last = self._forgotten = published

    def _end_orphans(self, utc_s: float) -> None:
        """End what an earlier run that was killed left open, when it was last known to live."""
        drafts = []
        for event in self.open_events():
            end_s = max(event.time or event.start_time, self._alive_utc_s)
            facts = event.model_dump(exclude={"schema_", "stream", "seq"})
            end = {"type": "end", "time": end_s, "end_time": end_s, "ended_by": "interrupted"}
            drafts.append(EventDraft.model_validate(facts | end))
        self.append(drafts, utc_s)

    def _insert(self, events: Sequence[Event], utc_s: float) -> None:
        self._db.executemany(
            "INSERT INTO events VALUES (?, ?, ?, ?, ?)",
            ((e.seq, e.id, e.camera, utc_s, wire.encode(e)) for e in events),
        )
        for event in events:
            if event.type == "end":
                self._db.execute("DELETE FROM open WHERE id = ?", (event.id,))
            else:
                self._db.execute("REPLACE INTO open VALUES (?, ?)", (event.id, event.seq))

    def _prune(self, count: int, forgotten: int) -> tuple[int, int]:
        """Forget until `count` messages are within their bounds; how many, and the new mark.

        More than needed, so that not every append prunes.
        """
        kept = count
        while kept:
            surplus = kept - self._max_events
            if surplus > 0:
                surplus += self._max_events // 100
            used = self._used_bytes()
            if used > self._max_bytes:
                surplus = max(surplus, math.ceil((1 - 0.99 * self._max_bytes / used) * kept))
            if surplus <= 0:
                break
            pruned, forgotten = self._forget(_OLDEST_ENDED, surplus, forgotten)
            if not pruned:
                break
            kept -= pruned
        return count - kept, forgotten

    def _used_bytes(self) -> int:
        """What the file holds; pages that have become free are taken again before it grows."""
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        free = self._db.execute("PRAGMA freelist_count").fetchone()[0]
        return int((pages - free) * self._page_bytes)

    def _shrink(self) -> None:
        """Give room back to the disk that an earlier, larger bound took. As far as it can be."""
        pages = self._db.execute("PRAGMA page_count").fetchone()[0]
        if pages * self._page_bytes > 1.1 * self._max_bytes:
            with suppress(sqlite3.Error):  # it needs room itself
                self._db.execute("VACUUM")
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _forget(self, query: str, value: float, forgotten: int) -> tuple[int, int]:
        """Delete the events that `query` finds; their number of messages, and the new mark."""
        ids = sorted({id_ for (id_,) in self._db.execute(query, (value,))})
        if not ids:
            return 0, forgotten
        numbers = [seq for (seq,) in self._db.execute(_FORGET, (json.dumps(ids),)).fetchall()]
        return len(numbers), max(forgotten, *numbers)

    def _set(self, **meta: float | str) -> None:
        self._db.executemany("REPLACE INTO meta VALUES (?, ?)", meta.items())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite, or a body that is not ours, raises into an OutboxError."""
        try:
            yield
        except sqlite3.Error as exc:
            # 3.11 gives the extended name, as SQLITE_IOERR_WRITE: the first two words decide.
            name = "_".join(getattr(exc, "sqlite_errorname", "").split("_")[:2])
            advice = _ADVICE.get(name, "cannot be used")
            raise OutboxError(f"the outbox {self.path} {advice} ({exc})") from exc
        except (wire.WireError, KeyError, ValueError, TypeError) as exc:
            advice = _ADVICE["SQLITE_CORRUPT"]
            raise OutboxError(f"the outbox {self.path} {advice} ({exc})") from exc
