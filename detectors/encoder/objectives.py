"""What the encoder is trained for, without labels.

1. plant:   which cells hold something planted (anomaly map), and of which kind;
2. now:     the motion pattern of the newest frame and the look of what moves, read linearly from
            the tokens, so that distances between tokens mean something;
3. next:    the motion pattern of the frame after it, from the past alone;
4. unlike:  the distance of a cell's token to the nearest normal ones of the same camera, at other
            times and about the same place, tells what is planted: what the token is used for;
5. group:   window vectors of one camera are alike, those of different cameras are not.

Only the encoder is kept afterwards; the heads here are thrown away.
"""

# mypy: allow-subclassing-any

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detectors.appearance import PLACE_WEIGHT
from detectors.encoder.contract import LUMA, STRIDE_PX
from detectors.encoder.data import IGNORED
from detectors.encoder.loading import Tensors
from detectors.encoder.model import EncoderConfig
from detectors.encoder.plant import Kind

PATTERN = 7
LOOK_SIDE = 8
MOVING_SHARE = 0.1
FEWEST_NORMAL = 8
STILL_WEIGHT = 0.05
"""Weight of a cell in which nothing moves, against 1 for one that does."""


@dataclass(frozen=True, slots=True)
class Losses:
    """The weighted sum, and its parts before weighting."""

    total: Tensor
    parts: dict[str, float]


def pattern(motion: Tensor) -> Tensor:
    """Motion pattern of each cell: (B, 3, H, W) flow x, y, difference -> (B, 7, h, w).

    Mean over what moves of +u, -u, +v, -v and their squared length, in about unit size; the share
    that moves; the mean difference.
    """
    flow, difference = motion[:, :2] * 8.0, motion[:, 2:]
    moving = (motion.abs().amax(1, keepdim=True) > 0).float()
    signed = torch.cat([flow.relu(), (-flow).relu(), (flow**2).sum(1, keepdim=True).sqrt()], 1)
    means = F.avg_pool2d(torch.cat([signed, moving, difference], 1), STRIDE_PX)
    share = means[:, 5:6]
    of_moving = means[:, :5] / share.clamp(min=0.02)
    return torch.cat([of_moving, share, means[:, 6:]], 1)


def look(luma: Tensor) -> Tensor:
    """Look of each cell: (B, 4, H, W) -> (B, 64, h, w), 8x8 means less the cell's mean."""
    small = F.avg_pool2d(luma.mean(1, keepdim=True), STRIDE_PX // LOOK_SIDE) * 4.0
    cells = F.pixel_unshuffle(small, LOOK_SIDE)
    return cells - cells.mean(1, keepdim=True)


class Objectives(nn.Module):
    """The heads and their losses."""

    def __init__(self, config: EncoderConfig, weights: Mapping[str, float]) -> None:
        """`weights`: of the losses, by name; those missing are not asked for."""
        super().__init__()
        self.weights = dict(weights)
        self.window_dim = config.window_dim  # what of the vector is learned
        self.kind = nn.Conv2d(config.token_dim, len(Kind), 1)
        self.now = nn.Conv2d(config.token_dim, PATTERN, 1)
        self.look = nn.Conv2d(config.token_dim, LOOK_SIDE**2, 1)
        self.next = nn.Conv2d(config.token_dim, PATTERN, 1)
        # A distance of 1 is usual; see `detectors.appearance`.
        self.steepness = nn.Parameter(torch.tensor(1.5))
        self.middle = nn.Parameter(torch.tensor(1.0))

    def forward(self, outputs: tuple[Tensor, Tensor, Tensor], batch: Tensors) -> Losses:
        """Losses of the encoder's outputs on a batch, all on one device."""
        window, tokens, anomaly = outputs
        x, kind, planted, moving, future, group = batch
        weight = (moving > 0.02).float() * (1 - STILL_WEIGHT) + STILL_WEIGHT  # (B, h, w)
        clear = (kind != IGNORED) & (planted == 0)

        counted = weight * (planted >= 0) * (1 + 1.5 * (planted > 0))
        losses = {
            "plant": _mean(
                F.binary_cross_entropy_with_logits(anomaly, planted.clamp(min=0), reduction="none"),
                counted,
            ),
            "kind": _mean(
                F.cross_entropy(self.kind(tokens), kind.clamp(min=0), reduction="none"),
                weight * (kind != IGNORED),
            ),
            "now": _mean(_distance(self.now(tokens), pattern(x[:, -1, LUMA.stop :])), weight),
            "look": _mean(_distance(self.look(tokens), look(x[:, -1, LUMA])), weight),
            "next": _mean(_distance(self.next(tokens), pattern(future)), weight * clear),
            "unlike": self._unlike(tokens, moving, kind, planted, group),
            "group": _contrast(window[:, : self.window_dim], group),
        }
        total = torch.stack([self.weights[k] * v for k, v in losses.items() if k in self.weights])
        return Losses(total.sum(), {k: float(v.detach()) for k, v in losses.items()})

    def _unlike(
        self, tokens: Tensor, moving: Tensor, kind: Tensor, planted: Tensor, group: Tensor
    ) -> Tensor:
        """Logistic loss of the mean distance to the nearest three normal tokens of other windows.

        As the running program measures it: where something moves, every dimension in units of its
        spread over the camera's normal tokens, place as two more dimensions.
        """
        _, dim, h, w = tokens.shape
        use = (moving > MOVING_SHARE) & (kind != IGNORED) & (planted >= 0)
        flat = tokens.permute(0, 2, 3, 1)
        at = torch.stack(torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij"), -1)
        at = at.to(tokens.device)
        losses, weights = [], []
        for g in group.unique():
            n, y, x = torch.nonzero(use & (group == g)[:, None, None], as_tuple=True)
            label = planted[n, y, x]
            normal = (label == 0) & (kind[n, y, x] == Kind.NORMAL)
            if normal.sum() < FEWEST_NORMAL:
                continue
            t = flat[n, y, x]
            spread = t[normal].std(0) + 1e-2
            placed = torch.cat([t / (spread * dim**0.5), at[y, x].float() * PLACE_WEIGHT], 1)
            apart = (placed[:, None] - placed[normal][None]).square().sum(2) + 1e-4
            apart = apart.sqrt().masked_fill(n[:, None] == n[normal][None], 1e3)
            nearest = apart.topk(3, largest=False).values.mean(1)
            known = nearest < 1e2  # there may be no other window in which something moves
            logit = self.steepness.exp() * (nearest - self.middle)
            loss = F.binary_cross_entropy_with_logits(logit, label, reduction="none")
            losses.append(loss[known])
            weights.append((1 + label)[known])
        if not losses:
            return tokens.sum() * 0.0
        return _mean(torch.cat(losses), torch.cat(weights))


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """Robust distance over channels: (B, C, h, w) twice -> (B, h, w)."""
    return F.smooth_l1_loss(a, b, reduction="none", beta=0.5).mean(1)


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1e-6)


def _contrast(window: Tensor, group: Tensor) -> Tensor:
    """InfoNCE at temperature 0.1 over windows 2i and 2i + 1; the same group is no opposite."""
    z = F.normalize(window, dim=1)
    likeness = z @ z.T / 0.1
    same = group[:, None] == group[None, :]
    own = torch.arange(len(group), device=group.device)
    partner = (own ^ 1).clamp(max=len(group) - 1)
    mask = same.clone()
    mask[own, partner] = False
    return F.cross_entropy(likeness.masked_fill(mask, -1e4), partner)
