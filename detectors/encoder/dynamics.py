"""How a window moves as a whole, in numbers that do not care where: what its vector is to hold.

A fight and a stroll may move as much; they differ in how motion is spread over speeds and
directions, how it changes from frame to frame, and how little neighbours agree.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from detectors.encoder.features import FLOW_UNIT_PX

SPEEDS_PX = (0.5, 1.0, 2.0, 3.0, 4.5, 6.0, 9.0, 13.0)
CHANGES_PX = (0.5, 1.0, 2.0, 4.0, 8.0)
DIRECTIONS = 8
GRID = 3
PER_FRAME = 2 * len(SPEEDS_PX) + len(CHANGES_PX) + GRID * GRID + 6
DYNAMICS = 3 * PER_FRAME

_LEAST = 1e-3


def dynamics(motion: Tensor) -> Tensor:
    """(B, T, 3, H, W) flow x, y and difference, as in X -> (B, 3 * PER_FRAME).

    Of each frame: share of the picture above each speed, those shares by the share that moves at
    all, share whose flow changed by so much since the frame before, share that moves in each of
    3x3 parts from the least to the most, then mean speed, mean change, share that moves, entropy
    of direction, disagreement with and spread of speed among neighbours; logarithms of small
    shares. Then the mean over the window, the spread over it, and the largest.
    """
    b, t = motion.shape[:2]
    flat = F.avg_pool2d(motion.flatten(0, 1), 2)
    flow = flat[:, :2] * FLOW_UNIT_PX
    speed = flow.square().sum(1, keepdim=True).sqrt()
    moving = (speed > 1.0).float()
    count = moving.mean((2, 3)).clamp(min=_LEAST)  # (B*T, 1)

    def over_moving(plane: Tensor) -> Tensor:
        return (plane * moving).mean((2, 3)) / count

    shares = torch.cat([(speed > s).float().mean((2, 3)) for s in SPEEDS_PX], 1)
    windows = flow.unflatten(0, (b, t))
    before = torch.cat([windows[:, :1], windows[:, :-1]], 1).flatten(0, 1)
    change = F.avg_pool2d(flow - before, 4).square().sum(1, keepdim=True).sqrt()
    changes = torch.cat([(change > c).float().mean((2, 3)) for c in CHANGES_PX], 1)
    parts = F.adaptive_avg_pool2d(moving, GRID).flatten(1).sort(1).values
    mean = F.avg_pool2d(flow, 7, 1, 3, count_include_pad=False).square().sum(1, keepdim=True).sqrt()
    near = F.avg_pool2d(speed, 7, 1, 3, count_include_pad=False)
    square = F.avg_pool2d(speed.square(), 7, 1, 3, count_include_pad=False)
    frames = torch.cat(
        [
            _log(shares),
            shares / shares[:, :1].clamp(min=_LEAST),
            _log(changes),
            parts,
            over_moving(speed).log1p(),
            change.mean((2, 3)).log1p(),
            _log(count),
            _entropy(flow, speed * moving),
            over_moving(1.0 - mean / (near + 0.05)),
            over_moving((square - near.square()).clamp(min=0).sqrt()).log1p(),
        ],
        1,
    ).unflatten(0, (b, t))
    return torch.cat([frames.mean(1), frames.std(1, correction=0), frames.amax(1)], 1)


def _log(share: Tensor) -> Tensor:
    return (share + _LEAST).log()


def _entropy(flow: Tensor, weight: Tensor) -> Tensor:
    """Entropy of direction, (N, 2, h, w) and (N, 1, h, w) -> (N, 1) nats."""
    angle = torch.atan2(flow[:, 1:], flow[:, :1]) / (2 * torch.pi) + 0.5
    section = (angle * DIRECTIONS).long().clamp(max=DIRECTIONS - 1)
    sums = torch.zeros(len(flow), DIRECTIONS).scatter_add_(1, section.flatten(1), weight.flatten(1))
    p = sums / sums.sum(1, keepdim=True).clamp(min=_LEAST)
    entropy: Tensor = -(p * (p + 1e-6).log()).sum(1, keepdim=True)
    return entropy
