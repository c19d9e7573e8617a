"""A window: the last few frames of one camera, as the detector takes them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Window:
    """The frames of one camera up to now, oldest first, evenly spaced in time.

    The detector gets one window for every analysed frame, ending in that frame; consecutive
    windows overlap in all but one frame. After a (re)connect the first windows are shorter.

    `frames`: 1 to T views, each (h, w) uint8 luma at analysis size (long side 180 px, see
    `streamer.capture.reduce`). They may lie in shared memory: valid only during the call.
    `times_s`: one media time for each frame, seconds, strictly increasing; compare them only
    within one `generation`.
    `seq`: number of the newest frame in its generation, 0 for the first, +1 for each that is
    analysed.
    `generation`: changes when the picture starts anew (reconnect, other size, gap in time), so
    that what was carried over from earlier frames must be forgotten.
    `picture`: the newest frame in more detail, (ph, pw, 3) BGR or (ph, pw) luma, uint8, of the same
    scene as `frames[-1]`; None where there is nothing finer. A view, too.
    """

    frames: tuple[NDArray[np.uint8], ...]
    times_s: tuple[float, ...]
    seq: int
    generation: int
    picture: NDArray[np.uint8] | None = None
