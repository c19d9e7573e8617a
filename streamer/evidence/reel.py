"""The newest pictures of a camera, as JPEG: what a clip is cut from.

The pictures are those that were analysed, as they lie in the frame ring. A reel holds at most the
bytes that it was given, whatever the camera shows; where that is not enough, it has fewer pictures
a second, and never a later beginning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

QUALITY: Final = 80
LAG_S: Final = 6.0
"""Pictures are kept so much longer than the pre-roll: it takes time to hear that they count."""

STILL_EVERY_S: Final = 1.0
"""While nothing changes, one picture in this time will do."""

MOST_A_SECOND: Final = 10.0

_CELL: Final = 4  # px of the luma that is analysed, each way
_CHANGE: Final = 5.0  # grey levels of a cell's mean; noise of 6 a pixel makes 1.5


@dataclass(frozen=True, slots=True)
class Still:
    """One picture. `utc_s`: of its frame; `t_s`: its media time, seconds, which always rises."""

    utc_s: float
    t_s: float
    jpeg: bytes


class Changes:
    """Says which frames are worth keeping. For one camera; about 25 us a frame."""

    def __init__(self) -> None:
        """Nothing was kept so far."""
        self._kept: NDArray[np.float32] | None = None
        self._kept_t_s = 0.0

    def wanted(self, luma: NDArray[np.uint8], t_s: float) -> bool:
        """Whether a frame, (h, w) uint8, shows something that the last one kept does not.

        So does one that comes `STILL_EVERY_S` later, or a little less, so that a frame that is
        due is not passed over for want of a millisecond.
        """
        height, width = luma.shape
        size = (max(1, width // _CELL), max(1, height // _CELL))
        cells = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.float32)
        kept, passed_s = self._kept, t_s - self._kept_t_s
        if kept is not None and kept.shape == cells.shape and 0 <= passed_s < STILL_EVERY_S - 0.05:
            if passed_s < 0.95 / MOST_A_SECOND:
                return False
            if float(cv2.norm(kept, cells, cv2.NORM_INF)) < _CHANGE:
                return False
        self._kept, self._kept_t_s = cells, t_s
        return True


def compress(picture: NDArray[np.uint8]) -> bytes | None:
    """A picture (h, w, 3) BGR as JPEG; None where that cannot be done."""
    done, jpeg = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, QUALITY))
    return jpeg.tobytes() if done else None


class Reel:
    """Pictures of one camera in order of time. Invariant: `bytes` <= `limit`, or one picture.

    `keep_from` says from when on they are needed; what is older goes with the next picture, but
    for the newest picture of then, so that there is always one at or before that moment.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: bytes of JPEG that it may hold."""
        self.limit = limit
        self.bytes = 0
        self.thinned = 0
        """Pictures given up for want of room."""
        self._stills: list[Still] = []

    def __len__(self) -> int:
        """How many pictures it holds."""
        return len(self._stills)

    @property
    def newest_utc_s(self) -> float | None:
        """UTC of the newest picture; None while there is none."""
        return self._stills[-1].utc_s if self._stills else None

    def add(self, still: Still, keep_from_utc_s: float) -> None:
        """Take the next picture, and let go of those that were needed before this time only."""
        stills = self._stills
        # The wall clock was set back, or the stream's time was: nothing before is comparable.
        if stills and (still.utc_s <= stills[-1].utc_s or still.t_s <= stills[-1].t_s):
            self.clear()
        stills.append(still)
        self.bytes += len(still.jpeg)
        gone = 0
        while gone + 1 < len(stills) and stills[gone + 1].utc_s <= keep_from_utc_s:
            self.bytes -= len(stills[gone].jpeg)
            gone += 1
        del stills[:gone]
        while self.bytes > self.limit and len(stills) > 1:
            self._thin()

    def drop_between(self, after_utc_s: float, before_utc_s: float) -> None:
        """Let go of those after the one time that were needed before the other only."""
        stills = self._stills
        kept = [
            still
            for at, still in enumerate(stills)
            if still.utc_s <= after_utc_s
            or at + 1 == len(stills)
            or stills[at + 1].utc_s > before_utc_s
        ]
        if len(kept) < len(stills):
            self._stills, self.bytes = kept, total_bytes(kept)

    def cut(self, from_utc_s: float, to_utc_s: float) -> tuple[Still, ...]:
        """The pictures that show what was from then to then: the first is the one before that."""
        stills = self._stills
        first = 0
        while first + 1 < len(stills) and stills[first + 1].utc_s <= from_utc_s:
            first += 1
        return tuple(still for still in stills[first:] if still.utc_s <= to_utc_s)

    def clear(self) -> None:
        """Forget all."""
        self._stills.clear()
        self.bytes = 0

    def _thin(self) -> None:
        """Let go of the picture that is missed least: the one between the closest neighbours."""
        stills = self._stills
        if len(stills) == 2:
            at = 0
        else:
            gaps = (stills[i + 1].t_s - stills[i - 1].t_s for i in range(1, len(stills) - 1))
            at = 1 + min(enumerate(gaps), key=lambda gap: gap[1])[0]
        self.bytes -= len(stills.pop(at).jpeg)
        self.thinned += 1


def total_bytes(stills: Sequence[Still]) -> int:
    """Of their JPEGs."""
    return sum(len(still.jpeg) for still in stills)
