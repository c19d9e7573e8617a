"""Scores of one entry: what was analysed, and what that says about every frame."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class EntryScores:
    """The analysed frames of one entry, in order.

    `frame`: (n,) int64, numbers of the frames, ascending, counted from 0. `score`: (n,) float64,
    >= 0. `region`: (n, 4) float64, (x, y, width, height) as shares of the picture, NaN where
    nothing moves. `decoded`: how many frames the decoder gave.
    """

    frame: NDArray[np.int64]
    score: NDArray[np.float64]
    region: NDArray[np.float64]
    decoded: int

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


def write_regions(path: Path, scores: EntryScores, frames: int) -> None:
    """Write `frame,x,y,width,height,score`, a row for every frame at which a region is known."""
    newest = scores.newest(frames)
    rows = []
    for i, k in enumerate(newest.tolist()):
        if k >= 0 and np.isfinite(scores.region[k]).all():
            x, y, width, height = scores.region[k].tolist()
            rows.append(
                f"{i},{x:.6f},{y:.6f},{width:.6f},{height:.6f},{float(scores.score[k])!r}\n"
            )
    path.write_text("frame,x,y,width,height,score\n" + "".join(rows), encoding="utf-8")
