"""One row of a trace: what the detector said of one frame, as the judge is given it."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

PARTS: Final = (
    "speed",
    "direction",
    "appearance",
    "crowding",
    "occupancy",
    "shape",
    "stay",
)
"""Parts of a score; each is a column."""


class Gate(StrEnum):
    """Why a row has the score that it has.

    scored: something changed, or stands out. still: nothing changed; what was unusual fades.
    whole: (nearly) all of the picture changed. foreign: of another scene than the one learned.
    warming: no frame before it to compare with. The rest was not scored: `other_size`: pictures of
    another shape than those learned from. `torn`: overwritten while it was analysed. `invalid`: the
    picture does not show the scene (black, smeared), so that there is no window.
    """

    SCORED = "scored"
    STILL = "still"
    WHOLE = "whole"
    FOREIGN = "foreign"
    WARMING = "warming"
    OTHER_SIZE = "other_size"
    TORN = "torn"
    INVALID = "invalid"


UNSCORED: Final = frozenset({Gate.OTHER_SIZE, Gate.TORN, Gate.INVALID})
"""Rows of these have no score (NaN), and the judge is not asked."""


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One frame, as the judge was given it.

    `frame`: its number in the source, from 0. `generation`: of its window. `t_s`: media time since
    the start of the generation, seconds. `utc_s`: UTC of the frame. `score`, `moving`, `standing`:
    nats, `score` the larger of the two; NaN where the gate is one of `UNSCORED`. `strange`: the
    picture has for some time been of another scene. `changed`: share of the picture, in [0, 1].
    `region`: x, y, width, height as shares of the picture. `parts`: shares of the score, those
    above 0, by the names of `PARTS`. `conditions`: what is wrong with the pictures, in order of
    name, as far as it does not depend on decisions: dark, frozen, other_size, slow, tampered.

    `changed`, `region` and `parts` hold 32-bit floats, so that a file gives them back bit for bit.
    """

    frame: int
    generation: int
    t_s: float
    utc_s: float
    score: float
    moving: float
    standing: float
    gate: Gate
    strange: bool = False
    changed: float = 0.0
    region: tuple[float, float, float, float] | None = None
    text: str = ""
    parts: dict[str, float] = field(default_factory=dict)
    conditions: tuple[str, ...] = ()


def short(value: float) -> float:
    """`value` as a 32-bit float holds it."""
    return float(np.float32(value))
