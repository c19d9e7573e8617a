"""Export: a trained encoder to one ONNX file that says what it is."""

# mypy: allow-subclassing-any

import contextlib
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from detectors.encoder.contract import CHANNELS, INPUT, METADATA_KEY, OUTPUTS, Contract
from detectors.encoder.model import SoraEncoder

OPSET = 20


def export_onnx(model: SoraEncoder, path: Path, name: str) -> Contract:
    """Write the encoder to `path` whole or not at all; batch, T, H and W stay free.

    `name` goes into the metadata, for people. The model is put into evaluation mode.
    """
    config = model.config
    contract = Contract(name=name, window_dim=config.window_dim, token_dim=config.token_dim)
    write_whole(path, onnx_bytes(model, contract))
    return contract


def onnx_bytes(model: SoraEncoder, contract: Contract) -> bytes:
    """The encoder as an ONNX file that keeps `contract`."""
    example = torch.zeros(2, contract.frames, len(CHANNELS), 112, 176)
    free = {
        0: torch.export.Dim("B", min=1, max=4096),
        1: torch.export.Dim("T", min=contract.frames_min, max=contract.frames_max),
        3: torch.export.Dim("H", min=contract.side_min_px, max=contract.side_max_px),
        4: torch.export.Dim("W", min=contract.side_min_px, max=contract.side_max_px),
    }
    with _quiet():
        program = torch.onnx.export(
            _Plain(model).eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_shapes={"x": free},
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    proto = program.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, contract.to_json()
    proto.producer_name = "sorawatch"
    onnx.checker.check_model(proto)
    data: bytes = proto.SerializeToString()
    return data


def write_whole(path: Path, data: bytes) -> None:
    """Write the file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".new")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


class _Plain(nn.Module):
    """The encoder with the input's name in its signature, for the exporter."""

    def __init__(self, model: SoraEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y: tuple[Tensor, Tensor, Tensor] = self.model(x)
        return y


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's own warnings and hundreds of lines of log; errors pass."""
    loggers = [
        logging.getLogger(n) for n in ("onnx_ir", "onnxscript", "torch.onnx", "torch.__trace")
    ]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
