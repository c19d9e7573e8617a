"""Speed by place: what is fast far away is slow close by, so speed is divided by its row's own."""

import numpy as np
from numpy.typing import NDArray

from detectors.tokens import Tokens

QUANTILE = 0.5
"""Of the speeds seen in a row. Half says what is usual; higher quantiles chase rare runners."""

_FEWEST = 30  # tokens in a row before its quantile is listened to
_FLOOR = 0.1  # of the mean profile
_SLOWEST_PX = 0.05


def fit_profile(
    rows: NDArray[np.int16], speeds: NDArray[np.float32], n_rows: int
) -> NDArray[np.float32]:
    """Usual speed of each row of cells, (n_rows,) float32 > 0, px per 0.2 s averaged over a box.

    A straight line (a flat ground seen in perspective) through the rows' quantiles, weighted by how
    much moved there; constant while fewer than three rows have enough. `rows` and `speeds`: one
    number for each token.
    """
    heights, quantiles, weights = [], [], []
    for row in np.unique(rows):
        here = speeds[rows == row]
        if len(here) >= _FEWEST:
            heights.append(float(row))
            quantiles.append(float(np.quantile(here, QUANTILE)))
            weights.append(float(np.sqrt(len(here))))
    at = np.arange(n_rows, dtype=np.float64)
    if len(heights) >= 3:
        slope, intercept = np.polyfit(heights, quantiles, 1, w=weights)
        line = slope * at + intercept
        # Beyond the rows in which anything moved, the line is a guess: hold its ends.
        line = np.interp(
            at,
            at[int(heights[0]) : int(heights[-1]) + 1],
            line[int(heights[0]) : int(heights[-1]) + 1],
        )
        usual = float(np.mean(quantiles))
    else:
        usual = float(np.quantile(speeds, QUANTILE)) if len(speeds) else 1.0
        line = np.full(n_rows, usual)
    return np.asarray(np.maximum(line, max(_FLOOR * usual, _SLOWEST_PX)), np.float32)


def usual_speed(profile: NDArray[np.float32], tokens: Tokens) -> NDArray[np.float32]:
    """Usual speed where each token stands, (n,) float32.

    The profile may come from another picture height: rows are matched by their share of it.
    """
    n_rows, fitted = tokens.grid[0], len(profile)
    rows = tokens.rows.astype(np.int64)
    if n_rows != fitted:
        rows = np.minimum(rows * fitted // n_rows, fitted - 1)
    return np.asarray(profile[rows])
