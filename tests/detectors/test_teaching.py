"""Teaching: what was said to be normal raises nothing again, other things do, and it goes back."""

from pathlib import Path

import numpy as np
import pytest

from detectors.arrayfile import dump, parse
from detectors.detector import Detector
from detectors.fitting import NormalityFitter
from detectors.lessons import MOST_TOKENS
from detectors.normality import Normality, load
from detectors.teaching import Teacher
from detectors.window import Window
from sorawatch import NormalityError
from tests.detectors import scene
from tests.detectors.fakes import FakeEncoder

SECONDS = 16
FRAMES = SECONDS * scene.FPS
LEVEL_A_DAY = 200.0


def fitted(encoder: FakeEncoder | None) -> Normality:
    fitter = NormalityFitter(encoder, "gate")
    for window in scene.windows(scene.normal_life(90)):
        fitter.add(window)
    return fitter.finish()


@pytest.fixture(scope="module", params=["motion alone", "with an encoder"])
def encoder(request: pytest.FixtureRequest) -> FakeEncoder | None:
    return FakeEncoder() if request.param == "with an encoder" else None


@pytest.fixture(scope="module")
def normality(encoder: FakeEncoder | None) -> Normality:
    return fitted(encoder)


def film(kind: str, seed: int) -> list[scene.Luma]:
    """Normal life, and one runner in a lane; `seed` decides everybody's looks and noise."""
    rng = np.random.default_rng(seed)
    clothes = scene.texture(np.random.default_rng(99), 24, 12)
    lane, speed = {"upper": (30.0, 7.0), "lower": (92.0, 7.0), "down": (0.0, 0.4)}[kind]
    rise = 5.0 if kind == "down" else 0.0
    x = 120.0 if kind == "down" else -12.0
    runner = scene.Walker(lane, x, speed, clothes, rise, start=30, end=60)
    # Nobody in the runner's way: two at one place are something else again.
    others = [w for w in scene.walkers(rng, FRAMES) if kind == "down" or abs(w.y_px - lane) > 30]
    people = [*others, runner]
    return scene.render(rng, people, FRAMES)


def highest(normality: Normality, frames: list[scene.Luma], encoder: FakeEncoder | None) -> float:
    with Detector(encoder) as detector:
        detector.add("gate", normality)
        scores = [detector.step([("gate", w)])[0] for w in scene.windows(frames)]
    return max(score.value for score in scores if score is not None)


def taught(
    normality: Normality, frames: list[scene.Luma], encoder: FakeEncoder | None
) -> Normality:
    teacher = Teacher(normality, encoder)
    for window in scene.windows(frames):
        teacher.see(window, teach=5.0 <= window.times_s[-1] <= 14.0)
    assert teacher.highest > 0
    return teacher.finish("the postman runs")


def test_a_repeated_false_alarm_is_cured_and_nothing_else(
    normality: Normality, encoder: FakeEncoder | None
) -> None:
    """The same thing again stays below the threshold; what runs elsewhere is as unusual as ever."""
    level = normality.calibration.threshold(LEVEL_A_DAY).value
    wiser = taught(normality, film("upper", 3), encoder)
    assert highest(normality, film("upper", 4), encoder) > level
    assert highest(wiser, film("upper", 4), encoder) < level
    for kind in ("lower", "down"):
        before = highest(normality, film(kind, 5), encoder)
        assert before > level, kind
        assert highest(wiser, film(kind, 5), encoder) > 0.9 * before, kind


def test_a_lesson_is_taken_back_to_the_byte(
    normality: Normality, encoder: FakeEncoder | None, tmp_path: Path
) -> None:
    """Without a lesson the file is what it was before, also when others were given after it."""
    first = taught(normality, film("upper", 3), encoder)
    both = taught(first, film("down", 5), encoder)
    one, two = (lesson.id for lesson in both.lessons.all)
    both.save(tmp_path / "gate.normal")
    loaded = load(tmp_path / "gate.normal")
    assert loaded.to_bytes() == both.to_bytes()
    assert [lesson.note for lesson in loaded.lessons.all] == ["the postman runs"] * 2
    assert loaded.undo(two).to_bytes() == first.to_bytes()
    assert loaded.undo("last").undo(one).to_bytes() == normality.to_bytes()
    assert loaded.undo(one).undo(two).sha256 == normality.sha256
    frames = film("upper", 4)
    assert highest(loaded, frames, encoder) == highest(both, frames, encoder)
    with pytest.raises(NormalityError, match=f"no lesson 'nonsense' .* {one}, {two}"):
        loaded.undo("nonsense")
    with pytest.raises(NormalityError, match="there are: none"):
        normality.undo("last")


def test_broken_lessons_are_refused(
    normality: Normality, encoder: FakeEncoder | None, tmp_path: Path
) -> None:
    """A file whose lessons are cut off, infinite, or do not belong to it is refused by name, as is
    one of an earlier version: what was taught is never half in force."""
    path = tmp_path / "gate.normal"
    good = taught(normality, film("upper", 3), encoder).to_bytes()
    header, arrays = parse(good, path)
    lesson = header["lessons"][0]
    motion = arrays["taught_motion"]
    infinite = motion.copy()
    infinite[0, 0] = np.inf
    broken = {
        "an earlier version": dump(header | {"version": 2}, arrays),
        "no lessons": dump({k: v for k, v in header.items() if k != "lessons"}, arrays),
        "a lesson twice": dump(header | {"lessons": [lesson, lesson]}, arrays),
        "no tokens": dump(header, {k: v for k, v in arrays.items() if k != "taught_motion"}),
        "a token less": dump(header, arrays | {"taught_motion": motion[:-1]}),
        "another width": dump(header, arrays | {"taught_motion": motion[:, :-1]}),
        "no reach": dump(header, arrays | {"taught_motion": motion * [*[1] * 10, 0]}),
        "infinite": dump(header, arrays | {"taught_motion": infinite}),
        "a note of numbers": dump(header | {"lessons": [lesson | {"note": 4}]}, arrays),
        "impossible dispersion": dump(header | {"dispersion": 0.5}, arrays),
        "cut off": good[:-300],
    }
    loaded = []
    for what, data in broken.items():
        path.write_bytes(data)
        try:
            load(path)
        except NormalityError as exc:
            assert str(exc).startswith(f"{path}: "), what  # noqa: PT017
        else:
            loaded.append(what)
    assert not loaded


def test_lessons_are_small(normality: Normality, encoder: FakeEncoder | None) -> None:
    """However long the footage, a lesson holds so many tokens of each kind at most."""
    teacher = Teacher(normality, encoder)
    for window in scene.windows(film("upper", 3) + film("lower", 6) + film("down", 7)):
        teacher.see(window, teach=True)
    lesson = teacher.finish().lessons.all[0]
    assert len(lesson) > 0
    assert all(len(points) <= MOST_TOKENS for points in lesson.tokens.values())


def test_nothing_to_teach(normality: Normality, encoder: FakeEncoder | None) -> None:
    """Footage in which nothing is unusual makes no lesson, and says so."""
    still = scene.render(np.random.default_rng(0), [], 40)
    teacher = Teacher(normality, encoder)
    for window in scene.windows(still):
        teacher.see(window, teach=True)
    with pytest.raises(NormalityError, match="nothing unusual"):
        teacher.finish()


def test_footage_of_another_camera_teaches_nothing(
    normality: Normality, encoder: FakeEncoder | None
) -> None:
    """Pictures of another size, or another encoder, are refused with what to do."""
    small = np.zeros((80, 180), np.uint8)
    with pytest.raises(NormalityError, match=r"picture size has changed.*sorawatch fit"):
        Teacher(normality, encoder).see(Window((small,), (0.0,), 0, 0), teach=True)
    if encoder is not None:
        with pytest.raises(NormalityError, match="learned with encoder"):
            Teacher(normality, FakeEncoder("cd" * 32))


def test_nothing_unusual_is_nothing_to_teach(normality: Normality) -> None:
    """A stretch without anything in it gives no empty lesson, but an error that says why."""
    teacher = Teacher(normality, FakeEncoder() if normality.facts.encoder else None)
    for window in scene.windows(film("upper", 3)[:10]):
        teacher.see(window, teach=False)
    with pytest.raises(NormalityError, match="nothing to teach"):
        teacher.finish()
