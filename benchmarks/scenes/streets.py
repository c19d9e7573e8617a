"""A street: cars in two lanes, people on the pavements, and what disturbs that."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scenes import wheels
from benchmarks.scenes.crowd import crowd, walk_speed, walker
from benchmarks.scenes.script import Performer
from benchmarks.scenes.stage import Event, Site, event
from streamer.demo import props
from streamer.demo.actors import Actor, Course, Place
from streamer.demo.backdrop import Backdrop, Painter, facade
from streamer.demo.body import random_looks
from streamer.demo.layouts import Path
from streamer.demo.view import View

NEAR_LANE, FAR_LANE = 14.4, 18.0
NEAR_KERB, FAR_KERB = 12.4, 20.0
EDGE_M = 34.0
"""Cars come from so far to the left and right."""
PAVEMENTS = (
    Path(((-15, 10.4), (0, 10.5), (15, 10.4)), 1.1, 1.0),
    Path(((-20, 21.8), (0, 21.7), (20, 21.8)), 0.9, 1.0),
)
KINDS = ("wrong-way-car", "stopped-car", "jaywalker", "pavement-cyclist", "runner", "u-turn",
         "walks-on-road")  # fmt: skip
MARGIN_S = 5.0


def place(size: tuple[int, int], rng: np.random.Generator) -> Site:
    """The street, seen from a first floor."""
    view = View(
        *size, math.radians(60 + rng.uniform(-1.5, 1.5)), 6.4 + rng.uniform(-0.3, 0.3),
        math.radians(18.5 + rng.uniform(-0.7, 0.7)), math.radians(rng.uniform(-3, 3)),
    )  # fmt: skip
    sun = (0.5, -0.15)

    def paint(rng: np.random.Generator) -> Backdrop:
        painter = Painter(view, sun, rng)
        painter.sky()
        painter.lay(painter.paving((158, 164, 168), (0.6, 0.6), 0.05))
        road = painter.asphalt((98, 100, 102))
        painter.lay(road, painter.mask(_band(NEAR_KERB, FAR_KERB), 0.8))
        kerb = painter.asphalt((176, 180, 184))
        for z in (NEAR_KERB, FAR_KERB):
            painter.lay(kerb, painter.mask(_band(z - 0.12, z + 0.12), 0.6))
        line = painter.asphalt((212, 214, 216))
        for x in np.arange(-40, 40, 4.0):
            dash = [(x, 16.13), (x + 2, 16.13), (x + 2, 16.27), (x, 16.27)]
            painter.lay(line, painter.mask(dash, 0.5) * 0.8)
        painter.wall((-40, 24.5), (-4, 24.5), 11, facade(36, 11, rng, (120, 140, 168)), False)
        painter.wall((-4, 24.5), (34, 24.5), 9, facade(38, 9, rng, (150, 164, 170)), False)
        for x in (-12.0, 3.0, 14.0):
            painter.put(props.lamp((x, 20.6), 5.4))
        painter.plant(*props.tree((8.0, 20.8), rng, 5.6, 1.7))
        for x in (-6.6, 5.2):
            painter.put(props.bollard((x, 12.0)))
        painter.put(props.bin_((-3.0, 12.0)))
        painter.put(props.shrub((9.4, 9.2), (2.2, 0.6, 0.9), rng))
        return painter.finish()

    return Site(view, sun, 0.40, paint)


def _band(low: float, high: float) -> list[Place]:
    return [(-60, low), (60, low), (60, high), (-60, high)]


@dataclass(frozen=True, slots=True)
class Closed:
    """A lane in which no car comes between two seconds, for something else is there."""

    lane: float
    from_s: float
    to_s: float


def traffic(
    seconds: float, rng: np.random.Generator, viewer: np.ndarray, closed: Sequence[Closed]
) -> list[Actor]:
    """Cars, one behind the other in each lane, as many as to leave the road empty at times."""
    found: list[Actor] = []
    for lane in (NEAR_LANE, FAR_LANE):
        speed = float(rng.uniform(7.5, 10.0))
        t_s = -10.0 + float(rng.exponential(3.0))
        while t_s < seconds:
            places = lane_line(lane)
            course = Course(places, float(rng.uniform(-0.2, 0.2)))
            through_s = course.length_m / speed
            free = all(
                one.lane != lane or t_s + through_s < one.from_s or t_s > one.to_s for one in closed
            )
            cart = bool(rng.random() < 0.12)
            timing = wheels.steady(course, t_s, speed)
            one = wheels.car(course, timing, rng, viewer, cart)
            if free:
                found.append(one)
            t_s += 1.6 + float(rng.exponential(4.5))
    return found


def lane_line(lane: float, wrong: bool = False) -> list[Place]:
    """The line of a lane: the near one goes to the right, the far one to the left."""
    line = [(-EDGE_M, lane), (-10.0, lane), (10.0, lane), (EDGE_M, lane)]
    return line if (lane == NEAR_LANE) != wrong else line[::-1]


def takes(
    view: View, kind: str | None, seconds: float, rng: np.random.Generator
) -> tuple[Sequence[Actor], Sequence[Event]]:
    """Traffic and people; and the event that the kind names."""
    viewer = np.array([0.0, view.post_m, 0.0])
    events: list[Event] = []
    closed: list[Closed] = []
    if kind in KINDS:
        one, closed = _event(kind, seconds * float(rng.uniform(0.30, 0.42)), rng, viewer)
        events.append(one)
    actors = [*traffic(seconds, rng, viewer, closed), *crowd(PAVEMENTS, 4.0, seconds, rng)]
    return actors, events


def _event(
    kind: str, begin_s: float, rng: np.random.Generator, viewer: np.ndarray
) -> tuple[Event, list[Closed]]:
    lane = float(rng.choice([NEAR_LANE, FAR_LANE]))
    side = float(rng.choice([-1.0, 1.0]))
    looks = random_looks(rng)
    if kind == "wrong-way-car":
        course = Course(lane_line(lane, wrong=True))
        speed = float(rng.uniform(5.0, 8.0))
        timing = wheels.steady(course, begin_s - 20.0 / speed, speed)
        subject: Actor = wheels.car(course, timing, rng, viewer)
        span = (timing.start_s, timing.end_s)
        closed = [Closed(lane, span[0] - 1, span[1] + 1)]
    elif kind == "stopped-car":
        course, speed = Course(lane_line(lane)), 8.0
        halt_m = EDGE_M + float(rng.uniform(-4, 4))
        stay_s = float(rng.uniform(7, 12))
        timing, halt_s, off_s = wheels.stopping(course, 0.0, speed, halt_m, stay_s)
        late = begin_s - halt_s
        timing, halt_s, off_s = wheels.stopping(course, late, speed, halt_m, stay_s)
        subject = wheels.car(course, timing, rng, viewer)
        span = (halt_s - 1.0, off_s + 1.0)
        closed = [Closed(lane, timing.start_s - 1, timing.end_s + 1)]
    elif kind == "u-turn":
        turn = ((-EDGE_M, NEAR_LANE), (-12.0, NEAR_LANE), (-4.0, NEAR_LANE - 0.1),
                (1.0, NEAR_LANE + 0.1), (3.4, 16.2), (1.2, FAR_LANE + 0.2), (-4.0, FAR_LANE),
                (-12.0, FAR_LANE), (-EDGE_M, FAR_LANE))  # fmt: skip
        course = Course(turn)
        middle = course.nearest((3.4, 16.2))

        def pace(metres: float) -> float:
            return 2.4 + 6.0 * min(max(abs(metres - middle) - 5.0, 0.0) / 12.0, 1.0)

        timing = wheels.varied(course, 0.0, pace)
        timing = wheels.varied(course, begin_s - timing.when(middle - 7.0), pace)
        subject = wheels.car(course, timing, rng, viewer)
        span = (timing.when(middle - 7.0), timing.when(middle + 7.0))
        closed = [
            Closed(one, timing.start_s - 2, timing.end_s + 1) for one in (NEAR_LANE, FAR_LANE)
        ]
    elif kind == "jaywalker":
        x = float(rng.uniform(-5, 5))
        way = [(-15 * side, 10.4), (x - 3 * side, 10.6), (x, 12.0), (x + 0.6 * side, 16.0),
               (x + 0.8 * side, 20.4), (x + 4 * side, 21.8), (20 * side, 21.8)]  # fmt: skip
        speed = walk_speed(rng)
        person = walker(way, 0.0, speed, looks, rng)
        subject = person = walker(way, begin_s - _on_road(person)[0], speed, looks, rng)
        span = _on_road(person)
        closed = [Closed(one, span[0] - MARGIN_S, span[1] + 1) for one in (NEAR_LANE, FAR_LANE)]
    elif kind == "walks-on-road":
        way = [(-15 * side, 10.4), (-8.5 * side, 11.0), (-5.5 * side, 13.2), (3.0 * side, 13.6),
               (5.5 * side, 12.8), (8.0 * side, 10.8), (15 * side, 10.4)]  # fmt: skip
        person = walker(way, 0.0, 1.2, looks, rng)
        subject = person = walker(way, begin_s - _on_road(person)[0], 1.2, looks, rng)
        span = _on_road(person)
        closed = [Closed(NEAR_LANE, span[0] - MARGIN_S, span[1] + 1)]
    else:
        line = list(PAVEMENTS[int(rng.integers(2))].places)[:: int(side)]
        if kind == "pavement-cyclist":
            subject = wheels.cyclist(line, begin_s, float(rng.uniform(3.8, 5.2)), looks, rng)
            span = (begin_s, subject.timing.end_s)
        else:
            subject = walker(line, begin_s, float(rng.uniform(3.4, 4.4)), looks, rng)
            span = (begin_s, subject.end_s)
        closed = []
    return event(kind, *span, subject), closed


def _on_road(person: Performer) -> tuple[float, float]:
    times = np.arange(person.starts_s[0], person.end_s, 0.1)
    on = [float(t) for t in times if NEAR_KERB < person.moment(float(t))[0][1] < FAR_KERB]
    return on[0], on[-1]
