"""What is planted into a window: things that move as fast as wanted, from the right camera."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from detectors.encoder.footage import Run
from detectors.encoder.plant import Blob, Kind, moving_boxes, paste, scale, take, turn


class Planter:
    """Plants things that it takes from runs; see `plant`."""

    def __init__(self, runs: Sequence[Run], frames: int) -> None:
        """`frames`: T, of the windows; every run is at least as long."""
        self._frames = frames
        self._speeds: dict[tuple[str, float], list[Run]] = defaultdict(list)
        for run in runs:
            self._speeds[(run.camera, run.speed)].append(run)
        self._cameras = sorted({run.camera for run in runs if run.speed == 1.0})
        self._known: dict[tuple[Run, int], list[tuple[int, int, int, int]]] = {}

    def plant(
        self,
        x: NDArray[np.float32],
        covered: NDArray[np.float32],
        kind: Kind,
        camera: str,
        run: Run,
        corner: tuple[int, int],
        rng: np.random.Generator,
    ) -> None:
        """Plant one thing of this kind, if one can be found."""
        h, w = x.shape[2:]
        blob = self._find(kind, camera, run, (*corner, h, w), rng)
        if blob is None:
            return
        where = blob.middles[-1] - np.asarray(corner, np.float32)  # where it was in its own run
        if kind == Kind.SCALED:
            factor = rng.uniform(1.6, 2.4) if rng.random() < 0.7 else rng.uniform(0.4, 0.6)
            blob = scale(blob, float(factor))
        elif kind == Kind.TURNED:
            blob = turn(blob, float(rng.uniform(0.35, 0.75) * np.pi * rng.choice((-1, 1))))
        elif kind == Kind.FOREIGN:
            where = np.array([rng.uniform(0.1, 0.9) * h, rng.uniform(0.1, 0.9) * w], np.float32)
            blob = scale(blob, float(np.exp(rng.uniform(-0.5, 0.5))))
        mask = paste(x, blob, where)
        covered *= 1.0 - mask
        covered[kind] = np.maximum(covered[kind], mask)

    def _find(
        self,
        kind: Kind,
        camera: str,
        run: Run,
        view: tuple[int, int, int, int],
        rng: np.random.Generator,
    ) -> Blob | None:
        """A blob at the speed and from the camera that this kind wants, None if there is none.

        Except for FOREIGN it must stand inside `view` (y, x, height, width): speed and size mean
        something only where they belong.
        """
        speed = 1.0
        if kind == Kind.FAST:
            speed = float(rng.choice((1.5, 2.0, 3.0), p=(0.3, 0.4, 0.3)))
        elif kind == Kind.SLOW:
            speed = 0.5
        elif kind == Kind.FOREIGN:
            others = [c for c in self._cameras if c != camera]
            if not others:
                return None
            camera = others[int(rng.integers(len(others)))]
        runs = self.runs(camera, speed)
        if kind != Kind.FOREIGN:
            runs = [r for r in runs if r.size == run.size]
        y0, x0, h, w = view
        for _ in range(8 if runs else 0):
            source = runs[int(rng.integers(len(runs)))]
            i = int(rng.integers(self._frames - 1, len(source)))
            boxes = self.boxes(source, i)
            if kind != Kind.FOREIGN:
                boxes = [
                    (y, x, b, c)
                    for y, x, b, c in boxes
                    if y0 <= y + b / 2 < y0 + h and x0 <= x + c / 2 < x0 + w
                ]
            if boxes:
                return take(source, i, self._frames, boxes[int(rng.integers(len(boxes)))])
        return None

    def runs(self, camera: str, speed: float) -> list[Run]:
        """The camera's runs at this speed."""
        return self._speeds.get((camera, speed), [])

    def boxes(self, run: Run, i: int) -> list[tuple[int, int, int, int]]:
        """`moving_boxes`, remembered: they are asked for again and again."""
        known = self._known.get((run, i))
        if known is None:
            known = self._known[(run, i)] = moving_boxes(run, i)
        return known
