"""What is known about one analysed frame, besides its pixels."""

from enum import IntEnum
from typing import NamedTuple


class Validity(IntEnum):
    """Whether a picture shows the scene; all but VALID are kept out of the detector."""

    VALID = 0
    BLACK = 1
    FROZEN = 2
    TORN = 3
    SMEARED = 4


class FrameHeader(NamedTuple):
    """The numbers that travel with a frame through the ring. Build it with keywords.

    `generation`: +1 on each connect, change of size, or gap; frames are comparable within one.
    `t_media_ns`: stream time mapped onto the monotonic clock; increases within a generation.
    `t_mono_ns`: when the frame was received, monotonic clock.
    `utc_ns`: wall clock of `t_media_ns`, ns since 1970; for people and alerts, never for timers.
    `validity`: what `streamer.capture.validity` made of the picture.
    `number`: of the frame in its source, counted from 0 at each connect; frames that are not
    analysed count too.
    `seq`: +1 for each frame written to the ring, over the ring's life. The ring assigns it:
    whatever a writer puts here is ignored.
    """

    generation: int
    t_media_ns: int
    t_mono_ns: int
    utc_ns: int
    validity: Validity = Validity.VALID
    number: int = 0
    seq: int = -1
