"""Records cameras: a thread for each, and one that keeps the index, the budget and the disk."""

import contextlib
import fcntl
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sorawatch import ConfigError, SourceError
from streamer.capture.clock import Clock, SystemClock
from streamer.capture.source import Source
from streamer.capture.states import CameraState, StateChange
from streamer.config_fields import CAMERA_NAME
from streamer.recording.budget import Budget, surplus
from streamer.recording.camera import CameraRecorder, RecordSettings
from streamer.recording.disk import sync_folder
from streamer.recording.index import INDEX, CameraIndex
from streamer.recording.measure import measure
from streamer.recording.recordings import checked_camera
from streamer.recording.room import Room
from streamer.recording.segment import End, Segment
from streamer.recording.segmenter import Begun, Finished, Segmenter
from streamer.recording.stream import check_source

log = logging.getLogger(__name__)

LOCK: Final = ".lock"
_TICK_S: Final = 0.5
_ROOM_S: Final = 1.0
_BUDGET_S: Final = 10.0
_QUEUED: Final = 256


@dataclass(frozen=True, slots=True)
class RecordCamera:
    """A camera to record: its source, and how."""

    source: Source
    settings: RecordSettings = field(default_factory=RecordSettings)


@dataclass(frozen=True, slots=True)
class CameraReport:
    """How recording a camera stands. `state`, `reason`, `detail`: as `StateChange` has them."""

    camera: str
    state: CameraState
    reason: str | None
    detail: str
    segments: int
    frames: int
    bytes: int
    reconnects: int


@dataclass(eq=False)
class _Running:
    recorder: CameraRecorder
    segmenter: Segmenter
    thread: threading.Thread


class Recorder:
    """Records until it is closed or every source has ended; a context manager.

    One recorder at a time writes to a folder, which a lock holds. `on_state` is called from
    several threads, one change of a camera at a time, and must not block.
    """

    def __init__(
        self,
        cameras: Mapping[str, RecordCamera],
        out: Path,
        budget: Budget | None = None,
        on_state: Callable[[StateChange], None] = lambda _change: None,
        *,
        clock: Clock | None = None,
    ) -> None:
        """Check names and sources; nothing is touched before the context is entered."""
        for name, camera in cameras.items():
            checked_camera(name)
            check_source(camera.source)
        self._cameras = cameras
        self._out = out
        self._budget = budget or Budget()
        self._on_state = on_state
        self._clock: Clock = clock or SystemClock()
        self._queue: queue.Queue[Begun | Finished] = queue.Queue(_QUEUED)
        self._ending = threading.Event()
        self._running: dict[str, _Running] = {}
        self._indexes: dict[str, CameraIndex] = {}
        self._left = len(cameras)
        self._left_lock = threading.Lock()
        self._all_ended = threading.Event()
        self._error: BaseException | None = None
        self._lock_fd = -1
        self._removed = 0
        self._keeper = threading.Thread(target=self._keep, name="recording")

    def __enter__(self) -> Self:
        """Take the folder, repair what is in it, start. Raises ConfigError where it cannot."""
        self._take_folder()
        try:
            self._room = Room(self._out, self._budget.keep_free_bytes)
            there = {path.parent.name for path in self._out.glob(f"*/{INDEX}")}
            for name in sorted(self._cameras.keys() | set(filter(CAMERA_NAME.fullmatch, there))):
                self._indexes[name] = CameraIndex(self._out / name)
            sync_folder(self._out)
        except OSError as exc:
            os.close(self._lock_fd)
            raise ConfigError(f"{exc.filename or self._out}: {exc.strerror or exc}") from exc
        except BaseException:
            os.close(self._lock_fd)
            raise
        self._keep_budget()
        for name, camera in self._cameras.items():
            self._running[name] = self._prepared(name, camera)
        self._keeper.start()
        for running in self._running.values():
            running.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop; every segment is finished, synced and in the index. Raises what a thread died of.

        Takes up to a camera's longest timeout, of opening or reading.
        """
        for running in self._running.values():
            running.recorder.stop()
        for running in self._running.values():
            running.thread.join()
        self._ending.set()
        self._keeper.join()
        os.close(self._lock_fd)
        if error is None and self._error is not None:
            raise self._error

    def wait(self, timeout_s: float) -> bool:
        """Wait until every source has ended, at most so long; whether they have."""
        return self._all_ended.wait(timeout_s)

    @property
    def removed(self) -> int:
        """How many segments the budget has removed."""
        return self._removed

    @property
    def condition(self) -> str:
        """What keeps cameras from being written (the disk is full), or nothing."""
        return self._room.condition

    @property
    def times_full(self) -> int:
        """How often the disk became full."""
        return self._room.times_full

    def reports(self) -> list[CameraReport]:
        """How every camera stands. Any thread."""
        return [_report(name, running) for name, running in self._running.items()]

    def _take_folder(self) -> None:
        out = self._out
        try:
            out.mkdir(parents=True, exist_ok=True)
            fd = os.open(out / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except (FileExistsError, NotADirectoryError) as exc:
            raise ConfigError(f"{out} is not a folder; give another --out") from exc
        except OSError as exc:
            raise ConfigError(f"{out}: cannot be written: {exc.strerror or exc}") from exc
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(fd)
            raise ConfigError(
                f"{out}: another `sorawatch record` is writing there; give each its own --out, or "
                "one configuration with all cameras"
            ) from exc
        self._lock_fd = fd

    def _prepared(self, name: str, camera: RecordCamera) -> _Running:
        segmenter = Segmenter(
            self._indexes[name], camera.settings.segment_s, self._room, self._deliver, self._clock
        )
        recorder = CameraRecorder(
            name, camera.source, segmenter, camera.settings, self._on_state, clock=self._clock
        )
        thread = threading.Thread(target=self._record, args=(recorder,), name=f"record-{name}")
        return _Running(recorder, segmenter, thread)

    def _record(self, recorder: CameraRecorder) -> None:
        try:
            recorder.run()
        except BaseException as exc:
            self._fail(exc)
        finally:
            with self._left_lock:
                self._left -= 1
                if not self._left:
                    self._all_ended.set()

    def _fail(self, error: BaseException) -> None:
        """Ends it all: `wait` returns, `__exit__` raises the error."""
        self._error = self._error or error
        self._all_ended.set()

    def _deliver(self, item: Begun | Finished) -> None:
        """From a camera's thread: waits while the disk is far behind."""
        while self._keeper.is_alive():
            try:
                self._queue.put(item, timeout=_TICK_S)
            except queue.Full:
                continue
            return
        file_away(item)

    def _keep(self) -> None:
        """Until everything that was delivered has been taken."""
        try:
            self._keep_on()
        except BaseException as exc:
            self._fail(exc)
        finally:  # a descriptor left in the queue is a segment that nobody syncs
            with contextlib.suppress(queue.Empty):
                while True:
                    file_away(self._queue.get_nowait())

    def _keep_on(self) -> None:
        tick_s = room_s = budget_s = time.monotonic()
        while True:
            ending = self._ending.is_set()
            try:
                item = self._queue.get(timeout=0.0 if ending else _TICK_S / 2)
            except queue.Empty:
                if ending:
                    self._keep_budget()
                    return
            else:
                file_away(item)
                if isinstance(item, Finished):
                    budget_s = min(budget_s, time.monotonic() + _ROOM_S)
            now_s = time.monotonic()
            if now_s >= tick_s:
                tick_s = now_s + _TICK_S
                for running in self._running.values():
                    running.recorder.watch()
            if now_s >= room_s:
                room_s = now_s + _ROOM_S
                self._room.check()
            if now_s >= budget_s:
                budget_s = now_s + _BUDGET_S
                self._keep_budget()

    def _keep_budget(self) -> None:
        for index in self._indexes.values():
            index.flush()
        open_bytes = sum(running.segmenter.open_bytes for running in self._running.values())
        closed = [segment for index in self._indexes.values() for segment in index.closed()]
        now_utc_s = self._clock.utc_ns() / 1e9
        for segment in surplus(closed, open_bytes, self._budget, now_utc_s):
            try:
                self._indexes[segment.camera].remove(segment)
            except OSError as exc:
                log.warning("%s: cannot be removed: %s", segment.path, exc.strerror or exc)
            else:
                self._removed += 1
                log.info("%s: removed, the budget is used up", segment.path)


def file_away(item: Begun | Finished) -> None:
    """Sync what was written and put it into the index; what turns out empty is removed."""
    if isinstance(item, Begun):
        item.index.begin(item.segment)
        return
    segment = _synced(item)
    if segment.frames:
        item.index.finish(segment)
        return
    try:
        item.index.remove(segment)
    except OSError as exc:
        log.warning("%s: empty, but cannot be removed: %s", segment.path, exc.strerror or exc)


def _synced(item: Finished) -> Segment:
    """The segment once it is on the disk, whole or as much of it as there is."""
    segment = item.segment
    if item.fd is not None:
        try:
            os.fsync(item.fd)
            sync_folder(segment.path.parent)
            sync_folder(item.index.folder)
        except OSError as exc:
            log.error("%s: not synced to the disk: %s", segment.path, exc.strerror or exc)
        else:
            return replace(segment, complete=True)
        finally:
            os.close(item.fd)
    try:
        held = measure(segment.path)
        size = segment.path.stat().st_size
    except (SourceError, OSError):
        return replace(segment, frames=0, duration_s=0.0, bytes=0, ended=End.DISK_FULL)
    return replace(segment, frames=held.frames, duration_s=held.duration_s, bytes=size)


def _report(name: str, running: _Running) -> CameraReport:
    change = running.recorder.last_change
    return CameraReport(
        camera=name,
        state=CameraState.CONNECTING if change is None else change.state,
        reason=None if change is None else change.reason,
        detail="" if change is None else change.detail,
        segments=running.segmenter.segments,
        frames=running.segmenter.frames,
        bytes=running.segmenter.bytes,
        reconnects=running.recorder.reconnects,
    )
