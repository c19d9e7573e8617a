"""Reduction of pictures of every size and kind to the two that Sorawatch keeps."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamer.capture.reduce import (
    analysis_shape,
    luma_for_analysis,
    picture_shape,
    reduce_picture,
)
from streamer.capture.ring import MAX_LUMA_BYTES, MAX_PICTURE_PIXELS, FrameRing

SIDES = st.one_of(st.integers(1, 60), st.integers(1, 8000))
KINDS = [(np.uint8, None), (np.uint8, 3), (np.uint8, 4), (np.uint8, 1), (np.uint16, None)]
KINDS += [(np.uint16, 3), (np.uint16, 4), (np.uint16, 1)]


@pytest.fixture
def threads() -> Iterator[None]:
    before = cv2.getNumThreads()
    yield
    cv2.setNumThreads(before)


def noise(height: int, width: int, kind: tuple[type, int | None]) -> NDArray[np.uint8 | np.uint16]:
    dtype, channels = kind
    shape = (height, width) if channels is None else (height, width, channels)
    rng = np.random.default_rng(height * 10_000 + width)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


@given(SIDES, SIDES)
@settings(deadline=None)
def test_sizes_keep_their_limits(height: int, width: int) -> None:
    """Whatever the source's size, both fit a slot, are no larger than it, and keep its aspect."""
    picture, luma = picture_shape(height, width), analysis_shape(height, width)
    assert picture[0] * picture[1] <= MAX_PICTURE_PIXELS
    assert luma[0] * luma[1] <= MAX_LUMA_BYTES
    for kept, limit in ((picture, 640), (luma, 180)):
        assert kept[0] <= height
        assert kept[1] <= width
        assert max(kept) <= limit
        assert min(kept) >= min(8, height, width)
        if min(kept) > 8:
            scale = max(kept) / max(height, width)
            assert abs(kept[0] - height * scale) < 1.5
            assert abs(kept[1] - width * scale) < 1.5
    # The picture stands for its source.
    assert picture_shape(*picture) == picture
    assert analysis_shape(*picture) == luma


def test_sizes_of_usual_cameras() -> None:
    """Usual cameras come out as the documentation says."""
    for source, picture, luma in [
        ((1080, 1920), (360, 640), (101, 180)),
        ((360, 640), (360, 640), (101, 180)),
        ((480, 640), (480, 640), (135, 180)),
        ((288, 352), (288, 352), (147, 180)),
        ((240, 360), (240, 360), (120, 180)),
        ((1920, 1080), (640, 360), (180, 101)),
        ((90, 160), (90, 160), (90, 160)),
        ((3, 3), (3, 3), (3, 3)),
        ((3, 7680), (3, 640), (3, 180)),
    ]:
        assert picture_shape(*source) == picture
        assert analysis_shape(*source) == luma


@given(st.integers(1, 900), st.integers(1, 900), st.sampled_from(KINDS))
@settings(deadline=None, max_examples=80)
def test_every_kind_of_picture_is_reduced(
    height: int, width: int, kind: tuple[type, int | None]
) -> None:
    """Grey, BGR, BGRA, 8 and 16 bits of any size: right shapes, and one luma by either way."""
    frame = noise(height, width, kind)
    picture, luma = reduce_picture(frame), luma_for_analysis(frame)
    assert (picture.dtype, picture.shape) == (np.uint8, (*picture_shape(height, width), 3))
    assert (luma.dtype, luma.shape) == (np.uint8, analysis_shape(height, width))
    np.testing.assert_array_equal(luma_for_analysis(picture), luma)


@pytest.mark.parametrize("size", [(3, 3), (101, 180), (577, 705), (1080, 1920), (4320, 7680)])
@pytest.mark.parametrize("value", [0, 1, 137, 255])
def test_flat_picture_stays_what_it_is(size: tuple[int, int], value: int) -> None:
    """Brightness is kept exactly, in 8 bits and in 16, so that thresholds mean what they say."""
    for frame in (np.full(size, value, np.uint8), np.full((*size, 3), value, np.uint8)):
        assert (reduce_picture(frame) == value).all()
        assert (luma_for_analysis(frame) == value).all()
    assert (luma_for_analysis(np.full(size, value * 256 + 200, np.uint16)) == value).all()


@pytest.mark.parametrize("size", [(240, 360), (360, 641), (577, 705), (1080, 1920), (2160, 3840)])
def test_things_stay_where_they_are(size: tuple[int, int]) -> None:
    """A thing's place, as a share of the picture, is kept, and all of its brightness with it."""
    height, width = size
    frame = np.zeros((*size, 3), np.uint8)
    frame[height // 4 : height // 2, width // 8 : width // 4] = 200
    for small in (luma_for_analysis(frame), reduce_picture(frame)[:, :, 1]):
        weight = small.astype(float)
        rows, columns = np.indices(small.shape) + 0.5
        assert abs((rows * weight).sum() / weight.sum() / small.shape[0] - 0.375) < 0.004
        assert abs((columns * weight).sum() / weight.sum() / small.shape[1] - 0.1875) < 0.004
        assert weight.mean() == pytest.approx(frame.mean(), rel=0.02)


def test_fine_texture_is_averaged_away() -> None:
    """Noise shrinks as pixels are averaged, lest it look like motion."""
    frame = np.clip(noise(1080, 1920, (np.uint8, 3)), 118, 138)
    deviation = luma_for_analysis(frame).astype(float).std()
    assert deviation < frame.std() / 8  # 1920/180 = 10.7 pixels a side, less what overlaps


def test_result_lands_in_the_ring() -> None:
    """Both go straight into a slot of the ring."""
    frame = noise(1080, 1920, (np.uint8, 3))
    for source in (frame, frame[:720, :1280], frame[:360, :640], frame[:, :, :1]):
        shape = source.shape[:2]
        with FrameRing.create(2) as ring:
            views = ring.begin(analysis_shape(*shape), picture_shape(*shape))
            assert reduce_picture(source, out=views.picture) is views.picture
            assert luma_for_analysis(views.picture, out=views.luma) is views.luma
            np.testing.assert_array_equal(views.picture, reduce_picture(source))
            np.testing.assert_array_equal(views.luma, luma_for_analysis(source))


@pytest.mark.usefixtures("threads")
def test_result_does_not_depend_on_threads() -> None:
    """A replay on another number of cores gives the same bits."""
    frame = noise(1081, 1921, (np.uint8, 3))
    results = []
    for count in (1, 2, 4):
        cv2.setNumThreads(count)
        results.append(luma_for_analysis(frame).tobytes() + reduce_picture(frame).tobytes())
    assert len(set(results)) == 1


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4), np.float32),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(frame: NDArray[np.uint8]) -> None:
    """A decoder's nonsense is an error that names its type and shape, not a crash."""
    for reduce in (reduce_picture, luma_for_analysis):
        with pytest.raises(ValueError, match=rf"{frame.dtype} of shape"):
            reduce(frame)


def test_place_for_the_result_must_fit() -> None:
    """OpenCV ignores an output that does not fit; a frame must not be lost in that way."""
    frame = np.zeros((360, 640, 3), np.uint8)
    for out in (np.zeros((180, 101), np.uint8), np.zeros((101, 180), np.int8)):
        with pytest.raises(ValueError, match="wanted is uint8"):
            luma_for_analysis(frame, out)
