"""When a frame was taken: a stream's own times, mapped onto the monotonic clock and mistrusted.

Times of receipt are honest and jittery; the stream's times (PTS) are smooth, and wrong in every
way: missing, zero, jumping by hours, wrapping, running at a rate that the camera only claims.
`ArrivalClock` is for what is received as it happens, `PlayClock` for what can be read ahead.
"""

import threading
import time
from collections import deque
from statistics import median
from typing import Final, NamedTuple, Protocol

_NS: Final = 1_000_000_000
_MS: Final = 1_000_000

# A burst: frames that come at more than twice their own rate, or hard on each other's heels.
_BURST_RATE: Final = 2.0
_BURST_NO_PTS_NS: Final = 10 * _MS
_BURST_MAX_NS: Final = 5 * _NS
# How fast an anchor may rise to follow a camera's clock that is slow: cheap quartz is within 100.
_DRIFT_PPM: Final = 500
# Lateness that does not go away within the window is the clock's fault, not the network's.
_LATE_NS: Final = _NS // 2
_LATE_WINDOW_NS: Final = 3 * _NS
_PAUSE_NS: Final = _NS // 4
_MISTRUST_AFTER: Final = 2
# A file's silence that is believed; longer ones are mistakes in its time stamps.
_LONGEST_GAP_NS: Final = 60 * _NS
_DEFAULT_INTERVAL_NS: Final = _NS // 15


class Clock(Protocol):
    """Where the capture has its times from; tests and replay bring their own."""

    def mono_ns(self) -> int:
        """Monotonic time, ns."""

    def utc_ns(self) -> int:
        """Wall-clock time, ns since 1970."""

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait so long, or until `stop` is set; whether it is set."""


class SystemClock:
    """The machine's clocks."""

    def mono_ns(self) -> int:
        """Monotonic time, ns."""
        return time.monotonic_ns()

    def utc_ns(self) -> int:
        """Wall-clock time, ns since 1970."""
        return time.time_ns()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait so long, or until `stop` is set; whether it is set."""
        return stop.wait(seconds)


class Stamp(NamedTuple):
    """When a frame was taken: `t_media_ns` on the monotonic clock, later than all before it.

    `anew`: time stood still or jumped before this frame; it cannot be compared with earlier ones.
    """

    t_media_ns: int
    anew: bool


class FrameClock(Protocol):
    """Gives every frame of one connection its time."""

    def stamp(self, pts_s: float | None, receipt_ns: int) -> Stamp | None:
        """Time of the next frame; None for one whose time cannot be known, to be passed over.

        `pts_s`: the stream's time, if any; `receipt_ns`: when it was received, monotonic clock.
        """


class Interval:
    """Typical time between frames: the median of the last few, in ns."""

    def __init__(self, first_ns: int | None = None) -> None:
        """`first_ns`: what to say before anything was measured."""
        self._first_ns = first_ns or _DEFAULT_INTERVAL_NS
        self._steps: deque[int] = deque(maxlen=9)
        self.ns = self._first_ns

    def add(self, step_ns: int) -> None:
        """Take in the time between two consecutive frames."""
        self._steps.append(step_ns)
        self.ns = max(1, int(median(self._steps)))


class ArrivalClock:
    """Times for a live stream.

    A connection begins with a burst of what was kept for it; those frames are passed over, for
    nobody knows yet how old they are. After that a frame's time is its PTS plus an anchor; the
    anchor follows the frames that were delayed least, so that jitter cancels and no frame lies in
    the future. A PTS that stands still or goes back is bridged; a PTS that lags for good moves the
    anchor, and PTS is not used any more in this connection when it does so again.
    """

    def __init__(self, interval_ns: int | None = None) -> None:
        """`interval_ns`: time between frames as far as declared."""
        self._interval = Interval(interval_ns)
        self._begun = self._settled = False
        self._trusted = True
        self._corrections = 0
        self._began_ns = 0
        self._anchor_ns = 0
        self._pts_ns: int | None = None
        self._receipt_ns = 0
        self._media_ns = 0
        self._late_ns: int | None = None  # least lateness of the current window
        self._late_for_ns = 0

    def stamp(self, pts_s: float | None, receipt_ns: int) -> Stamp | None:
        """As `FrameClock.stamp`; None during the burst at the beginning."""
        pts_ns = None if pts_s is None or not self._trusted else round(pts_s * _NS)
        if not self._settled:
            return self._settle(pts_ns, receipt_ns)
        elapsed_ns = receipt_ns - self._receipt_ns
        if pts_ns is None or self._pts_ns is None or pts_ns <= self._pts_ns:
            media_ns = self._bridge(pts_ns, receipt_ns, elapsed_ns)
        else:
            self._anchor_ns += elapsed_ns * _DRIFT_PPM // 1_000_000
            self._anchor_ns = min(self._anchor_ns, receipt_ns - pts_ns)
            media_ns = self._anchor_ns + pts_ns
        anew = self._is_late(elapsed_ns, receipt_ns - media_ns)
        if anew:
            media_ns = receipt_ns
            self._corrections += 1
            self._trusted = self._corrections < _MISTRUST_AFTER
        media_ns = max(media_ns, self._media_ns + _MS)
        if pts_ns is not None and (pts_ns != self._pts_ns or anew):
            self._anchor_ns = media_ns - pts_ns
            self._pts_ns = pts_ns
        if not anew:
            self._interval.add(media_ns - self._media_ns)
        self._media_ns, self._receipt_ns = media_ns, receipt_ns
        return Stamp(media_ns, anew)

    def _settle(self, pts_ns: int | None, receipt_ns: int) -> Stamp | None:
        before_ns, self._receipt_ns = self._receipt_ns, receipt_ns
        last_ns, self._pts_ns = self._pts_ns, pts_ns
        if not self._begun:
            self._begun, self._began_ns = True, receipt_ns
            return None
        step_ns = 0 if pts_ns is None or last_ns is None else min(pts_ns - last_ns, _NS)
        least_ns = max(step_ns / _BURST_RATE, _BURST_NO_PTS_NS)
        if receipt_ns - before_ns < least_ns and receipt_ns - self._began_ns < _BURST_MAX_NS:
            return None
        self._settled = True
        self._anchor_ns = receipt_ns - (pts_ns or 0)
        self._media_ns = receipt_ns
        return Stamp(receipt_ns, anew=True)

    def _bridge(self, pts_ns: int | None, receipt_ns: int, elapsed_ns: int) -> int:
        """Time of a frame whose PTS is missing, stands still, or has gone back."""
        if pts_ns is None:
            return receipt_ns
        if pts_ns == self._pts_ns:
            # Frames hidden behind one stamp are evenly spaced, as far as they have arrived.
            return min(self._media_ns + self._interval.ns, receipt_ns)
        return self._media_ns + elapsed_ns

    def _is_late(self, elapsed_ns: int, late_ns: int) -> bool:
        """Whether every frame for a whole window came too late for its time.

        Pauses hardly count: a backlog is late too, but soon over.
        """
        self._late_ns = late_ns if self._late_ns is None else min(self._late_ns, late_ns)
        self._late_for_ns += min(elapsed_ns, max(_PAUSE_NS, 2 * self._interval.ns))
        if self._late_for_ns < _LATE_WINDOW_NS:
            return False
        too_late = self._late_ns > _LATE_NS
        self._late_ns, self._late_for_ns = None, 0
        return too_late


class PlayClock:
    """Times for what plays at its own rate: a file, a folder, video over HTTP.

    They follow from the PTS alone, so that reading again gives the same times but for where they
    begin, which is the receipt of the first frame.
    """

    def __init__(self, interval_ns: int | None = None) -> None:
        """`interval_ns`: time between frames as far as declared."""
        self._interval = Interval(interval_ns)
        self._pts_ns: int | None = None
        self._media_ns: int | None = None

    def stamp(self, pts_s: float | None, receipt_ns: int) -> Stamp:
        """As `FrameClock.stamp`; every frame gets a time."""
        pts_ns = None if pts_s is None else round(pts_s * _NS)
        last_ns, self._pts_ns = self._pts_ns, self._pts_ns if pts_ns is None else pts_ns
        if self._media_ns is None:
            self._media_ns = receipt_ns
            return Stamp(receipt_ns, anew=True)
        step_ns = 0 if pts_ns is None or last_ns is None else pts_ns - last_ns
        anew = step_ns < 0 or step_ns > _LONGEST_GAP_NS
        if anew or step_ns == 0:
            step_ns = self._interval.ns
        else:
            self._interval.add(step_ns)
        self._media_ns += step_ns
        return Stamp(self._media_ns, anew)


class Pacer:
    """Holds frames back until their time, and every later one by what the latest was late.

    For sources that can be read faster than they happened.
    """

    def __init__(self, melting: bool = False) -> None:
        """Begin without a delay.

        `melting`: let the delay shrink by 0.01 %, for a stream that goes on for ever: a camera's
        clock that is a little fast would build up a backlog on the way to us.
        """
        self._melting = melting
        self._delay_ns = 0
        self._last_ns: int | None = None

    def wait_s(self, t_media_ns: int, now_ns: int) -> float:
        """How long to hold a frame back, in seconds; 0 for one that is due."""
        if self._melting and self._last_ns is not None:
            self._delay_ns -= (t_media_ns - self._last_ns) // 10_000
        self._last_ns = t_media_ns
        self._delay_ns = max(self._delay_ns, now_ns - t_media_ns)
        return (t_media_ns + self._delay_ns - now_ns) / _NS


class Decimator:
    """Says which frames to analyse: about `fps` a second, evenly spaced in time.

    It takes every k-th frame, k = the source's rate / `fps` rounded, because even spacing matters
    more to what follows than the exact rate: between 0.75 and 1.4 times `fps`, the source's own
    rate where that is lower. Frames that were lost do not shift it.
    """

    def __init__(self, fps: float) -> None:
        """`fps`: frames a second."""
        self.period_ns: Final = round(_NS / fps)
        self._interval: Interval | None = None
        self._seen_ns: int | None = None
        self._taken_ns: int | None = None

    @property
    def spacing_ns(self) -> int:
        """Time between the frames it takes, as it stands."""
        if self._interval is None:
            return self.period_ns
        return max(1, round(self.period_ns / self._interval.ns)) * self._interval.ns

    def wants(self, t_media_ns: int) -> bool:
        """Whether the frame of this time is one of them; call it with every frame, in order."""
        if self._seen_ns is not None and t_media_ns > self._seen_ns:
            self._interval = self._interval or Interval()
            self._interval.add(t_media_ns - self._seen_ns)
        self._seen_ns = t_media_ns
        if self._taken_ns is not None and self._interval is not None:
            due_ns = self._taken_ns + self.spacing_ns - self._interval.ns // 2
            if t_media_ns < due_ns:
                return False
        self._taken_ns = t_media_ns
        return True

    def reset(self) -> None:
        """Take the next frame, whatever came before; what was learned about the rate stays."""
        self._seen_ns = self._taken_ns = None
