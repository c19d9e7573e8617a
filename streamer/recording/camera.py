"""Records one camera: connect, read packets, put them into segments; for ever."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sorawatch import SourceError
from streamer.capture.backoff import Backoff
from streamer.capture.clock import Clock, Pacer, SystemClock
from streamer.capture.source import Source
from streamer.capture.states import CameraState, StateChange
from streamer.recording.parameters import sequence_parameters
from streamer.recording.segment import End
from streamer.recording.segmenter import Segmenter
from streamer.recording.stream import PacketStream, StreamOptions, StreamPacket, open_stream
from streamer.recording.times import PacketTimes

_NS: Final = 1_000_000_000
_STABLE_NS: Final = 5 * _NS  # a connection that held this long was a good one


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """How one camera is recorded; all times in seconds.

    `segment_s`: the length of a segment; it ends with the first key frame after a multiple of
    that since 1970. `stall_after_s`: without a packet for so long, the camera counts as stalled.
    `backoff_max_s`: longest wait between two attempts to connect.
    """

    segment_s: float = 600.0
    stream: StreamOptions = field(default_factory=StreamOptions)
    stall_after_s: float = 2.0
    backoff_max_s: float = 3.0


Opener = Callable[[Source, StreamOptions], PacketStream]


class _ChangedError(SourceError):
    """The camera goes on with other parameters; opening it again tells which."""


class CameraRecorder:
    """The body of one recording thread; its owner starts the thread, watches it, and joins it.

    `on_state` is called for every change of state, from the recording thread or from the thread
    that calls `watch`, never from both at once.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        segmenter: Segmenter,
        settings: RecordSettings,
        on_state: Callable[[StateChange], None],
        *,
        opener: Opener = open_stream,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Record `source` through `segmenter`, which belongs to `run` until that has returned."""
        self._name = name
        self._source = source
        self._segmenter = segmenter
        self._settings = settings
        self._on_state = on_state
        self._opener = opener
        self._clock: Clock = clock or SystemClock()
        self._backoff = backoff or Backoff(max_s=settings.backoff_max_s)
        self._stop = threading.Event()
        self._lock = threading.Lock()  # guards the two below, and keeps changes in order
        self._state: CameraState | None = None
        self._change: StateChange | None = None
        self._heard_ns = 0
        self._connections = 0
        self._packets = 0

    @property
    def last_change(self) -> StateChange | None:
        """The state it is in; None before `run`. Any thread."""
        with self._lock:
            return self._change

    @property
    def reconnects(self) -> int:
        """How often it was connected again. Any thread."""
        return max(0, self._connections - 1)

    def run(self) -> None:
        """Record until `stop`, or to the end of a file; a live camera is never given up.

        Returns; raises nothing for a source's faults. The last state says how it ended.
        """
        self._go(CameraState.CONNECTING)
        while not self._stop.is_set():
            fault = self._attempt()
            if self._stop.is_set():
                return
            if isinstance(fault, _ChangedError):
                continue
            self._go(CameraState.OFFLINE, fault.reason, str(fault))
            if not self._source.live:
                return
            self._clock.wait(self._stop, self._backoff.next_s())

    def stop(self) -> None:
        """Ask `run` to return; any thread. Waits end at once, a read that blocks at its timeout."""
        self._stop.set()

    def watch(self) -> None:
        """Find out whether the camera is silent; any thread but the one in `run`, twice a second.

        Goes to `stalled` after `stall_after_s`; `run` goes back to `online` with the next packet.
        """
        after_s = self._settings.stall_after_s
        with self._lock:
            silent_ns = self._clock.mono_ns() - self._heard_ns
            if self._state is CameraState.ONLINE and silent_ns > after_s * _NS:
                detail = f"{self._source.masked}: no picture for {after_s:g} s"
                self._set(CameraState.STALLED, "timeout", detail)

    def _attempt(self) -> SourceError:
        """Connect and read until that ends; why it did."""
        started_ns, before, end = self._clock.mono_ns(), self._packets, End.RECONNECT
        try:
            self._run_once()
            fault = self._ended(self._packets - before)
            end = End.RECONNECT if self._source.live else End.ENDED
        except _ChangedError as error:
            fault, end = error, End.CHANGED
        except SourceError as error:
            fault = error
        finally:
            self._segmenter.disconnect(End.STOP if self._stop.is_set() else end)
        if self._clock.mono_ns() - started_ns > _STABLE_NS and self._packets > before:
            self._backoff.reset()
        return fault

    def _ended(self, packets: int) -> SourceError:
        if not packets:
            return SourceError(f"{self._source.masked}: it holds no picture", "codec")
        what = "the connection broke off" if self._source.live else f"ended after {packets} frames"
        return SourceError(f"{self._source.masked}: {what}", "ended")

    def _run_once(self) -> None:
        stream = self._opener(self._source, self._settings.stream)
        self._connections += 1
        try:
            self._read(stream)
        finally:
            stream.close()

    def _read(self, stream: PacketStream) -> None:
        played = stream.reads_ahead
        times = PacketTimes(stream.interval_ns, played=played, one_late=stream.one_late)
        self._segmenter.connect(stream, times)
        pacer = Pacer(melting=self._source.live) if played else None
        parameters: bytes | None = None
        for packet in stream.packets():
            if self._stop.is_set():
                return
            receipt_ns = self._heard_ns = self._clock.mono_ns()
            self._packets += 1
            if self._state is not CameraState.ONLINE:
                self._go(CameraState.ONLINE)
            if packet.key and self._source.live:
                parameters = self._checked(stream, packet, parameters)
            for timed in times.take(packet, receipt_ns):
                if pacer is not None:
                    wait_s = pacer.wait_s(timed.mono_ns, self._clock.mono_ns())
                    if wait_s > 0 and self._clock.wait(self._stop, wait_s):
                        return
                    self._heard_ns = self._clock.mono_ns()  # as if it had come just now
                try:
                    self._segmenter.take(timed)
                except ValueError as exc:
                    raise SourceError(f"{self._source.masked}: {exc}", "codec") from exc

    def _checked(
        self, stream: PacketStream, packet: StreamPacket, before: bytes | None
    ) -> bytes | None:
        """The parameters of this key frame; _ChangedError where they are others than before."""
        found = sequence_parameters(stream.codec, memoryview(packet.packet))
        if before is not None and found is not None and found != before:
            text = f"{self._source.masked}: it goes on with other parameters"
            raise _ChangedError(text, "ended")
        return found or before

    def _go(self, state: CameraState, reason: str | None = None, detail: str = "") -> None:
        with self._lock:
            before = self._change
            if before is None or (state, reason) != (before.state, before.reason):
                self._set(state, reason, detail)

    def _set(self, state: CameraState, reason: str | None, detail: str) -> None:
        """Under the lock."""
        now_ns, utc_s = self._clock.mono_ns(), self._clock.utc_ns() / _NS
        self._state = state
        self._change = StateChange(self._name, state, reason, detail, now_ns, utc_s)
        self._on_state(self._change)
