"""Camera health: is this camera still showing the scene that it was put up for?

Invalid pictures are never scored (see `streamer.capture.validity`); a long run of them is an
event of its own. So is a view that no longer looks like the view that was learned: covered,
turned, or out of focus.
"""

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

_CELL_PX = 12
_REFERENCE_AGE_S = 600.0
_BLEND = 0.1


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

    The picture's gradient magnitude, averaged over cells of 12 px and over several seconds, is
    correlated with a reference that follows slowly (time constant 10 min). People crossing move
    few cells; a covered, turned or defocused camera moves nearly all.
    """

    def __init__(self, threshold: float = 0.4) -> None:
        """`threshold`: correlation (-1..1) below which the view counts as another one."""
        self._threshold = threshold
        self._reference: NDArray[np.float32] | None = None
        self._recent: NDArray[np.float32] | None = None
        self._last_s = 0.0

    def step(self, luma: NDArray[np.uint8], t_s: float) -> bool:
        """Take one (h, w) luma, about once a second; True while the view is not the learned one."""
        cells = _edge_cells(luma)
        if self._reference is None or self._recent is None or self._recent.shape != cells.shape:
            self._reference, self._recent, self._last_s = cells, cells, t_s
            return False
        passed_s, self._last_s = t_s - self._last_s, t_s
        self._recent = self._recent + np.float32(0.3) * (cells - self._recent)
        other = _correlation(self._recent, self._reference) < self._threshold
        # The reference forgets: a camera that was turned on purpose is accepted after a while.
        rate = np.float32(1.0 - np.exp(-passed_s / _REFERENCE_AGE_S))
        self._reference = self._reference + rate * (cells - self._reference)
        return other


def _edge_cells(luma: NDArray[np.uint8]) -> NDArray[np.float32]:
    smooth = cv2.GaussianBlur(luma, (3, 3), 0)
    dx = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    dy = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    height, width = luma.shape
    size = (max(4, width // _CELL_PX), max(4, height // _CELL_PX))
    cells: NDArray[np.float32] = cv2.resize(
        cv2.magnitude(dx, dy), size, interpolation=cv2.INTER_AREA
    )
    return cells


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Pearson correlation of two equal maps; 0 when one of them has no structure at all."""
    da, db = a - a.mean(), b - b.mean()
    norm = float(np.sqrt((da * da).sum() * (db * db).sum()))
    # A covered lens leaves only noise: less than a tenth of the edges that were there.
    if norm == 0.0 or float(a.mean()) < _BLEND * float(b.mean()):
        return 0.0
    return float((da * db).sum()) / norm


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

    def second(self, *, frozen: bool, black: bool, t_s: float) -> list[ConditionChange]:
        """About once a second: whether all frames since the last call were frozen, or black."""
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
