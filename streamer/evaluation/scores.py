"""Scores of one entry: what was analysed, and what that says about every frame."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.evaluation.regions import Detection


@dataclass(frozen=True, slots=True)
class EntryScores:
    """The analysed frames of one entry, in order.

    `frame`: (n,) int64, numbers of the frames, ascending, counted from 0. `score`: (n,) float64,
    >= 0. `region`: (n, 4) float64, (x, y, width, height) as shares of the picture, NaN where
    nothing moves. `decoded`: how many frames the decoder gave. `strange`: (n,) whether the picture
    was not that of the scene learned; None where that is not known.
    """

    frame: NDArray[np.int64]
    score: NDArray[np.float64]
    region: NDArray[np.float64]
    decoded: int
    strange: NDArray[np.bool_] | None = None

    def newest(self, frames: int) -> NDArray[np.int64]:
        """Index of the newest analysed frame at each of `frames` frames, (frames,); -1: none."""
        return np.searchsorted(self.frame, np.arange(frames), side="right").astype(np.int64) - 1

    def every_frame(self, frames: int) -> NDArray[np.float64]:
        """The score at every frame, (frames,): that of the newest analysed one; before it 0."""
        return np.concatenate([[0.0], self.score])[self.newest(frames) + 1]


def write_scores(path: Path, scores: NDArray[np.float64], fps: float) -> None:
    """Write `frame,time_s,score`, one row for every frame; a score comes back bit for bit."""
    rows = [f"{i},{i / fps:.6f},{float(score)!r}\n" for i, score in enumerate(scores)]
    path.write_text("frame,time_s,score\n" + "".join(rows), encoding="utf-8")


def detections(entry: int, scores: EntryScores, frames: int) -> Iterator[Detection]:
    """Where entry number `entry` is unusual at every frame at which something is, in order."""
    for frame, k in enumerate(scores.newest(frames).tolist()):
        if k >= 0 and scores.score[k] > 0 and np.isfinite(scores.region[k]).all():
            x, y, width, height = scores.region[k].tolist()
            yield Detection(entry, frame, (x, y, width, height), float(scores.score[k]))


def write_regions(path: Path, found: Iterable[Detection]) -> None:
    """Write `frame,x,y,width,height,score`, a row for every frame at which a region is known."""
    rows = [
        f"{one.frame},{','.join(f'{side:.6f}' for side in one.box)},{one.score!r}\n"
        for one in found
    ]
    path.write_text("frame,x,y,width,height,score\n" + "".join(rows), encoding="utf-8")
