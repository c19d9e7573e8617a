"""Where people walk as a matter of course and where not, and how somebody gets there."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.scenes.crowd import usual, walk_speed
from benchmarks.scenes.script import Performer, Script
from streamer.demo.actors import Course, Place
from streamer.demo.body import Looks, random_looks
from streamer.demo.layouts import Path
from streamer.demo.view import View


@dataclass(frozen=True, slots=True)
class Ground:
    """Where people walk as a matter of course, and where somebody can be who does not.

    `spots`: beside the paths, in sight. `edges`: at the side of a path, in sight. `across` and
    `towards`: ways over ground where nobody walks. `along`: lines of paths from end to end.
    """

    view: View
    paths: tuple[Path, ...]
    spots: tuple[Place, ...]
    edges: tuple[Place, ...]
    across: tuple[tuple[Place, ...], ...]
    towards: tuple[tuple[Place, ...], ...]
    along: tuple[tuple[Place, ...], ...]

    @property
    def viewer(self) -> np.ndarray:
        """Where the lens is."""
        return np.array([0.0, self.view.post_m, 0.0])


def pick(rng: np.random.Generator, choices: Sequence[Any]) -> Any:
    """One of them by chance."""
    return choices[int(rng.integers(len(choices)))]


def approach(
    ground: Ground,
    start_s: float,
    rng: np.random.Generator,
    goal: Place,
    looks: Looks | None = None,
) -> tuple[Script, list[Place]]:
    """Somebody who comes along a path, turns off it to `goal`; and the way on from there."""
    line = list(pick(rng, ground.along))
    if rng.random() < 0.5:
        line.reverse()
    course = Course(line)
    near = course.nearest(goal)
    leave = course.place(max(near - 2.5, 1.0))
    before = [p for p in line[1:] if course.nearest(p) < near - 4.0]
    after = [course.place(min(near + 2.5, course.length_m - 1.0))]
    after += [p for p in line if course.nearest(p) > near + 4.0]
    person = random_looks(rng) if looks is None else looks
    script = Script(start_s, line[0], course.heading(0.0), person, rng)
    script.walk([*before, leave, goal], walk_speed(rng), from_rest=False)
    return script, after


def off_path(ground: Ground, performer: Performer) -> tuple[float, float]:
    """The first and last second at which somebody is in sight where nobody walks."""
    times = np.arange(performer.starts_s[0], performer.end_s, 0.1)
    places = [performer.moment(float(t))[0] for t in times]
    seen = ground.view.project(np.array([(x, 0.8, z) for x, z in places]))
    inside = (seen[:, 0] > 0) & (seen[:, 0] < ground.view.width)
    inside &= (seen[:, 1] > 0) & (seen[:, 1] < ground.view.height) & (seen[:, 2] > 1.0)
    off = [
        float(t)
        for t, place, here in zip(times, places, inside, strict=True)
        if here and not usual(ground.paths, place)
    ]
    return off[0], off[-1]


def walks(
    way: Sequence[Place], start_s: float, speed: float, rng: np.random.Generator
) -> Performer:
    """Somebody who walks a way from end to end."""
    script = Script(start_s, way[0], 0.0, random_looks(rng), rng)
    script.walk(way[1:], speed, from_rest=False, to_rest=False)
    return script.performer()


def either_way(rng: np.random.Generator, ways: Sequence[tuple[Place, ...]]) -> list[Place]:
    """One of the ways, in one of its directions."""
    way = list(pick(rng, ways))
    return way[::-1] if rng.random() < 0.5 else way
