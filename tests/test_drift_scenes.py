"""A rendered camera whose light, direction or crowd changes: what is said, and how many alerts."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from alerts.judge import Observation as Seen
from detectors.detector import Scorer
from detectors.fitting import NormalityFitter
from detectors.normality import Normality
from detectors.observer import Observer
from detectors.window import Window
from streamer.demo.render import render_scene
from streamer.judging import CalibratedJudge

Luma = NDArray[np.uint8]
FPS, SIZE = 5, (180, 100)
TRAIN_S, CALM_S, CHANGED_S = 180, 40, 80
BUDGET = 24.0
MOST = 3
"""Alerts in two minutes; 24 a day is one in an hour."""


def film(seconds: int, take: int, crowd: str | float = "normal") -> list[Luma]:
    pictures = render_scene(7, "plaza", seconds, fps=FPS, size=SIZE, take=take, crowd=crowd)
    return [np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8) for picture in pictures]


def windows(frames: list[Luma]):
    for i in range(len(frames)):
        first = max(0, i - 7)
        times = tuple(k / FPS for k in range(first, i + 1))
        yield Window(tuple(frames[first : i + 1]), times, i, 0)


@pytest.fixture(scope="module")
def normality() -> Normality:
    fitter = NormalityFitter()
    for window in windows(film(TRAIN_S, 1)):
        fitter.add(window)
    return fitter.finish()


@pytest.fixture(scope="module")
def ordinary() -> list[Luma]:
    return film(CALM_S + CHANGED_S, 2)


def watched(normality: Normality, frames: list[Luma]) -> tuple[list[str], int]:
    """Kinds of drift that began, and how many alerts were raised."""
    observer, scorer = Observer(), Scorer(normality)
    judge = CalibratedJudge("plaza", normality.calibration, BUDGET)
    said, alerts, before = [], 0, None
    for window in windows(frames):
        score = scorer.step(observer.step(window))
        seen = Seen(score.t_s, score.value, None, {}, "", None)
        drafts = judge.step(seen, strange=scorer.strange)
        alerts += sum(draft.type == "new" for draft in drafts)
        if judge.drift != before and judge.drift is not None:
            said.append(judge.drift.kind)
        before = judge.drift
    return said, alerts


def infrared(frames: list[Luma]) -> list[Luma]:
    """Less contrast, lifted blacks, noise."""
    rng = np.random.default_rng(0)
    return [
        np.clip(0.5 * f + 60 + rng.normal(0, 6, f.shape), 0, 255).astype(np.uint8) for f in frames
    ]


def moved(share: float) -> Callable[[list[Luma]], list[Luma]]:
    """The camera was turned by this share of the picture's width."""

    def turn(frames: list[Luma]) -> list[Luma]:
        by = share * SIZE[0]
        matrix = np.array([[1, 0, by], [0, 1, by / 2]], np.float32)
        return [
            np.asarray(cv2.warpAffine(f, matrix, SIZE, borderMode=cv2.BORDER_REPLICATE), np.uint8)
            for f in frames
        ]

    return turn


def clouds(frames: list[Luma]) -> list[Luma]:
    """The light rises and falls by 15 %, besides what the renderer's own clouds do."""
    return [
        np.clip(f * (1 + 0.15 * np.sin(i / FPS / 8)), 0, 255).astype(np.uint8)
        for i, f in enumerate(frames)
    ]


def lamp(frames: list[Luma]) -> list[Luma]:
    """A lamp lights a third of the picture for eight seconds."""
    x = np.arange(SIZE[0])
    glow = 60 * np.exp(-(((x - 60) / 60.0) ** 2))[None, :]
    on = range(20 * FPS, 28 * FPS)
    return [
        np.clip(f + glow, 0, 255).astype(np.uint8) if i in on else f for i, f in enumerate(frames)
    ]


@pytest.mark.parametrize("change", [infrared, moved(0.04), moved(0.1)])
def test_another_scene_is_said_once_and_does_not_flood(
    normality: Normality, ordinary: list[Luma], change: Callable[[list[Luma]], list[Luma]]
) -> None:
    """Night comes, or somebody turns the camera: one message, next to no alerts."""
    cut = CALM_S * FPS
    said, alerts = watched(normality, ordinary[:cut] + change(ordinary[cut:]))
    assert said == ["scene_changed"]
    assert alerts <= MOST


@pytest.mark.parametrize("change", [list, clouds, lamp])
def test_what_passes_is_not_drift(
    normality: Normality, ordinary: list[Luma], change: Callable[[list[Luma]], list[Luma]]
) -> None:
    """Ordinary footage, clouds, a lamp for a moment: nothing is said."""
    said, alerts = watched(normality, change(ordinary))
    assert said == []
    assert alerts <= MOST


def test_a_busier_day_does_not_flood(normality: Normality) -> None:
    """Three times as many people as were learned from: said at most once, few alerts."""
    said, alerts = watched(normality, film(CALM_S + CHANGED_S, 3, crowd=40.0))
    assert said in ([], ["drifted"])
    assert alerts <= MOST
