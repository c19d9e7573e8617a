"""Rendered footage for benchmarks: made once, kept in the user's cache folder."""

import os
from pathlib import Path

from streamer.demo.render import encode_h264, render_scene

SIZES = {"360p": (640, 360), "720p": (1280, 720), "1080p": (1920, 1080)}
FPS = 15.0


def cache() -> Path:
    """Where footage is kept between runs."""
    root = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser()
    return root / "sorawatch" / "benchmarks"


def footage(crowd: str, size: str = "360p", seconds: float = 60.0, take: int = 0) -> Path:
    """A video of a rendered plaza: `crowd` still, quiet, normal or busy; `take` who comes by."""
    path = cache() / f"plaza-{crowd}-{size}-{seconds:.0f}s-{take}.mp4"
    if not path.exists():
        pictures = render_scene(
            7, "plaza", seconds, fps=FPS, size=SIZES[size], crowd=crowd, take=take
        )
        encode_h264(pictures, path, FPS)
    return path
