"""Privacy masks: parts of the picture that are black before anybody can see them."""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Polygon = tuple[tuple[float, float], ...]
"""Corners (x, y) in order, as shares of the picture, 3 or more."""

_SHIFT: Final = 8  # bits of a pixel's fraction that OpenCV takes
# Reducing lets a source pixel reach a pixel and a half of the reduced picture.
_REACH: Final = np.ones((5, 5), np.uint8)


class Masks:
    """Blacks out polygons. For one thread; about 30 us a picture of 640x360.

    Every pixel that a polygon touches is covered, and two more around it, so that nothing of what
    lies in it shows in the average of neighbours.
    """

    def __init__(self, polygons: Sequence[Polygon]) -> None:
        """`polygons` may be empty: then nothing is covered."""
        self._polygons = tuple(polygons)
        self._covered: NDArray[np.bool_] | None = None

    def __bool__(self) -> bool:
        """Whether anything is to be covered."""
        return bool(self._polygons)

    def apply(self, picture: NDArray[np.uint8]) -> None:
        """Make the covered parts of a picture (h, w, 3) black, in place."""
        if not self._polygons:
            return
        if self._covered is None or self._covered.shape != picture.shape[:2]:
            self._covered = covered(self._polygons, picture.shape[:2])
        picture[self._covered] = 0


def covered(polygons: Sequence[Polygon], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which pixels of a picture of `shape` (h, w) the polygons cover."""
    height, width = shape[:2]
    out = np.zeros((height, width), np.uint8)
    scale = np.array((width, height)) * (1 << _SHIFT)
    for polygon in polygons:
        # Pixel 0 reaches from 0 to 1 here, and from -0.5 to 0.5 in OpenCV.
        corners = np.round(np.array(polygon) * scale - (1 << _SHIFT) / 2).astype(np.int32)
        cv2.fillPoly(out, [corners], 255, cv2.LINE_8, _SHIFT)
    return np.asarray(cv2.dilate(out, _REACH), np.bool_)
