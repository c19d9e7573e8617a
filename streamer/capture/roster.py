"""The cameras that a supervisor has, and what is known and told of each."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from streamer.capture import messages
from streamer.capture.counters import Phase
from streamer.capture.messages import CameraSpec, Message
from streamer.capture.ring import FrameRing
from streamer.capture.states import CameraState, StateChange

log = logging.getLogger(__name__)

_WELL: Final = (CameraState.CONNECTING, CameraState.ONLINE)


@dataclass(frozen=True, slots=True)
class Capture:
    """How a camera's capture is doing, as the supervisor sees it.

    `change`: its newest change of state, None before the first. `worker_pid`: the process that
    captures it, None while there is none. `crashes`: how many of its workers have died on it.
    """

    change: StateChange | None
    worker_pid: int | None
    crashes: int


@dataclass(eq=False)
class Camera:
    """One camera of a `Roster`, which guards all of it but the first two.

    `number`: its name among supervisor and workers, never given twice. `removed`: its ring is not
    to be touched any more. `ended`: its source was to be read once, and has been. `killer`: its
    decoder has killed a worker; `held`: it says that it is online since, which is not believed
    yet, or it would be told at every attempt.
    """

    number: int
    spec: CameraSpec
    ring: FrameRing
    change: StateChange | None = None
    crashes: int = 0
    pid: int | None = None
    removed: bool = False
    ended: bool = False
    killer: bool = False
    held: StateChange | None = None


class Roster:
    """The cameras by name. `add`, `remove` and `states` are for any thread.

    The rest is the supervising thread's; it calls `on_state` with no lock held.
    """

    def __init__(self, on_state: Callable[[StateChange], None]) -> None:
        """No camera yet."""
        self._on_state = on_state
        self._lock = threading.Lock()  # guards the two below and what is in them
        self._cameras: dict[str, Camera] = {}
        self._numbers = 0

    def add(self, spec: CameraSpec, ring: FrameRing) -> Camera:
        """Note a new camera. ValueError when there is one of that name."""
        with self._lock:
            if spec.name in self._cameras:
                raise ValueError(f"camera {spec.name} is there already")
            self._numbers += 1
            camera = self._cameras[spec.name] = Camera(self._numbers, spec, ring)
            return camera

    def remove(self, name: str) -> Camera:
        """Forget a camera, which is told of no more. KeyError when there is none of that name."""
        with self._lock:
            camera = self._cameras.pop(name)
            camera.removed = True
            return camera

    def states(self) -> dict[str, Capture]:
        """How every camera is doing, by name."""
        with self._lock:
            return {
                name: Capture(camera.change, camera.pid, camera.crashes)
                for name, camera in self._cameras.items()
            }

    def begun(self, camera: Camera, pid: int) -> Message | None:
        """A worker is to capture it: what to tell that one, or None if it has been removed."""
        with self._lock:
            if camera.removed:
                return None
            camera.pid = pid
            return messages.start_message(camera.number, camera.spec, camera.ring.name)

    def ended(self, camera: Camera) -> None:
        """Its worker has nothing more to do for it."""
        with self._lock:
            camera.ended, camera.pid = True, None

    def last_phase(self, camera: Camera) -> Phase:
        """What its capture thread was in the middle of when the worker died."""
        with self._lock:
            phase = Phase.IDLE if camera.removed else camera.ring.counters.phase
        return Phase(phase) if phase in tuple(Phase) else Phase.IDLE

    def lost(self, camera: Camera, reason: str, detail: str) -> None:
        """Its worker has died, for reason `codec` if by its doing: it is offline."""
        with self._lock:
            camera.crashes += 1
            camera.pid = None
            camera.killer = camera.killer or reason == "codec"
            if not camera.removed:  # nobody else writes its counters now
                counters = camera.ring.counters
                counters.state = CameraState.OFFLINE.code
                counters.phase = Phase.IDLE
                counters.read_started_ns = 0
        now = time.monotonic_ns(), time.time()
        text = f"{camera.spec.source.masked}: {detail}"
        self.tell(camera, StateChange(camera.spec.name, CameraState.OFFLINE, reason, text, *now))

    def believe(self, camera: Camera) -> None:
        """It has not killed its worker for a while: if it says that it is online, it is."""
        with self._lock:
            change, camera.killer = camera.held, False
        if change is not None:
            self.tell(camera, change)

    def tell(self, camera: Camera, change: StateChange) -> None:
        """Log a change and pass it on, once: a camera that is started anew is not new."""
        with self._lock:
            online = change.state is CameraState.ONLINE
            camera.held = change if camera.killer and online else None
            before = camera.change
            known = before is not None and (
                change.state is CameraState.CONNECTING
                or (change.state, change.reason) == (before.state, before.reason)
            )
            if camera.removed or camera.held or known:
                return
            camera.change = change
        well = change.state in _WELL
        # How it ended is for whoever reads it once to say.
        quiet = well or camera.spec.settings.once
        log.log(
            logging.INFO if quiet else logging.WARNING,
            "%s: %s%s",
            change.camera,
            change.state,
            "" if well else f" ({change.reason}): {change.detail}",
            extra={"camera": change.camera, "state": change.state, "reason": change.reason},
        )
        self._on_state(change)
