"""A subscriber's place: up to which number it has come, in a file that is never half-written."""

import json
import logging
import os
import time
from pathlib import Path

from sorawatch import ConfigError, ResourceError

log = logging.getLogger(__name__)

_SYNC_EVERY_S = 1.0
_SCHEMA = "sorawatch.place/1"


class Place:
    """Stream and number, in `path`. Written anew beside it and renamed, for every event.

    A killed program finds the number that it wrote last; after a power loss it may be one of a
    second before.
    """

    def __init__(self, path: Path) -> None:
        """Nothing is read or written yet."""
        self._path = path
        self._saved: tuple[str, int] | None = None
        self._unsynced = False
        self._sync_at_s = 0.0

    def load(self) -> tuple[str, int] | None:
        """What was saved; None if nothing was. Raises ConfigError for a file that is not ours."""
        try:
            text = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise ConfigError(f"the position {self._path} cannot be read: {exc.strerror}") from exc
        if not text:  # a name that reached the disk before its bytes did, at a power loss
            log.warning("the position %s is empty: beginning with the oldest", self._path)
            return "", 0
        try:
            found = json.loads(text)
            if found["schema"] != _SCHEMA:
                raise ValueError(found["schema"])
            self._saved = str(found["stream"]), max(int(found["seq"]), 0)
        except (ValueError, TypeError, KeyError, RecursionError) as exc:
            raise ConfigError(
                f"{self._path} holds no position of a subscriber: give another path"
            ) from exc
        return self._saved

    def save(self, stream: str, seq: int, *, sync: bool = False) -> None:
        """Remember; safe from a kill at once, from power loss with `sync` or within a second.

        Raises ResourceError.
        """
        if (stream, seq) == self._saved and not (sync and self._unsynced):
            return
        now_s = time.monotonic()
        sync = sync or now_s >= self._sync_at_s
        body = json.dumps({"schema": _SCHEMA, "stream": stream, "seq": seq}).encode()
        fresh = self._path.with_name(self._path.name + ".new")
        try:
            with fresh.open("wb", buffering=0) as file:
                file.write(body)
                if sync:
                    os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as exc:
            raise ResourceError(
                f"the position {self._path} cannot be written: {exc.strerror or exc}"
            ) from exc
        self._saved = (stream, seq)
        self._unsynced = not sync
        if sync:
            self._sync_at_s = now_s + _SYNC_EVERY_S
