"""What rolls and glides: cars that brake and turn, cyclists, skaters, somebody with a trolley."""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scenes import figure as fig
from benchmarks.scenes.crowd import plain
from benchmarks.scenes.figure import pose
from benchmarks.scenes.script import Performer, Script
from streamer.demo.actors import Course, Place, Rider, Timing, Vehicle
from streamer.demo.body import Body, Colour, Looks, joined, placed
from streamer.demo.view import Points

PAINTS: tuple[Colour, ...] = (
    (60, 60, 190), (190, 190, 192), (150, 90, 50), (60, 140, 200), (45, 46, 48), (225, 226, 228),
    (110, 112, 116), (70, 100, 60),
)  # fmt: skip


def steady(course: Course, start_s: float, speed: float) -> Timing:
    """All the way at one speed."""
    return Timing([(start_s, 0.0), (start_s + course.length_m / speed, course.length_m)])


def varied(course: Course, start_s: float, speed_at: Callable[[float], float]) -> Timing:
    """At a speed (metres a second, above 0) that depends on the metres gone."""
    marks = np.linspace(0.0, course.length_m, max(8, round(course.length_m * 5)))
    knots, t_s = [(start_s, 0.0)], start_s
    for a, b in itertools.pairwise(marks):
        t_s += (b - a) / max(speed_at(float((a + b) / 2)), 0.15)
        knots.append((t_s, float(b)))
    return Timing(knots)


def stopping(
    course: Course, start_s: float, speed: float, at_m: float, stay_s: float, brake_m: float = 9.0
) -> tuple[Timing, float, float]:
    """Brakes to a halt at `at_m`, stays, moves off: the timing, and from when to when it stands."""

    def pace(metres: float) -> float:
        share = min(abs(metres - at_m) / brake_m, 1.0)
        return speed * math.sqrt(max(share, 0.002))

    rolling = varied(course, start_s, pace)
    halt_s = rolling.when(at_m)
    times = np.linspace(start_s, rolling.end_s, 400)
    knots = [(float(t) + (stay_s if t > halt_s else 0.0), rolling.metres(float(t))) for t in times]
    knots += [(halt_s, at_m), (halt_s + stay_s, at_m)]
    return Timing(sorted(knots)), halt_s, halt_s + stay_s


def car(
    course: Course, timing: Timing, rng: np.random.Generator, viewer: Points, cart: bool = False
) -> Vehicle:
    """A car or a delivery cart of some colour."""
    return Vehicle(course, timing, PAINTS[int(rng.integers(len(PAINTS)))], cart, viewer)


def cyclist(
    places: Sequence[Place], start_s: float, speed: float, looks: Looks, rng: np.random.Generator
) -> Rider:
    """Somebody on a bicycle."""
    course = Course(places)
    colour = PAINTS[int(rng.integers(len(PAINTS)))]
    return Rider(course, steady(course, start_s, speed), plain(looks), colour)


@dataclass(frozen=True, slots=True)
class Skater:
    """Somebody who glides on a board, nearly still but for the balance."""

    course: Course
    timing: Timing
    looks: Looks

    def at(self, t_s: float) -> Sequence[Body]:
        """Board and skater, as one body."""
        if not self.timing.present(t_s):
            return ()
        metres = self.timing.metres(t_s)
        place, heading = self.course.place(metres), self.course.heading(metres)
        wave, slow = math.sin(1.9 * t_s), math.sin(0.7 * t_s + 1)
        stance = pose(
            spreads=0.28, knees=0.45 + 0.1 * slow, thighs=0.25 + 0.05 * slow,
            bend=0.15 + 0.06 * slow, sway=0.10 * wave, wings=0.45 + 0.2 * wave,
            arms=0.15, lift=0.07,
        )  # fmt: skip
        rider = fig.figure(place, heading + 1.25, self.looks, stance)
        deck = np.array([[[-0.40, 0.0, 0.09], [0.40, 0.0, 0.09]],
                         [[-0.26, 0.0, 0.035], [-0.20, 0.0, 0.035]],
                         [[0.20, 0.0, 0.035], [0.26, 0.0, 0.035]]])  # fmt: skip
        radii = np.array([[0.035, 0.035], [0.04, 0.04], [0.04, 0.04]])
        colours = np.array([(60, 80, 120), (210, 210, 205), (210, 210, 205)], dtype=np.float64)
        return (joined(rider, placed(place, heading, deck, radii, colours)),)


@dataclass(frozen=True, slots=True)
class Trolley:
    """A trolley that somebody pushes before them."""

    performer: Performer
    colour: Colour
    viewer: Points

    def at(self, t_s: float) -> Sequence[Body]:
        """The trolley, an arm's length ahead."""
        if not self.performer.at(t_s):
            return ()
        (x, z), heading, _ = self.performer.moment(t_s)
        ahead = (x + 0.80 * math.sin(heading), z + 0.80 * math.cos(heading))
        return (crate(ahead, heading, (0.85, 0.75, 0.58), 0.22, self.colour, self.viewer),)


def pusher(
    places: Sequence[Place], start_s: float, speed: float, looks: Looks, rng: np.random.Generator,
    viewer: Points,
) -> tuple[Performer, Trolley]:  # fmt: skip
    """Somebody who pushes a trolley at walking speed."""
    script = Script(start_s, places[0], Course(places).heading(0.0), plain(looks), rng)

    def push(angles: fig.Pose, metres: float, seconds: float) -> fig.Pose:
        del metres, seconds
        return pose(angles, arms=0.75, elbows=0.55, bend=0.16)

    script.walk(places[1:], speed, from_rest=False, to_rest=False, style=push)
    performer = script.performer()
    colour = PAINTS[int(rng.integers(len(PAINTS)))]
    return performer, Trolley(performer, colour, viewer)


def crate(
    place: Place, heading: float, size: tuple[float, float, float], lift: float, colour: Colour,
    viewer: Points,
) -> Body:  # fmt: skip
    """A block of `size` (long, high, wide) on wheels, turned to `heading`."""
    long, high, wide = size[0] / 2, size[1], size[2] / 2
    low, top = lift, lift + high
    corners = {
        (f, r, u): np.array([f * long, r * wide, top if u else low])
        for f in (-1, 1) for r in (-1, 1) for u in (0, 1)
    }  # fmt: skip
    sides = [
        ([(1, -1, 0), (1, 1, 0), (1, 1, 1), (1, -1, 1)], 0.95),
        ([(-1, 1, 0), (-1, -1, 0), (-1, -1, 1), (-1, 1, 1)], 0.8),
        ([(1, 1, 0), (-1, 1, 0), (-1, 1, 1), (1, 1, 1)], 0.7),
        ([(-1, -1, 0), (1, -1, 0), (1, -1, 1), (-1, -1, 1)], 1.0),
        ([(-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)], 1.15),
    ]
    sin_h, cos_h = math.sin(heading), math.cos(heading)
    dx, dz = float(viewer[0] - place[0]), float(viewer[2] - place[1])
    eye = np.array([dx * sin_h + dz * cos_h, dx * cos_h - dz * sin_h, float(viewer[1])])
    faces = []
    for names, tone in sides:
        face = np.array([corners[name] for name in names])
        normal = np.cross(face[1] - face[0], face[2] - face[0])
        if normal @ (eye - face.mean(axis=0)) > 0:
            tint = tuple(min(int(c * tone), 255) for c in colour)
            faces.append((face, (tint[0], tint[1], tint[2])))
    wheels = np.array([[(f * long * 0.8, r * wide, 0.07)] * 2 for f in (-1, 1) for r in (-1, 1)])
    wheels[:, 1, 2] = lift
    dark = np.tile((40.0, 40.0, 42.0), (4, 1))
    return placed(place, heading, wheels, np.full((4, 2), 0.05), dark, tuple(faces))
