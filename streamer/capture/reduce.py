"""From a camera's picture to the two small ones that Sorawatch keeps: for people and for analysis.

Both are made by halving while that is possible, which averages 2x2 pixels at the speed of memory,
and one resize of less than a factor of two. Straight to the size with INTER_AREA, the only other
way that does not let fine texture flicker, costs up to six times as much (benchmarks/reduce.py).
"""

from functools import lru_cache
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_PICTURE_SIDE: Final = 640
MAX_PICTURE_PIXELS: Final = 640 * 480
ANALYSIS_SIDE: Final = 180
MIN_SIDE: Final = 8
"""Neither is narrower than this, however long and thin the source, unless the source is."""


@lru_cache(maxsize=256)
def picture_shape(height: int, width: int) -> tuple[int, int]:
    """Size (h, w) of the picture kept of a source of `height` x `width` px.

    At most 640 px long and 307,200 px in all, aspect kept, never enlarged.
    """
    longest, pixels = max(height, width), height * width
    scale = min(1.0, MAX_PICTURE_SIDE / longest, (MAX_PICTURE_PIXELS / pixels) ** 0.5)
    # Rounded down: up might exceed the number of pixels that a slot of the ring holds.
    return _scaled(height, scale, 0.0), _scaled(width, scale, 0.0)


@lru_cache(maxsize=256)
def analysis_shape(height: int, width: int) -> tuple[int, int]:
    """Size (h, w) of the luma that is analysed; the same for a source and for its picture.

    At most 180 px long, aspect kept, never enlarged.
    """
    height, width = picture_shape(height, width)
    scale = min(1.0, ANALYSIS_SIDE / max(height, width))
    return _scaled(height, scale, 0.5), _scaled(width, scale, 0.5)


def reduce_picture(frame: NDArray[Any], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """The picture for people: (h, w, 3) uint8 BGR of `picture_shape`, in `out` if given.

    `frame`: (H, W), (H, W, 1), (H, W, 3) BGR or (H, W, 4) BGRA, uint8 or uint16; of 16 bits the
    upper eight are kept. ValueError for anything else, or an `out` that does not fit.
    """
    frame = _checked(frame)
    shape = picture_shape(*frame.shape[:2])
    out = _output(out, (*shape, 3))
    if frame.ndim == 3 and frame.shape[2] == 3 and frame.dtype == np.uint8:
        return _shrink(frame, shape, cv2.INTER_LINEAR, out)
    small = _eight_bits(_shrink(frame, shape, cv2.INTER_LINEAR))
    if small.ndim == 2:
        cv2.cvtColor(small, cv2.COLOR_GRAY2BGR, dst=out)
    elif small.shape[2] == 4:
        cv2.cvtColor(small, cv2.COLOR_BGRA2BGR, dst=out)
    else:
        np.copyto(out, small)
    return out


def luma_for_analysis(
    frame: NDArray[Any], out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """What the detector sees: (h, w) uint8 luma of `analysis_shape`, in `out` if given.

    `frame` as for `reduce_picture`, whose result is also accepted, gives the same luma as the
    frame it came from, and is cheaper where that is needed anyway. ValueError as there.
    """
    frame = _checked(frame)
    shape = analysis_shape(*frame.shape[:2])
    out = _output(out, shape)
    if frame.shape[:2] != picture_shape(*frame.shape[:2]) or frame.dtype != np.uint8:
        frame = reduce_picture(frame)
    if frame.ndim == 3:
        code = cv2.COLOR_BGR2GRAY if frame.shape[2] == 3 else cv2.COLOR_BGRA2GRAY
        frame = cv2.cvtColor(frame, code)
    # Here the last step averages too, for LINEAR would make the noise, and with it the threshold
    # of what counts as changed, come and go in bands over the picture.
    return _shrink(frame, shape, cv2.INTER_AREA, out)


def _scaled(side: int, scale: float, rounding: float) -> int:
    return min(side, max(MIN_SIDE, int(side * scale + rounding)))


def _checked(frame: NDArray[Any]) -> NDArray[Any]:
    if frame.ndim == 3 and frame.shape[2] == 1:
        frame = frame[:, :, 0]
    layout = frame.ndim == 2 or (frame.ndim == 3 and frame.shape[2] in (3, 4))
    if not layout or not frame.size or frame.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"not a picture: {frame.dtype} of shape {frame.shape}; "
            "wanted are 8 or 16 bits, grey, BGR or BGRA"
        )
    return frame


def _output(out: NDArray[np.uint8] | None, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if out is None:
        return np.empty(shape, np.uint8)
    # OpenCV would put its result elsewhere, without a word.
    if out.shape != shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise ValueError(f"out is {out.dtype} of shape {out.shape}, wanted is uint8 of {shape}")
    return out


def _shrink(
    frame: NDArray[Any], shape: tuple[int, int], last: int, out: NDArray[Any] | None = None
) -> NDArray[Any]:
    """`frame` at `shape`, which is no larger in either direction; `last` is the final method."""
    height, width = shape
    while True:
        rows, columns = frame.shape[:2]
        if rows == height and columns == width:
            break
        if rows < 2 * height or columns < 2 * width:
            # Still far too large in one direction: long and thin, and averaged whatever it costs.
            far = rows >= 2 * height or columns >= 2 * width
            return _resized(frame, shape, cv2.INTER_AREA if far else last, out)
        half = (rows // 2, columns // 2)
        target = out if half == shape else None
        frame = _resized(frame[: 2 * half[0], : 2 * half[1]], half, cv2.INTER_LINEAR, target)
    if out is None or frame is out:
        return frame
    np.copyto(out, frame)
    return out


def _resized(
    frame: NDArray[Any], shape: tuple[int, int], method: int, out: NDArray[Any] | None
) -> NDArray[Any]:
    result: NDArray[Any] = cv2.resize(frame, shape[::-1], dst=out, interpolation=method)
    return result if out is None else out


def _eight_bits(frame: NDArray[Any]) -> NDArray[np.uint8]:
    return frame if frame.dtype == np.uint8 else (frame >> 8).astype(np.uint8)
