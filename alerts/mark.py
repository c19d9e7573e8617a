"""The mark beside an outbox: who owns it, and which number was last given away unstored."""

import fcntl
import os
import struct
from pathlib import Path

from sorawatch import OutboxError

_LAYOUT = struct.Struct("<8sq")  # the stream's id, a number of that stream


class Mark:
    """A file of 16 bytes that is locked for as long as the outbox is open.

    Its number is written in place, which a full disk still allows, so that a number that was
    published but could not be stored is never given to another event, not even after kill -9.
    """

    def __init__(self, path: Path) -> None:
        """Create or open `path`, and lock it. Raises OutboxError, naming the outbox."""
        self._path = path
        outbox = path.with_suffix("")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise OutboxError(
                f"the outbox {outbox} cannot be opened: {exc.strerror}: {path}; "
                "give another path (alerts.outbox)"
            ) from exc
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(self._file).st_size < _LAYOUT.size:
                os.pwrite(self._file, bytes(_LAYOUT.size), 0)
        except BlockingIOError as exc:
            self.close()
            raise OutboxError(
                f"the outbox {outbox} is in use by another program: stop it, or give another path "
                "(alerts.outbox)"
            ) from exc
        except OSError as exc:
            self.close()
            raise OutboxError(f"the outbox {outbox} cannot be written: {exc.strerror}") from exc

    def read(self, stream: str) -> int:
        """The number that was written for `stream`; 0 if none was."""
        owner, number = _LAYOUT.unpack(os.pread(self._file, _LAYOUT.size, 0))
        return number if owner == bytes.fromhex(stream) else 0

    def write(self, stream: str, number: int) -> None:
        """Keep `number`, safe from power loss. Raises OSError."""
        os.pwrite(self._file, _LAYOUT.pack(bytes.fromhex(stream), number), 0)
        os.fsync(self._file)

    def close(self) -> None:
        """Unlock. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
