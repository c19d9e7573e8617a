"""A worker: a process that captures some cameras, so that a decoder's crash stays in it.

One thread a camera, one that watches them, and the main one, which obeys the supervisor. It ends
when it is told to, or when the supervisor's end of the pipe closes, whatever its cameras do.
"""

import logging
import os
import resource
import signal
import threading
import time
from multiprocessing.connection import Connection
from typing import Final, NoReturn

import cv2

from sorawatch import ResourceError
from streamer.capture import messages
from streamer.capture.camera import CameraCapture
from streamer.capture.doorbell import Doorbell
from streamer.capture.messages import CameraSpec, Message
from streamer.capture.ring import FrameRing
from streamer.capture.states import CameraState, StateChange

log = logging.getLogger(__name__)

WATCH_EVERY_S: Final = 0.2
ALIVE_EVERY_S: Final = 1.0
LAST_WORDS_S: Final = 0.4  # for threads that can end at once; one that blocks in a read cannot
LOG_CHARS: Final = 8_000
RETRY_S: Final = 1.0  # after a fault of ours, so that it does not spin


def worker_main(connection: Connection, bell: Doorbell, log_level: int) -> NoReturn:
    """Capture what the supervisor at the other end of `connection` asks for; never returns.

    `bell` is rung after each frame that has been put into a ring. Records of `log_level` and
    above go to the supervisor, which logs them.
    """
    # The terminal and the service manager signal the whole group; only the main process decides.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # A core would hold passwords, and a file that kills its decoder would leave many.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cv2.setNumThreads(1)
    worker = _Worker(connection, bell)
    logging.basicConfig(level=log_level, handlers=[_Forward(worker)], force=True)
    worker.run()
    # Threads that block in a read cannot be joined, and nothing here is worth waiting for.
    os._exit(0)


class _Worker:
    """What the threads of a worker share. `_sending` guards the pipe's sending end."""

    def __init__(self, connection: Connection, bell: Doorbell) -> None:
        self._connection = connection
        self._bell = bell
        self._sending = threading.Lock()
        self._lock = threading.Lock()  # guards _captures
        self._captures: dict[int, _Capture] = {}
        self._exiting = threading.Event()

    def run(self) -> None:
        """Obey until told to exit, or until nobody is there to tell."""
        monitor = threading.Thread(target=self._monitor, name="monitor", daemon=True)
        monitor.start()
        self.send({"op": "ready"})
        try:
            while (message := messages.receive(self._connection))["op"] != "exit":
                self._obey(message)
        except (EOFError, OSError):
            os._exit(0)  # the main process is gone: the pictures have no reader any more
        self._exiting.set()
        with self._lock:
            captures = tuple(self._captures.values())
        for capture in captures:
            capture.stop()
        deadline = time.monotonic() + LAST_WORDS_S
        for capture in captures:
            capture.join(max(0.0, deadline - time.monotonic()))

    def send(self, message: Message) -> None:
        """Tell the supervisor something; any thread."""
        try:
            with self._sending:
                messages.send(self._connection, message)
        except OSError:
            os._exit(0)

    def ring_bell(self) -> None:
        """Say that a frame is there."""
        self._bell.ring()

    def forget(self, number: int) -> None:
        """A camera's thread is at its end."""
        with self._lock:
            self._captures.pop(number, None)
        self.send({"op": "stopped", "number": number})

    def _obey(self, message: Message) -> None:
        number = message["number"]
        if message["op"] == "start":
            capture = _Capture(self, number, messages.read_spec(message), message["ring"])
            with self._lock:
                self._captures[number] = capture
            capture.start()
        elif message["op"] == "stop":
            with self._lock:
                stopping = self._captures.get(number)
            if stopping is not None:
                stopping.stop()

    def _monitor(self) -> None:
        """Find cameras that hang in a read, and say now and then that this process does not."""
        alive_at = time.monotonic()
        while not self._exiting.wait(WATCH_EVERY_S):
            with self._lock:
                captures = tuple(self._captures.values())
            for capture in captures:
                capture.watch()
            if time.monotonic() >= alive_at:
                alive_at = time.monotonic() + ALIVE_EVERY_S
                self.send({"op": "alive"})


class _Capture:
    """One camera's thread. A fault of ours in it is logged, reported, and tried again."""

    def __init__(self, worker: _Worker, number: int, spec: CameraSpec, ring: str) -> None:
        self._worker = worker
        self._number = number
        self._spec = spec
        self._ring_name = ring
        self._stop = threading.Event()
        self._lock = threading.Lock()  # guards _capture
        self._capture: CameraCapture | None = None
        self._thread = threading.Thread(target=self._run, name=f"capture {spec.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it does so at once, or when the read it is in times out."""
        self._stop.set()
        with self._lock:
            if self._capture is not None:
                self._capture.stop()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def watch(self) -> None:
        """Find out whether the thread hangs; for the monitor."""
        with self._lock:
            if self._capture is not None:
                self._capture.watch()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                try:
                    with FrameRing.attach(self._ring_name) as ring:
                        return self._run_once(ring)
                except ResourceError as error:
                    self._report(str(error))
                except Exception as error:
                    log.exception("%s: capture failed; it starts again", self._spec.name)
                    self._report(f"{type(error).__name__}: {error}")
                self._stop.wait(RETRY_S)
        finally:
            self._worker.forget(self._number)

    def _run_once(self, ring: FrameRing) -> None:
        capture = CameraCapture(
            self._spec.name,
            self._spec.source,
            ring,
            settings=self._spec.settings,
            on_state=self._on_state,
            on_frame=self._worker.ring_bell,
        )
        with self._lock:
            self._capture = capture
        try:
            if self._stop.is_set():  # told so before there was anything to stop
                capture.stop()
            capture.run()
        finally:
            with self._lock:
                self._capture = None

    def _on_state(self, change: StateChange) -> None:
        self._worker.send(messages.state_message(self._number, change))

    def _report(self, detail: str) -> None:
        now = time.monotonic_ns(), time.time()
        self._on_state(StateChange(self._spec.name, CameraState.OFFLINE, "error", detail, *now))


class _Forward(logging.Handler):
    """Hands log records to the supervisor, which knows where the program logs to and how."""

    def __init__(self, worker: _Worker) -> None:
        super().__init__()
        self._worker = worker

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)[:LOG_CHARS]  # with the traceback, if there is one
        except Exception:
            self.handleError(record)
            return
        self._worker.send(
            {"op": "log", "logger": record.name, "level": record.levelno, "text": text}
        )
