"""From a camera's observations and its normality to a score with its reasons."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.ground import Figures
from detectors.score import Region, Score
from detectors.tokens import MEMORY_S, STRIDE_CELLS, Tokens

_REGION_SHARE = 0.5  # of the largest surprise: so much belongs to the same thing
_REGION_CELLS = 3  # a token stands for so many cells
_MOST_LOOKS = 4.0  # nats: once in 55 normal tokens
_SMALLEST = 0.05  # scores below are zero: what has stopped moving fades away


def fuse(surprises: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fisher's sum of k independent surprises, (k, n) -> (n,), as a surprise itself.

    The sum of k unit exponentials exceeds g with probability exp(-g) * sum(g^j / j!, j < k).
    """
    total = surprises.sum(0)
    series, term = np.ones_like(total), np.ones_like(total)
    for j in range(1, len(surprises)):
        term = term * total / j
        series += term
    return np.asarray(np.maximum(total - np.log(series), 0.0))


def moving(
    speed: NDArray[np.float64], pattern: NDArray[np.float64], looks: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    """Surprise of n moving tokens, (n,), from that of their parts; `looks`: the encoder's, if any.

    Looks far from everything known are many, and how far says little: beyond `_MOST_LOOKS` they
    add nothing, so that they raise what motion makes suspicious more than they accuse alone.
    """
    motion = fuse(np.stack([speed, pattern]))
    return motion if looks is None else fuse(np.stack([motion, np.minimum(looks, _MOST_LOOKS)]))


def largest(surprise: NDArray[np.float64], together: int = 1) -> float:
    """Surprise of a frame given those of its tokens: the largest, less what many tokens explain.

    `together`: the mean of so many largest counts, when a thing always has several tokens.
    """
    n = len(surprise)
    if not n:
        return 0.0
    top = np.partition(surprise, n - together)[n - together :] if n > together else surprise
    chances = max(n / together, 1.0)
    return max(0.0, float(top.sum()) / together - float(np.log(chances)))


class Smoother:
    """Exponential mean over time, so that a single bad frame raises nothing."""

    def __init__(self, memory_s: float = MEMORY_S) -> None:
        """Start from nothing. `memory_s`: its time constant."""
        self.value = 0.0
        self._memory_s = memory_s

    def step(self, value: float, passed_s: float) -> float:
        """Take the newest frame's value, `passed_s` after the one before."""
        self.value += (value - self.value) * (1.0 - float(np.exp(-passed_s / self._memory_s)))
        if self.value < _SMALLEST and value <= 0.0:
            self.value = 0.0
        return self.value


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a frame's score is what it is: parts (sum 1), region, clause, and when the nearest normal
    thing was seen, seconds into the footage learned from (None: not known)."""

    parts: dict[str, float]
    region: Region
    text: str
    nearest_s: float | None = None


def score_of(t_s: float, value: float, reason: Reason | None) -> Score:
    """The score as others see it; nothing to explain where there is nothing."""
    if value <= 0.0 or reason is None:
        return Score(t_s, 0.0, {}, None, "nothing unusual")
    return Score(t_s, value, reason.parts, reason.region, reason.text, nearest_s=reason.nearest_s)


def region_of(tokens: Tokens | Figures, surprise: NDArray[np.float64], top: int) -> Region:
    """Box around the tokens beside `top` that carry the score with it, as shares of the picture."""
    rows, cols = tokens.rows // STRIDE_CELLS, tokens.cols // STRIDE_CELLS
    high = np.zeros(
        (tokens.grid[0] // STRIDE_CELLS + 1, tokens.grid[1] // STRIDE_CELLS + 1), np.uint8
    )
    strong = surprise >= _REGION_SHARE * surprise[top]
    high[rows[strong], cols[strong]] = 1
    _, labels = cv2.connectedComponents(high, connectivity=8)
    own = strong & (labels[rows, cols] == labels[rows[top], cols[top]])
    half = _REGION_CELLS // 2
    y0 = max(0, int(tokens.rows[own].min()) - half) / tokens.grid[0]
    y1 = min(tokens.grid[0], int(tokens.rows[own].max()) + half + 1) / tokens.grid[0]
    x0 = max(0, int(tokens.cols[own].min()) - half) / tokens.grid[1]
    x1 = min(tokens.grid[1], int(tokens.cols[own].max()) + half + 1) / tokens.grid[1]
    return Region(x0, y0, x1 - x0, y1 - y0)


def explain(parts: dict[str, float], times_usual: float, fastest: float) -> str:
    """One clause for people, from the strongest part."""
    strongest = max(parts, key=lambda part: parts[part])
    if strongest == "speed":
        if times_usual > fastest:
            return f"faster than anything seen here ({times_usual:.1f} times the usual speed)"
        if times_usual > 1.5:
            return f"unusually fast here ({times_usual:.1f} times the usual speed)"
        return "moves at a speed that is unusual here"
    return _CLAUSES[strongest]


_CLAUSES = {
    "direction": "moves in a direction that is unusual here",
    "appearance": "what moves here looks unlike anything seen before",
    "crowding": "more moves at once than is usual here",
    "occupancy": "is where nothing was before",
    "shape": "of a size or shape that is unusual here",
    "stay": "stays where nothing stayed so long before",
}
