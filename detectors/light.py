"""What the light does to a whole picture, so that it is not taken for something in it.

Sun behind clouds, a lamp, an exposure that adapts: all of the picture becomes lighter or darker at
once, y = gain * x + offset in luma. Both are judged by medians, so that what moves or stands in the
picture has no say as long as it covers less than half.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CONTRAST = 8.0
"""Levels of luma between a picture's dark and bright halves that show a gain."""

GAINS = (0.25, 4.0)
"""Least and largest gain that is believed."""


class Light(NamedTuple):
    """One picture's luma from another's: `gain` * luma + `offset`, levels."""

    gain: float
    offset: float

    def of(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        """The other picture in this light, of any shape; not clipped."""
        return luma * np.float32(self.gain) + np.float32(self.offset)

    def undone(self, luma: NDArray[np.float32]) -> NDArray[np.float32]:
        """A picture in this light as it would be in the first one's."""
        return (luma - np.float32(self.offset)) / np.float32(self.gain)


def light_between(before: NDArray[np.float32], now: NDArray[np.float32]) -> Light:
    """The light that makes `now` of `before`, both of one shape, levels of luma in [0, 255].

    The gain from how far apart the medians of the darker and the brighter half lie (halves of
    `before`), 1 where that picture has too little contrast to tell.
    """
    middle = median(before)
    bright = before > middle
    offset = float(median(now) - middle)
    if not bright.any() or bright.all():
        return Light(1.0, offset)
    dark = ~bright
    dark_before, bright_before = float(median(before[dark])), float(median(before[bright]))
    if bright_before - dark_before < CONTRAST:
        return Light(1.0, offset)
    dark_now, bright_now = float(median(now[dark])), float(median(now[bright]))
    gain = (bright_now - dark_now) / (bright_before - dark_before)
    gain = min(max(gain, GAINS[0]), GAINS[1])
    return Light(gain, dark_now - gain * dark_before)


def median(values: NDArray[np.float32]) -> np.float32:
    """`np.median` to the bit, of n >= 1 finite numbers, in a third of the time."""
    flat = values.ravel()
    half = len(flat) // 2
    if len(flat) % 2:
        return np.float32(np.partition(flat, half)[half])
    parted = np.partition(flat, (half - 1, half))
    return np.float32((parted[half - 1] + parted[half]) / np.float32(2.0))
