"""The detector: the unusual stands out from the usual, and nothing else has a say in a score."""

from collections.abc import Sequence

import numpy as np
import pytest

from detectors.detector import Detector
from detectors.fitting import NormalityFitter
from detectors.normality import Normality
from detectors.score import Score
from detectors.window import Window
from sorawatch import NormalityError
from tests.detectors import scene
from tests.detectors.fakes import FakeEncoder


@pytest.fixture(scope="module")
def normality() -> Normality:
    """Two minutes of walkers."""
    return learn(None)


@pytest.fixture(scope="module")
def seeing() -> Normality:
    """The same learned with an encoder."""
    return learn(FakeEncoder())


def learn(encoder: FakeEncoder | None) -> Normality:
    fitter = NormalityFitter(encoder)
    for window in scene.windows(scene.normal_life(120)):
        fitter.add(window)
    return fitter.finish()


def watch(normality: Normality, frames: Sequence[scene.Luma]) -> list[Score]:
    with Detector() as detector:
        detector.add("gate", normality)
        scores = [detector.step([("gate", window)])[0] for window in scene.windows(list(frames))]
    return [score for score in scores if score is not None]


def life_with(person: scene.Walker, seconds: int = 16, seed: int = 9) -> list[scene.Luma]:
    rng = np.random.default_rng(seed)
    return scene.render(rng, [*scene.walkers(rng, seconds * 5), person], seconds * 5)


def someone(**how: float) -> scene.Walker:
    clothes = scene.texture(np.random.default_rng(77))
    return scene.Walker(texture=clothes, start=40, end=60, **how)  # type: ignore[arg-type]


def test_runner_among_walkers(normality: Normality) -> None:
    """Someone who runs where all walk is found while running, where they run, and said to be fast;
    nothing alerts before, though two minutes cannot show one alert a day."""
    scores = watch(normality, life_with(someone(y_px=66.0, x_px=10.0, speed_px=6.0)))
    values = np.array([score.value for score in scores])
    threshold = normality.calibration.threshold(1.0).value
    assert values[:40].max() < threshold
    assert (values[42:58] >= threshold).sum() >= 8
    top = scores[int(values.argmax())]
    assert max(top.parts, key=lambda part: top.parts[part]) == "speed"
    assert "fast" in top.text
    assert sum(top.parts.values()) == pytest.approx(1.0)
    at = round((int(values.argmax()) - 40) * 6.0 + 10.0 + 6) / scene.W
    assert top.region is not None
    assert top.region.x - 0.1 <= at <= top.region.x + top.region.width + 0.1
    assert top.region.y <= 78 / scene.H <= top.region.y + top.region.height
    assert top.region.width < 0.35


def test_wrong_way(normality: Normality) -> None:
    """Someone who walks as fast as all but against them stands out, by direction and place, and
    reaches the level for one alert an hour."""
    clothes = scene.texture(np.random.default_rng(77))
    stray = scene.Walker(70.0, scene.W + 2.0, -1.5, clothes, start=30)
    scores = watch(normality, life_with(stray))
    values = np.array([score.value for score in scores])
    inside = slice(46, 80)
    assert values[inside].max() > 2 * values[:28].max()
    assert values[inside].max() >= normality.calibration.threshold(24.0).value
    high = [score.parts for score in scores[inside] if score.value > values[:28].max()]
    ways = [part.get("direction", 0.0) + part.get("occupancy", 0.0) for part in high]
    assert len(high) >= 5
    assert np.median(ways) > 0.5


def test_normal_life_keeps_its_rate(normality: Normality) -> None:
    """Two more minutes of the same life reach the level for 1440 alerts a day a few times only."""
    values = [score.value for score in watch(normality, scene.normal_life(120, seed=23))]
    level = normality.calibration.threshold(1440.0).value
    events = np.flatnonzero(np.array(values) >= level)
    assert len(np.split(events, np.flatnonzero(np.diff(events) > 15) + 1)) <= 8
    assert max(values) < normality.calibration.threshold(1.0).value


def test_still_scene_scores_nothing(normality: Normality) -> None:
    """Where nothing moves the score is 0, with no region and no parts."""
    frames = scene.render(np.random.default_rng(0), [], 20)
    scores = watch(normality, frames)
    for score in scores:
        assert score == Score(score.t_s, 0.0, {}, None, score.text, gate=score.gate)
    assert [score.gate for score in scores] == ["warming", *["still"] * (len(scores) - 1)]


def test_pushed_camera_is_no_flood(normality: Normality) -> None:
    """When the whole picture moves nothing is scored, but it can be asked how much changed."""
    frames = scene.normal_life(20, seed=4)
    moved = [np.roll(frame, (11, 17), (0, 1)) for frame in frames]
    level = normality.calibration.threshold(100.0).value
    shares = []
    with Detector() as detector:
        detector.add("gate", normality)
        for i, window in enumerate(scene.windows([*frames[:50], *moved[50:]])):
            (score,) = detector.step([("gate", window)])
            assert score is not None
            shares.append(detector.changed("gate"))
            if i < 55:
                assert score.value < level
    assert shares[50] > 0.65 > max(shares[:50])


def test_scores_depend_on_nothing_else(seeing: Normality) -> None:
    """Bit for bit the same scores alone, in batches with other cameras, and with threads."""
    frames = {
        "a": life_with(someone(y_px=66.0, x_px=10.0, speed_px=6.0), 14, seed=1),
        "b": scene.normal_life(14, seed=2),
        "c": [frame[:101] for frame in scene.normal_life(14, seed=3)],  # another size
    }
    feeds = {name: list(scene.windows(own)) for name, own in frames.items()}

    def alone(name: str) -> list[Score | None]:
        with Detector(FakeEncoder()) as detector:
            detector.add(name, seeing)
            return [detector.step([(name, window)])[0] for window in feeds[name]]

    def together(threads: int, uneven: bool) -> dict[str, list[Score | None]]:
        out: dict[str, list[Score | None]] = {name: [] for name in feeds}
        at = dict.fromkeys(feeds, 0)
        rng = np.random.default_rng(0)
        with Detector(FakeEncoder(), threads=threads) as detector:
            for name in feeds:
                detector.add(name, seeing)
            while any(at[name] < len(feeds[name]) for name in feeds):
                batch: list[tuple[str, Window]] = []
                for name, own in feeds.items():
                    if at[name] < len(own) and (not uneven or rng.random() < 0.6):
                        batch.append((name, own[at[name]]))
                        at[name] += 1
                for (name, _), score in zip(batch, detector.step(batch), strict=True):
                    out[name].append(score)
        return out

    wanted = {name: alone(name) for name in feeds}
    assert max(score.value for score in wanted["a"] if score) > 3
    assert together(1, uneven=False) == wanted
    assert together(3, uneven=True) == wanted


def test_encoder_runs_only_where_something_moves(seeing: Normality) -> None:
    """A still camera never reaches the encoder, a busy one at most every third frame."""
    encoder = FakeEncoder()
    still = scene.render(np.random.default_rng(0), [], 30)
    with Detector(encoder) as detector:
        detector.add("still", seeing)
        for window in scene.windows(still):
            detector.step([("still", window)])
        assert encoder.batches == []
        detector.add("busy", seeing)
        detector.add("other", seeing)
        for window in scene.windows(scene.normal_life(12)):
            detector.step([("busy", window), ("other", window)])
        assert 10 <= len(encoder.batches) <= 20
        assert set(encoder.batches) == {2}  # both in one run


def test_reconnect_forgets(normality: Normality) -> None:
    """After a new generation, or a reset, scores are what they would be from the start."""
    first = scene.normal_life(6, seed=5)
    second = life_with(someone(y_px=66.0, x_px=10.0, speed_px=6.0), 14, seed=6)
    fresh = watch(normality, second)
    with Detector() as detector:
        detector.add("gate", normality)
        for window in scene.windows(first):
            detector.step([("gate", window)])
        again = [detector.step([("gate", w)])[0] for w in scene.windows(second, generation=1)]
        assert again == fresh
        detector.reset("gate")
        again = [detector.step([("gate", w)])[0] for w in scene.windows(second, generation=1)]
        assert again == fresh


def test_learns_from_what_it_sees_anyway() -> None:
    """A camera without normality scores None, and its fitter learns what it would by itself."""
    frames = scene.normal_life(30)
    alone = NormalityFitter()
    for window in scene.windows(frames):
        alone.add(window)
    fitter = NormalityFitter()
    with Detector() as detector:
        detector.add("gate", None, fitter)
        for window in scene.windows(frames):
            assert detector.step([("gate", window)]) == [None]
    assert fitter.footage_s == pytest.approx(30, abs=0.5)
    assert fitter.finish().bank.tokens.tobytes() == alone.finish().bank.tokens.tobytes()


def test_misuse_is_refused(normality: Normality, seeing: Normality) -> None:
    """An unknown camera, one that comes twice, and a normality from another encoder are errors."""
    window = next(scene.windows(scene.normal_life(1)))
    with Detector() as detector:
        with pytest.raises(KeyError):
            detector.step([("gate", window)])
        detector.add("gate", normality)
        with pytest.raises(ValueError, match="twice"):
            detector.step([("gate", window), ("gate", window)])
        detector.remove("gate")
        with pytest.raises(KeyError):
            detector.remove("gate")
        with pytest.raises(NormalityError, match="no encoder is in use"):
            detector.add("gate", seeing)
    with (
        Detector(FakeEncoder("cd" * 32)) as detector,
        pytest.raises(NormalityError, match="encoder cdcdcdcdcdcd is in use"),
    ):
        detector.add("gate", seeing)


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (16, 180), (180, 40), (101, 180), (23, 31)])
def test_any_size_is_taken(normality: Normality, shape: tuple[int, int]) -> None:
    """A camera of any size can be learned and watched; even with another size's normality."""
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 255, shape).astype(np.uint8) for _ in range(60)]
    fitter = NormalityFitter()
    for window in scene.windows(frames):
        fitter.add(window)
    for learned in (fitter.finish(), normality):
        for score in watch(learned, frames[:10]):
            assert np.isfinite(score.value)
            if score.region is not None:
                x, y, width, height = score.region
                assert 0 <= x <= x + width <= 1
                assert 0 <= y <= y + height <= 1
