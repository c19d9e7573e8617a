"""The encoder as the running program uses it: what it refuses, and what it promises about bits."""

import contextlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detectors.encoder import providers
from detectors.encoder.contract import CHANNELS, CONTRACT_VERSION, Contract
from detectors.encoder.onnx_file import NotOnnx, inspect
from detectors.encoder.providers import environment_problem
from detectors.encoder.session import EncoderSession
from sorawatch import ConfigError, DeviceError, ModelError

BUILTIN = Path(__file__).parents[2] / "detectors" / "weights" / "sora.onnx"
C = len(CHANNELS)


@pytest.fixture(scope="module")
def session() -> EncoderSession:
    return EncoderSession(device="cpu", threads=1)


@pytest.fixture(scope="module")
def builtin() -> bytes:
    return BUILTIN.read_bytes()


def window(*shape: int, seed: int = 0) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=shape) * 0.3
    return x.astype(np.float32)


def refused(tmp_path: Path, data: bytes) -> str:
    """The message with which an encoder of these bytes is refused."""
    path = tmp_path / "encoder.onnx"
    path.write_bytes(data)
    with pytest.raises(ModelError) as caught:
        EncoderSession(path, "cpu", 1)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_builtin_is_what_it_says(session: EncoderSession) -> None:
    """The encoder that ships loads, and gives what its contract promises."""
    out = session.run(window(2, 8, C, 120, 180))
    assert out.window.shape == (2, session.contract.window_dim)
    assert out.tokens.shape == (2, session.contract.token_dim, 8, 12)
    assert out.anomaly.shape == (2, 8, 12)
    assert len(session.sha256) == 64
    assert session.provider == "cpu"


def test_builtin_is_a_few_megabytes() -> None:
    """The weights in the package stay small."""
    assert BUILTIN.stat().st_size < 5_000_000


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(b=st.integers(0, 3), t=st.integers(1, 32), h=st.integers(16, 130), w=st.integers(16, 200))
def test_any_size_within_bounds(session: EncoderSession, b: int, t: int, h: int, w: int) -> None:
    """Any B, T, H, W within the bounds gives finite results with one token for each 16 px."""
    out = session.run(window(b, t, C, h, w))
    assert out.tokens.shape == (b, session.contract.token_dim, -(-h // 16), -(-w // 16))
    assert all(np.isfinite(a).all() for a in (out.window, out.tokens, out.anomaly))


def test_a_window_may_come_in_parts(session: EncoderSession) -> None:
    """A window whose frames came one after the other gives the bits that it gives at once."""
    x = window(2, 8, C, 101, 180)
    whole = session.run(x)
    for first in (1, 4, 7):
        past = session.run(x[:, :first]).features
        rest = session.run(x[:, first:], past)
        for name in ("window", "tokens", "anomaly"):
            assert getattr(rest, name).tobytes() == getattr(whole, name).tobytes()
        features = np.concatenate([past, rest.features], 1)
        assert features.tobytes() == whole.features.tobytes()


def test_past_of_another_size_is_refused(session: EncoderSession) -> None:
    """Features of another picture size, batch or length are a ValueError."""
    x = window(2, 1, C, 64, 64)
    dim = session.contract.feature_dim
    for shape in ((2, 7, dim, 4, 5), (1, 7, dim, 4, 4), (2, 7, dim + 1, 4, 4), (2, 7, 4, 4)):
        with pytest.raises(ValueError, match="past takes"):
            session.run(x, np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="T=33"):
        session.run(x, np.zeros((2, 32, dim, 4, 4), np.float32))


def test_largest_sizes(session: EncoderSession) -> None:
    """The bounds themselves are served."""
    for shape in ((1, 32, C, 512, 16), (1, 1, C, 16, 512)):
        assert np.isfinite(session.run(window(*shape)).tokens).all()


def test_a_windows_bits_do_not_depend_on_its_batch(session: EncoderSession) -> None:
    """The same window gives the same bits alone, in a batch, and at any place in it."""
    x = window(5, 8, C, 101, 180)
    together = session.run(x)
    backwards = session.run(x[::-1])
    for i in range(5):
        alone = session.run(x[i : i + 1])
        for name in ("window", "tokens", "anomaly"):
            bits = getattr(alone, name)[0].tobytes()
            assert getattr(together, name)[i].tobytes() == bits
            assert getattr(backwards, name)[4 - i].tobytes() == bits


def test_two_sessions_agree(session: EncoderSession) -> None:
    """Another session of the same file gives the same bits."""
    x = window(1, 8, C, 120, 180)
    again = EncoderSession(BUILTIN, "cpu", 1)
    assert again.sha256 == session.sha256
    assert again.run(x).tokens.tobytes() == session.run(x).tokens.tobytes()


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((8, C, 64, 64), np.float32),
        np.zeros((1, 8, 4, 64, 64), np.float32),
        np.zeros((1, 8, C, 64, 64), np.float64),
        np.zeros((1, 0, C, 64, 64), np.float32),
        np.zeros((1, 33, C, 64, 64), np.float32),
        np.zeros((1, 8, C, 15, 64), np.float32),
        np.zeros((1, 8, C, 64, 513), np.float32),
    ],
    ids=["axes", "channels", "type", "no-frame", "frames", "low", "wide"],
)
def test_other_shapes_are_refused(session: EncoderSession, x: np.ndarray) -> None:
    """What the contract does not take is a ValueError, not a crash inside ONNX Runtime."""
    with pytest.raises(ValueError, match=r"takes|not in"):
        session.run(x)


def test_cuda_is_never_silently_the_cpu() -> None:
    """`cuda` either runs on CUDA or is an error that says how to mend it."""
    if EncoderSession(device="auto", threads=1).provider == "cuda":
        assert EncoderSession(device="cuda").provider == "cuda"
        return
    with pytest.raises(DeviceError, match=r"sorawatch\[cuda\]"):
        EncoderSession(device="cuda")


def test_why_cuda_cannot_be_had_is_told_in_few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what the runtime says, the driver's own words reach the user, not the C++ around them."""
    said = (
        "/src/core/providers/cuda/cuda_call.cc:154 std::conditional_t<THRW, void, Status> "
        "onnxruntime::CudaCall(ERRTYPE, const char*) [with ERRTYPE = cudaError; bool THRW = true] "
        "CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=box; "
        "file=/src/cuda_execution_provider.cc ; line=282 ; expr=cudaSetDevice(info_.device_id);"
    )
    session = providers.onnxruntime.InferenceSession

    def refuse(*args: object, **options: Any) -> object:
        if options["providers"] == ["CPUExecutionProvider"]:
            return session(*args, **options)
        raise RuntimeError(said)

    monkeypatch.setattr(providers.onnxruntime, "InferenceSession", refuse)
    monkeypatch.setattr(
        providers.onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"]
    )
    with pytest.raises(DeviceError) as caught:
        EncoderSession(device="cuda")
    assert "not available: CUDA failure 100: no CUDA-capable device is detected;" in str(
        caught.value
    )


def test_auto_finds_something(capfd: pytest.CaptureFixture[str]) -> None:
    """`auto` loads wherever it is, without noise on standard error or output."""
    assert EncoderSession(device="auto", threads=1).provider in ("cuda", "cpu")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


def test_unknown_device() -> None:
    """A device that does not exist is a configuration error."""
    with pytest.raises(ConfigError, match="auto, cuda or cpu"):
        EncoderSession(device="tpu")  # type: ignore[arg-type]


def test_missing_file(tmp_path: Path) -> None:
    """A missing file is named."""
    with pytest.raises(ModelError, match=r"none\.onnx: cannot read"):
        EncoderSession(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="cannot read"):
        EncoderSession(tmp_path)


def test_broken_files_are_refused(tmp_path: Path, builtin: bytes) -> None:
    """Empty, cut, foreign and overwritten files are refused with the reason, before they run."""
    assert "not an ONNX model" in refused(tmp_path, b"")
    assert "not an ONNX model" in refused(tmp_path, b"%PDF-1.7 something else")
    assert "not an ONNX model" in refused(tmp_path, b"\x80\x04pickle" * 100)
    assert "cut short" in refused(tmp_path, builtin[: len(builtin) // 2])
    foreign = builtin.replace(b"sorawatch.encoder", b"somebody.encoders"[:17])
    assert "no Sorawatch encoder" in refused(tmp_path, foreign)
    version = b'"version": %d' % CONTRACT_VERSION
    assert "contract 7" in refused(tmp_path, builtin.replace(version, b'"version": 7'))
    assert "metadata is not JSON" in refused(
        tmp_path, builtin.replace(b'{"analysis_px"', b'["analysis_px"')
    )
    assert "channels" in refused(tmp_path, builtin.replace(b'"luma_00"', b'"blue_00"'))
    dim = EncoderSession(BUILTIN, "cpu", 1).contract.token_dim
    wrong = builtin.replace(b'"token_dim": %d' % dim, b'"token_dim": %d' % (dim - 1))
    assert "where its metadata promises" in refused(tmp_path, wrong)


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    """Files beyond the limit are not read into memory whole."""
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(200 * 1024 * 1024)
    with pytest.raises(ModelError, match="larger than 64 MiB"):
        EncoderSession(path)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_flipped_bytes_never_escape_as_other_errors(builtin: bytes, data: st.DataObject) -> None:
    """A look into damaged bytes ends in facts or in NotOnnx, nothing else."""
    at = data.draw(st.integers(0, len(builtin) - 1))
    damaged = bytearray(builtin[: data.draw(st.integers(at + 1, len(builtin)))])
    damaged[at] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(NotOnnx):
        inspect(bytes(damaged))


class TestForeignModels:
    """Files that are ONNX, made with the onnx package."""

    @pytest.fixture
    def model(self, builtin: bytes):
        onnx = pytest.importorskip("onnx", reason="the onnx package (extra train) is absent")
        return onnx.load_from_string(builtin)

    def test_nan_weights(self, tmp_path: Path, model) -> None:
        """Weights that are NaN are refused, wherever they stand."""
        weights = next(t for t in model.graph.initializer if len(t.dims) == 4)
        raw = bytearray(weights.raw_data)
        raw[-4:] = np.array([np.nan], "<f4").tobytes()
        weights.raw_data = bytes(raw)
        assert "encoder.onnx: holds weights that are NaN or infinite" in refused(
            tmp_path, model.SerializeToString()
        )

    def test_external_weights(self, tmp_path: Path, model) -> None:
        """A model that would read another file is refused."""
        weights = model.graph.initializer[0]
        weights.data_location = 1
        entry = weights.external_data.add()
        entry.key, entry.value = "location", "/etc/hostname"
        assert "other files" in refused(tmp_path, model.SerializeToString())

    def test_another_graph(self, tmp_path: Path, model) -> None:
        """The metadata alone does not make an encoder."""
        model.graph.output[1].name = "something"
        for node in model.graph.node:
            for i, name in enumerate(node.output):
                if name == "tokens":
                    node.output[i] = "something"
            for i, name in enumerate(node.input):
                if name == "tokens":
                    node.input[i] = "something"
        assert "an encoder takes" in refused(tmp_path, model.SerializeToString())

    @pytest.mark.parametrize(("axis", "size"), [(1, 8), (3, 48), (4, 64)])
    def test_fixed_sizes(self, tmp_path: Path, model, axis: int, size: int) -> None:
        """A model for whole windows or one picture size alone is refused when it is loaded."""
        x = next(i for i in model.graph.input if i.name == "X")
        x.type.tensor_type.shape.dim[axis].dim_value = size
        assert "fails on a trial window" in refused(tmp_path, model.SerializeToString())

    @pytest.mark.parametrize("change", [{"side_min_px": 4096}, {"side_max_px": 8}])
    def test_sizes_that_nothing_has(self, tmp_path: Path, model, change: dict[str, int]) -> None:
        """Metadata that would make the trial window gigabytes, or shuts out all pictures."""
        (entry,) = model.metadata_props
        entry.value = json.dumps(json.loads(entry.value) | change)
        assert next(iter(change)) in refused(tmp_path, model.SerializeToString())

    def test_an_unknown_operator(self, tmp_path: Path, model) -> None:
        """What ONNX Runtime cannot load is refused with its reason."""
        model.graph.node[0].op_type = "Unheard"
        assert "ONNX Runtime refuses it" in refused(tmp_path, model.SerializeToString())


def test_contract_survives_its_file() -> None:
    """What is written into the metadata is read back."""
    contract = Contract(name="a", window_dim=5, token_dim=3, feature_dim=7, precision="float16")
    assert Contract.parse(contract.to_json(), "x") == contract


def test_files_that_do_not_name_their_precision_are_served() -> None:
    """Files from before there was a choice have float32; one that names something else is refused
    with the reason, and so is one that lacks what every file must say."""
    given = json.loads(Contract(name="a", window_dim=5, token_dim=3, feature_dim=7).to_json())
    without = {key: value for key, value in given.items() if key != "precision"}
    assert Contract.parse(json.dumps(without), "x").precision == "float32"
    with pytest.raises(ModelError, match=r"x: metadata precision='int8' is not in"):
        Contract.parse(json.dumps(given | {"precision": "int8"}), "x")
    del without["period_s"]
    with pytest.raises(ModelError, match=r"x: its .* metadata lacks 'period_s'"):
        Contract.parse(json.dumps(without), "x")


@pytest.mark.parametrize("versions", [("1.2", None), (None, "1.2"), (None, None)])
def test_one_runtime_is_no_problem(versions: tuple[str | None, str | None]) -> None:
    """One ONNX Runtime, or none that pip knows of, is fine."""
    known = dict(zip(("onnxruntime", "onnxruntime-gpu"), versions, strict=True))
    assert environment_problem(known.get) is None


def test_two_runtimes_are_a_problem_with_a_remedy() -> None:
    """Both ONNX Runtimes at once are told, and how to mend it."""
    problem = environment_problem({"onnxruntime": "1.2", "onnxruntime-gpu": "1.3"}.get)
    assert problem is not None
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in problem
    assert "onnxruntime-gpu==1.3" in problem
