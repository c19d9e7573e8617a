"""Export: a trained encoder to one ONNX file that says what it is.

Files of float16 are half as large and made for GPUs: weights and arithmetic are float16, what goes
in and comes out stays float32, so that whoever runs them notices nothing else. On a CPU they give
the same within `HALF_TOLERANCE` and are slower.
"""

# mypy: allow-subclassing-any

import contextlib
import copy
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from detectors.encoder.contract import (
    CHANNELS,
    INPUTS,
    METADATA_KEY,
    OUTPUTS,
    PRECISIONS,
    STRIDE_PX,
    Contract,
)
from detectors.encoder.dynamics import Dynamics, MotionStatistics
from detectors.encoder.model import SoraEncoder
from detectors.encoder.pyramid import SpacePool, TimePool
from sorawatch import ModelError

OPSET = 20
AXES: dict[str, tuple[str | None, ...]] = {
    "X": ("B", "N", None, "H", "W"),
    "past": ("B", "M", None, "h", "w"),
    "window": ("B", None),
    "tokens": ("B", None, "h", "w"),
    "anomaly": ("B", "h", "w"),
    "features": ("B", "N", None, "h", "w"),
}
"""Names of the axes whose size is free."""

HALF_TOLERANCE = 0.005
"""Largest difference of an output in float16 from that in float32, as a share of the largest."""


def export_onnx(model: SoraEncoder, path: Path, name: str, *, half: bool = False) -> Contract:
    """Write the encoder to `path` whole or not at all; batch, frames, H and W stay free.

    `name` goes into the metadata, for people. `half`: in float16. The model is put into evaluation
    mode, its weights stay as they are. ModelError when a weight is no number.
    """
    _check_finite(model, path, "is NaN or infinite: lower learning_rate and train again")
    if half:
        model = halved(model)
        _check_finite(model, path, "is too large for float16: export it without --half")
    contract = Contract(
        name=name,
        window_dim=model.window_dim,
        token_dim=model.config.token_dim,
        feature_dim=model.feature_dim,
        precision=PRECISIONS[half],
    )
    write_whole(path, onnx_bytes(model, contract))
    return contract


def onnx_bytes(model: SoraEncoder, contract: Contract) -> bytes:
    """The encoder as an ONNX file that keeps `contract`."""
    dim, auto = torch.export.Dim, torch.export.Dim.AUTO
    batch, most = dim("B", min=1, max=4096), contract.frames_max
    # One row of cells (H = 16) would be taken for a constant; the graph serves it all the same.
    height = dim("H", min=STRIDE_PX + 1, max=contract.side_max_px)
    width = dim("W", min=STRIDE_PX + 1, max=contract.side_max_px)
    free = {
        "x": {0: batch, 1: dim("N", min=1, max=most), 3: height, 4: width},
        "past": {0: batch, 1: dim("M", min=1, max=most), 3: auto, 4: auto},
    }
    example = (
        torch.zeros(2, 5, len(CHANNELS), 112, 176),
        torch.zeros(2, 3, contract.feature_dim, 7, 11),
    )
    with _quiet():
        # Deferred: that h = ceil(H/16) is checked by whoever runs it, not proven here.
        exported = torch.export.export(
            _Incremental(model).eval(),
            example,
            dynamic_shapes=free,
            prefer_deferred_runtime_asserts_over_guards=True,
        )
        program = torch.onnx.export(
            exported,
            dynamo=True,
            opset_version=OPSET,
            input_names=list(INPUTS),
            output_names=list(OUTPUTS),
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    proto = program.model_proto
    _name_axes(proto)
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


class _Incremental(nn.Module):
    """The encoder on new frames and the features of those before, as in the contract."""

    def __init__(self, model: SoraEncoder) -> None:
        super().__init__()
        self.model = copy.deepcopy(model)
        self.model.stem.fold()

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        features = self.model.features(x)
        window, tokens, anomaly = self.model.encode(torch.cat([past, features], 1))
        return window, tokens, anomaly, features


def halved(model: SoraEncoder) -> SoraEncoder:
    """A copy in float16, but for what is not learned: areas and counts want every digit."""
    twin = copy.deepcopy(model)
    for module in twin.modules():
        if isinstance(module, TimePool | SpacePool | MotionStatistics | Dynamics):
            continue
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.half()
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_floating_point():
                setattr(module, name, buffer.half())
    return twin


def _check_finite(model: nn.Module, path: Path, problem: str) -> None:
    """ModelError that names the first weight that is not finite."""
    for name, weight in model.state_dict().items():
        if not torch.isfinite(weight).all():
            raise ModelError(f"{path}: not written: weight {name} {problem}")


def _name_axes(proto: onnx.ModelProto) -> None:
    """Name the free axes of inputs and outputs as the contract does."""
    for value in (*proto.graph.input, *proto.graph.output):
        axes = value.type.tensor_type.shape.dim
        for axis, name in zip(axes, AXES[value.name], strict=True):
            if name is not None:
                axis.dim_param = name


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
