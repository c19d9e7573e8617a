"""Whether there is room on the disk, as one condition that every camera's thread looks at."""

import errno
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from streamer.recording.disk import free_bytes

log = logging.getLogger(__name__)

_RETRY_S: Final = 5.0
_MORE: Final = 1.1  # so much more than what must stay free, before writing goes on


class Room:
    """`there` says whether to write; `check` looks, once a second. Any thread.

    Writing stops when less than `keep_free` bytes are left, or when the disk refused a write, and
    goes on when there is a tenth more than that, or after 5 s.
    """

    def __init__(
        self,
        folder: Path,
        keep_free: int,
        free: Callable[[Path], int] = free_bytes,
        mono_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look for the first time. Raises OSError where the folder is not there."""
        self._folder = folder
        self._keep_free = keep_free
        self._free = free
        self._mono_s = mono_s
        self._lock = threading.Lock()  # guards what follows
        self._retry_at_s = 0.0
        self._said = ""
        self.there = True
        self.times_full = 0
        self.check()

    @property
    def condition(self) -> str:
        """What keeps cameras from being written, or nothing; one line."""
        with self._lock:
            return "" if self.there else self._said

    def check(self) -> None:
        """Look how much is left."""
        with self._lock:
            try:
                left = self._free(self._folder)
            except OSError as exc:
                self._stop(f"{self._folder}: {exc.strerror or exc}")
                return
            if left < self._keep_free * (1.0 if self.there else _MORE):
                self._stop(
                    f"{self._folder}: the disk is full, {left / 1e6:.0f} MB are left and "
                    f"{self._keep_free / 1e6:.0f} MB are to stay free"
                )
            elif not self.there and self._mono_s() >= self._retry_at_s:
                self.there = True
                log.warning("%s: there is room again, recording goes on", self._folder)

    def failed(self, path: Path, error: OSError) -> None:
        """The disk has refused a write: try again later."""
        with self._lock:
            self._retry_at_s = self._mono_s() + _RETRY_S
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            why = "the disk is full" if full else f"cannot be written: {error.strerror or error}"
            self._stop(f"{self._folder if full else path}: {why}")

    def _stop(self, why: str) -> None:
        """Under the lock."""
        if self.there:
            self.times_full += 1
            log.error("%s; nothing is recorded until there is room", why)
            self._said = why
        self.there = False
