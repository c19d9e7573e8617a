"""What reducing a frame costs, for usual sizes, beside the one-step ways that were not chosen.

python -m benchmarks.reduce
"""

import cv2
import numpy as np

from benchmarks.report import report, time_us
from streamer.capture.reduce import (
    analysis_shape,
    luma_for_analysis,
    picture_shape,
    reduce_picture,
)

SIZES = ((360, 640), (480, 640), (576, 704), (720, 1280), (1080, 1920), (1520, 2688), (2160, 3840))


def benchmark(height: int, width: int) -> None:
    # Smooth enough to be like a picture; the cost does not depend on what is in it.
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    frame = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    picture = np.empty((*picture_shape(height, width), 3), np.uint8)
    luma = np.empty(analysis_shape(height, width), np.uint8)

    def resized(image: np.ndarray, like: np.ndarray) -> np.ndarray:
        return cv2.resize(image, like.shape[1::-1], interpolation=cv2.INTER_AREA)

    def grey(image: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)

    ways = {
        "picture": lambda: reduce_picture(frame, picture),
        "luma of that": lambda: luma_for_analysis(picture, luma),
        "picture, INTER_AREA": lambda: resized(frame, picture),
        "luma of that, INTER_AREA": lambda: resized(grey(picture), luma),
    }
    for name, way in ways.items():
        report(name, source=f"{width}x{height}", **time_us(way, samples=40, calls=3, warm_up=3))


if __name__ == "__main__":
    cv2.setNumThreads(1)
    for size in SIZES:
        benchmark(*size)
