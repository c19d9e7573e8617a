"""What the encoder is given: luma and motion of the last frames as one array.

Channels of X (T, C, H, W) float32, H and W those of the luma that motion is measured on, oldest
frame first:

0 to 3  luma / 255 at twice that size, its pixels (2y + i, 2x + j) in channel 2i + j: how a thing
        moves shows in few pixels, what it is does not;
4, 5    flow x and y in units of 8 px per 0.2 s, clipped to [-2, 2];
6       absolute difference / 64.

Where nothing moves, 4 to 6 are zero; of a frame in which nothing moves at all the luma is that of
the analysis, enlarged, so that still footage costs nothing.
"""

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.encoder.contract import CHANNELS, DIFFERENCE, FLOW, LUMA, STRIDE_PX
from detectors.motion import STILL, Motion

FLOW_UNIT_PX = 8.0
FLOW_LIMIT = 2.0
DIFFERENCE_UNIT = 64.0


def detail_of(picture: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Luma (2h, 2w) uint8 of a picture, (ph, pw, 3) BGR or (ph, pw); `shape`: (h, w)."""
    if picture.ndim == 3:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), np.uint8)
    size = (2 * shape[1], 2 * shape[0])
    if picture.shape == size[::-1]:
        return picture.copy()
    shrinks = picture.shape[0] >= size[1] and picture.shape[1] >= size[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, size, interpolation=how), np.uint8)


def pack(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., 2h, 2w) to (..., 4, h, w): each 2x2 pixels side by side, a view."""
    *rest, height, width = luma.shape
    parts = luma.reshape(*rest, height // 2, 2, width // 2, 2)
    n = len(rest)
    parts = parts.transpose(*range(n), n + 1, n + 3, n, n + 2)
    return parts.reshape(*rest, 4, height // 2, width // 2)


def unpack(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    """What `pack` undid: (..., 4, h, w) to (..., 2h, 2w)."""
    *rest, _, h, w = planes.shape
    n = len(rest)
    parts = planes.reshape(*rest, 2, 2, h, w).transpose(*range(n), n + 2, n, n + 3, n + 1)
    return parts.reshape(*rest, 2 * h, 2 * w)


def write_frame(out: NDArray[np.float32], detail: NDArray[np.uint8], motion: Motion) -> None:
    """Fill one frame of X, `out` (7, h, w), from its luma (2h, 2w) and its motion."""
    for channel in range(4):
        phase = detail[channel // 2 :: 2, channel % 2 :: 2]
        np.multiply(phase, np.float32(1 / 255), out=out[channel])
    if motion.flow is None or motion.moving is None or motion.difference is None:
        out[LUMA.stop :] = 0.0
        return
    flow = out[FLOW]
    np.multiply(motion.flow[:, :, 0], np.float32(1 / FLOW_UNIT_PX), out=flow[0])
    np.multiply(motion.flow[:, :, 1], np.float32(1 / FLOW_UNIT_PX), out=flow[1])
    np.clip(flow, -FLOW_LIMIT, FLOW_LIMIT, out=flow)
    # Beyond noise only: the grain of the camera is none of the encoder's business.
    np.multiply(motion.difference, np.float32(1 / DIFFERENCE_UNIT), out=out[DIFFERENCE])
    out[DIFFERENCE] *= motion.moving


@dataclass(slots=True)
class _Frame:
    """One frame of a run: what it showed, or, once the encoder has seen it, its features.

    `luma`: (2h, 2w), or (h, w) of a frame in which nothing moved.
    """

    luma: NDArray[np.uint8]
    shape: tuple[int, ...]
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

    def add(
        self, luma: NDArray[np.uint8], motion: Motion, picture: NDArray[np.uint8] | None = None
    ) -> None:
        """Add the newest frame; one of another size forgets those before it.

        `luma`: (h, w). `picture`: the same in more detail, see `detail_of`.
        """
        if self._frames and self._frames[-1].shape != luma.shape:
            self._frames.clear()
        still = motion.still or picture is None
        shown = luma.copy() if still or picture is None else detail_of(picture, luma.shape)
        while len(self._frames) < (self._frames.maxlen or 1) - 1:
            self._frames.append(_Frame(shown, luma.shape, STILL))
        self._frames.append(_Frame(shown, luma.shape, motion))

    def window(self) -> NDArray[np.float32]:
        """X (T, 7, h, w) of all frames held; ValueError when there is none."""
        return _stack(list(self._frames))

    def fresh(self) -> NDArray[np.float32]:
        """X (N, 7, h, w) of the newest frames, whose features are not known; N >= 1."""
        return _stack([f for f in self._frames if f.features is None])

    def past(self, feature_dim: int) -> NDArray[np.float32]:
        """Features (M, F, h/16, w/16) of the frames before the fresh ones; M may be 0."""
        known = [f.features for f in self._frames if f.features is not None]
        if known:
            return np.stack(known)
        h, w = self._frames[-1].shape
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
    x = np.empty((len(frames), len(CHANNELS), *frames[-1].shape), np.float32)
    for out, frame in zip(x, frames, strict=True):
        luma = frame.luma
        if luma.shape == frame.shape:
            luma = detail_of(luma, frame.shape)
        write_frame(out, luma, frame.motion)
    return x
