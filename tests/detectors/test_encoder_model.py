"""The encoder's shape: sizes, pooling, attention, and the way to ONNX."""

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch (extra train) is absent")
pytest.importorskip("onnxscript", reason="onnxscript (extra train) is absent")

from detectors.encoder.export import write_whole  # noqa: E402
from detectors.encoder.model import Attention, EncoderConfig, SoraEncoder  # noqa: E402
from detectors.encoder.pyramid import CELLS, GRIDS, INTERVALS, SpacePool, TimePool  # noqa: E402

SMALL = EncoderConfig(dim=16, heads=2, layers=2, window_dim=12, token_dim=8, stem=(8, 8))


@pytest.fixture(scope="module")
def model() -> SoraEncoder:
    torch.manual_seed(3)
    return SoraEncoder(SMALL).eval()


@pytest.mark.parametrize(
    "shape", [(1, 8, 120, 180), (2, 1, 16, 16), (3, 5, 33, 47), (1, 32, 16, 256), (2, 8, 256, 256)]
)
def test_any_size_gives_its_tokens(model: SoraEncoder, shape: tuple[int, ...]) -> None:
    """Any T, H, W gives one vector, and one token and one logit for each 16 px."""
    b, t, height, width = shape
    h, w = -(-height // 16), -(-width // 16)
    with torch.no_grad():
        window, tokens, anomaly = model(torch.rand(b, t, 4, height, width))
    assert window.shape == (b, 12)
    assert tokens.shape == (b, 8, h, w)
    assert anomaly.shape == (b, h, w)
    assert all(torch.isfinite(y).all() for y in (window, tokens, anomaly))


def test_pyramid_has_four_scales_of_four_intervals() -> None:
    """Four spatial scales by four temporal intervals, whatever the size."""
    assert len(GRIDS) == 4
    assert INTERVALS == 4
    for h, w in ((1, 1), (2, 7), (16, 16)):
        assert SpacePool()(torch.rand(2, 3, h, w)).shape == (2, CELLS, 3)


@pytest.mark.parametrize(("h", "w"), [(1, 1), (3, 2), (8, 12), (16, 16)])
def test_pooling_never_collapses_or_invents(h: int, w: int) -> None:
    """A constant map stays that constant in every cell of every scale, even with fewer cells."""
    pooled = SpacePool()(torch.full((1, 2, h, w), 0.7))
    assert torch.allclose(pooled, torch.tensor(0.7))


def test_pooling_is_the_mean_over_areas() -> None:
    """Where the grid divides the map, a pooled cell is the mean of its part."""
    x = torch.rand(1, 1, 6, 10)
    pooled = SpacePool()(x)[0, :, 0]
    assert torch.allclose(pooled[0], x.mean())
    first_of_two = x[0, 0, :3, :5].mean()
    assert torch.allclose(pooled[1], first_of_two, atol=1e-6)


def test_the_temporal_axis_is_time() -> None:
    """Interval k is the mean of the newest T / 2^k frames, the newest being the last."""
    x = torch.rand(2, 8, 5)
    pooled = TimePool()(x)
    for k, n in enumerate((8, 4, 2, 1)):
        assert torch.allclose(pooled[:, k], x[:, 8 - n :].mean(1), atol=1e-6)
    single = TimePool()(x[:, :1])
    assert torch.allclose(single, x[:, :1].expand(-1, 4, -1))


def test_width_is_not_time(model: SoraEncoder) -> None:
    """Turning the frames' order changes the answer: time is an axis of its own."""
    x = torch.rand(1, 8, 4, 48, 64)
    with torch.no_grad():
        forth, back = model(x)[1], model(x.flip(1))[1]
    assert not torch.allclose(forth, back, atol=1e-3)


def test_attention_is_a_product_over_tokens() -> None:
    """softmax(Q K^T / sqrt(d)) V, each row of weights over all keys, head by head."""
    torch.manual_seed(0)
    attention = Attention(8, 2)
    a, b = torch.rand(1, 3, 8), torch.rand(1, 5, 8)
    q = attention.query(a)[0]
    k, v = attention.key_value(b)[0].split(8, 1)
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        weights = torch.softmax(q[:, part] @ k[:, part].T / 2.0, 1)
        assert weights.shape == (3, 5)
        heads.append(weights @ v[:, part])
    wanted = attention.out(torch.cat(heads, 1))
    assert torch.allclose(attention(a, b)[0], wanted, atol=1e-6)


def test_context_reaches_local_tokens(model: SoraEncoder) -> None:
    """What happens in one corner is known, a little, in the others."""
    x = torch.zeros(1, 8, 4, 96, 96)
    other = x.clone()
    other[:, :, 1, :16, :16] = 1.0
    with torch.no_grad():
        change = (model(x)[1] - model(other)[1]).abs().amax(1)[0]
    assert change[0, 0] > change[-1, -1]
    assert change[-1, -1] > 1e-5


def test_light_alone_changes_nothing(model: SoraEncoder) -> None:
    """A picture that is lighter as a whole gives the same tokens."""
    x = torch.rand(1, 4, 4, 48, 48) * 0.5
    lighter = x.clone()
    lighter[:, :, 0] += 0.3
    with torch.no_grad():
        assert torch.allclose(model(x)[1], model(lighter)[1], atol=1e-3)


def test_a_failed_export_leaves_nothing(tmp_path: Path) -> None:
    """A file that cannot be replaced leaves no half-written one behind."""
    (tmp_path / "x.onnx").mkdir()
    with pytest.raises(OSError, match=r"x\.onnx"):
        write_whole(tmp_path / "x.onnx", b"a model")
    assert [p.name for p in tmp_path.iterdir()] == ["x.onnx"]
