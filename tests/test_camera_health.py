"""Camera health: what counts as another view, and how long a state lasts before it is told."""

import cv2
import numpy as np
import pytest
from footage import videos
from numpy.typing import NDArray

from streamer.camera_health import CameraHealth, Condition, HealthSettings, ViewWatch
from streamer.capture.reduce import luma_for_analysis, reduce_picture

Luma = NDArray[np.uint8]
SETTINGS = HealthSettings(frozen_after_s=30, dark_after_s=10, tampered_after_s=10)


def scene(seed: int) -> Luma:
    """A view with structure of its own, (101, 180)."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 220, (13, 23)).astype(np.uint8)
    view = cv2.resize(coarse, (180, 101), interpolation=cv2.INTER_NEAREST)
    return np.asarray(cv2.GaussianBlur(view, (0, 0), 0.7), np.uint8)


def noisy(picture: Luma, rng: np.random.Generator, sigma: float = 3.0) -> Luma:
    return np.clip(picture + rng.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)


def verdicts(pictures: list[Luma]) -> list[bool]:
    """What is said of one look a second."""
    watch = ViewWatch()
    return [watch.step(picture, float(t_s)) for t_s, picture in enumerate(pictures)]


def test_another_view_is_noticed_within_five_seconds() -> None:
    """Whether it is turned or covered, it is noticed, and no longer when it is as it was."""
    rng = np.random.default_rng(0)
    before = [noisy(scene(1), rng) for _ in range(30)]
    for other in (scene(2), np.full((101, 180), 90, np.uint8), np.zeros((101, 180), np.uint8)):
        during = [noisy(other, rng) for _ in range(20)]
        said = verdicts(before + during + before[:10])
        assert not any(said[:30])
        assert all(said[34:50])
        assert not any(said[55:])


def test_light_is_not_another_view() -> None:
    """Half the light, twice the contrast, and a picture two pixels off are the same view."""
    rng = np.random.default_rng(0)
    before = [noisy(scene(1), rng) for _ in range(20)]
    for gain, offset in ((0.4, 0), (0.5, 120), (1.6, -60)):
        changed = cv2.convertScaleAbs(scene(1), alpha=gain, beta=offset)
        assert not any(verdicts(before + [noisy(changed, rng)] * 20))
    assert not any(verdicts(before + [np.roll(scene(1), 2, 1)] * 20))


@pytest.mark.parametrize("sigma", [0.0, 2.0, 10.0])
def test_a_view_without_structure_is_not_judged(sigma: float) -> None:
    """Fog and night show nothing that could be another view: no false word about them."""
    rng = np.random.default_rng(0)
    fog = [noisy(np.full((101, 180), 110, np.uint8), rng, sigma) for _ in range(40)]
    assert not any(verdicts(fog + [noisy(scene(1), rng) for _ in range(5)]))


def test_a_new_view_is_accepted_after_a_while() -> None:
    """A camera that was turned on purpose is another view for minutes, not for ever."""
    said = verdicts([scene(1)] * 60 + [scene(2)] * 1800)
    assert all(said[70:300])
    assert not any(said[-600:])


@pytest.mark.footage
def test_real_scenes_are_like_themselves() -> None:
    """People, cars and light in real footage make no other view of it; a mirrored one is one."""
    for video in videos("clips/*.mp4", "clips/*.avi"):
        capture = cv2.VideoCapture(str(video))
        step = round(capture.get(cv2.CAP_PROP_FPS) or 25)
        looks = []
        for number in range(40 * step):
            if not capture.grab():
                break
            if number % step == 0:
                looks.append(luma_for_analysis(reduce_picture(capture.retrieve()[1])))
        capture.release()
        mirrored = [np.ascontiguousarray(look[:, ::-1]) for look in looks[-10:]]
        said = verdicts(looks + mirrored)
        assert not any(said[: len(looks)]), video.name
        assert all(said[len(looks) + 5 :]), video.name


def test_a_state_is_told_after_its_time_and_since_it_began() -> None:
    """A second of black is nothing; ten are told, with their true beginning, once, and end."""
    health = CameraHealth(SETTINGS)
    told = []
    for second in range(60):
        black = second == 3 or 10 <= second < 30
        for change in health.look(frozen=False, black=black, t_s=float(second)):
            told.append((second, change.condition, change.active, change.since_s))
    assert told == [
        (20, Condition.DARK, True, 10.0),
        (30, Condition.DARK, False, 30.0),
    ]


def test_what_was_lost_has_to_be_found_anew() -> None:
    """After a reconnect, what was wrong with the picture counts from the start again."""
    health = CameraHealth(SETTINGS)
    for second in range(25):
        assert not health.look(frozen=True, black=False, t_s=float(second))
    health.restart()
    assert not [
        change
        for second in range(25, 54)
        for change in health.look(frozen=True, black=False, t_s=float(second))
    ]
    assert health.look(frozen=True, black=False, t_s=55.0)
