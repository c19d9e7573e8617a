"""How a window moves as a whole, in numbers that do not care where.

A fight and a stroll may move as much; they differ in how motion is spread over speeds and
directions, how it changes from frame to frame, and how little neighbours agree. Networks that are
trained to tell places and things apart average that away, so it is counted, cell by cell in every
frame (`MotionStatistics`), and summed up over the window (`Dynamics`). Nothing here is learned but
what each number usually is.
"""

# mypy: allow-subclassing-any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.encoder.contract import STRIDE_PX
from detectors.encoder.features import FLOW_UNIT_PX
from detectors.encoder.pyramid import overlap, tiles

SPEEDS_PX = (0.5, 1.0, 2.0, 3.0, 4.5, 6.0, 9.0, 13.0)
CHANGES_PX = (0.5, 1.0, 2.0, 4.0, 8.0)
DIRECTIONS = 8
PARTS = 3
MOVING_PX = 1.0

STATISTICS = 4 + len(SPEEDS_PX) + DIRECTIONS
PER_FRAME = 2 * len(SPEEDS_PX) + len(CHANGES_PX) + PARTS * PARTS + 6
DYNAMICS = 3 * PER_FRAME

_LEAST = 1e-3


class MotionStatistics(nn.Module):
    """Counts of motion in each cell: (N, 3, H, W) flow x, y, difference -> (N, STATISTICS, h, w).

    Of flow averaged over 2x2 px: means over the 16x16 px of a cell of u, v, s = |(u, v)| and s^2
    (px per 0.2 s); share of it with s above each of `SPEEDS_PX`; s of what moves in each of 8
    directions, by how near it is to them: max(0, cos)^4.
    """

    directions: Tensor
    speeds: Tensor

    def __init__(self) -> None:
        """Nothing to learn here."""
        super().__init__()
        angle = torch.arange(DIRECTIONS) * (2 * torch.pi / DIRECTIONS)
        directions = torch.stack([angle.cos(), angle.sin()], 1)[:, :, None, None]
        self.register_buffer("directions", directions, persistent=False)
        speeds = torch.tensor(SPEEDS_PX).reshape(1, -1, 1, 1)
        self.register_buffer("speeds", speeds, persistent=False)

    def forward(self, motion: Tensor) -> Tensor:
        """Count (N, 3, H, W)."""
        # Cells and pixels at the border may be cut; what is there counts.
        flow = F.avg_pool2d(motion[:, :2], 2, ceil_mode=True, count_include_pad=False)
        flow = flow * FLOW_UNIT_PX
        square = (flow * flow).sum(1, keepdim=True)
        speed = square.sqrt()
        moving = (speed > MOVING_PX).to(flow.dtype)
        cosine = F.conv2d(flow, self.directions).clamp(min=0) / speed.clamp(min=_LEAST)
        above = (speed > self.speeds).to(flow.dtype)
        square_cosine = cosine * cosine
        towards = speed * moving * (square_cosine * square_cosine)
        counts = torch.cat([flow, speed, square, above, towards], 1)
        rows, columns = (tiles(n, STRIDE_PX // 2, counts) for n in counts.shape[2:])
        # A product of matrices: ONNX Runtime takes four times as long over means.
        pooled: Tensor = rows @ (counts @ columns.T)  # (N, S, h, w)
        return pooled


class Dynamics(nn.Module):
    """Sums up the counts of a window: (B, T, STATISTICS, h, w) -> (B, DYNAMICS), about unit size.

    Of each frame: log share of the picture above each speed; those shares by the share that moves;
    share of cells whose flow changed by so much since the frame before; share that moves in each
    of 3x3 parts, in order of size; log mean speed of what moves; log mean change; log share that
    moves; entropy of direction; 1 - |mean flow| / mean speed within cells; spread of speed within
    cells. Of these the mean over the window, the deviation over it, and the largest, each less its
    `mean` and over its `spread` on training footage, no farther than 4.
    """

    mean: Tensor
    spread: Tensor
    changes: Tensor
    edges: Tensor

    def __init__(self) -> None:
        """`mean` and `spread` are 0 and 1 until `settle`."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(DYNAMICS))
        self.register_buffer("spread", torch.ones(DYNAMICS))
        changes = torch.tensor(CHANGES_PX).reshape(1, 1, -1, 1)
        self.register_buffer("changes", changes, persistent=False)
        self.register_buffer("edges", torch.arange(PARTS + 1) / PARTS, persistent=False)

    def forward(self, statistics: Tensor) -> Tensor:
        """Sum up (B, T, STATISTICS, h, w)."""
        y = (self.count(statistics) - self.mean) / self.spread
        return y.clamp(-4.0, 4.0)

    def settle(self, counts: Tensor) -> None:
        """Take what is usual from windows of training footage, `count`ed: (n, DYNAMICS)."""
        self.mean.copy_(counts.mean(0))
        self.spread.copy_(counts.std(0).clamp(min=0.05))

    def count(self, statistics: Tensor) -> Tensor:
        """The same as `forward`, as it is."""
        h, w = statistics.shape[3:]
        flow, speed, square = statistics[:, :, :2], statistics[:, :, 2:3], statistics[:, :, 3:4]
        above = statistics[:, :, 4 : 4 + len(SPEEDS_PX)]
        directions = statistics[:, :, 4 + len(SPEEDS_PX) :].mean((3, 4))
        shares = above.mean((3, 4))  # (B, T, 8)
        moving = shares[:, :, 1:2].clamp(min=_LEAST)  # above MOVING_PX
        before = torch.cat([flow[:, :1], flow[:, :-1]], 1)
        change = _root((flow - before).square().sum(2)).flatten(2)  # (B, T, h*w)
        changes = (change[:, :, None] > self.changes).to(flow.dtype).mean(3)
        rows = overlap(self.edges[:-1] * h, self.edges[1:] * h, h)
        columns = overlap(self.edges[:-1] * w, self.edges[1:] * w, w)
        parts = (rows @ (above[:, :, 1] @ columns.T)).flatten(2).sort(2).values
        total = speed.mean((3, 4)).clamp(min=_LEAST)
        together = _root(flow.square().sum(2, keepdim=True)).mean((3, 4))
        spread = _root(square - speed.square()).mean((3, 4))
        p = directions / directions.sum(2, keepdim=True).clamp(min=_LEAST)
        frames = torch.cat(
            [
                (shares + _LEAST).log(),
                shares / shares[:, :, :1].clamp(min=_LEAST),
                (changes + _LEAST).log(),
                parts,
                (total / moving).log1p(),
                change.mean(2, keepdim=True).log1p(),
                moving.log(),
                -(p * (p + 1e-6).log()).sum(2, keepdim=True),
                1.0 - together / total,
                (spread / moving).log1p(),
            ],
            2,
        )  # (B, T, PER_FRAME)
        mean = frames.mean(1)
        deviation = _root((frames - mean[:, None]).square().mean(1), 1e-8)
        return torch.cat([mean, deviation, frames.amax(1)], 1)


def _root(square: Tensor, least: float = 1e-12) -> Tensor:
    """Square root of what may be nought, or just below it. Clamped rather than lifted: the exporter
    takes an added 1e-8 for nothing and leaves it out."""
    return square.clamp(min=least).sqrt()
