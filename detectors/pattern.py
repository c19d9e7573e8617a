"""Motion pattern by place: direction, spread and speed of motion as a point among normal ones."""

import numpy as np
from numpy.typing import NDArray

from detectors.tokens import (
    CHANGE,
    DOWN,
    ENERGY,
    LEFT,
    MOVING,
    RIGHT,
    SPEED,
    STRIDE_CELLS,
    UP,
    Tokens,
)

PATTERN = 8
DIMENSIONS = PATTERN + 2
PLACE_WEIGHT = 0.4
"""Distance of neighbouring tokens by their place alone, in standard deviations of a feature."""

PARTS: dict[str, tuple[int, ...]] = {
    "direction": (RIGHT, LEFT, DOWN, UP),
    "speed": (SPEED, ENERGY),
    "crowding": (MOVING, CHANGE),
    "occupancy": (PATTERN, PATTERN + 1),
}
"""Which numbers of a pattern speak for which part of a score."""

_SIDES = [RIGHT, LEFT, DOWN, UP]
_CHANGE_UNIT = 10.0


def describe(tokens: Tokens, usual: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 8) float32: features relative to the usual speed (n,) of the place, large ones tamed."""
    f = tokens.features
    out = np.empty((len(f), PATTERN), np.float32)
    out[:, _SIDES] = np.sqrt(f[:, _SIDES] / usual[:, None])
    out[:, MOVING] = f[:, MOVING]
    out[:, SPEED] = np.sqrt(f[:, SPEED] / usual)
    out[:, ENERGY] = np.sqrt(np.sqrt(f[:, ENERGY]) / usual)
    out[:, CHANGE] = np.sqrt(f[:, CHANGE] / np.float32(_CHANGE_UNIT))
    return out


def place(
    tokens: Tokens,
    described: NDArray[np.float32],
    spread: NDArray[np.float32],
    grid: tuple[int, int],
) -> NDArray[np.float32]:
    """(n, 10) float32: descriptions in units of `spread` (8,), then the place in a `grid`."""
    out = np.empty((len(described), DIMENSIONS), np.float32)
    np.divide(described, spread, out=out[:, :PATTERN])
    weight = PLACE_WEIGHT / STRIDE_CELLS
    out[:, PATTERN] = tokens.rows * np.float32(weight * grid[0] / tokens.grid[0])
    out[:, PATTERN + 1] = tokens.cols * np.float32(weight * grid[1] / tokens.grid[1])
    return out


def blame(query: NDArray[np.float32], nearest: NDArray[np.float32]) -> dict[str, float]:
    """Share of each part in the distance of one pattern from the nearest normal one."""
    squares = (query - nearest).astype(np.float64) ** 2
    total = float(squares.sum())
    if total <= 0.0:
        return {"direction": 1.0}
    return {part: float(squares[list(where)].sum()) / total for part, where in PARTS.items()}
