"""A network to compare the encoder with: a masked auto-encoder of the published size.

After Ristea et al., "Self-Distilled Masked Auto-Encoders are Efficient Video Anomaly Detectors",
CVPR 2024, which reports the highest rate of its field: three frames side by side in colour, patches
of 16 px, half of them dropped at random; three convolutional transformer blocks of width 256 over
the rest, three of width 128 over all places for the teacher, one more for the student after the
first of them, and each one's picture. Written from that description for its cost alone: weights are
at random, and what it would say is of no interest.
"""

import torch
from torch import Tensor, nn

CHANNELS, OUT_CHANNELS, PATCH_PX = 9, 4, 16
SIZE = (160, 320)
WIDTH, DECODER_WIDTH, HEADS, DEPTH = 256, 128, 4, 3
KEPT = 0.5
PUBLISHED_PARAMETERS = 3.0e6


class Block(nn.Module):
    """Attention whose queries, keys and values first pass a 3x3 convolution of their own, then a
    hidden layer of twice the width: (B, 1 + h w, D) -> the same."""

    def __init__(self, width: int, side: tuple[int, int]) -> None:
        super().__init__()
        self.side = side
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.near = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
                nn.BatchNorm2d(width),
            )
            for _ in range(3)
        )
        self.far = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.hidden = nn.Sequential(
            nn.Conv2d(width, 2 * width, 1), nn.GELU(), nn.Conv2d(2 * width, width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        first, grid = self._grid(self.before(x))
        heads = [
            far(torch.cat([first, near(grid).flatten(2).transpose(1, 2)], 1))
            .unflatten(-1, (HEADS, -1))
            .transpose(1, 2)
            for near, far in zip(self.near, self.far, strict=True)
        ]
        y = nn.functional.scaled_dot_product_attention(*heads)
        x = x + self.out(y.transpose(1, 2).flatten(2))
        first, grid = self._grid(self.between(x))
        return x + torch.cat([first, self.hidden(grid).flatten(2).transpose(1, 2)], 1)

    def _grid(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The token that stands for all, and the others as a map."""
        return x[:, :1], x[:, 1:].transpose(1, 2).unflatten(2, self.side)


class MaskedAutoencoder(nn.Module):
    """(B, 9, 160, 320) -> the pictures of student and teacher, (B, 200, 16 * 16 * 4) each.

    Which patches are dropped is drawn once: that costs what drawing anew would, or less.
    """

    kept: Tensor
    back: Tensor

    def __init__(self) -> None:
        super().__init__()
        h, w = SIZE[0] // PATCH_PX, SIZE[1] // PATCH_PX
        n = int(h * w * KEPT)
        order = torch.randperm(h * w)
        self.register_buffer("kept", order[:n], persistent=False)
        self.register_buffer("back", order.argsort(), persistent=False)
        self.patches = nn.Conv2d(CHANNELS, WIDTH, PATCH_PX, PATCH_PX)
        self.patch_norm = nn.LayerNorm(WIDTH)
        self.whole = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.encoder = nn.Sequential(*(Block(WIDTH, (h, n // h)) for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH)
        self.narrow = nn.Linear(WIDTH, DECODER_WIDTH)
        self.dropped = nn.Parameter(torch.zeros(1, 1, DECODER_WIDTH))
        blocks = [Block(DECODER_WIDTH, (h, w)) for _ in range(DEPTH + 1)]
        self.shared, self.student = blocks[0], blocks[1]
        self.teacher = nn.Sequential(*blocks[2:])
        self.pictures = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(DECODER_WIDTH), nn.Linear(DECODER_WIDTH, PATCH_PX**2 * OUT_CHANNELS)
            )
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.patch_norm(self.patches(x).flatten(2).transpose(1, 2))  # (B, 200, 256)
        b = len(x)
        x = torch.cat([self.whole.expand(b, -1, -1), x[:, self.kept]], 1)  # (B, 1 + 100, 256)
        x = self.narrow(self.norm(self.encoder(x)))
        missing = self.dropped.expand(b, len(self.back) - len(self.kept), -1)
        places = torch.cat([x[:, 1:], missing], 1)[:, self.back]
        x = self.shared(torch.cat([x[:, :1], places], 1))  # (B, 1 + 200, 128)
        student, teacher = self.student(x), self.teacher(x)
        return self.pictures[0](student)[:, 1:], self.pictures[1](teacher)[:, 1:]


def masked_autoencoder() -> MaskedAutoencoder:
    """The network, ready to be timed; AssertionError when it is not of the published size."""
    model = MaskedAutoencoder().eval()
    parameters = sum(p.numel() for p in model.parameters())
    assert abs(parameters / PUBLISHED_PARAMETERS - 1) < 0.1, parameters
    return model
