"""A process that replays runs, one or a few at a time, for as long as it is given any.

It asks for each by a message and tells of each when it is done; messages are JSON objects. It ends
when the other end of the pipe closes, whatever it is doing.
"""

import json
import logging
import os
import resource
import signal
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import cv2

from alerts.event import EventDraft, Provenance
from detectors.detector import Detector
from detectors.encoder.providers import Device
from detectors.encoder.session import EncoderSession
from detectors.normality import load
from sorawatch import ResourceError, SorawatchError, SourceError
from streamer.capture.source import Source, SourceKind
from streamer.capture.windows import RingWindow
from streamer.config import CameraConfig
from streamer.replay.lane import Lane, Setting

log = logging.getLogger(__name__)

_TELL_EVERY_S: Final = 0.3


@dataclass(frozen=True, slots=True)
class Order:
    """What a job is started with. `encoder`: None where none is used, "" for the one that ships.

    `normal`: the normality's file. `batch`: how many runs at a time. `speed`: of the footage's own
    time; None: as fast as it goes. `out`: the replay's folder.
    """

    camera: str
    config: CameraConfig
    config_sha256: str
    normal: Path
    encoder: str | None
    device: Device
    out: Path
    batch: int = 1
    speed: float | None = None
    log_level: int = logging.WARNING


class _Ended(Exception):
    """Nobody listens any more."""


def job_main(connection: Connection, order: Order) -> None:
    """The process's body."""
    # The terminal signals the whole group; only the main process decides.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    cv2.setNumThreads(1)
    logging.basicConfig(level=order.log_level, handlers=[_Forward(connection)], force=True)
    try:
        _Job(connection, order).run()
    except (_Ended, EOFError, BrokenPipeError, ConnectionError):
        return
    except SorawatchError as exc:
        _send(connection, {"op": "failed", "kind": type(exc).__name__, "text": str(exc)})
    except Exception as exc:
        log.exception("a replay job failed")
        text = f"{type(exc).__name__}: {exc}"
        _send(connection, {"op": "failed", "kind": "SorawatchError", "text": text})


class _Job:
    """For one thread."""

    def __init__(self, connection: Connection, order: Order) -> None:
        self._connection = connection
        self._order = order
        self._drained = False
        self._lanes: dict[int, Lane] = {}
        self._told_s = 0.0
        self._began: dict[int, tuple[float, float]] = {}

    def run(self) -> None:
        order = self._order
        session = None
        if order.encoder is not None:
            session = EncoderSession(
                Path(order.encoder) if order.encoder else None, order.device, 1
            )
        normality = load(order.normal)
        provenance = Provenance(
            model=None if session is None else session.sha256,
            config=order.config_sha256,
        )
        setting = Setting(order.camera, order.config, normality, provenance, order.out)
        with ExitStack() as stack, Detector(session) as detector:
            stack.callback(self._abandon)
            while self._fill(setting, detector):
                ready: list[tuple[int, RingWindow]] = []
                for index in list(self._lanes):
                    seen = self._next(index)
                    if seen is not None:
                        ready.append((index, seen))
                lanes = self._lanes
                scores = detector.step([(lanes[i].key, seen.window) for i, seen in ready])
                for (index, seen), score in zip(ready, scores, strict=True):
                    lanes[index].take(seen, score)
                self._tell_progress()

    def _fill(self, setting: Setting, detector: Detector) -> bool:
        """Take on runs up to the batch; whether there is any to work on."""
        while not self._drained and len(self._lanes) < self._order.batch:
            _send(self._connection, {"op": "next"})
            answer = json.loads(self._connection.recv_bytes())
            if "run" not in answer:
                self._drained = True
                break
            index = int(answer["run"])
            lane = Lane(
                f"{index}",
                answer["stem"],
                Source(SourceKind.FOOTAGE, answer["source"]),
                setting,
                detector,
                tell=self._tell if self._order.speed is not None else lambda _drafts: None,
                check=self._check,
            )
            lane.__enter__()
            self._lanes[index] = lane
        return bool(self._lanes)

    def _next(self, index: int) -> RingWindow | None:
        """The next window of a lane; None when that has ended, which is told."""
        lane = self._lanes[index]
        self._check()
        problem: str | None = None
        try:
            seen = lane.next()
        except SourceError as exc:
            seen, problem = None, str(exc)
        if seen is not None:
            self._pace(index, seen)
            return seen
        outcome = lane.finish(problem)
        del self._lanes[index]
        lane.__exit__(None, None, None)
        _send(self._connection, {"op": "done", "run": index, **asdict(outcome)})
        return None

    def _pace(self, index: int, seen: RingWindow) -> None:
        """Hold a window back until it is due, where a speed was asked for."""
        if self._order.speed is None:
            return
        now_s, utc_s = time.monotonic(), seen.header.utc_ns / 1e9
        began_s, first_s = self._began.setdefault(index, (now_s, utc_s))
        wait_s = began_s + (utc_s - first_s) / self._order.speed - now_s
        if wait_s > 0 and self._connection.poll(wait_s):
            self._check()

    def _check(self) -> None:
        """Nothing is said to us that we have not asked for, but that it is over."""
        if self._connection.poll():
            raise _Ended

    def _tell(self, drafts: list[EventDraft]) -> None:
        told = [draft.model_dump(mode="json") for draft in drafts]
        _send(self._connection, {"op": "tell", "drafts": told})

    def _tell_progress(self) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s >= _TELL_EVERY_S:
            self._told_s = now_s
            at = {str(index): lane.utc_s for index, lane in self._lanes.items()}
            _send(self._connection, {"op": "at", "runs": at})

    def _abandon(self) -> None:
        for lane in self._lanes.values():
            lane.__exit__(None, None, None)


def _send(connection: Connection, message: dict[str, Any]) -> None:
    connection.send_bytes(json.dumps(message).encode())


class _Forward(logging.Handler):
    """Hands log records to the main process, which knows how they are shown."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        message = {
            "op": "log",
            "logger": record.name,
            "level": record.levelno,
            "text": self.format(record)[:8000],
        }
        try:
            _send(self._connection, message)
        except OSError:
            os._exit(0)


def error_of(kind: str, text: str) -> SorawatchError:
    """The error that a job failed with."""
    if kind == "ResourceError":
        return ResourceError(text)
    classes = {cls.__name__: cls for cls in _subclasses(SorawatchError)}
    return classes.get(kind, SorawatchError)(text)


def _subclasses(cls: type[SorawatchError]) -> list[type[SorawatchError]]:
    return [cls, *(sub for own in cls.__subclasses__() for sub in _subclasses(own))]
