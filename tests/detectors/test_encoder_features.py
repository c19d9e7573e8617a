"""What the encoder is given."""

import numpy as np
import pytest

from detectors.encoder.features import MotionRun
from detectors.motion import STILL, Motion

SHAPE = (24, 32)


def luma(level: int) -> np.ndarray:
    return np.full(SHAPE, level, np.uint8)


def motion(u: float, v: float, difference: int) -> Motion:
    moving = np.zeros(SHAPE, np.bool_)
    moving[4:8, 4:8] = True
    flow = np.zeros((*SHAPE, 2), np.float32)
    flow[moving] = (u, v)
    return Motion(0.1, flow, moving, np.full(SHAPE, difference, np.uint8))


def test_channels_and_units() -> None:
    """Luma in [0, 1], flow in units of 8 px clipped to 2, difference / 64 where it moves."""
    run = MotionRun(2)
    run.add(luma(0), STILL)
    run.add(luma(255), motion(4.0, -80.0, 32))
    x = run.window()
    assert x.shape == (2, 4, *SHAPE)
    assert x.dtype == np.float32
    assert x[:, 0, 0, 0].tolist() == [0.0, 1.0]
    assert x[1, 1:, 5, 5].tolist() == [0.5, -2.0, 0.5]
    assert not x[1, 1:, 20, 20].any()
    assert not x[0, 1:].any()


def test_a_short_run_is_filled_up_with_a_still_past() -> None:
    """Before the first frame stands that frame, without motion."""
    run = MotionRun(4)
    run.add(luma(51), motion(8.0, 0.0, 64))
    x = run.window()
    assert np.allclose(x[:, 0], 0.2)
    assert not x[:3, 1:].any()
    assert x[3, 1].max() == 1.0


def test_the_newest_frames_stay() -> None:
    """Only the last T frames count, oldest first."""
    run = MotionRun(3)
    for level in range(0, 250, 50):
        run.add(luma(level), STILL)
    assert np.allclose(run.window()[:, 0, 0, 0] * 255, [100, 150, 200])


def test_fresh_and_past_make_up_the_window() -> None:
    """Frames whose features are remembered are not asked for again; both parts keep their order."""
    run = MotionRun(4)
    run.add(luma(10), STILL)
    assert run.past(5).shape == (0, 5, 2, 2)
    assert run.fresh().shape[0] == 4
    run.remember(np.stack([np.full((5, 2, 2), i, np.float32) for i in range(4)]))
    run.add(luma(20), STILL)
    run.add(luma(30), STILL)
    assert np.allclose(run.fresh()[:, 0, 0, 0] * 255, [20, 30])
    assert run.past(5)[:, 0, 0, 0].tolist() == [2, 3]
    with pytest.raises(ValueError, match=r"shorter|longer"):
        run.remember(np.zeros((1, 5, 2, 2), np.float32))


def test_frames_are_copied() -> None:
    """A window's views are valid during the call only, so luma is copied."""
    run, plane = MotionRun(1), luma(10)
    run.add(plane, STILL)
    plane[:] = 200
    assert run.window()[0, 0, 0, 0] == pytest.approx(10 / 255)


def test_another_size_forgets_the_past() -> None:
    """A camera that changes its size starts anew."""
    run = MotionRun(3)
    run.add(np.zeros((10, 10), np.uint8), STILL)
    run.add(luma(1), STILL)
    assert run.window().shape == (3, 4, *SHAPE)
    assert np.allclose(run.window()[:, 0], 1 / 255)
    run.reset()
    with pytest.raises(ValueError, match="at least one frame"):
        run.window()
