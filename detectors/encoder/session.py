"""Running an encoder with ONNX Runtime: checked before use, on the device that was asked for."""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors.encoder.contract import (
    INPUT,
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
    """

    window: NDArray[np.float32]
    tokens: NDArray[np.float32]
    anomaly: NDArray[np.float32]


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

    def run(self, x: NDArray[np.float32]) -> EncoderOutput:
        """Encode windows (B, T, C, H, W) float32, B >= 0; see `detectors.encoder.features`.

        ValueError when the shape or type is not what the contract takes.
        """
        self._check_input(x)
        b, _, _, height, width = x.shape
        h, w = -(-height // STRIDE_PX), -(-width // STRIDE_PX)
        window = np.empty((b, self.contract.window_dim), np.float32)
        tokens = np.empty((b, self.contract.token_dim, h, w), np.float32)
        anomaly = np.empty((b, h, w), np.float32)
        # On a CPU a batch gains nothing, and how a product is cut up may depend on its size.
        chunk = 1 if self.provider == "cpu" else CUDA_CHUNK
        for i in range(0, b, chunk):
            n = min(chunk, b - i)
            part = x[i : i + n]
            if n < chunk:
                part = np.concatenate([part, np.zeros((chunk - n, *x.shape[1:]), np.float32)])
            results = self._session.run(OUTPUTS, {INPUT: np.ascontiguousarray(part)})
            window[i : i + n], tokens[i : i + n], anomaly[i : i + n] = (r[:n] for r in results)
        return EncoderOutput(window, tokens, anomaly)

    def accepts(self, height: int, width: int) -> bool:
        """Whether pictures of this size can be encoded."""
        low, high = self.contract.side_min_px, self.contract.side_max_px
        return low <= height <= high and low <= width <= high

    def _check_input(self, x: NDArray[np.float32]) -> None:
        contract = self.contract
        if x.ndim != 5 or x.dtype != np.float32 or x.shape[2] != len(contract.channels):
            raise ValueError(
                f"an encoder takes (B, T, {len(contract.channels)}, H, W) float32, "
                f"not {x.shape} {x.dtype}"
            )
        if not contract.frames_min <= x.shape[1] <= contract.frames_max:
            raise ValueError(
                f"T={x.shape[1]} is not in {contract.frames_min}..{contract.frames_max}"
            )
        if not self.accepts(x.shape[3], x.shape[4]):
            raise ValueError(
                f"H={x.shape[3]}, W={x.shape[4]} are not in "
                f"{contract.side_min_px}..{contract.side_max_px}"
            )

    def _check_graph(self) -> None:
        """Refuse a file whose graph is not what its metadata promises."""
        inputs = {i.name: (i.type, i.shape) for i in self._session.get_inputs()}
        outputs = [o.name for o in self._session.get_outputs()]
        if list(inputs) != [INPUT] or not set(OUTPUTS) <= set(outputs):
            raise ModelError(
                f"{self.path}: takes {sorted(inputs)} and gives {sorted(outputs)}, "
                f"an encoder takes [{INPUT!r}] and gives {sorted(OUTPUTS)}"
            )
        kind, shape = inputs[INPUT]
        if kind != "tensor(float)" or len(shape) != 5:
            raise ModelError(f"{self.path}: its input is {kind} {shape}, not float32 of 5 axes")

    def _check_run(self) -> None:
        """Refuse a file that does not compute what its metadata promises, on a trial run."""
        c = self.contract
        height, width = max(c.side_min_px, 48), max(c.side_min_px, 64)
        trial = np.linspace(0, 1, c.frames * 4 * height * width, dtype=np.float32)
        try:
            results = self._session.run(
                OUTPUTS, {INPUT: trial.reshape(1, c.frames, 4, height, width)}
            )
        except Exception as exc:
            raise ModelError(f"{self.path}: fails on a trial window: {_line(exc)}") from exc
        h, w = -(-height // STRIDE_PX), -(-width // STRIDE_PX)
        wanted = [(1, c.window_dim), (1, c.token_dim, h, w), (1, h, w)]
        for name, result, shape in zip(OUTPUTS, results, wanted, strict=True):
            if result.shape != shape or result.dtype != np.float32:
                raise ModelError(
                    f"{self.path}: gives {name} as {result.dtype} {result.shape} where its "
                    f"metadata promises float32 {shape}"
                )
            if not np.isfinite(result).all():
                raise ModelError(f"{self.path}: gives {name} that is not finite on a trial window")


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
