"""What people say of events: seen, real, or normal after all, which teaches the camera at once."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from alerts.event import Event
from alerts.eventlog import EventLog
from alerts.marks import MarkBook, Marks
from detectors.arrayfile import write_atomic
from detectors.lessons import LONGEST_NOTE, Lessons
from detectors.normality import Normality, load
from detectors.teaching import with_lesson
from sorawatch import ConfigError, NormalityError, SorawatchError
from streamer.teach import replace_file

log = logging.getLogger(__name__)


class Held(NamedTuple):
    """What the program holds of an event: the camera's normality file and what it watches by; and
    what was unusual, by what it watched by then, None where that is not known any more."""

    file: Path
    normality: Normality
    tokens: Mapping[str, NDArray[np.float32]] | None = None
    then: Normality | None = None


class Program(Protocol):
    """What feedback asks of the running program; each call is answered by the analysis thread.

    Raises SorawatchError where it does not answer.
    """

    def held(self, camera: str, event_id: str) -> Held:
        """What is held of an event; ConfigError for a camera that is not watched, or learns."""

    def taught(self, file: Path, before: str, now: Normality) -> list[str]:
        """Let all cameras that watch by `file`, of hash `before`, watch by `now`; which did."""


@dataclass(frozen=True, slots=True)
class Taught:
    """What marking did: to which event, its marks, the lesson's tokens (0: none), and cameras
    taught (or that forgot it)."""

    id: str
    marks: Marks
    tokens: int = 0
    cameras: tuple[str, ...] = ()


class Feedback:
    """Carries out what people say. For one thread, the one that made `book` and `events`."""

    def __init__(
        self,
        program: Program,
        book: MarkBook,
        events: EventLog,
        utc_clock: Callable[[], float] = time.time,
    ) -> None:
        """`book` and `events`: of the program's outbox."""
        self._program = program
        self._book = book
        self._events = events
        self._utc_clock = utc_clock

    def acknowledge(self, names: tuple[str, ...], by: str | None, *, undo: bool) -> list[str]:
        """Note that events were seen (`undo`: that they were not); their ids.

        Raises OutboxError, and then nothing has changed.
        """
        ids = [self._events.find(name) for name in names]
        self._book.acknowledge(ids, None if undo else self._utc_clock(), by)
        return ids

    def mark_real(self, name: str, by: str | None, note: str) -> Taught:
        """Note that an event was worth its alert. Raises OutboxError, ConfigError."""
        event = self._unmarked(name)
        _check_note(note)
        self._book.mark(event.id, "real", self._utc_clock(), by=by, note=note)
        return Taught(event.id, self._book.of(event.id))

    def mark_normal(self, name: str, by: str | None, note: str) -> Taught:
        """Teach the camera that what an event showed is normal, at once, and note that.

        The normality file is written whole, what it was stays beside it as FILE.bak. Raises
        OutboxError, ConfigError, NormalityError or ResourceError, and then nothing has changed.
        """
        event = self._unmarked(name)
        _check_note(note)
        held = self._program.held(event.camera, event.id)
        if held.tokens is None or held.then is None or not _alike(held.then, held.normality):
            raise ConfigError(
                f"what was seen of {event.id} is not in memory any more: teach from a recording, "
                f"sorawatch normal teach {held.file} FILM"
            )
        _check_file(held)
        said = f"event {event.id}" + (f": {note}" if note else "")
        new = with_lesson(held.normality, held.tokens, said[:LONGEST_NOTE])
        lesson = new.lessons.all[-1]
        replace_file(held.file, new)
        try:
            utc_s = self._utc_clock()
            self._book.mark(event.id, "normal", utc_s, by=by, note=note, lesson=lesson.id)
            cameras = self._program.taught(held.file, held.normality.sha256, new)
        except SorawatchError:
            write_atomic(held.file, held.normality.to_bytes())
            self._book.mark(event.id, None, self._utc_clock())
            raise
        log.info("%s: taught that %s is normal: lesson %s", event.camera, event.id, lesson.id)
        return Taught(event.id, self._book.of(event.id), len(lesson), tuple(cameras))

    def unmark(self, name: str) -> Taught:
        """Take a mark back; one that taught the camera is forgotten by it, as if never given.

        Raises OutboxError, ConfigError, NormalityError or ResourceError.
        """
        event = self._event(name)
        marks = self._book.of(event.id)
        if marks.mark is None:
            raise ConfigError(f"{event.id} is not marked")
        tokens, cameras = 0, list[str]()
        if marks.lesson is not None:
            held = self._program.held(event.camera, event.id)
            _check_file(held)
            lessons = {lesson.id: lesson for lesson in held.normality.lessons.all}
            if marks.lesson in lessons:  # else it was taken back by hand
                tokens = len(lessons[marks.lesson])
                new = held.normality.undo(marks.lesson)
                replace_file(held.file, new)
                try:
                    cameras = self._program.taught(held.file, held.normality.sha256, new)
                except SorawatchError:
                    write_atomic(held.file, held.normality.to_bytes())
                    raise
                log.info("%s: lesson %s taken back", event.camera, marks.lesson)
        self._book.mark(event.id, None, self._utc_clock())
        return Taught(event.id, self._book.of(event.id), tokens, tuple(cameras))

    def _event(self, name: str) -> Event:
        event = self._events.show(self._events.find(name)).event
        if event.kind != "anomaly":
            raise ConfigError(f"{event.id} is a state of the camera: acknowledge it, but no mark")
        return event

    def _unmarked(self, name: str) -> Event:
        event = self._event(name)
        mark = self._book.of(event.id).mark
        if mark is not None:
            raise ConfigError(f"{event.id} is marked {mark} already: unmark it first")
        return event


def _check_note(note: str) -> None:
    if len(note) > LONGEST_NOTE or not note.isprintable():
        raise ConfigError(f"a note is one line of at most {LONGEST_NOTE} characters")


def _alike(one: Normality, other: Normality) -> bool:
    """Whether two differ in their lessons alone, so that tokens of one are tokens of the other."""
    if one.bank is other.bank:
        return True
    plain, also = (replace(n, lessons=Lessons(), _hash=[]) for n in (one, other))
    return plain.sha256 == also.sha256


def _check_file(held: Held) -> None:
    """Refuse to write over a file that somebody has changed since it was read."""
    try:
        found = load(held.file).sha256
    except SorawatchError as exc:
        raise NormalityError(f"{exc}: nothing was taught") from exc
    if found != held.normality.sha256:
        raise NormalityError(
            f"{held.file}: has been changed since the program read it: send it SIGHUP first"
        )
