"""The alert writer: one thread that alone owns the outbox and the sockets."""

import logging
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq

from alerts import wire
from alerts.address import bind, check_address
from alerts.curve import CurveSettings, Gatekeeper
from alerts.event import PROGRAM, Event, EventDraft
from alerts.follower import Follower
from alerts.health import HealthLog
from alerts.journal import Journal
from alerts.outbox import MAX_BYTES, Outbox
from alerts.publisher import LINGER_MS, Publisher, make_socket
from sorawatch import OutboxError

log = logging.getLogger(__name__)

ANNOUNCE_EVERY_S = 5.0
_BATCH = 500  # drafts that share one sync of the disk
_TICK_MS = 1000  # timers are looked at this often
MOVE_EVERY_S = 0.2  # positions of followers share a sync of the disk


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """Where alerts go. Addresses are `tcp://HOST:PORT` (port 0: any free one) or `ipc://PATH`.

    `anyone_on_the_network_may_listen`: addresses beyond this machine are allowed without `curve`.
    """

    outbox: Path
    publish: str = "tcp://127.0.0.1:5556"
    catch_up: str = "tcp://127.0.0.1:5557"
    max_events: int = 100_000
    max_bytes: int = MAX_BYTES
    max_age_days: float = 30.0
    curve: CurveSettings | None = None
    anyone_on_the_network_may_listen: bool = False

    @property
    def guarded(self) -> bool:
        """Whether addresses beyond this machine are allowed."""
        return self.curve is not None or self.anyone_on_the_network_may_listen


class AlertWriter:
    """Numbers, stores and publishes events. A context manager: entering binds and starts."""

    publish_address: str
    catch_up_address: str
    stream: str

    def __init__(
        self,
        settings: WriterSettings,
        *,
        on_published: Callable[[Event, float], None] = lambda _event, _latency_s: None,
        on_degraded: Callable[[bool, str], None] = lambda _degraded, _reason: None,
        utc_clock: Callable[[], float] = time.time,
        queue_capacity: int = 10_000,
    ) -> None:
        """`on_published(event, latency_s)`: latency from `submit` to the socket.

        `on_degraded(True, reason)`: the disk refuses events, they are kept in memory meanwhile;
        `on_degraded(False, "")`: it takes them again. Both are called by the writer's thread.
        Raises ConfigError for an address that may not be used.
        """
        for address, key in (
            (settings.publish, "alerts.publish"),
            (settings.catch_up, "alerts.catch_up"),
        ):
            check_address(address, key, guarded=settings.guarded)
        self._settings = settings
        self._on_published = on_published
        self._on_degraded = on_degraded
        self._utc_clock = utc_clock
        self._capacity = queue_capacity
        # guards _queue, _newcomers, _followed, _open, _lost and sending on _bell
        self._lock = threading.Lock()
        self._queue: deque[tuple[EventDraft, float]] = deque()
        self._newcomers: list[Follower] = []
        self._followed: dict[str, Follower] = {}
        self._open = False
        self._lost = 0
        self._bell, self._wake = socket.socketpair()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="alert-writer")

    @property
    def lost(self) -> int:
        """Drafts that found the queue full, or nobody to take them."""
        return self._lost

    @property
    def queued(self) -> int:
        """Drafts that wait for the thread."""
        return len(self._queue)

    @property
    def alive(self) -> bool:
        """Whether drafts are being taken."""
        return self._open

    def submit(self, draft: EventDraft) -> bool:
        """Hand over a draft from any thread. Never blocks; False if it was lost."""
        with self._lock:
            if self._open and len(self._queue) < self._capacity:
                self._queue.append((draft, time.monotonic()))
                with suppress(BlockingIOError):  # rung so often that it cannot be missed
                    self._bell.send(b"\0")
                return True
            self._lost += 1
            lost = self._lost
        if lost & (lost - 1) == 0:  # the 1st, 2nd, 4th, ...: a flood does not flood the log
            log.error("%s: an event was lost, %d so far: the writer is behind", draft.camera, lost)
        return False

    def follow(self, name: str, *, after: int | None = None) -> Follower:
        """Follow the outbox under `name`, from where that name was when it last followed.

        `after`: the number after which a new name begins; None: with what is told from now on.
        From any thread, without waiting. Raises ValueError when `name` follows already.
        """
        follower = Follower(name, after, self._ring)
        with self._lock:
            if name in self._followed and not self._followed[name].closed:
                raise ValueError(f"{name} follows already")
            if not self._open:
                follower.end()
                return follower
            self._followed[name] = follower
            self._newcomers.append(follower)
        self._ring()
        return follower

    def _ring(self) -> None:
        """Wake the thread."""
        with self._lock, suppress(BlockingIOError):
            if self._open:
                self._bell.send(b"\0")

    def __enter__(self) -> Self:
        """Raise ConfigError, ResourceError (address in use) or OutboxError."""
        for end in (self._bell, self._wake):
            end.setblocking(False)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._join()
            raise self._error
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Publish what is queued, say `available: false`, stop within a second."""
        with self._lock:
            if self._open:
                self._open = False
                self._bell.close()  # end of file wakes the thread
        self._join()
        if self._error is not None:
            raise self._error

    def _join(self) -> None:
        self._thread.join()
        self._bell.close()
        self._wake.close()

    def _run(self) -> None:
        """The thread: open everything, serve, close everything."""
        try:
            with ExitStack() as stack:
                desk = _Desk(self._settings, self._on_degraded, self._utc_clock, stack)
                self.publish_address = desk.publish_address
                self.catch_up_address = desk.catch_up_address
                self.stream = desk.stream
                self._open = True
                self._ready.set()
                self._serve(desk)
        except BaseException as exc:
            self._error = exc
            if self._ready.is_set():
                log.exception("alerts can no longer be published")
        finally:
            with self._lock:
                self._open = False
                for follower in self._newcomers:
                    follower.end()
            self._ready.set()

    def _serve(self, desk: "_Desk") -> None:
        desk.announce(available=True)
        desk.poller.register(self._wake, zmq.POLLIN)
        while True:
            desk.wait(0 if self._queue else _TICK_MS)
            self._hush()
            with self._lock:
                closing = not self._open
                count = min(len(self._queue), _BATCH)
                batch = [self._queue.popleft() for _ in range(count)]
                newcomers, self._newcomers = self._newcomers, []
            desk.welcome(newcomers)  # before the batch: that comes after they began to follow
            if batch:
                self._publish(desk, batch)
            elif closing:
                break
            desk.attend()
        desk.close_health()
        desk.announce(available=False)

    def _publish(self, desk: "_Desk", batch: list[tuple[EventDraft, float]]) -> None:
        events = desk.publish([draft for draft, _ in batch])
        now_s = time.monotonic()
        for event, (_, submitted_s) in zip(events, batch, strict=True):
            try:
                self._on_published(event, now_s - submitted_s)
            except Exception:
                log.exception("on_published failed; the event itself went out")

    def _hush(self) -> None:
        """Swallow the bell's rings."""
        with suppress(BlockingIOError):
            while self._wake.recv(4096):
                pass


class _Desk:
    """What the writer's thread owns: journal, sockets, timers. `stack` closes them."""

    def __init__(
        self,
        settings: WriterSettings,
        on_degraded: Callable[[bool, str], None],
        utc_clock: Callable[[], float],
        stack: ExitStack,
    ) -> None:
        self._utc_clock = utc_clock
        outbox = Outbox(
            settings.outbox,
            utc_clock(),
            max_events=settings.max_events,
            max_bytes=settings.max_bytes,
            max_age_s=settings.max_age_days * 86_400,
        )
        self._journal = Journal(outbox, on_degraded=self._degraded)
        self._on_degraded = on_degraded
        self._health = HealthLog(PROGRAM)
        self._problem = ""
        stack.callback(lambda: self._journal.close(utc_clock()))
        self.stream = outbox.stream
        context = zmq.Context[zmq.Socket[bytes]]()
        stack.callback(context.term)
        self.poller = zmq.Poller()
        self._gatekeeper: Gatekeeper | None = None
        if settings.curve is not None:
            self._gatekeeper = Gatekeeper(context, settings.curve)
            stack.callback(self._gatekeeper.sock.close)
            self.poller.register(self._gatekeeper.sock, zmq.POLLIN)
        self._pub = Publisher(context, self._gatekeeper, self.poller)
        stack.callback(self._pub.close)
        self._router = make_socket(context, zmq.ROUTER, self._gatekeeper)
        stack.callback(self._router.close, LINGER_MS)
        self._router.setsockopt(zmq.MAXMSGSIZE, wire.MAX_REQUEST_BYTES)
        self._router.setsockopt(zmq.SNDHWM, 4)  # pages that one who does not read may leave here
        self._router.setsockopt(zmq.RCVHWM, 16)
        self.poller.register(self._router, zmq.POLLIN)
        self.publish_address = self._pub.bind(settings.publish)
        self.catch_up_address = bind(self._router, settings.catch_up, "alerts.catch_up")
        self._announce_at_s = 0.0
        self._move_at_s = 0.0
        self._followers: list[Follower] = []
        self._dirty = False
        stack.callback(self._dismiss)

    def wait(self, timeout_ms: int) -> None:
        """Until something comes in, or a timer may be due."""
        if self._dirty:
            due_ms = round((self._move_at_s - time.monotonic()) * 1000)
            timeout_ms = min(timeout_ms, max(due_ms, 0))
        self.poller.poll(timeout_ms)

    def publish(self, drafts: list[EventDraft]) -> list[Event]:
        """Number, store, send; in this order."""
        events = self._journal.append(drafts, self._utc_clock(), time.monotonic())
        for event in events:
            self._pub.send(wire.topic_of(event), wire.encode(event))
        return events

    def attend(self) -> None:
        """Whatever is not publishing: newcomers, questions, timers. A little of each at a time."""
        if self._gatekeeper is not None and self._gatekeeper.sock.poll(0):
            self._gatekeeper.answer()
        if self._pub.newcomers() or time.monotonic() >= self._announce_at_s:
            self.announce(available=True)
        if self._router.poll(0):
            self._answer()
        for follower in self._followers:
            follower.serve(self._journal)
        self._move()
        self._journal.tend(self._utc_clock(), time.monotonic())
        self._tell_health()

    def _degraded(self, degraded: bool, reason: str) -> None:
        self._problem = reason
        self._on_degraded(degraded, reason)

    def _tell_health(self) -> None:
        """That alerts cannot be stored is an alert itself: it goes out, and is stored later."""
        utc_s = self._utc_clock()
        text = f"alerts are kept in memory: {self._problem}"[:1000]
        drafts = self._health.condition("outbox", bool(self._problem), utc_s, text=text)
        if drafts:
            self.publish(drafts)

    def close_health(self) -> None:
        """End what is open: the program stops."""
        if drafts := self._health.close(self._utc_clock()):
            self.publish(drafts)

    def welcome(self, newcomers: list[Follower]) -> None:
        """Begin to serve followers."""
        if newcomers:
            self._move(now=True)  # one may take over from another
        for follower in newcomers:
            try:
                follower.begin(self._journal)
            except OutboxError as exc:
                log.error("%s cannot follow: %s", follower.name, exc)
                follower.end()
            self._followers.append(follower)

    def _move(self, *, now: bool = False) -> None:
        """Bring positions to disk, not too often."""
        moves = {f: seq for f in self._followers if (seq := f.moved()) is not None}
        self._dirty = bool(moves)
        mono_s = time.monotonic()
        if moves and (now or mono_s >= self._move_at_s):
            self._move_at_s = mono_s + MOVE_EVERY_S
            if self._journal.move({follower.name: seq for follower, seq in moves.items()}):
                self._dirty = False
                for follower, seq in moves.items():
                    follower.stored(seq)
        self._followers = [f for f in self._followers if f in moves or not f.closed]

    def _dismiss(self) -> None:
        """Tell followers that it is over, and store where they are."""
        for follower in self._followers:
            follower.end()
        self._move(now=True)

    def announce(self, *, available: bool) -> None:
        """Say whether alerts come, and the newest number."""
        self._announce_at_s = time.monotonic() + ANNOUNCE_EVERY_S
        word = wire.Available(
            available=available,
            stream=self.stream,
            seq=self._journal.last,
            time=self._utc_clock(),
        )
        self._pub.send(wire.AVAILABLE, word.encode())

    def _answer(self) -> None:
        """Answer one catch-up request, or say why not."""
        sender, *parts = self._router.recv_multipart()
        envelope = parts[:1] if len(parts) == 2 and parts[0] == b"" else []  # a REQ puts one
        body = parts[len(envelope)] if len(parts) == len(envelope) + 1 else b""
        try:
            asked = wire.CatchUpRequest.parse(body)
            stored = self._journal.after(asked.after, asked.cameras, asked.limit)
            reply = wire.encode_page(
                self.stream,
                asked.after,
                stored.through,
                self._journal.last,
                self._journal.forgotten,
                stored.bodies,
            )
        except (wire.WireError, OutboxError) as exc:
            log.info("a catch-up request was refused: %s", exc)
            reply = wire.encode_refusal(str(exc))
        with suppress(zmq.Again):  # it does not read: it gets nothing
            self._router.send_multipart([sender, *envelope, reply], flags=zmq.NOBLOCK)
