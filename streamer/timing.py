"""How long the program takes, into its metrics: in the encoder, and from a frame to its alert."""

import time

import numpy as np
from numpy.typing import NDArray

from alerts.event import Event
from detectors.encoder.session import EncoderOutput, EncoderSession
from streamer.metrics import Metrics


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


class AlertLatency:
    """From the frame that opened an event to its message; may be told by several threads."""

    def __init__(self, metrics: Metrics) -> None:
        """Nothing is on its way yet."""
        self._metrics = metrics
        self._made_ns: dict[str, int] = {}

    def made(self, event_id: str, t_mono_ns: int) -> None:
        """An event was opened by a frame of this monotonic time."""
        self._made_ns[event_id] = t_mono_ns

    def dropped(self, event_id: str) -> None:
        """It will not be published."""
        self._made_ns.pop(event_id, None)

    def published(self, event: Event, _latency_s: float) -> None:
        """It was."""
        made_ns = self._made_ns.pop(event.id, None) if event.type == "new" else None
        if made_ns is not None:
            self._metrics.alert_latency_s.observe((time.monotonic_ns() - made_ns) / 1e9)
