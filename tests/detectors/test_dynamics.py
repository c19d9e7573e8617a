"""How a window moves as a whole: numbers that can be worked out by hand."""

import math

import pytest

torch = pytest.importorskip("torch", reason="torch (extra train) is absent")

from detectors.encoder.dynamics import (  # noqa: E402
    DIRECTIONS,
    DYNAMICS,
    PER_FRAME,
    SPEEDS_PX,
    STATISTICS,
    Dynamics,
    MotionStatistics,
)
from detectors.encoder.features import FLOW_UNIT_PX  # noqa: E402

T, H, W = 4, 48, 64
# Where they stand among the statistics of a cell, and among the numbers of a frame.
U, V, CELL_SPEED, SQUARE, ABOVE, TOWARDS = 0, 1, 2, 3, slice(4, 12), slice(12, 20)
SHARES, RELATIVE, CHANGES, PARTS = slice(0, 8), slice(8, 16), slice(16, 21), slice(21, 30)
SPEED, CHANGE, MOVING, ENTROPY, DISAGREEMENT, SPREAD = range(30, 36)
LEAST = math.log(1e-3)


def window(*flows: tuple[float, float]) -> torch.Tensor:
    """Frames that move as a whole, each by its own flow in px per 0.2 s: (T, 3, H, W)."""
    motion = torch.zeros(len(flows), 3, H, W)
    for t, flow in enumerate(flows):
        motion[t, :2] = torch.tensor(flow)[:, None, None] / FLOW_UNIT_PX
    return motion


def numbers(motion: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Mean, deviation and largest over the window."""
    whole = Dynamics().count(MotionStatistics()(motion)[None])
    assert whole.shape == (1, DYNAMICS)
    assert torch.isfinite(whole).all()
    mean, deviation, largest = whole[0].split(PER_FRAME)
    return mean, deviation, largest


def test_a_cell_counts_what_moves_in_it() -> None:
    """Half of a cell that goes 5 px down to the right: its means, its shares, its direction."""
    motion = torch.zeros(1, 3, 32, 32)
    motion[0, 0, :16, :8], motion[0, 1, :16, :8] = 3.0 / FLOW_UNIT_PX, 4.0 / FLOW_UNIT_PX
    counts = MotionStatistics()(motion)
    assert counts.shape == (1, STATISTICS, 2, 2)
    cell = counts[0, :, 0, 0]
    assert cell[[U, V, CELL_SPEED, SQUARE]].tolist() == pytest.approx([1.5, 2.0, 2.5, 12.5])
    assert cell[ABOVE].tolist() == [0.5 * (speed < 5) for speed in SPEEDS_PX]
    angle = torch.arange(DIRECTIONS) * (2 * torch.pi / DIRECTIONS)
    near = (0.6 * angle.cos() + 0.8 * angle.sin()).clamp(min=0)
    assert torch.allclose(cell[TOWARDS], 2.5 * near**4, atol=1e-4)
    assert not counts[0, :, 1].any()
    assert not counts[0, :, 0, 1].any()


@pytest.mark.parametrize("size", [(16, 16), (33, 47), (101, 180), (120, 180), (17, 256)])
def test_what_the_border_cuts_counts_as_much(size: tuple[int, int]) -> None:
    """Any size has one cell for each 16 px; uniform motion is the same number in all of them."""
    motion = torch.full((2, 3, *size), 3.0 / FLOW_UNIT_PX)
    counts = MotionStatistics()(motion)
    assert counts.shape == (2, STATISTICS, -(-size[0] // 16), -(-size[1] // 16))
    assert torch.allclose(counts, counts[:1, :, :1, :1].expand_as(counts), atol=1e-4)
    assert counts[0, U, 0, 0].item() == pytest.approx(3.0, abs=1e-5)


def test_nothing_moves() -> None:
    """A still window: no speed, no change, no direction, and nothing that is not a number."""
    mean, deviation, largest = numbers(torch.zeros(T, 3, H, W))
    assert torch.allclose(mean[SHARES], torch.tensor(LEAST))
    assert mean[MOVING].item() == pytest.approx(LEAST)
    assert mean[[CHANGE, ENTROPY, SPREAD]].abs().max() < 2e-3
    assert not mean[PARTS].any()
    assert deviation.abs().max() < 1e-3
    assert torch.equal(mean, largest)


def test_uniform_motion() -> None:
    """All goes 5 px one way, all the time: one speed, neighbours agree, and nothing changes from
    frame to frame."""
    mean, deviation, _ = numbers(window(*[(3.0, 4.0)] * T))
    above = torch.tensor([float(s < 5) for s in SPEEDS_PX])
    assert torch.allclose(mean[SHARES], (above + 1e-3).log(), atol=1e-5)
    assert torch.allclose(mean[RELATIVE], above)
    assert torch.allclose(mean[CHANGES], torch.tensor(LEAST))
    assert torch.allclose(mean[PARTS], torch.ones(9))
    assert mean[SPEED].item() == pytest.approx(math.log1p(5), abs=1e-5)
    assert mean[CHANGE].item() == pytest.approx(0, abs=1e-5)
    assert mean[MOVING].item() == pytest.approx(0, abs=1e-5)
    assert mean[DISAGREEMENT].item() == pytest.approx(0, abs=1e-5)
    assert mean[SPREAD].item() == pytest.approx(0, abs=0.01)
    assert deviation.abs().max() < 1e-3


def test_alternating_motion() -> None:
    """To and fro is as fast as one way, but changes from frame to frame."""
    mean, deviation, largest = numbers(window((5.0, 0.0), (-5.0, 0.0), (5.0, 0.0), (-5.0, 0.0)))
    assert mean[SPEED].item() == pytest.approx(math.log1p(5), abs=1e-5)
    assert mean[CHANGE].item() == pytest.approx(3 / 4 * math.log1p(10), abs=1e-5)
    assert largest[CHANGE].item() == pytest.approx(math.log1p(10), abs=1e-5)
    assert torch.allclose(largest[CHANGES], torch.tensor(1.001).log(), atol=1e-5)
    assert deviation[CHANGE] > 0.5
    assert deviation[SPEED] < 1e-3


def test_neighbours_that_disagree() -> None:
    """A brawl, every patch its own way, is told from a stream of the same speed: neighbours
    disagree, and every direction is there."""
    torch.manual_seed(0)
    angle = (torch.rand(T, H // 2, W // 2) * 2 * torch.pi).repeat_interleave(2, 1)
    angle = angle.repeat_interleave(2, 2)
    flow = 5.0 / FLOW_UNIT_PX * torch.stack([angle.cos(), angle.sin()], 1)
    brawl, _, _ = numbers(torch.cat([flow, torch.zeros(T, 1, H, W)], 1))
    stream, _, _ = numbers(window(*[(5.0, 0.0)] * T))
    assert brawl[SPEED].item() == pytest.approx(stream[SPEED].item(), abs=1e-4)
    assert brawl[DISAGREEMENT] > 0.8 > 0.01 > stream[DISAGREEMENT]
    assert brawl[ENTROPY].item() == pytest.approx(math.log(DIRECTIONS), abs=0.05)
    assert stream[ENTROPY] < 1.0


def test_where_it_moves_does_not_matter() -> None:
    """A ninth of the picture that moves is that, in whichever corner."""
    corners = []
    for y in (slice(0, 16), slice(32, 48)):
        motion = torch.zeros(T, 3, 48, 48)
        motion[:, 0, y, 32:] = 4.0 / FLOW_UNIT_PX
        corners.append(numbers(motion)[0])
    assert torch.allclose(corners[0], corners[1], atol=1e-5)
    assert corners[0][MOVING].item() == pytest.approx(math.log(1 / 9), abs=1e-4)
    assert corners[0][PARTS].tolist() == pytest.approx([0.0] * 8 + [1.0], abs=1e-5)


@pytest.mark.parametrize("size", [(48, 64), (101, 176)])
def test_a_mirror_changes_nothing(size: tuple[int, int]) -> None:
    """Left and right are the same to it."""
    torch.manual_seed(1)
    motion = torch.randn(T, 3, *size) * (torch.rand(T, 1, *size) > 0.6)
    mirrored = motion.flip(-1).clone()
    mirrored[:, 0] *= -1
    for one, other in zip(numbers(mirrored), numbers(motion), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_usual_motion_is_about_nought() -> None:
    """After it was told what is usual, usual windows are about 0 and 1 in size, and no window is
    farther than 4 from them."""
    torch.manual_seed(2)
    statistics, dynamics = MotionStatistics(), Dynamics()

    def windows(n: int, speed: float) -> torch.Tensor:
        motion = torch.randn(n, T, 3, H, W) * torch.rand(n, 1, 1, 1, 1) * speed
        return statistics(motion.flatten(0, 1)).unflatten(0, (n, T))

    usual = windows(60, 0.5)
    dynamics.settle(dynamics.count(usual))
    given = dynamics(usual)
    assert given.mean(0).abs().max() < 0.2
    assert given.std(0).max() < 1.1
    assert given.std(0).median() > 0.5
    assert dynamics(windows(4, 30.0)).abs().max() == 4.0
