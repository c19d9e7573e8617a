"""Figures as points among normal ones: how large, which way they extend, how long they stay, where.

Somebody who lies is wide where others are tall; somebody who waits stays where others pass; a thing
left behind is small where people stand. None of that needs motion.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.bank import Bank
from detectors.ground import FEATURES, STAY, Figures
from detectors.tail import Tail
from detectors.tokens import STRIDE_CELLS

DIMENSIONS = FEATURES + 2
PLACE_WEIGHT = 0.7
"""Distance of neighbouring figure cells by their place alone, in deviations of a feature."""

STAY_WEIGHT = 1.5
"""Distance of a stay from another e times as long."""

MEMORY_S = 0.8
"""Time constant of the score of figures, seconds: they are slow, and so is what mistakes them."""

TOGETHER = 3
"""A figure has at least so many cells that say the same."""

SHAPE = tuple(range(STAY))

_LEAST_SPREAD = 0.05


@dataclass(frozen=True, slots=True)
class FigureNormality:
    """Normal figures: the empty scene (rows, cols) uint8, the `spread` (6,) of shapes, a bank of
    (n, 9), and the tail of distances from it."""

    scene: NDArray[np.uint8]
    spread: NDArray[np.float32]
    bank: Bank
    tail: Tail


@dataclass(frozen=True, slots=True)
class FigureSurprise:
    """How surprising each of n figure cells is, nats; `points` (n, 9) as compared, `nearest` (n,)
    index of the nearest normal one in the bank."""

    total: NDArray[np.float64]
    points: NDArray[np.float32]
    nearest: NDArray[np.int32]


def shape_spread(figures: Figures) -> NDArray[np.float32]:
    """Standard deviation of the shapes' features, (6,) float32 > 0."""
    if len(figures) < 2:
        return np.ones(len(SHAPE), np.float32)
    return np.asarray(figures.features[:, SHAPE].std(0) + _LEAST_SPREAD, np.float32)


def place(figures: Figures, spread: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 9) float32: shape in units of `spread`, stay, place."""
    out = np.empty((len(figures), DIMENSIONS), np.float32)
    np.divide(figures.features[:, SHAPE], spread, out=out[:, : len(SHAPE)])
    out[:, STAY] = figures.features[:, STAY] * np.float32(STAY_WEIGHT)
    out[:, FEATURES] = figures.rows * np.float32(PLACE_WEIGHT / STRIDE_CELLS)
    out[:, FEATURES + 1] = figures.cols * np.float32(PLACE_WEIGHT / STRIDE_CELLS)
    return out


def surprise(figures: Figures, normality: FigureNormality) -> FigureSurprise:
    """Compare figures with normal ones."""
    points = place(figures, normality.spread)
    distance, nearest = normality.bank.ask(points)
    return FigureSurprise(normality.tail(distance), points, nearest)


def blame(point: NDArray[np.float32], nearest: NDArray[np.float32]) -> dict[str, float]:
    """Share of shape, stay and place in the distance of a figure from the nearest normal one."""
    squares = (point - nearest).astype(np.float64) ** 2
    total = float(squares.sum())
    if total <= 0.0:
        return {"occupancy": 1.0}
    stay = float(squares[STAY]) if point[STAY] > nearest[STAY] else 0.0
    shape = float(squares[list(SHAPE)].sum())
    parts = {"shape": shape, "stay": stay, "occupancy": float(squares[FEATURES:].sum())}
    total = sum(parts.values())
    return {name: value / total for name, value in parts.items()} if total else {"occupancy": 1.0}
