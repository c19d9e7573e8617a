"""The encoder's local tokens as points among normal ones, where something moves."""

import numpy as np
from numpy.typing import NDArray

from detectors.tokens import Tokens

PLACE_WEIGHT = 0.25
"""Distance of neighbouring cells by their place alone, in standard deviations of a dimension."""

LONGEST_HOLD_S = 1.0
"""The encoder runs now and then; what it said last holds for so long, seconds."""


def cells_of(tokens: Tokens, shape: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of every encoder cell that holds a motion token; shape (..., h, w)."""
    h, w = shape[-2:]
    there = np.zeros((h, w), np.bool_)
    there[encoder_cell(tokens, shape)] = True
    rows, cols = np.nonzero(there)
    return rows, cols


def encoder_cell(
    tokens: Tokens, shape: tuple[int, ...]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the encoder cell in which each motion token stands."""
    h, w = shape[-2:]
    rows = np.minimum(tokens.rows.astype(np.intp) // 4, h - 1)
    cols = np.minimum(tokens.cols.astype(np.intp) // 4, w - 1)
    return rows, cols


def place(
    encoded: NDArray[np.float32],
    rows: NDArray[np.intp],
    cols: NDArray[np.intp],
    spread: NDArray[np.float32],
) -> NDArray[np.float32]:
    """(n, E + 2) float32: vectors (n, E) in units of `spread` (E,), then their place.

    Scaled so that a usual distance is about one, whatever E is.
    """
    n, dim = encoded.shape
    out = np.empty((n, dim + 2), np.float32)
    np.divide(encoded, spread * np.float32(np.sqrt(dim)), out=out[:, :dim])
    out[:, dim] = rows * np.float32(PLACE_WEIGHT)
    out[:, dim + 1] = cols * np.float32(PLACE_WEIGHT)
    return out


def encoder_shape(grid: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of an encoder's cells, at most, over a grid of 4 px cells."""
    return grid[0] // 4 + 1, grid[1] // 4 + 1


class HeldMap:
    """The latest map of surprise, until it is too old or the footage is broken."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._map: NDArray[np.float64] | None = None
        self._t_s = 0.0
        self._run = -1

    def step(
        self, fresh: NDArray[np.float64] | None, t_s: float, run: int
    ) -> NDArray[np.float64] | None:
        """The map that holds at `t_s`, given a fresh one or None."""
        if fresh is not None:
            self._map, self._t_s, self._run = fresh, t_s, run
        elif run != self._run or t_s - self._t_s > LONGEST_HOLD_S:
            self._map = None
        return self._map
