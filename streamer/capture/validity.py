"""Whether a picture shows the scene: judged by its looks, on the luma that is analysed.

What the decoder itself complains about is better evidence (see `complaints`); this is for what it
does not notice: no light, a picture sent twice, and the marks that lost data leaves behind. Those
are two: where a key frame breaks off, the last row is drawn down to the bottom as streaks, and
where there is nothing to build on, the decoder puts its grey. Either can also be what a camera
looks at (a fence, a wall), so a picture is judged against those before it, and a mark that stays
for ten seconds is taken for the scene.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.capture.frame import Validity

_BLACK_MEAN: Final = 32.0
_BLACK_DEVIATION: Final = 3.0
# What decoders fill in: luma 128, which is 130 in a picture of limited range; rounding included.
_GREY: Final = (127, 131)
_GREY_SHARE: Final = 0.15
# On 2,319 undamaged pictures of 90 scenes the share of streaks was 0.035 at most.
_STREAKS_SHARE: Final = 0.08
_STREAK_ROWS: Final = 8
_STREAK_STEP: Final = 3  # to the neighbouring column, else it is a flat area and no streak
_HABIT: Final = 0.03  # weight of one picture in what the scene usually looks like

_ROWS: Final = np.ones((_STREAK_ROWS, 1), np.uint8)
_CELL: Final = np.ones((3, 3), np.uint8)


class ValidityCheck:
    """Judges the analysed frames of one connection, in order; about 30 us a frame."""

    def __init__(self) -> None:
        """Begin without a picture to compare with."""
        self._last: NDArray[np.uint8] | None = None
        self._usual_grey = 0.0
        self._usual_streaks = 0.0

    def __call__(self, luma: NDArray[np.uint8]) -> Validity:
        """Validity of the next frame, (h, w) uint8; `luma` is not kept.

        FROZEN is a picture equal to the one before it, bit for bit.
        """
        if self._last is not None and np.array_equal(self._last, luma):
            return Validity.BLACK if _is_black(luma) else Validity.FROZEN
        if self._last is None or self._last.shape != luma.shape:
            self._last = luma.copy()
        else:
            np.copyto(self._last, luma)
        if _is_black(luma):
            return Validity.BLACK
        grey, streaks = grey_share(luma), streaks_share(luma)
        smeared = grey > self._usual_grey + _GREY_SHARE
        torn = streaks > self._usual_streaks + _STREAKS_SHARE
        self._usual_grey += _HABIT * (grey - self._usual_grey)
        self._usual_streaks += _HABIT * (streaks - self._usual_streaks)
        if smeared:
            return Validity.SMEARED
        return Validity.TORN if torn else Validity.VALID


def _is_black(luma: NDArray[np.uint8]) -> bool:
    mean, deviation = cv2.meanStdDev(luma)
    return bool(mean[0, 0] < _BLACK_MEAN and deviation[0, 0] < _BLACK_DEVIATION)


def grey_share(luma: NDArray[np.uint8]) -> float:
    """Share of the picture that is of a decoder's grey and flat; 0 where it is small."""
    grey = cv2.inRange(luma, *_GREY)
    if cv2.countNonZero(grey) < _GREY_SHARE * luma.size:
        return 0.0
    texture = cv2.subtract(cv2.dilate(luma, _CELL), cv2.erode(luma, _CELL))
    grey[texture > 1] = 0
    return cv2.countNonZero(grey) / luma.size


def streaks_share(luma: NDArray[np.uint8]) -> float:
    """Share of the picture in which rows repeat the row above, and columns differ."""
    height, width = luma.shape
    if height <= 2 * _STREAK_ROWS or width < 2 * _STREAK_ROWS:
        return 0.0
    repeats = cv2.inRange(cv2.absdiff(luma[1:], luma[:-1]), 0, 1)
    repeats = cv2.erode(repeats, _ROWS)
    steps = cv2.absdiff(luma[1:, 1:], luma[1:, :-1])
    streaks = cv2.min(repeats[:, 1:], steps)
    return cv2.countNonZero(cv2.inRange(streaks, _STREAK_STEP, 255)) / luma.size
