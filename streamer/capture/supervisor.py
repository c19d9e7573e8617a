"""The supervisor: spreads cameras over worker processes and brings back those that die."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, Final, Self

from streamer.capture import messages
from streamer.capture.backoff import Backoff
from streamer.capture.doorbell import Doorbell
from streamer.capture.grouping import split_after_crash
from streamer.capture.messages import CameraSpec, Message
from streamer.capture.ring import FrameRing
from streamer.capture.roster import Camera, Capture, Roster
from streamer.capture.source import SourceKind
from streamer.capture.states import StateChange
from streamer.capture.worker_process import WorkerProcess, describe_exit

__all__ = ["CameraSpec", "Capture", "Supervisor"]

log = logging.getLogger(__name__)

TICK_S: Final = 1.0
SILENT_TICKS: Final = 8  # a worker that has not said that it is alive for so long is stuck
STABLE_S: Final = 30.0  # a worker that has lived for so long is started anew at once
RESTART_MAX_S: Final = 30.0
PROBATION_S: Final = 3.0  # for which a worker must live on with a camera that has killed one
LEAVE_S: Final = 1.5  # for a worker to end before it is killed
FILES: Final = (SourceKind.FILE, SourceKind.FOLDER, SourceKind.FOOTAGE)


@dataclass(eq=False)
class _Group:
    """The cameras of one worker, which may be started several times. The supervising thread's.

    `shared`: whether more cameras may join. `start_at_s`: when to start it, if it does not run.
    `silent_ticks`: for how long it has not said anything. `failed`: whether it has died before.
    """

    shared: bool
    cameras: dict[int, Camera] = field(default_factory=dict)
    worker: WorkerProcess | None = None
    start_at_s: float = 0.0
    silent_ticks: int = 0
    failed: bool = False
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=1.0, max_s=RESTART_MAX_S))


class Supervisor:
    """Captures cameras in worker processes, until it is closed; a context manager.

    A thread of its own starts workers, hears them, and starts those that die again; `on_state` is
    called from it, one change at a time, and must not block. `add` and `remove` may be called
    from any thread, also from `on_state`, and disturb no other camera. `bell` is rung after each
    frame of any camera; it must outlive the supervisor.

    `workers`: how many processes live streams share, None for one a core. Files and folders get
    one each. A camera whose decoder kills its worker ends up with one of its own, is `offline`
    with reason `codec`, and is tried again after up to 30 s.
    """

    def __init__(
        self, bell: Doorbell, on_state: Callable[[StateChange], None], workers: int | None = None
    ) -> None:
        """Nothing runs before the context is entered."""
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        self._bell = bell
        self._roster = Roster(on_state)
        self._most_shared = workers or len(os.sched_getaffinity(0))
        self._wake = Doorbell()
        self._lock = threading.Lock()  # guards the four below
        self._added: list[Camera] = []
        self._removed: list[Camera] = []
        self._closing = False
        self._closed = False
        self._groups: list[_Group] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor")

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close; raises what the thread died of, unless an error is on its way already."""
        self.close()
        if error is None:
            self.check()

    def add(self, spec: CameraSpec, ring: FrameRing) -> None:
        """Begin to capture a camera into a ring that this process owns; returns at once.

        ValueError when a camera of that name is there already.
        """
        with self._lock:
            if self._closing:
                raise RuntimeError("the supervisor is closed")
            self._added.append(self._roster.add(spec, ring))
            self._poke()

    def remove(self, name: str) -> None:
        """Stop capturing a camera; returns at once. KeyError when there is none of that name.

        Its ring may be closed as soon as this returns, but not be given to another camera: the
        capture thread may be inside a read, and ends with it. `on_state` is not called for the
        camera any more, but for a change that is being delivered now.
        """
        with self._lock:
            self._removed.append(self._roster.remove(name))
            self._poke()

    def states(self) -> dict[str, Capture]:
        """How every camera is doing, by name."""
        return self._roster.states()

    def check(self) -> None:
        """Raise what the supervising thread died of, if it did; then no camera is captured."""
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """End all capture, within 2 s whatever the cameras do. May be repeated."""
        with self._lock:
            self._closing = True
            self._poke()
        if self._thread.ident is not None:
            self._thread.join(LEAVE_S + 0.2)
            while self._thread.is_alive():  # it waits for a worker that takes no message
                for group in tuple(self._groups):
                    if group.worker is not None:
                        group.worker.kill()
                self._thread.join(0.1)
        with self._lock:
            self._closed = True
            self._wake.close()

    def _poke(self) -> None:
        """Wake the supervising thread; with the lock held."""
        if not self._closed:
            self._wake.ring()

    # From here on: the supervising thread.

    def _run(self) -> None:
        try:
            tick_s = time.monotonic() + TICK_S
            while not self._obey():
                now_s = time.monotonic()
                if now_s >= tick_s:
                    tick_s = now_s + TICK_S
                    self._tick()
                self._start_due(now_s)
                due = [tick_s, *self._release(now_s)]
                due += [group.start_at_s for group in self._groups if group.worker is None]
                self._listen(max(0.0, min(due) - time.monotonic()))
        except BaseException as error:
            log.exception("the supervisor died; no camera is captured any more")
            self._error = error
        finally:
            self._end_all()

    def _obey(self) -> bool:
        """Do what `add` and `remove` have asked for; whether to close."""
        with self._lock:
            added, removed, closing = self._added, self._removed, self._closing
            self._added, self._removed = [], []
        for camera in added:
            if not closing:
                self._place(camera)
        for camera in removed:
            for group in self._groups:
                if group.cameras.pop(camera.number, None) and group.worker is not None:
                    group.worker.send({"op": "stop", "number": camera.number})
        for group in tuple(self._groups):
            if all(camera.ended for camera in group.cameras.values()):
                self._dissolve(group)
        return closing

    def _place(self, camera: Camera) -> None:
        if camera.spec.source.kind in FILES:
            self._group([camera])
            return
        shared = [group for group in self._groups if group.shared]
        if len(shared) < self._most_shared:
            self._group([camera], shared=True)
            return
        group = min(shared, key=lambda group: len(group.cameras))
        group.cameras[camera.number] = camera
        if group.worker is not None:
            self._tell_to_start(group.worker, camera)

    def _group(self, cameras: list[Camera], shared: bool = False) -> None:
        self._groups.append(_Group(shared, {camera.number: camera for camera in cameras}))

    def _dissolve(self, group: _Group) -> None:
        """End a worker that has no camera left."""
        if group.worker is None:
            self._groups.remove(group)
        else:
            group.shared = False
            group.worker.leave(LEAVE_S)

    def _start_due(self, now_s: float) -> None:
        for group in self._groups:
            if group.worker is not None or group.start_at_s > now_s:
                continue
            try:
                group.worker = WorkerProcess(self._bell)
            except OSError as error:  # the machine has no process, file or memory left
                log.error("no capture worker can be started: %s", error)
                group.failed = True
                self._again(group, 0.0, "error", f"no capture worker can be started: {error}")
                continue
            group.silent_ticks = 0
            for camera in group.cameras.values():
                if not camera.ended:
                    self._tell_to_start(group.worker, camera)

    def _release(self, now_s: float) -> list[float]:
        """Believe cameras that are online and have killed no worker since; when to ask again."""
        later = []
        for group in self._groups:
            if group.worker is None:
                continue
            for camera in tuple(group.cameras.values()):
                if camera.held is None:
                    continue
                believed_s = group.worker.started_s + PROBATION_S
                if believed_s <= now_s:
                    self._roster.believe(camera)
                else:
                    later.append(believed_s)
        return later

    def _tell_to_start(self, worker: WorkerProcess, camera: Camera) -> None:
        message = self._roster.begun(camera, worker.pid)
        if message is not None:
            worker.send(message)

    def _tick(self) -> None:
        """Kill workers that have gone silent, or do not end.

        Counted in ticks of this thread, so that a machine that was suspended kills nobody.
        """
        for group in self._groups:
            if group.worker is None:
                continue
            group.silent_ticks += 1
            if group.worker.overdue:
                group.worker.kill()
            elif group.silent_ticks > SILENT_TICKS and not group.worker.stuck:
                log.error("capture worker %d is stuck; it is killed", group.worker.pid)
                group.worker.kill(as_stuck=True)

    def _listen(self, timeout_s: float) -> None:
        """Wait for something to happen, and take note of it."""
        heard: dict[Any, tuple[_Group, WorkerProcess]] = {
            waitable: (group, group.worker)
            for group in self._groups
            if group.worker is not None
            for waitable in group.worker.waitables
        }
        ready: list[Any] = [*heard, self._wake]
        ready = wait(ready, timeout_s)
        self._wake.drain()
        for group, worker in {heard[waitable] for waitable in ready if waitable in heard}:
            self._hear(group, worker)

    def _hear(self, group: _Group, worker: WorkerProcess) -> None:
        alive = worker.alive  # before reading: what a dead worker had said is all there
        said, open_still = worker.received()
        group.silent_ticks = 0 if said else group.silent_ticks
        try:
            for message in said:
                self._heed(group, worker, message)
        except (KeyError, TypeError, ValueError):
            log.exception("capture worker %d talks nonsense; it is killed", worker.pid)
            open_still = False
        if not open_still:
            worker.kill()
            self._mourn(group, worker)
        elif not alive and not said:
            self._mourn(group, worker)

    def _heed(self, group: _Group, worker: WorkerProcess, message: Message) -> None:
        if message["op"] == "ready":
            worker.ready = True
        elif message["op"] == "log":
            logging.getLogger(message["logger"]).log(message["level"], "%s", message["text"])
        elif (camera := group.cameras.get(message.get("number", 0))) is None:
            return  # it is only alive, or speaks of a camera that has been removed
        elif message["op"] == "state":
            self._roster.tell(camera, messages.read_state(message))
        elif message["op"] == "stopped":
            self._roster.ended(camera)

    def _mourn(self, group: _Group, worker: WorkerProcess) -> None:
        """A worker has died: find out on whom, and start anew what it did."""
        group.worker = None
        lived_s = time.monotonic() - worker.started_s
        how = describe_exit(status := worker.bury())
        left = [camera for camera in group.cameras.values() if not camera.ended]
        if not left:
            self._groups.remove(group)
            return
        log.warning("capture worker of %d cameras died: %s", len(left), how)
        if not worker.ready:
            self._again(group, 0.0, "error", f"the capture worker does not start ({how})")
        elif status == -signal.SIGKILL and not worker.stuck:
            # Not a decoder's doing: somebody, or the kernel for want of memory, has killed it.
            self._again(group, lived_s, "error", "the capture worker was killed")
        elif len(left) == 1:
            group.shared = False
            self._again(group, lived_s, "codec", f"the decoder crashed ({how})")
        else:
            together, apart = split_after_crash(
                [(camera, self._roster.last_phase(camera)) for camera in left]
            )
            for camera in left:
                if apart == [[camera]]:
                    self._roster.lost(camera, "codec", f"the decoder crashed ({how})")
                else:
                    self._roster.lost(camera, "error", f"its capture worker crashed ({how})")
            for cameras in apart:
                self._group(cameras)
            group.cameras = {camera.number: camera for camera in together}
            if not together:
                self._groups.remove(group)

    def _again(self, group: _Group, lived_s: float, reason: str, detail: str) -> None:
        """Start a group's worker anew: at once, or after a while if it dies again and again."""
        if lived_s > STABLE_S:
            group.backoff.reset()
        elif group.failed:
            group.start_at_s = time.monotonic() + group.backoff.next_s()
        group.failed = True
        for camera in group.cameras.values():
            if not camera.ended:
                self._roster.lost(camera, reason, detail)

    def _end_all(self) -> None:
        workers = [group.worker for group in self._groups if group.worker is not None]
        for worker in workers:
            worker.leave(LEAVE_S)
        deadline_s = time.monotonic() + LEAVE_S
        waiting = list(workers)
        while waiting and (left_s := deadline_s - time.monotonic()) > 0:
            wait([worker.waitables[1] for worker in waiting], left_s)
            waiting = [worker for worker in waiting if worker.alive]
        for worker in waiting:
            log.warning("capture worker %d does not end; it is killed", worker.pid)
            worker.kill()
        for worker in workers:
            worker.bury()
