"""A subscriber's place: up to which number it has come, in a file that is never half-written."""

import fcntl
import json
import os
import time
import zlib
from pathlib import Path

from sorawatch import ConfigError, ResourceError

_SYNC_EVERY_S = 1.0
_SCHEMA = "sorawatch.place/1"
_SLOT = 160  # bytes of a line: a JSON object, its check sum, blanks


class Place:
    """Stream and number, in `path`: two lines written in turn, the newer whole one counts.

    A program that is killed finds the number that it wrote last; after a power loss it may be one
    of a second before. The file is locked while it is open. (Renaming a new file over the old for
    each event would cost 10 ms where the file system flushes what is renamed.)
    """

    def __init__(self, path: Path) -> None:
        """Nothing is opened yet."""
        self._path = path
        self._file = -1
        self._turn = 0
        self._saved: tuple[str, int] | None = None
        self._synced = True
        self._sync_at_s = 0.0

    def open(self) -> tuple[str, int] | None:
        """What was saved; None if nothing was.

        Raises ConfigError for a file that is not ours, is in use, or cannot be written.
        """
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            text = os.pread(self._file, 10 * _SLOT, 0)
        except BlockingIOError as exc:
            self.close()
            raise ConfigError(
                f"the position {self._path} is in use by another subscriber: give each its own"
            ) from exc
        except OSError as exc:
            self.close()
            raise ConfigError(f"the position {self._path} cannot be used: {exc.strerror}") from exc
        found = [
            slot
            for start in range(0, len(text), _SLOT)
            if (slot := _read(text[start : start + _SLOT])) is not None
        ]
        if text and not found:
            self.close()
            raise ConfigError(f"{self._path} holds no position of a subscriber: give another path")
        if found:
            self._turn, stream, seq = max(found)
            self._saved = stream, seq
        return self._saved

    def save(self, stream: str, seq: int, *, sync: bool = False) -> None:
        """Remember; safe from a kill at once, from power loss with `sync` or within a second.

        Raises ResourceError.
        """
        if self._file < 0 or ((stream, seq) == self._saved and (self._synced or not sync)):
            return
        self._turn += 1
        slot = _write(self._turn, stream, seq)
        now_s = time.monotonic()
        try:
            os.pwrite(self._file, slot, self._turn % 2 * _SLOT)
            if self._turn == 1:  # so that both lines are there from the beginning
                os.pwrite(self._file, slot, 0)
            self._synced = sync or now_s >= self._sync_at_s
            if self._synced:
                os.fdatasync(self._file)
                self._sync_at_s = now_s + _SYNC_EVERY_S
        except OSError as exc:
            raise ResourceError(
                f"the position {self._path} cannot be written: {exc.strerror}"
            ) from exc
        self._saved = (stream, seq)

    def close(self) -> None:
        """Unlock. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _write(turn: int, stream: str, seq: int) -> bytes:
    facts = {"schema": _SCHEMA, "turn": turn, "stream": stream, "seq": seq}
    body = json.dumps(facts).encode()
    line = body + b" %08x" % zlib.crc32(body)
    if len(line) >= _SLOT:
        raise ResourceError("the position cannot be written: the stream's name is too long")
    return line.ljust(_SLOT - 1) + b"\n"


def _read(line: bytes) -> tuple[int, str, int] | None:
    """Turn, stream and number in a line; None when it is not whole, or not ours."""
    body, _blank, check = line.strip().rpartition(b" ")
    try:
        facts = json.loads(body)
        if facts["schema"] != _SCHEMA or int(check, 16) != zlib.crc32(body):
            return None
        return int(facts["turn"]), str(facts["stream"]), max(int(facts["seq"]), 0)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
