"""Cuts a camera's packets into segments: when one begins, when it ends, and what time it has."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sorawatch import SourceError
from streamer.capture.clock import Clock, SystemClock
from streamer.recording.index import CameraIndex
from streamer.recording.room import Room
from streamer.recording.segment import End, Segment, segment_file
from streamer.recording.stream import PacketStream
from streamer.recording.times import PacketTimes, TimedPacket, WallClock
from streamer.recording.writer import TICKS_PER_S, SegmentWriter

_NS: Final = 1_000_000_000
_MS: Final = 1_000_000
# For so long after a connection was made, frames that were delayed less correct its start.
_SETTLING_NS: Final = 10 * _NS
# A segment that has waited so long beyond its end for a key frame gets one by a new connection.
_NO_KEY_NS: Final = 60 * _NS
_GAP_NS: Final = _NS // 2
_NAMES_TRIED: Final = 100


@dataclass(frozen=True, slots=True)
class Begun:
    """A segment that is being written, for the index."""

    index: CameraIndex
    segment: Segment


@dataclass(frozen=True, slots=True)
class Finished:
    """A segment that is written, to be synced: `fd` is the taker's to close.

    None where the disk did not take all of it: the file holds less than `segment` says.
    """

    index: CameraIndex
    segment: Segment
    fd: int | None


@dataclass(slots=True)
class _Open:
    writer: SegmentWriter
    file: str
    first_ns: int  # of the monotonic clock, as are the packets' times
    start_ns: int  # UTC, as told in the index
    real_ns: int  # UTC, as the wall clock has it
    earliest_ns: int  # UTC before which it must not begin
    boundary_ns: int  # UTC
    offset_ns: int  # PTS - DTS of its first frame
    last_ns: int = 0  # greatest PTS
    end_ns: int = 0  # where that frame ends


class Segmenter:
    """Belongs to the thread that records its camera, but for the three counts, which all may read.

    `deliver` takes what is begun and finished, in order; it may block while the disk is slow.
    """

    def __init__(
        self,
        index: CameraIndex,
        segment_s: float,
        room: Room,
        deliver: Callable[[Begun | Finished], None],
        clock: Clock | None = None,
    ) -> None:
        """Nothing is written before the first key frame."""
        self._index = index
        self._segment_ns = round(segment_s * _NS)
        self._room = room
        self._deliver = deliver
        self._clock: Clock = clock or SystemClock()
        self._wall = WallClock(self._clock)
        self._open: _Open | None = None
        self._floor_ns = math.ceil(index.end_utc_s() * _NS)
        self._stream: PacketStream | None = None
        self._times: PacketTimes | None = None
        self._settle_until_ns = 0
        self._fresh = False  # nothing of this connection was recorded yet
        self._covered_ns = 0  # of the monotonic clock: so far footage was recorded
        self.segments = 0
        self.frames = 0
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """Written in all."""
        return self._bytes + self.open_bytes

    @property
    def open_bytes(self) -> int:
        """Size of the segment that is being written."""
        opened = self._open
        return 0 if opened is None else opened.writer.bytes

    def connect(self, stream: PacketStream, times: PacketTimes) -> None:
        """What comes from now on is of this connection."""
        self._stream, self._times = stream, times
        self._settle_until_ns = self._clock.mono_ns() + _SETTLING_NS
        self._fresh = True

    def disconnect(self, end: End) -> None:
        """The connection is over, and with it the segment."""
        self._close(end)
        self._stream = self._times = None

    def take(self, timed: TimedPacket) -> None:
        """Record a packet. ValueError where MP4 does not take it; SourceError without key frames.

        A disk that is full is no error: packets are dropped until there is room again.
        """
        opened = self._open
        if opened is not None:
            self._cut(opened, timed)
        # Cameras greet with what they kept, of which we may have the most already.
        known = self._fresh and timed.live_ns < self._covered_ns
        if self._open is None and timed.packet.key and self._room.there and not known:
            self._begin(timed)
        if self._open is not None:
            self._add(self._open, timed)

    def _cut(self, opened: _Open, timed: TimedPacket) -> None:
        """Close the segment before this packet, if it has to be."""
        if not self._room.there:
            self._close(End.DISK_FULL)
            return
        at_ns = opened.start_ns + timed.mono_ns - opened.first_ns
        if not timed.packet.key:
            if at_ns > opened.boundary_ns + self._segment_ns + _NO_KEY_NS:
                raise SourceError("the camera sends no key frame any more", "error")
            return
        stepped_ns = self._wall.stepped_ns()
        if stepped_ns:
            self._close(End.CLOCK_BACK if stepped_ns < 0 else End.CLOCK_FORWARD)
        elif at_ns >= opened.boundary_ns:
            self._wall.set()
            self._close(End.BOUNDARY, self._wall.utc_ns(timed.live_ns))

    def _begin(self, timed: TimedPacket) -> None:
        assert self._stream is not None  # noqa: S101 - packets come from a connection
        assert self._times is not None  # noqa: S101
        self._wall.set()
        self._times.resync(timed)
        real_ns = self._wall.utc_ns(timed.live_ns)
        start_ns = max(real_ns, self._floor_ns)
        packet = timed.packet
        offset_ns = (packet.pts_ns or 0) - (packet.dts_ns or 0)
        try:
            writer, file = self._created(start_ns)
        except OSError as exc:
            self._room.failed(self._index.folder, exc)
            return
        self._open = _Open(
            writer=writer,
            file=file,
            first_ns=timed.live_ns,
            start_ns=start_ns,
            real_ns=real_ns,
            earliest_ns=self._floor_ns,
            boundary_ns=(start_ns // self._segment_ns + 1) * self._segment_ns,
            offset_ns=max(0, offset_ns),
        )
        self._fresh = False
        self.segments += 1
        self._deliver(Begun(self._index, self._segment(self._open, End.OPEN)))

    def _created(self, start_ns: int) -> tuple[SegmentWriter, str]:
        assert self._stream is not None  # noqa: S101 - as above
        error = OSError("no name is free")
        for tried in range(_NAMES_TRIED):
            file = segment_file((start_ns + tried * _MS) / _NS)
            path = self._index.folder / file
            try:
                path.parent.mkdir(exist_ok=True)  # never the camera's: its disk may have gone
                return SegmentWriter(path, self._stream.template), file
            except (FileExistsError, FileNotFoundError) as exc:  # or its folder was just emptied
                error = exc
        raise error

    def _add(self, opened: _Open, timed: TimedPacket) -> None:
        packet = timed.packet
        rel_ns = timed.mono_ns - opened.first_ns if opened.writer.frames else 0
        pts_ns = rel_ns - opened.offset_ns + (packet.pts_ns or 0) - (packet.dts_ns or 0)
        duration_ns = packet.duration_ns or (self._times.interval_ns if self._times else 0)
        try:
            opened.writer.add(
                packet.packet,
                _ticks(rel_ns - opened.offset_ns),
                _ticks(pts_ns),
                _ticks(duration_ns),
            )
        except OSError as exc:
            self._room.failed(opened.writer.path, exc)
            self._close(End.DISK_FULL)
            return
        self.frames += 1
        opened.last_ns = max(opened.last_ns, pts_ns)
        opened.end_ns = max(opened.end_ns, pts_ns + duration_ns)
        if timed.live_ns < self._settle_until_ns:
            real_ns = min(opened.real_ns, self._wall.utc_ns(timed.live_ns) - rel_ns)
            opened.real_ns = real_ns
            opened.start_ns = max(opened.earliest_ns, real_ns)

    def _close(self, end: End, next_ns: int | None = None) -> None:
        """`next_ns`: UTC at which the next segment would begin, which follows without a gap."""
        opened, self._open = self._open, None
        if opened is None:
            return
        self._settle_until_ns = 0
        self._covered_ns = opened.first_ns + opened.last_ns
        if next_ns is not None:
            # The last frame is shown until the next one: a little less, where the camera's clock
            # was found to run late, so that lateness heals from segment to segment.
            until_ns = next_ns - opened.start_ns
            if until_ns < opened.end_ns + _GAP_NS:
                opened.end_ns = max(opened.last_ns + _MS, until_ns)
        self._floor_ns = opened.start_ns + opened.end_ns
        fd: int | None = None
        try:
            fd = opened.writer.finish()
        except OSError as exc:
            self._room.failed(opened.writer.path, exc)
            end = End.DISK_FULL
        self._bytes += opened.writer.bytes
        self._deliver(Finished(self._index, self._segment(opened, end), fd))

    def _segment(self, opened: _Open, end: End) -> Segment:
        stream = self._stream
        assert stream is not None  # noqa: S101 - it is closed after its segment
        return Segment(
            path=self._index.folder / opened.file,
            camera=self._index.folder.name,
            start_utc_s=opened.start_ns / _NS,
            duration_s=opened.end_ns / _NS,
            frames=opened.writer.frames,
            bytes=opened.writer.bytes,
            complete=False,
            codec=stream.codec,
            width=stream.size[0],
            height=stream.size[1],
            ended=end,
            clock_ahead_s=max(0, opened.start_ns - opened.real_ns) / _NS,
        )


def _ticks(ns: int) -> int:
    return round(ns * TICKS_PER_S / _NS)
