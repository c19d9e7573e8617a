"""Pictures of scores over time against the truth, drawn with OpenCV."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.evaluation.dataset import Truth

Picture = NDArray[np.uint8]

_SIZE: Final = (900, 240)  # (width, height), px
_SMALL: Final = (480, 150)
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 24, 34
_LINE_PX: Final = 16
_LONGEST_NAME: Final = 40
_MOST_COLUMNS: Final = 12
_HIGHEST_PX: Final = 16_000

_PAPER: Final = (255, 255, 255)
_INK: Final = (60, 60, 60)
_GRID: Final = (225, 225, 225)
_TRUTH: Final = (200, 205, 250)  # BGR: pale red
_SCORE: Final = (150, 75, 20)
_LEVELS: Final = ((40, 40, 200), (40, 140, 230), (80, 160, 60), (190, 90, 160))
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class Level:
    """A threshold to be drawn, and what it is called."""

    value: float
    name: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One entry to be drawn. `scores`: (frames,), of every frame."""

    name: str
    scores: NDArray[np.float64]
    truth: Truth


def draw(
    chart: Chart, levels: Sequence[Level], highest: float, size: tuple[int, int] = _SIZE
) -> Picture:
    """One entry: its score over seconds, the truth shaded, a line for each threshold.

    `highest`: what the axis of scores goes up to, the same for all entries so that they compare;
    `size`: (width, height), px. (height, width, 3) uint8 BGR.
    """
    width, height = size
    picture: Picture = np.full((height, width, 3), 255, np.uint8)
    box = _Box(_LEFT, _TOP, width - _RIGHT, height - _BOTTOM)
    length_s = chart.truth.frames / chart.truth.fps
    top = highest if highest > 0 else 1.0

    def x_of(t_s: float) -> int:
        return round(box.x0 + t_s / length_s * (box.x1 - box.x0))

    def y_of(score: float) -> int:
        # By square roots: thresholds lie close together, far below what is truly unusual.
        return round(box.y1 - math.sqrt(min(score / top, 1.0)) * (box.y1 - box.y0))

    for start, end in chart.truth.anomalous:
        corners = (x_of(start / chart.truth.fps), box.y0), (x_of(end / chart.truth.fps), box.y1)
        cv2.rectangle(picture, *corners, _TRUTH, cv2.FILLED)
    for t_s in _ticks(length_s, 10 if width > 600 else 5):
        cv2.line(picture, (x_of(t_s), box.y0), (x_of(t_s), box.y1), _GRID, 1)
        _write(picture, f"{t_s:g}", (x_of(t_s), box.y1 + 14), middle=True)
    for score in _round_scores(top, y_of):
        cv2.line(picture, (box.x0, y_of(score)), (box.x1, y_of(score)), _GRID, 1)
        _write(picture, f"{score:g}", (box.x0 - 6, y_of(score) + 4), end=True)
    _line(picture, chart, x_of, y_of)
    for level, colour in zip(levels, _LEVELS, strict=False):
        if level.value <= top:
            cv2.line(picture, (box.x0, y_of(level.value)), (box.x1, y_of(level.value)), colour, 1)
    cv2.rectangle(picture, (box.x0, box.y0), (box.x1, box.y1), _INK, 1)
    end_x = _write(picture, chart.name[:_LONGEST_NAME], (box.x0, box.y0 - 8), scale=0.45)
    if width > 600:
        _legend(picture, levels, max(end_x + 20, box.x0 + 150), box.y0 - 8)
        _write(picture, "seconds", ((box.x0 + box.x1) // 2, height - 5), middle=True)
        _write(picture, "score", (4, box.y0 - 8))
    return picture


def overview(charts: Sequence[Chart], levels: Sequence[Level], highest: float) -> Picture:
    """All entries in one picture, small, row by row."""
    width, height = _SMALL
    columns = 2
    while columns < _MOST_COLUMNS and -(-len(charts) // columns) * height > _HIGHEST_PX // 4:
        columns += 1
    rows = min(-(-len(charts) // columns), _HIGHEST_PX // height)
    out: Picture = np.full((rows * height + 30, columns * width, 3), 255, np.uint8)
    _write(out, "score over seconds", (8, 18))
    _legend(out, levels, 150, 18)
    for i, chart in enumerate(charts[: rows * columns]):
        top, left = 30 + i // columns * height, i % columns * width
        out[top : top + height, left : left + width] = draw(chart, levels, highest, _SMALL)
    return out


@dataclass(frozen=True, slots=True)
class _Box:
    x0: int
    y0: int
    x1: int
    y1: int


def _line(picture: Picture, chart: Chart, x_of: Any, y_of: Any) -> None:
    """The score as steps: what is held until the next analysed frame is drawn so."""
    points = []
    for frame, score in enumerate(chart.scores.tolist()):
        for edge in (frame, frame + 1):
            points.append((x_of(edge / chart.truth.fps), y_of(score)))
    cv2.polylines(picture, [np.array(points, np.int32)], False, _SCORE, 1, cv2.LINE_AA)


def _legend(picture: Picture, levels: Sequence[Level], x: int, y: int) -> None:
    """What the colours mean, in one line from (x, y) on."""
    cv2.rectangle(picture, (x, y - 9), (x + 16, y + 1), _TRUTH, cv2.FILLED)
    x = _write(picture, "truth: anomalous", (x + 22, y)) + 20
    for level, colour in zip(levels, _LEVELS, strict=False):
        cv2.line(picture, (x, y - 4), (x + 16, y - 4), colour, 2)
        x = _write(picture, level.name, (x + 22, y)) + 20


def _round_scores(top: float, y_of: Any) -> list[float]:
    """0, 1, 2, 5, 10 and so on as far as they do not stand in each other's way."""
    start = int(np.floor(np.log10(top))) - 2
    steps = [k * 10.0**e for e in range(start, start + 4) for k in (1, 2, 5)]
    out = [0.0]
    for score in steps:
        if score <= top and y_of(out[-1]) - y_of(score) >= _LINE_PX:
            out.append(score)
    return out


def _ticks(length: float, about: int) -> list[float]:
    """Round numbers from 0 to `length`, about so many."""
    step = 10.0 ** np.floor(np.log10(length / about))
    step *= next(k for k in (1, 2, 5, 10, 20) if length / (k * step) <= about)
    return [float(k * step) for k in range(int(length / step + 1e-9) + 1)]


def _write(
    picture: Picture,
    text: str,
    at: tuple[int, int],
    colour: tuple[int, int, int] = _INK,
    *,
    middle: bool = False,
    end: bool = False,
    scale: float = 0.38,
) -> int:
    """Write `text` from, around or up to `at`; gives where it ends."""
    # OpenCV's font has no letters but ASCII.
    plain = text.encode("ascii", "replace").decode()
    width: int = cv2.getTextSize(plain, _FONT, scale, 1)[0][0]
    x = at[0] - (width // 2 if middle else width if end else 0)
    cv2.putText(picture, plain, (x, at[1]), _FONT, scale, colour, 1, cv2.LINE_AA)
    return x + width
