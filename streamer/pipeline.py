"""The live program: cameras in, alerts out.

Threads, each with one owner, all joined on leaving: the supervisor's (which also starts and
watches the worker processes), one for analysis (`streamer.analysis`), one for chores that may take
long, the alert writer's, one for each sink, the HTTP server's, the control socket's.
"""

import hashlib
import logging
import math
import os
import threading
import time
from contextlib import ExitStack
from dataclasses import asdict
from types import TracebackType
from typing import Self

from alerts.sinks.sinks import Sinks
from alerts.writer import AlertWriter
from detectors.detector import Detector
from sorawatch import SorawatchError, __version__
from streamer.analysis import Analysis
from streamer.capture.doorbell import Doorbell
from streamer.capture.ring import FrameRing
from streamer.capture.supervisor import Supervisor
from streamer.chores import Chores
from streamer.config import CameraConfig, Config, resolve
from streamer.control import ControlServer
from streamer.evidence.live import LiveEvidence
from streamer.http import StatusServer
from streamer.metrics import Metrics
from streamer.opening import (
    check_memory,
    load_normality,
    open_encoder,
    sink_settings,
    writer_settings,
)
from streamer.status import ProgramStatus, SinkStatus
from streamer.timing import AlertLatency, TimedEncoder

log = logging.getLogger(__name__)


class Pipeline:
    """Runs a configuration. A context manager: entering starts everything, leaving stops it.

    `wait`, `stop`, `reload` and `status` may be called from any thread.
    """

    def __init__(self, config: Config) -> None:
        """Nothing is opened before entering."""
        self._config = config
        self._cameras = resolve(config)
        self._ended = threading.Event()
        self._started_s = time.monotonic()
        self._outbox_problem = ""
        self._metrics = Metrics(self.status)
        self.http: StatusServer | None = None
        self.control_address: str | None = None

    def __enter__(self) -> Self:
        """Start. Raises SorawatchError: what cannot work is said now, not in the night."""
        with ExitStack() as stack:
            self._session = open_encoder(self._config.detect)
            normal = load_normality(self._cameras, self._encoder_sha256)
            check_memory(self._cameras)
            detector = Detector(
                None if self._session is None else TimedEncoder(self._session, self._metrics),
                threads=self._config.detect.threads or len(os.sched_getaffinity(0)),
            )
            stack.callback(detector.close)
            self._chores = stack.enter_context(Chores())
            settings, latency = writer_settings(self._config.alerts), AlertLatency(self._metrics)
            self._writer = stack.enter_context(
                AlertWriter(settings, on_published=latency.published, on_degraded=self._degraded)
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
            bell = stack.enter_context(Doorbell())
            supervisor = Supervisor(
                workers=self._config.capture.workers,
                on_state=lambda change: self._analysis.change_state(change),
                bell=bell,
            )
            self._analysis = Analysis(
                bell,
                supervisor,
                detector,
                self._evidence,
                self._writer,
                encoder_sha256=self._encoder_sha256,
                metrics=self._metrics,
                latency=latency,
                on_end=self._ended.set,
            )
            stack.callback(self._analysis.close_rings)  # after those who write into them have ended
            stack.enter_context(supervisor)
            for name, camera in self._cameras.items():
                ring = FrameRing.create(camera.capture.slots)
                self._analysis.add(name, camera, normal[name], ring)
            self._analysis.start()
            stack.callback(self._analysis.stop)
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
        self._ended.set()
        self._stack.close()
        if self._analysis.error is not None and _value is None:
            raise self._analysis.error

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

        Raises SorawatchError and changes nothing when a normality file cannot be used, the machine
        has no room, or the analysis has ended. Waits for the analysis to come to it. For one thread
        at a time.
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
            for name, watch in list(self._analysis.watches.items())
            if watch.learning is not None and name not in gone
        }
        normal = load_normality(changed, self._encoder_sha256, learners)
        check_memory(changed)
        with ExitStack() as unused:
            rings = {
                name: unused.enter_context(FrameRing.create(camera.capture.slots))
                for name, camera in changed.items()
            }

            def apply() -> None:
                unused.pop_all()
                try:
                    for name in gone:
                        self._analysis.remove(name)
                    for name, camera in changed.items():
                        self._analysis.add(name, camera, normal[name], rings[name])
                except SorawatchError as exc:  # half done: nobody may go on from here
                    raise RuntimeError(f"a reload broke off half-way: {exc}") from exc

            # However long a turn takes: a camera that ends its learning may take a while.
            self._analysis.inbox.ask(apply, within_s=math.inf)
        self._cameras = cameras
        self._sinks.cameras(list(cameras))
        log.info("reloaded: %d cameras, %d new or changed", len(cameras), len(changed))

    def _learned_anew(self, name: str, camera: CameraConfig) -> bool:
        watch = self._analysis.watches.get(name)
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
        if self._analysis.error is not None:
            problems.append(f"analysis failed: {self._analysis.error}")
        if self._outbox_problem:
            problems.append(self._outbox_problem)
        return ProgramStatus(
            version=__version__,
            pid=os.getpid(),
            uptime_s=now_s - self._started_s,
            provider=None if self._session is None else self._session.provider,
            cameras=self._analysis.status(now_s),
            queues={"alerts": self._writer.queued},
            alerts_lost=self._writer.lost,
            heartbeat_age_s=now_s - self._analysis.turned_s,
            problems=problems,
            publish=self._writer.publish_address,
            catch_up=self._writer.catch_up_address,
            sinks=[SinkStatus(**asdict(report)) for report in self._sinks.reports()],
            control=self.control_address,
            evidence=self._evidence.status(),
        )

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
        server = ControlServer(address, outbox, self._analysis, stream=self._writer.stream)
        stack.enter_context(server)
        self.control_address = address

    # Starting and stopping.

    @property
    def _encoder_sha256(self) -> str | None:
        return None if self._session is None else self._session.sha256

    def _degraded(self, degraded: bool, reason: str) -> None:
        self._outbox_problem = f"outbox: {reason}" if degraded else ""
