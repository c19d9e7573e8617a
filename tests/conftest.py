"""What every test must leave behind: nothing."""

import multiprocessing
import threading
from collections.abc import Generator, Iterator
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import pytest
from requirements import missing

from alerts.publisher import ENDING

SHM = Path("/dev/shm")  # noqa: S108
PATIENCE_S = 5.0
# Started once by the standard library, for shared memory and spawned children, and kept.
HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


ALONE = {
    "alerts/test_durability.py",
    "alerts/test_sinks_live.py",
    "demo/test_demo_run.py",
    "demo/test_demo_serve.py",
    "recording/test_record_live.py",
    "replay/test_replay_live.py",
    "streamer/test_faults.py",
    "test_feedback.py",
    "test_operations.py",
    "test_pipeline.py",
    "test_real_footage.py",
}
"""Whole programs and cameras in real time: a second test beside them would cost them frames."""


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of these modules."""
    for item in items:
        if item.path.relative_to(Path(__file__).parent).as_posix() in ALONE:
            item.add_marker("alone")


@pytest.fixture(autouse=True)
def _no_leaks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test leaves a thread, a child process or a shared-memory segment behind."""
    segments: list[str] = []

    class Recorded(SharedMemory):
        """Shared memory that is known to have been created in this test, not by a neighbour."""

        def __init__(self, name: str | None = None, create: bool = False, size: int = 0) -> None:
            super().__init__(name, create, size)
            if create:
                segments.append(self.name)

    monkeypatch.setattr("multiprocessing.shared_memory.SharedMemory", Recorded)
    monkeypatch.setattr("streamer.capture.segment.SharedMemory", Recorded)
    threads, children = set(threading.enumerate()), _children()
    yield
    for thread in set(threading.enumerate()) - threads:
        thread.join(PATIENCE_S)
    for process in multiprocessing.active_children():  # also reaps those that have ended
        if process.pid not in children:
            process.join(PATIENCE_S)
    # libzmq at times keeps a context for ever; the program leaves that to its end.
    left = [t.name for t in set(threading.enumerate()) - threads if t.name != ENDING]
    assert not left, f"threads left running: {left}"
    left = [f"{pid} {_command(pid)}" for pid in _children() - children if not _is_helper(pid)]
    assert not left, f"child processes left running: {left}"
    left = [name for name in segments if (SHM / name).exists()]
    assert not left, f"shared memory left behind: {left}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that is skipped for want of something that CI requires has failed."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr)
        name = missing(reason, {marker.name for marker in item.iter_markers()})
        if name is not None:
            report.outcome = "failed"
            report.longrepr = f"SORAWATCH_REQUIRE names {name}, but: {reason}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """So has a whole module."""
    report = yield
    if report.skipped and missing(str(report.longrepr), set()) is not None:
        report.outcome = "failed"
    return report


def _children() -> set[int]:
    found: set[int] = set()
    for task in Path("/proc/self/task").glob("*/children"):
        try:
            found.update(int(pid) for pid in task.read_text().split())
        except (FileNotFoundError, ProcessLookupError):  # the thread has ended
            continue
    return found


def _command(pid: int) -> str:
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return line.replace(b"\0", b" ").decode(errors="replace")


def _is_helper(pid: int) -> bool:
    command = _command(pid)
    return not command or any(name in command for name in HELPERS)
