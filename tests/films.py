"""Short films of a rendered place: ordinary ones, unusual ones, and cameras that go wrong."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

av: Any = pytest.importorskip("av")

from streamer.demo.brush import Picture  # noqa: E402 - as the next
from streamer.demo.render import Truth, encode_h264, render_scene  # noqa: E402 - wants av
from streamer.demo.scene import EventPlan  # noqa: E402

FPS = 10.0
SIZE = (320, 180)
LAYOUT, SEED = "plaza", 1
GOOD_S = 13.0
"""How long a camera shows its scene before it goes wrong: it has to be known first."""
WRONG_S = 9.0


def write_ordinary(path: Path, seconds: float, crowd: float = 7.0) -> Path:
    """People walking about."""
    scene = render_scene(SEED, LAYOUT, seconds, fps=FPS, size=SIZE, crowd=crowd)
    encode_h264(scene, path, FPS)
    return path


def write_runner(path: Path, seconds: float = 14.0, at_s: float = 5.0) -> Truth:
    """Somebody runs; when, says the truth."""
    event = EventPlan("runner", at_s)
    scene = render_scene(
        SEED, LAYOUT, seconds, fps=FPS, size=SIZE, crowd=2.0, events=[event], take=1
    )
    encode_h264(scene, path, FPS)
    return scene.truth


def write_gone_wrong(folder: Path) -> dict[str, Path]:
    """Films of the same place, each of which goes wrong in its own way after `GOOD_S`."""
    scene = render_scene(SEED, LAYOUT, GOOD_S + WRONG_S, fps=FPS, size=SIZE, crowd=3.0)
    pictures = list(scene)
    good, wrong = pictures[: round(GOOD_S * FPS)], pictures[round(GOOD_S * FPS) :]
    rng = np.random.default_rng(3)
    films: dict[str, Iterable[Picture]] = {
        "frozen": [good[-1]] * len(wrong),
        "dark": [np.zeros_like(good[0])] * len(wrong),
        "covered": [_noise(rng, good[0].shape) for _ in wrong],
        "turned": [np.roll(picture, (SIZE[1] // 4, SIZE[0] // 3), (0, 1)) for picture in wrong],
    }
    paths = {}
    for name, after in films.items():
        paths[name] = folder / f"{name}.mp4"
        encode_h264([*good, *after], paths[name], FPS, key_every_s=60)
    return paths


def write_still(path: Path, seconds: float = 30.0) -> Path:
    """Nobody there."""
    scene = render_scene(SEED, LAYOUT, seconds, fps=FPS, size=SIZE, crowd="still")
    encode_h264(scene, path, FPS)
    return path


def write_pictures(folder: Path, count: int, size: tuple[int, int], **how: Any) -> Path:
    """A folder of PNGs in which a box walks; `depth`: 8 or 16 bits, `grey`: one channel."""
    folder.mkdir(parents=True)
    width, height = size
    rng = np.random.default_rng(width)
    shape = (height, width) if how.get("grey") else (height, width, 3)
    still = rng.integers(60, 160, shape).astype(np.uint8)
    side = max(1, min(size) // 4)
    for number in range(count):
        picture = still.copy()
        left = number * max(1, width // 40) % max(1, width - side + 1)
        picture[height // 3 : height // 3 + side, left : left + side] = 230
        deep = picture.astype(np.uint16) * 257 if how.get("depth") == 16 else picture
        assert cv2.imwrite(str(folder / f"{number:04}.png"), deep)
    return folder


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Picture:
    return np.clip(rng.normal(70, 2, shape), 0, 255).astype(np.uint8)
