"""The demo's plaza and concourse with a crowd, and unusual things in the midst of it."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.scenes import falls, wheels
from benchmarks.scenes import figure as fig
from benchmarks.scenes.crowd import beside, crowd, plain, walk_speed, walker
from benchmarks.scenes.script import Script
from benchmarks.scenes.stage import Event, event
from benchmarks.scenes.strangers import BAG_COLOURS
from benchmarks.scenes.things import LeftBag
from streamer.demo.actors import Actor, Course, Place
from streamer.demo.body import Body, random_looks
from streamer.demo.layouts import Layout, build_layout


def square(name: str, size: tuple[int, int], seed: int) -> Layout:
    """A layout of the demo in which people keep to one direction on one of the paths."""
    layout = build_layout(name, size, seed)
    paths = list(layout.paths)
    paths[1] = replace(paths[1], one_way=True)
    return replace(layout, paths=tuple(paths), wrong_way=1)


Build = Callable[[Layout, float, np.random.Generator], Event]
"""Writes an event of what sets out at a second."""


def _line(layout: Layout, rng: np.random.Generator) -> list[Place]:
    """A line along which people walk, a little to the side."""
    path = layout.paths[int(rng.integers(len(layout.paths)))]
    line = beside(path.places, float(rng.uniform(-0.5, 0.5)) * path.half_width_m)
    return line if path.one_way or rng.random() < 0.5 else line[::-1]


def _viewer(layout: Layout) -> np.ndarray:
    return np.array([0.0, layout.view.post_m, 0.0])


def _cyclist(layout: Layout, start_s: float, rng: np.random.Generator) -> Event:
    speed = float(rng.uniform(3.8, 5.2))
    rider = wheels.cyclist(layout.cyclist, start_s, speed, random_looks(rng), rng)
    return event("cyclist", start_s, rider.timing.end_s, rider)


def _slow_cyclist(layout: Layout, start_s: float, rng: np.random.Generator) -> Event:
    """Rides among those who walk, as fast as they."""
    rider = wheels.cyclist(_line(layout, rng), start_s, walk_speed(rng), random_looks(rng), rng)
    return event("slow-cyclist", start_s, rider.timing.end_s, rider)


def _skater(layout: Layout, start_s: float, rng: np.random.Generator) -> Event:
    course = Course(_line(layout, rng))
    timing = wheels.steady(course, start_s, float(rng.uniform(2.3, 3.0)))
    return event("skater", start_s, timing.end_s, wheels.Skater(course, timing, random_looks(rng)))


def _cart(layout: Layout, start_s: float, rng: np.random.Generator) -> Event:
    course = Course(layout.vehicle)
    timing = wheels.steady(course, start_s, float(rng.uniform(2.5, 4.5)))
    one = wheels.car(course, timing, rng, _viewer(layout), cart=True)
    return event("cart", start_s, timing.end_s, one)


def _trolley(layout: Layout, start_s: float, rng: np.random.Generator) -> Event:
    both = wheels.pusher(
        _line(layout, rng), start_s, walk_speed(rng), random_looks(rng), rng, _viewer(layout)
    )
    return event("trolley", start_s, both[0].end_s, *both)


def _wrong_way(layout: Layout, start_s: float, rng: np.random.Generator) -> Event:
    path = layout.paths[layout.wrong_way or 0]
    line = beside(path.places, float(rng.uniform(-0.4, 0.4)))[::-1]
    one = walker(line, start_s, walk_speed(rng), random_looks(rng), rng)
    return event("wrong-way", start_s, one.end_s, one)


def _fall(layout: Layout, start_s: float, rng: np.random.Generator) -> Event:
    number, place = layout.fall
    line = beside(layout.paths[number].places, float(rng.uniform(-0.4, 0.4)))
    course = Course(line)
    script = Script(start_s, line[0], course.heading(0.0), random_looks(rng), rng)
    kind = str(rng.choice(list(falls.STANDING)))
    standing = kind == "slump"
    stop_m = course.nearest(place) + float(rng.uniform(-1.0, 1.0))
    script.walk(line[1:], walk_speed(rng), from_rest=False, to_rest=standing, stop_after_m=stop_m)
    begin_s = script.t_s
    falls.STANDING[kind](script)
    falls.lie(script, float(rng.uniform(5, 10)))
    script.get_up_from_floor()
    end_s = script.t_s - 1.3
    script.hold(1.0, 1.0, fig.STAND)
    ahead = [p for p in line if course.nearest(p) > stop_m + 1.5]
    script.walk(ahead, 1.0, to_rest=False)
    return event("fall", begin_s, end_s, script.performer())


def _leave_bag(layout: Layout, start_s: float, rng: np.random.Generator) -> Event:
    course = Course(layout.drop)
    leave_m = course.nearest(layout.leave_at)
    marks = np.arange(leave_m, course.length_m, 0.1)
    gaps = [math.dist(course.place(float(mark)), layout.drop_at) for mark in marks]
    drop_m = float(marks[int(np.argmin(gaps))])
    line = list(layout.drop)
    script = Script(start_s, line[0], course.heading(0.0), plain(random_looks(rng)), rng)
    before = [p for p in line[1:] if p != layout.drop_at and _along(course, p, leave_m) < drop_m]
    speed = walk_speed(rng)
    script.walk([*before, layout.drop_at], speed, from_rest=False)
    begin_s = script.t_s - (drop_m - leave_m) / speed
    script.become((0.8, fig.STOOP))
    down_s = script.t_s
    script.become((0.9, fig.STAND))
    script.hold(float(rng.uniform(0.3, 2.0)))
    away_s = script.t_s + 1.5
    after = [p for p in line if p != layout.drop_at and _along(course, p, leave_m) > drop_m]
    script.walk(after, 1.5, to_rest=False)
    performer = script.performer()
    colour = BAG_COLOURS[int(rng.integers(len(BAG_COLOURS)))]
    bag = LeftBag(performer, start_s, down_s, colour, _viewer(layout))

    def subject(t_s: float) -> Sequence[Body]:
        return [*bag.at(t_s), *(performer.at(t_s) if t_s < away_s else ())]

    return Event("leave-bag", begin_s, math.inf, (performer, bag), subject)


def _along(course: Course, place: Place, after_m: float) -> float:
    """The metres at which a way that comes back on itself passes a place."""
    found = course.nearest(place)
    if math.dist(course.place(0.0), place) < 0.5 and after_m > 0 and found > 1.0:
        return 0.0
    return found


EVENTS: dict[str, Build] = {
    "cyclist": _cyclist,
    "slow-cyclist": _slow_cyclist,
    "skater": _skater,
    "cart": _cart,
    "trolley": _trolley,
    "wrong-way": _wrong_way,
    "fall": _fall,
    "leave-bag": _leave_bag,
}


def takes(
    layout: Layout, kind: str | None, people: float, seconds: float, rng: np.random.Generator
) -> tuple[Sequence[Actor], Sequence[Event]]:
    """The crowd, and the event that the kind names."""
    actors = crowd(layout.paths, people, seconds, rng)
    if kind not in EVENTS:
        return actors, ()
    begin_s, seed = seconds * float(rng.uniform(0.24, 0.36)), int(rng.integers(1 << 30))
    first = EVENTS[kind](layout, 0.0, np.random.default_rng(seed))
    late = begin_s - _seen_s(layout, first)
    return actors, [EVENTS[kind](layout, late, np.random.default_rng(seed))]


def _seen_s(layout: Layout, one: Event) -> float:
    """When an event is first in the picture, at its whole height."""
    view, end_s = layout.view, min(one.end_s, one.begin_s + 60.0)
    for t_s in np.arange(one.begin_s, end_s, 0.2).tolist():
        feet = np.array([body.foot for body in one.subject(t_s)])
        if len(feet) and np.all(feet[:, 2] > 1.0):
            column, row, _ = view.project(feet[:1])[0]
            if 0 <= column <= view.width and 0 <= row <= view.height:
                return float(t_s)
    return one.begin_s
