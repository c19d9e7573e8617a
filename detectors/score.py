"""A score: how unusual one moment of one camera is, where, and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Region(NamedTuple):
    """A rectangle as shares of the picture, each in [0, 1], origin at the top left."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Score:
    """What the detector says about the newest frame of a window.

    `t_s`: media time of that frame, seconds.
    `value`: surprise, >= 0, finite; larger is more unusual. 0.0 when nothing moves.
    `parts`: the share of each part in `value`, summing to 1 (empty when `value` is 0); keys are
    among speed, direction, appearance, crowding, occupancy, shape, stay.
    `region`: where it is most unusual; None when nothing moves.
    `text`: one short English clause for people: "faster than anything seen here".
    """

    t_s: float
    value: float
    parts: Mapping[str, float]
    region: Region | None
    text: str
