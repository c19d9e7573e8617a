"""Export: one file that computes what torch does, in float32 or float16, or none at all."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch", reason="torch (extra train) is absent")
onnx = pytest.importorskip("onnx", reason="the onnx package (extra train) is absent")
pytest.importorskip("onnxscript", reason="onnxscript (extra train) is absent")

from detectors.encoder.contract import CHANNELS, METADATA_KEY  # noqa: E402
from detectors.encoder.export import HALF_TOLERANCE, export_onnx, write_whole  # noqa: E402
from detectors.encoder.model import EncoderConfig, SoraEncoder  # noqa: E402
from detectors.encoder.session import EncoderOutput, EncoderSession  # noqa: E402
from sorawatch import ModelError  # noqa: E402

C = len(CHANNELS)
SMALL = EncoderConfig(dim=16, heads=2, layers=1, window_dim=12, token_dim=8, stem=(8, 8, 8))
SIZES = [(1, 8, 120, 180), (2, 8, 101, 180), (5, 3, 48, 64), (3, 13, 33, 47), (1, 1, 16, 16)]
OUTPUTS = ("window", "tokens", "anomaly", "features")


@pytest.fixture(scope="module")
def model() -> SoraEncoder:
    """As if trained: its norms have seen something."""
    torch.manual_seed(3)
    model = SoraEncoder(SMALL).train()
    with torch.no_grad():
        for _ in range(20):
            model(torch.randn(2, 4, C, 48, 64) * 0.3)
    return model.eval()


@pytest.fixture(scope="module")
def single(model: SoraEncoder, tmp_path_factory: pytest.TempPathFactory) -> EncoderSession:
    path = tmp_path_factory.mktemp("single") / "sora.onnx"
    export_onnx(model, path, "small")
    return EncoderSession(path, "cpu", 1)


@pytest.fixture(scope="module")
def half(model: SoraEncoder, tmp_path_factory: pytest.TempPathFactory) -> EncoderSession:
    path = tmp_path_factory.mktemp("half") / "sora.onnx"
    export_onnx(model, path, "small", half=True)
    return EncoderSession(path, "cpu", 1)


def windows(b: int, t: int, height: int, width: int) -> NDArray[np.float32]:
    x = np.random.default_rng(b * t).normal(size=(b, t, C, height, width)) * 0.3
    return x.astype(np.float32)


def by_torch(model: SoraEncoder, x: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    with torch.no_grad():
        features = model.features(torch.from_numpy(x))
        outputs = (*model.encode(features), features)
    return {name: y.numpy() for name, y in zip(OUTPUTS, outputs, strict=True)}


def difference(out: EncoderOutput, wanted: dict[str, NDArray[np.float32]]) -> dict[str, float]:
    """Of each output, as a share of its largest number."""
    return {
        name: float(np.abs(getattr(out, name) - own).max() / np.abs(own).max())
        for name, own in wanted.items()
    }


@pytest.mark.parametrize("size", SIZES)
def test_onnx_is_what_torch_computes(
    model: SoraEncoder, single: EncoderSession, size: tuple[int, int, int, int]
) -> None:
    """At several batch sizes, lengths and picture sizes, all four outputs are torch's."""
    x = windows(*size)
    assert max(difference(single.run(x), by_torch(model, x)).values()) < 1e-4


@pytest.mark.parametrize("size", [s for s in SIZES if s[1] > 1])
def test_onnx_with_a_past_is_what_torch_computes(
    model: SoraEncoder, single: EncoderSession, size: tuple[int, int, int, int]
) -> None:
    """A window that moves on by one frame gives what torch gives for the whole of it."""
    x = windows(*size)
    wanted = by_torch(model, x)
    out = single.run(x[:, -1:], single.run(x[:, :-1]).features)
    wanted["features"] = wanted["features"][:, -1:]
    assert max(difference(out, wanted).values()) < 1e-4


@pytest.mark.parametrize("size", SIZES)
def test_half_is_nearly_the_same(
    model: SoraEncoder, half: EncoderSession, size: tuple[int, int, int, int]
) -> None:
    """In float16 every output stays within the tolerance that is promised; it comes as float32."""
    x = windows(*size)
    out = half.run(x)
    apart = difference(out, by_torch(model, x))
    assert 0 < max(apart.values()) < HALF_TOLERANCE
    assert {getattr(out, name).dtype for name in OUTPUTS} == {np.dtype(np.float32)}


def test_half_says_so_and_is_half_as_large(
    model: SoraEncoder, single: EncoderSession, half: EncoderSession
) -> None:
    """The metadata names the precision; weights and arithmetic are float16, inputs are not."""
    assert single.contract.precision == "float32"
    assert half.contract.precision == "float16"
    file = onnx.load(half.path)
    half_type, float_type = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    numbers = {
        kind: sum(np.prod(t.dims) for t in file.graph.initializer if t.data_type == kind)
        for kind in (half_type, float_type)
    }
    learned = sum(w.numel() for w in model.parameters())
    assert numbers[half_type] >= 0.9 * learned
    assert numbers[float_type] < 1000  # areas and what motion is counted by
    borders = {v.type.tensor_type.elem_type for v in (*file.graph.input, *file.graph.output)}
    assert borders == {float_type}
    assert "float16" in next(p.value for p in file.metadata_props if p.key == METADATA_KEY)


def test_half_keeps_its_bits(half: EncoderSession) -> None:
    """In float16 too a window gives the same bits in parts and in any batch."""
    x = windows(3, 8, 48, 64)
    whole = half.run(x)
    past = half.run(x[:, :5]).features
    parts, alone = half.run(x[:, 5:], past), half.run(x[1:2])
    for name in ("window", "tokens", "anomaly"):
        assert getattr(parts, name).tobytes() == getattr(whole, name).tobytes()
        assert getattr(alone, name)[0].tobytes() == getattr(whole, name)[1].tobytes()


def test_export_leaves_the_model_as_it_was(model: SoraEncoder, half: EncoderSession) -> None:
    """After an export in float16 the model still computes in float32."""
    assert half.contract.precision == "float16"
    assert {w.dtype for w in model.parameters()} == {torch.float32}


def test_a_weight_that_is_no_number_is_not_exported(model: SoraEncoder, tmp_path: Path) -> None:
    """NaN in the weights, or what float16 cannot hold: the file and the weight are named, and
    nothing is written."""
    path = tmp_path / "sora.onnx"
    broken = SoraEncoder(SMALL)
    broken.load_state_dict(model.state_dict())
    with torch.no_grad():
        broken.fusion.linear.weight[0, 0] = torch.nan
    with pytest.raises(ModelError, match=r"sora\.onnx: .*fusion\.linear\.weight is NaN"):
        export_onnx(broken, path, "broken")
    with torch.no_grad():
        broken.fusion.linear.weight[0, 0] = 1e5
    with pytest.raises(ModelError, match=r"sora\.onnx: .*fusion\.linear\.weight is too large"):
        export_onnx(broken, path, "broken", half=True)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    """A file that cannot be replaced leaves no half-written one behind."""
    (tmp_path / "x.onnx").mkdir()
    with pytest.raises(OSError, match=r"x\.onnx"):
        write_whole(tmp_path / "x.onnx", b"a model")
    assert [p.name for p in tmp_path.iterdir()] == ["x.onnx"]
