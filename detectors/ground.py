"""The empty scene, cell by cell, and what stands out from it, moving or not.

Motion says nothing of somebody who lies where nobody ever lay, or waits where everybody walks. For
that the picture is compared with the scene as it is when nobody is there: in the means of 4x4 px
cells, which noise and compression hardly touch, with what the light does to all of it taken out.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.light import Light, light_between, median
from detectors.motion import CELL_PX
from detectors.tokens import STRIDE_CELLS, grid_of

FEATURES = 7
TALL, WIDE, ABOVE, BELOW, LEFT, RIGHT, STAY = range(FEATURES)
"""log(1 + .) of: unbroken foreground through the cell down and across, and to each side of it,
cells; how long it has been foreground, seconds."""

THRESHOLD = 10.0
"""Levels of luma by which a cell's mean differs from the empty scene when something is there."""

FOREIGN_SHARE = 0.5
"""Above this share of foreground it is the camera or the light, not something in the picture."""

STRANGE_SHARE = 0.22
"""So many cells differ from the scene that was learned, for a while: it is another one."""

SETTLE_S = 60.0
"""A picture that is like the empty scene again for so long is believed."""

_ADAPT_PER_S = 0.1  # levels: what stays is part of the scene after ten minutes or so
_ADAPT_FOREIGN_PER_S = 8.0
_STRANGE_OVER_S = 10.0
_FADE = 3.0  # times faster than it grew, a stay is forgotten where nothing is seen,
_FLICKER_S = 0.2  # and half of it in such a moment
_LONGEST_STEP_S = 30.0
_SAME_SHARE = 0.7
_FAR_LESS = 0.5
_GAINS = (0.6, 1.6)  # of clouds and exposure; beyond that it is other light, as by infrared


def cell_means(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean luma of each whole 4x4 px cell: (h, w) -> (rows, cols) uint8."""
    rows, cols = grid_of(luma.shape)
    whole = luma[: rows * CELL_PX, : cols * CELL_PX]
    return np.asarray(cv2.resize(whole, (cols, rows), interpolation=cv2.INTER_AREA), np.uint8)


def empty_scene(cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The scene when nobody is there, from n pictures of it (n, rows, cols): each cell's median."""
    return np.asarray(np.median(cells, 0).astype(np.uint8))


@dataclass(frozen=True, slots=True)
class Figures:
    """The n places of one frame at which something stands out from the empty scene.

    `rows`, `cols`: (n,) int16, cells within `grid` = (rows, columns). `features`: (n, 7) float32,
    see `FEATURES`.
    """

    rows: NDArray[np.int16]
    cols: NDArray[np.int16]
    features: NDArray[np.float32]
    grid: tuple[int, int]

    def __len__(self) -> int:
        """Number of places."""
        return len(self.rows)


class Ground:
    """One camera's empty scene as it slowly changes, and how long what stands out has been there.

    What stands somewhere when it first looks, and stays as it is, is furniture that was moved while
    nobody looked: it becomes a second look of the scene. The scene that was learned is not
    forgotten: where that shows, nothing stands, and whoever was taken for part of the scene leaves
    no ghost behind.

    Not for use by two threads at once.
    """

    def __init__(self, scene: NDArray[np.uint8]) -> None:
        """`scene`: (rows, cols), as `empty_scene` gives it."""
        self._scene = scene.astype(np.float32)
        self._learned = scene.astype(np.float32)
        self._unlike = 0.0
        self._stay = np.zeros(scene.shape, np.float32)
        self._furniture: NDArray[np.float32] | None = None  # of its cells, elsewhere infinite
        self._foreign_s = 0.0

    @property
    def foreign(self) -> bool:
        """Whether the picture is not of this scene, or was not until a moment ago."""
        return self._foreign_s > 0.0

    @property
    def unlike(self) -> float:
        """Share of cells, over the last seconds, that differ from the scene that was learned.

        Light that changes everywhere alike does not count; a scene that was taken up since does.
        """
        return self._unlike

    def reset(self) -> None:
        """Footage broke off for a moment, as in a reconnect: how long things stand counts anew."""
        self._stay[:] = 0.0

    def begin(self) -> None:
        """Other footage of the same camera begins, from who knows when."""
        self.reset()
        self._furniture = None

    def step(self, cells: NDArray[np.uint8], passed_s: float) -> Figures:
        """What stands out now, `passed_s` after the frame before; none while `foreign`."""
        scene, grid = self._scene, (int(self._scene.shape[0]), int(self._scene.shape[1]))
        now = cells.astype(np.float32)
        if now.shape != scene.shape:
            now = np.asarray(cv2.resize(now, grid[::-1], interpolation=cv2.INTER_AREA))
        passed_s = min(max(passed_s, 0.0), _LONGEST_STEP_S)
        light, there = _apart(scene, now)
        foreign = np.count_nonzero(there) / there.size > FOREIGN_SHARE
        unlike = _apart(self._learned, now)[1]
        share = np.count_nonzero(unlike) / unlike.size
        self._unlike += (share - self._unlike) * (1.0 - float(np.exp(-passed_s / _STRANGE_OVER_S)))
        if self._unlike <= STRANGE_SHARE:
            there &= unlike
        there &= ~self._is_furniture(light.undone(now), there)
        rate = (_ADAPT_FOREIGN_PER_S if self.foreign else _ADAPT_PER_S) * passed_s
        scene += np.clip(now - scene, -rate, rate)
        if foreign:
            self._foreign_s = SETTLE_S
        elif self.foreign:
            self._foreign_s = max(0.0, self._foreign_s - passed_s)
        if self.foreign:
            self._stay[:] = 0.0
            return _figures(np.zeros_like(there), self._stay, grid)
        gone = np.float32(0.5 ** (passed_s / _FLICKER_S))
        faded = gone * np.maximum(self._stay - np.float32(_FADE * passed_s), 0.0)
        self._stay = np.where(there, self._stay + np.float32(passed_s), faded).astype(np.float32)
        return _figures(there, self._stay, grid)

    def _is_furniture(
        self, seen: NDArray[np.float32], there: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which cells show what stood there from the beginning; `seen` in the scene's light."""
        if self._furniture is None:
            self._furniture = np.where(there, seen, np.float32(np.inf)).astype(np.float32)
        # Where the empty scene shows again, it was somebody; who passes in front changes nothing.
        self._furniture[~there] = np.inf
        known = np.abs(seen - self._furniture) <= THRESHOLD
        if not known.any():
            return np.asarray(known)
        # Whole things, or what is left of one would be of a strange shape.
        n, thing = cv2.connectedComponents(there.view(np.uint8), connectivity=8)
        cells = np.bincount(thing.ravel(), minlength=n)
        same = np.bincount(thing[known], minlength=n)
        return np.asarray((same > _SAME_SHARE * cells)[thing])


def _apart(scene: NDArray[np.float32], now: NDArray[np.float32]) -> tuple[Light, NDArray[np.bool_]]:
    """The light that `now` shows the scene in, and which cells differ from it all the same.

    Lighter or darker, or with another contrast as well: the latter where it leaves far less
    standing out, since what stands there has a say in it.
    """
    plain = Light(1.0, float(median(now - scene)))
    there = np.abs(now - plain.of(scene)) > THRESHOLD
    if not there.any():
        return plain, there
    light = light_between(scene, now)
    if not _GAINS[0] <= light.gain <= _GAINS[1]:
        return plain, there
    less = np.abs(now - light.of(scene)) > THRESHOLD
    far_less = np.count_nonzero(less) < _FAR_LESS * np.count_nonzero(there)
    return (light, less) if far_less else (plain, there)


def _figures(there: NDArray[np.bool_], stay: NDArray[np.float32], grid: tuple[int, int]) -> Figures:
    looked_at = np.zeros_like(there)
    at = slice(1, None, STRIDE_CELLS)
    looked_at[at, at] = there[at, at]
    rows, cols = np.nonzero(looked_at)
    features = np.empty((len(rows), FEATURES), np.float32)
    if len(rows):
        sides = [side[rows, cols] for side in _extents(there)]
        features[:, TALL] = sides[0] + sides[1] - 1
        features[:, WIDE] = sides[2] + sides[3] - 1
        for feature, side in zip((ABOVE, BELOW, LEFT, RIGHT), sides, strict=True):
            features[:, feature] = side
        features[:, STAY] = stay[rows, cols]
        np.log1p(features, out=features)
    return Figures(rows.astype(np.int16), cols.astype(np.int16), features, grid)


def _extents(there: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Unbroken foreground above, below, left and right of each cell, itself counted."""
    h, w = there.shape
    y, x = np.arange(h)[:, None], np.arange(w)[None, :]
    above = y - np.maximum.accumulate(np.where(there, -1, y), 0)
    below = np.minimum.accumulate(np.where(there, h, y)[::-1], 0)[::-1] - y
    left = x - np.maximum.accumulate(np.where(there, -1, x), 1)
    right = np.minimum.accumulate(np.where(there, w, x)[:, ::-1], 1)[:, ::-1] - x
    return [above, below, left, right]
