"""What one person does, act by act: walk there, sit down, get up, fall.

A script is written once and then read as a function of time, as all actors are.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scenes import figure as fig
from benchmarks.scenes.figure import Pose, gait, mix, pose, smooth
from streamer.demo.actors import Course, Place
from streamer.demo.body import Body, Looks

Moment = tuple[Place, float, Pose]
"""Where somebody is, which way they face (radians), and how they hold themselves."""
Act = Callable[[float], Moment]
"""From the seconds since it began."""

RAMP_S = 0.45  # from standing to walking


@dataclass(frozen=True, slots=True)
class Performer:
    """Somebody who does one act after the other from `starts_s[0]` until `end_s`."""

    looks: Looks
    starts_s: tuple[float, ...]
    acts: tuple[Act, ...]
    end_s: float

    def at(self, t_s: float) -> Sequence[Body]:
        """The person, while there."""
        if not self.starts_s[0] <= t_s < self.end_s:
            return ()
        place, heading, angles = self.moment(t_s)
        return (fig.figure(place, heading, self.looks, angles),)

    def moment(self, t_s: float) -> Moment:
        """Where and how they are."""
        number = max(bisect_right(self.starts_s, t_s) - 1, 0)
        return self.acts[number](t_s - self.starts_s[number])


class Script:
    """Writes the acts of one person; `t_s`, `place` and `heading` are those of the last one."""

    def __init__(
        self,
        start_s: float,
        place: Place,
        heading: float,
        looks: Looks,
        rng: np.random.Generator,
    ) -> None:
        self.t_s = start_s
        self.place = place
        self.heading = heading
        self.looks = looks
        self.pose = fig.STAND
        self._rng = rng
        self._starts: list[float] = []
        self._acts: list[Act] = []

    def performer(self) -> Performer:
        """The person who does all this."""
        return Performer(self.looks, tuple(self._starts), tuple(self._acts), self.t_s)

    def add(self, seconds: float, act: Act) -> None:
        """An act of that length; what it ends with is where the next one begins."""
        self._starts.append(self.t_s)
        self._acts.append(act)
        self.t_s += seconds
        self.place, self.heading, self.pose = act(seconds)

    def delay(self, seconds: float) -> None:
        """Everything so far happens so much later."""
        self._starts = [at_s + seconds for at_s in self._starts]
        self.t_s += seconds

    def turn(self, heading: float, hasty: float = 1.0) -> None:
        """Turn on the spot, with small steps."""
        first, here = self.heading, self.place
        change = (heading - first + math.pi) % (2 * math.pi) - math.pi
        if abs(change) < 0.05:
            return
        seconds = max(0.3, abs(change) / (2.6 * hasty))
        steps = max(1, round(abs(change) / 0.8))

        def act(s: float) -> Moment:
            share = smooth(s / seconds)
            wave = math.sin(math.pi * steps * share)
            up, down = max(wave, 0.0), max(-wave, 0.0)
            legs = pose(thigh_r=0.3 * up, knee_r=0.05 + 0.6 * up,
                        thigh_l=0.3 * down, knee_l=0.05 + 0.6 * down)  # fmt: skip
            return here, first + change * share, legs

        self.add(seconds, act)

    def walk(
        self,
        places: Sequence[Place],
        speed: float,
        *,
        from_rest: bool = True,
        to_rest: bool = True,
        sway_m: float = 0.0,
        stop_after_m: float | None = None,
        style: Callable[[Pose, float, float], Pose] | None = None,
    ) -> None:
        """Walk from where they are through the places.

        `stop_after_m`: break off there. `style` changes the pose: (pose, metres, seconds) to pose.
        """
        course = Course([self.place, *places])
        length = course.length_m if stop_after_m is None else min(stop_after_m, course.length_m)
        if from_rest:
            self.turn(course.heading(0.0))
        ramp = min(RAMP_S, 0.8 * length / speed)
        lost = ramp / 2 * (from_rest + to_rest)
        seconds = length / speed + lost
        phase = float(self._rng.uniform(0, 2 * math.pi))
        height = self.looks.height_m

        def metres_and_speed(s: float) -> tuple[float, float]:
            gone, now = speed * s, speed
            if from_rest:
                gone, now = (speed * s * s / 2 / ramp, speed * s / ramp) if s < ramp else (
                    speed * (s - ramp / 2), speed)  # fmt: skip
            left = seconds - s
            if to_rest and left < ramp:
                gone, now = length - speed * left * left / 2 / ramp, speed * left / ramp
            return min(max(gone, 0.0), length), max(now, 0.0)

        def act(s: float) -> Moment:
            metres, now = metres_and_speed(s)
            x, z = course.place(metres)
            heading = course.heading(metres)
            aside = sway_m * math.sin(metres * 0.35 + phase) * smooth(metres) if sway_m else 0.0
            place = (x + aside * math.cos(heading), z - aside * math.sin(heading))
            figure = gait(metres, speed, height, phase, now)
            if style is not None:
                figure = style(figure, metres, s)
            return place, heading, figure

        self.add(seconds, act)

    def hold(self, seconds: float, restless: float = 1.0, base: Pose | None = None) -> None:
        """Stay as they are, as people do: the weight shifts, arms and head move a little."""
        here, heading = self.place, self.heading
        still = self.pose if base is None else base
        phases = self._rng.uniform(0, 2 * math.pi, 5)
        rates = self._rng.uniform(0.6, 1.5, 5)

        def act(s: float) -> Moment:
            calm = smooth(s / 0.8) * smooth((seconds - s) / 0.8) * restless
            weight, look, arm, lean, hand = np.sin(rates * s + phases) * calm
            talk = max(0.0, arm) ** 2
            change = pose(
                np.zeros(len(fig.JOINTS)), sway=0.03 * weight, bend=0.03 * lean, nod=0.12 * look,
                arm_l=0.35 * talk, elbow_l=0.9 * talk * (0.7 + 0.3 * math.sin(5 * s)),
                arm_r=0.10 * hand, elbow_r=0.35 * max(hand, 0.0),
            )  # fmt: skip
            aside = 0.03 * weight
            place = (here[0] + aside * math.cos(heading), here[1] - aside * math.sin(heading))
            return place, heading + 0.10 * look, still + change

        self.add(seconds, act)

    def become(
        self,
        *steps: tuple[float, Pose],
        shift_m: float = 0.0,
        rush: float = 1.0,
        even: bool = False,
        turn: float = 0.0,
    ) -> None:
        """Go through poses, each reached that many seconds after the one before.

        `shift_m`: metres ahead meanwhile; `rush` above 1: slow at first and fast at the end, as
        what falls. `even`: do not come to rest at every pose. `turn`: radians meanwhile.
        """
        here, first = self.place, self.heading
        marks = np.concatenate([[0.0], np.cumsum([seconds for seconds, _ in steps])])
        poses = [self.pose, *(after for _, after in steps)]
        seconds = float(marks[-1])

        def act(s: float) -> Moment:
            share = min(max(s / seconds, 0.0), 1.0) ** rush
            at = share * seconds
            number = min(int(np.searchsorted(marks, at, "right")) - 1, len(steps) - 1)
            part = (at - marks[number]) / (marks[number + 1] - marks[number])
            part = min(max(part, 0.0), 1.0) if even or rush != 1.0 else smooth(part)
            gone = shift_m * smooth(min(share * 1.2, 1.0))
            place = (here[0] + gone * math.sin(first), here[1] + gone * math.cos(first))
            return place, first + turn * share, mix(poses[number], poses[number + 1], part)

        self.add(seconds, act)

    # What people do in rooms --------------------------------------------------------------------

    def sit(self, seconds: float, slow: float = 1.0, restless: float = 1.2) -> None:
        """Sit down on what is behind them, stay, and get up."""
        self.become((0.75 * slow, fig.RISING), (0.55 * slow, fig.SIT), even=True)
        self.hold(seconds, restless)
        self.get_up_from_seat(slow)

    def sit_down(self, slow: float = 1.0) -> None:
        """Sit down on what is behind them."""
        self.become((0.75 * slow, fig.RISING), (0.55 * slow, fig.SIT), even=True)

    def get_up_from_seat(self, slow: float = 1.0) -> None:
        """Get up from it."""
        self.become((0.7 * slow, fig.RISING), (0.8 * slow, fig.STAND), even=True)

    def pick_up(self, squatting: bool = False, busy_s: float = 0.6) -> None:
        """Bend or squat down to something on the floor, and up again."""
        low = fig.SQUAT if squatting else fig.STOOP
        down = float(self._rng.uniform(0.8, 1.2))
        self.become((down, low))
        self.hold(busy_s, 0.3)
        self.become((down * 1.1, fig.STAND))

    def get_up_from_floor(self) -> None:
        """From lying to standing, the way people do who have fallen."""
        self.become(
            (1.3, fig.ALL_FOURS if self.pose[0] > -0.5 else fig.ON_FLOOR),
            (1.1, fig.SQUAT),
            (1.3, fig.STAND),
        )
