"""Motion: where the picture changes, and how what changed moves.

The cheap chain that everything else stands on. Two luma planes about 0.2 s apart:

1. difference, with what the light did to the whole picture taken out;
2. the noise of the camera, from the median of the difference; what exceeds five times that
   has changed; where nothing has, the work ends here (about 0.05 ms);
3. changed 4x4 cells, dilated, merged into boxes; dense inverse search flow (DIS) in each box,
   on the finest scale, patches normalised by their mean so that a light that changes is no motion;
4. flow masked by the difference: what did not change does not move.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.light import light_between, median
from detectors.window import Window

GAP_S = 0.2
"""Time between the two frames that are compared, and the unit of flow: pixels per 0.2 s."""

CELL_PX = 4
BOX_PX = (96, 40)
"""Least width and height of a box: DIS takes its pyramid's height from the longer side, and without
a pyramid it loses whatever moves farther than a third of its own size."""
WHOLE_SHARE = 0.65
SIGMAS = 5.0
THRESHOLD_RANGE = (6.0, 24.0)
NOISE_RISE_S = 20.0
MIN_SIDE_PX = 16
"""Pictures with a shorter side are too small for flow: nothing ever moves there."""

_MEDIAN_TO_SIGMA = 1.0 / 0.6745
_SAME_LIGHT = 1.0  # luma levels: a smaller change of the whole picture is none
_MIN_CHANGED_PX = 2  # of the 16 pixels of a cell, so that single noisy pixels open no gate


@dataclass(frozen=True, slots=True)
class Motion:
    """What moved in the newest frame of a window.

    `changed`: share of the picture that changed, in [0, 1]; 0.0 when the gate stayed shut. Above
    `WHOLE_SHARE` it is the camera or the light rather than something in the picture.
    `flow`: (h, w, 2) float32, x and y, pixels per 0.2 s at analysis size, from the earlier
    frame to the newest; zero where nothing moves.
    `moving`: (h, w) bool, where the picture changed beyond noise inside the boxes.
    `difference`: (h, w) uint8, absolute difference of luma to about 0.2 s ago, change of light
    taken out.
    The three arrays are None when nothing changed (or there is no earlier frame yet).
    `noise`: standard deviation of the camera's noise in the difference, luma levels.
    """

    changed: float
    flow: NDArray[np.float32] | None
    moving: NDArray[np.bool_] | None
    difference: NDArray[np.uint8] | None
    noise: float = 0.0

    @property
    def still(self) -> bool:
        """Whether nothing moved, so that nothing needs to be scored."""
        return self.flow is None

    @property
    def whole(self) -> bool:
        """Whether (nearly) the whole picture changed: the camera moved, or a flash."""
        return self.changed > WHOLE_SHARE


STILL = Motion(0.0, None, None, None)


def earlier_index(times_s: tuple[float, ...]) -> int | None:
    """Index of the frame nearest to `GAP_S` before the newest; None without an earlier frame."""
    if len(times_s) < 2:
        return None
    wanted_s = times_s[-1] - GAP_S
    return min(range(len(times_s) - 1), key=lambda i: (abs(times_s[i] - wanted_s), -i))


class MotionAnalyser:
    """Motion of one camera, window after window.

    Carries the camera's noise level from window to window and nothing else; `reset` forgets it.
    Not for use by two threads at once. Results do not depend on the number of threads as long as
    OpenCV runs single-threaded, which the constructor asks of it (`cv2.setNumThreads(1)`): DIS cuts
    the picture into as many stripes as there are threads, and flow does not cross stripes.
    """

    def __init__(self) -> None:
        """Set up flow; asks OpenCV to run single-threaded."""
        if cv2.getNumThreads() != 1:
            cv2.setNumThreads(1)
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        dis.setFinestScale(0)
        dis.setPatchSize(8)
        dis.setPatchStride(4)
        dis.setGradientDescentIterations(12)
        dis.setVariationalRefinementIterations(0)
        dis.setUseSpatialPropagation(True)
        dis.setUseMeanNormalization(True)
        self._dis = dis
        self._noise: float | None = None
        self._generation: int | None = None
        self._time_s = 0.0

    def reset(self) -> None:
        """Forget the noise level, as after a reconnect."""
        self._noise = None
        self._generation = None

    def step(self, window: Window) -> Motion:
        """Motion of the window's newest frame; still when there is no earlier frame."""
        if window.generation != self._generation:
            self._noise = None
            self._generation = window.generation
            self._time_s = window.times_s[-1]
        i = earlier_index(window.times_s)
        if i is None:
            return STILL
        before, now = window.frames[i], window.frames[-1]
        if before.shape != now.shape or min(now.shape) < MIN_SIDE_PX:
            return STILL
        gap_s = window.times_s[-1] - window.times_s[i]
        passed_s = max(0.0, window.times_s[-1] - self._time_s)
        self._time_s = window.times_s[-1]
        return self._compare(before, now, gap_s, passed_s)

    def _compare(
        self, before: NDArray[np.uint8], now: NDArray[np.uint8], gap_s: float, passed_s: float
    ) -> Motion:
        before = _match_light(before, now)
        difference = np.asarray(cv2.absdiff(before, now))
        histogram = cv2.calcHist([difference], [0], None, [256], [0, 256]).ravel()
        noise = self._noise_level(histogram, passed_s)
        low, high = THRESHOLD_RANGE
        threshold = int(min(max(SIGMAS * noise, low), high))
        if float(histogram[threshold + 1 :].sum()) < _MIN_CHANGED_PX:
            return Motion(0.0, None, None, None, noise)
        mask = cv2.threshold(difference, threshold, 1, cv2.THRESH_BINARY)[1]
        cells = _changed_cells(mask)
        changed = float(np.count_nonzero(cells)) / cells.size
        if changed == 0.0:
            return Motion(0.0, None, None, None, noise)
        h, w = now.shape
        boxes = [(0, 0, w, h)] if changed > WHOLE_SHARE else _boxes(cells, w, h)
        scale = GAP_S / gap_s if gap_s > 0 else 1.0
        across, down = np.zeros((h, w), np.float32), np.zeros((h, w), np.float32)
        inside = np.zeros((h, w), np.uint8)
        for x0, y0, x1, y1 in boxes:
            part = self._dis.calc(
                np.ascontiguousarray(before[y0:y1, x0:x1]),
                np.ascontiguousarray(now[y0:y1, x0:x1]),
                None,
            )
            # Apart: two channels take many times as long as each by itself.
            u, v = cv2.split(part)
            across[y0:y1, x0:x1] = cv2.medianBlur(u, 5)
            down[y0:y1, x0:x1] = cv2.medianBlur(v, 5)
            inside[y0:y1, x0:x1] = 1
        moving = mask & inside
        weight = moving * np.float32(scale)
        flow = np.asarray(cv2.merge((across * weight, down * weight)))
        if not np.isfinite(flow).all():  # DIS has been seen to diverge on flat crops
            np.nan_to_num(flow, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
        return Motion(changed, flow, moving.view(np.bool_), difference, noise)

    def _noise_level(self, histogram: NDArray[np.float32], passed_s: float) -> float:
        """Noise sigma; falls at once and rises slowly, so that a crowd does not inflate it."""
        total = float(histogram.sum())
        if histogram[0] == total:  # the same picture twice says nothing about noise
            return self._noise or 0.0
        measured = _median(histogram, total) * _MEDIAN_TO_SIGMA
        if self._noise is None or measured <= self._noise:
            self._noise = measured
        else:
            self._noise += (measured - self._noise) * (
                1.0 - float(np.exp(-passed_s / NOISE_RISE_S))
            )
        return self._noise


_KERNEL = np.ones((3, 3), np.uint8)


def _match_light(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The earlier picture in the light of the newest: gain and offset of the whole picture.

    Judged on a coarse grid by medians, so that what moves has no say as long as it covers less than
    half; the earlier picture itself when that explains little.
    """
    step = 8
    x, y = before[::step, ::step].astype(np.float32), now[::step, ::step].astype(np.float32)
    apart = float(median(np.abs(y - x)))
    if apart <= _SAME_LIGHT:
        return before
    light = light_between(x, y)
    if float(median(np.abs(y - light.of(x)))) > 0.7 * apart:
        return before
    levels = light.of(np.arange(256, dtype=np.float32))
    table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(before, table))


def _median(histogram: NDArray[np.float32], total: float) -> float:
    """Median of whole numbers given their histogram, interpolated within the middle bin."""
    below = np.cumsum(histogram)
    k = int(np.searchsorted(below, total / 2.0))
    before = float(below[k - 1]) if k else 0.0
    return max(0.0, k - 0.5 + (total / 2.0 - before) / float(histogram[k]))


def _changed_cells(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(ceil(h/4), ceil(w/4)) uint8: 1 where enough pixels of a 4x4 cell changed, then dilated."""
    h, w = mask.shape
    pad_y, pad_x = -h % CELL_PX, -w % CELL_PX
    if pad_y or pad_x:
        mask = np.asarray(cv2.copyMakeBorder(mask, 0, pad_y, 0, pad_x, cv2.BORDER_CONSTANT))
    share = cv2.resize(
        mask * np.uint8(CELL_PX * CELL_PX),
        (mask.shape[1] // CELL_PX, mask.shape[0] // CELL_PX),
        interpolation=cv2.INTER_AREA,
    )
    cells = cv2.threshold(share, _MIN_CHANGED_PX - 1, 1, cv2.THRESH_BINARY)[1]
    return np.asarray(cv2.dilate(cells, _KERNEL))


def _boxes(cells: NDArray[np.uint8], w: int, h: int) -> list[tuple[int, int, int, int]]:
    """Boxes (x0, y0, x1, y1) in pixels around what changed, at least `BOX_PX`,
    not overlapping."""
    n, _, stats, _ = cv2.connectedComponentsWithStats(cells, connectivity=8)
    boxes = []
    for x, y, width, height, _ in stats[1:n].tolist():
        x0, x1 = _widen(x * CELL_PX, (x + width) * CELL_PX, BOX_PX[0], w)
        y0, y1 = _widen(y * CELL_PX, (y + height) * CELL_PX, BOX_PX[1], h)
        boxes.append((x0, y0, x1, y1))
    return _merge(boxes)


def _widen(low: int, high: int, least: int, limit: int) -> tuple[int, int]:
    """Grow an interval to `least` about its middle, inside 0..limit."""
    high = min(high, limit)
    missing = least - (high - low)
    if missing > 0:
        low -= missing // 2
        high = low + least
    if high > limit:
        low, high = low - (high - limit), limit
    return max(0, low), min(high, limit)


def _merge(boxes: list[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Unite boxes until none overlap."""
    merged: list[tuple[int, int, int, int]] = []
    while boxes:
        x0, y0, x1, y1 = boxes.pop()
        overlapping = [b for b in merged if b[0] < x1 and x0 < b[2] and b[1] < y1 and y0 < b[3]]
        if overlapping:
            merged = [b for b in merged if b not in overlapping]
            overlapping.append((x0, y0, x1, y1))
            boxes.append(
                (
                    min(b[0] for b in overlapping),
                    min(b[1] for b in overlapping),
                    max(b[2] for b in overlapping),
                    max(b[3] for b in overlapping),
                )
            )
        else:
            merged.append((x0, y0, x1, y1))
    return merged
