"""Unusual things that people do on foot, out of doors; most of them slow."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.scenes import figure as fig
from benchmarks.scenes.crowd import plain, walk_speed
from benchmarks.scenes.figure import child_looks, pose
from benchmarks.scenes.ground import Ground, approach, either_way, off_path, pick, walks
from benchmarks.scenes.script import Script
from benchmarks.scenes.stage import Event, event
from benchmarks.scenes.things import LeftBag, Papers, TossedBag
from streamer.demo.actors import Course, Place
from streamer.demo.body import Body, Colour, random_looks

BAG_COLOURS: tuple[Colour, ...] = ((40, 45, 150), (120, 60, 40), (45, 45, 48), (60, 160, 200))


Build = Callable[[Ground, float, np.random.Generator], Event]
"""Writes an event of somebody who sets out at a second."""


def timed(build: Build, ground: Ground, begin_s: float, seed: Sequence[int]) -> Event:
    """The event, begun at about `begin_s`."""
    first = build(ground, 0.0, np.random.default_rng(list(seed)))
    return build(ground, begin_s - first.begin_s, np.random.default_rng(list(seed)))


def loiter(ground: Ground, start_s: float, rng: np.random.Generator) -> Event:
    """Leaves the path, stands there shifting weight, walks to and fro a little, goes on."""
    spot = pick(rng, ground.spots)
    script, after = approach(ground, start_s, rng, spot)
    for _ in range(int(rng.integers(1, 3))):
        script.hold(float(rng.uniform(3, 5)), 1.6)
        if rng.random() < 0.6:
            x, z = spot[0] + float(rng.uniform(-0.9, 0.9)), spot[1] + float(rng.uniform(-0.4, 0.4))
            script.walk([(x, z)], 0.6)
    script.hold(float(rng.uniform(2, 5)), 1.6)
    script.walk(after, walk_speed(rng), to_rest=False)
    performer = script.performer()
    return event("loiter", *off_path(ground, performer), performer)


_WIND_UP = pose(thighs=0.25, knees=0.45, bend=0.25, arms=0.35, elbows=0.9)
_THROWN = pose(arms=2.7, elbows=0.15, bend=-0.12, nod=-0.35, wings=0.25)


def throw_papers(ground: Ground, start_s: float, rng: np.random.Generator) -> Event:
    """Stops and throws papers into the air a few times, then picks them up."""
    edge = pick(rng, ground.edges)
    script, after = approach(ground, start_s, rng, edge, plain(random_looks(rng)))
    script.turn(math.atan2(-script.place[0], -script.place[1]) + float(rng.uniform(-1, 1)))
    script.hold(0.8)
    begin_s = script.t_s
    throws = []
    for _ in range(int(rng.integers(2, 5))):
        script.become((0.45, _WIND_UP), (0.22, _THROWN), even=True)
        throws.append(script.t_s - 0.08)
        script.hold(0.5, 0.5)
        script.become((0.6, fig.STAND))
        script.hold(float(rng.uniform(0.6, 1.6)), 0.8)
    script.hold(1.0)
    picked_s = script.t_s + 1.0
    script.pick_up(True, 1.6)
    script.pick_up(False, 0.8)
    gone_s = script.t_s - 1.0
    script.walk(after, walk_speed(rng), to_rest=False)
    performer = script.performer()
    height = 1.15 * performer.looks.height_m
    ahead = (edge[0] * 0.97, edge[1] * 0.97)
    papers = [
        Papers(
            ahead,
            height,
            at_s,
            picked_s,
            gone_s,
            int(rng.integers(1 << 30)),
            int(rng.integers(4, 9)),
        )
        for at_s in throws
    ]
    return event("throw-papers", begin_s, gone_s, performer, *papers)


def toss_bag(ground: Ground, start_s: float, rng: np.random.Generator) -> Event:
    """Stops, throws a bag up and catches it, again and again."""
    script, after = approach(ground, start_s, rng, pick(rng, ground.edges),
                              plain(random_looks(rng)))  # fmt: skip
    flight_s = float(rng.uniform(0.75, 1.0))
    script.hold(0.8)
    begin_s, throws = script.t_s, []
    for _ in range(int(rng.integers(4, 7))):
        script.become((0.4, _WIND_UP), (0.2, _THROWN), even=True)
        throws.append(script.t_s - 0.1)
        script.become((flight_s - 0.2, pose(arms=1.5, elbows=0.6, nod=-0.3)))
        script.become((0.3, pose(arms=0.5, elbows=1.3)))
    end_s = script.t_s
    script.become((0.6, fig.STAND))
    script.walk(after, walk_speed(rng), to_rest=False)
    performer = script.performer()
    bag = TossedBag(performer, tuple(throws), flight_s, pick(rng, BAG_COLOURS))
    return event("toss-bag", begin_s, end_s, performer, bag)


def leave_bag(ground: Ground, start_s: float, rng: np.random.Generator) -> Event:
    """Puts a bag down beside the path and goes away without it."""
    spot = pick(rng, ground.spots)
    script, after = approach(ground, start_s, rng, spot, plain(random_looks(rng)))
    script.hold(float(rng.uniform(0.5, 2)), 0.6)
    script.become((0.8, fig.STOOP))
    down_s = script.t_s
    script.become((0.9, fig.STAND))
    script.hold(float(rng.uniform(0.5, 2.5)))
    away_s = script.t_s + 1.5
    script.walk(after, 1.5, to_rest=False)
    performer = script.performer()
    bag = LeftBag(performer, start_s, down_s, pick(rng, BAG_COLOURS), ground.viewer)
    begin_s, _ = off_path(ground, performer)

    def subject(t_s: float) -> Sequence[Body]:
        return [*bag.at(t_s), *(performer.at(t_s) if t_s < away_s else ())]

    return Event("leave-bag", begin_s, math.inf, (performer, bag), subject)


def run(ground: Ground, start_s: float, rng: np.random.Generator) -> Event:
    """Runs along a path."""
    way = either_way(rng, ground.along)
    performer = walks(way, start_s, float(rng.uniform(3.4, 4.6)), rng)
    return event("run", start_s, performer.end_s, performer)


def skip(ground: Ground, start_s: float, rng: np.random.Generator) -> Event:
    """A child that hops and skips along a path."""
    way = either_way(rng, ground.along)
    looks = child_looks(random_looks(rng), float(rng.uniform(1.05, 1.3)))
    script = Script(start_s, way[0], 0.0, looks, rng)

    def hop(angles: fig.Pose, metres: float, seconds: float) -> fig.Pose:
        wave = abs(math.sin(metres * math.pi / 0.95))
        out = pose(
            angles, arms=0.4 + 0.8 * wave, wings=0.5 + 0.5 * math.sin(seconds * 3), elbows=0.5
        )
        out[fig.JOINTS.index("lift")] = 0.14 * wave
        return out

    speed = float(rng.uniform(1.7, 2.3))
    script.walk(way[1:], speed, from_rest=False, to_rest=False, sway_m=0.4, style=hop)
    performer = script.performer()
    return event("skip", start_s, performer.end_s, performer)


def cross_grass(ground: Ground, start_s: float, rng: np.random.Generator) -> Event:
    """Walks over ground where nobody walks."""
    performer = walks(either_way(rng, ground.across), start_s, walk_speed(rng), rng)
    return event("cross-grass", *off_path(ground, performer), performer)


def towards(ground: Ground, start_s: float, rng: np.random.Generator) -> Event:
    """Walks towards the camera, where nobody does."""
    performer = walks(pick(rng, ground.towards), start_s, walk_speed(rng), rng)
    return event("towards", *off_path(ground, performer), performer)


def dance(ground: Ground, start_s: float, rng: np.random.Generator) -> Event:
    """Stops and dances on the spot."""
    script, after = approach(ground, start_s, rng, pick(rng, ground.edges))
    begin_s = script.t_s
    for _ in range(int(rng.integers(10, 18))):
        side = float(rng.choice([-1.0, 1.0]))
        beat = float(rng.uniform(0.3, 0.5))
        figure = pose(
            sway=0.25 * side, knees=0.5, thighs=0.3, bend=float(rng.uniform(-0.1, 0.3)),
            arm_r=float(rng.uniform(0, 2.8)), arm_l=float(rng.uniform(0, 2.8)),
            elbows=float(rng.uniform(0.2, 1.4)), wings=float(rng.uniform(0.1, 0.9)),
        )  # fmt: skip
        script.become((beat, figure), (beat * 0.7, pose(figure, knees=0.1, thighs=0.05)), even=True,
                      turn=0.5 * side)  # fmt: skip
    end_s = script.t_s
    script.become((0.5, fig.STAND))
    script.walk(after, walk_speed(rng), to_rest=False)
    performer = script.performer()
    return event("dance", begin_s, end_s, performer)


def wrestle(ground: Ground, start_s: float, rng: np.random.Generator) -> Event:
    """Two people take hold of each other, push and pull and turn about each other."""
    edge = pick(rng, ground.edges)
    script, after = approach(ground, start_s, rng, edge)
    begin_s, seconds = script.t_s, float(rng.uniform(6, 10))
    first = script.heading
    line = either_way(rng, ground.along)
    come = Course(line)
    near = come.nearest(edge)
    opposite = (edge[0] + 0.75 * math.sin(first), edge[1] + 0.75 * math.cos(first))
    other = Script(0.0, line[0], come.heading(0.0), random_looks(rng), rng)
    before = [p for p in line[1:] if come.nearest(p) < near - 3.0]
    other.walk([*before, opposite], walk_speed(rng), from_rest=False)
    other.turn(first + math.pi)
    other.delay(begin_s - other.t_s)
    phases = rng.uniform(0, 2 * math.pi, 8)
    rates = rng.uniform(1.5, 4.5, 8)

    def struggle(sign: float) -> Callable[[float], tuple[Place, float, fig.Pose]]:
        def act(s: float) -> tuple[Place, float, fig.Pose]:
            calm = fig.smooth(s / 0.7) * fig.smooth((seconds - s) / 0.7)
            wave = np.sin(rates * s + phases) * calm
            turn = first + (1.3 * wave[0] + 0.5 * wave[1])
            push = 0.18 * wave[2]
            gap = 0.375 - 0.08 * calm
            centre = (edge[0] + 0.375 * math.sin(first), edge[1] + 0.375 * math.cos(first))
            x = centre[0] + (push - sign * gap) * math.sin(turn) + 0.1 * wave[3]
            z = centre[1] + (push - sign * gap) * math.cos(turn)
            own = wave[4] if sign > 0 else wave[5]
            step = max(0.0, wave[6] * sign)
            angles = pose(
                bend=(0.3 + 0.2 * own) * calm, sway=0.2 * wave[7] * calm,
                thigh_r=(0.35 + 0.4 * step) * calm, thigh_l=(0.15 - 0.2 * own) * calm,
                knees=0.05 + (0.4 + 0.3 * step) * calm, arms=(1.15 + 0.35 * own) * calm,
                elbows=0.25 + 0.5 * calm * (1 + own), wings=0.1 + 0.25 * calm,
            )  # fmt: skip
            return (x, z), turn + (0.0 if sign > 0 else math.pi), angles

        return act

    script.add(seconds, struggle(1.0))
    other.add(seconds, struggle(-1.0))
    end_s = script.t_s
    script.walk(after, 1.6, to_rest=False)
    other.hold(1.0)
    other.walk(line[::-1], 1.2, to_rest=False)
    return event("wrestle", begin_s, end_s, script.performer(), other.performer())


ON_FOOT: dict[str, Build] = {
    "loiter": loiter,
    "throw-papers": throw_papers,
    "toss-bag": toss_bag,
    "leave-bag": leave_bag,
    "run": run,
    "skip": skip,
    "cross-grass": cross_grass,
    "towards": towards,
    "dance": dance,
    "wrestle": wrestle,
}
