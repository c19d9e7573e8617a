"""A tiny made-up place, seen from the side: people walk along two lanes, for tests of detection."""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.window import Window

H, W = 120, 180
FPS = 5
Luma = NDArray[np.uint8]


@dataclass(frozen=True)
class Walker:
    """Someone 12x24 px who enters at `x_px` and moves `speed_px` a frame, from `start` to `end`."""

    y_px: float
    x_px: float
    speed_px: float
    texture: NDArray[np.float32]
    rise_px: float = 0.0
    start: int = 0
    end: int = 10**9


def texture(rng: np.random.Generator, h: int = 24, w: int = 12) -> NDArray[np.float32]:
    """Clothes: darker than the ground, with blotches that flow can hold on to."""
    blotches = rng.uniform(0, 140, (h // 4, w // 4)).astype(np.float32)
    return np.asarray(cv2.resize(blotches, (w, h), interpolation=cv2.INTER_CUBIC))


def ground(rng: np.random.Generator) -> NDArray[np.float32]:
    """What stands still."""
    coarse = rng.uniform(90, 160, (H // 6, W // 6)).astype(np.float32)
    return np.asarray(cv2.resize(coarse, (W, H), interpolation=cv2.INTER_CUBIC))


def walkers(rng: np.random.Generator, frames: int) -> list[Walker]:
    """Normal life: somebody enters every few frames, and walks 1 to 1.6 px a frame."""
    people, at = [], -60
    while at < frames:
        speed = float(rng.uniform(1.0, 1.6))
        left = bool(rng.random() < 0.5)
        lane = 30.0 if left else 70.0
        x, v = (W + 2.0, -speed) if left else (-14.0, speed)
        people.append(Walker(lane + float(rng.uniform(-6, 6)), x, v, texture(rng), start=at))
        at += int(rng.integers(10, 30))
    return people


def render(
    rng: np.random.Generator, people: list[Walker], frames: int, noise: float = 1.0, seed: int = 0
) -> list[Luma]:
    """The frames as a camera with noise sees them; the ground depends on `seed` alone."""
    still = ground(np.random.default_rng(seed))
    out = []
    for i in range(frames):
        picture = still.copy()
        for person in people:
            if person.start <= i < person.end:
                age = i - person.start
                _paste(
                    picture,
                    person.texture,
                    person.x_px + person.speed_px * age,
                    person.y_px + person.rise_px * age,
                )
        picture += rng.normal(0, noise, picture.shape).astype(np.float32)
        out.append(np.clip(picture, 0, 255).astype(np.uint8))
    return out


def _paste(picture: NDArray[np.float32], patch: NDArray[np.float32], x: float, y: float) -> None:
    """Lay a patch with its top left at (x, y), between pixels too."""
    h, w = patch.shape
    matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
    laid = cv2.warpAffine(patch, matrix, (W, H), flags=cv2.INTER_LINEAR)
    cover = cv2.warpAffine(np.ones((h, w), np.float32), matrix, (W, H), flags=cv2.INTER_LINEAR)
    picture += laid - cover * picture


def windows(frames: list[Luma], generation: int = 0, start: int = 0) -> Iterator[Window]:
    """One window for each frame, at 5 frames/s."""
    for i in range(start, len(frames)):
        first = max(0, i - 7)
        times = tuple(k / FPS for k in range(first, i + 1))
        yield Window(tuple(frames[first : i + 1]), times, i, generation)


def normal_life(seconds: int, seed: int = 1) -> list[Luma]:
    """So many seconds of nothing but walkers."""
    rng = np.random.default_rng(seed)
    return render(rng, walkers(rng, seconds * FPS), seconds * FPS)
