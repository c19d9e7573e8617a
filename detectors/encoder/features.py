"""What the encoder is given: luma and motion of the last frames as one array.

Channels of X (T, C, H, W) float32, at analysis size, oldest frame first:
0 luma / 255; 1, 2 flow x and y in units of 8 px per 0.2 s, clipped to [-2, 2]; 3 absolute
difference / 64. Where nothing moves, 1 to 3 are zero.
"""

from collections import deque

import numpy as np
from numpy.typing import NDArray

from detectors.motion import Motion

FLOW_UNIT_PX = 8.0
FLOW_LIMIT = 2.0
DIFFERENCE_UNIT = 64.0

Frame = tuple[NDArray[np.uint8], Motion]


def write_frame(out: NDArray[np.float32], luma: NDArray[np.uint8], motion: Motion) -> None:
    """Fill one frame of X, `out` (4, h, w), from its luma (h, w) and its motion."""
    np.multiply(luma, np.float32(1 / 255), out=out[0])
    if motion.flow is None or motion.moving is None or motion.difference is None:
        out[1:] = 0.0
        return
    np.multiply(motion.flow[:, :, 0], np.float32(1 / FLOW_UNIT_PX), out=out[1])
    np.multiply(motion.flow[:, :, 1], np.float32(1 / FLOW_UNIT_PX), out=out[2])
    np.clip(out[1:3], -FLOW_LIMIT, FLOW_LIMIT, out=out[1:3])
    # Beyond noise only: the grain of the camera is none of the encoder's business.
    np.multiply(motion.difference, np.float32(1 / DIFFERENCE_UNIT), out=out[3])
    out[3] *= motion.moving


class MotionRun:
    """The last T frames of one camera with their motion, ready to become X.

    Keeps a copy of each luma plane (a window's views are valid during the call only) and refers to
    the motion arrays, so that frames in which nothing moves cost next to nothing.
    Not for use by two threads at once.
    """

    def __init__(self, frames: int = 8) -> None:
        """Hold at most `frames` frames."""
        self._frames: deque[Frame] = deque(maxlen=frames)

    def __len__(self) -> int:
        """Frames held, 0 to T."""
        return len(self._frames)

    def reset(self) -> None:
        """Forget all frames, as on a new generation."""
        self._frames.clear()

    def add(self, luma: NDArray[np.uint8], motion: Motion) -> None:
        """Add the newest frame; one of another size forgets those before it."""
        if self._frames and self._frames[-1][0].shape != luma.shape:
            self._frames.clear()
        self._frames.append((luma.copy(), motion))

    def window(self) -> NDArray[np.float32]:
        """X (T, 4, h, w) of the frames held; while there are fewer than T, the oldest stands
        still before it began. ValueError when there is none."""
        if not self._frames:
            raise ValueError("a window needs at least one frame")
        t = self._frames.maxlen or 1
        h, w = self._frames[-1][0].shape
        x = np.empty((t, 4, h, w), np.float32)
        missing = t - len(self._frames)
        for i, (luma, motion) in enumerate(self._frames, missing):
            write_frame(x[i], luma, motion)
        x[:missing, 0] = x[missing, 0]
        x[:missing, 1:] = 0.0
        return x
