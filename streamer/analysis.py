"""The analysis thread: every camera's frames, one after the other, to scores and events.

Cameras' watches, the detector and the judges are this thread's own; others reach them through its
`Inbox` alone.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from alerts.event import EventDraft, Provenance
from alerts.writer import AlertWriter
from detectors.detector import Detector
from detectors.normality import Normality
from sorawatch import ConfigError, SorawatchError
from streamer.capture.doorbell import Doorbell, wait
from streamer.capture.ring import FrameRing
from streamer.capture.states import StateChange
from streamer.capture.supervisor import CameraSpec, Supervisor
from streamer.capture.windows import RingWindow
from streamer.config import CameraConfig, fingerprint
from streamer.event_memory import EventMemory
from streamer.evidence.live import LiveEvidence
from streamer.feedback import Held
from streamer.inbox import LOOK_S, Inbox
from streamer.metrics import Metrics
from streamer.opening import capture_settings
from streamer.reporting import RateMeter, camera_status
from streamer.status import CameraStatus
from streamer.timing import AlertLatency
from streamer.watch import CameraWatch

log = logging.getLogger(__name__)

TURN_S: Final = 0.03
"""Frames that arrive within this time are analysed together."""


class Analysis:
    """Analyses what the cameras' rings hold, from `start` to `stop`.

    `inbox`: work for its thread. `error`: what ended it, if anything did. `turned_s`: when it last
    looked round, by the monotonic clock. `watches`: its cameras by name, to be looked at.
    """

    def __init__(
        self,
        bell: Doorbell,
        supervisor: Supervisor,
        detector: Detector,
        evidence: LiveEvidence,
        writer: AlertWriter,
        *,
        encoder_sha256: str | None,
        metrics: Metrics,
        latency: AlertLatency,
        on_end: Callable[[], None],
    ) -> None:
        """No cameras yet, and not running.

        `bell` rings when a camera's ring has a frame; `supervisor` fills the rings; `evidence` and
        `writer` take the events. `on_end`: called once, when it has ended.
        """
        self._bell, self._supervisor, self._detector = bell, supervisor, detector
        self._evidence, self._writer, self._encoder_sha256 = evidence, writer, encoder_sha256
        self._metrics, self._latency, self._on_end = metrics, latency, on_end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._analyse, name="analysis")
        self._rates: dict[str, RateMeter] = {}
        self._memory = EventMemory()
        self.inbox = Inbox(bell, self._thread.is_alive)
        self.watches: dict[str, CameraWatch] = {}
        self.error: BaseException | None = None
        self.turned_s = time.monotonic()

    def start(self) -> None:
        """Begin with the cameras that were added."""
        self._thread.start()

    def stop(self) -> None:
        """End, close all events, and wait for that."""
        self._stop.set()
        self._bell.ring()
        self._thread.join()

    def close_rings(self) -> None:
        """Give the cameras' rings back, when nobody uses them any more."""
        for watch in self.watches.values():
            watch.ring.__exit__()

    # From any thread.

    def change_state(self, change: StateChange) -> None:
        """A camera's capture has changed its state."""
        self.inbox.post(lambda: self._change_state(change))

    def held(self, camera: str, event_id: str) -> Held:
        """What is held of an event, as `streamer.feedback.Program` says."""
        return self.inbox.ask(lambda: self._held(camera, event_id))

    def taught(self, file: Path, before: str, now: Normality) -> list[str]:
        """Let cameras that watch by `file` watch by `now`; which did."""
        return self.inbox.ask(lambda: self._taught(file, before, now))

    def status(self, now_s: float) -> list[CameraStatus]:
        """Of every camera, at this monotonic time."""
        cameras = []
        for watch in list(self.watches.values()):
            try:
                cameras.append(camera_status(watch, self._rates[watch.name].rate, now_s))
            except (KeyError, ValueError):  # taken out by a reload a moment ago
                continue
        return cameras

    # Its own thread's, or before that runs.

    def add(
        self, name: str, camera: CameraConfig, normality: Normality | None, ring: FrameRing
    ) -> None:
        """Watch a camera; the ring is this analysis's to close from here on."""
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
        self.watches[name] = watch
        self._supervisor.add(CameraSpec(name, camera.source, capture_settings(camera)), ring)
        self._evidence.add(name, ring.name, camera.detect.fps)

    def remove(self, name: str) -> None:
        """Watch a camera no longer; its open event ends."""
        self._supervisor.remove(name)
        watch = self.watches.pop(name)
        del self._rates[name]
        self._tell(watch.close(time.time()))
        self._evidence.remove(name)
        watch.ring.__exit__()

    def _analyse(self) -> None:
        try:
            second_s = time.monotonic()
            while not self._stop.is_set():
                if wait([self._bell], LOOK_S):
                    self._stop.wait(TURN_S)
                more = True
                while more and not self._stop.is_set():
                    self.turned_s = now_s = time.monotonic()
                    self.inbox.do_all()
                    if now_s >= second_s:  # in here, so that it happens under any load
                        second_s = now_s + 1.0
                        self._every_second(now_s)
                    more = self._turn() > 0
            self.inbox.do_all()
        except BaseException as exc:  # the owner is told, and raises it
            log.exception("the analysis failed")
            self.error = exc
        finally:
            utc_s = time.time()
            for watch in self.watches.values():
                self._tell(watch.close(utc_s))
            self._on_end()

    def _turn(self) -> int:
        """Analyse the next window of every camera that has one; how many there were."""
        ready = []
        for watch in self.watches.values():
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
        for name, watch in self.watches.items():
            self._rates[name].sample(mono_s, watch.ring.counters.frames_read)
            self._tell(watch.every_second(utc_s))
        self._evidence.tidy(mono_s)

    def _change_state(self, change: StateChange) -> None:
        watch = self.watches.get(change.camera)
        if watch is not None:
            self._tell(watch.change_state(change))

    def _tell(self, drafts: list[EventDraft], t_mono_ns: int | None = None) -> None:
        for draft in drafts:
            if t_mono_ns is not None and draft.kind == "anomaly" and draft.type == "new":
                self._latency.made(draft.id, t_mono_ns)
            told = self._evidence.pass_on(draft)
            if told is not None and not self._writer.submit(told):
                self._latency.dropped(draft.id)

    def _held(self, camera: str, event_id: str) -> Held:
        watch = self.watches.get(camera)
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
        for name, watch in self.watches.items():
            if watch.config.normal == file and watch.normal_sha256 == before:
                watch.teach(now)
                taught.append(name)
        return taught
