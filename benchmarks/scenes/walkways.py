"""Two campus walkways with grass beside them."""

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.scenes.crowd import beside
from benchmarks.scenes.stage import Site
from benchmarks.scenes.strangers import Ground
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
        for place in ((1.6, 12.2), (7.4, 12.2)):
            painter.put(props.column(place, 0.28, 8.0), shadow=0.3)
        painter.put(props.bench((-1.0, 17.6)))
        painter.put(props.bin_((0.6, 17.4)))
        painter.put(props.lamp((-6.8, 17.2), 4.8))
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
