"""Prometheus metrics. What is counted elsewhere is read when somebody asks, not kept twice."""

from collections.abc import Callable, Iterator
from functools import partial

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streamer.status import CameraStatus, EvidenceStatus, ProgramStatus, SinkStatus

STATES = ("connecting", "online", "stalled", "offline")
_INFERENCE_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_AGE_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0)
_LATENCY_S = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.5, 5.0, 10.0)


_DRIFTS = (
    ("scene_changed", "1 while the picture is not of the scene that was learned"),
    ("drifted", "1 while far more is unusual than calibration expects"),
)


_SinkFamily = tuple[
    type[CounterMetricFamily] | type[GaugeMetricFamily],
    str,
    str,
    Callable[[SinkStatus], float | None],
]


class Metrics:
    """All metrics of one program, in a registry of their own.

    `observe` on the histograms may be called from any thread, a few microseconds each.
    """

    def __init__(self, snapshot: Callable[[], ProgramStatus]) -> None:
        """`snapshot` gives the status; called once a scrape, on the thread of the HTTP server."""
        self.registry = CollectorRegistry()
        self.inference_s = Histogram(
            "sorawatch_inference_seconds",
            "Time of one run of the encoder, all its cameras together",
            buckets=_INFERENCE_S,
            registry=self.registry,
        )
        self.alert_latency_s = Histogram(
            "sorawatch_alert_latency_seconds",
            "From receiving the frame that made an alert to publishing the alert",
            buckets=_LATENCY_S,
            registry=self.registry,
        )
        self.scored_age_s = Histogram(
            "sorawatch_scored_age_seconds",
            "Age of a frame when it had been scored, since it was received",
            buckets=_AGE_S,
            registry=self.registry,
        )
        self.registry.register(_StatusCollector(snapshot))
        ProcessCollector(registry=self.registry)

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)


class _StatusCollector(Collector):
    """The status, as metrics."""

    def __init__(self, snapshot: Callable[[], ProgramStatus]) -> None:
        self._snapshot = snapshot

    def describe(self) -> Iterator[Metric]:
        """Nothing: keeps the registry from asking for a snapshot before there is one."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        status = self._snapshot()
        yield _gauge("sorawatch_ready", "1 when the program is ready", float(status.ready))
        yield _gauge("sorawatch_uptime_seconds", "Since the program's start", status.uptime_s)
        yield _count(
            "sorawatch_alerts_lost", "Alerts that found the queue full", status.alerts_lost
        )
        provider = GaugeMetricFamily(
            "sorawatch_provider_info", "Active execution provider", labels=["provider"]
        )
        provider.add_metric([status.provider or "none"], 1)
        yield provider
        queues = GaugeMetricFamily("sorawatch_queue_depth", "What waits", labels=["queue"])
        for queue, depth in sorted(status.queues.items()):
            queues.add_metric([queue], depth)
        yield queues
        yield from _camera_metrics(status)
        yield from _sink_metrics(status)
        if status.evidence is not None:
            yield from _evidence_metrics(status.evidence)


def _camera_metrics(status: ProgramStatus) -> Iterator[Metric]:
    def family(
        kind: type[CounterMetricFamily] | type[GaugeMetricFamily],
        name: str,
        text: str,
        value: Callable[[CameraStatus], float | None],
    ) -> Metric:
        metric = kind(f"sorawatch_{name}", text, labels=["camera"])
        for camera in status.cameras:
            number = value(camera)
            if number is not None:
                metric.add_metric([camera.name], number)
        return metric

    counter, gauge = CounterMetricFamily, GaugeMetricFamily
    yield family(counter, "frames", "Frames received", lambda c: c.frames)
    yield family(
        counter, "frames_analysed", "Frames given to analysis", lambda c: c.frames_analysed
    )
    yield family(counter, "reconnects", "Times the source was reopened", lambda c: c.reconnects)
    yield family(counter, "stalls", "Times a read hung", lambda c: c.stalls)
    yield family(counter, "alerts", "Anomaly events opened", lambda c: c.alerts)
    yield family(
        counter, "alerts_held_back", "Events held back by most_per_hour", lambda c: c.held_back
    )
    yield family(gauge, "frame_age_seconds", "Age of the newest frame", lambda c: c.frame_age_s)
    yield family(gauge, "frames_per_second", "Frames received a second", lambda c: c.frames_per_s)
    yield family(gauge, "score", "Score of the newest frame", lambda c: c.score)
    yield family(gauge, "threshold", "Score that opens an alert", lambda c: c.threshold)
    yield family(gauge, "learned_ratio", "Share of learning that is done", lambda c: c.learned)
    for kind, text in _DRIFTS:
        yield family(gauge, kind, text, partial(_has, kind))
    dropped = CounterMetricFamily(
        "sorawatch_frames_dropped", "Frames not scored, by reason", labels=["camera", "reason"]
    )
    states = GaugeMetricFamily(
        "sorawatch_camera_state", "1 for the state the camera is in", labels=["camera", "state"]
    )
    for camera in status.cameras:
        for reason, frames in sorted(camera.dropped.items()):
            dropped.add_metric([camera.name, reason], frames)
        for state in STATES:
            states.add_metric([camera.name, state], float(camera.state == state))
    yield dropped
    yield states


def _sink_metrics(status: ProgramStatus) -> Iterator[Metric]:
    families: tuple[_SinkFamily, ...] = (
        (GaugeMetricFamily, "working", "1 while it works", lambda s: s.state == "working"),
        (GaugeMetricFamily, "position", "Number of the last message it took", lambda s: s.position),
        (GaugeMetricFamily, "behind", "Numbers that the outbox is ahead", lambda s: s.behind),
        (CounterMetricFamily, "delivered", "Messages delivered", lambda s: s.delivered),
        (CounterMetricFamily, "retries", "Attempts that failed", lambda s: s.retries),
        (CounterMetricFamily, "given_up", "Messages that were given up", lambda s: s.given_up),
        (CounterMetricFamily, "missed", "Messages forgotten undelivered", lambda s: s.missed),
    )
    for kind, name, text, value in families:
        metric = kind(f"sorawatch_sink_{name}", text, labels=["sink", "type"])
        for sink in status.sinks:
            number = value(sink)
            if number is not None:
                metric.add_metric([sink.name, sink.type], number)
        yield metric


def _evidence_metrics(evidence: EvidenceStatus) -> Iterator[Metric]:
    yield _count("sorawatch_clips_written", "Clips of events written", evidence.clips_written)
    dropped = CounterMetricFamily(
        "sorawatch_clips_dropped", "Events without a clip, by reason", labels=["reason"]
    )
    for reason, count in sorted(evidence.clips_dropped.items()):
        dropped.add_metric([reason], count)
    yield dropped
    yield _gauge("sorawatch_clips_waiting", "Ends that wait for a clip", evidence.clips_waiting)
    yield _count(
        "sorawatch_pictures_failed", "Pictures of events not written", evidence.pictures_failed
    )
    yield _count(
        "sorawatch_evidence_thinned", "Buffered pictures given up", evidence.pictures_thinned
    )
    yield _count(
        "sorawatch_evidence_missed", "Pictures not looked at in time", evidence.pictures_missed
    )
    yield _gauge("sorawatch_evidence_bytes", "Pictures and clips on disk", evidence.bytes)
    yield _gauge("sorawatch_evidence_ok", "0 while pictures or clips fail", not evidence.problem)
    buffers = GaugeMetricFamily(
        "sorawatch_evidence_buffer_bytes", "Newest pictures in memory", labels=["camera"]
    )
    for camera, size in sorted(evidence.buffer_bytes.items()):
        buffers.add_metric([camera], size)
    yield buffers


def _has(condition: str, camera: CameraStatus) -> float:
    return float(condition in camera.health)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _count(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
