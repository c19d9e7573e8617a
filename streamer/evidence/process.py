"""The process that makes clips: it looks into the cameras' rings and disturbs nobody.

One thread takes pictures from the rings, keeps them as JPEG and cuts; another encodes. What the
program says to it, and it to the program, are JSON objects:

to it: `add` and `remove` (a camera), `follow`, `begin`, `end`, `forget` (an event), `exit`.
from it: `alive` (every second or so: memory, what was missed), `done` (a clip: its id, and why
there is none), `problem` (why there will be none at all).
"""

import json
import logging
import os
import queue
import resource
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Final, NoReturn

import cv2

from sorawatch import ResourceError
from streamer.capture import messages
from streamer.capture.messages import Message
from streamer.capture.ring import FrameRing
from streamer.evidence.clip import find_encoder, write_clip
from streamer.evidence.cutter import ClipSettings, Cut, Cutter
from streamer.evidence.names import CLIP, evidence_path
from streamer.evidence.reel import Changes, Still, compress, total_bytes

log = logging.getLogger(__name__)

QUEUED_CLIPS: Final = 16
QUEUED_BYTES: Final = 64_000_000
"""What waits to be encoded, of all cameras together; a clip beyond that is dropped."""

_ALIVE_EVERY_S: Final = 1.0
_ENCODING_NICENESS: Final = 10
_LOOK_S: Final = (0.05, 0.5)  # into the rings, at least and at most this often


def evidence_main(connection: Connection, settings: ClipSettings, log_level: int) -> NoReturn:
    """Make clips until told to exit, or until nobody is there to tell; never returns."""
    # The terminal signals the whole group; only the main process decides.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cv2.setNumThreads(1)
    sending = threading.Lock()

    def say(message: Message) -> None:
        try:
            with sending:
                messages.send(connection, message)
        except OSError:
            os._exit(0)

    logging.basicConfig(level=log_level, handlers=[_Forward(say)], force=True)
    try:
        _Maker(connection, settings, say).run()
    except (EOFError, OSError):
        os._exit(0)
    os._exit(0)  # an encoder in the middle of a clip is not waited for


@dataclass(slots=True)
class Watched:
    """A camera that is looked at."""

    ring: FrameRing
    cutter: Cutter
    fps: float
    changes: Changes = field(default_factory=Changes)
    next_seq: int = 0
    missed: int = 0
    seen_utc_s: float | None = None

    def look(self) -> None:
        """Take what is new in its ring; what was overwritten before that is counted."""
        ring = self.ring
        written = ring.written
        oldest = max(0, written - ring.slots + 1)
        if self.next_seq < oldest:
            self.missed += oldest - self.next_seq
            self.next_seq = oldest
        for seq in range(self.next_seq, written):
            self.next_seq = seq + 1
            stored = ring.read(seq)
            if stored is None:
                self.missed += 1
                continue
            header = stored.header
            utc_s, t_s = header.utc_ns / 1e9, header.t_media_ns / 1e9
            wanted = self.changes.wanted(stored.luma, t_s)
            jpeg = compress(stored.picture) if wanted else None
            if not ring.holds(seq):
                self.missed += 1
                continue
            self.seen_utc_s = utc_s
            if jpeg is not None:
                self.cutter.add(Still(utc_s, t_s, jpeg))


class Encoding:
    """The thread that encodes, with a queue that is bounded. `write`: makes one clip."""

    def __init__(
        self,
        write: Callable[[str, Cut], None],
        done: Callable[[str, str | None], None],
        most_clips: int = QUEUED_CLIPS,
        most_bytes: int = QUEUED_BYTES,
    ) -> None:
        """`done(event_id, problem)`: called for each clip; problem is None when it is written."""
        self._write = write
        self._done = done
        self._most_bytes = most_bytes
        self._queue: queue.Queue[tuple[str, Cut] | None] = queue.Queue(most_clips)
        self._lock = threading.Lock()  # guards _waiting_bytes
        self._waiting_bytes = 0
        self._thread = threading.Thread(target=self._run, name="encoding", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def put(self, camera: str, cut: Cut) -> None:
        """Have a clip made; never waits: where too much waits already, there is none."""
        size = total_bytes(cut.stills)
        with self._lock:
            fits = not self._waiting_bytes or self._waiting_bytes + size <= self._most_bytes
            if fits:
                try:
                    self._queue.put_nowait((camera, cut))
                    self._waiting_bytes += size
                except queue.Full:
                    fits = False
        if not fits:
            self._done(cut.event_id, "behind")

    def finish(self, within_s: float) -> None:
        """Make what waits, as far as time allows."""
        deadline_s = time.monotonic() + within_s
        try:
            self._queue.put(None, timeout=within_s)
        except queue.Full:
            return
        self._thread.join(max(0.0, deadline_s - time.monotonic()))

    def _run(self) -> None:
        # Of this thread alone, on Linux.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _ENCODING_NICENESS)
        while (work := self._queue.get()) is not None:
            camera, cut = work
            problem: str | None = None
            try:
                self._write(camera, cut)
            except OSError as exc:
                problem = f"disk: {exc.strerror or exc}"
            except ValueError as exc:
                problem = f"empty: {exc}"
            except Exception as exc:
                log.exception("%s: no clip of %s", camera, cut.event_id)
                problem = f"error: {exc}"
            with self._lock:
                self._waiting_bytes -= total_bytes(cut.stills)
            self._done(cut.event_id, problem)


class _Maker:
    """The process's body; for its main thread."""

    def __init__(
        self, connection: Connection, settings: ClipSettings, say: Callable[[Message], None]
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._say = say
        self._cameras: dict[str, Watched] = {}
        self._encoding = Encoding(self._write, self._done)
        self._unwanted: deque[str] = deque(maxlen=1000)

    def run(self) -> None:
        try:
            self._encoder = find_encoder()
        except ResourceError as exc:
            self._say({"op": "problem", "text": str(exc)})
            return
        self._encoding.start()
        alive_s = 0.0
        while True:
            now_s = time.monotonic()
            if now_s >= alive_s:
                alive_s = now_s + _ALIVE_EVERY_S
                self._say(self._state())
            for name, watched in self._cameras.items():
                watched.look()
                for cut in watched.cutter.due(watched.seen_utc_s, now_s):
                    self._make(name, cut)
            pause_s = min((_pause_s(one) for one in self._cameras.values()), default=_LOOK_S[1])
            until_s = now_s + pause_s
            while self._connection.poll(max(0.0, until_s - time.monotonic())):
                message = messages.receive(self._connection)
                if message["op"] == "exit":
                    self._exit(message["within_s"])
                    return
                self._obey(message)

    def _obey(self, message: Message) -> None:
        op, name = message["op"], message["camera"]
        if op == "add":
            self._add(name, message["ring"], message["fps"])
            return
        watched = self._cameras.get(name)
        if watched is None:
            if op == "end":
                self._done(message["id"], "missed: the camera is not looked at")
            return
        cutter = watched.cutter
        if op == "remove":
            self._remove(name)
        elif op == "follow":
            cutter.follow(message["since_s"])
        elif op == "begin":
            cutter.begin(message["id"], message["start_s"])
        elif op == "end":
            now_s, lost = time.monotonic(), message["lost"]
            cutter.end(message["id"], message["end_s"], now_s, lost=lost)
        elif op == "forget":
            cutter.forget(message["id"])
            self._unwanted.append(message["id"])

    def _add(self, name: str, ring: str, fps: float) -> None:
        try:
            attached = FrameRing.attach(ring)
        except ResourceError as exc:
            log.warning("%s: no clips: %s", name, exc)
            return
        oldest = max(0, attached.written - attached.slots + 1)
        self._cameras[name] = Watched(attached, Cutter(self._settings), fps, next_seq=oldest)

    def _remove(self, name: str) -> None:
        watched = self._cameras.pop(name)
        watched.look()
        for cut in watched.cutter.due(None, 0.0, all_=True):
            self._make(name, cut)
        watched.ring.close()

    def _exit(self, within_s: float) -> None:
        for name in list(self._cameras):
            self._remove(name)
        self._encoding.finish(within_s)

    def _make(self, name: str, cut: Cut) -> None:
        if cut.stills:
            self._encoding.put(name, cut)
        else:
            self._done(cut.event_id, "missed: no picture of that time is there")

    def _write(self, camera: str, cut: Cut) -> None:
        if cut.event_id in self._unwanted:
            raise ValueError("it is not wanted any more")
        path = evidence_path(self._settings.folder, camera, cut.event_id, CLIP)
        write_clip(path, cut.stills, cut.event_id, self._encoder, self._settings.keep_free_bytes)

    def _done(self, event_id: str, problem: str | None) -> None:
        self._say({"op": "done", "id": event_id, "problem": problem})

    def _state(self) -> Message:
        cameras = {
            name: {
                "bytes": one.cutter.reel.bytes,
                "stills": len(one.cutter.reel),
                "thinned": one.cutter.reel.thinned,
                "missed": one.missed,
            }
            for name, one in self._cameras.items()
        }
        return {"op": "alive", "cameras": cameras}


def _pause_s(watched: Watched) -> float:
    """How long a ring can be left alone: a third of what it holds."""
    at_least, at_most = _LOOK_S
    return min(at_most, max(at_least, (watched.ring.slots - 2) / watched.fps / 3))


class _Forward(logging.Handler):
    """Hands log records to the program, which knows how they are shown."""

    def __init__(self, say: Callable[[Message], None]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)[:8000]
            json.dumps(text)
        except Exception:
            self.handleError(record)
            return
        self._say({"op": "log", "logger": record.name, "level": record.levelno, "text": text})
