"""Who moves in the rendered world, as functions of time.

An actor knows nothing of frames: `at(t)` gives its body at second `t`, or None when it is not
there. So the same scene can be rendered at any rate, and any moment by itself.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.demo.body import Body, Colour, Looks, Posture, joined, person, stride_m
from streamer.demo.vehicles import bicycle, suitcase, vehicle
from streamer.demo.view import Points

Place = tuple[float, float]
"""x and z on the ground, metres."""


class Actor(Protocol):
    """Something that is somewhere at a time."""

    def at(self, t_s: float) -> Sequence[Body]:
        """The bodies at second `t_s`, none when it is not there."""


class Course:
    """A smooth line on the ground through given places, by distance from its start."""

    def __init__(self, places: Sequence[Place], aside_m: float = 0.0) -> None:
        """A line through `places`; `aside_m` moves the whole course to its right."""
        knots = np.array(places, dtype=np.float64)
        padded = np.vstack([2 * knots[0] - knots[1], knots, 2 * knots[-1] - knots[-2]])
        pieces = []
        share = np.linspace(0.0, 1.0, 24, endpoint=False)[:, None]
        for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
            # Catmull-Rom: passes through the places without corners.
            pieces.append(
                0.5
                * (
                    2 * b
                    + (c - a) * share
                    + (2 * a - 5 * b + 4 * c - d) * share**2
                    + (3 * b - a - 3 * c + d) * share**3
                )
            )
        line = np.vstack([*pieces, knots[-1:]])
        if aside_m:
            along = np.gradient(line, axis=0)
            along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
            line = line + aside_m * np.column_stack([along[:, 1], -along[:, 0]])
        self._line: Points = line
        steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
        self._marks: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(steps)])

    @property
    def length_m(self) -> float:
        """From the first place to the last."""
        return float(self._marks[-1])

    def place(self, distance_m: float) -> Place:
        """Where it is after `distance_m`."""
        return (
            float(np.interp(distance_m, self._marks, self._line[:, 0])),
            float(np.interp(distance_m, self._marks, self._line[:, 1])),
        )

    def heading(self, distance_m: float) -> float:
        """Which way it goes there: radians, 0 along z, clockwise seen from above."""
        before, after = self.place(distance_m - 0.25), self.place(distance_m + 0.25)
        return math.atan2(after[0] - before[0], after[1] - before[1])

    def nearest(self, place: Place) -> float:
        """The distance along the course at which it is nearest to `place`."""
        gaps = np.linalg.norm(self._line - np.array(place), axis=1)
        return float(self._marks[int(np.argmin(gaps))])


class Timing:
    """How far along its course somebody is at which time: straight lines between knots."""

    def __init__(self, knots: Sequence[tuple[float, float]]) -> None:
        """`knots`: (second, metres), both rising (metres may stand still)."""
        self._times = np.array([t for t, _ in knots])
        self._metres = np.array([m for _, m in knots])

    @property
    def start_s(self) -> float:
        """When it begins."""
        return float(self._times[0])

    @property
    def end_s(self) -> float:
        """When it is over."""
        return float(self._times[-1])

    def metres(self, t_s: float) -> float:
        """How far it is at second `t_s`."""
        return float(np.interp(t_s, self._times, self._metres))

    def when(self, metres: float) -> float:
        """The first second at which it is at least so far."""
        return float(self._times[0] + np.interp(metres, self._metres, self._times - self._times[0]))

    def speed(self, t_s: float) -> float:
        """Metres a second, over half a second."""
        return (self.metres(t_s + 0.25) - self.metres(t_s - 0.25)) / 0.5

    def present(self, t_s: float) -> bool:
        """Whether it has begun and is not over."""
        return self.start_s <= t_s <= self.end_s


@dataclass(frozen=True, slots=True)
class Walker:
    """Somebody who follows a course: a walker, or a runner, as the timing says."""

    course: Course
    timing: Timing
    looks: Looks
    gait_phase: float = 0.0
    sway_m: float = 0.0

    def at(self, t_s: float) -> Sequence[Body]:
        """The person, while on the course."""
        if not self.timing.present(t_s):
            return ()
        return (self._body(t_s, Posture()),)

    def _body(self, t_s: float, posture: Posture) -> Body:
        metres = self.timing.metres(t_s)
        speed = self.timing.speed(t_s)
        x, z = self.course.place(metres)
        heading = self.course.heading(metres)
        aside = self.sway_m * math.sin(metres * 0.35 + self.gait_phase)
        place = (x + aside * math.cos(heading), z - aside * math.sin(heading))
        cruise = max(speed, 0.9)
        phase = self.gait_phase + 2 * math.pi * metres / stride_m(cruise)
        return person(
            place,
            heading,
            self.looks,
            Posture(
                phase,
                speed,
                posture.tilt,
                posture.tilt_side,
                posture.carry,
                posture.reach,
                posture.gesture,
            ),
        )


@dataclass(frozen=True, slots=True)
class Stander:
    """Somebody who stands and talks, for as long as the footage lasts."""

    place: Place
    heading: float
    looks: Looks
    phase: float

    def at(self, t_s: float) -> Sequence[Body]:
        """The person: small movements of an arm and of the weight."""
        talk = max(0.0, math.sin(0.23 * t_s + self.phase)) ** 2
        gesture = talk * (0.7 + 0.45 * math.sin(2.9 * t_s + self.phase))
        x = self.place[0] + 0.035 * math.sin(0.31 * t_s + self.phase)
        turn = self.heading + 0.15 * math.sin(0.17 * t_s + 2 * self.phase)
        return (person((x, self.place[1]), turn, self.looks, Posture(gesture=gesture)),)


def _smooth(share: float) -> float:
    """0 before 0, 1 after 1, without a jerk in between."""
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


@dataclass(frozen=True, slots=True)
class Faller:
    """A walker who falls at `fall_s`, lies for `down_s`, gets up slowly and walks on.

    On the way they try to get up once, and sink back.

    The timing must stand still from `fall_s + FALL_S` until they are up again.
    """

    walker: Walker
    fall_s: float
    down_s: float
    side: float

    FALL_S = 0.9
    RISE_S = 3.0
    TRY_S = 2.2
    """Seconds on the ground before the attempt."""

    def at(self, t_s: float) -> Sequence[Body]:
        """The person: upright, falling, lying or getting up."""
        if not self.walker.timing.present(t_s):
            return ()
        since = t_s - self.fall_s
        full = math.pi / 2
        if since < 0:
            tilt = 0.0
        elif since < self.FALL_S:
            tilt = full * (since / self.FALL_S) ** 1.9  # slow at first, as a toppling pole
        elif since < self.FALL_S + self.down_s:
            trying = since - self.FALL_S - self.TRY_S
            up = _smooth(trying / 1.6) - _smooth((trying - 2.0) / 0.9)
            tilt = full * (1 - 0.42 * up)
        else:
            tilt = full * (1 - _smooth((since - self.FALL_S - self.down_s) / self.RISE_S))
        return (self.walker._body(t_s, Posture(tilt=tilt, tilt_side=self.side)),)


@dataclass(frozen=True, slots=True)
class Leaver:
    """Somebody who carries a suitcase, puts it down at `drop_s` and goes away without it."""

    walker: Walker
    drop_s: float
    colour: Colour
    viewer: Points
    until_s: float = math.inf

    STOOP_S = 1.2
    TURNED_S = 2.5

    def at(self, t_s: float) -> Sequence[Body]:
        """The person while there, and the suitcase: in the hand, then on the ground."""
        bodies: list[Body] = []
        stoop = max(0.0, 1.0 - abs(t_s - self.drop_s) / (self.STOOP_S / 2))
        carrying = t_s < self.drop_s
        if self.walker.timing.present(t_s):
            bodies.append(self.walker._body(t_s, Posture(carry=carrying, reach=stoop)))
        if self.walker.timing.start_s <= t_s <= self.until_s:
            metres = self.walker.timing.metres(min(t_s, self.drop_s))
            x, z = self.walker.course.place(metres)
            heading = self.walker.course.heading(metres)
            lift = 0.10 * min(max((self.drop_s - t_s) / (self.STOOP_S / 2), 0.0), 1.0)
            beside = (x + 0.30 * math.cos(heading), z - 0.30 * math.sin(heading))
            bodies.append(suitcase(beside, heading, self.colour, lift, self.viewer))
        return bodies

    def subject(self, t_s: float) -> Sequence[Body]:
        """What is unusual: both, and once the person has turned away the suitcase alone."""
        bodies = self.at(t_s)
        return bodies if t_s < self.drop_s + self.TURNED_S else bodies[-1:]


@dataclass(frozen=True, slots=True)
class Rider:
    """Somebody on a bicycle."""

    course: Course
    timing: Timing
    looks: Looks
    colour: Colour

    def at(self, t_s: float) -> Sequence[Body]:
        """Bicycle and rider, as one body."""
        if not self.timing.present(t_s):
            return ()
        metres = self.timing.metres(t_s)
        place, heading = self.course.place(metres), self.course.heading(metres)
        ride = person(place, heading, self.looks, Posture(phase=metres / 0.75, pedal=True))
        return (joined(bicycle(place, heading, self.colour, -metres / 0.34), ride),)


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A car or a delivery cart."""

    course: Course
    timing: Timing
    colour: Colour
    cart: bool
    viewer: Points = field(default_factory=lambda: np.zeros(3))

    def at(self, t_s: float) -> Sequence[Body]:
        """The vehicle, while on the course."""
        if not self.timing.present(t_s):
            return ()
        metres = self.timing.metres(t_s)
        place, heading = self.course.place(metres), self.course.heading(metres)
        return (vehicle(place, heading, self.colour, self.cart, self.viewer),)
