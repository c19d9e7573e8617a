"""What needs no motion to be unusual: who lies, who waits, and what is left behind."""

from collections.abc import Sequence

import numpy as np
import pytest

from detectors import detector as detector_module
from detectors.detector import Detector
from detectors.fitting import NormalityFitter
from detectors.ground import Figures, Ground
from detectors.normality import Normality
from detectors.score import Score
from tests.detectors import scene
from tests.detectors.scene import FPS, Walker

HOURLY = 24.0
ARRIVED = 10 * FPS
"""Frame at which somebody who came by the lower lane stops."""
LANE, PACE = 70.0, 1.4
X = -14.0 + PACE * ARRIVED

CLOTHES = scene.texture(np.random.default_rng(77))
LYING = np.ascontiguousarray(np.rot90(CLOTHES))
BAG = scene.texture(np.random.default_rng(78), 12, 12)


@pytest.fixture(scope="module")
def normality() -> Normality:
    """Two minutes of people who walk along two lanes, and never stop."""
    fitter = NormalityFitter()
    for window in scene.windows(scene.normal_life(120)):
        fitter.add(window)
    return fitter.finish()


def watch(normality: Normality, people: Sequence[Walker], seconds: int) -> list[Score]:
    frames = scene.render(np.random.default_rng(9), list(people), seconds * FPS)
    with Detector() as detector:
        detector.add("gate", normality)
        scores = [detector.step([("gate", window)])[0] for window in scene.windows(frames)]
    return [score for score in scores if score is not None]


def values(scores: Sequence[Score]) -> np.ndarray:
    return np.array([score.value for score in scores])


def covers(score: Score, x: float, y: float, width: float, height: float) -> bool:
    """Whether the region holds the middle of this box (px), and not much more than the box."""
    assert score.region is not None
    left, top, wide, high = score.region
    inside = (
        left <= (x + width / 2) / scene.W <= left + wide
        and top <= (y + height / 2) / scene.H <= top + high
    )
    return inside and wide * high * scene.W * scene.H < 6 * width * height


CASES = {
    "lies down": ([Walker(82.0, X - 6, 0.0, LYING, start=ARRIVED)], (X - 6, 82, 24, 12)),
    "waits": ([Walker(LANE, X, 0.0, CLOTHES, start=ARRIVED)], (X, LANE, 12, 24)),
    "leaves a bag": (
        [
            Walker(82.0, X, 0.0, BAG, start=ARRIVED),
            Walker(LANE, X, PACE, CLOTHES, start=ARRIVED),
        ],
        (X, 82, 12, 12),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_stays_where_all_walk(normality: Normality, case: str) -> None:
    """Somebody walks in and lies down, waits, or leaves a bag: soon, nothing moving any more,
    the score is above the level for one alert an hour and stays there; it is said to be by
    shape, stay or place, and where."""
    after, box = CASES[case]
    scores = watch(normality, [Walker(LANE, -14.0, PACE, CLOTHES, end=ARRIVED), *after], 90)
    late = scores[75 * FPS :]
    level = normality.calibration.threshold(HOURLY).value
    assert values(scores)[: ARRIVED - 1].max() < level
    assert values(late).min() >= level
    for score in late:
        assert sum(score.parts.values()) == pytest.approx(1.0)
        assert set(score.parts) <= {"shape", "stay", "occupancy"}
        assert score.parts["stay"] > 0.2
        assert covers(score, *box)
    # The longer, the more unusual.
    assert values(late)[-1] > values(late)[0]


def test_lying_is_another_shape_than_standing(normality: Normality) -> None:
    """Who lies on the path stands out sooner and by shape more than who stands there as long."""
    lying, standing = (
        watch(normality, [Walker(LANE, -14.0, PACE, CLOTHES, end=ARRIVED), *CASES[case][0]], 30)
        for case in ("lies down", "waits")
    )
    assert "shape" in lying[-1].parts
    assert values(lying)[20 * FPS :].mean() > 0.9 * values(standing)[20 * FPS :].mean()


def test_who_walks_past_raises_nothing(normality: Normality) -> None:
    """People who walk as people did reach the level for one alert an hour at no time, alone or
    among others."""
    level = normality.calibration.threshold(HOURLY).value
    assert values(watch(normality, [Walker(LANE, -14.0, PACE, CLOTHES)], 40)).max() < 0.5 * level
    rng = np.random.default_rng(23)
    assert values(watch(normality, scene.walkers(rng, 60 * FPS), 60)).max() < level


def test_who_moves_on_is_forgotten(normality: Normality) -> None:
    """After somebody who waited has gone the score falls back to nothing within seconds."""
    waiting = Walker(LANE, X, 0.0, CLOTHES, start=ARRIVED, end=60 * FPS)
    leaving = Walker(LANE, X, PACE, CLOTHES, start=60 * FPS)
    scores = watch(
        normality, [Walker(LANE, -14.0, PACE, CLOTHES, end=ARRIVED), waiting, leaving], 100
    )
    assert values(scores)[59 * FPS] > 8
    assert values(scores)[-5 * FPS :].max() == 0.0


def test_still_footage_is_looked_at_once_a_second(
    normality: Normality, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While nothing changes the scene is compared at most once a second, and the score of what
    stands there does not drop in between."""
    looks: list[float] = []

    class Counted(Ground):
        def step(self, cells: np.ndarray, passed_s: float) -> Figures:
            looks.append(passed_s)
            return super().step(cells, passed_s)

    monkeypatch.setattr(detector_module, "Ground", Counted)
    seconds = 30
    scores = watch(normality, [Walker(LANE, X, 0.0, CLOTHES, start=2 * FPS)], seconds)
    assert seconds - 2 <= len(looks) <= seconds + 4  # and the moment in which it came
    assert sum(looks) == pytest.approx(seconds, abs=1.5)
    late = values(scores)[20 * FPS :]
    assert late[-1] > late[0] > 0
    assert (np.diff(late) >= 0).all()


def test_a_turned_camera_is_foreign_until_its_scene_is_known(normality: Normality) -> None:
    """A camera that was turned elsewhere says so, scores nothing of what stands there, and has
    taken up the new scene within minutes."""
    before = scene.render(np.random.default_rng(0), [], 5 * FPS)
    after = scene.render(np.random.default_rng(1), [], 150 * FPS, seed=99)
    foreign, scores = [], []
    with Detector() as detector:
        detector.add("gate", normality)
        for window in scene.windows([*before, *after]):
            (score,) = detector.step([("gate", window)])
            assert score is not None
            scores.append(score)
            foreign.append(detector.foreign("gate"))
    assert not any(foreign[: len(before)])
    assert all(foreign[len(before) + FPS : len(before) + 30 * FPS])
    assert not any(foreign[-5 * FPS :])
    assert values(scores).max() < normality.calibration.threshold(HOURLY).value
    assert scores[-1].value == 0.0


def test_figures_are_scored_the_same_in_every_run(normality: Normality) -> None:
    """Bit for bit: nothing but the footage has a say."""
    people = [Walker(LANE, X, 0.0, CLOTHES, start=FPS)]
    assert watch(normality, people, 20) == watch(normality, people, 20)
