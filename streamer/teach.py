"""`sorawatch normal`: teach a normality file that something is normal, and take that back."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from detectors.arrayfile import read_file, write_atomic
from detectors.detector import Detector
from detectors.encoder.providers import Device
from detectors.encoder.session import EncoderSession
from detectors.lessons import LONGEST_NOTE, Lesson
from detectors.normality import Normality, load
from detectors.teaching import Teacher
from sorawatch import ConfigError, NormalityError
from streamer.capture.masks import Polygon
from streamer.capture.source import Source
from streamer.reading import SourceReader

_CAMERA: Final = "taught"


@dataclass(frozen=True, slots=True)
class TeachReport:
    """What was taught: the lesson's `id` and number of `tokens`; the largest score of the footage
    `before` and `after`."""

    file: Path
    id: str
    tokens: int
    before: float
    after: float


def teach(
    file: Path,
    source: Source,
    *,
    from_s: float = 0.0,
    to_s: float = float("inf"),
    note: str = "",
    fps: float = 5.0,
    encoder: Path | None = None,
    device: Device = "auto",
    masks: Sequence[Polygon] = (),
    on_progress: Callable[[float], None] = lambda _t_s: None,
) -> TeachReport:
    """Teach `file` that `source` is normal from `from_s` to `to_s`, seconds of its own time.

    `masks`: those of the camera. What was in `file` is kept beside it as FILE.bak. Raises
    ConfigError for a live source, a span that `source` does not have and a `note` too long,
    SourceError for one that cannot be read, NormalityError where there is nothing to teach or the
    footage is not like that learned from; `file` is then what it was.
    """
    if source.live:
        raise ConfigError(f"{source.masked} is live: teach from a recording")
    if not from_s < to_s:
        raise ConfigError(f"from {from_s:g} s to {to_s:g} s is no stretch of footage")
    if len(note) > LONGEST_NOTE or not note.isprintable():
        raise ConfigError(f"a note is one line of at most {LONGEST_NOTE} characters")
    old = load(file)
    session = EncoderSession(encoder, device, 1) if old.facts.encoder is not None else None
    old.facts.check_encoder(None if session is None else session.sha256, file)
    teacher = Teacher(old, session)
    t_s = 0.0
    try:
        with SourceReader([source], fps, masks) as reader:
            for _, seen in reader.windows():
                t_s = seen.window.times_s[-1]
                teacher.see(seen.window, teach=from_s <= t_s <= to_s)
                on_progress(t_s)
        if t_s < from_s:
            raise ConfigError(f"{source.masked}: ends after {t_s:.1f} s, before {from_s:g} s")
        new = teacher.finish(note)
    except NormalityError as exc:
        raise NormalityError(f"{file}: {source.masked}: {exc}") from exc
    replace_file(file, new)
    lesson = new.lessons.all[-1]
    after = _highest(new, session, source, fps, masks, from_s, to_s)
    return TeachReport(file, lesson.id, len(lesson), teacher.highest, after)


def undo(file: Path, lesson_id: str) -> Lesson:
    """Take a lesson (`last`: the newest) out of `file`, whose old contents go to FILE.bak.

    NormalityError when there is no such lesson.
    """
    old = load(file)
    try:
        new = old.undo(lesson_id)
    except NormalityError as exc:
        raise NormalityError(f"{file}: {exc}") from exc
    replace_file(file, new)
    left = {lesson.id for lesson in new.lessons.all}
    return next(lesson for lesson in old.lessons.all if lesson.id not in left)


def replace_file(file: Path, new: Normality) -> None:
    """Write `new` to `file`, and what was there to FILE.bak; each whole or not at all."""
    write_atomic(file.with_name(file.name + ".bak"), read_file(file))
    new.save(file)


def _highest(
    normality: Normality,
    session: EncoderSession | None,
    source: Source,
    fps: float,
    masks: Sequence[Polygon],
    from_s: float,
    to_s: float,
) -> float:
    """The largest score of the footage, as the program that watches would give it."""
    highest = 0.0
    with Detector(session) as detector, SourceReader([source], fps, masks) as reader:
        detector.add(_CAMERA, normality)
        for _, seen in reader.windows():
            score = detector.step([(_CAMERA, seen.window)])[0]
            if score is not None and from_s <= seen.window.times_s[-1] <= to_s:
                highest = max(highest, score.value)
    return highest
