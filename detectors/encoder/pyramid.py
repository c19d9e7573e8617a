"""Space-time pyramid pooling: a map of any size becomes a fixed number of tokens.

Every pooling here is a matrix product with area weights: bin i of n cells covers the interval
[i n/g, (i+1) n/g) and takes each cell by the share of it that lies inside. So a bin is never
empty, however few cells there are, and sizes may be symbolic when the model is exported.
"""

# mypy: allow-subclassing-any

import torch
from torch import Tensor, nn

GRIDS = (1, 2, 3, 5)
"""Spatial scales: the picture cut into g x g parts."""

INTERVALS = 4
"""Temporal intervals: the newest T, T/2, T/4 and T/8 frames."""

CELLS = sum(g * g for g in GRIDS)


def overlap(low: Tensor, high: Tensor, n: int) -> Tensor:
    """Share of each of n unit cells in each interval [low, high): (k,), (k,) -> (k, n).

    w[i, j] = |[low_i, high_i) & [j, j+1)| / (high_i - low_i), so that every row sums to 1.
    """
    cell = torch.arange(n, dtype=low.dtype, device=low.device)
    inside = torch.minimum(high[:, None], cell + 1) - torch.maximum(low[:, None], cell)
    return inside.clamp(min=0) / (high - low)[:, None]


def tiles(n: int, size: int, like: Tensor) -> Tensor:
    """Means of n cells, `size` at a time, the last ones of what is left: (ceil(n / size), n)."""
    low = torch.arange(0, n, size, dtype=like.dtype, device=like.device)
    return overlap(low, (low + size).clamp(max=n), n)


class TimePool(nn.Module):
    """Means over the newest T/2^k frames, k = 0..3; the newest frame is the last one.

    y[b, k] = sum_t w[k, t] x[b, t]:  (B, T, N) -> (B, 4, N). Time is the axis T and no other.
    """

    shares: Tensor

    def __init__(self) -> None:
        """Nothing to learn here."""
        super().__init__()
        self.register_buffer("shares", 0.5 ** torch.arange(INTERVALS), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, T, N) to (B, 4, N)."""
        t = x.shape[1]
        high = torch.ones_like(self.shares) * t
        return overlap(high - self.shares * t, high, t).to(x.dtype) @ x


class SpacePool(nn.Module):
    """Area means on g x g grids for g in GRIDS, one after the other.

    Bin i of a side covers [low_i, high_i) of it, all grids' bins in one list; cell k of all is row
    bin r_k by column bin c_k, so that y = x P^T with P[k] = rows[r_k] columns[c_k]^T, flattened:
    (B, D, h, w) -> (B, CELLS, D), row by row, coarse grids first.
    """

    low: Tensor
    high: Tensor
    row: Tensor
    column: Tensor

    def __init__(self) -> None:
        """Nothing to learn here."""
        super().__init__()
        edges = [(i / g, (i + 1) / g) for g in GRIDS for i in range(g)]
        first = [sum(GRIDS[:j]) for j in range(len(GRIDS))]  # of each grid, in the list of bins
        cells = [
            (at + i, at + j)
            for at, g in zip(first, GRIDS, strict=True)
            for i in range(g)
            for j in range(g)
        ]
        for name, values in zip(("low", "high"), zip(*edges, strict=True), strict=True):
            self.register_buffer(name, torch.tensor(values), persistent=False)
        for name, bins in zip(("row", "column"), zip(*cells, strict=True), strict=True):
            self.register_buffer(name, torch.tensor(bins), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, D, h, w) to (B, CELLS, D)."""
        h, w = x.shape[2], x.shape[3]
        rows = overlap(self.low * h, self.high * h, h)[self.row]  # (CELLS, h)
        columns = overlap(self.low * w, self.high * w, w)[self.column]  # (CELLS, w)
        shares = (rows[:, :, None] * columns[:, None, :]).flatten(1)  # (CELLS, h*w)
        y: Tensor = shares.to(x.dtype) @ x.flatten(2).transpose(1, 2)
        return y


class SpaceTimePyramid(nn.Module):
    """Tokens of 4 spatial scales x 4 temporal intervals, each told which one it is.

    z[b, k, i] = pool(x)[b, k, i] + e_interval[k] + e_cell[i]
    (B, 4, D, h, w) pooled over time -> (B, 4 * CELLS, D).
    """

    def __init__(self, dim: int) -> None:
        """`dim`: D."""
        super().__init__()
        self.space = SpacePool()
        self.interval = nn.Parameter(torch.randn(INTERVALS, 1, dim) * 0.02)
        self.cell = nn.Parameter(torch.randn(1, CELLS, dim) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """Pool the maps of the four intervals (B, 4, D, h, w) to tokens (B, 4 * CELLS, D)."""
        b, k, d, h, w = x.shape
        z = self.space(x.reshape(b * k, d, h, w)).reshape(b, k, CELLS, d)
        return (z + self.interval + self.cell).flatten(1, 2)
