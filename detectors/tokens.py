"""Tokens: what moves, cell by cell, in a few numbers each; all that normality is made of.

The picture is cut into cells of 4x4 px. A token stands on every second cell of every second row,
looks at the 16 px around it, and exists only where enough of them move. Motion is averaged along
the flow, so that a thing that keeps moving stands out from flow that errs for one frame.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.motion import CELL_PX, GAP_S, Motion

FEATURES = 9
RIGHT, LEFT, DOWN, UP, MOVING, SPEED, ENERGY, CHANGE, TRACKED = range(FEATURES)
"""Means over 16 px: flow to the four sides (px per 0.2 s), share that moves, |u| + |v|, u^2 + v^2,
difference of luma; and last |u| + |v| over 12 px averaged along the flow, the largest of the 3x3
cells around."""

PATTERN_CELLS = 4
TRACKED_CELLS = 3
STRIDE_CELLS = 2
MIN_MOVING = 0.2
MEMORY_S = 0.2
"""Time constant of the averages along the flow and of the score, seconds."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The n moving tokens of one frame.

    `rows`, `cols`: (n,) int16, the cell that a token stands on, within `grid` = (rows, columns).
    `features`: (n, 9) float32, see `FEATURES`; finite, >= 0.
    """

    rows: NDArray[np.int16]
    cols: NDArray[np.int16]
    features: NDArray[np.float32]
    grid: tuple[int, int]

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.rows)


def no_tokens(grid: tuple[int, int]) -> Tokens:
    """A frame in which nothing moves."""
    none = np.zeros(0, np.int16)
    return Tokens(none, none, np.zeros((0, FEATURES), np.float32), grid)


def grid_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of cells in a picture of this (h, w); pixels left over are not looked at."""
    return max(1, shape[0] // CELL_PX), max(1, shape[1] // CELL_PX)


class TokenMaker:
    """Makes one camera's tokens, frame after frame; carries the average along the flow.

    Not for use by two threads at once.
    """

    def __init__(self) -> None:
        """Start with nothing seen."""
        self._tracked: NDArray[np.float32] | None = None
        self._begins = True
        self._xs = self._ys = np.zeros((0, 0), np.float32)

    def reset(self, *, begins: bool = True) -> None:
        """Forget what moved before; `begins`: since footage begins anew, not for a flash."""
        self._tracked = None
        self._begins = begins

    def step(self, motion: Motion, shape: tuple[int, ...], passed_s: float) -> Tokens:
        """Tokens of the newest frame, `passed_s` seconds after the one before; shape (h, w)."""
        grid = grid_of(shape)
        if motion.flow is None or motion.moving is None or motion.difference is None:
            self._tracked = None  # nothing moves, so nothing is carried on
            self._begins = self._begins and passed_s <= 0.0
            return no_tokens(grid)
        cells = _cells(motion, grid)
        means = cv2.blur(cells, (PATTERN_CELLS,) * 2, borderType=cv2.BORDER_CONSTANT)
        speed = np.ascontiguousarray(cells[:, :, SPEED])
        speed = cv2.blur(speed, (TRACKED_CELLS,) * 2, borderType=cv2.BORDER_CONSTANT)
        self._tracked = tracked = self._follow(np.asarray(speed), means, passed_s)
        self._begins = False
        largest = cv2.dilate(tracked, _KERNEL)
        there = np.zeros(grid, np.bool_)
        there[1::STRIDE_CELLS, 1::STRIDE_CELLS] = (
            means[1::STRIDE_CELLS, 1::STRIDE_CELLS, MOVING] > MIN_MOVING
        )
        rows, cols = np.nonzero(there)
        features = np.empty((len(rows), FEATURES), np.float32)
        features[:, :TRACKED] = means[rows, cols]
        features[:, TRACKED] = largest[rows, cols]
        return Tokens(rows.astype(np.int16), cols.astype(np.int16), features, grid)

    def _follow(
        self,
        speed: NDArray[np.float32],
        means: NDArray[np.float32],
        passed_s: float,
    ) -> NDArray[np.float32]:
        """Average `speed` with what stood, a frame ago, where the flow comes from."""
        keep = float(np.exp(-max(passed_s, 0.0) / MEMORY_S))
        before = self._tracked
        if before is None or before.shape != speed.shape:
            # Where something begins to move, flow may err; what moved already when footage began,
            # did so before.
            return speed if self._begins else np.asarray(speed * np.float32(1.0 - keep))
        if self._xs.shape != speed.shape:
            h, w = speed.shape
            self._xs, self._ys = np.meshgrid(
                np.arange(w, dtype=np.float32), np.arange(h, dtype=np.float32)
            )
        # Mean flow of what moves, in cells per frame.
        scale = np.float32(passed_s / GAP_S / CELL_PX) / np.maximum(
            means[:, :, MOVING], np.float32(1e-3)
        )
        came = cv2.remap(
            before,
            self._xs - (means[:, :, RIGHT] - means[:, :, LEFT]) * scale,
            self._ys - (means[:, :, DOWN] - means[:, :, UP]) * scale,
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(cv2.addWeighted(speed, 1.0 - keep, came, keep, 0.0))


_KERNEL = np.ones((3, 3), np.uint8)


def _cells(motion: Motion, grid: tuple[int, int]) -> NDArray[np.float32]:
    """(rows, cols, 8) float32: the first eight features, averaged over each cell."""
    assert motion.flow is not None  # noqa: S101  # narrowed by the caller
    assert motion.moving is not None  # noqa: S101
    assert motion.difference is not None  # noqa: S101
    h, w = grid[0] * CELL_PX, grid[1] * CELL_PX
    u, v = cv2.split(motion.flow[:h, :w])
    size = (grid[1], grid[0])
    right, down = cv2.max(u, 0.0), cv2.max(v, 0.0)
    left, up = cv2.subtract(right, u), cv2.subtract(down, v)
    moving = motion.moving[:h, :w].view(np.uint8).astype(np.float32)
    energy = cv2.multiply(u, u)
    cv2.accumulateSquare(v, energy)
    planes = (right, left, down, up, moving, energy, motion.difference[:h, :w].astype(np.float32))
    means = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes]
    means.insert(SPEED, means[RIGHT] + means[LEFT] + means[DOWN] + means[UP])
    return np.asarray(cv2.merge(means))
