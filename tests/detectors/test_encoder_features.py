"""What the encoder is given."""

from typing import cast

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.encoder.contract import CHANNELS, DIFFERENCE, FLOW, LUMA
from detectors.encoder.features import MotionRun, detail_of, pack, unpack
from detectors.motion import STILL, Motion

SHAPE = (24, 32)
C = len(CHANNELS)


def luma(level: int) -> NDArray[np.uint8]:
    return np.full(SHAPE, level, np.uint8)


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


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
    assert x.shape == (2, C, *SHAPE)
    assert x.dtype == np.float32
    assert x[:, LUMA, 0, 0].tolist() == [[0.0] * 4, [1.0] * 4]
    assert x[1, FLOW, 5, 5].tolist() == [0.5, -2.0]
    assert x[1, DIFFERENCE, 5, 5] == 0.5
    assert not x[1, LUMA.stop :, 20, 20].any()
    assert not x[0, LUMA.stop :].any()


@given(
    lead=st.lists(st.integers(1, 3), max_size=2),
    h=st.integers(1, 9),
    w=st.integers(1, 9),
)
def test_packing_loses_nothing(lead: list[int], h: int, w: int) -> None:
    """Luma packed into four channels comes back pixel by pixel, and the other way round."""
    plane = np.random.default_rng(h * w).random((*lead, 2 * h, 2 * w), np.float32)
    packed = pack(plane)
    assert packed.shape == (*lead, 4, h, w)
    assert np.array_equal(unpack(packed), plane)
    assert np.array_equal(pack(unpack(packed)), packed)


def test_a_packed_channel_is_one_of_four_pixels() -> None:
    """Channel 2i + j holds the pixels (2y + i, 2x + j)."""
    plane = np.arange(4 * 6, dtype=np.float32).reshape(4, 6)
    assert pack(plane)[:, 1, 2].tolist() == [plane[2, 4], plane[2, 5], plane[3, 4], plane[3, 5]]


def test_detail_is_luma_at_twice_the_size() -> None:
    """Colour becomes luma; larger pictures shrink to means, smaller ones grow; never a view."""
    colour = noise(2 * SHAPE[0], 2 * SHAPE[1], 3)
    grey = cv2.cvtColor(colour, cv2.COLOR_BGR2GRAY)
    assert np.array_equal(detail_of(colour, SHAPE), grey)
    same = detail_of(grey, SHAPE)
    assert np.array_equal(same, grey)
    assert not np.shares_memory(same, grey)
    large = np.kron(grey, np.ones((3, 3), np.uint8))
    assert np.array_equal(detail_of(large, SHAPE), grey)
    assert detail_of(noise(7, 9), SHAPE).shape == (48, 64)
    assert (detail_of(luma(77), SHAPE) == 77).all()


def test_the_picture_goes_in_pixel_by_pixel() -> None:
    """Where something moves X holds the picture's own pixels, each in its place."""
    pictures = [noise(2 * SHAPE[0], 2 * SHAPE[1], seed=i) for i in range(3)]
    run = MotionRun(3)
    for picture in pictures:
        run.add(detail_of(picture, (SHAPE[0] // 2, SHAPE[1] // 2)), motion(1.0, 0.0, 9), picture)
    x = run.window()
    for frame, picture in zip(x, pictures, strict=True):
        for i in range(2):
            for j in range(2):
                assert np.allclose(frame[2 * i + j] * 255, picture[i::2, j::2], atol=1e-4)


def test_still_footage_costs_no_detail() -> None:
    """Of a frame in which nothing moves the picture is not even looked at: X holds the luma of the
    analysis, enlarged."""
    plane = noise(*SHAPE)
    untouchable = cast(NDArray[np.uint8], object())
    run = MotionRun(2)
    run.add(plane, STILL, untouchable)
    assert np.allclose(unpack(run.window()[-1, LUMA]) * 255, detail_of(plane, SHAPE), atol=1e-4)


def test_a_window_without_pictures_works() -> None:
    """Whoever has nothing finer than the analysis gives its luma, enlarged; motion is the same."""
    plane = noise(*SHAPE)
    with_picture, without = MotionRun(2), MotionRun(2)
    with_picture.add(plane, motion(4.0, 0.0, 32), detail_of(plane, SHAPE))
    without.add(plane, motion(4.0, 0.0, 32))
    assert np.array_equal(with_picture.window(), without.window())
    assert without.window()[-1, FLOW.start, 5, 5] == 0.5


def test_a_short_run_is_filled_up_with_a_still_past() -> None:
    """Before the first frame stands that frame, without motion."""
    run = MotionRun(4)
    run.add(luma(51), motion(8.0, 0.0, 64))
    x = run.window()
    assert np.allclose(x[:, LUMA], 0.2)
    assert not x[:3, LUMA.stop :].any()
    assert x[3, FLOW.start].max() == 1.0


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
    """A window's views are valid during the call only, so luma and picture are copied."""
    for moved in (STILL, motion(1.0, 0.0, 9)):
        run, plane = MotionRun(1), luma(10)
        picture = np.full((2 * SHAPE[0], 2 * SHAPE[1]), 10, np.uint8)
        run.add(plane, moved, picture)
        plane[:] = picture[:] = 200
        assert np.allclose(run.window()[0, LUMA] * 255, 10)


def test_another_size_forgets_the_past() -> None:
    """A camera that changes its size starts anew."""
    run = MotionRun(3)
    run.add(np.zeros((10, 10), np.uint8), STILL)
    run.add(luma(1), STILL)
    assert run.window().shape == (3, C, *SHAPE)
    assert np.allclose(run.window()[:, 0], 1 / 255)
    run.reset()
    with pytest.raises(ValueError, match="at least one frame"):
        run.window()
