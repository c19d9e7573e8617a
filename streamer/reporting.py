"""What a camera is doing, as its counters and its watch tell it."""

import threading
from collections import deque
from typing import Final

from streamer.status import CameraStatus
from streamer.watch import CameraWatch

RATE_OVER_S: Final = 5.0


class RateMeter:
    """Events a second over the last few seconds, from a count that only grows.

    `sample` is for one thread, `rate` for any.
    """

    def __init__(self) -> None:
        """No samples yet."""
        self._lock = threading.Lock()  # guards _samples
        self._samples: deque[tuple[float, int]] = deque()

    def sample(self, t_s: float, count: int) -> None:
        """The count stands at `count` now; call it about once a second."""
        with self._lock:
            if self._samples and count < self._samples[-1][1]:
                self._samples.clear()  # counted anew
            self._samples.append((t_s, count))
            while len(self._samples) > 2 and t_s - self._samples[1][0] >= RATE_OVER_S:
                self._samples.popleft()

    @property
    def rate(self) -> float:
        """Per second; 0.0 before there are two samples."""
        with self._lock:
            if len(self._samples) < 2:
                return 0.0
            (from_s, before), (to_s, now) = self._samples[0], self._samples[-1]
            return (now - before) / max(to_s - from_s, 1e-3)


def camera_status(watch: CameraWatch, frames_per_s: float, now_s: float) -> CameraStatus:
    """One camera now (`now_s`, monotonic); ValueError when its ring has been closed meanwhile."""
    counters = watch.ring.counters.as_dict()
    state, last_ns = watch.state, counters["last_frame_ns"]
    dropped = {kind: counters[f"invalid_{kind}"] for kind in ("black", "torn", "smeared")}
    dropped["overrun"] = watch.cutter.dropped + watch.torn_windows
    learning = watch.learning
    return CameraStatus(
        name=watch.name,
        source=watch.config.source.masked,
        state=state.state.value,
        reason=state.reason,
        detail=state.detail,
        since_s=max(0.0, now_s - state.t_mono_ns / 1e9) if state.t_mono_ns else 0.0,
        frames=counters["frames_read"],
        frames_analysed=counters["frames_analysed"],
        frames_per_s=frames_per_s,
        frame_age_s=max(0.0, now_s - last_ns / 1e9) if last_ns else None,
        dropped=dropped,
        reconnects=counters["reconnects"],
        stalls=counters["stalls"],
        width=counters["width"],
        height=counters["height"],
        health=sorted(watch.conditions),
        learned=None if learning is None else learning.share,
        score=None if watch.last is None else watch.last.value,
        threshold=watch.threshold,
        warning=watch.calibration_warning,
        drift=watch.drift,
        alerts=watch.alerts,
        held_back=watch.held_back,
        alerting=watch.alerting,
    )
