"""Detection on real footage, as far as a test may take: Ped2's walkway at 5 frames/s."""

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.detector import Detector
from detectors.fitting import NormalityFitter
from detectors.normality import Normality
from detectors.window import Window
from tests.footage import footage

pytestmark = pytest.mark.footage

Luma = NDArray[np.uint8]


def frames_of(entry: Path, every: int = 2) -> list[Luma]:
    """Every other frame of 10 a second, at analysis size."""
    paths = sorted(path for path in entry.iterdir() if path.is_file())[::every]
    whole = [np.asarray(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), np.uint8) for path in paths]
    return [np.asarray(cv2.resize(f, (180, 120), interpolation=cv2.INTER_AREA)) for f in whole]


def windows(frames: list[Luma], generation: int = 0) -> Iterator[Window]:
    for i in range(len(frames)):
        first = max(0, i - 7)
        times = tuple(k / 5 for k in range(first, i + 1))
        yield Window(tuple(frames[first : i + 1]), times, i, generation)


def values(normality: Normality, frames: list[Luma]) -> NDArray[np.float64]:
    out = []
    with Detector() as detector:
        detector.add("walkway", normality)
        for window in windows(frames):
            (score,) = detector.step([("walkway", window)])
            assert score is not None
            out.append(score.value)
    return np.array(out)


@pytest.fixture(scope="module")
def ped2() -> Path:
    return footage("ped2")


@pytest.fixture(scope="module")
def normality(ped2: Path) -> Normality:
    """Learned from two of the four minutes."""
    fitter = NormalityFitter()
    for generation, entry in enumerate(sorted((ped2 / "train").iterdir())[::2]):
        for window in windows(frames_of(entry), generation):
            fitter.add(window)
    return fitter.finish()


@pytest.mark.parametrize("entry", ["01", "04", "06"])
def test_what_does_not_walk_is_found(ped2: Path, normality: Normality, entry: str) -> None:
    """A cyclist, a skater or a cart reaches the level for ten alerts a day for most of its visit,
    and nobody reaches it before."""
    (start, end), *_ = json.loads((ped2 / "labels.json").read_text())[entry]["anomalous"]
    scores = values(normality, frames_of(ped2 / "test" / entry))
    level = normality.calibration.threshold(10.0).value
    assert not (scores[: start // 2] >= level).any()
    assert (scores[start // 2 + 3 : end // 2] >= level).mean() > 0.5


@pytest.mark.parametrize("what", ["as it is", "brighter", "darker", "flicker", "noise"])
def test_light_and_noise_raise_nothing(ped2: Path, normality: Normality, what: str) -> None:
    """Left-out normal footage stays below the level for a hundred alerts a day, whatever the light
    and the sensor do."""
    rng = np.random.default_rng(0)
    frames = frames_of(sorted((ped2 / "train").iterdir())[1])
    changed = []
    for i, frame in enumerate(frames):
        picture = frame.astype(np.float64)
        if what == "brighter" and i >= 20:
            picture += 30
        if what == "darker" and i >= 20:
            picture *= 0.7
        if what == "flicker":
            picture *= 1 + 0.08 * np.sin(i * 1.6)
        if what == "noise":
            picture += rng.normal(0, 4, picture.shape)
        changed.append(np.clip(picture, 0, 255).astype(np.uint8))
    assert values(normality, changed).max() < normality.calibration.threshold(100.0).value
