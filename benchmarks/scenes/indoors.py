"""Life in a room, one person at a time, and falls."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.scenes import falls
from benchmarks.scenes import figure as fig
from benchmarks.scenes.rooms import Room, Seat
from benchmarks.scenes.script import Performer, Script
from benchmarks.scenes.stage import Event, event
from streamer.demo.actors import Actor, Place
from streamer.demo.body import random_looks

CALM_KINDS = ("calm", "calm-sitting", "calm-bending")
"""Takes without an event; the last two are full of what might be taken for a fall."""
FALL_KINDS = (*falls.STANDING, *falls.FROM_SEAT, "forwards-to-camera")


def route(room: Room, start: str, goal: str) -> list[str]:
    """The names of the points on the shortest way, without the start."""
    waiting: list[tuple[float, str, list[str]]] = [(0.0, start, [])]
    done = set[str]()
    while waiting:
        gone, here, way = heapq.heappop(waiting)
        if here == goal:
            return way
        if here in done:
            continue
        done.add(here)
        for a, b in room.links:
            for one, other in ((a, b), (b, a)):
                if one == here and other not in done:
                    step = math.dist(room.points[here], room.points[other])
                    heapq.heappush(waiting, (gone + step, other, [*way, other]))
    raise ValueError(f"no way from {start} to {goal}")


class Dweller:
    """Writes what somebody does in a room, and remembers at which point they are."""

    def __init__(self, room: Room, start_s: float, door: str, rng: np.random.Generator) -> None:
        self.room, self.rng, self.point = room, rng, door
        self.speed = float(rng.uniform(0.75, 1.2))
        looks = replace(random_looks(rng), backpack=None, coat=False, hat=False)
        self.script = Script(start_s, room.points[door], 0.0, looks, rng)
        first = room.points[route(room, door, self._inner()[0])[0]]
        here = room.points[door]
        self.script.heading = math.atan2(first[0] - here[0], first[1] - here[1])

    def _inner(self) -> list[str]:
        near_doors = {b for a, b in self.room.links if a in self.room.doors}
        near_doors |= {a for a, b in self.room.links if b in self.room.doors}
        return [p for p in self.room.points if p not in self.room.doors and p not in near_doors]

    def go(self, goal: str, *then: Place) -> None:
        """Walk to a point, and on to the places after it."""
        names = route(self.room, self.point, goal)
        places = [self._about(name) for name in names[:-1]]
        places += [self.room.points[name] for name in names[-1:]] + list(then)
        self.point = goal
        if places:
            speed = self.speed * float(self.rng.uniform(0.9, 1.15))
            self.script.walk(places, speed, sway_m=0.04)

    def _about(self, name: str) -> Place:
        x, z = self.room.points[name]
        return x + float(self.rng.uniform(-0.12, 0.12)), z + float(self.rng.uniform(-0.12, 0.12))

    def somewhere(self) -> None:
        """Walk to some point in the room."""
        others = [name for name in self._inner() if name != self.point]
        self.go(str(self.rng.choice(others)))

    def sit_at(self, seat: Seat) -> None:
        """Walk to a seat and turn round to it."""
        ends = [(len(route(self.room, self.point, near)), near) for near in seat.near]
        self.go(min(ends)[1], seat.place)
        self.script.turn(seat.heading)

    def do_something(self, what: str | None = None) -> None:
        """One thing that people do in rooms."""
        rng, script = self.rng, self.script
        if what is None:
            odds = {"walk": 0.22, "pause": 0.23, "bend": 0.22, "sit": 0.33}
            what = str(rng.choice(list(odds), p=list(odds.values())))
        if what == "sit":
            self.sit_at(self.room.seats[int(rng.integers(len(self.room.seats)))])
            script.sit(float(rng.uniform(3, 11)), slow=float(rng.uniform(0.85, 1.6)))
            return
        self.somewhere()
        if what == "pause":
            if rng.random() < 0.5:
                script.turn(script.heading + float(rng.uniform(-1.8, 1.8)))
            script.hold(float(rng.uniform(1.5, 6.0)), float(rng.uniform(0.5, 1.4)))
        elif what == "bend":
            if rng.random() < 0.5:
                script.turn(script.heading + float(rng.uniform(-1.5, 1.5)))
            script.pick_up(bool(rng.random() < 0.4), float(rng.uniform(0.4, 2.0)))

    def leave(self) -> None:
        """Walk out."""
        doors = self.room.doors
        self.go(doors[int(self.rng.integers(len(doors)))])


def life(
    room: Room, seconds: float, rng: np.random.Generator, only: str | None = None
) -> list[Performer]:
    """One person after the other; somebody is in the room most of the time."""
    found = []
    t_s = -float(rng.uniform(8, 20))
    while t_s < seconds:
        door = room.doors[int(rng.integers(len(room.doors)))]
        dweller = Dweller(room, t_s, door, rng)
        until = t_s + float(rng.uniform(22, 70))
        while dweller.script.t_s < min(until, seconds):
            dweller.do_something(only if rng.random() < 0.8 else None)
        dweller.leave()
        found.append(dweller.script.performer())
        t_s = dweller.script.t_s + float(rng.uniform(0.5, 3.5))
    return found


def takes(
    room: Room, kind: str | None, seconds: float, rng: np.random.Generator
) -> tuple[Sequence[Actor], Sequence[Event]]:
    """Who is in the room in a take, and the fall if `kind` names one."""
    if kind is None or kind in CALM_KINDS:
        only = {"calm-sitting": "sit", "calm-bending": "bend"}.get(kind or "")
        return life(room, seconds, rng, only), ()
    for _ in range(200):
        fall = _fall(room, kind, seconds, rng)
        if 0.3 * seconds <= fall.begin_s <= 0.6 * seconds:
            return (), [fall]
    raise ValueError(f"{kind} does not fit into {seconds:g} s")


def _fall(room: Room, kind: str, seconds: float, rng: np.random.Generator) -> Event:
    door = room.doors[int(rng.integers(len(room.doors)))]
    dweller = Dweller(room, -float(rng.uniform(6, 12)), door, rng)
    script = dweller.script
    while script.t_s < 0.22 * seconds:
        dweller.do_something()
    name = kind.removesuffix("-to-camera")
    if name in falls.FROM_SEAT:
        begin_s = _sit_and_fall(dweller, name)
    else:
        begin_s = _walk_and_fall(dweller, name, kind != name)
    left = max(seconds - script.t_s, 6.0)
    stays = bool(rng.random() < 0.3)
    falls.lie(script, left + 5.0 if stays else float(np.clip(rng.uniform(0.45, 0.7) * left, 5, 12)))
    end_s = script.t_s
    if not stays:
        script.get_up_from_floor()
        end_s = script.t_s - 1.3  # squatting: not lying any more
        script.hold(1.5, 1.2, fig.STAND)
        dweller.point = _nearest(room, script.place)
        script.walk([room.points[dweller.point]], 0.6)
        dweller.speed *= 0.75
        while script.t_s < seconds:
            dweller.do_something("pause")
    return event(f"fall-{kind}", begin_s, min(end_s, seconds), script.performer())


def _nearest(room: Room, place: Place) -> str:
    inner = [name for name in room.points if name not in room.doors]
    return min(inner, key=lambda name: math.dist(room.points[name], place))


def _sit_and_fall(dweller: Dweller, name: str) -> float:
    room, rng, script = dweller.room, dweller.rng, dweller.script
    open_seats = [seat for seat in room.seats if _room_to_lie(room, seat, name)]
    dweller.sit_at(open_seats[int(rng.integers(len(open_seats)))])
    script.sit_down()
    script.hold(float(rng.uniform(1.5, 3.0)))
    script.pose = fig.SIT
    begin_s = script.t_s
    falls.FROM_SEAT[name](script)
    return begin_s


def _room_to_lie(room: Room, seat: Seat, name: str) -> bool:
    """Whether nothing stands where somebody comes to lie who falls from a seat."""
    (x, z), head = seat.place, falls.head_at(seat.place, seat.heading, name, 1.75)
    along = [(x + (head[0] - x) * s, z + (head[1] - z) * s) for s in (0.3, 0.5, 0.75, 1.0)]
    return all(room.clear(place, 0.15) for place in along) and _seen(room, seat.place, head)


def _walk_and_fall(dweller: Dweller, name: str, to_camera: bool) -> float:
    """Walk along a link between two points and fall on the way, where there is room to lie."""
    room, rng, script = dweller.room, dweller.rng, dweller.script
    height = script.looks.height_m
    spots = []
    for _ in range(4000):
        a, b = room.links[int(rng.integers(len(room.links)))]
        a, b = (a, b) if rng.random() < 0.5 else (b, a)
        if a in room.doors or b in room.doors:
            continue
        start, end = room.points[a], room.points[b]
        length = math.dist(start, end)
        if length < 0.7:
            continue
        heading = math.atan2(end[0] - start[0], end[1] - start[1])
        gone = float(rng.uniform(0.4, length))
        here = (start[0] + gone * math.sin(heading), start[1] + gone * math.cos(heading))
        head = falls.head_at(here, heading, name, height)
        middle = ((here[0] + head[0]) / 2, (here[1] + head[1]) / 2)
        if not (room.clear(head) and room.clear(middle) and _seen(room, head, here)):
            continue
        towards = -math.cos(heading - math.atan2(here[0], here[1]))
        if not to_camera or towards > 0.75:
            spots.append((a, b, gone))
            break
    if not spots:
        raise ValueError(f"nowhere in the room is there space for {name}")
    a, b, gone = spots[0]
    dweller.go(a)
    standing = name == "slump" or rng.random() < 0.15
    script.walk([room.points[b]], dweller.speed, to_rest=standing, stop_after_m=gone)
    if standing:
        script.hold(float(rng.uniform(0.8, 2.0)))
    begin_s = script.t_s
    falls.STANDING[name](script)
    return begin_s


def _seen(room: Room, *places: Place) -> bool:
    view = room.site.view
    seen = view.project(np.array([(x, 0.2, z) for x, z in places]))
    return bool(
        np.all((seen[:, 0] > 0.04 * view.width) & (seen[:, 0] < 0.96 * view.width))
        and np.all((seen[:, 1] > 0.05 * view.height) & (seen[:, 1] < 0.95 * view.height))
    )
