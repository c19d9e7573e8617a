"""Running an encoder with ONNX Runtime: checked before use, on the device that was asked for."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.encoder.contract import (
    INPUTS,
    MAX_FILE_BYTES,
    METADATA_KEY,
    OUTPUTS,
    STRIDE_PX,
    Contract,
)
from detectors.encoder.onnx_file import NotOnnx, inspect
from detectors.encoder.providers import Device, Provider, environment_problem, open_session
from sorawatch import ModelError, SorawatchError

__all__ = ["EncoderOutput", "EncoderSession", "environment_problem"]

log = logging.getLogger(__name__)

BUILTIN = Path(__file__).parents[1] / "weights" / "sora.onnx"
"""The encoder that ships with the program."""

CUDA_CHUNK = 16
"""Windows in one run on a GPU. Always exactly so many (filled up with zeros), so that a window's
bits do not depend on how many others came with it."""


@dataclass(frozen=True, slots=True)
class EncoderOutput:
    """What the encoder says about B windows of one size; h = ceil(H/16), w = ceil(W/16).

    `window`: (B, D) float32, one vector for each window.
    `tokens`: (B, E, h, w) float32, local tokens of the newest frame.
    `anomaly`: (B, h, w) float32, logit that a cell is not as it should be.
    `features`: (B, N, F, h, w) float32, of the frames given: `past` of later calls.
    """

    window: NDArray[np.float32]
    tokens: NDArray[np.float32]
    anomaly: NDArray[np.float32]
    features: NDArray[np.float32]


class EncoderSession:
    """One loaded encoder; the same window gives the same bits, whatever it came together with.

    `contract`: what the file promises. `provider`: cpu or cuda, what it truly runs on.
    `sha256`: of the file, hexadecimal. `path`: where it came from.
    May be used by several threads at once.
    """

    def __init__(
        self, path: str | Path | None = None, device: Device = "auto", threads: int | None = None
    ) -> None:
        """Load the encoder at `path` (None: the one that ships with the program).

        `threads`: CPU threads within one run, None for one per core.
        ModelError when the file is missing, broken or foreign; DeviceError when `device` is `cuda`
        and CUDA cannot be had.
        """
        self.provider: Provider
        self.path = str(path) if path is not None else "built-in encoder"
        data = _read(path)
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.contract = _check(data, self.path)
        try:
            self._session, self.provider = open_session(data, device, threads)
        except SorawatchError:
            raise
        except Exception as exc:  # ONNX Runtime's own errors share no base but Exception
            raise ModelError(f"{self.path}: ONNX Runtime refuses it: {_line(exc)}") from exc
        self._check_graph()
        self._check_run()
        log.info(
            "encoder %s (%s, sha256 %s) runs on %s",
            self.contract.name,
            self.path,
            self.sha256[:12],
            self.provider,
        )

    def run(self, x: NDArray[np.float32], past: NDArray[np.float32] | None = None) -> EncoderOutput:
        """Encode windows: their newest frames, given the features of those before.

        `x`: (B, N, C, H, W) float32, B >= 0, N >= 1, see `detectors.encoder.features`. `past`:
        (B, M, F, h, w) float32, features of the M frames before; None when `x` holds whole windows.
        The same bits come out however a window's frames are parted into `past` and `x`.
        ValueError when shapes or types are not what the contract takes.
        """
        h, w = -(-x.shape[-2] // STRIDE_PX), -(-x.shape[-1] // STRIDE_PX)
        if past is None:
            past = np.empty((len(x), 0, self.contract.feature_dim, h, w), np.float32)
        self._check_input(x, past)
        b, n = x.shape[:2]
        c = self.contract
        out = EncoderOutput(
            window=np.empty((b, c.window_dim), np.float32),
            tokens=np.empty((b, c.token_dim, h, w), np.float32),
            anomaly=np.empty((b, h, w), np.float32),
            features=np.empty((b, n, c.feature_dim, h, w), np.float32),
        )
        # On a CPU a batch gains nothing, and how a product is cut up may depend on its size.
        chunk = 1 if self.provider == "cpu" else CUDA_CHUNK
        for i in range(0, b, chunk):
            size = min(chunk, b - i)
            own = slice(i, i + size)
            feed = {"X": _filled(x[own], chunk), "past": _filled(past[own], chunk)}
            results = self._session.run(OUTPUTS, feed)
            for whole, part in zip(
                (out.window, out.tokens, out.anomaly, out.features), results, strict=True
            ):
                whole[own] = part[:size]
        return out

    def accepts(self, height: int, width: int) -> bool:
        """Whether pictures of this size can be encoded."""
        low, high = self.contract.side_min_px, self.contract.side_max_px
        return low <= height <= high and low <= width <= high

    def _check_input(self, x: NDArray[np.float32], past: NDArray[np.float32]) -> None:
        c = self.contract
        if x.ndim != 5 or x.dtype != np.float32 or x.shape[2] != len(c.channels) or not x.shape[1]:
            raise ValueError(
                f"an encoder takes (B, N, {len(c.channels)}, H, W) float32, not {x.shape} {x.dtype}"
            )
        if not self.accepts(x.shape[3], x.shape[4]):
            raise ValueError(
                f"H={x.shape[3]}, W={x.shape[4]} are not in {c.side_min_px}..{c.side_max_px}"
            )
        cells = tuple(-(-side // STRIDE_PX) for side in x.shape[3:])
        wanted = (len(x), past.shape[1] if past.ndim == 5 else 0, c.feature_dim, *cells)
        if past.shape != wanted or past.dtype != np.float32:
            raise ValueError(
                f"past takes (B, M, F, h, w) float32 = {wanted}, not {past.shape} {past.dtype}"
            )
        frames = x.shape[1] + past.shape[1]
        if not c.frames_min <= frames <= c.frames_max:
            raise ValueError(f"T={frames} is not in {c.frames_min}..{c.frames_max}")

    def _check_graph(self) -> None:
        """Refuse a file whose graph is not what its metadata promises."""
        inputs = {i.name: (i.type, i.shape) for i in self._session.get_inputs()}
        outputs = [o.name for o in self._session.get_outputs()]
        if set(inputs) != set(INPUTS) or not set(OUTPUTS) <= set(outputs):
            raise ModelError(
                f"{self.path}: takes {sorted(inputs)} and gives {sorted(outputs)}, "
                f"an encoder takes {sorted(INPUTS)} and gives {sorted(OUTPUTS)}"
            )
        for name, (kind, shape) in inputs.items():
            if kind != "tensor(float)" or len(shape) != 5:
                raise ModelError(
                    f"{self.path}: its input {name} is {kind} {shape}, not float32 of 5 axes"
                )

    def _check_run(self) -> None:
        """Refuse a file that does not compute what its metadata promises, on trial windows.

        One is whole; of the other, of another size, only the newest frame is new, as when watching:
        a graph whose sizes are fixed would pass one and end the program with the other.
        """
        c = self.contract
        low, high = c.side_min_px, c.side_max_px
        self._trial(c.frames, 0, max(low, 48), max(low, 64))
        if c.frames > 1:
            self._trial(1, c.frames - 1, min(high, max(low, 100)), min(high, max(low, 144)))

    def _trial(self, new: int, known: int, height: int, width: int) -> None:
        """Run `new` frames after the features of `known`, and check what comes out."""
        c = self.contract
        h, w = -(-height // STRIDE_PX), -(-width // STRIDE_PX)
        channels = len(c.channels)
        trial = np.linspace(0, 1, new * channels * height * width, dtype=np.float32)
        feed = {
            "X": trial.reshape(1, new, channels, height, width),
            "past": np.zeros((1, known, c.feature_dim, h, w), np.float32),
        }
        try:
            results = self._session.run(OUTPUTS, feed)
        except Exception as exc:
            raise ModelError(f"{self.path}: fails on a trial window: {_line(exc)}") from exc
        wanted = [
            (1, c.window_dim),
            (1, c.token_dim, h, w),
            (1, h, w),
            (1, new, c.feature_dim, h, w),
        ]
        for name, result, shape in zip(OUTPUTS, results, wanted, strict=True):
            if result.shape != shape or result.dtype != np.float32:
                raise ModelError(
                    f"{self.path}: gives {name} as {result.dtype} {result.shape} where its "
                    f"metadata promises float32 {shape}"
                )
            if not np.isfinite(result).all():
                raise ModelError(f"{self.path}: gives {name} that is not finite on a trial window")


def _filled(part: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """`part` with zeros behind it up to `size` windows, contiguous."""
    if len(part) < size:
        whole = np.zeros((size, *part.shape[1:]), np.float32)  # what stays zero is never written
        whole[: len(part)] = part
        return whole
    return np.ascontiguousarray(part)


def _read(path: str | Path | None) -> bytes:
    """The file's bytes; ModelError when it is missing, unreadable or too large."""
    path = path if path is not None else BUILTIN
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ModelError(f"{path}: cannot read the encoder: {exc.strerror or exc}") from exc
    if len(data) > MAX_FILE_BYTES:
        raise ModelError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB, no encoder of ours is")
    return data


def _check(data: bytes, path: str) -> Contract:
    """The contract in the file's metadata; ModelError when the file is not to be trusted."""
    try:
        facts = inspect(data)
    except NotOnnx as exc:
        raise ModelError(f"{path}: not an ONNX model: {exc}") from exc
    if METADATA_KEY not in facts.metadata:
        raise ModelError(
            f"{path}: an ONNX model, but no Sorawatch encoder (no metadata {METADATA_KEY!r}): "
            "make one with sorawatch export"
        )
    contract = Contract.parse(facts.metadata[METADATA_KEY], path)
    if facts.external:
        raise ModelError(f"{path}: keeps weights in other files; export it as one file")
    if not facts.finite:
        raise ModelError(f"{path}: holds weights that are NaN or infinite")
    return contract


def _line(exc: Exception) -> str:
    return " ".join(str(exc).split())[:300]
