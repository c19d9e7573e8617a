"""What people say of events, where it cannot be done: nothing has changed then."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from alerts.eventlog import EventLog
from alerts.marks import MarkBook
from alerts.outbox import Outbox
from detectors.detector import Detector
from detectors.fitting import NormalityFitter
from detectors.normality import Normality, load
from sorawatch import ConfigError, NormalityError, OutboxError, ResourceError, SorawatchError
from streamer.event_memory import EventMemory, Recollection
from streamer.feedback import Feedback, Held
from tests.alerts.alert_makers import START_S, draft
from tests.detectors import scene


@pytest.fixture(scope="module")
def learned() -> Normality:
    fitter = NormalityFitter(None, "gate")
    for window in scene.windows(scene.normal_life(25)):
        fitter.add(window)
    return fitter.finish()


class Program:
    """One camera that watches by a file; `memory` holds what was unusual in its events."""

    def __init__(self, file: Path, normality: Normality) -> None:
        self.file = file
        self.normality = normality
        self.memory = EventMemory(2)

    def see(self, event_id: str) -> None:
        """Somebody crosses the lanes, which is told as this event."""
        rng = np.random.default_rng(4)
        person = scene.Walker(-20.0, 90.0, 0.0, scene.texture(rng), rise_px=6.0)
        recollection = Recollection(self.memory)
        with Detector(None) as detector:
            detector.add("gate", self.normality)
            for number, window in enumerate(scene.windows(scene.render(rng, [person], 25))):
                detector.step([("gate", window)])
                told = [event_id] if number == 8 else []
                recollection.see(self.normality, 1.0, told, lambda: detector.recent("gate"))

    def held(self, _camera: str, event_id: str) -> Held:
        collector = self.memory.of(event_id)
        if collector is None:
            return Held(self.file, self.normality)
        return Held(self.file, self.normality, collector.tokens(), collector.normality)

    def taught(self, file: Path, before: str, now: Normality) -> list[str]:
        assert (file, before) == (self.file, self.normality.sha256)
        self.normality = now
        return ["gate"]


class Desk:
    """Feedback to that program, about two events."""

    def __init__(self, feedback: Feedback, program: Program, book: MarkBook) -> None:
        self.feedback = feedback
        self.program = program
        self.book = book
        self.ids = [draft(n).id for n in range(2)]

    @property
    def file(self) -> Path:
        return self.program.file


@pytest.fixture
def desk(tmp_path: Path, learned: Normality) -> Iterator[Desk]:
    learned.save(tmp_path / "gate.normal")
    path = tmp_path / "alerts.db"
    program = Program(tmp_path / "gate.normal", load(tmp_path / "gate.normal"))
    with Outbox(path, START_S) as outbox, MarkBook(path) as book, EventLog(path) as events:
        health = draft(9, kind="health", state="dark", score=None)
        outbox.append([draft(0), draft(1), health], START_S)
        yield Desk(Feedback(program, book, events, lambda: START_S), program, book)


def test_two_lessons_are_taken_back_in_any_order(desk: Desk) -> None:
    """Each mark is one lesson, and when both are gone nothing of either is left."""
    before = desk.file.read_bytes()
    for event_id in desk.ids:
        desk.program.see(event_id)
        done = desk.feedback.mark_normal(event_id, "me", "")
        assert done.tokens > 20
        assert done.cameras == ("gate",)
    assert len(load(desk.file).lessons) == 2
    assert load(desk.file).sha256 == desk.program.normality.sha256
    for event_id in desk.ids:
        desk.feedback.unmark(event_id)
    assert desk.file.read_bytes() == before
    assert desk.program.normality.to_bytes() == before


def test_a_lesson_that_was_taken_back_by_hand_can_be_unmarked(desk: Desk) -> None:
    """`sorawatch normal undo` and SIGHUP came before: the mark goes, nothing else changes."""
    desk.program.see(desk.ids[0])
    lesson = desk.feedback.mark_normal(desk.ids[0], None, "").marks.lesson
    assert lesson is not None
    desk.program.normality = desk.program.normality.undo(lesson)
    desk.program.normality.save(desk.file)
    assert desk.feedback.unmark(desk.ids[0]).tokens == 0
    assert desk.book.of(desk.ids[0]).mark is None


def test_what_cannot_be_taught_changes_nothing(desk: Desk) -> None:
    """No tokens left, a file changed or not writable, other footage, a state: each is refused."""
    feedback, first = desk.feedback, desk.ids[0]
    before = desk.file.read_bytes()

    def refused(kind: type[Exception], said: str, name: str = first, note: str = "") -> None:
        with pytest.raises(kind, match=said):
            feedback.mark_normal(name, None, note)
        assert desk.book.of(first).mark is None

    refused(ConfigError, "not in memory any more: teach from a recording")
    desk.program.see(first)
    refused(ConfigError, "one line of at most", note="two\nlines")
    refused(ConfigError, "state of the camera", name=draft(9, kind="health").id)
    refused(OutboxError, "no event", name="nobody")
    assert desk.file.read_bytes() == before
    other = NormalityFitter(None, "gate")
    for window in scene.windows(scene.normal_life(25, seed=9)):
        other.add(window)
    other.finish().save(desk.file)
    refused(NormalityError, "has been changed since")
    desk.program.normality = load(desk.file)
    refused(ConfigError, "not in memory any more")  # it was seen by another normality
    desk.file.write_bytes(before)
    desk.program.normality = load(desk.file)
    if os.geteuid() != 0:  # root may write everywhere
        desk.file.parent.chmod(0o500)
        refused(ResourceError, "cannot be written")
        desk.file.parent.chmod(0o700)
    # The analysis does not answer, or the mark cannot be stored: the file is what it was.
    desk.program.taught = _deaf  # type: ignore[method-assign]
    refused(SorawatchError, "does not answer")
    assert desk.file.read_bytes() == before
    desk.book.mark = _full  # type: ignore[method-assign]
    refused(OutboxError, "no space")
    assert desk.file.read_bytes() == before
    assert desk.program.normality.to_bytes() == before


def _deaf(*_args: object) -> list[str]:
    raise SorawatchError("the analysis does not answer")


def _full(*_args: object, **_options: object) -> None:
    raise OutboxError("no space")


def test_memory_is_bounded(learned: Normality, tmp_path: Path) -> None:
    """The oldest events are forgotten first."""
    program = Program(tmp_path / "gate.normal", learned)
    for name in ("a", "b", "c"):
        program.see(name)
    assert len(program.memory) == 2
    assert program.memory.of("a") is None
    collector = program.memory.of("c")
    assert collector is not None
    assert all(len(points) <= 1000 for points in collector.tokens().values())
