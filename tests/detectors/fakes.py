"""An encoder made of a few sums, where a real one would be slow and say less."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.encoder.contract import DIFFERENCE, LUMA, Contract


@dataclass(frozen=True)
class FakeOutput:
    tokens: NDArray[np.float32]
    features: NDArray[np.float32]


class FakeEncoder:
    """Tokens are each 16 px cell's mean luma and motion; counts its runs and windows."""

    def __init__(self, sha256: str = "ab" * 32) -> None:
        self.contract = Contract(name="fake", window_dim=1, token_dim=4, feature_dim=1)
        self.sha256 = sha256
        self.provider = "cpu"
        self.batches: list[int] = []

    def accepts(self, height: int, width: int) -> bool:
        return min(height, width) >= 16

    def run(self, x: NDArray[np.float32], past: NDArray[np.float32] | None = None) -> FakeOutput:
        self.batches.append(len(x))
        b, n, c, height, width = x.shape
        h, w = -(-height // 16), -(-width // 16)
        padded = np.zeros((b, n, c, h * 16, w * 16), np.float32)
        padded[..., :height, :width] = x
        means = padded.reshape(b, n, c, h, 16, w, 16).mean((4, 6))
        features = means[:, :, DIFFERENCE:]  # how much moved in each frame
        if past is not None:
            assert past.shape[1] + n == self.contract.frames
        before = 0.0 if past is None else past.sum(1)
        luma = means[:, -1, LUMA].mean(1, keepdims=True)
        tokens = np.concatenate([luma, means[:, -1, LUMA.stop :]], 1)
        tokens[:, 3:] += before + features.sum(1)
        return FakeOutput(tokens, features)
