"""How a window moves as a whole: numbers that can be worked out by hand."""

import math

import pytest

torch = pytest.importorskip("torch", reason="torch (extra train) is absent")

from detectors.encoder.dynamics import DYNAMICS, PER_FRAME, SPEEDS_PX, dynamics  # noqa: E402
from detectors.encoder.features import FLOW_UNIT_PX  # noqa: E402

T, H, W = 4, 48, 64
SHARES, RELATIVE, CHANGES, PARTS = slice(0, 8), slice(8, 16), slice(16, 21), slice(21, 30)
SPEED, CHANGE, MOVING, ENTROPY, DISAGREEMENT, SPREAD = range(30, 36)
LEAST = math.log(1e-3)


def window(*flows: tuple[float, float]) -> torch.Tensor:
    """Frames that move as a whole, each by its own flow in px per 0.2 s: (1, T, 3, H, W)."""
    motion = torch.zeros(1, len(flows), 3, H, W)
    for t, flow in enumerate(flows):
        motion[0, t, :2] = torch.tensor(flow)[:, None, None] / FLOW_UNIT_PX
    return motion


def numbers(motion: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean, spread and largest over the window."""
    whole = dynamics(motion)
    assert whole.shape == (len(motion), DYNAMICS)
    mean, spread, largest = whole[0].split(PER_FRAME)
    return mean, spread, largest


def test_nothing_moves() -> None:
    """A still window: no speed, no change, no direction, and nothing that is not a number."""
    mean, spread, largest = numbers(torch.zeros(1, T, 3, H, W))
    assert torch.allclose(mean[SHARES], torch.tensor(LEAST))
    assert mean[MOVING].item() == pytest.approx(math.log(2e-3), abs=1e-5)
    for value in (SPEED, CHANGE, ENTROPY, DISAGREEMENT, SPREAD):
        assert mean[value] == 0.0
    assert not spread.any()
    assert torch.equal(mean, largest)


def test_uniform_motion() -> None:
    """All goes 5 px one way, all the time: one speed, one direction, neighbours agree, and nothing
    changes from frame to frame."""
    mean, spread, _ = numbers(window(*[(3.0, 4.0)] * T))
    above = torch.tensor([float(s < 5) for s in SPEEDS_PX])
    assert torch.allclose(mean[SHARES], (above + 1e-3).log(), atol=1e-5)
    assert torch.allclose(mean[RELATIVE], above)
    assert torch.allclose(mean[CHANGES], torch.tensor(LEAST))
    assert torch.allclose(mean[PARTS], torch.ones(9))
    assert mean[SPEED].item() == pytest.approx(math.log1p(5), abs=1e-5)
    assert mean[CHANGE] == 0.0
    assert mean[ENTROPY].item() == pytest.approx(0, abs=1e-5)
    assert mean[DISAGREEMENT].item() == pytest.approx(0.05 / 5.05, abs=1e-5)
    assert mean[SPREAD].item() == pytest.approx(0, abs=0.01)
    assert spread.abs().max() < 1e-5


def test_alternating_motion() -> None:
    """To and fro is as fast as one way, but changes from frame to frame."""
    mean, spread, largest = numbers(window((5.0, 0.0), (-5.0, 0.0), (5.0, 0.0), (-5.0, 0.0)))
    assert mean[SPEED].item() == pytest.approx(math.log1p(5), abs=1e-5)
    assert mean[CHANGE].item() == pytest.approx(3 / 4 * math.log1p(10), abs=1e-5)
    assert largest[CHANGE].item() == pytest.approx(math.log1p(10), abs=1e-5)
    assert torch.allclose(largest[CHANGES], torch.tensor(1.001).log(), atol=1e-5)
    assert spread[CHANGE] > 0.5
    assert spread[SPEED].item() == pytest.approx(0, abs=1e-5)


def test_neighbours_that_disagree() -> None:
    """A brawl, every patch its own way, is told from a stream of the same speed: disagreement and
    entropy of direction are high."""
    torch.manual_seed(0)
    angle = (torch.rand(1, T, H // 2, W // 2) * 2 * torch.pi).repeat_interleave(2, 2)
    angle = angle.repeat_interleave(2, 3)
    flow = 5.0 / FLOW_UNIT_PX * torch.stack([angle.cos(), angle.sin()], 2)
    mean, _, _ = numbers(torch.cat([flow, torch.zeros(1, T, 1, H, W)], 2))
    assert mean[SPEED].item() == pytest.approx(math.log1p(5), abs=1e-4)
    assert mean[DISAGREEMENT] > 0.8
    assert mean[ENTROPY].item() == pytest.approx(math.log(8), abs=0.05)


def test_where_it_moves_does_not_matter() -> None:
    """A ninth of the picture that moves is that, in whichever corner."""
    corners = []
    for y in (slice(0, 16), slice(32, 48)):
        motion = torch.zeros(1, T, 3, 48, 48)
        motion[:, :, 0, y, 32:] = 4.0 / FLOW_UNIT_PX
        corners.append(numbers(motion)[0])
    assert torch.allclose(corners[0], corners[1], atol=1e-5)
    assert corners[0][MOVING].item() == pytest.approx(math.log(1 / 9 + 1e-3), abs=1e-5)
    assert corners[0][PARTS].tolist() == [0.0] * 8 + [1.0]


def test_a_mirror_changes_nothing() -> None:
    """Left and right are the same to it."""
    torch.manual_seed(1)
    motion = torch.randn(2, T, 3, H, W)
    motion = motion * (torch.rand(2, T, 1, H, W) > 0.6)
    mirrored = motion.flip(-1).clone()
    mirrored[:, :, 0] *= -1
    assert torch.allclose(dynamics(mirrored), dynamics(motion), atol=1e-4)
