"""Motion: what moves is seen and measured, and what does not move costs and says nothing."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.light import median
from detectors.motion import WHOLE_SHARE, MotionAnalyser, earlier_index
from detectors.window import Window
from tests.detectors import scene


def pair(
    before: NDArray[np.uint8], now: NDArray[np.uint8], gap_s: float = 0.2, generation: int = 0
) -> Window:
    return Window((before, now), (1.0, 1.0 + gap_s), 1, generation)


def somebody(speed_px: float, frames: int, noise: float = 1.0) -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(5)
    person = scene.Walker(50.0, 40.0, speed_px, scene.texture(rng))
    return scene.render(rng, [person], frames, noise)


@pytest.mark.parametrize("speed_px", [-6.0, -1.5, 1.5, 6.0])
def test_flow_tells_speed_and_direction(speed_px: float) -> None:
    """Somebody who moves so many pixels between two frames has that flow, and nobody else any."""
    frames = somebody(speed_px, 2)
    motion = MotionAnalyser().step(pair(*frames))
    assert motion.flow is not None
    assert motion.moving is not None
    body = motion.flow[52:68, 42:48][motion.moving[52:68, 42:48]]
    assert np.median(body[:, 0]) == pytest.approx(speed_px, abs=0.15 * abs(speed_px))
    assert abs(np.median(body[:, 1])) < 0.5
    assert not motion.moving[:, 100:].any()
    assert not motion.flow[~motion.moving].any()


def test_flow_is_per_fifth_of_a_second() -> None:
    """The same walk has the same flow whatever the time between the frames."""
    frames = somebody(2.0, 3)
    one = MotionAnalyser().step(pair(frames[0], frames[1], 0.2)).flow
    two = MotionAnalyser().step(pair(frames[0], frames[2], 0.4)).flow
    assert one is not None
    assert two is not None
    for flow in (one, two):
        assert np.median(flow[52:68, 44:48][flow[52:68, 44:48, 0] != 0][:, 0]) == pytest.approx(
            2.0, abs=0.4
        )


@pytest.mark.parametrize("noise", [0.0, 1.0, 2.0, 4.0])
def test_noise_opens_no_gate(noise: float) -> None:
    """A camera with noise that looks at nothing reports nothing."""
    rng = np.random.default_rng(3)
    frames = scene.render(rng, [], 40, noise)
    analyser = MotionAnalyser()
    assert all(analyser.step(window).still for window in scene.windows(frames))


@pytest.mark.parametrize(
    ("gain", "offset"), [(1.0, 25.0), (1.0, -25.0), (0.75, 0.0), (1.3, 0.0), (0.8, 20.0)]
)
def test_light_is_no_motion(gain: float, offset: float) -> None:
    """When the light of the whole picture changes at once, nothing is said to move."""
    before = scene.render(np.random.default_rng(3), [], 1)[0]
    now = np.clip(before * gain + offset, 0, 255).astype(np.uint8)
    motion = MotionAnalyser().step(pair(before, now))
    assert motion.flow is None or float(np.abs(motion.flow).mean()) < 0.02
    assert motion.changed < 0.05


def test_light_hides_nobody() -> None:
    """Somebody who walks while the light changes is still seen to walk."""
    first, second = somebody(4.0, 2)
    second = np.clip(second * 0.8 + 10.0, 0, 255).astype(np.uint8)
    motion = MotionAnalyser().step(pair(first, second))
    assert motion.flow is not None
    body = motion.flow[52:68, 42:50, 0]
    assert np.median(body[body != 0]) == pytest.approx(4.0, abs=1.0)


def test_moved_camera_is_told_apart() -> None:
    """A camera that is pushed changes the whole picture, and the motion says so."""
    frame = scene.render(np.random.default_rng(3), [], 1)[0]
    coarse = np.random.default_rng(0).integers(0, 255, (40, 60)).astype(np.uint8)
    frame = np.asarray(cv2.resize(coarse, (180, 120), interpolation=cv2.INTER_LINEAR))
    motion = MotionAnalyser().step(pair(frame, np.roll(frame, (9, 14), (0, 1))))
    assert motion.whole
    assert motion.changed > WHOLE_SHARE


@pytest.mark.parametrize("shape", [(1, 1), (3, 3), (15, 180), (16, 16), (17, 33), (101, 180)])
def test_odd_sizes(shape: tuple[int, int]) -> None:
    """Any size of picture is taken; what is too small for flow never moves."""
    rng = np.random.default_rng(0)
    before, now = rng.integers(0, 255, (2, *shape)).astype(np.uint8)
    motion = MotionAnalyser().step(pair(before, now))
    if min(shape) < 16:
        assert motion.still
    else:
        assert motion.flow is not None
        assert motion.flow.shape == (*shape, 2)
        assert np.isfinite(motion.flow).all()


def test_generation_starts_anew() -> None:
    """What was learned of the noise before a reconnect is forgotten."""
    analyser = MotionAnalyser()
    quiet, loud = somebody(0.0, 2, noise=0.0), somebody(0.0, 2, noise=5.0)
    assert analyser.step(pair(*quiet)).noise == 0.0
    assert analyser.step(pair(*loud, generation=1)).noise > 3.0


def test_compares_with_a_fifth_of_a_second_ago() -> None:
    """At any rate the frame nearest to 0.2 s earlier is the one compared with."""
    assert earlier_index((0.0,)) is None
    assert earlier_index((0.0, 0.2)) == 0
    assert earlier_index((0.0, 0.1, 0.2)) == 0
    assert earlier_index((0.0, 0.066, 0.133, 0.2)) == 0
    assert earlier_index((0.0, 0.5)) == 0
    assert earlier_index((0.0, 0.1, 0.2, 0.3, 0.4)) == 2


@pytest.mark.parametrize("shape", [(1,), (2,), (3,), (13, 23), (13, 22), (25, 45)])
def test_the_median_is_that_of_numpy(shape: tuple[int, ...]) -> None:
    """To the bit, whatever lies in the middle, and nothing is moved about in what is asked of."""
    rng = np.random.default_rng(len(shape) + shape[0])
    for _ in range(50):
        values = rng.normal(100, 40, shape).astype(np.float32)
        before = values.copy()
        assert median(values) == np.median(values)
        assert median(values.astype(np.uint8).astype(np.float32)) == np.median(
            values.astype(np.uint8)
        )
        assert np.array_equal(values, before)
