"""The encoder's shape: sizes, pooling, attention, and the way to ONNX."""

import pytest

torch = pytest.importorskip("torch", reason="torch (extra train) is absent")

import torch.nn.functional as F  # noqa: E402

from detectors.encoder.contract import CHANNELS, DIFFERENCE, FLOW, LUMA  # noqa: E402
from detectors.encoder.dynamics import DYNAMICS  # noqa: E402
from detectors.encoder.model import Attention, EncoderConfig, SoraEncoder, Stem  # noqa: E402
from detectors.encoder.pyramid import (  # noqa: E402
    CELLS,
    GRIDS,
    INTERVALS,
    SpacePool,
    SpaceTimePyramid,
    TimePool,
    tiles,
)

SMALL = EncoderConfig(dim=16, heads=2, layers=2, window_dim=12, token_dim=8, stem=(8, 8, 8))
C = len(CHANNELS)


@pytest.fixture(scope="module")
def model() -> SoraEncoder:
    torch.manual_seed(3)
    return SoraEncoder(SMALL).eval()


@pytest.mark.parametrize(
    "shape",
    [
        (1, 8, 120, 180),
        (2, 1, 16, 16),
        (3, 5, 33, 47),
        (2, 7, 101, 180),
        (1, 13, 180, 135),
        (1, 1, 17, 31),
        (1, 32, 16, 256),
        (1, 3, 256, 256),
    ],
)
def test_any_size_gives_its_tokens(model: SoraEncoder, shape: tuple[int, ...]) -> None:
    """Any T, H, W gives one vector, and one token and one logit for each 16 px."""
    b, t, height, width = shape
    h, w = -(-height // 16), -(-width // 16)
    with torch.no_grad():
        window, tokens, anomaly = model(torch.rand(b, t, C, height, width))
    assert window.shape == (b, 12 + DYNAMICS)
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


@pytest.mark.parametrize("size", [(16, 16), (51, 90), (7, 12), (1, 9)])
def test_tiles_are_means_of_eight_cells(size: tuple[int, int]) -> None:
    """As pooling gives them, those at the border of fewer."""
    x = torch.rand(2, 3, *size)
    rows, columns = (tiles(n, 8, x) for n in size)
    wanted = F.avg_pool2d(x, 8, ceil_mode=True, count_include_pad=False)
    assert torch.allclose(rows @ (x @ columns.T), wanted, atol=1e-6)


def test_folding_the_gain_changes_no_bit() -> None:
    """What brings channels to unit size may stand in the first convolution instead."""
    torch.manual_seed(3)
    stem = Stem((8, 16, 16), 24).eval()
    x = torch.rand(2, len(CHANNELS), 50, 70)
    with torch.inference_mode():
        before = stem(x)
        stem.fold()
        stem.fold()
        assert torch.equal(stem(x), before)


def test_the_temporal_axis_is_time() -> None:
    """Interval k is the mean of the newest T / 2^k frames, the newest being the last."""
    x = torch.rand(2, 8, 5)
    pooled = TimePool()(x)
    for k, n in enumerate((8, 4, 2, 1)):
        assert torch.allclose(pooled[:, k], x[:, 8 - n :].mean(1), atol=1e-6)
    single = TimePool()(x[:, :1])
    assert torch.allclose(single, x[:, :1].expand(-1, 4, -1))


@pytest.mark.parametrize("t", [1, 3, 7, 8, 13, 32])
def test_the_newest_frame_weighs_most(t: int) -> None:
    """No frame weighs more than a newer one, in any interval; weights of an interval sum to 1."""
    weights = TimePool()(torch.eye(t)[None])[0]  # (4, T)
    assert torch.allclose(weights.sum(1), torch.ones(INTERVALS), atol=1e-6)
    assert (weights.diff(dim=1) >= -1e-6).all()
    assert weights[:, -1].sum() == weights.sum(0).max()
    assert weights[-1, -1] == pytest.approx(min(1.0, 8 / t))


def test_time_pooling_leaves_the_width_alone() -> None:
    """Columns that change places before pooling over time have changed places after it, nothing
    else; frames that do give another result."""
    x = torch.rand(2, 8, 3 * 6 * 11)
    maps = x.reshape(2, 8, 3, 6, 11)
    pooled = TimePool()(x).reshape(2, INTERVALS, 3, 6, 11)
    order = torch.randperm(11)
    columns = TimePool()(maps[..., order].reshape(2, 8, -1)).reshape(2, INTERVALS, 3, 6, 11)
    assert torch.equal(columns, pooled[..., order])
    frames = TimePool()(x[:, torch.arange(8).roll(1)])
    assert not torch.allclose(frames, pooled.flatten(2), atol=1e-2)


def test_a_256_px_picture_keeps_its_places(model: SoraEncoder) -> None:
    """Of 256 px nothing is pooled away: every cell of the 16x16 map reaches every scale, every
    pooled cell is a mean (its weights sum to 1), and no two of a scale are alike."""
    with torch.no_grad():
        features = model.features(torch.rand(1, 1, C, 256, 256))[:, :, : SMALL.dim]
    assert features.shape[-2:] == (16, 16)
    weights = SpacePool()(torch.eye(256).reshape(256, 1, 16, 16))[..., 0]  # (256, CELLS)
    assert torch.allclose(weights.sum(0), torch.ones(CELLS), atol=1e-5)
    for scale in weights.split([g * g for g in GRIDS], 1):
        assert (scale.sum(1) > 0).all()
        assert torch.linalg.matrix_rank(scale) == scale.shape[1]
    maps = features.expand(INTERVALS, -1, -1, -1, -1).transpose(0, 1)
    assert SpaceTimePyramid(SMALL.dim)(maps).shape == (1, INTERVALS * CELLS, 16)


def test_width_is_not_time(model: SoraEncoder) -> None:
    """Turning the frames' order changes the answer: time is an axis of its own."""
    x = torch.rand(1, 8, C, 48, 64)
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


@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 7), (156, 156), (96, 156)])
def test_attention_is_torchs_own(n: int, m: int) -> None:
    """What comes out is scaled_dot_product_attention of the same queries, keys and values."""
    torch.manual_seed(n)
    attention = Attention(24, 3)
    a, b = torch.randn(2, n, 24), torch.randn(2, m, 24)

    def heads(x: torch.Tensor) -> torch.Tensor:
        return x.unflatten(-1, (3, 8)).transpose(1, 2)

    q, (k, v) = attention.query(a), attention.key_value(b).chunk(2, -1)
    wanted = torch.nn.functional.scaled_dot_product_attention(heads(q), heads(k), heads(v))
    wanted = attention.out(wanted.transpose(1, 2).flatten(2))
    assert torch.allclose(attention(a, b), wanted, atol=1e-5)


def test_attention_weights_sum_to_one_over_keys() -> None:
    """Where every key says 1, every query hears 1: softmax goes over the keys, not the queries."""
    attention = Attention(8, 2)
    with torch.no_grad():
        attention.key_value.weight[8:] = 0.0
        attention.key_value.bias[8:] = 1.0
        attention.out.weight.copy_(torch.eye(8))
        attention.out.bias.zero_()
        heard = attention(torch.randn(1, 3, 8) * 5, torch.randn(1, 50, 8) * 5)
    assert torch.allclose(heard, torch.ones(1, 3, 8), atol=1e-5)


def test_context_reaches_local_tokens(model: SoraEncoder) -> None:
    """What happens in one corner is known, a little, in the others."""
    x = torch.zeros(1, 8, C, 96, 96)
    other = x.clone()
    other[:, :, FLOW.start, :16, :16] = 1.0
    with torch.no_grad():
        change = (model(x)[1] - model(other)[1]).abs().amax(1)[0]
    assert change[0, 0] > change[-1, -1]
    assert change[-1, -1] > 1e-5


def test_light_alone_changes_nothing(model: SoraEncoder) -> None:
    """A picture that is lighter as a whole gives the same tokens."""
    x = torch.rand(1, 4, C, 48, 48) * 0.5
    lighter = x.clone()
    lighter[:, :, LUMA] += 0.3
    with torch.no_grad():
        assert torch.allclose(model(x)[1], model(lighter)[1], atol=1e-3)


def test_every_channel_is_seen(model: SoraEncoder) -> None:
    """Each of the four luma phases, both parts of flow and the difference change the tokens."""
    torch.manual_seed(1)
    x = torch.rand(1, 2, C, 32, 32)
    with torch.no_grad():
        wanted = model(x)[1]
        for channel in (*range(C)[LUMA], *range(C)[FLOW], DIFFERENCE):
            other = x.clone()
            other[:, :, channel] = torch.rand(1, 2, 32, 32)
            assert (model(other)[1] - wanted).abs().max() > 1e-4, CHANNELS[channel]
