"""What rooms are made of: walls with things on them, floors, furniture."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from streamer.demo.actors import Place
from streamer.demo.backdrop import Field, Painter
from streamer.demo.body import Body, Colour
from streamer.demo.brush import Picture
from streamer.demo.props import box, stacked

PX_PER_M = 64


def plaster(length_m: float, height_m: float, colour: Colour, rng: np.random.Generator) -> Picture:
    """A painted wall with a skirting board, lighter above than below."""
    h, w = round(height_m * PX_PER_M), round(length_m * PX_PER_M)
    shade = np.linspace(1.04, 0.90, h, dtype=np.float32)[:, None, None]
    grain = cv2.resize(rng.normal(0, 1, (h // 24 + 1, w // 24 + 1)).astype(np.float32), (w, h),
                       interpolation=cv2.INTER_CUBIC)  # fmt: skip
    picture = np.array(colour, np.float32) * shade * (1 + 0.018 * grain[..., None])
    picture[-round(0.09 * PX_PER_M) :] = np.array((205, 210, 214), np.float32) * 0.9
    return np.asarray(np.clip(picture, 0, 255), dtype=np.uint8)


def hang(
    wall: Picture, left_m: float, low_m: float, size: tuple[float, float], frame: Colour,
    inside: Colour, rng: np.random.Generator, strokes: int = 0,
) -> None:  # fmt: skip
    """A picture, window or door on a wall; `strokes` of colour inside."""
    x0, x1 = round(left_m * PX_PER_M), round((left_m + size[0]) * PX_PER_M)
    y1 = wall.shape[0] - round(low_m * PX_PER_M)
    y0 = y1 - round(size[1] * PX_PER_M)
    cv2.rectangle(wall, (x0, y0), (x1, y1), frame, -1)
    cv2.rectangle(wall, (x0 + 4, y0 + 4), (x1 - 4, y1 - 4), inside, -1)
    for _ in range(strokes):
        a = (int(rng.integers(x0 + 6, x1 - 6)), int(rng.integers(y0 + 6, y1 - 6)))
        b = (int(rng.integers(x0 + 6, x1 - 6)), int(rng.integers(y0 + 6, y1 - 6)))
        cv2.line(wall, a, b, tuple(int(c) for c in rng.integers(40, 200, 3)), 3, cv2.LINE_AA)


def put_wall(painter: Painter, left: Place, right: Place, wall: Picture, height_m: float) -> None:
    """A wall that hides what is behind it, in pieces: each has its own distance."""
    pieces = max(1, round(math.dist(left, right) / 0.45))
    cuts = np.linspace(0, 1, pieces + 1)
    for a, b in itertools.pairwise(cuts):
        ends = [(left[0] + (right[0] - left[0]) * s, left[1] + (right[1] - left[1]) * s)
                for s in (a, min(b + 0.01, 1.0))]  # fmt: skip
        x0, x1 = round(a * wall.shape[1]), round(min(b + 0.01, 1.0) * wall.shape[1])
        painter.wall(ends[0], ends[1], height_m, np.ascontiguousarray(wall[:, x0:x1]), True)


def planks(painter: Painter, colour: Colour, rough: float = 0.07) -> Field:
    """A wooden floor."""
    return painter.paving(colour, (1.6, 0.16), rough)


def furniture(*blocks: Body, against_wall: Place | None = None) -> Body:
    """Blocks as one thing, far ones first; `against_wall`: nobody passes behind, it is so far."""
    ordered = sorted(blocks, key=_distance, reverse=True)
    whole = stacked(*ordered)
    foot = min((body.foot for body in blocks), key=lambda at: float(np.hypot(at[0], at[2])))
    if against_wall is not None:
        foot = np.array([against_wall[0], 0.0, against_wall[1]])
    return replace(whole, foot=foot)


def _distance(body: Body) -> float:
    corners = np.concatenate([points for points, _ in body.faces])
    middle = (corners.min(axis=0) + corners.max(axis=0)) / 2
    return float(np.hypot(middle[0], middle[2]) - 0.2 * middle[1])


def legs(place: Place, size: tuple[float, float], height_m: float, colour: Colour) -> list[Body]:
    """Four legs under something of `size` (along x, along z)."""
    half_x, half_z = size[0] / 2 - 0.04, size[1] / 2 - 0.04
    return [
        box((place[0] + sx * half_x, place[1] + sz * half_z), (0.05, height_m, 0.05), colour)
        for sx in (-1, 1)
        for sz in (-1, 1)
    ]


def table(place: Place, size: tuple[float, float, float], colour: Colour) -> Body:
    """A table; `size` along x, up, along z."""
    top = box(place, (size[0], 0.05, size[2]), colour, size[1] - 0.05)
    under = legs(place, (size[0], size[2]), size[1] - 0.05, colour)
    whole = furniture(*under)
    return replace(stacked(whole, top), foot=top.foot)


def chair(place: Place, facing: float, colour: Colour, behind: bool = False) -> Body:
    """A chair; `facing` a multiple of pi/2, 0 along z, clockwise.

    `behind`: whoever sits there is in front of it, as on a chair seen from the side.
    """
    side = 0.44
    back_x, back_z = -math.sin(facing) * 0.20, -math.cos(facing) * 0.20
    across = abs(math.cos(facing)) > 0.5
    size = (side, 0.46, 0.05) if across else (0.05, 0.46, side)
    seat = box(place, (side, 0.05, side), colour, 0.41)
    back = box((place[0] + back_x, place[1] + back_z), size, colour, 0.46)
    away = (place[0], place[1] + 0.3) if behind else None
    return furniture(*legs(place, (side, side), 0.41, colour), seat, back, against_wall=away)


def sofa(
    low: Place, high: Place, facing: float, colour: Colour, against_wall: Place | None
) -> Body:
    """A sofa between two corners on the ground, that faces `facing`."""
    x, z = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2
    long_x, long_z = high[0] - low[0], high[1] - low[1]
    dx, dz = round(math.sin(facing)), round(math.cos(facing))
    seat = box((x, z), (long_x, 0.42, long_z), colour)
    if dx:
        back = box((x - dx * (long_x / 2 - 0.11), z), (0.22, 0.82, long_z), colour)
        arms = [box((x, z + s * (long_z / 2 - 0.08)), (long_x, 0.6, 0.16), colour) for s in (-1, 1)]
    else:
        back = box((x, z - dz * (long_z / 2 - 0.11)), (long_x, 0.82, 0.22), colour)
        arms = [box((x + s * (long_x / 2 - 0.08), z), (0.16, 0.6, long_z), colour) for s in (-1, 1)]
    return furniture(seat, back, *arms, against_wall=against_wall)


def rug(painter: Painter, low: Place, high: Place, colour: Colour) -> None:
    """A rug on the floor."""
    outline = _rectangle(low, high)
    painter.lay(painter.asphalt(colour), painter.mask(outline, 0.7))
    edge = _rectangle((low[0] + 0.12, low[1] + 0.12), (high[0] - 0.12, high[1] - 0.12))
    inner = (min(colour[0] + 22, 255), min(colour[1] + 20, 255), min(colour[2] + 18, 255))
    painter.lay(painter.asphalt(inner), painter.mask(edge, 0.7))


def _rectangle(low: Place, high: Place) -> Sequence[Place]:
    return [low, (high[0], low[1]), high, (low[0], high[1])]
