"""Windows as another camera, at another hour, might have shown them."""

import numpy as np
from numpy.typing import NDArray

from detectors.encoder.contract import DIFFERENCE, FLOW, LUMA
from detectors.encoder.features import FLOW_LIMIT
from detectors.encoder.plant import resize


def zoom(x: NDArray[np.float32], size: tuple[int, int], by: float) -> NDArray[np.float32]:
    """Frames of X (..., 7, h, w) at another (height, width); flow grows `by` so much."""
    out = resize(x, size)
    flow = out[..., FLOW, :, :]
    np.clip(flow * np.float32(by), -FLOW_LIMIT, FLOW_LIMIT, out=flow)
    return out


def mirror(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Frames of X seen in a mirror: left is right."""
    out = x[..., ::-1].copy()
    out[..., LUMA, :, :] = out[..., (1, 0, 3, 2), :, :]
    out[..., FLOW.start, :, :] *= -1
    return out


def relight(x: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Change light and contrast of a window, in place."""
    gain, lift = np.float32(np.exp(rng.uniform(-0.35, 0.35))), np.float32(rng.uniform(-0.1, 0.1))
    x[:, LUMA] = np.clip((x[:, LUMA] - 0.5) * gain + 0.5 + lift, 0.0, 1.0)
    x[:, DIFFERENCE] = np.minimum(x[:, DIFFERENCE] * gain, 4.0)
