"""A scene: a layout, the people in it, the planted events, the light; all from one seed.

Everything is a function of time, so that the truth about the events is known without drawing
anything.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from sorawatch import ConfigError
from streamer.demo.actors import (
    Actor,
    Course,
    Faller,
    Leaver,
    Place,
    Rider,
    Stander,
    Timing,
    Vehicle,
    Walker,
)
from streamer.demo.body import Body, Colour, random_looks
from streamer.demo.brush import Box, stencil
from streamer.demo.layouts import Layout, Path, build_layout

EventKind = Literal["runner", "vehicle", "cyclist", "fall", "abandoned", "wrong_way"]
EVENT_KINDS: tuple[str, ...] = get_args(EventKind)

CROWDS: Mapping[str, float] = {"still": 0.0, "quiet": 1.5, "normal": 5.0, "busy": 14.0}
"""Named densities: people who are under way at one time, on average."""

NOBODY_BEFORE_S = 90.0  # walkers set out so long before the first frame, so that it is not empty
_SEEN_PX = 12  # a box smaller than this is not yet an event


@dataclass(frozen=True, slots=True)
class EventPlan:
    """An event to plant: it begins at about `start_s`."""

    kind: EventKind
    start_s: float


@dataclass(frozen=True, slots=True)
class Planted:
    """The truth about one event.

    Frames `start_frame` to `end_frame`, end excluded; `boxes` maps a frame to where it is in the
    picture (x, y, width, height as shares of it). A frame in between may lack a box: hidden.
    """

    kind: str
    start_frame: int
    end_frame: int
    boxes: Mapping[int, tuple[float, float, float, float]]


class Light:
    """How the light changes: clouds in tens of seconds, a lamp's or shutter's flicker in frames."""

    def __init__(self, rng: np.random.Generator, flicker: float = 0.004) -> None:
        """`flicker`: sigma of the frame to frame changes, as a share of the light."""
        self._phases = rng.uniform(0, 2 * math.pi, 3)
        self._periods = np.array([61.0, 23.0, 9.7]) * rng.uniform(0.8, 1.25, 3)
        self._flicker = flicker * rng.uniform(0.5, 1.5)
        self._seed = int(rng.integers(1 << 31))

    def cloud(self, t_s: float) -> float:
        """Smooth, about -1 (overcast) to 1 (sun)."""
        waves = np.sin(2 * math.pi * t_s / self._periods + self._phases)
        return float(waves @ np.array([0.6, 0.3, 0.1]))

    def gain(self, t_s: float, frame: int) -> float:
        """What the picture is multiplied by."""
        noise = np.random.default_rng([self._seed, frame]).normal()
        return 1.0 + 0.065 * self.cloud(t_s) + self._flicker * float(np.clip(noise, -2.5, 2.5))


class Scene:
    """Who is where at a time, in one layout; and what was planted."""

    def __init__(
        self,
        seed: int,
        layout: str,
        seconds: float,
        size: tuple[int, int],
        crowd: str | float = "normal",
        events: Sequence[EventPlan] = (),
        take: int = 0,
    ) -> None:
        """`seed` decides the place, `take` who comes by and how the light is.

        `size`: width and height in pixels. `crowd`: a name in `CROWDS`, or people on average.

        Raises ConfigError for an unknown layout, crowd or event.
        """
        if isinstance(crowd, str) and crowd not in CROWDS:
            raise ConfigError(f"no crowd {crowd!r}: choose one of {', '.join(CROWDS)}, or a number")
        self.layout: Layout = build_layout(layout, size, seed)
        self.seed = seed
        self.take = take
        self.seconds = seconds
        people = CROWDS[crowd] if isinstance(crowd, str) else float(crowd)
        rng = np.random.default_rng([seed, 2, take])
        self.crowd: tuple[Actor, ...] = tuple(_crowd(self.layout, people, seconds, rng))
        self.light = Light(np.random.default_rng([seed, 3, take]))
        self._events = [
            (plan, _event_actor(self.layout, plan, np.random.default_rng([seed, 4, take, number])))
            for number, plan in enumerate(events)
        ]

    def bodies(self, t_s: float) -> list[Body]:
        """Everybody who is there at second `t_s`."""
        found = [body for actor in self.crowd for body in actor.at(t_s)]
        for _, (actor, _, _) in self._events:
            found.extend(actor.at(t_s))
        return found

    def truth(self, fps: float) -> list[Planted]:
        """What was planted, frame by frame at `fps` frames a second."""
        frames = round(self.seconds * fps)
        view = self.layout.view
        planted = []
        for plan, (actor, begin_s, end_s) in self._events:
            boxes: dict[int, tuple[float, float, float, float]] = {}
            first = max(0, math.ceil(begin_s * fps))
            for frame in range(first, min(frames, math.floor(min(end_s, self.seconds) * fps) + 1)):
                box = _bounding(actor, frame / fps, self.layout)
                if box is not None:
                    boxes[frame] = (
                        box.x0 / view.width,
                        box.y0 / view.height,
                        (box.x1 - box.x0) / view.width,
                        (box.y1 - box.y0) / view.height,
                    )
            if boxes:
                planted.append(Planted(plan.kind, min(boxes), max(boxes) + 1, boxes))
        return planted


def _bounding(actor: Actor, t_s: float, layout: Layout) -> Box | None:
    view = layout.view
    bodies = actor.subject(t_s) if isinstance(actor, Leaver) else actor.at(t_s)
    drawn = [stencil(body, view) for body in bodies]
    boxes = [one.box for one in drawn if one is not None]
    if not boxes:
        return None
    box = Box(
        min(one.x0 for one in boxes),
        min(one.y0 for one in boxes),
        max(one.x1 for one in boxes),
        max(one.y1 for one in boxes),
    )
    return box if box.area >= _SEEN_PX * view.width * view.height / (640 * 360) else None


def _walk_speed(rng: np.random.Generator) -> float:
    return float(np.clip(rng.normal(1.32, 0.16), 0.9, 1.75))


def _crowd(layout: Layout, people: float, seconds: float, rng: np.random.Generator) -> list[Actor]:
    actors: list[Actor] = []
    if people <= 0:
        return actors
    total = sum(path.weight for path in layout.paths)
    for path in layout.paths:
        length = Course(path.places).length_m
        rate = people * path.weight / total / (length / 1.32)
        t_s = -NOBODY_BEFORE_S
        while True:
            t_s += float(rng.exponential(1 / rate))
            if t_s > seconds:
                break
            actors.extend(_walkers(path, t_s, rng))
    if people >= 3:
        for place, heading in layout.standers:
            actors.append(Stander(place, heading, random_looks(rng), float(rng.uniform(0, 6.28))))
    return actors


def _walkers(path: Path, start_s: float, rng: np.random.Generator) -> list[Walker]:
    """Somebody who sets out along a path; now and then two, side by side."""
    back = not path.one_way and rng.random() < 0.5
    places = path.places[::-1] if back else path.places
    speed = _walk_speed(rng)
    pair = rng.random() < 0.18
    asides = [float(rng.uniform(-path.half_width_m, path.half_width_m))]
    if pair:
        asides = [asides[0] * 0.4 - 0.38, asides[0] * 0.4 + 0.38]
    found = []
    for aside in asides:
        course = Course(places, aside)
        knots = [(start_s, 0.0), (start_s + course.length_m / speed, course.length_m)]
        found.append(
            Walker(
                course,
                Timing(knots),
                random_looks(rng),
                float(rng.uniform(0, 6.28)),
                0.0 if pair else float(rng.uniform(0.03, 0.14)),
            )
        )
    return found


def _steady(course: Course, start_s: float, speed: float) -> Timing:
    return Timing([(start_s, 0.0), (start_s + course.length_m / speed, course.length_m)])


def _event_actor(
    layout: Layout, plan: EventPlan, rng: np.random.Generator
) -> tuple[Actor, float, float]:
    """The actor of an event, and between which seconds it is one."""
    start = plan.start_s
    viewer = np.array([0.0, layout.view.post_m, 0.0])
    looks = random_looks(rng)
    paint: Colour = ((60, 60, 190), (190, 190, 192), (150, 90, 50), (60, 140, 200))[
        int(rng.integers(4))
    ]
    timing: Timing
    if plan.kind == "fall":
        return _fall(layout, start, rng)
    if plan.kind == "abandoned":
        return _abandoned(layout, start, rng, viewer)
    if plan.kind == "runner":
        course = Course(layout.runner)
        timing = _steady(course, start, rng.uniform(3.8, 4.4))
        return Walker(course, timing, looks), start, timing.end_s
    if plan.kind == "vehicle":
        course = Course(layout.vehicle)
        timing = _steady(course, start, rng.uniform(4.4, 5.6))
        return Vehicle(course, timing, paint, layout.cart, viewer), start, timing.end_s
    if plan.kind == "cyclist":
        course = Course(layout.cyclist)
        timing = _steady(course, start, rng.uniform(4.6, 5.4))
        return Rider(course, timing, looks, paint), start, timing.end_s
    if plan.kind == "wrong_way":
        if layout.wrong_way is None:
            raise ConfigError(f"no path of the layout {layout.name!r} is one way: no wrong_way")
        course = Course(layout.paths[layout.wrong_way].places[::-1])
        timing = _steady(course, start, 1.5)
        return Walker(course, timing, looks), start, timing.end_s
    raise ConfigError(f"no event {plan.kind!r}: choose one of {', '.join(EVENT_KINDS)}")


def _fall(layout: Layout, start_s: float, rng: np.random.Generator) -> tuple[Actor, float, float]:
    number, place = layout.fall
    path = layout.paths[number]
    centre = Course(path.places)
    near = centre.nearest(place)
    here, heading = centre.place(near), centre.heading(near)
    aside = (place[0] - here[0]) * math.cos(heading) - (place[1] - here[1]) * math.sin(heading)
    course = Course(path.places, aside)
    at_m = course.nearest(place)
    speed, down_s = 1.4, 10.0
    stop_m = at_m + 0.5 * speed * Faller.FALL_S
    up_s = start_s + Faller.FALL_S + down_s + Faller.RISE_S
    timing = Timing(
        [
            (start_s - at_m / speed, 0.0),
            (start_s, at_m),
            (start_s + Faller.FALL_S * 0.6, stop_m),
            (up_s + 0.6, stop_m),
            (up_s + 0.6 + (course.length_m - stop_m) / 1.1, course.length_m),
        ]
    )
    side = 1.35
    faller = Faller(Walker(course, timing, random_looks(rng)), start_s, down_s, side)
    return faller, start_s, up_s


def _abandoned(
    layout: Layout, start_s: float, rng: np.random.Generator, viewer: np.ndarray
) -> tuple[Actor, float, float]:
    course = Course(layout.drop)
    leave_m = course.nearest(layout.leave_at)
    drop_m = _after(course, leave_m, layout.drop_at)
    speed = 1.4
    drop_s = start_s + (drop_m - leave_m) / speed
    stay_s = 1.0
    timing = Timing(
        [
            (start_s - leave_m / speed, 0.0),
            (drop_s - 0.4, drop_m),
            (drop_s + stay_s, drop_m),
            (drop_s + stay_s + (course.length_m - drop_m) / 3.0, course.length_m),
        ]
    )
    colour: Colour = ((40, 45, 150), (120, 60, 40), (45, 45, 48))[int(rng.integers(3))]
    leaver = Leaver(Walker(course, timing, random_looks(rng)), drop_s, colour, viewer)
    return leaver, start_s, math.inf


def _after(course: Course, least_m: float, place: Place) -> float:
    """The distance beyond `least_m` at which the course is nearest to a place."""
    marks = np.arange(least_m, course.length_m, 0.05)
    gaps = [math.dist(course.place(float(mark)), place) for mark in marks]
    return float(marks[int(np.argmin(gaps))])
