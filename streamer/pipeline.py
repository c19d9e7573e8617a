"""The live program: cameras in, alerts out.

Threads, each with one owner, all joined on leaving: the supervisor's (which also starts and
watches the worker processes), one for analysis, one for chores that may take long, the alert
writer's, one for each sink, the HTTP server's. Cameras, detector and judges belong to the analysis
thread; others reach it through `_inbox` alone.
"""

import hashlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from alerts.event import Event, EventDraft, Provenance
from alerts.sinks.sinks import Sinks
from alerts.writer import AlertWriter
from detectors.detector import Detector
from detectors.encoder.session import EncoderOutput, EncoderSession
from detectors.normality import Normality
from sorawatch import ConfigError, SorawatchError, __version__
from streamer.capture.doorbell import Doorbell, wait
from streamer.capture.ring import FrameRing
from streamer.capture.states import StateChange
from streamer.capture.supervisor import CameraSpec, Supervisor
from streamer.capture.windows import RingWindow
from streamer.chores import Chores
from streamer.config import CameraConfig, Config, fingerprint, resolve
from streamer.control import ControlServer
from streamer.event_memory import EventMemory
from streamer.evidence.live import LiveEvidence
from streamer.feedback import Held
from streamer.http import StatusServer
from streamer.metrics import Metrics
from streamer.opening import (
    capture_settings,
    check_memory,
    load_normality,
    open_encoder,
    sink_settings,
    writer_settings,
)
from streamer.reporting import RateMeter, camera_status
from streamer.status import ProgramStatus, SinkStatus
from streamer.watch import CameraWatch

log = logging.getLogger(__name__)

TURN_S: Final = 0.03
"""Frames that arrive within this time are analysed together."""

IDLE_S: Final = 0.25
"""The analysis looks round at least this often, so that it hears of changes and is seen to live."""


_ANSWER_S: Final = 10.0
"""So long feedback waits for the analysis, which looks round every `IDLE_S` at the least."""

_A = TypeVar("_A")


class Pipeline:
    """Runs a configuration. A context manager: entering starts everything, leaving stops it.

    `wait`, `stop`, `reload` and `status` may be called from any thread.
    """

    def __init__(self, config: Config) -> None:
        """Nothing is opened before entering."""
        self._config = config
        self._cameras = resolve(config)
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._watches: dict[str, CameraWatch] = {}
        self._rates: dict[str, RateMeter] = {}
        self._made_ns: dict[str, int] = {}
        self._started_s = self._turned_s = time.monotonic()
        self._outbox_problem = ""
        self._thread = threading.Thread(target=self._analyse, name="analysis")
        self._metrics = Metrics(self.status)
        self._memory = EventMemory()
        self.http: StatusServer | None = None
        self.control_address: str | None = None

    def __enter__(self) -> Self:
        """Start. Raises SorawatchError: what cannot work is said now, not in the night."""
        with ExitStack() as stack:
            self._session = open_encoder(self._config.detect)
            normal = load_normality(self._cameras, self._encoder_sha256)
            check_memory(self._cameras)
            self._detector = Detector(
                None if self._session is None else TimedEncoder(self._session, self._metrics),
                threads=self._config.detect.threads or len(os.sched_getaffinity(0)),
            )
            stack.callback(self._detector.close)
            self._chores = stack.enter_context(Chores())
            settings = writer_settings(self._config.alerts)
            self._writer = stack.enter_context(
                AlertWriter(settings, on_published=self._published, on_degraded=self._degraded)
            )
            self._sinks = stack.enter_context(
                Sinks(
                    sink_settings(self._config.alerts),
                    self._writer.follow,
                    stream=self._writer.stream,
                    cameras=list(self._cameras),
                )
            )
            self._evidence = stack.enter_context(
                LiveEvidence(self._config.alerts, self._chores, self._writer.submit)
            )
            self._bell = stack.enter_context(Doorbell())
            stack.callback(self._close_rings)
            self._supervisor = stack.enter_context(
                Supervisor(
                    workers=self._config.capture.workers,
                    on_state=lambda change: self._inbox.put(lambda: self._change_state(change)),
                    bell=self._bell,
                )
            )
            for name, camera in self._cameras.items():
                self._add(name, camera, normal[name], FrameRing.create(camera.capture.slots))
            self._thread.start()
            stack.callback(self._stop_analysis)
            self._open_control(stack)
            metrics = self._config.metrics
            if metrics.listen is not None:
                token = metrics.token.get_secret_value() if metrics.token else None
                self.http = stack.enter_context(
                    StatusServer(metrics.listen, self.status, self._metrics.render, token=token)
                )
            self._stack = stack.pop_all()
        log.info(
            "watching %d cameras; alerts at %s", len(self._cameras), self._writer.publish_address
        )
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Stop everything, in the order in which an alert travels. Takes two seconds at most."""
        self._stack.close()
        if self._error is not None and _value is None:
            raise self._error

    @property
    def publish_address(self) -> str:
        """Where alerts are published, with the port that was got."""
        return self._writer.publish_address

    def wait(self, timeout_s: float | None = None) -> bool:
        """Until `stop`, or until the analysis has failed; whether one of them came in time."""
        return self._ended.wait(timeout_s)

    def stop(self) -> None:
        """End `wait`. Safe in a signal handler."""
        self._ended.set()

    def reload(self, config: Config) -> None:
        """Go over to the cameras of `config`; those that did not change are not touched.

        A camera whose normality file was written anew has changed.

        Raises SorawatchError and changes nothing when a normality file cannot be used or the
        machine has no room. For one thread at a time.
        """
        cameras = resolve(config)
        for section in ("detect", "capture", "alerts", "metrics", "control", "log"):
            if getattr(config, section) != getattr(self._config, section):
                log.warning("%s: a change there needs a restart where cameras share it", section)
        changed = {
            name: camera
            for name, camera in cameras.items()
            if self._cameras.get(name) != camera or self._learned_anew(name, camera)
        }
        gone = [name for name in self._cameras if name not in cameras or name in changed]
        learners = {
            watch.learning.normal: name
            for name, watch in list(self._watches.items())
            if watch.learning is not None and name not in gone
        }
        normal = load_normality(changed, self._encoder_sha256, learners)
        check_memory(changed)
        with ExitStack() as unused:
            rings = {
                name: unused.enter_context(FrameRing.create(camera.capture.slots))
                for name, camera in changed.items()
            }
            done = threading.Event()

            def apply() -> None:
                unused.pop_all()
                for name in gone:
                    self._remove(name)
                for name, camera in changed.items():
                    self._add(name, camera, normal[name], rings[name])
                done.set()

            self._inbox.put(apply)
            self._bell.ring()
            while not done.wait(IDLE_S):
                if not self._thread.is_alive():
                    return
        self._cameras = cameras
        self._sinks.cameras(list(cameras))
        log.info("reloaded: %d cameras, %d new or changed", len(cameras), len(changed))

    def _learned_anew(self, name: str, camera: CameraConfig) -> bool:
        watch = self._watches.get(name)
        if watch is None or camera.normal is None:
            return False
        try:
            found = hashlib.sha256(camera.normal.read_bytes()).hexdigest()
        except OSError:
            return False  # what is in use stays in use
        return found != watch.normal_sha256

    def status(self) -> ProgramStatus:
        """What everything is doing now."""
        now_s = time.monotonic()
        problems = []
        if self._error is not None:
            problems.append(f"analysis failed: {self._error}")
        if self._outbox_problem:
            problems.append(self._outbox_problem)
        cameras = []
        for watch in list(self._watches.values()):
            try:
                cameras.append(camera_status(watch, self._rates[watch.name].rate, now_s))
            except (KeyError, ValueError):  # taken out by a reload a moment ago
                continue
        return ProgramStatus(
            version=__version__,
            pid=os.getpid(),
            uptime_s=now_s - self._started_s,
            provider=None if self._session is None else self._session.provider,
            cameras=cameras,
            queues={"alerts": self._writer.queued},
            alerts_lost=self._writer.lost,
            heartbeat_age_s=now_s - self._turned_s,
            problems=problems,
            publish=self._writer.publish_address,
            catch_up=self._writer.catch_up_address,
            sinks=[SinkStatus(**asdict(report)) for report in self._sinks.reports()],
            control=self.control_address,
            evidence=self._evidence.status(),
        )

    # What feedback asks, on the thread of the control socket.

    def held(self, camera: str, event_id: str) -> Held:
        """What is held of an event, as `streamer.feedback.Program` says."""
        return self._ask(lambda: self._held(camera, event_id))

    def taught(self, file: Path, before: str, now: Normality) -> list[str]:
        """Let cameras that watch by `file` watch by `now`; which did."""
        return self._ask(lambda: self._taught(file, before, now))

    def _ask(self, work: Callable[[], _A]) -> _A:
        """What the analysis thread gives when it does `work` between two turns."""
        done: Future[_A] = Future()

        def do() -> None:
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(work())
                except SorawatchError as exc:
                    done.set_exception(exc)

        self._inbox.put(do)
        self._bell.ring()
        until_s = time.monotonic() + _ANSWER_S
        while True:
            try:
                return done.result(IDLE_S)
            except TimeoutError as exc:
                if self._thread.is_alive() and time.monotonic() < until_s:
                    continue
                if done.cancel():
                    raise SorawatchError("the analysis does not answer: try again") from exc
                return done.result()  # it has begun, and takes no time

    def _open_control(self, stack: ExitStack) -> None:
        """The socket for `sorawatch events`, where one is wanted and can be had."""
        control = self._config.control
        outbox = self._config.alerts.outbox
        address = control.address(outbox)
        if address is None:
            return
        if (problem := control.problem(outbox)) is not None:
            log.warning("%s: set control.listen", problem)
            return
        server = ControlServer(address, outbox, self, stream=self._writer.stream)
        stack.enter_context(server)
        self.control_address = address

    # The analysis thread's own from here on.

    def _held(self, camera: str, event_id: str) -> Held:
        watch = self._watches.get(camera)
        if watch is None or watch.normality is None:
            state = "is not watched" if watch is None else "is still learning"
            raise ConfigError(f"the camera {camera} {state}: it cannot be taught now")
        assert watch.config.normal is not None  # noqa: S101 - resolve() has filled it in
        collector = self._memory.of(event_id)
        if collector is None:
            return Held(watch.config.normal, watch.normality)
        tokens, then = collector.tokens(), collector.normality
        return Held(watch.config.normal, watch.normality, tokens, then)

    def _taught(self, file: Path, before: str, now: Normality) -> list[str]:
        taught = []
        for name, watch in self._watches.items():
            if watch.config.normal == file and watch.normal_sha256 == before:
                watch.teach(now)
                taught.append(name)
        return taught

    def _analyse(self) -> None:
        try:
            second_s = time.monotonic()
            while not self._stop.is_set():
                if wait([self._bell], IDLE_S):
                    self._stop.wait(TURN_S)
                more = True
                while more and not self._stop.is_set():
                    self._turned_s = now_s = time.monotonic()
                    self._hear()
                    if now_s >= second_s:  # in here, so that it happens under any load
                        second_s = now_s + 1.0
                        self._every_second(now_s)
                    more = self._turn() > 0
            self._hear()
        except BaseException as exc:  # the owner is told, and raises it
            log.exception("the analysis failed")
            self._error = exc
        finally:
            self._close_watches()
            self._ended.set()

    def _hear(self) -> None:
        while True:
            try:
                work = self._inbox.get_nowait()
            except queue.Empty:
                return
            work()

    def _turn(self) -> int:
        """Analyse the next window of every camera that has one; how many there were."""
        ready = []
        for watch in self._watches.values():
            seen = self._next(watch)
            if seen is not None:
                ready.append((watch, seen))
        if ready:
            scores = self._detector.step([(watch.name, seen.window) for watch, seen in ready])
            now_ns = time.monotonic_ns()
            for (watch, seen), score in zip(ready, scores, strict=True):
                self._metrics.scored_age_s.observe((now_ns - seen.header.t_mono_ns) / 1e9)
                self._tell(watch.observe(seen, score), seen.header.t_mono_ns)
        return len(ready)

    def _next(self, watch: CameraWatch) -> RingWindow | None:
        """The next window of a camera, if there is one; tells what its frames tell."""
        while (look := watch.look()) is not None:
            self._tell(look.drafts)
            if look.seen is not None:
                return look.seen
        return None

    def _every_second(self, mono_s: float) -> None:
        self._supervisor.check()
        if not self._writer.alive:
            raise SorawatchError("alerts can no longer be published: the log says why")
        utc_s = time.time()
        for name, watch in self._watches.items():
            self._rates[name].sample(mono_s, watch.ring.counters.frames_read)
            self._tell(watch.every_second(utc_s))
        self._evidence.tidy(mono_s)

    def _change_state(self, change: StateChange) -> None:
        watch = self._watches.get(change.camera)
        if watch is not None:
            self._tell(watch.change_state(change))

    def _tell(self, drafts: list[EventDraft], t_mono_ns: int | None = None) -> None:
        for draft in drafts:
            timed = t_mono_ns is not None and draft.kind == "anomaly" and draft.type == "new"
            if timed and t_mono_ns is not None:
                self._made_ns[draft.id] = t_mono_ns
            told = self._evidence.pass_on(draft)
            if told is not None and not self._writer.submit(told):
                self._made_ns.pop(draft.id, None)

    def _add(
        self, name: str, camera: CameraConfig, normality: Normality | None, ring: FrameRing
    ) -> None:
        """Watch a camera; the ring is this pipeline's to close from here on."""
        try:
            watch = CameraWatch(
                name,
                camera,
                ring,
                self._detector,
                normality=normality,
                provenance=Provenance(model=self._encoder_sha256, config=fingerprint(camera)),
                snapshots=self._evidence.snapshots,
                memory=self._memory,
                follow=self._evidence.follow(name),
            )
        except BaseException:
            ring.__exit__()
            raise
        self._rates[name] = RateMeter()
        self._watches[name] = watch
        self._supervisor.add(CameraSpec(name, camera.source, capture_settings(camera)), ring)
        self._evidence.add(name, ring.name, camera.detect.fps)

    def _remove(self, name: str) -> None:
        self._supervisor.remove(name)
        watch = self._watches.pop(name)
        del self._rates[name]
        self._tell(watch.close(time.time()))
        self._evidence.remove(name)
        watch.ring.__exit__()

    def _close_watches(self) -> None:
        utc_s = time.time()
        for watch in self._watches.values():
            self._tell(watch.close(utc_s))

    # Starting and stopping.

    @property
    def _encoder_sha256(self) -> str | None:
        return None if self._session is None else self._session.sha256

    def _published(self, event: Event, _latency_s: float) -> None:
        made_ns = self._made_ns.pop(event.id, None) if event.type == "new" else None
        if made_ns is not None:
            self._metrics.alert_latency_s.observe((time.monotonic_ns() - made_ns) / 1e9)

    def _degraded(self, degraded: bool, reason: str) -> None:
        self._outbox_problem = f"outbox: {reason}" if degraded else ""

    def _stop_analysis(self) -> None:
        self._ended.set()
        self._stop.set()
        self._bell.ring()
        self._thread.join()

    def _close_rings(self) -> None:
        for watch in self._watches.values():
            watch.ring.__exit__()


class TimedEncoder:
    """An encoder whose runs go into the metrics."""

    def __init__(self, session: EncoderSession, metrics: Metrics) -> None:
        """Wrap a session."""
        self.contract = session.contract
        self.sha256 = session.sha256
        self.provider: str = session.provider
        self.accepts = session.accepts
        self._session = session
        self._metrics = metrics

    def run(self, x: NDArray[np.float32], past: NDArray[np.float32] | None = None) -> EncoderOutput:
        """As `EncoderSession.run`."""
        with self._metrics.inference_s.time():
            return self._session.run(x, past)
