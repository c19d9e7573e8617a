"""Rendered footage for benchmarks: made once, kept in the user's cache folder."""

import os
from collections.abc import Sequence
from pathlib import Path

from streamer.demo.render import encode_h264, render_scene
from streamer.demo.scene import EventPlan

SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
FPS = 15.0


def cache() -> Path:
    """Where footage is kept between runs."""
    root = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return root / "sorawatch" / "benchmarks"


def footage(
    crowd: str, size: str = "360p", seconds: float = 60.0, take: int = 0, cars: Sequence[float] = ()
) -> Path:
    """A video of a rendered plaza: `crowd` still, quiet, normal or busy; `take` who comes by.

    `cars`: seconds at which a car drives across it.
    """
    planted = "".join(f"-car{at_s:g}" for at_s in cars)
    path = cache() / f"plaza-{crowd}-{size}-{seconds:.0f}s-{take}{planted}.mp4"
    if not path.exists():
        events = [EventPlan("vehicle", at_s) for at_s in cars]
        pictures = render_scene(
            7, "plaza", seconds, fps=FPS, size=SIZES[size], crowd=crowd, take=take, events=events
        )
        encode_h264(pictures, path, FPS)
    return path
