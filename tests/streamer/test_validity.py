"""Pictures that do not show the scene are told from those that do."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pytest
from footage import footage, videos
from video import Picture, damage, draw, write_video

from streamer.capture.complaints import listen
from streamer.capture.frame import Validity
from streamer.capture.opener import open_source
from streamer.capture.reduce import luma_for_analysis
from streamer.capture.source import Source
from streamer.capture.validity import ValidityCheck

VALID, BLACK, FROZEN = Validity.VALID, Validity.BLACK, Validity.FROZEN
TORN, SMEARED = Validity.TORN, Validity.SMEARED


def lumas(path: Path, every: int = 1) -> Iterator[tuple[Picture, Validity]]:
    """Lumas of a source's frames, and what the decoder said about them."""
    reader = open_source(Source.parse(str(path)))
    for number in count():
        if not reader.grab():
            break
        if number % every == 0:
            yield luma_for_analysis(reader.retrieve()), reader.damage
    reader.close()


def scene(number: int, noise: float = 2.0) -> Picture:
    """Luma of a frame of the drawn scene, with a sensor's noise."""
    luma = luma_for_analysis(draw(number, 640, 360)).astype(np.float32)
    luma += np.random.default_rng(number).normal(0, noise, luma.shape)
    return np.clip(luma, 0, 255).astype(np.uint8)


def test_ordinary_frames_are_valid() -> None:
    """A scene with something moving, day or night, is what it is."""
    check = ValidityCheck()
    assert {check(scene(i)) for i in range(50)} == {VALID}
    night = ValidityCheck()
    assert {night((scene(i) // 6).astype(np.uint8)) for i in range(50)} == {VALID}


def test_black() -> None:
    """No light, with a sensor's noise or without, and at once."""
    check = ValidityCheck()
    assert check(np.full((101, 180), 16, np.uint8)) is BLACK
    assert check(np.full((101, 180), 16, np.uint8)) is BLACK
    noise = np.random.default_rng(1).normal(14, 1.5, (101, 180))
    assert check(np.clip(noise, 0, 255).astype(np.uint8)) is BLACK
    assert check(scene(1)) is VALID


def test_frozen() -> None:
    """A picture that is sent again is frozen, one that differs in a single pixel is not."""
    check = ValidityCheck()
    assert [check(scene(i)) for i in (1, 1, 1, 2, 2)] == [VALID, FROZEN, FROZEN, VALID, FROZEN]
    changed = scene(2).copy()
    changed[50, 90] += 1
    assert check(changed) is VALID
    assert check(scene(3, 0)[:80]) is VALID


@pytest.mark.parametrize("share", [0.35, 0.9])
def test_grey(share: float) -> None:
    """Where the decoder had nothing to build on it puts grey."""
    check = ValidityCheck()
    assert {check(scene(i)) for i in range(20)} == {VALID}
    spoilt = scene(20)
    spoilt[: int(share * len(spoilt))] = 128
    assert check(spoilt) is SMEARED
    assert check(scene(21)) is VALID


def test_streaks() -> None:
    """Where a key frame breaks off, its last row is drawn down to the bottom."""
    check = ValidityCheck()
    assert {check(scene(i)) for i in range(20)} == {VALID}
    spoilt = scene(20)
    spoilt[55:] = spoilt[55]
    assert check(spoilt) is TORN
    assert check(scene(21)) is VALID


def test_a_scene_of_stripes_is_not_damaged_for_ever() -> None:
    """A camera that looks at a fence, or at a grey wall, is not blind for more than 20 s."""
    fence = np.tile(np.repeat(np.arange(36, dtype=np.uint8) % 2 * 90 + 60, 5), (101, 1))
    wall = scene(0)
    wall[20:] = 129
    for picture in (fence, wall):
        check, results = ValidityCheck(), []
        for i in range(100):
            picture[0, i] ^= 64  # else it would be frozen
            results.append(check(picture))
        assert results[0] is not VALID
        assert set(results[-5:]) == {VALID}


@pytest.mark.parametrize("size", [(3, 3), (1, 180), (180, 8), (8, 180), (17, 17)])
def test_any_size(size: tuple[int, int]) -> None:
    """The smallest of pictures and the longest are judged as well."""
    rng = np.random.default_rng(3)
    check = ValidityCheck()
    for _ in range(3):
        assert check(rng.integers(0, 256, size, np.uint8)) in set(Validity)


def test_a_damaged_stream(tmp_path: Path) -> None:
    """Of the frames that damage has visibly changed, nearly all are told; of the others, few."""
    if not listen():
        pytest.skip("OpenCV has no libavutil of its own here")
    clean = write_video(tmp_path / "a.mkv", 120, fps=25, size=(640, 360), gop=40)
    spoilt = damage(clean, tmp_path / "b.mkv", frames={25, 26, 60, 80, 105})
    told, changed, wrongly = 0, 0, 0
    check = ValidityCheck()
    pairs = zip(lumas(clean), lumas(spoilt), strict=True)
    for number, ((right, _), (luma, damaged)) in enumerate(pairs):
        verdict = check(luma) or damaged
        visibly = (cv2.absdiff(right, luma) > 25).mean() > 0.01
        changed += visibly
        told += visibly and verdict is not VALID
        wrongly += number < 25 and verdict is not VALID
    assert changed > 20
    assert told >= 0.98 * changed
    assert wrongly == 0


@pytest.mark.footage
def test_real_footage_is_valid() -> None:
    """Of real, undamaged frames fewer than one in a thousand is called damaged."""
    sources = [
        *videos("clips/*"),
        *videos("fights/*/*.mp4")[::8],
        *[footage("ped2/train") / f"{n:02}" for n in (1, 7)],
        *[footage("ped2/test") / f"{n:02}" for n in (2, 4)],
    ]
    judged, wrong = 0, []
    for path in sources:
        check = ValidityCheck()
        for luma, damaged in lumas(path, every=5):
            judged += 1
            verdict = check(luma) or damaged
            if verdict is not VALID:
                wrong.append((path.name, verdict))
    assert judged > 1000
    assert len(wrong) < judged / 1000, wrong
