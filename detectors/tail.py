"""Tails: how surprising a number is, given numbers seen on normal footage."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

KNOTS = 257
FINEST = 0.01
"""Least `scale`: what was the same each time, to the bit, is not known so well either."""

EXCEEDING = 30
"""So many of the largest numbers, at least, that the exponential beyond them can be believed."""


@dataclass(frozen=True, slots=True)
class Tail:
    """Surprise -log P(X >= x) under normal footage: empirical, and exponential beyond `beyond`.

    `knots`: (K,) float64, ascending: quantiles of the numbers seen, evenly spread in probability
    from 0 to 1 - exp(-`surprise`). `beyond` is the last of them, `scale` > 0 the mean excess.
    """

    knots: NDArray[np.float64]
    surprise: float
    scale: float

    @property
    def beyond(self) -> float:
        """Where the empirical part ends."""
        return float(self.knots[-1])

    def __call__(self, x: NDArray[np.float32] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Surprise of each number, nats, >= 0, not decreasing in x."""
        x = np.asarray(x, np.float64)
        reach = 1.0 - np.exp(-self.surprise)
        p = np.interp(x, self.knots, _levels(float(reach), len(self.knots)))
        over = np.maximum(x - self.beyond, 0.0) / self.scale
        return np.asarray(-np.log1p(-np.minimum(p, reach)) + over)


@lru_cache(maxsize=256)
def _levels(reach: float, knots: int) -> NDArray[np.float64]:
    """Probability at each knot."""
    return np.linspace(0.0, reach, knots)


def fit_tail(values: NDArray[np.floating], quantile: float = 0.99) -> Tail:
    """Fit to numbers seen on normal footage; ValueError when there are fewer than two."""
    values = np.sort(np.asarray(values, np.float64))
    n = len(values)
    if n < 2:
        raise ValueError("a tail needs at least two numbers")
    quantile = max(0.5, min(quantile, 1.0 - EXCEEDING / n))
    knots = np.quantile(values, np.linspace(0.0, quantile, KNOTS))
    excess = values[values > knots[-1]] - knots[-1]
    floor = max(1e-3 * abs(float(knots[-1])), FINEST)
    scale = max(float(excess.mean()) if len(excess) else 0.0, floor)
    return Tail(knots, -float(np.log(1.0 - quantile)), scale)
