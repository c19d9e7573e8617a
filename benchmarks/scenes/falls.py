"""Ways to fall, and how long somebody then lies."""

import math
from collections.abc import Callable

from benchmarks.scenes import figure as fig
from benchmarks.scenes.figure import pose
from benchmarks.scenes.script import Script
from streamer.demo.actors import Place

Fall = Callable[[Script], None]


def forwards(script: Script) -> None:
    """Trips, and falls on the hands and the face: 0.9 s."""
    trip = pose(ahead=0.35, bend=0.35, thigh_r=0.7, thigh_l=0.2, knee_r=0.8, knee_l=0.7,
                arms=1.2, elbows=0.5, wings=0.4)  # fmt: skip
    knees = pose(ahead=0.95, bend=0.25, thigh_r=0.35, thigh_l=0.1, knee_r=0.8, knee_l=0.6,
                 arms=2.0, elbows=0.3, wings=0.4)  # fmt: skip
    script.become((0.4, trip), (0.3, knees), (0.2, fig.PRONE), shift_m=0.45, rush=1.25)


def backwards(script: Script) -> None:
    """Slips, and falls on the back: 0.8 s."""
    slip = pose(ahead=-0.35, thigh_r=0.9, thigh_l=0.3, knee_r=0.5, knee_l=0.5, bend=0.3,
                arms=0.9, wings=0.8)  # fmt: skip
    seat = pose(ahead=-0.7, thighs=0.9, knees=0.8, bend=0.35, arms=-0.2, wings=0.9)
    script.become((0.35, slip), (0.25, seat), (0.2, fig.SUPINE), shift_m=0.15, rush=1.2)


def sideways_right(script: Script) -> None:
    """Topples to the right: 0.9 s."""
    _sideways(script, 1.0)


def sideways_left(script: Script) -> None:
    """Topples to the left: 0.9 s."""
    _sideways(script, -1.0)


def _sideways(script: Script, sign: float) -> None:
    down = "r" if sign > 0 else "l"
    tilt = pose(right=0.4 * sign, sway=0.25 * sign, thighs=0.35, knees=0.6, arms=0.5,
                **{f"wing_{down}": 0.9})  # fmt: skip
    hip = pose(right=1.0 * sign, thighs=0.5, knees=0.8, arms=0.9, **{f"wing_{down}": 1.2})
    side = fig.ON_RIGHT_SIDE if sign > 0 else fig.ON_LEFT_SIDE
    script.become((0.42, tilt), (0.28, hip), (0.2, side), shift_m=0.2, rush=1.25)


def slump(script: Script) -> None:
    """Feels faint, sinks to the knees and lies down on the side: 3 s."""
    faint = pose(bend=0.4, nod=0.5, knees=0.5, thighs=0.3, arms=0.3, sway=0.1)
    seated = pose(fig.KNEEL, bend=0.6, nod=0.4, thighs=0.6, knees=2.1)
    leaning = pose(seated, right=0.7)
    script.become((1.1, faint), (0.9, seated), (0.5, leaning), (0.4, fig.CURLED), even=True)


def from_seat_forwards(script: Script) -> None:
    """Slides off the seat to the front: 1.2 s."""
    over = pose(fig.SIT, bend=1.0, nod=0.5, arms=0.9, ahead=0.15)
    off = pose(ahead=0.8, bend=0.5, thighs=0.9, knees=1.4, arms=1.6, elbows=0.3)
    script.become((0.6, over), (0.4, off), (0.25, fig.PRONE), shift_m=0.25, rush=1.15)


def from_seat_sideways(script: Script) -> None:
    """Tips off the seat to the side: 1.1 s."""
    tilt = pose(fig.SIT, sway=0.5, right=0.25, wing_r=0.9)
    off = pose(right=0.95, thighs=1.2, knees=1.4, bend=0.3, arms=0.8, wing_r=1.0)
    script.become((0.55, tilt), (0.35, off), (0.22, fig.CURLED), shift_m=0.2, rush=1.15)


STANDING: dict[str, Fall] = {
    "forwards": forwards,
    "backwards": backwards,
    "sideways-right": sideways_right,
    "sideways-left": sideways_left,
    "slump": slump,
}
FROM_SEAT: dict[str, Fall] = {
    "seat-forwards": from_seat_forwards,
    "seat-sideways": from_seat_sideways,
}


def lie(script: Script, seconds: float) -> None:
    """Stay on the floor: mostly still, now and then an arm or a leg moves, or they try to rise."""
    down = script.pose
    script.hold(min(seconds, 2.0), 0.5)
    left = seconds - 2.0
    if left > 3.5:
        raised = pose(down, arm_l=float(down[fig.JOINTS.index("arm_l")]) - 0.7, nod=-0.5,
                      knee_r=1.2, thigh_r=0.7)  # fmt: skip
        script.become((1.0, raised), (0.9, down))
        left -= 1.9
    if left > 0:
        script.hold(left, 0.4, down)


def head_at(place: Place, heading: float, kind: str, height_m: float) -> Place:
    """Where the head comes to lie, for somebody who falls there."""
    aside = {"forwards": 0.0, "backwards": math.pi, "sideways-right": math.pi / 2,
             "sideways-left": -math.pi / 2, "slump": math.pi / 2, "seat-forwards": 0.0,
             "seat-sideways": math.pi / 2}[kind]  # fmt: skip
    far = height_m * (0.6 if kind in ("slump", "seat-sideways") else 0.95)
    ahead = {"forwards": 0.45, "seat-forwards": 0.25}.get(kind, 0.2)
    return (
        place[0] + ahead * math.sin(heading) + far * math.sin(heading + aside),
        place[1] + ahead * math.cos(heading) + far * math.cos(heading + aside),
    )
