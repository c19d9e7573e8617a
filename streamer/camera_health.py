"""Camera health: is this camera still showing the scene that it was put up for?

Invalid pictures are never scored (see `streamer.capture.validity`); a long run of them is an
event of its own. So is a view that no longer looks like the one before: covered or turned.
"""

from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

_CELL_PX: Final = 8
_DETAIL_CELLS: Final = 2.0  # structure coarser than this is common to too many views
_RECENT: Final = 5  # samples: what passes by is gone from their median
_FIRST_SAMPLES: Final = 10  # the reference is their mean before it counts
_REFERENCE_AGE_S: Final = 600.0
_LIKE: Final = 0.5
"""Ordinary footage of nine scenes stays above 0.74, mirrored or moved by a third below 0.41."""
_LEAST_STRUCTURE: Final = 0.08  # of the mean; noise alone has 0.02, scenes 0.2 and more
_FAINTEST: Final = 0.2  # root of grey levels a pixel


class Condition(StrEnum):
    """What can be wrong with the pictures of a camera that is online."""

    FROZEN = "frozen"
    DARK = "dark"
    TAMPERED = "tampered"


@dataclass(frozen=True, slots=True)
class HealthSettings:
    """How long each condition lasts before it is said, seconds."""

    frozen_after_s: float = 30.0
    dark_after_s: float = 10.0
    tampered_after_s: float = 10.0


@dataclass(frozen=True, slots=True)
class ConditionChange:
    """A condition began or ended; `since_s` is when it really began."""

    condition: Condition
    active: bool
    since_s: float


class RunLength:
    """Says when something has been true for `after_s` without a break."""

    def __init__(self, condition: Condition, after_s: float) -> None:
        """Start inactive."""
        self._condition = condition
        self.after_s = after_s
        self._since_s: float | None = None
        self._active = False

    def step(self, present: bool, t_s: float) -> ConditionChange | None:
        """Take one observation at media time `t_s`; give the change that it makes, if any."""
        if not present:
            self._since_s = None
            if self._active:
                self._active = False
                return ConditionChange(self._condition, False, t_s)
            return None
        if self._since_s is None:
            self._since_s = t_s
        if not self._active and t_s - self._since_s >= self.after_s:
            self._active = True
            return ConditionChange(self._condition, True, self._since_s)
        return None


class ViewWatch:
    """Compares where the edges are now with where they were: robust to light, not to moving.

    A reference that follows slowly (time constant 10 min) is correlated with the median of the last
    five looks. People crossing move few edges and for a short time; a covered or turned camera
    moves nearly all. A scene without any structure, as in the dark or in fog, is never judged.
    """

    def __init__(self) -> None:
        """Learn the view from the first ten looks."""
        self._reference: NDArray[np.float32] | None = None
        self._recent: deque[NDArray[np.float32]] = deque(maxlen=_RECENT)
        self._looks = 0
        self._last_s = 0.0

    def step(self, luma: NDArray[np.uint8], t_s: float) -> bool:
        """Take one (h, w) luma, about once a second; True while the view is not the learned one."""
        edges = _edges(luma)
        if self._reference is None or self._reference.shape != edges.shape:
            self._reference = edges
            self._recent.clear()
            self._looks = 0
        self._recent.append(edges)
        self._looks += 1
        passed_s, self._last_s = max(0.0, t_s - self._last_s), t_s
        other = False
        if self._looks <= _FIRST_SAMPLES:
            rate = 1.0 / self._looks
        else:
            other = _likeness(np.median(self._recent, axis=0), self._reference) < _LIKE
            # It forgets: a camera that was turned on purpose is accepted after a while.
            rate = 1.0 - np.exp(-passed_s / _REFERENCE_AGE_S)
        self._reference = self._reference + np.float32(rate) * (edges - self._reference)
        return other


def _edges(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    """How much edge there is, by cell; (rows, columns), at least 4 by 4."""
    smooth = cv2.GaussianBlur(luma, (3, 3), 0)
    dx, dy = cv2.Sobel(smooth, cv2.CV_32F, 1, 0), cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    height, width = luma.shape
    size = (max(4, width // _CELL_PX), max(4, height // _CELL_PX))
    cells = cv2.resize(cv2.magnitude(dx, dy), size, interpolation=cv2.INTER_AREA)
    return np.asarray(np.sqrt(cells), np.float32)


def _likeness(now: NDArray[np.float32], before: NDArray[np.float32]) -> float:
    """Correlation, -1..1, of the fine structure of two edge maps; 1.0 if there was none before."""
    a, b = (edges - cv2.GaussianBlur(edges, (0, 0), _DETAIL_CELLS) for edges in (now, before))
    if float(b.std()) <= max(_LEAST_STRUCTURE * float(before.mean()), _FAINTEST):
        return 1.0
    a, b = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0.0 else 0.0


class CameraHealth:
    """The three conditions of one camera; feed it every analysed frame's verdict.

    Not thread-safe: it belongs to the analysis thread.
    """

    def __init__(self, settings: HealthSettings) -> None:
        """Start healthy."""
        self._runs = {
            Condition.FROZEN: RunLength(Condition.FROZEN, settings.frozen_after_s),
            Condition.DARK: RunLength(Condition.DARK, settings.dark_after_s),
            Condition.TAMPERED: RunLength(Condition.TAMPERED, settings.tampered_after_s),
        }
        self._view = ViewWatch()
        self._next_view_s = float("-inf")

    def restart(self) -> None:
        """The camera was lost: what was wrong with its picture has to be found anew."""
        self._runs = {
            condition: RunLength(condition, run.after_s) for condition, run in self._runs.items()
        }

    def look(self, *, frozen: bool, black: bool, t_s: float) -> list[ConditionChange]:
        """Every frame, valid or not: whether it was frozen, or black."""
        changes = [
            self._runs[Condition.FROZEN].step(frozen, t_s),
            self._runs[Condition.DARK].step(black, t_s),
        ]
        return [change for change in changes if change is not None]

    def view(self, luma: NDArray[np.uint8], t_s: float) -> list[ConditionChange]:
        """A valid frame's luma (h, w); looked at once a second."""
        if t_s < self._next_view_s <= t_s + 1.0:
            return []
        self._next_view_s = t_s + 1.0
        change = self._runs[Condition.TAMPERED].step(self._view.step(luma, t_s), t_s)
        return [] if change is None else [change]
