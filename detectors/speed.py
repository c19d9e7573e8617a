"""Speed by place: what is fast far away is slow close by, so speed is divided by its row's own."""

import numpy as np
from numpy.typing import NDArray

from detectors.tokens import Tokens

QUANTILE = 0.5
"""Of the speeds seen in a row. Half says what is usual; higher quantiles chase rare runners."""

_NEAREST = 200
_NEAREST_SHARE = 0.05  # of all tokens: so many from the nearest rows speak for a row
_FLOOR = 0.1  # of the mean profile
_SLOWEST_PX = 0.05


def fit_profile(
    rows: NDArray[np.int16], speeds: NDArray[np.float32], n_rows: int
) -> NDArray[np.float32]:
    """Usual speed of each row of cells, (n_rows,) float32 > 0, px per 0.2 s averaged over a box.

    The quantile of what moved in the row and, as far as that takes to have enough, in the rows
    nearest to it; smoothed. A straight line, as flat ground seen in perspective would have it, does
    not do: it crosses zero where people still walk, and then everybody far away is a runner.
    `rows` and `speeds`: one number for each token.
    """
    if not len(speeds):
        return np.ones(n_rows, np.float32)
    per_row = [speeds[rows == row] for row in range(n_rows)]
    wanted = max(_NEAREST, int(_NEAREST_SHARE * len(speeds)))
    profile = np.empty(n_rows)
    for row in range(n_rows):
        reach, found = 0, per_row[row]
        while len(found) < wanted and reach < n_rows:
            reach += 1
            low, high = max(0, row - reach), min(n_rows, row + reach + 1)
            found = np.concatenate(per_row[low:high])
        profile[row] = np.quantile(found, QUANTILE)
    for _ in range(2):
        padded = np.concatenate([profile[:1], profile, profile[-1:]])
        profile = (padded[:-2] + 2.0 * profile + padded[2:]) / 4.0
    floor = max(_FLOOR * float(profile.mean()), _SLOWEST_PX)
    return np.asarray(np.maximum(profile, floor), np.float32)


def usual_speed(profile: NDArray[np.float32], tokens: Tokens) -> NDArray[np.float32]:
    """Usual speed where each token stands, (n,) float32.

    The profile may come from another picture height: rows are matched by their share of it.
    """
    n_rows, fitted = tokens.grid[0], len(profile)
    rows = tokens.rows.astype(np.int64)
    if n_rows != fitted:
        rows = np.minimum(rows * fitted // n_rows, fitted - 1)
    return np.asarray(profile[rows])
