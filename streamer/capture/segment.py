"""A named piece of shared memory that is reserved in full, and goes when its owner does.

`multiprocessing.shared_memory` creates it, for the sake of its resource tracker: a small process
that removes the segment when the owner, and every process spawned from it, has died without doing
so. It is then mapped by path, because `SharedMemory` itself
- registers whoever attaches as well (until Python 3.13), so that a worker that attaches while the
  owner unlinks leaves a name in the tracker, and a warning at exit;
- refuses to close while a view is held, and says so from `__del__`;
- reserves nothing: a full /dev/shm shows as SIGBUS in the middle of a frame.

Where even the tracker is killed (the whole control group, out of memory), segments stay behind.
Their owner held a lock on them, which the kernel dropped with it: `remove_abandoned` goes by that.
"""

import errno
import fcntl
import logging
import mmap
import os
import secrets
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path
from typing import Final, Self

from sorawatch import ResourceError

log = logging.getLogger(__name__)

_FOLDER: Final = Path("/dev/shm")  # noqa: S108  (where Linux keeps POSIX shared memory)
_PREFIX: Final = "sorawatch-ring-"


class Segment:
    """Shared memory, mapped: `buffer` as bytes and `cells` as int64, over the same `size` bytes.

    `owned`: this process created it, and is the one to `unlink` it.
    """

    def __init__(self, fd: int, made: SharedMemory | None, name: str) -> None:
        """Map the open segment `fd`, which this takes over; use `create` or `attach`."""
        self.name: Final = name
        self.owned: Final = made is not None
        self.size: Final = os.fstat(fd).st_size
        self._made = made
        self._fd = fd
        self._mmap = mmap.mmap(fd, self.size)
        self.buffer: Final = memoryview(self._mmap)
        self.cells: Final[memoryview[int]] = self.buffer.cast("q")

    @classmethod
    def create(cls, size: int) -> Self:
        """Zeroed memory, every page of it there. ResourceError when the machine lacks it."""
        check_room(size, "a camera's frame ring")
        name = f"{_PREFIX}{secrets.token_hex(8)}"
        made = SharedMemory(name, create=True, size=size)
        made.close()  # only its mapping; the name and the tracker's entry stay
        try:
            fd = os.open(_FOLDER / name, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                os.posix_fallocate(fd, 0, size)
                return cls(fd, made, name)
            except BaseException:
                os.close(fd)
                raise
        except OSError as error:
            made.unlink()
            if error.errno in (errno.ENOSPC, errno.ENOMEM):
                raise _too_little("a camera's frame ring", size, *_free()) from error
            raise
        except BaseException:
            made.unlink()
            raise

    @classmethod
    def attach(cls, name: str) -> Self:
        """The segment of that name, made by another process. ResourceError when it is gone."""
        if "/" in name or not name.startswith(_PREFIX):
            raise ResourceError(f"{name!r} is not the name of a frame ring")
        try:
            fd = os.open(_FOLDER / name, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            raise ResourceError(f"frame ring {name} is gone: {error.strerror}") from error
        try:
            if os.fstat(fd).st_size < mmap.PAGESIZE or os.fstat(fd).st_size % 8:
                raise ResourceError(f"frame ring {name} is not one of this version's")
            return cls(fd, None, name)
        except BaseException:
            os.close(fd)
            raise

    def close(self) -> None:
        """Unmap it, or leave that to the last view held. `buffer` and `cells` end here."""
        if self._fd < 0:
            return
        os.close(self._fd)
        self._fd = -1
        self.cells.release()
        try:
            self.buffer.release()
            self._mmap.close()
        except BufferError:
            log.debug("%s: a view is still held; the mapping goes with it", self.name)

    def unlink(self) -> None:
        """Remove the name; the memory goes with the last mapping. May be repeated."""
        made, self._made = self._made, None
        if made is not None:
            try:
                made.unlink()
            except FileNotFoundError:
                log.warning("frame ring %s was removed by somebody else", self.name)


def remove_abandoned() -> int:
    """Remove segments whose owner died without doing so; returns how many went."""
    removed = 0
    for path in _FOLDER.glob(f"{_PREFIX}*"):
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:  # gone meanwhile, or somebody else's
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Unreserved means not locked yet rather than not locked any more.
            if os.fstat(fd).st_blocks:
                path.unlink()
                removed += 1
        except OSError:  # its owner lives, or it is not ours to remove
            continue
        finally:
            os.close(fd)
    if removed:
        log.info("removed %d frame rings that a killed process had left behind", removed)
    return removed


def check_room(size: int, what: str) -> None:
    """Raise ResourceError unless /dev/shm and memory have room for so many bytes of `what`."""
    shared, memory = _free()
    if size > min(shared, memory):
        raise _too_little(what, size, shared, memory)


def _too_little(what: str, needed: int, shared: int, memory: int) -> ResourceError:
    where, free = (str(_FOLDER), shared) if shared <= memory else ("memory", memory)
    advice = f" or enlarge {_FOLDER} (docker run --shm-size)" if shared <= memory else ""
    return ResourceError(
        f"{what} need {needed} bytes ({needed / 1e6:.1f} MB) and {where} has {free} "
        f"({free / 1e6:.1f} MB) free: lower capture.slots, watch fewer cameras{advice}"
    )


def _free() -> tuple[int, int]:
    """Bytes free in /dev/shm, and in memory as far as this process may use it."""
    shm = os.statvfs(_FOLDER)
    return shm.f_bavail * shm.f_frsize, min(_memory_available(), _memory_left_to_group())


def _memory_available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _memory_left_to_group() -> int:
    """What a container's memory limit leaves, or as good as no limit."""
    for folder, limit, used, cache in _GROUPS:
        try:
            left = int((folder / limit).read_text()) - int((folder / used).read_text())
            lines = (folder / "memory.stat").read_text().splitlines()
        except (OSError, ValueError):  # another version of control groups, or "max"
            continue
        # Cached files count as used, and give way.
        cached = sum(int(line.split()[1]) for line in lines if line.startswith(cache))
        return max(0, left + cached)
    return 1 << 62


_GROUPS: Final = (
    (Path("/sys/fs/cgroup"), "memory.max", "memory.current", ("active_file ", "inactive_file ")),
    (
        Path("/sys/fs/cgroup/memory"),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_active_file ", "total_inactive_file "),
    ),
)
