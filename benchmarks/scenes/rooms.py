"""Two rooms: how they look, where one can walk in them, where one can sit."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.scenes import interiors as inside
from benchmarks.scenes.stage import Site
from streamer.demo.actors import Place
from streamer.demo.backdrop import Backdrop, Painter
from streamer.demo.props import box
from streamer.demo.view import View

Rectangle = tuple[float, float, float, float]
"""x and z of the low corner, x and z of the high one."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Where the feet of somebody are who sits there, which way they face, how one gets there."""

    place: Place
    heading: float
    near: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Room:
    """A room: named points between which one can walk in straight lines, seats, furniture.

    `doors`: points out of sight, where people come from and go to. `floor`: where one can lie;
    `blocked`: what stands there.
    """

    site: Site
    points: Mapping[str, Place]
    links: tuple[tuple[str, str], ...]
    doors: tuple[str, ...]
    seats: tuple[Seat, ...]
    floor: Rectangle
    blocked: tuple[Rectangle, ...]

    def clear(self, place: Place, margin_m: float = 0.2) -> bool:
        """Whether there is nothing but floor."""
        x0, z0, x1, z1 = self.floor
        if not (x0 <= place[0] <= x1 and z0 <= place[1] <= z1):
            return False
        return not any(
            a - margin_m < place[0] < c + margin_m and b - margin_m < place[1] < d + margin_m
            for a, b, c, d in self.blocked
        )


def living_room(size: tuple[int, int], rng: np.random.Generator) -> Room:
    """A living room by daylight, seen from a high corner."""
    view = View(
        *size, math.radians(76 + rng.uniform(-1, 1)), 2.5 + rng.uniform(-0.05, 0.05),
        math.radians(26 + rng.uniform(-1, 1)), math.radians(37 + rng.uniform(-1, 1)),
    )  # fmt: skip
    sun = (0.10, 0.16)

    def paint(rng: np.random.Generator) -> Backdrop:
        painter = Painter(view, sun, rng)
        painter.sky()
        painter.lay(inside.planks(painter, (104, 140, 172)))
        height = 2.8
        inside.rug(painter, (2.2, 2.5), (4.2, 4.5), (92, 84, 112))
        passage = inside.plaster(9, height, (118, 126, 132), rng)
        inside.put_wall(painter, (-2.0, 8.2), (7.0, 8.2), passage, height)
        back = inside.plaster(7.0, height, (196, 206, 212), rng)
        inside.hang(back, 3.2, 1.1, (1.0, 0.75), (60, 80, 100), (180, 190, 170), rng, 9)
        inside.hang(back, 2.2, 1.3, (0.5, 0.6), (40, 40, 44), (150, 170, 190), rng, 5)
        left, right = _around_door(back, 5.2, 0.95)
        inside.put_wall(painter, (-1.8, 6.4), (3.4, 6.4), left, height)
        inside.put_wall(painter, (4.35, 6.4), (5.2, 6.4), right, height)
        lintel = box((3.875, 6.4), (0.95, height - 2.1, 0.04), (225, 236, 243), 2.1)
        painter.put(lintel, shadow=0.0)
        side = inside.plaster(7.0, height, (184, 196, 204), rng)
        inside.hang(side, 1.1, 0.9, (1.7, 1.4), (225, 228, 230), (238, 226, 205), rng, 0)
        inside.hang(side, 4.2, 1.2, (0.7, 0.9), (50, 70, 90), (120, 150, 160), rng, 9)
        painter.wall((5.2, 6.4), (5.2, -0.6), height, side, False)
        painter.put(box((0.6, 6.15), (1.2, 1.9, 0.45), (96, 128, 156)), shadow=0.2)
        painter.put(inside.sofa((4.3, 2.4), (5.2, 4.4), -math.pi / 2, (110, 98, 84), (5.2, 4.6)),
                    shadow=0.25)  # fmt: skip
        painter.put(inside.chair((2.47, 4.9), -math.pi / 2, (70, 100, 140)), shadow=0.2)
        painter.put(inside.table((1.3, 4.9), (1.3, 0.74, 0.8), (88, 122, 158)), shadow=0.25)
        painter.put(inside.chair((1.3, 3.93), 0.0, (70, 100, 140)), shadow=0.2)
        painter.put(inside.table((3.2, 3.55), (0.5, 0.40, 0.8), (60, 84, 110)), shadow=0.25)
        painter.glow((4.2, 2.2), 1.6, 0.22)
        painter.glow((2.5, 4.0), 3.0, 0.10)
        return painter.finish()

    points = {
        "out": (1.6, 7.5), "passage": (3.7, 7.35), "door": (3.87, 6.0), "hall": (3.7, 5.35),
        "behind": (3.05, 5.55), "couch-far": (3.8, 4.7), "corner": (2.3, 4.25),
        "middle": (2.45, 3.3), "near": (2.2, 2.3), "couch-near": (3.85, 2.1),
        "window": (3.0, 1.7), "left": (0.5, 3.1),
        "left-out": (-1.5, 3.2),
    }  # fmt: skip
    links = (
        ("out", "passage"), ("passage", "door"), ("door", "hall"), ("hall", "behind"),
        ("hall", "couch-far"), ("couch-far", "corner"), ("corner", "middle"), ("middle", "near"),
        ("near", "couch-near"), ("near", "window"), ("window", "couch-near"), ("middle", "left"),
        ("near", "left"), ("left", "left-out"),
    )  # fmt: skip
    seats = (
        Seat((4.05, 2.74), -math.pi / 2, ("couch-near",)),
        Seat((4.05, 3.85), -math.pi / 2, ("couch-far",)),
        Seat((2.07, 4.9), -math.pi / 2, ("corner",)),
        Seat((1.3, 4.38), 0.0, ("corner",)),
    )
    blocked = (
        (4.2, 2.4, 5.2, 4.4), (0.65, 4.5, 1.95, 5.3), (2.2, 4.65, 2.7, 5.1),
        (1.05, 3.7, 1.55, 4.2), (2.95, 3.15, 3.45, 3.95),
    )  # fmt: skip
    site = Site(view, sun, 0.20, paint)
    return Room(site, points, links, ("out", "left-out"), seats, (0.0, 1.5, 4.9, 6.1), blocked)


def bedsit(size: tuple[int, int], rng: np.random.Generator) -> Room:
    """A room with a bed and a table by lamplight, seen from a wall."""
    view = View(
        *size, math.radians(70 + rng.uniform(-1, 1)), 2.2 + rng.uniform(-0.05, 0.05),
        math.radians(21 + rng.uniform(-1, 1)), math.radians(4 + rng.uniform(-1, 1)),
    )  # fmt: skip
    sun = (-0.22, 0.05)

    def paint(rng: np.random.Generator) -> Backdrop:
        painter = Painter(view, sun, rng)
        painter.sky()
        painter.lay(painter.paving((120, 132, 140), (0.4, 0.4), 0.02))
        height = 2.6
        inside.rug(painter, (-1.0, 2.2), (0.4, 4.2), (70, 96, 84))
        passage = inside.plaster(9, height, (88, 100, 112), rng)
        inside.put_wall(painter, (-4.0, 7.8), (5.0, 7.8), passage, height)
        back = inside.plaster(5.2, height, (150, 170, 188), rng)
        inside.hang(back, 0.7, 1.0, (1.2, 1.2), (190, 196, 200), (70, 52, 40), rng, 0)
        inside.hang(back, 4.2, 1.2, (0.6, 0.8), (40, 44, 50), (120, 140, 170), rng, 8)
        left, right = _around_door(back, 2.8, 0.95)
        inside.put_wall(painter, (-2.6, 6.0), (0.2, 6.0), left, height)
        inside.put_wall(painter, (1.15, 6.0), (2.6, 6.0), right, height)
        painter.put(box((0.675, 6.0), (0.95, height - 2.1, 0.04), (172, 195, 216), 2.1), shadow=0.0)
        for x, near, far in ((-2.6, 1.2, 6.0), (2.6, 6.0, 1.2)):
            side = inside.plaster(4.8, height, (138, 156, 174), rng)
            inside.hang(side, 1.4, 1.1, (0.8, 0.8), (50, 60, 70), (150, 160, 170), rng, 7)
            painter.wall((x, near), (x, far), height, side, False)
        bed = [box((-1.85, 4.3), (1.5, 0.42, 2.1), (150, 120, 96)),
               box((-1.85, 5.1), (1.1, 0.12, 0.4), (215, 220, 224), 0.42)]  # fmt: skip
        painter.put(inside.furniture(*bed, against_wall=(-1.9, 5.6)), shadow=0.25)
        painter.put(box((-2.3, 2.7), (0.5, 1.1, 0.8), (70, 92, 118)), shadow=0.25)
        chair = inside.sofa((1.75, 4.4), (2.6, 5.2), -math.pi / 2, (70, 80, 130), (2.5, 5.4))
        painter.put(chair, shadow=0.25)
        painter.put(inside.chair((0.30, 3.3), math.pi / 2, (60, 72, 84), behind=True), shadow=0.2)
        painter.put(inside.table((1.3, 3.3), (1.1, 0.74, 0.8), (150, 160, 166)), shadow=0.25)
        painter.put(inside.chair((1.3, 2.50), 0.0, (60, 72, 84)), shadow=0.2)
        painter.glow((1.2, 3.3), 2.0, 0.35)
        painter.glow((-1.6, 5.2), 1.4, 0.25)
        return painter.finish()

    points = {
        "out": (-1.6, 6.9), "passage": (0.55, 6.85), "door": (0.67, 5.6), "back": (0.4, 4.85),
        "bedside": (-0.65, 4.6), "middle": (-0.25, 3.6), "bed-end": (-0.8, 2.95),
        "near": (-0.3, 2.4), "near-left": (-1.4, 2.5), "near-right": (0.55, 1.95),
        "arm": (1.35, 4.5), "out-right": (3.0, 1.2),
    }  # fmt: skip
    links = (
        ("out", "passage"), ("passage", "door"), ("door", "back"), ("back", "bedside"),
        ("back", "arm"), ("back", "middle"), ("bedside", "middle"), ("middle", "bed-end"),
        ("middle", "near"), ("bed-end", "near-left"), ("near", "near-left"), ("bed-end", "near"),
        ("near", "near-right"), ("near-right", "out-right"),
    )  # fmt: skip
    seats = (
        Seat((-0.86, 4.0), math.pi / 2, ("bedside",)),
        Seat((0.70, 3.3), math.pi / 2, ("back",)),
        Seat((1.3, 2.93), 0.0, ("near-right",)),
        Seat((1.5, 4.8), -math.pi / 2, ("arm",)),
    )
    blocked = (
        (-2.6, 3.25, -1.1, 5.35), (-2.6, 2.3, -2.05, 3.1), (1.75, 4.4, 2.6, 5.2),
        (0.08, 3.08, 0.52, 3.52), (0.75, 2.9, 1.85, 3.7), (1.08, 2.28, 1.52, 2.72),
    )  # fmt: skip
    site = Site(view, sun, 0.24, paint)
    return Room(site, points, links, ("out", "out-right"), seats, (-2.3, 1.5, 2.3, 5.7), blocked)


def _around_door(
    wall: np.ndarray, left_m: float, wide_m: float, door_m: float = 2.1
) -> tuple[np.ndarray, np.ndarray]:
    """The parts of a wall left and right of a doorway, with its frame."""
    x0, x1 = round(left_m * inside.PX_PER_M), round((left_m + wide_m) * inside.PX_PER_M)
    left, right = wall[:, :x0].copy(), wall[:, x1:].copy()
    for part, column in ((left, slice(-5, None)), (right, slice(0, 5))):
        part[-round(door_m * inside.PX_PER_M) :, column] = (120, 130, 138)
    return left, right
