"""When frames happened: the stream's times laid onto UTC, in an order that never goes back.

**The wall clock.** Within a segment, time runs by the stream and the monotonic clock; the wall
clock is asked where a segment begins. A clock that is stepped (by `STEP_NS` or more) ends the
segment at the next key frame. Stepped forward, the next segment simply begins later, and there is
a gap in the index. Stepped back, the next segment would lie over those before it: so it begins
where the last one ended instead, and its `clock_ahead_s` says by how much its times are ahead of
the wall clock. That goes on for as long as recording goes on without a gap of that length; nothing
is lost, nothing overlaps, and `start_utc_s - clock_ahead_s` is what the wall clock said.
"""

from dataclasses import dataclass
from typing import Final, Protocol

from streamer.capture.clock import ArrivalClock, Clock, Interval, PlayClock
from streamer.recording.stream import StreamPacket

STEP_NS: Final = 500_000_000
_LIES_NS: Final = 500_000_000
_MAX_HELD: Final = 2_000


class WallClock:
    """UTC as it was when `set` was last called, and how far the machine's has been stepped since.

    For the thread that records a camera.
    """

    def __init__(self, clock: Clock) -> None:
        """Set it."""
        self._clock = clock
        self._offset_ns = 0
        self.set()

    def set(self) -> None:
        """Take over the machine's UTC."""
        self._offset_ns = self._clock.utc_ns() - self._clock.mono_ns()

    def utc_ns(self, mono_ns: int) -> int:
        """UTC of a moment of the monotonic clock."""
        return mono_ns + self._offset_ns

    def stepped_ns(self) -> int:
        """By how much the machine's UTC was stepped since it was taken over, if by `STEP_NS`."""
        step_ns = self._clock.utc_ns() - self._clock.mono_ns() - self._offset_ns
        return step_ns if abs(step_ns) >= STEP_NS else 0


@dataclass(frozen=True, slots=True)
class TimedPacket:
    """A packet and when its frame was taken: `mono_ns` on the monotonic clock, rising.

    `live_ns`: the same, where it follows the frames that were delayed least, as live analysis does.
    """

    packet: StreamPacket
    mono_ns: int
    live_ns: int


class _Stamps(Protocol):
    def media_ns(self, dts_ns: int | None, receipt_ns: int) -> int | None: ...


class _Live:
    def __init__(self, interval_ns: int | None) -> None:
        self._clock = ArrivalClock(interval_ns)

    def media_ns(self, dts_ns: int | None, receipt_ns: int) -> int | None:
        stamp = self._clock.stamp(None if dts_ns is None else dts_ns / 1e9, receipt_ns)
        return None if stamp is None else stamp.t_media_ns


class _Played:
    def __init__(self, interval_ns: int | None) -> None:
        self._clock = PlayClock(interval_ns)

    def media_ns(self, dts_ns: int | None, receipt_ns: int) -> int | None:
        return self._clock.stamp(None if dts_ns is None else dts_ns / 1e9, receipt_ns).t_media_ns


class PacketTimes:
    """Gives the packets of one connection their times; for the thread that reads them.

    The stream's own spacing is kept as it is, tick by tick, unless it lies: where it is missing,
    goes back, or is half a second from what the times of receipt say, it is laid on anew.
    What comes in the burst at a connection's beginning is held until its age is known.
    """

    def __init__(
        self, interval_ns: int | None, *, played: bool = False, one_late: bool = False
    ) -> None:
        """`played`: what is read can be had faster than it happened.

        `one_late`: a packet is received when the one after it begins, an interval too late.
        """
        self._stamps: _Stamps = _Played(interval_ns) if played else _Live(interval_ns)
        self._one_late = one_late
        self._interval = Interval(interval_ns)
        self._held: list[StreamPacket] = []
        self._shift_ns: int | None = None
        self._last_ns = 0

    @property
    def interval_ns(self) -> int:
        """Typical time between frames."""
        return self._interval.ns

    def take(self, packet: StreamPacket, receipt_ns: int) -> list[TimedPacket]:
        """The packets whose time is now known: none, this one, or all that were held with it."""
        live_ns = self._stamps.media_ns(packet.dts_ns, receipt_ns)
        if self._shift_ns is None:
            self._learn_interval(packet)
            if live_ns is None and len(self._held) < _MAX_HELD:
                self._held.append(packet)
                return []
        live_ns = receipt_ns if live_ns is None else live_ns
        if self._one_late:
            live_ns -= self._interval.ns
        if self._shift_ns is None:
            return self._settled(packet, live_ns)
        return [self._placed(packet, live_ns)]

    def resync(self, timed: TimedPacket) -> None:
        """Lay the stream's time on anew at a packet with which a segment begins."""
        late_ns = timed.live_ns - timed.mono_ns
        self._shift_ns = (self._shift_ns or 0) + late_ns
        self._last_ns += late_ns

    def _learn_interval(self, packet: StreamPacket) -> None:
        before_ns = self._held[-1].dts_ns if self._held else None
        if before_ns is not None and packet.dts_ns is not None:
            step_ns = packet.dts_ns - before_ns
            if 0 < step_ns < _LIES_NS:
                self._interval.add(step_ns)

    def _placed(self, packet: StreamPacket, live_ns: int) -> TimedPacket:
        assert self._shift_ns is not None  # noqa: S101 - settled before
        mono_ns = None if packet.dts_ns is None else packet.dts_ns + self._shift_ns
        if mono_ns is None or mono_ns <= self._last_ns or abs(mono_ns - live_ns) > _LIES_NS:
            mono_ns = max(live_ns, self._last_ns + self._interval.ns // 4)
            self._shift_ns = mono_ns - (packet.dts_ns or 0)
        else:
            self._interval.add(mono_ns - self._last_ns)
        self._last_ns = mono_ns
        return TimedPacket(packet, mono_ns, live_ns)

    def _settled(self, packet: StreamPacket, live_ns: int) -> list[TimedPacket]:
        """Those before the first one of known age go backwards from it."""
        self._shift_ns = live_ns - (packet.dts_ns or 0)
        self._last_ns = live_ns
        known = [TimedPacket(packet, live_ns, live_ns)]
        next_ns, next_dts_ns = live_ns, packet.dts_ns
        for earlier in reversed(self._held):
            step_ns = self._interval.ns
            if earlier.dts_ns is not None and next_dts_ns is not None:
                told_ns = next_dts_ns - earlier.dts_ns
                step_ns = told_ns if 0 < told_ns < 10 * _LIES_NS else step_ns
            next_ns, next_dts_ns = next_ns - step_ns, earlier.dts_ns
            known.append(TimedPacket(earlier, next_ns, next_ns))
        self._held.clear()
        return known[::-1]
