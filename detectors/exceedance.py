"""How event peaks go on beyond the largest of them: a generalised Pareto tail, and how sure it is.

Peaks over a high level follow a generalised Pareto distribution whatever they come from (Coles, An
Introduction to Statistical Modeling of Extreme Values, 2001, ch. 4; for streams of scores: Siffer
et al., KDD 2017). Its shape says whether the tail is heavier (> 0) or lighter than an exponential
one, and a few peaks do not tell: so no single curve is fitted. Every shape and scale of a grid is
weighed by a prior and by the peaks, and all of them together give the middle and a 90 % interval.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRIOR_SHAPE, PRIOR_SHAPE_SD = 0.05, 0.12
PRIOR_SCALE, PRIOR_SCALE_LOG_SD = 2.0, 0.5
"""What tails of cameras are like that were seen for minutes, scores in nats
(`benchmarks/calibration.py`); the fewer peaks, the more it counts."""

_SHAPES = np.linspace(-0.1, 0.6, 15)
"""Nothing bounds a surprise, so no tail is believed in that ends soon."""

_SCALE_STEPS = np.linspace(-2.0, 2.0, 33)
_FARTHEST = 60.0
"""Of the table, in scales; beyond it the curves go on as they end."""
_KNOTS = 64
_SMALLEST = 1e-100
_QUANTILES = (0.05, 0.5, 0.95)


@dataclass(frozen=True, slots=True)
class Exceedance:
    """log P(a peak beyond the level exceeds it by x), for each excess of a table.

    `excess`: (K,) from 0, ascending. `low`, `middle`, `high`: (K,) quantiles of the logarithm, from
    0 down, strictly falling.
    """

    excess: NDArray[np.float64]
    low: NDArray[np.float64]
    middle: NDArray[np.float64]
    high: NDArray[np.float64]

    def log_share(self, excess: float) -> tuple[float, float, float]:
        """Low, middle and high logarithm at one excess >= 0."""
        curves = (self.low, self.middle, self.high)
        low, middle, high = (_on(self.excess, curve, excess) for curve in curves)
        return low, middle, high

    def excess_at(self, log_share: float) -> float:
        """The excess whose middle is `log_share` <= 0."""
        return _on(-self.middle, self.excess, -log_share)


def fit_exceedance(excesses: NDArray[np.float64], dispersion: float = 1.0) -> Exceedance:
    """Weigh the tails by excesses (k,) >= 0; `dispersion` >= 1: so many of them count as one."""
    excesses = np.asarray(excesses, np.float64)
    k = len(excesses)
    about = (float(excesses.sum()) + 3.0 * PRIOR_SCALE) / (k + 3.0)
    scales = about * np.exp(_SCALE_STEPS)
    shape, scale = (grid.ravel() for grid in np.meshgrid(_SHAPES, scales, indexing="ij"))
    weight = -0.5 * (
        ((shape - PRIOR_SHAPE) / PRIOR_SHAPE_SD) ** 2
        + (np.log(scale / PRIOR_SCALE) / PRIOR_SCALE_LOG_SD) ** 2
    )
    if k:
        density = (1.0 + 1.0 / _not_0(shape))[:, None] * _log_rest(excesses, shape, scale)
        weight += (-density.sum(1) - k * np.log(scale)) / dispersion
    share = np.exp(weight - weight.max())
    share /= share.sum()
    # Finer near the level, where most is asked.
    excess = about * _FARTHEST * np.linspace(0.0, 1.0, _KNOTS) ** 2
    log_share = -_log_rest(excess, shape, scale) / _not_0(shape)[:, None]
    order = np.argsort(log_share, axis=0)
    reached = np.cumsum(share[order], axis=0)
    ordered = np.take_along_axis(log_share, order, axis=0)
    columns = np.arange(_KNOTS)
    low, middle, high = (
        _falling(ordered[np.argmax(reached >= quantile, axis=0), columns])
        for quantile in _QUANTILES
    )
    return Exceedance(excess, low, middle, high)


def _not_0(shape: NDArray[np.float64]) -> NDArray[np.float64]:
    """At 0 the formulas need a limit; so near to it nobody can tell."""
    return np.where(np.abs(shape) < 1e-4, 1e-4, shape)


def _log_rest(
    excess: NDArray[np.float64], shape: NDArray[np.float64], scale: NDArray[np.float64]
) -> NDArray[np.float64]:
    """log(1 + shape * excess / scale), (tails, excesses)."""
    rest = 1.0 + _not_0(shape)[:, None] * excess[None, :] / scale[:, None]
    return np.asarray(np.log(np.maximum(rest, _SMALLEST)))


def _falling(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strictly, so that it can be read both ways."""
    return np.asarray(np.minimum.accumulate(curve) - 1e-9 * np.arange(len(curve)))


def _on(xs: NDArray[np.float64], ys: NDArray[np.float64], x: float) -> float:
    """Interpolated; beyond the last it goes on as it ends."""
    if x <= xs[-1]:
        return float(np.interp(x, xs, ys))
    return float(ys[-1] + (ys[-1] - ys[-2]) / (xs[-1] - xs[-2]) * (x - xs[-1]))
