"""A score: how unusual one moment of one camera is, where, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple


class Region(NamedTuple):
    """A rectangle as shares of the picture, each in [0, 1], origin at the top left."""

    x: float
    y: float
    width: float
    height: float


Gate = Literal["scored", "still", "whole", "foreign", "warming"]
"""Why a score is what it is. scored: something changed or stands out. still: neither does, and what
was unusual fades. whole: (nearly) all of the picture changed, which scores nothing. foreign: it is
of another scene, so that only what moves is scored. warming: there is no earlier frame yet."""


@dataclass(frozen=True, slots=True)
class Score:
    """What the detector says about the newest frame of a window.

    `t_s`: media time of that frame, seconds.
    `value`: surprise, >= 0, finite; larger is more unusual. 0.0 when nothing moves.
    `parts`: the share of each part in `value`, summing to 1 (empty when `value` is 0); keys are
    among speed, direction, appearance, crowding, occupancy, shape, stay.
    `region`: where it is most unusual; None when nothing moves.
    `text`: one short English clause for people: "faster than anything seen here".
    `moving`, `standing`: of what moves, and of what stands out from the scene; `value` is the
    larger. `gate`: see `Gate`.
    """

    t_s: float
    value: float
    parts: Mapping[str, float]
    region: Region | None
    text: str
    moving: float = 0.0
    standing: float = 0.0
    gate: Gate = "scored"
