"""People on their way along paths, as functions of time."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.scenes.figure import child_looks
from benchmarks.scenes.script import Performer, Script
from streamer.demo.actors import Course, Place
from streamer.demo.body import Looks, random_looks
from streamer.demo.layouts import Path

EARLY_S = 60.0
"""People set out so long before the first frame, so that it is not empty."""


def crowd(
    paths: Sequence[Path], people: float, seconds: float, rng: np.random.Generator,
    pauses: float = 0.05,
) -> list[Performer]:  # fmt: skip
    """Walkers, `people` under way at a time on average; some stop for a moment (`pauses`)."""
    found: list[Performer] = []
    total = sum(path.weight for path in paths)
    for path in paths:
        length = Course(path.places).length_m
        rate = people * path.weight / total / (length / 1.3)
        t_s = -EARLY_S
        while (t_s := t_s + float(rng.exponential(1 / rate))) < seconds:
            found.extend(_party(path, t_s, rng, pauses))
    return [one for one in found if one.end_s > 0]


def walk_speed(rng: np.random.Generator) -> float:
    """Metres a second, as people walk."""
    return float(np.clip(rng.normal(1.32, 0.17), 0.85, 1.8))


def _party(path: Path, start_s: float, rng: np.random.Generator, pauses: float) -> list[Performer]:
    back = not path.one_way and rng.random() < 0.5
    places = path.places[::-1] if back else path.places
    speed = walk_speed(rng)
    asides = [float(rng.uniform(-path.half_width_m, path.half_width_m))]
    if rng.random() < 0.2:
        asides = [asides[0] * 0.4 - 0.38, asides[0] * 0.4 + 0.38]
    stop = float(rng.uniform(2.0, 5.0)) if rng.random() < pauses else 0.0
    stop_share = float(rng.uniform(0.25, 0.7))
    found = []
    for number, aside in enumerate(asides):
        looks = random_looks(rng)
        if number == 1 and rng.random() < 0.2:
            looks = child_looks(looks, float(rng.uniform(1.1, 1.4)))
        found.append(walker(beside(places, aside), start_s, speed, looks, rng, stop, stop_share))
    return found


def walker(
    places: Sequence[Place], start_s: float, speed: float, looks: Looks,
    rng: np.random.Generator, stop_s: float = 0.0, stop_share: float = 0.5,
) -> Performer:  # fmt: skip
    """Somebody who follows a line, and stops once if `stop_s` says so."""
    course = Course(places)
    script = Script(start_s, places[0], course.heading(0.0), looks, rng)
    rest = list(places[1:])
    if stop_s > 0:
        halt_m = stop_share * course.length_m
        halt = course.place(halt_m)
        before = [p for p in rest if course.nearest(p) < halt_m - 0.8]
        script.walk([*before, halt], speed, from_rest=False)
        script.hold(stop_s)
        rest = [p for p in rest if course.nearest(p) > halt_m + 0.8]
    script.walk(rest, speed, from_rest=stop_s > 0, to_rest=False,
                sway_m=float(rng.uniform(0.02, 0.10)))  # fmt: skip
    return script.performer()


def beside(places: Sequence[Place], aside_m: float) -> list[Place]:
    """A line that far to the right of another."""
    course = Course(places)
    count = max(2, round(course.length_m / 2.5))
    found = []
    for metres in np.linspace(0, course.length_m, count + 1):
        (x, z), heading = course.place(float(metres)), course.heading(float(metres))
        found.append((x + aside_m * math.cos(heading), z - aside_m * math.sin(heading)))
    return found


def usual(paths: Sequence[Path], place: Place, margin_m: float = 0.45) -> bool:
    """Whether people walk there as a matter of course."""
    for path in paths:
        course = Course(path.places)
        if math.dist(course.place(course.nearest(place)), place) < path.half_width_m + margin_m:
            return True
    return False


def plain(looks: Looks) -> Looks:
    """Without a backpack, for those who carry something else."""
    return replace(looks, backpack=None)
