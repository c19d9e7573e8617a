"""The places that can be rendered: a plaza, a walkway in a park, a concourse.

Each says where people walk as a matter of course, and along which lines the unusual happens.
The seed moves the camera a little and picks colours, so that no two seeds look quite the same.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from sorawatch import ConfigError
from streamer.demo import props
from streamer.demo.actors import Place
from streamer.demo.backdrop import Backdrop, Painter, facade
from streamer.demo.body import Colour
from streamer.demo.view import View


@dataclass(frozen=True, slots=True)
class Path:
    """Where people walk. They keep within `half_width_m` of the line; `one_way` along it only."""

    places: tuple[Place, ...]
    half_width_m: float
    weight: float = 1.0
    one_way: bool = False


@dataclass(frozen=True, slots=True)
class Layout:
    """A place: how it looks, where people walk, and the courses of planted events.

    `fall`: the number of the path on which somebody falls, and where. `drop`: the way of somebody
    who leaves the path at `leave_at`, and a suitcase at `drop_at`.
    """

    name: str
    view: View
    sun: tuple[float, float]
    shadow: float
    paths: tuple[Path, ...]
    standers: tuple[tuple[Place, float], ...]
    runner: tuple[Place, ...]
    vehicle: tuple[Place, ...]
    cart: bool
    cyclist: tuple[Place, ...]
    wrong_way: int | None
    fall: tuple[int, Place]
    drop: tuple[Place, ...]
    leave_at: Place
    drop_at: Place
    paint: Callable[[np.random.Generator], Backdrop]


def _view(
    size: tuple[int, int],
    rng: np.random.Generator,
    *,
    angle: float,
    post_m: float,
    pitch: float,
    yaw: float,
) -> View:
    """A camera near the given one: nobody mounts two alike."""
    return View(
        size[0],
        size[1],
        math.radians(angle + rng.uniform(-2, 2)),
        post_m + rng.uniform(-0.3, 0.3),
        math.radians(pitch + rng.uniform(-0.8, 0.8)),
        math.radians(yaw + rng.uniform(-1.5, 1.5)),
    )


def _warm(rng: np.random.Generator, base: Colour, spread: float = 8.0) -> Colour:
    shift = rng.normal(0, spread)
    blue, green, red = (int(np.clip(c + shift + rng.normal(0, 1.5), 20, 235)) for c in base)
    return blue, green, red


def plaza(size: tuple[int, int], rng: np.random.Generator) -> Layout:
    """A paved square in front of a row of shops."""
    view = _view(size, rng, angle=62, post_m=5.4, pitch=17.5, yaw=4)
    sun = (0.55, 0.20)

    def paint(rng: np.random.Generator) -> Backdrop:
        painter = Painter(view, sun, rng)
        painter.sky()
        painter.lay(painter.paving(_warm(rng, (156, 164, 172)), (1.2, 0.6)))
        band = painter.paving(_warm(rng, (118, 124, 132)), (0.4, 0.4), 0.09)
        for z in (9.6, 19.2):
            painter.lay(band, painter.mask([(-40, z), (40, z), (40, z + 0.8), (-40, z + 0.8)], 0.8))
        street = painter.asphalt(_warm(rng, (104, 106, 108)))
        painter.lay(street, painter.mask([(-60, 28.2), (60, 28.2), (60, 33), (-60, 33)], 0.8))
        lawn = [(-13.5, 13.6), (-7.6, 13.6), (-7.6, 18.2), (-13.5, 18.2)]
        painter.lay(painter.paving((168, 172, 174), (0.5, 0.5)), painter.mask(lawn, 0.5))
        inner = [(-13.2, 13.9), (-7.9, 13.9), (-7.9, 17.9), (-13.2, 17.9)]
        painter.lay(painter.grass(), painter.mask(inner, 0.7))
        painter.shade([(-60, 29.5), (60, 29.5), (60, 34), (-60, 34)], 0.34, 3)
        painter.shade([(11, 3), (24, 3), (24, 17), (15, 14)], 0.30, 6)
        wall = _warm(rng, (128, 146, 172))
        painter.wall((-34, 33), (-6, 33), 12.5, facade(28, 12.5, rng, wall), False)
        other = _warm(rng, (160, 172, 178))
        painter.wall((-6, 33), (16, 33), 10.2, facade(22, 10.2, rng, other), False)
        third = _warm(rng, (96, 118, 158))
        painter.wall((16, 33), (40, 33), 12.0, facade(24, 12.0, rng, third), False)
        for x in (-14.0, 0.5, 14.5):
            painter.put(props.lamp((x, 27.6)))
        painter.plant(*props.tree((-10.6, 16.0), rng, 6.2, 2.2))
        painter.put(props.statue((6.6, 19.6)))
        for x in np.arange(-20, 22, 2.4):
            painter.put(props.bollard((float(x), 27.9)), hides=False)
        painter.put(props.bench((-5.6, 16.6)))
        painter.put(props.bench((11.5, 16.3)))
        painter.put(props.bin_((-3.9, 16.8)))
        painter.put(props.shrub((12.0, 21.5), (2.4, 0.7, 1.1), rng))
        painter.put(props.shrub((-13.5, 22.5), (2.4, 0.7, 1.1), rng))
        return painter.finish()

    return Layout(
        name="plaza",
        view=view,
        sun=sun,
        shadow=0.42,
        paths=(
            Path(((-26, 25.2), (-5, 25.4), (10, 25.2), (26, 25.4)), 1.1, 1.2),
            Path(((-13, 10.2), (0, 10.6), (13, 10.4)), 1.0, 1.1),
            Path(((-8, 4.5), (-3.6, 11), (0.5, 17), (4.5, 24.0), (18, 26.5), (26, 26.6)), 0.7, 0.9),
        ),
        standers=(((-2.8, 21.6), 0.8), ((-2.0, 22.1), -2.3)),
        runner=((-13, 9.6), (-2, 10.4), (5, 13.0), (12, 18.0), (24, 21.0)),
        vehicle=((18, 10.4), (8, 10.8), (-2, 12.4), (-9, 11.0), (-20, 10.6)),
        cart=False,
        cyclist=((20, 15.4), (7, 16.2), (-3, 19.6), (-9, 20.6), (-22, 20.4)),
        wrong_way=None,
        fall=(1, (1.6, 11.2)),
        drop=((13, 10.4), (5.0, 10.5), (5.2, 13.0), (6.4, 15.4), (9.0, 14.4), (18, 14.0)),
        leave_at=(5.0, 10.5),
        drop_at=(6.4, 15.4),
        paint=paint,
    )


def walkway(size: tuple[int, int], rng: np.random.Generator) -> Layout:
    """A straight way through a park, people keep to the right; lawns on both sides."""
    view = _view(size, rng, angle=54, post_m=4.8, pitch=15.5, yaw=-6)
    sun = (-0.50, 0.30)

    def paint(rng: np.random.Generator) -> Backdrop:
        painter = Painter(view, sun, rng)
        painter.sky()
        painter.lay(painter.grass())
        kerb = painter.paving((150, 156, 160), (0.8, 0.8), 0.03)
        way = [(-2.75, 2.5), (2.75, 2.5), (2.75, 33), (-2.75, 33)]
        painter.lay(kerb, painter.mask(way, 0.6))
        inner = [(-2.55, 2.5), (2.55, 2.5), (2.55, 33), (-2.55, 33)]
        painter.lay(painter.asphalt(_warm(rng, (122, 124, 126), 5)), painter.mask(inner, 0.6))
        line = painter.asphalt((206, 210, 212))
        for start in np.arange(6, 31, 3.0):
            dash = [(-0.06, start), (0.06, start), (0.06, start + 1.4), (-0.06, start + 1.4)]
            painter.lay(line, painter.mask(dash, 0.5) * 0.7)
        cross = [(-40, 32), (40, 32), (40, 35.6), (-40, 35.6)]
        painter.lay(painter.asphalt(_warm(rng, (126, 128, 130), 5)), painter.mask(cross, 0.6))
        wall = _warm(rng, (150, 162, 172))
        front = facade(80, 11, rng, wall, shops=False)
        painter.wall((-46, 50), (34, 50), 11, front, False)
        for x in (-24, -15, -8, 4.5, 12, 20):
            painter.put(props.hedge((float(x), 43.0), (8.0, 2.0, 2.0), rng), shadow=0.3)
        painter.put(props.hedge((-9.2, 21.0), (1.5, 1.5, 16.0), rng))
        for z in (30.5, 21.5, 12.5):
            painter.put(props.lamp((3.5, z), 4.6))
        painter.plant(*props.tree((8.8, 24.5), rng, 6.6, 2.4))
        painter.plant(*props.tree((-6.2, 27.5), rng, 6.2, 2.3))
        painter.plant(*props.tree((8.2, 14.5), rng, 5.6, 2.0))
        painter.put(props.bench((-4.4, 18.6)))
        painter.put(props.bin_((-3.5, 17.9)))
        painter.put(props.bench((4.6, 21.5)))
        painter.shade([(2.75, 7), (9, 5), (9, 11), (2.75, 10)], 0.16, 9)
        return painter.finish()

    return Layout(
        name="walkway",
        view=view,
        sun=sun,
        shadow=0.42,
        paths=(
            Path(
                ((1.35, 3.0), (1.4, 16), (1.4, 27), (2.4, 32.6), (8, 33.6), (30, 33.6)),
                0.65,
                1,
                True,
            ),
            Path(((-30, 33.8), (-7, 33.6), (-2.0, 32.2), (-1.4, 27), (-1.35, 3.0)), 0.65, 1, True),
            Path(((-30, 34.4), (0, 34.2), (30, 34.4)), 1.0, 0.4),
        ),
        standers=(((-4.9, 16.9), 1.2), ((-4.2, 17.3), -1.9)),
        runner=((0.5, 3.0), (0.4, 14), (0.2, 26), (-1.4, 32.2), (-8, 33.8), (-26, 33.8)),
        vehicle=((20, 34.2), (6, 33.6), (0.8, 30), (-0.1, 24), (-0.4, 14), (-0.5, 2.0)),
        cart=True,
        cyclist=((-24, 33.4), (-5, 33.2), (-1.8, 30), (-1.0, 22), (-0.9, 2.5)),
        wrong_way=0,
        fall=(1, (-1.7, 10.5)),
        drop=(
            (-7, 33.6),
            (-2.0, 32.2),
            (-1.4, 27),
            (-1.4, 15.5),
            (-3.0, 13.2),
            (-5.0, 11.4),
            (-4.2, 9.0),
            (-3.2, 3.0),
        ),
        leave_at=(-1.4, 15.5),
        drop_at=(-5.0, 11.4),
        paint=paint,
    )


def concourse(size: tuple[int, int], rng: np.random.Generator) -> Layout:
    """A hall with columns, seen from higher up."""
    view = _view(size, rng, angle=66, post_m=6.6, pitch=25, yaw=7)
    sun = (0.22, 0.10)

    def paint(rng: np.random.Generator) -> Backdrop:
        painter = Painter(view, sun, rng)
        painter.sky()
        painter.lay(painter.paving(_warm(rng, (158, 168, 174)), (0.9, 0.9), 0.035))
        band = painter.paving(_warm(rng, (108, 114, 126)), (0.9, 0.9), 0.04)
        for x in (-7.2, 6.3):
            painter.lay(band, painter.mask([(x, 2), (x + 0.9, 2), (x + 0.9, 26), (x, 26)], 0.7))
        carpet = painter.asphalt(_warm(rng, (120, 84, 70)))
        painter.lay(carpet, painter.mask([(9.4, 12.5), (14.5, 12.5), (14.5, 20), (9.4, 20)], 0.6))
        back = facade(44, 7.5, rng, _warm(rng, (176, 182, 186)), bay_m=4.4, storey_m=3.9)
        painter.wall((-24, 26), (20, 26), 7.5, back, False)
        side = facade(26, 7.5, rng, _warm(rng, (158, 168, 176)), bay_m=4.2, storey_m=3.9)
        painter.wall((-15, 6), (-15, 26), 7.5, side, False)
        for x in (-11.0, 11.6):
            painter.put(props.shrub((x, 23.6), (2.6, 0.9, 1.2), rng), shadow=0.22)
        for x in (-6.8, 6.8):
            painter.put(props.column((x, 21.5)), shadow=0.22)
        painter.put(props.bench((11.0, 16.4)), shadow=0.25)
        painter.put(props.bench((13.0, 16.4)), shadow=0.25)
        for x in (-6.8, 6.8):
            painter.put(props.column((x, 12.5)), shadow=0.22)
        painter.put(props.bin_((8.2, 12.2)), shadow=0.25)
        for place in ((-3, 9), (3, 9), (-3, 16), (3, 16), (-11, 14), (11, 14)):
            painter.glow(place, 3.6, 0.13)
        return painter.finish()

    return Layout(
        name="concourse",
        view=view,
        sun=sun,
        shadow=0.26,
        paths=(
            Path(((-1.8, 2.0), (-2.0, 10), (-2.2, 18), (-4.0, 24.2), (-22, 24.4)), 0.8, 1.0),
            Path(((22, 23.8), (8, 23.4), (3.4, 18), (3.0, 10), (3.2, 2.0)), 0.8, 1.0),
            Path(((-20, 9.6), (-4, 10.2), (6, 9.8), (20, 9.6)), 0.7, 0.7),
        ),
        standers=(((11.6, 18.2), 2.6), ((12.4, 17.8), -1.2)),
        runner=((20, 10.4), (6, 10.6), (-4, 10.9), (-20, 10.6)),
        vehicle=((-22, 23.4), (-8, 22.9), (0, 19.0), (0.6, 9), (0.6, 1.0)),
        cart=True,
        cyclist=((20, 22.8), (3, 20.8), (0.2, 12), (-6, 8.6), (-20, 8.4)),
        wrong_way=None,
        fall=(1, (3.4, 12.5)),
        drop=(
            (3.2, 2.0),
            (3.2, 11.0),
            (5.2, 14.6),
            (8.6, 17.4),
            (6.0, 14.2),
            (3.2, 10.6),
            (3.2, 2.0),
        ),
        leave_at=(3.2, 11.0),
        drop_at=(8.6, 17.4),
        paint=paint,
    )


LAYOUTS: Mapping[str, Callable[[tuple[int, int], np.random.Generator], Layout]] = {
    "plaza": plaza,
    "walkway": walkway,
    "concourse": concourse,
}


def build_layout(name: str, size: tuple[int, int], seed: int) -> Layout:
    """The layout of that name for pictures of `size` (width, height).

    Raises ConfigError for a name that is not in `LAYOUTS`.
    """
    if name not in LAYOUTS:
        raise ConfigError(f"no layout {name!r}: choose one of {', '.join(LAYOUTS)}")
    return LAYOUTS[name](size, np.random.default_rng([seed, 1]))
