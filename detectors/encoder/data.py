"""Batches for training: windows from many cameras with things planted in them.

Every batch is a function of (seed, step) and the footage alone, so that a training that is resumed
sees what one that was never interrupted would have seen.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.encoder.augment import mirror, relight, zoom
from detectors.encoder.contract import CHANNELS, LUMA, STRIDE_PX
from detectors.encoder.footage import Run
from detectors.encoder.plant import ANOMALIES, Kind, crop
from detectors.encoder.planter import Planter
from sorawatch import SourceError

IGNORED = -1
GROUP = 6
"""Windows of one camera in a batch: each is compared with what is normal in the others."""

FUTURE_PLANES = len(CHANNELS) - LUMA.stop
"""Planes of the frame to be predicted: flow x, y and difference."""

_KINDS = (Kind.NORMAL, Kind.FAST, Kind.SCALED, Kind.TURNED, Kind.FOREIGN, Kind.SLOW)
_SHARES = (0.25, 0.2, 0.15, 0.12, 0.2, 0.08)
_PLANTED, _CLEAR = 0.15, 0.02
"""A cell is planted when this share of it is covered, clear when less than that is."""


@dataclass(frozen=True, slots=True)
class Batch:
    """B windows and what is true of them; h, w in cells of 16 px.

    `x` (B, T, 7, H, W) float32. `kind` (B, h, w) int64: `Kind` of what was planted in the cell,
    -1 where a thing only touches it. `planted` (B, h, w) float32: 1 anomaly, 0 none, -1 not to be
    counted. `moving` (B, h, w) float32: share of the cell that moves. `future` (B, 3, H, W)
    float32: flow x, y and difference of the frame after the newest, as in X.
    `group` (B,) int64: windows of one group share it; they are `GROUP` views of the same camera,
    cut at the same place, at other times.
    """

    x: NDArray[np.float32]
    kind: NDArray[np.int64]
    planted: NDArray[np.float32]
    moving: NDArray[np.float32]
    future: NDArray[np.float32]
    group: NDArray[np.int64]


_Sample = tuple[
    NDArray[np.float32],
    NDArray[np.int64],
    NDArray[np.float32],
    NDArray[np.float32],
    NDArray[np.float32],
]


@dataclass(frozen=True, slots=True)
class _View:
    """What a group's windows share: runs to cut from, where (y, x, height, width), how large."""

    camera: str
    runs: list[Run]
    box: tuple[int, int, int, int]
    zoom: float
    mirrored: bool


class Batches:
    """Cuts batches out of runs; see `batch`."""

    def __init__(
        self, runs: Sequence[Run], frames: int, crop_px: tuple[int, int], *, seed: int
    ) -> None:
        """`crop_px`: height and width of the windows, multiples of 16.

        SourceError when no run at ordinary speed is long enough for a window.
        """
        self._frames, self._crop, self._seed = frames, crop_px, seed
        runs = [run for run in runs if len(run) > frames]
        self._clips: dict[tuple[str, str], list[Run]] = defaultdict(list)
        for run in runs:
            if run.speed == 1.0:
                self._clips[(run.camera, run.name)].append(run)
        if not self._clips:
            raise SourceError(
                f"no footage is long enough: a window needs {frames + 1} frames of 0.2 s", "ended"
            )
        self._planter = Planter(runs, frames)
        self._keys = sorted(self._clips)
        seconds = np.array([sum(len(r) for r in self._clips[k]) for k in self._keys], float)
        # Long clips more often, but not so often that few cameras make up all of it.
        weights = np.sqrt(seconds)
        self._weights = weights / weights.sum()

    @property
    def clips(self) -> int:
        """Clips that are long enough."""
        return len(self._keys)

    def batch(self, step: int, size: int, *, augment: bool = True) -> Batch:
        """The batch of this step: `size` windows, in groups of one camera each."""
        rng = np.random.default_rng([self._seed, step])
        samples: list[tuple[*_Sample, int]] = []
        while len(samples) < size:
            k = int(rng.choice(len(self._keys), p=self._weights))
            view = self._view(self._keys[k], rng, augment)
            for _ in range(min(GROUP, size - len(samples))):
                samples.append((*self._sample(view, rng, augment), len(samples) // GROUP))
        x, kind, planted, moving, future, group = zip(*samples, strict=True)
        return Batch(
            np.stack(x),
            np.stack(kind),
            np.stack(planted),
            np.stack(moving),
            np.stack(future),
            np.array(group, np.int64),
        )

    def whole(self, n: int) -> Iterator[NDArray[np.float32]]:
        """n windows of whole pictures as they are, (T, 7, H, W)."""
        rng = np.random.default_rng([self._seed, n, 1])
        for _ in range(n):
            clip = self._clips[self._keys[int(rng.choice(len(self._keys), p=self._weights))]]
            run = clip[int(rng.integers(len(clip)))]
            newest = int(rng.integers(self._frames - 1, len(run)))
            frames = range(newest - self._frames + 1, newest + 1)
            yield np.stack([crop(run, i, 0, 0, *run.size) for i in frames])

    def _view(self, key: tuple[str, str], rng: np.random.Generator, augment: bool) -> _View:
        """What the windows of one group have in common."""
        camera, _ = key
        own = self._clips[key]
        size = own[0].size
        runs = [r for r in self._planter.runs(camera, 1.0) if r.size == size]
        zoom = float(np.exp(rng.uniform(-0.25, 0.25))) if augment and rng.random() < 0.5 else 1.0
        height, width = (round(side / zoom) for side in self._crop)
        run = own[int(rng.integers(len(own)))]
        newest = int(rng.integers(self._frames - 1, len(run) - 1))
        corner = self._place(run, newest, height, width, rng)
        mirrored = augment and bool(rng.random() < 0.5)
        return _View(camera, runs, (*corner, height, width), zoom, mirrored)

    def _sample(self, view: _View, rng: np.random.Generator, augment: bool) -> _Sample:
        """One window, what is planted in it, and what comes next."""
        run = view.runs[int(rng.integers(len(view.runs)))]
        newest = int(rng.integers(self._frames - 1, len(run) - 1))
        frames = range(newest - self._frames + 1, newest + 2)
        x = np.stack([crop(run, i, *view.box) for i in frames])
        x, future = x[:-1], x[-1]
        covered = np.zeros((len(Kind), *view.box[2:]), np.float32)
        for _ in range(int(rng.integers(0, 5))):
            kind = Kind(int(rng.choice(_KINDS, p=_SHARES)))
            self._planter.plant(x, covered, kind, view.camera, run, view.box[:2], rng)
        if view.zoom != 1.0:
            x, future = (zoom(a, self._crop, view.zoom) for a in (x, future))
            covered = np.stack([cv2.resize(plane, self._crop[::-1]) for plane in covered])
        if view.mirrored:
            x, future, covered = mirror(x), mirror(future), covered[..., ::-1].copy()
        if augment:
            relight(x, rng)
        kinds, planted = _cells(covered)
        moving = _mean_cells((np.abs(x[-1, LUMA.stop :]).max(0) > 0).astype(np.float32))
        return x, kinds, planted, moving, future[LUMA.stop :].copy()

    def _place(
        self, run: Run, i: int, height: int, width: int, rng: np.random.Generator
    ) -> tuple[int, int]:
        """Where to cut: mostly around something that moves."""
        h, w = run.size
        y = float(rng.uniform(min(0, h - height), max(0, h - height)))
        x = float(rng.uniform(min(0, w - width), max(0, w - width)))
        boxes = self._planter.boxes(run, i)
        if boxes and rng.random() < 0.7:
            by, bx, b, c = boxes[int(rng.integers(len(boxes)))]
            y = by + b / 2 - height * rng.uniform(0.15, 0.85)
            x = bx + c / 2 - width * rng.uniform(0.15, 0.85)
        return (
            int(np.clip(y, min(0, h - height), max(0, h - height))),
            int(np.clip(x, min(0, w - width), max(0, w - width))),
        )


def _mean_cells(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    h, w = plane.shape
    s = STRIDE_PX
    return np.asarray(plane.reshape(h // s, s, w // s, s).mean((1, 3)), np.float32)


def _cells(covered: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Kind of each cell, and whether it counts as an anomaly (1, 0, or -1: not to be counted)."""
    shares = np.stack([_mean_cells(plane) for plane in covered])
    total = shares.sum(0)
    largest = shares.argmax(0)
    kinds = np.where(total >= _PLANTED, largest, np.where(total <= _CLEAR, 0, IGNORED))
    planted = np.isin(kinds, ANOMALIES).astype(np.float32)
    planted[(kinds == IGNORED) | (kinds == Kind.SLOW)] = -1.0
    return kinds.astype(np.int64), planted
