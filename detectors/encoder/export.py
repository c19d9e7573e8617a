"""Export: a trained encoder to one ONNX file that says what it is."""

# mypy: allow-subclassing-any

import os
import tempfile
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from detectors.encoder.contract import CHANNELS, INPUT, METADATA_KEY, OUTPUTS, Contract
from detectors.encoder.model import SoraEncoder

OPSET = 20


def contract_of(model: SoraEncoder, name: str) -> Contract:
    """The contract that an export of this model keeps."""
    return Contract(name=name, window_dim=model.config.window_dim, token_dim=model.config.token_dim)


def export_onnx(model: SoraEncoder, path: Path, name: str) -> Contract:
    """Write the encoder to `path` whole or not at all; batch, T, H and W stay free.

    `name` goes into the metadata, for people. The model is put into evaluation mode.
    """
    contract = contract_of(model, name)
    model.eval()
    example = torch.zeros(2, contract.frames, len(CHANNELS), 112, 176)
    b = torch.export.Dim("B", min=1, max=4096)
    t = torch.export.Dim("T", min=contract.frames_min, max=contract.frames_max)
    h = torch.export.Dim("H", min=contract.side_min_px, max=contract.side_max_px)
    w = torch.export.Dim("W", min=contract.side_min_px, max=contract.side_max_px)
    program = torch.onnx.export(
        _Plain(model).eval(),
        (example,),
        dynamo=True,
        opset_version=OPSET,
        input_names=[INPUT],
        output_names=list(OUTPUTS),
        dynamic_shapes={"x": {0: b, 1: t, 3: h, 4: w}},
        verbose=False,
    )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    proto = program.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, contract.to_json()
    proto.producer_name = "sorawatch"
    onnx.checker.check_model(proto)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".onnx")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(proto.SerializeToString())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return contract


class _Plain(nn.Module):
    """The encoder with the input's name in its signature, for the exporter."""

    def __init__(self, model: SoraEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y: tuple[Tensor, Tensor, Tensor] = self.model(x)
        return y
