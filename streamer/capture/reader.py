"""What an open source looks like, whatever it is."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.capture.frame import Validity

Picture = NDArray[np.uint8]


class Reader(Protocol):
    """An open source. Belongs to the thread that opened it, which alone may close it."""

    @property
    def damage(self) -> Validity:
        """What the decoder said about the frame grabbed last: VALID, TORN or SMEARED.

        TORN: some of its own data was missing. SMEARED: it builds on a frame that was torn or lost.
        """

    @property
    def reads_ahead(self) -> bool:
        """Whether it can be read faster than it plays: a file, a folder, HLS."""

    @property
    def size(self) -> tuple[int, int]:
        """Declared width and height in px; what `retrieve` gives may differ."""

    @property
    def fps_declared(self) -> float | None:
        """Frames a second as declared, which cameras get wrong; None if unknown."""

    @property
    def frames_declared(self) -> int | None:
        """Frames as declared by a file, which may hold fewer; None if unknown."""

    @property
    def codec(self) -> str:
        """Short name of the codec; may be empty."""

    @property
    def pts_s(self) -> float | None:
        """The stream's own time of the frame grabbed last, seconds; None where it has none."""

    def grab(self) -> bool:
        """Go to the next frame, decoding no more than necessary; False when there is none.

        Blocks up to the read timeout.
        """

    def retrieve(self, out: Picture | None = None) -> Picture:
        """The frame grabbed last, (h, w, 3) uint8 BGR; written into `out` if it fits exactly.

        The result is `out` itself then, and a new array otherwise. Raises SourceError when the
        frame cannot be had.
        """

    def close(self) -> None:
        """Let go of the source; may be repeated."""
