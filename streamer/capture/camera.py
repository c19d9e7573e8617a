"""One camera's capture: connect, read, reduce, put into the ring; for ever."""

import threading
import time
from collections.abc import Callable
from typing import Final

from sorawatch import SourceError
from streamer.capture.backoff import Backoff
from streamer.capture.clock import (
    ArrivalClock,
    Clock,
    Decimator,
    FrameClock,
    Pacer,
    PlayClock,
    SystemClock,
)
from streamer.capture.footage_reader import FootageReader
from streamer.capture.frame import FrameHeader
from streamer.capture.opener import OpenOptions, Reader, open_source
from streamer.capture.ring import FrameRing, Phase
from streamer.capture.settings import CaptureSettings
from streamer.capture.shelf import Shelf
from streamer.capture.source import Source
from streamer.capture.states import CameraState, StateChange

__all__ = ["CameraCapture", "CaptureSettings"]

Opener = Callable[[Source, OpenOptions], Reader]

_NS: Final = 1_000_000_000
_STABLE_NS: Final = 5 * _NS  # a connection that held this long was a good one
_GAP_PERIODS: Final = 2.5
_KEEP_FRAMES: Final = 8  # what a reader's window reaches back, in wait mode
_ROOM_POLL_S: Final = 0.01  # a reader that lets the ring fill up takes longer over a frame
_TOLD_TOGETHER: Final = 8  # frames, in wait mode: to wake the reader for each costs more than some
_TIMEOUT_SHARE: Final = 0.95


class CameraCapture:
    """The body of one capture thread; its owner starts the thread, watches it, and joins it.

    `on_state` is called for every change of state, from the capture thread or from the thread
    that calls `watch`, never from both at once; `on_frame` after every frame put into the ring, in
    wait mode after every few, before it waits for the reader, and at the end of the source.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        ring: FrameRing,
        *,
        settings: CaptureSettings,
        on_state: Callable[[StateChange], None],
        on_frame: Callable[[], None],
        opener: Opener = open_source,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Capture `source` into `ring`, whose only writer this is until `run` has returned."""
        self._name = name
        self._source = source
        self._ring = ring
        self._counters = ring.counters
        self._settings = settings
        self._on_state = on_state
        self._on_frame = on_frame
        self._opener = opener
        self._clock: Clock = clock or SystemClock()
        self._backoff = backoff or Backoff(max_s=settings.backoff_max_s)
        self._waiting = settings.mode == "wait" and not source.live
        self._stop = threading.Event()
        self._lock = threading.Lock()  # guards _state and _reason, and keeps changes in order
        self._state: CameraState | None = None
        self._reason: str | None = None
        self._generation = _last_generation(ring)
        self._connections = 0
        self._untold = 0  # frames in the ring since `on_frame` was called

    def run(self) -> None:
        """Capture until `stop`, or until the source is to be read once and has ended.

        Returns; raises nothing for a source's faults. With `once`, a fault of a file or folder
        ends it too, for it would be there the next time. The last state says how it ended.
        """
        self._go(CameraState.CONNECTING)
        try:
            while not self._stop.is_set():
                fault = self._attempt()
                if self._stop.is_set():
                    return
                ended = fault.reason == "ended"
                if ended and self._settings.loop and not self._source.live:
                    continue
                self._go(CameraState.OFFLINE, fault.reason, str(fault))
                if self._settings.once and (ended or not self._source.live):
                    return
                self._clock.wait(self._stop, self._backoff.next_s())
        finally:
            self._rest()

    def stop(self) -> None:
        """Ask `run` to return; any thread. Waits end at once, a read that blocks at its timeout."""
        self._stop.set()

    def watch(self, now_ns: int | None = None) -> None:
        """Find out whether the thread is stuck in a read; call it a few times a second.

        Any thread but the one in `run`. Goes to `stalled` when a read takes longer than
        `stall_after_s`; `run` goes back to `online` with the next picture. `now_ns`: monotonic.
        """
        if now_ns is None:
            now_ns = self._clock.mono_ns()
        with self._lock:
            started_ns = self._counters.read_started_ns
            hangs = started_ns and now_ns - started_ns > self._settings.stall_after_s * _NS
            if hangs and self._state is CameraState.ONLINE:
                detail = f"{self._source.masked}: no picture for {self._settings.stall_after_s:g} s"
                self._counters.stalls += 1
                self._change(CameraState.STALLED, "timeout", detail)

    def _attempt(self) -> SourceError:
        """Connect and read until that ends; why it did."""
        started_ns = self._clock.mono_ns()
        frames_before = self._counters.frames_read
        try:
            self._run_once()
            fault = self._end(self._counters.frames_read - frames_before)
        except SourceError as error:
            fault = error
        finally:
            self._rest()
        lasted_ns = self._clock.mono_ns() - started_ns
        if lasted_ns > _STABLE_NS and self._counters.frames_read > frames_before:
            self._backoff.reset()
        return fault

    def _end(self, frames: int) -> SourceError:
        if not frames:
            return SourceError(f"{self._source.masked}: no frame in it can be decoded", "codec")
        what = "the connection broke off" if self._source.live else f"ended after {frames} frames"
        return SourceError(f"{self._source.masked}: {what}", "ended")

    def _run_once(self) -> None:
        """Open the source and read it to its end; raises SourceError for anything else."""
        settings, counters = self._settings, self._counters
        counters.phase = Phase.OPENING
        counters.read_started_ns = self._clock.mono_ns()
        options = OpenOptions(settings.transport, settings.open_timeout_s, settings.read_timeout_s)
        reader = self._opener(self._source, options)
        try:
            counters.read_started_ns = 0
            counters.phase = Phase.FIRST_READ
            counters.fps_declared_milli = round(1000 * (reader.fps_declared or 0))
            counters.reconnects += self._connections > 0
            self._connections += 1
            self._read(reader)
        finally:
            try:
                self._tell()
            finally:
                reader.close()

    def _read(self, reader: Reader) -> None:
        play = reader.reads_ahead
        interval_ns = _interval_ns(reader.fps_declared)
        clock: FrameClock = PlayClock(interval_ns) if play else ArrivalClock(interval_ns)
        pacer = Pacer(melting=self._source.live) if play and not self._waiting else None
        decimator = Decimator(self._settings.fps)
        shelf = Shelf(self._ring, reader, self._settings.masks)
        self._generation += 1
        last_ns: int | None = None
        number = -1
        while not self._stop.is_set():
            receipt_ns = self._grab(reader)
            if receipt_ns is None:
                return
            number = reader.number if isinstance(reader, FootageReader) else number + 1
            stamp = clock.stamp(reader.pts_s, receipt_ns)
            if self._state is not CameraState.ONLINE:
                self._go(CameraState.ONLINE)
            if stamp is None:
                continue
            t_media_ns = stamp.t_media_ns
            if pacer is not None:
                wait_s = pacer.wait_s(t_media_ns, self._clock.mono_ns())
                if wait_s > 0 and self._clock.wait(self._stop, wait_s):
                    return
                receipt_ns = self._clock.mono_ns()  # as if it had come just now
            if stamp.anew:
                decimator.reset()
            if not decimator.wants(t_media_ns):
                continue
            gap_ns = _GAP_PERIODS * max(decimator.period_ns, decimator.spacing_ns)
            if last_ns is not None and (stamp.anew or t_media_ns - last_ns > gap_ns):
                self._generation += 1
            last_ns = t_media_ns
            if not self._room():
                return
            self._store(reader, shelf, number, t_media_ns, receipt_ns)

    def _grab(self, reader: Reader) -> int | None:
        """Go to the next frame; when it was received, or None at the end."""
        counters = self._counters
        started_ns = self._clock.mono_ns()
        counters.read_started_ns = started_ns
        there = reader.grab()
        receipt_ns = self._clock.mono_ns()
        counters.read_started_ns = 0
        timeout_s = self._settings.read_timeout_s
        # A read that has timed out gives an old frame once or twice before it says so.
        if self._source.live and receipt_ns - started_ns > _TIMEOUT_SHARE * timeout_s * _NS:
            raise SourceError(f"{self._source.masked}: no picture for {timeout_s:g} s", "timeout")
        if not there:
            return None
        counters.frames_read += 1
        counters.last_frame_ns = receipt_ns
        counters.phase = Phase.READING
        return receipt_ns

    def _room(self) -> bool:
        """Wait, if told to, until the ring's reader leaves room; False when told to stop."""
        while self._waiting and not self._ring.has_room(min(_KEEP_FRAMES, self._ring.slots - 2)):
            self._tell()
            if self._clock.wait(self._stop, _ROOM_POLL_S):
                return False
        return True

    def _store(
        self, reader: Reader, shelf: Shelf, number: int, t_media_ns: int, receipt_ns: int
    ) -> None:
        counters = self._counters
        counters.read_started_ns = self._clock.mono_ns()
        validity, resized = shelf.put(reader)
        counters.read_started_ns = 0
        if resized:
            self._generation += 1
        counters.height, counters.width = shelf.size
        header = FrameHeader(
            generation=self._generation,
            t_media_ns=t_media_ns,
            t_mono_ns=receipt_ns,
            utc_ns=self._utc_ns(reader, t_media_ns),
            validity=validity,
            number=number,
        )
        self._ring.commit(header)
        # In this order: a reader in between must not take a frozen picture for a good one.
        counters.count_invalid(validity)
        counters.frames_analysed += 1
        self._untold += 1
        if not self._waiting or self._untold >= _TOLD_TOGETHER:
            self._tell()

    def _tell(self) -> None:
        """Say that there are new frames, where nothing has said so yet."""
        if self._untold:
            self._untold = 0
            self._on_frame()

    def _utc_ns(self, reader: Reader, t_media_ns: int) -> int:
        if isinstance(reader, FootageReader):  # it knows when that was
            return reader.utc_ns
        return t_media_ns + self._clock.utc_ns() - self._clock.mono_ns()

    def _rest(self) -> None:
        self._counters.read_started_ns = 0
        self._counters.phase = Phase.IDLE

    def _go(self, state: CameraState, reason: str | None = None, detail: str = "") -> None:
        with self._lock:
            if (state, reason) != (self._state, self._reason):
                self._change(state, reason, detail)

    def _change(self, state: CameraState, reason: str | None, detail: str) -> None:
        """Under the lock."""
        self._state, self._reason = state, reason
        self._counters.state = state.code
        now_ns, utc_s = self._clock.mono_ns(), self._clock.utc_ns() / 1e9
        self._on_state(StateChange(self._name, state, reason, detail, now_ns, utc_s))


def _interval_ns(fps: float | None) -> int | None:
    """Time between frames at a declared rate, unless that is a tick count or other nonsense."""
    return round(_NS / fps) if fps is not None and 0.5 <= fps <= 120 else None


def _last_generation(ring: FrameRing) -> int:
    """Newest generation in the ring: a restarted worker goes on from there."""
    written = ring.written
    frames = (ring.read(seq) for seq in range(max(0, written - ring.slots), written))
    # Where a crash left nothing legible, a number that no earlier one can have reached.
    nothing = time.monotonic_ns() // 1_000_000 if written else 0
    return max((frame.header.generation for frame in frames if frame is not None), default=nothing)
