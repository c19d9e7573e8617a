"""Video whose every picture says which one it is, so that a test sees what was lost."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

BITS = 10
_BAND = 6  # the number takes the upper sixth of the picture


def write_numbered(
    path: Path, frames: int = 300, fps: int = 15, size: tuple[int, int] = (320, 240)
) -> Path:
    """Write an H.264 file with a key frame a second; `size` is width and height in px."""
    width, height = size
    scene = np.random.default_rng(3).integers(60, 180, (height // 8, width // 8, 3), np.uint8)
    scene = scene.repeat(8, 0).repeat(8, 1)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=Fraction(fps))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "g": str(fps)}
        for number in range(frames):
            picture = np.zeros((height, width, 3), np.uint8)
            picture[: scene.shape[0], : scene.shape[1]] = scene
            left = number * 4 % (width - 32)
            picture[height // 2 : height // 2 + 32, left : left + 32] = (230, 60, 40)
            for bit in range(BITS):
                block = slice(bit * width // BITS, (bit + 1) * width // BITS)
                picture[: height // _BAND, block] = 255 if number >> bit & 1 else 0
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())
    return path


def read_number(picture: NDArray[np.uint8]) -> int:
    """Which picture this is, from it or a reduction of it; wrong if the picture is damaged."""
    height, width = picture.shape[:2]
    row = picture[height // _BAND // 2]
    return sum(
        int(row[(2 * bit + 1) * width // (2 * BITS)].mean() > 127) << bit for bit in range(BITS)
    )
