"""What every test must leave behind: nothing."""

import multiprocessing
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

SHM = Path("/dev/shm")  # noqa: S108
PATIENCE_S = 5.0
# Started once by the standard library for shared memory and spawned children, and kept.
HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


@pytest.fixture(autouse=True)
def _no_leaks() -> Iterator[None]:
    """No test leaves a thread, a child process or a shared-memory segment behind."""
    threads, children, segments = set(threading.enumerate()), _children(), _segments()
    yield
    for thread in set(threading.enumerate()) - threads:
        thread.join(PATIENCE_S)
    for process in multiprocessing.active_children():  # also reaps those that have ended
        process.join(PATIENCE_S)
    left = [thread.name for thread in set(threading.enumerate()) - threads]
    assert not left, f"threads left running: {left}"
    left = [f"{pid} {_command(pid)}" for pid in _children() - children if not _is_helper(pid)]
    assert not left, f"child processes left running: {left}"
    left = sorted(_segments() - segments)
    assert not left, f"shared memory left behind: {left}"


def _segments() -> set[str]:
    """Segments in /dev/shm that this user owns."""
    found = set()
    for path in SHM.iterdir() if SHM.is_dir() else ():
        try:
            if path.stat().st_uid == os.getuid():
                found.add(path.name)
        except FileNotFoundError:  # gone between the two calls
            continue
    return found


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        found.update(int(pid) for pid in task.read_text().split())
    return found


def _command(pid: int) -> str:
    try:
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    except FileNotFoundError:
        return ""


def _is_helper(pid: int) -> bool:
    command = _command(pid)
    return not command or any(name in command for name in HELPERS)
