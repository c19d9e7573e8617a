"""The Sora encoder in torch: a window of motion and luma to one vector and local tokens.

    X (B, T, C, H, W)
      stem, per frame         2-D convolutions to stride 16      (B, T, D, h, w)
      counts, per frame       of motion, see `dynamics`          (B, T, S, h, w)
      means over 4 intervals  newest T, T/2, T/4, T/8 frames     (B, 4, D, h, w)
      pyramid                 x 4 spatial scales, as tokens      (B, 4 * CELLS, D)
      attention, n layers     softmax(Q K^T / sqrt(d)) V         (B, 4 * CELLS, D)
      fusion                  concatenate, linear, dropout       (B, W)
      dynamics                counts summed up over the window   (B, K); window (B, W + K)
      local                   cells ask the pyramid's tokens     tokens (B, E, h, w)

Used for training and export alone; the running program needs neither this nor torch.
"""

# mypy: allow-subclassing-any

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from detectors.encoder.contract import CHANNELS, LUMA
from detectors.encoder.dynamics import DYNAMICS, STATISTICS, Dynamics, MotionStatistics
from detectors.encoder.pyramid import CELLS, GRIDS, INTERVALS, SpaceTimePyramid, TimePool


@dataclass(frozen=True, slots=True)
class EncoderConfig:
    """Sizes of the encoder. Defaults are those of the shipped weights."""

    dim: int = 96
    heads: int = 4
    layers: int = 3
    window_dim: int = 96
    token_dim: int = 48
    stem: tuple[int, int, int] = (24, 48, 64)
    dropout: float = 0.1


class Stem(nn.Module):
    """Four strided convolutions and two with a way past: (N, C, H, W) -> (N, D, h, w).

    Each is relu(norm(w * x + b)), those with a way past relu(x + norm(w * x + b));
    h = ceil(H / 16). Cheap because 2-D: the motion over time is in the channels already.
    """

    # What brings each channel to about unit size: luma less its mean, flow (1 = 8 px), difference.
    # Powers of two, so that `fold` changes no bit.
    gain: Tensor
    luma: Tensor  # 1 where a channel is luma

    def __init__(self, widths: tuple[int, int, int], dim: int) -> None:
        """`widths`: channels at strides 2, 4 and 8; `dim`: D."""
        super().__init__()
        gain = torch.tensor([4.0] * 4 + [4.0, 4.0, 2.0]).reshape(1, len(CHANNELS), 1, 1)
        self.register_buffer("gain", gain, persistent=False)
        luma = torch.zeros(1, len(CHANNELS), 1, 1)
        luma[:, LUMA] = 1.0
        self.register_buffer("luma", luma, persistent=False)
        self._folded = False
        first, second, third = widths
        self.layers = nn.Sequential(
            Convolution(len(CHANNELS), first, 2),
            Convolution(first, second, 2),
            Past(second),
            Convolution(second, third, 2),
            Past(third),
            Convolution(third, dim, 2),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Reduce (N, C, H, W) to (N, D, ceil(H/16), ceil(W/16))."""
        means = x.mean((2, 3), keepdim=True)
        light = means[:, LUMA].mean(1, keepdim=True)  # how light it is says nothing
        x = x - light * self.luma
        y: Tensor = self.layers(x if self._folded else x * self.gain)
        return y

    def fold(self) -> None:
        """Let the first convolution multiply by `gain`, for good: the same, and cheaper."""
        if not self._folded:
            first = self.layers[0][0]
            first.weight.data = first.weight.data * self.gain.to(first.weight.dtype)
            self._folded = True


class Convolution(nn.Sequential):
    """relu(norm(w * x)), 3x3: (N, A, H, W) -> (N, B, ceil(H / stride), ceil(W / stride))."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """`inputs`, `outputs`: A and B."""
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Past(nn.Module):
    """relu(x + norm(w * x)), 3x3: (N, A, H, W) -> the same."""

    def __init__(self, width: int) -> None:
        """`width`: A."""
        super().__init__()
        self.convolution = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Add what the convolution finds."""
        y: Tensor = torch.relu(x + self.norm(self.convolution(x)))
        return y


class Attention(nn.Module):
    """Multi-head attention: softmax over keys of Q K^T / sqrt(d), times V.

    Q = a W_q, (K, V) = b W_kv, in `heads` parts of d = D / heads:
    (B, N, D), (B, M, D) -> (B, N, D); a product of matrices over tokens, (N, d) x (d, M).
    """

    def __init__(self, dim: int, heads: int) -> None:
        """`dim`: D, a multiple of `heads`."""
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Let every token of a (B, N, D) gather from those of b (B, M, D)."""
        size = a.shape[-1] // self.heads
        q = self.query(a).unflatten(-1, (self.heads, size)).transpose(1, 2)  # (B, H, N, d)
        kv = self.key_value(b).unflatten(-1, (2 * self.heads, size)).transpose(1, 2)
        k, v = kv.chunk(2, 1)  # (B, H, M, d) each
        weights = torch.softmax(q @ k.transpose(-1, -2) * size**-0.5, -1)  # (B, H, N, M)
        y: Tensor = self.out((weights @ v).transpose(1, 2).flatten(2))  # (B, N, D)
        return y


class Block(nn.Module):
    """One layer: a + attention(norm(a), norm(b)), then a + mlp(norm(a)); b = a in the pyramid.

    (B, N, D), (B, M, D) -> (B, N, D).
    """

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        """`dropout`: of what is added, during training."""
        super().__init__()
        self.norm_a = nn.LayerNorm(dim)
        self.norm_b = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.mlp = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Update a (B, N, D) with what b (B, M, D) knows."""
        a = a + self.dropout(self.attention(self.norm_a(a), self.norm_b(b)))
        return a + self.dropout(self.mlp(a))


class Fusion(nn.Module):
    """One vector: dropout(W [mean of each scale and interval, concatenated]).

    (B, 4 * CELLS, D) -> 16 means (B, 16 D) -> (B, window_dim).
    """

    def __init__(self, dim: int, window_dim: int, dropout: float) -> None:
        """`dim`: D of the tokens; `window_dim`: length of the vector."""
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.linear = nn.Linear(INTERVALS * len(GRIDS) * dim, window_dim)
        self.dropout = nn.Dropout(dropout)

    def forward(self, z: Tensor) -> Tensor:
        """Fuse the pyramid's tokens (B, 4 * CELLS, D) into (B, window_dim)."""
        z = self.norm(z).unflatten(1, (INTERVALS, CELLS))
        scales = z.split([g * g for g in GRIDS], 2)
        means = torch.cat([s.mean(2) for s in scales], 2)  # (B, 4, 4 D)
        y: Tensor = self.dropout(self.linear(means.flatten(1)))
        return y


class Local(nn.Module):
    """Local tokens of the newest frame that know the rest of the window.

    c = W [maps of the 4 intervals at this cell] + W_p place, then one block in which each cell
    attends to the pyramid's tokens z: small things keep their place and gain the context.
    (B, 4, D, h, w), (B, M, D) -> (B, E, h, w).
    """

    def __init__(self, config: EncoderConfig) -> None:
        """Sizes as in `config`."""
        super().__init__()
        self.join = nn.Linear(INTERVALS * config.dim, config.dim)
        self.place = nn.Linear(8, config.dim)
        self.block = Block(config.dim, config.heads, config.dropout)
        self.norm = nn.LayerNorm(config.dim)
        self.out = nn.Linear(config.dim, config.token_dim)

    def forward(self, maps: Tensor, z: Tensor) -> Tensor:
        """Tokens (B, E, h, w) from the intervals' maps (B, 4, D, h, w) and the pyramid z."""
        b, k, d, h, w = maps.shape
        cells = maps.reshape(b, k * d, h * w).transpose(1, 2)  # (B, h*w, 4 D)
        a = self.join(cells) + self.place(places(h, w, maps))
        a = self.norm(self.block(a, z))
        tokens: Tensor = self.out(a)  # (B, h*w, E)
        return tokens.transpose(1, 2).reshape(b, -1, h, w)


def places(h: int, w: int, like: Tensor) -> Tensor:
    """Where each cell's middle lies, as sines and cosines: (h * w, 8)."""
    y = (torch.arange(h, dtype=torch.float32, device=like.device) + 0.5) / h
    x = (torch.arange(w, dtype=torch.float32, device=like.device) + 0.5) / w
    y, x = (y[:, None] + 0 * x).flatten(), (x + 0 * y[:, None]).flatten()
    angles = torch.stack([torch.pi * y, 2 * torch.pi * y, torch.pi * x, 2 * torch.pi * x], 1)
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1).to(like.dtype)


class SoraEncoder(nn.Module):
    """Window to vector, local tokens and anomaly map; see the module for the way through.

    X (B, T, C, H, W) float32 -> window (B, W), tokens (B, token_dim, h, w),
    anomaly (B, h, w) logits; W = window_dim + DYNAMICS. Any B, T >= 1 and any H, W >= 16.
    """

    def __init__(self, config: EncoderConfig | None = None) -> None:
        """Weights at random; sizes as in `config`."""
        super().__init__()
        self.config = config = config or EncoderConfig()
        self.stem = Stem(config.stem, config.dim)
        self.statistics = MotionStatistics()
        self.dynamics = Dynamics()
        self.time = TimePool()
        self.pyramid = SpaceTimePyramid(config.dim)
        self.blocks = nn.ModuleList(
            Block(config.dim, config.heads, config.dropout) for _ in range(config.layers)
        )
        self.fusion = Fusion(config.dim, config.window_dim, config.dropout)
        self.local = Local(config)
        self.anomaly = nn.Conv2d(config.token_dim, 1, 1)

    @property
    def window_dim(self) -> int:
        """Length of the window's vector, W + K."""
        return self.config.window_dim + DYNAMICS

    @property
    def feature_dim(self) -> int:
        """Channels of a frame's features, D + S."""
        return self.config.dim + STATISTICS

    @property
    def precision(self) -> torch.dtype:
        """What it computes in; motion is counted, and all is given, in float32 whatever it is."""
        return self.anomaly.weight.dtype

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode a batch of windows; see the class."""
        return self.encode(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """Each frame by itself: (B, T, C, H, W) -> (B, T, D + S, h, w)."""
        b, t, c, height, width = x.shape
        frames = x.reshape(b * t, c, height, width)
        counts = self.statistics(frames[:, LUMA.stop :])  # (B*T, S, h, w)
        y = torch.cat([self.stem(frames.to(self.precision)).float(), counts], 1)
        return y.reshape(b, t, *y.shape[1:])

    def encode(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The window of these frames: (B, T, D + S, h, w) -> window, tokens, anomaly."""
        counts = features[:, :, self.config.dim :]
        features = features[:, :, : self.config.dim].to(self.precision)
        b, t, d, h, w = features.shape
        maps = self.time(features.reshape(b, t, d * h * w)).reshape(b, INTERVALS, d, h, w)
        z = self.pyramid(maps)  # (B, 4*CELLS, D)
        for block in self.blocks:
            z = block(z, z)
        tokens = self.local(maps, z)  # (B, E, h, w)
        window = torch.cat([self.fusion(z).float(), self.dynamics(counts)], 1)
        return window, tokens.float(), self.anomaly(tokens)[:, 0].float()
