"""The program's end of the clips: orders to the process that makes them, and `end`s that wait.

An event's `end` is its last message, and says whether there is a clip. So it is held back until
the clip is there, or is known not to come: a few seconds, and never longer than `HOLD_S` beyond
the post-roll. Nothing else waits, and no thread of the live path ever does.
"""

import contextlib
import logging
import multiprocessing
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from select import select
from types import TracebackType
from typing import Any, Final, Self

from alerts.event import EventDraft
from streamer.capture import messages
from streamer.capture.doorbell import Doorbell
from streamer.capture.messages import Message
from streamer.capture.starting import start_blocked
from streamer.evidence.cutter import ClipSettings
from streamer.evidence.names import CLIP, evidence_path
from streamer.evidence.process import evidence_main

log = logging.getLogger(__name__)

HOLD_S: Final = 20.0
"""For a clip to be encoded and written once its last picture is there."""

LEAVE_S: Final = 0.8
"""For what can still be made when the program stops."""

_ORDERS: Final = 10_000
_REMEMBERED: Final = 1_000
_TURN_S: Final = 0.5
_SILENT_S: Final = 30.0
_START_AGAIN_S: Final = (1.0, 60.0)


@dataclass(frozen=True, slots=True)
class ClipsStatus:
    """What became of clips, since the start.

    `dropped`: by reason: behind (too many at once), disk, missed (no pictures), empty, error,
    late, died (the process did), off, stopped. `problem`: what is wrong now, or "".
    `buffer_bytes`: of JPEG in memory, by camera; `thinned`, `missed`: pictures given up for want
    of room, and overwritten before they were looked at.
    """

    written: int
    dropped: Mapping[str, int]
    problem: str
    buffer_bytes: Mapping[str, int]
    thinned: int
    missed: int
    held: int

    def facts(self) -> dict[str, Any]:
        """All but the problem, as `EvidenceStatus` names it."""
        return {
            "clips_written": self.written,
            "clips_dropped": self.dropped,
            "clips_waiting": self.held,
            "buffer_bytes": self.buffer_bytes,
            "pictures_thinned": self.thinned,
            "pictures_missed": self.missed,
        }


@dataclass(slots=True)
class _Event:
    """An event that is to have a clip. `clip`: None while that is not known, "" for none."""

    camera: str
    start_s: float
    clip: str | None = None
    end: EventDraft | None = None
    give_up_s: float = float("inf")


class Clips:
    """Clips for events. A context manager: entering starts, leaving stops within a second.

    `add`, `remove`, `follow` and `pass_on` never block; they are for one thread, the analysis's.
    Ends that were held are told by a thread of its own, through `tell`.
    """

    def __init__(
        self,
        settings: ClipSettings,
        tell: Callable[[EventDraft], object],
        link: Callable[[str, str, str], str] | None = None,
    ) -> None:
        """`link(camera, event_id, suffix)`: what messages call a file; its path where None."""
        self._settings = settings
        self._tell = tell
        self._link = link or (lambda camera, event_id, suffix: str(
            evidence_path(settings.folder, camera, event_id, suffix)
        ))  # fmt: skip
        self._lock = threading.Lock()  # guards all below, down to _stopping
        self._events: dict[str, _Event] = {}
        self._cameras: dict[str, tuple[str, float]] = {}
        self._orders: deque[Message] = deque()
        self._dropped: Counter[str] = Counter()
        self._written = 0
        self._problem = ""
        self._state: dict[str, dict[str, int]] = {}
        self._late: dict[str, str] = {}  # events that were told to have no clip: their cameras
        self._stopping = False
        self._maker: _Process | None = None
        self._off = ""  # why there are none at all
        self._bell = Doorbell()
        self._thread = threading.Thread(target=self._run, name="evidence")

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Make what can be made quickly, tell every end that was held, stop."""
        with self._lock:
            self._stopping = True
        self._bell.ring()
        self._thread.join()
        self._bell.close()

    @property
    def pid(self) -> int | None:
        """Of the process that makes clips; None while there is none."""
        maker = self._maker
        return None if maker is None else maker.pid

    @property
    def status(self) -> ClipsStatus:
        """What became of clips until now; any thread."""
        with self._lock:
            cameras = self._state
            return ClipsStatus(
                self._written,
                dict(self._dropped),
                self._problem,
                {name: one["bytes"] for name, one in cameras.items()},
                sum(one["thinned"] for one in cameras.values()),
                sum(one["missed"] for one in cameras.values()),
                sum(event.end is not None for event in self._events.values()),
            )

    def open_events(self) -> frozenset[str]:
        """Ids of the events that have not ended, as subscribers know it; any thread."""
        with self._lock:
            return frozenset(self._events)

    # For the analysis thread.

    def add(self, camera: str, ring: str, fps: float) -> None:
        """Look into a camera's ring, from now on."""
        with self._lock:
            self._cameras[camera] = (ring, fps)
            self._order({"op": "add", "camera": camera, "ring": ring, "fps": fps})

    def remove(self, camera: str) -> None:
        """The camera goes; its clips are made of what is there."""
        with self._lock:
            self._cameras.pop(camera, None)
            self._state.pop(camera, None)
            self._order({"op": "remove", "camera": camera})

    def follow(self, camera: str, since_utc_s: float | None) -> None:
        """Something unusual goes on there since then, which may become an event; None: no more."""
        with self._lock:
            self._order({"op": "follow", "camera": camera, "since_s": since_utc_s})

    def pass_on(self, draft: EventDraft) -> EventDraft | None:
        """The message as it is to be told now, or None: it is told later, by `tell`."""
        if draft.kind != "anomaly":
            return draft
        with self._lock:
            if draft.type == "new":
                event = self._events[draft.id] = _Event(draft.camera, draft.start_time)
                if self._off or self._stopping:
                    self._none(event, "off")
                else:
                    self._order(_begin(draft.id, event))
                return draft
            found = self._events.get(draft.id)
            if found is None:
                return draft
            if draft.type != "end":
                return _with_clip(draft, found)
            if found.clip is None and not (self._off or self._stopping):
                found.end = draft
                patience_s = self._settings.post_roll_s + HOLD_S
                found.give_up_s = time.monotonic() + patience_s
                self._order(_end(draft))
                return None
            if found.clip is None:
                self._none(found, "off" if self._off else "stopped")
            del self._events[draft.id]
            return _with_clip(draft, found)

    # The thread.

    def _run(self) -> None:
        pause_s, start_at_s, heard_s = _START_AGAIN_S[0], 0.0, 0.0
        try:
            while not self._stopping:
                now_s = time.monotonic()
                if self._maker is None and not self._off and now_s >= start_at_s:
                    start_at_s, heard_s = now_s + pause_s, now_s
                    pause_s = min(2 * pause_s, _START_AGAIN_S[1])
                    self._start()
                maker = self._maker
                wait(
                    [self._bell.fileno(), *(maker.waitables if maker else ())], self._turn_s(now_s)
                )
                self._bell.drain()
                if maker is not None:
                    self._send(maker)
                    if self._hear(maker):
                        heard_s = time.monotonic()
                    if not maker.alive or time.monotonic() - heard_s > _SILENT_S:
                        self._bury(maker)
                    elif now_s - start_at_s > _START_AGAIN_S[1]:
                        pause_s = _START_AGAIN_S[0]
                self._release(time.monotonic())
        except Exception:
            log.exception("clips are no longer made")
            with self._lock:
                self._off = self._problem = "clips are no longer made: the log says why"
        finally:
            self._leave()

    def _turn_s(self, now_s: float) -> float:
        with self._lock:
            waits = [event.give_up_s - now_s for event in self._events.values()]
        return max(0.0, min([_TURN_S, *waits]))

    def _start(self) -> None:
        try:
            maker = _Process(self._settings)
        except OSError as exc:
            log.error("clips: their process cannot be started: %s", exc)
            with self._lock:
                self._problem = f"clips: their process cannot be started: {exc}"
            return
        with self._lock:
            self._maker = maker
            self._orders.clear()
            for name, (ring, fps) in self._cameras.items():
                self._order({"op": "add", "camera": name, "ring": ring, "fps": fps})
            for event_id, event in self._events.items():
                if event.clip is None:
                    self._order(_begin(event_id, event))
                    if event.end is not None:
                        self._order(_end(event.end))

    def _send(self, maker: "_Process") -> None:
        while maker.takes:
            with self._lock:
                if not self._orders:
                    return
                order = self._orders.popleft()
            maker.send(order)

    def _hear(self, maker: "_Process") -> bool:
        """Take in what the process has said; whether it said anything."""
        said = maker.received()
        for message in said:
            op = message["op"]
            if op == "done":
                self._done(message["id"], message["problem"])
            elif op == "alive":
                with self._lock:
                    self._state = {
                        name: one
                        for name, one in message["cameras"].items()
                        if name in self._cameras
                    }
            elif op == "log":
                logging.getLogger(message["logger"]).log(message["level"], "%s", message["text"])
            elif op == "problem":
                log.error("%s", message["text"])
                with self._lock:
                    self._off = self._problem = message["text"]
        return bool(said)

    def _done(self, event_id: str, problem: str | None) -> None:
        with self._lock:
            event = self._events.get(event_id)
            if event is not None and problem is None:
                self._written += 1
                self._problem = self._off
                event.clip = self._link(event.camera, event_id, CLIP)
            elif event is not None and event.clip is None:
                self._none(event, problem.partition(":")[0] if problem else "error", problem)
            camera = self._late.pop(event_id, None)
        if event is None and problem is None and camera is not None:
            log.info("%s: the clip of %s came too late to be told of", camera, event_id)
            with contextlib.suppress(OSError, ValueError):
                evidence_path(self._settings.folder, camera, event_id, CLIP).unlink()

    def _release(self, now_s: float) -> None:
        """Tell the ends whose clip is there, or that have waited long enough."""
        told = []
        with self._lock:
            for event_id, event in list(self._events.items()):
                if event.end is None:
                    continue
                if event.clip is None:
                    if now_s < event.give_up_s and not self._off:
                        continue
                    self._none(event, "off" if self._off else "late")
                    self._order({"op": "forget", "camera": event.camera, "id": event_id})
                    self._late[event_id] = event.camera
                    if len(self._late) > _REMEMBERED:
                        del self._late[next(iter(self._late))]
                told.append(_with_clip(event.end, event))
                del self._events[event_id]
        for draft in told:
            self._tell(draft)

    def _bury(self, maker: "_Process") -> None:
        """The process died, or hangs: no clip of its comes any more."""
        maker.kill()
        self._hear(maker)  # its last words
        maker.close()
        with self._lock:
            self._maker = None
            self._state = {}
            if not self._off:
                self._problem = f"clips: their process died ({maker.status}), another is started"
                log.error("%s", self._problem)
            for event in self._events.values():
                if event.end is not None and event.clip is None:
                    self._none(event, "off" if self._off else "died")

    def _leave(self) -> None:
        maker, ends_s = self._maker, time.monotonic() + LEAVE_S
        if maker is not None:
            with self._lock:
                self._orders.append({"op": "exit", "within_s": 0.75 * LEAVE_S})
            while maker.alive and (left_s := ends_s - time.monotonic()) > 0:
                self._send(maker)
                wait(maker.waitables, min(left_s, 0.1))
                self._hear(maker)
                if not self._waiting():
                    break
            maker.kill()
            self._hear(maker)
            maker.close()
        told = []
        with self._lock:
            for event in self._events.values():
                if event.end is not None:
                    if event.clip is None:
                        self._none(event, "stopped")
                    told.append(_with_clip(event.end, event))
            self._events.clear()
            self._maker = None
        for draft in told:
            self._tell(draft)

    def _waiting(self) -> bool:
        with self._lock:
            return any(e.end is not None and e.clip is None for e in self._events.values())

    # Under the lock.

    def _order(self, order: Message) -> None:
        if self._maker is None and order["op"] != "add":
            return  # told all that counts when it starts
        if len(self._orders) >= _ORDERS:
            return  # it hangs, and is replaced before long
        self._orders.append(order)
        self._bell.ring()

    def _none(self, event: _Event, reason: str, text: str | None = None) -> None:
        event.clip = ""
        self._dropped[reason] += 1
        if reason == "off":
            return
        count = self._dropped[reason]
        if text is not None:
            self._problem = f"the last clip was not made: {text}"
        if count & (count - 1) == 0:  # the 1st, 2nd, 4th, ...: a flood does not flood the log
            log.warning(
                "%s: an event has no clip, %d so far: %s", event.camera, count, text or reason
            )


def _begin(event_id: str, event: _Event) -> Message:
    return {"op": "begin", "camera": event.camera, "id": event_id, "start_s": event.start_s}


def _end(draft: EventDraft) -> Message:
    end_s = draft.time if draft.end_time is None else draft.end_time
    lost = draft.ended_by != "over"
    return {"op": "end", "camera": draft.camera, "id": draft.id, "end_s": end_s, "lost": lost}


def _with_clip(draft: EventDraft, event: _Event) -> EventDraft:
    return draft.model_copy(update={"clip": event.clip}) if event.clip else draft


class _Process:
    """The process that makes clips, and the pipe to it; for one thread."""

    def __init__(self, settings: ClipSettings) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        level = logging.getLogger().getEffectiveLevel()
        self._process = context.Process(
            target=evidence_main, args=(theirs, settings, level), name="sorawatch evidence"
        )
        start_blocked(self._process, self._connection, theirs)
        self.pid: Final = self._process.pid
        self.status: int | None = None

    @property
    def waitables(self) -> tuple[Connection, int]:
        return self._connection, self._process.sentinel

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    @property
    def takes(self) -> bool:
        """Whether an order can be sent without waiting."""
        return bool(select([], [self._connection], [], 0)[1])

    def send(self, message: Message) -> None:
        try:
            messages.send(self._connection, message)
        except OSError:
            return  # its death is seen elsewhere

    def received(self) -> list[Message]:
        said: list[Message] = []
        try:
            while len(said) < 1000 and self._connection.poll():
                said.append(messages.receive(self._connection))
        except (EOFError, OSError, ValueError, TypeError):
            return said
        return said

    def kill(self) -> None:
        """End it now."""
        self._process.kill()
        self._process.join()
        self.status = self._process.exitcode

    def close(self) -> None:
        self._process.close()
        self._connection.close()
