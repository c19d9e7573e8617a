"""The live program: cameras in, alerts out.

Threads, each with one owner, all joined on leaving: the supervisor's (which also starts and
watches the worker processes), one for analysis, the alert writer's, the HTTP server's. Cameras,
detector and judges belong to the analysis thread; others reach it through `_inbox` alone.
"""

import hashlib
import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from alerts.event import Event, EventDraft, Provenance
from alerts.writer import AlertWriter, WriterSettings
from detectors.detector import Detector
from detectors.encoder.session import EncoderOutput, EncoderSession
from detectors.normality import Normality, load
from sorawatch import NormalityError, __version__
from streamer.capture.doorbell import Doorbell, wait
from streamer.capture.ring import FrameRing, check_budget, ring_bytes
from streamer.capture.settings import CaptureSettings
from streamer.capture.states import StateChange
from streamer.capture.supervisor import CameraSpec, Supervisor
from streamer.config import CameraConfig, Config, resolve
from streamer.http import StatusServer
from streamer.metrics import Metrics
from streamer.snapshots import Snapshots
from streamer.status import CameraStatus, ProgramStatus
from streamer.watch import CameraWatch

log = logging.getLogger(__name__)

TURN_S: Final = 0.03
"""Frames that arrive within this time are analysed together."""

IDLE_S: Final = 0.25
"""The analysis looks round at least this often, so that it hears of changes and is seen to live."""

_RATE_OVER_S: Final = 5.0


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
        self._rings: dict[str, FrameRing] = {}
        self._rates: dict[str, tuple[float, int, float]] = {}
        self._made_ns: dict[str, int] = {}
        self._started_s = self._turned_s = time.monotonic()
        self._outbox_problem = ""
        self._thread = threading.Thread(target=self._analyse, name="analysis")
        self._metrics = Metrics(self.status)
        self.http: StatusServer | None = None

    def __enter__(self) -> Self:
        """Start. Raises SorawatchError: what cannot work is said now, not in the night."""
        with ExitStack() as stack:
            self._session = self._open_encoder()
            normal = self._load_normality(self._cameras)
            check_budget(sum(ring_bytes(c.capture.slots) for c in self._cameras.values()))
            self._detector = Detector(
                None if self._session is None else TimedEncoder(self._session, self._metrics),
                threads=self._config.detect.threads or len(os.sched_getaffinity(0)),
            )
            stack.callback(self._detector.close)
            self._pool = stack.enter_context(ThreadPoolExecutor(1, "learning"))
            self._writer = stack.enter_context(self._alert_writer())
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
                self._add(name, camera, normal[name])
            self._thread.start()
            stack.callback(self._stop_analysis)
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

        Raises SorawatchError and changes nothing when a normality file cannot be used or the
        machine has no room.
        """
        cameras = resolve(config)
        for section in ("detect", "capture", "alerts", "metrics", "log"):
            if getattr(config, section) != getattr(self._config, section):
                log.warning("%s: a change there needs a restart where cameras share it", section)
        changed = {n: c for n, c in cameras.items() if self._cameras.get(n) != c}
        normal = self._load_normality(changed)
        check_budget(sum(ring_bytes(c.capture.slots) for c in changed.values()))
        gone = [name for name in self._cameras if name not in cameras or name in changed]
        done = threading.Event()

        def apply() -> None:
            try:
                for name in gone:
                    self._remove(name)
                for name, camera in changed.items():
                    self._add(name, camera, normal[name])
            finally:
                done.set()

        self._cameras = cameras
        self._inbox.put(apply)
        self._bell.ring()
        while not done.wait(IDLE_S) and not self._ended.is_set():
            continue
        log.info("reloaded: %d cameras, %d new or changed", len(cameras), len(changed))

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
                cameras.append(self._camera_status(watch, now_s))
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
            catch_up=self._writer.catch_up_address or "",
        )

    # The analysis thread's own from here on.

    def _analyse(self) -> None:
        try:
            next_second_s = time.monotonic()
            while not self._stop.is_set():
                rung = wait([self._bell], IDLE_S)
                self._turned_s = time.monotonic()
                self._hear()
                if rung:
                    self._stop.wait(TURN_S)
                    while self._turn() and not self._stop.is_set():
                        self._turned_s = time.monotonic()
                        self._hear()
                if self._turned_s >= next_second_s:
                    next_second_s = self._turned_s + 1.0
                    self._every_second()
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
                self._inbox.get_nowait()()
            except queue.Empty:
                return

    def _turn(self) -> int:
        """Analyse the next window of every camera that has one; how many there were."""
        ready = []
        for watch in self._watches.values():
            seen = watch.cutter.next()
            if seen is not None:
                ready.append((watch, seen))
        if ready:
            scores = self._detector.step([(watch.name, seen.window) for watch, seen in ready])
            now_ns = time.monotonic_ns()
            for (watch, seen), score in zip(ready, scores, strict=True):
                self._metrics.scored_age_s.observe((now_ns - seen.header.t_mono_ns) / 1e9)
                self._tell(watch.observe(seen, score), seen.header.t_mono_ns)
        return len(ready)

    def _every_second(self) -> None:
        self._supervisor.check()
        mono_s, utc_s = time.monotonic(), time.time()
        for watch in self._watches.values():
            self._tell(watch.every_second(mono_s, utc_s, self._pool))

    def _change_state(self, change: StateChange) -> None:
        watch = self._watches.get(change.camera)
        if watch is not None:
            self._tell(watch.change_state(change))

    def _tell(self, drafts: list[EventDraft], t_mono_ns: int | None = None) -> None:
        for draft in drafts:
            if t_mono_ns is not None and draft.kind == "anomaly" and draft.type == "new":
                self._made_ns[draft.id] = t_mono_ns
            self._writer.submit(draft)

    def _add(self, name: str, camera: CameraConfig, normality: Normality | None) -> None:
        snapshots = self._config.alerts.snapshots
        ring = self._rings[name] = FrameRing.create(camera.capture.slots)
        self._watches[name] = CameraWatch(
            name,
            camera,
            ring,
            self._detector,
            normality=normality,
            provenance=Provenance(
                model=None if self._session is None else self._session.sha256,
                config=_digest(camera),
            ),
            snapshots=None if snapshots is None else Snapshots(snapshots),
        )
        capture = camera.capture
        settings = CaptureSettings(
            fps=camera.detect.fps,
            transport=capture.transport,
            open_timeout_s=capture.open_timeout_s,
            read_timeout_s=capture.read_timeout_s,
            stall_after_s=capture.stall_after_s,
            backoff_max_s=capture.backoff_max_s,
        )
        self._supervisor.add(CameraSpec(name, camera.source, settings), ring)

    def _remove(self, name: str) -> None:
        self._supervisor.remove(name)
        self._tell(self._watches.pop(name).close(time.time()))
        self._rates.pop(name, None)
        ring = self._rings.pop(name)
        ring.close()
        ring.unlink()

    def _close_watches(self) -> None:
        utc_s = time.time()
        for watch in self._watches.values():
            self._tell(watch.close(utc_s))

    # Starting and stopping.

    def _open_encoder(self) -> EncoderSession | None:
        detect = self._config.detect
        if detect.encoder == "off":
            return None
        path = None if detect.encoder == "builtin" else detect.encoder
        return EncoderSession(path, detect.device, 1)

    def _load_normality(self, cameras: dict[str, CameraConfig]) -> dict[str, Normality | None]:
        """What is normal for each camera; None where there is no file, so that it learns."""
        encoder = None if self._session is None else self._session.sha256
        found: dict[str, Normality | None] = {}
        for name, camera in cameras.items():
            path = camera.normal
            if path is None or not path.exists():
                found[name] = None
                continue
            try:
                normality = found[name] = load(path)
                normality.check_encoder(encoder, path)
            except NormalityError as exc:
                raise NormalityError(f"cameras.{name}.normal: {exc}") from exc
        return found

    def _alert_writer(self) -> AlertWriter:
        alerts = self._config.alerts
        return AlertWriter(
            WriterSettings(
                outbox=alerts.outbox,
                publish=alerts.publish,
                catch_up=alerts.catch_up,
                max_events=alerts.max_events,
                max_age_days=alerts.max_age_days,
            ),
            on_published=self._published,
            on_degraded=self._degraded,
        )

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
        for ring in self._rings.values():
            ring.close()
            ring.unlink()
        self._rings.clear()

    def _camera_status(self, watch: CameraWatch, now_s: float) -> CameraStatus:
        counters = self._rings[watch.name].counters.as_dict()
        frames = counters["frames_read"]
        age_s = now_s - counters["last_frame_ns"] / 1e9 if counters["last_frame_ns"] else None
        dropped = {kind: counters[f"invalid_{kind}"] for kind in ("black", "torn", "smeared")}
        dropped["overrun"] = watch.cutter.dropped + watch.torn_windows
        learning = watch.learning
        return CameraStatus(
            name=watch.name,
            source=watch.config.source.masked,
            state=watch.state.state.value,
            reason=watch.state.reason,
            detail=watch.state.detail,
            since_s=max(0.0, now_s - watch.state.t_mono_ns / 1e9) if watch.state.t_mono_ns else 0.0,
            frames=frames,
            frames_analysed=counters["frames_analysed"],
            frames_per_s=self._rate(watch.name, frames, now_s),
            frame_age_s=age_s,
            dropped=dropped,
            reconnects=counters["reconnects"],
            stalls=counters["stalls"],
            width=counters["width"],
            height=counters["height"],
            health=sorted(watch.conditions),
            learned=None if learning is None else learning.share,
            score=None if watch.last is None else watch.last.value,
            threshold=watch.threshold,
            alerts=watch.alerts,
            alerting=watch.alerting,
        )

    def _rate(self, name: str, frames: int, now_s: float) -> float:
        """Frames a second over the last few seconds, whoever asks how often."""
        then_s, before, rate = self._rates.get(name, (self._started_s, 0, 0.0))
        if now_s - then_s >= _RATE_OVER_S or name not in self._rates:
            rate = (frames - before) / max(now_s - then_s, 1e-3)
            self._rates[name] = (now_s, frames, rate)
        return rate


class TimedEncoder:
    """An encoder whose runs go into the metrics."""

    def __init__(self, session: EncoderSession, metrics: Metrics) -> None:
        """Wrap a session."""
        self.contract = session.contract
        self.sha256 = session.sha256
        self.accepts = session.accepts
        self._session = session
        self._metrics = metrics

    def run(self, x: NDArray[np.float32]) -> EncoderOutput:
        """As `EncoderSession.run`."""
        with self._metrics.inference_s.time():
            return self._session.run(x)


def _digest(camera: CameraConfig) -> str:
    """SHA-256 of what was decided with; the source is left out, since it may hold a password."""
    return hashlib.sha256(camera.model_dump_json(exclude={"source"}).encode()).hexdigest()
