"""Small things that people throw or put down: papers, a bag."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scenes.script import Performer
from streamer.demo.actors import Place
from streamer.demo.body import Body, Colour
from streamer.demo.props import box
from streamer.demo.vehicles import suitcase
from streamer.demo.view import Points

GRAVITY = 9.81
_NOTHING = (np.zeros((0, 2, 3)), np.zeros((0, 2)), np.zeros((0, 3)))


def _sheet(at: np.ndarray, foot: Place, turn: np.ndarray, colour: Colour, size: float) -> Body:
    """A sheet of paper in the air: its middle, and its rotation (3, 3)."""
    corners = np.array([(-0.5, 0, -0.7), (0.5, 0, -0.7), (0.5, 0, 0.7), (-0.5, 0, 0.7)]) * size
    face = corners @ turn.T + at
    face[:, 1] = np.maximum(face[:, 1], 0.01)
    return Body(np.array([foot[0], 0.0, foot[1]]), *_NOTHING, ((face, colour),))


def _rotation(yaw: float, pitch: float) -> np.ndarray:
    cy, sy, cp, sp = math.cos(yaw), math.sin(yaw), math.cos(pitch), math.sin(pitch)
    return np.array([(cy, sy * sp, sy * cp), (0, cp, -sp), (-sy, cy * sp, cy * cp)])


@dataclass(frozen=True)
class Papers:
    """Sheets that fly up at `thrown_s`, flutter down, are picked up `picked_s` to `gone_s`."""

    place: Place
    hand_m: float
    thrown_s: float
    picked_s: float
    gone_s: float
    seed: int
    count: int = 7
    colour: Colour = (238, 242, 244)
    size_m: float = 0.24

    RISE_S = 0.55

    def at(self, t_s: float) -> Sequence[Body]:
        """Each sheet by itself."""
        if not self.thrown_s <= t_s < self.gone_s:
            return ()
        rng = np.random.default_rng(self.seed)
        found = []
        for _ in range(self.count):
            up_m, away_m = rng.uniform(0.7, 1.7), rng.uniform(0.1, 1.3)
            side, sinks = rng.uniform(0, 2 * math.pi), rng.uniform(0.75, 1.5)
            sway, rate, phase = rng.uniform(0.1, 0.3), rng.uniform(4, 8), rng.uniform(0, 6.28)
            taken_s = rng.uniform(self.picked_s, self.gone_s)
            since = t_s - self.thrown_s
            rise = min(since / self.RISE_S, 1.0)
            top = self.hand_m + up_m
            height = self.hand_m + up_m * (1 - (1 - rise) ** 2)
            falling = max(since - self.RISE_S, 0.0)
            height -= max(0.0, sinks * (falling - 0.25 * (1 - math.exp(-falling / 0.25))))
            airborne = min(since, self.RISE_S + 0.25 + top / sinks)
            loose = min(falling, airborne)
            out = away_m * (1 - math.exp(-airborne / 0.8))
            swing = sway * math.sin(rate * loose + phase) * min(loose * 2, 1.0)
            x = self.place[0] + out * math.cos(side) + swing * math.cos(side + 1.2)
            z = self.place[1] + out * math.sin(side) + swing * math.sin(side + 1.2)
            down = height <= 0.02
            if down and t_s >= taken_s:
                continue
            tumble = 0.0 if down else rate * airborne + phase
            turn = _rotation(side + rate * airborne * 0.3, 0.9 * math.sin(tumble))
            at = np.array([x, max(height, 0.015), z])
            found.append(_sheet(at, self.place, turn, self.colour, self.size_m))
        return found


@dataclass(frozen=True)
class TossedBag:
    """A bag in somebody's hands that is thrown up at each of `throws_s` and caught again."""

    performer: Performer
    throws_s: tuple[float, ...]
    flight_s: float
    colour: Colour

    def at(self, t_s: float) -> Sequence[Body]:
        """The bag, at the chest or in the air."""
        if not self.performer.at(t_s):
            return ()
        (x, z), heading, _ = self.performer.moment(t_s)
        chest = 0.62 * self.performer.looks.height_m
        lift = chest - 0.15
        for start in self.throws_s:
            since = t_s - start
            if 0 <= since < self.flight_s:
                lift += GRAVITY / 2 * since * (self.flight_s - since)
        ahead = (x + 0.32 * math.sin(heading), z + 0.32 * math.cos(heading))
        return (box(ahead, (0.40, 0.30, 0.22), self.colour, lift),)


@dataclass(frozen=True)
class LeftBag:
    """A bag in somebody's right hand until `down_s`, then on the ground where it was put."""

    performer: Performer
    start_s: float
    down_s: float
    colour: Colour
    viewer: Points

    def at(self, t_s: float) -> Sequence[Body]:
        """The bag, which stays."""
        if t_s < self.start_s:
            return ()
        (x, z), heading, _ = self.performer.moment(min(t_s, self.down_s))
        lift = 0.12 * min(max((self.down_s - t_s) / 0.8, 0.0), 1.0)
        beside = (x + 0.30 * math.cos(heading), z - 0.30 * math.sin(heading))
        return (suitcase(beside, heading, self.colour, lift, self.viewer),)
