"""What the encoder is given: luma and motion of the last frames as one array.

Channels of X (T, C, H, W) float32, at analysis size, oldest frame first:
0 luma / 255; 1, 2 flow x and y in units of 8 px per 0.2 s, clipped to [-2, 2]; 3 absolute
difference / 64. Where nothing moves, 1 to 3 are zero.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.encoder.contract import STRIDE_PX
from detectors.motion import STILL, Motion

FLOW_UNIT_PX = 8.0
FLOW_LIMIT = 2.0
DIFFERENCE_UNIT = 64.0


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


@dataclass(slots=True)
class _Frame:
    """One frame of a run: what it showed, or, once the encoder has seen it, its features."""

    luma: NDArray[np.uint8]
    motion: Motion
    features: NDArray[np.float32] | None = None


class MotionRun:
    """The last T frames of one camera with their motion, ready for the encoder.

    Before the first frame stands that frame, T - 1 times and without motion, so that a window is
    always whole. Keeps a copy of each luma plane (a window's views are valid during the call only)
    and refers to the motion arrays, so that frames in which nothing moves cost next to nothing.
    Not for use by two threads at once.

    Either take the whole `window` each time; or take `fresh` and `past`, and give the features that
    come out to `remember`, so that every frame goes through the encoder's stem only once.
    """

    def __init__(self, frames: int = 8) -> None:
        """Hold `frames` frames, T."""
        self._frames: deque[_Frame] = deque(maxlen=frames)

    def reset(self) -> None:
        """Forget all frames, as on a new generation."""
        self._frames.clear()

    def add(self, luma: NDArray[np.uint8], motion: Motion) -> None:
        """Add the newest frame; one of another size forgets those before it."""
        if self._frames and self._frames[-1].luma.shape != luma.shape:
            self._frames.clear()
        luma = luma.copy()
        while len(self._frames) < (self._frames.maxlen or 1) - 1:
            self._frames.append(_Frame(luma, STILL))
        self._frames.append(_Frame(luma, motion))

    def window(self) -> NDArray[np.float32]:
        """X (T, 4, h, w) of all frames held; ValueError when there is none."""
        return _stack(list(self._frames))

    def fresh(self) -> NDArray[np.float32]:
        """X (N, 4, h, w) of the newest frames, whose features are not known; N >= 1."""
        return _stack([f for f in self._frames if f.features is None])

    def past(self, feature_dim: int) -> NDArray[np.float32]:
        """Features (M, F, h/16, w/16) of the frames before the fresh ones; M may be 0."""
        known = [f.features for f in self._frames if f.features is not None]
        if known:
            return np.stack(known)
        h, w = self._frames[-1].luma.shape
        return np.empty((0, feature_dim, -(-h // STRIDE_PX), -(-w // STRIDE_PX)), np.float32)

    def remember(self, features: NDArray[np.float32]) -> None:
        """Keep the features (N, F, h/16, w/16) of the fresh frames."""
        fresh = [f for f in self._frames if f.features is None]
        for frame, own in zip(fresh, features, strict=True):
            frame.features = own.copy()
            frame.motion = STILL  # lets go of arrays that nobody will ask for


def _stack(frames: list[_Frame]) -> NDArray[np.float32]:
    if not frames:
        raise ValueError("a window needs at least one frame")
    x = np.empty((len(frames), 4, *frames[-1].luma.shape), np.float32)
    for out, frame in zip(x, frames, strict=True):
        write_frame(out, frame.luma, frame.motion)
    return x
