"""Two campus walkways with grass beside them."""

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.scenes.crowd import beside
from benchmarks.scenes.ground import Ground
from benchmarks.scenes.stage import Site
from streamer.demo import props
from streamer.demo.actors import Place
from streamer.demo.backdrop import Backdrop, Field, Painter, facade
from streamer.demo.body import Colour
from streamer.demo.layouts import Path
from streamer.demo.view import View


def pave(painter: Painter, surface: Field, line: Sequence[Place], half_m: float) -> None:
    """A strip of paving along a line."""
    outline = [*beside(line, -half_m), *reversed(beside(line, half_m))]
    painter.lay(surface, painter.mask(outline, 0.8))


def _shade(rng: np.random.Generator, base: Colour) -> Colour:
    shift = rng.normal(0, 7)
    blue, green, red = (int(np.clip(c + shift, 20, 235)) for c in base)
    return blue, green, red


def campus(size: tuple[int, int], rng: np.random.Generator) -> tuple[Site, Ground]:
    """A walkway from left to right, and people who come out of a building beside the camera."""
    view = View(
        *size, math.radians(58 + rng.uniform(-1.5, 1.5)), 3.5 + rng.uniform(-0.2, 0.2),
        math.radians(12 + rng.uniform(-0.7, 0.7)), math.radians(1 + rng.uniform(-1.5, 1.5)),
    )  # fmt: skip
    sun = (0.45, 0.25)
    main = ((-13.0, 14.4), (-4.0, 14.2), (4.0, 14.6), (13.0, 14.4))
    right = ((-4.2, 4.0), (-3.7, 8.0), (-2.2, 11.8), (1.5, 14.2), (6.0, 15.0), (13.0, 15.0))
    left = ((-4.0, 4.0), (-4.4, 8.5), (-5.5, 12.0), (-8.5, 13.6), (-13.0, 13.8))
    paths = (Path(main, 1.0, 1.1), Path(right, 0.55, 1.0), Path(left, 0.5, 0.5))

    def paint(rng: np.random.Generator) -> Backdrop:
        painter = Painter(view, sun, rng)
        painter.sky()
        painter.lay(painter.grass())
        stone = painter.paving(_shade(rng, (150, 158, 164)), (0.8, 0.8), 0.05)
        pave(painter, stone, [(-30, 14.4), (-10, 14.4), (10, 14.5), (30, 14.4)], 1.9)
        pave(painter, stone, right[:4], 1.3)
        pave(painter, stone, left[:4], 1.3)
        far = painter.asphalt(_shade(rng, (118, 120, 122)))
        pave(painter, far, [(-60, 30), (0, 30), (60, 30)], 2.0)
        brick = facade(90, 10, rng, _shade(rng, (110, 130, 165)), shops=False)
        painter.wall((-48, 38), (42, 38), 10, brick, False)
        for x in (-17.0, -9.5, 8.0, 16.0):
            painter.put(props.hedge((x, 34.0), (6.0, 1.4, 1.5), rng), shadow=0.3)
        painter.plant(*props.tree((7.8, 21.0), rng, 6.8, 2.5))
        painter.plant(*props.tree((-8.8, 23.5), rng, 6.2, 2.2))
        painter.put(props.bench((-1.0, 17.6)))
        painter.put(props.bin_((0.6, 17.4)))
        painter.put(props.lamp((-6.8, 17.2), 4.8))
        for place in ((1.6, 12.2), (7.4, 12.2)):
            painter.put(props.column(place, 0.28, 8.0), shadow=0.3)
        painter.shade([(3.5, 6), (9, 6), (9, 9.5), (4.5, 9)], 0.2, 8)
        return painter.finish()

    ground = Ground(
        view,
        paths,
        spots=((2.6, 9.6), (0.2, 10.6), (4.4, 11.4), (3.4, 18.2), (-3.4, 18.0), (1.0, 8.2)),
        edges=((0.4, 12.9), (3.6, 12.9), (-0.8, 15.9), (4.6, 16.0), (-4.6, 16.2)),
        across=(
            ((9.5, 12.0), (5.0, 10.2), (1.0, 8.6), (-2.0, 7.4), (-6.0, 6.4)),
            ((12.0, 18.6), (4.0, 18.8), (-3.0, 19.4), (-13.0, 18.6)),
        ),
        towards=(
            ((2.4, 29.0), (2.6, 20.0), (3.0, 14.0), (2.8, 9.0), (2.0, 3.0)),
            ((-1.8, 29.0), (-2.0, 19.4), (-0.4, 13.0), (0.6, 8.0), (0.2, 3.0)),
        ),
        along=(main, right),
    )
    return Site(view, sun, 0.42, paint), ground


def crossing(size: tuple[int, int], rng: np.random.Generator) -> tuple[Site, Ground]:
    """Paths that meet on a lawn, from higher up and further away."""
    view = View(
        *size, math.radians(50 + rng.uniform(-1.5, 1.5)), 6.2 + rng.uniform(-0.3, 0.3),
        math.radians(16 + rng.uniform(-0.7, 0.7)), math.radians(-3 + rng.uniform(-1.5, 1.5)),
    )  # fmt: skip
    sun = (-0.6, 0.15)
    main = ((-15.0, 12.6), (-6.0, 17.0), (3.0, 21.5), (18.0, 28.5))
    near = ((6.8, 6.0), (5.8, 11.0), (4.2, 16.5), (1.5, 20.6), (-6.0, 25.5), (-18.0, 31.0))
    far = ((-22.0, 32.0), (0.0, 32.4), (22.0, 32.0))
    paths = (Path(main, 1.0, 1.2), Path(near, 0.7, 1.0), Path(far, 0.9, 0.6))

    def paint(rng: np.random.Generator) -> Backdrop:
        painter = Painter(view, sun, rng)
        painter.sky()
        painter.lay(painter.grass())
        way = painter.asphalt(_shade(rng, (140, 148, 156)))
        pave(painter, way, [(-60, 32.2), (0, 32.4), (60, 32.2)], 1.5)
        pave(painter, way, [(-24, 8.2), *main, (30, 34)], 1.6)
        pave(painter, way, [(7.4, 2.0), *near], 1.2)
        front = facade(110, 13, rng, _shade(rng, (165, 172, 176)), shops=False)
        painter.wall((-60, 46), (50, 46), 13, front, False)
        painter.plant(*props.tree((-9.5, 27.5), rng, 6.4, 2.4))
        painter.plant(*props.tree((10.5, 19.0), rng, 5.8, 2.0))
        painter.plant(*props.tree((-2.0, 29.0), rng, 5.4, 1.9))
        for x in (-12.0, 6.0, 15.0):
            painter.put(props.hedge((x, 37.0), (7.0, 1.5, 1.6), rng), shadow=0.3)
        painter.put(props.lamp((7.2, 15.4), 5.0))
        painter.put(props.bench((-7.6, 20.4)))
        painter.put(props.bin_((1.2, 17.4)))
        return painter.finish()

    ground = Ground(
        view,
        paths,
        spots=((-4.4, 21.8), (0.4, 14.2), (-2.6, 14.0), (5.6, 18.6), (2.4, 26.0), (0.8, 11.4)),
        edges=((-2.3, 20.4), (-0.8, 17.6), (3.2, 15.2), (6.4, 21.6), (-4.6, 16.0)),
        across=(
            ((-13.0, 21.0), (-6.0, 22.2), (0.0, 25.6), (7.0, 30.0)),
            ((12.0, 14.0), (3.0, 13.4), (-2.0, 12.4), (-9.0, 10.0)),
        ),
        towards=(
            ((-5.0, 38.0), (-4.0, 24.0), (-1.6, 15.0), (-1.2, 9.0), (-0.5, 5.0)),
            ((9.0, 38.0), (9.0, 25.0), (8.4, 16.0), (8.4, 7.0)),
        ),
        along=(main, near),
    )
    return Site(view, sun, 0.42, paint), ground
