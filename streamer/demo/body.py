"""Bodies as sets of capsules and polygons in the world, and people as bodies.

A body is a function of its pose alone, so any moment of the footage can be drawn by itself.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamer.demo.view import Points

Colour = tuple[int, int, int]
"""Blue, green, red; 0..255."""


@dataclass(frozen=True, slots=True)
class Body:
    """What stands at one place at one moment, in world coordinates (metres).

    `ends` (n, 2, 3), `radii` (n, 2) and `colours` (n, 3): capsules, drawn far to near.
    `faces`: convex polygons (k, 3) with their colours, drawn in this order, before the capsules.
    `foot` (3,): where it touches the ground; its distance decides what hides what.
    """

    foot: Points
    ends: Points
    radii: Points
    colours: NDArray[np.float64]
    faces: tuple[tuple[Points, Colour], ...] = ()


@dataclass(frozen=True, slots=True)
class Looks:
    """How a person is built and dressed."""

    height_m: float
    girth: float
    skin: Colour
    hair: Colour
    top: Colour
    sleeves: Colour
    trousers: Colour
    shoes: Colour
    coat: bool
    backpack: Colour | None
    hat: bool


SKINS: tuple[Colour, ...] = (
    (150, 180, 225),
    (120, 155, 205),
    (95, 130, 180),
    (65, 90, 135),
    (45, 62, 95),
)
HAIRS: tuple[Colour, ...] = (
    (30, 32, 38),
    (35, 50, 75),
    (60, 95, 135),
    (120, 125, 130),
    (20, 20, 22),
)
CLOTHES: tuple[Colour, ...] = (
    (52, 50, 48),
    (98, 72, 48),
    (60, 60, 130),
    (170, 170, 172),
    (205, 208, 210),
    (70, 95, 70),
    (40, 70, 120),
    (130, 105, 60),
    (45, 45, 175),
    (60, 150, 190),
    (150, 110, 130),
    (90, 80, 70),
    (175, 140, 95),
    (35, 35, 60),
)
TROUSERS: tuple[Colour, ...] = (
    (48, 44, 42),
    (95, 70, 52),
    (120, 92, 70),
    (60, 66, 72),
    (90, 110, 130),
    (40, 40, 44),
)


def random_looks(rng: np.random.Generator) -> Looks:
    """A person picked by chance."""

    def pick(choices: tuple[Colour, ...]) -> Colour:
        return choices[int(rng.integers(len(choices)))]

    top = pick(CLOTHES)
    return Looks(
        height_m=float(np.clip(rng.normal(1.71, 0.09), 1.45, 1.95)),
        girth=float(rng.uniform(0.92, 1.18)),
        skin=pick(SKINS),
        hair=pick(HAIRS),
        top=top,
        sleeves=top if rng.random() < 0.75 else pick(SKINS),
        trousers=pick(TROUSERS),
        shoes=pick(((35, 35, 38), (60, 70, 90), (190, 192, 195))),
        coat=bool(rng.random() < 0.3),
        backpack=pick(CLOTHES) if rng.random() < 0.22 else None,
        hat=bool(rng.random() < 0.12),
    )


@dataclass(frozen=True, slots=True)
class Posture:
    """How a person holds themselves.

    `phase`: of the gait, radians. `speed`: metres a second, decides stride and bend.
    `tilt`: how far they have tipped over, radians, 0 upright, pi/2 on the ground;
    `tilt_side`: towards where, 0 forwards, pi/2 to the right. `carry`: the right arm hangs straight
    with a load. `reach`: 0..1, bent down to put something on the ground. `gesture`: radians of
    movement of the left forearm. `pedal`: sits on a bicycle and pedals at `phase`.
    """

    phase: float = 0.0
    speed: float = 0.0
    tilt: float = 0.0
    tilt_side: float = 0.0
    carry: bool = False
    reach: float = 0.0
    gesture: float = 0.0
    pedal: bool = False


def stride_m(speed: float) -> float:
    """Length of two steps at a speed (metres, metres a second)."""
    return 0.72 + 0.48 * min(speed, 6.0)


# Joints of the figure, in the order of `_joints`; (from, to, radius from, radius to, part).
_SHOULDER, _HIP, _SHOULDER_HALF, _HIP_HALF = 0.818, 0.50, 0.108, 0.052
_THIGH, _SHANK, _UPPER_ARM, _FOREARM = 0.245, 0.235, 0.172, 0.165


def _leg(hip: Points, swing: float, knee: float) -> tuple[Points, Points, Points]:
    knee_at = hip + _THIGH * np.array([math.sin(swing), 0.0, -math.cos(swing)])
    low = swing - knee
    ankle = knee_at + _SHANK * np.array([math.sin(low), 0.0, -math.cos(low)])
    foot = low * 0.7
    toe = ankle + 0.115 * np.array([math.cos(foot), 0.0, math.sin(foot) - 0.12])
    return knee_at, ankle, toe


def _arm(shoulder: Points, swing: float, elbow: float, out: float) -> tuple[Points, Points]:
    elbow_at = shoulder + _UPPER_ARM * np.array(
        [math.sin(swing), out * 0.35, -math.cos(swing) * 0.97]
    )
    low = swing + elbow
    hand = elbow_at + _FOREARM * np.array([math.sin(low), out * 0.12, -math.cos(low)])
    return elbow_at, hand


def person(place: tuple[float, float], heading: float, looks: Looks, posture: Posture) -> Body:
    """A person at `place` (x, z in metres) who faces `heading` (radians, 0 along z, clockwise)."""
    running = min(max((posture.speed - 2.2) / 1.8, 0.0), 1.0)
    moving = min(posture.speed / 0.9, 1.0)
    swing = min(stride_m(posture.speed) / 4 / 0.82, 0.85) * moving
    knee = (0.95 + 0.9 * running) * moving
    lean = 0.05 * moving + 0.17 * running + 1.15 * posture.reach + (0.5 if posture.pedal else 0.0)
    hips = np.array([0.0, 0.0, 0.0])
    legs = []
    for sign in (1.0, -1.0):
        phase = posture.phase + (0.0 if sign > 0 else math.pi)
        if posture.pedal:
            thigh, bend = 0.95 + 0.45 * math.sin(phase), 1.25 + 0.45 * math.cos(phase + 0.6)
        else:
            thigh = swing * math.sin(phase) + 0.12 * running + 0.55 * posture.reach
            bend = 0.08 + knee * max(0.0, math.cos(phase + 0.35)) + 0.95 * posture.reach
        if posture.tilt > 0:
            limp = math.sin(posture.tilt)
            thigh = thigh * (1 - limp) - 0.05 * limp
            bend = bend * (1 - limp) + (0.35 if sign > 0 else 0.1) * limp
        hip = hips + np.array([0.0, sign * _HIP_HALF, 0.0])
        legs.append((hip, *_leg(hip, thigh, bend)))
    trunk = np.array([math.sin(lean), 0.0, math.cos(lean)])
    neck = hips + (_SHOULDER - _HIP) * trunk
    head_low = neck + 0.055 * trunk
    nod = lean * 0.4
    head_top = head_low + 0.095 * np.array([math.sin(nod) + 0.08, 0.0, math.cos(nod)])
    arms = []
    for sign in (1.0, -1.0):
        phase = posture.phase + (math.pi if sign > 0 else 0.0)
        forward = swing * (0.75 + 0.3 * running) * math.sin(phase)
        elbow = 0.22 + 0.12 * max(0.0, math.sin(phase)) + 1.25 * running
        if posture.carry and sign > 0:
            forward, elbow = 0.02, 0.05
        if posture.pedal:
            forward, elbow = 0.95, 0.25
        forward += 0.9 * posture.reach
        if sign < 0:
            elbow += posture.gesture
            forward += posture.gesture * 0.35
        if posture.tilt > 0:
            # Thrown forwards while falling, stretched out beyond the head when down.
            limp = math.sin(posture.tilt)
            forward = forward * (1 - limp) + (2.75 if sign > 0 else 2.3) * limp
            elbow *= 1 - limp
        shoulder = neck + np.array([0.0, sign * _SHOULDER_HALF, -0.025])
        arms.append((shoulder, *_arm(shoulder, forward, elbow, sign)))

    segments: list[tuple[Points, Points, float, float, Colour]] = []
    girth = looks.girth
    for hip, knee_at, ankle, toe in legs:
        segments.append((hip, knee_at, 0.046 * girth, 0.034, looks.trousers))
        segments.append((knee_at, ankle, 0.033, 0.024, looks.trousers))
        segments.append((ankle, toe, 0.022, 0.016, looks.shoes))
    waist = hips + 0.12 * trunk
    segments.append((hips, waist, 0.068 * girth, 0.066 * girth, looks.trousers))
    for side in (1.0, -1.0):
        offset = np.array([0.0, side * 0.045 * girth, 0.0])
        low = waist - 0.05 * trunk + offset
        segments.append((low, neck + 0.9 * offset - 0.03 * trunk, 0.058, 0.052, looks.top))
        if looks.coat:
            segments.append((hips - 0.13 * trunk * 0.9 + offset, low, 0.062, 0.060, looks.top))
    segments.append((neck, head_low, 0.030, 0.028, looks.skin))
    segments.append((head_low + 0.01 * trunk, head_top, 0.040, 0.046, looks.skin))
    back = np.array([-0.022, 0.0, 0.014])
    hair_colour = looks.top if looks.hat else looks.hair
    segments.append((head_low + back + 0.03 * trunk, head_top + back, 0.040, 0.049, hair_colour))
    for shoulder, elbow_at, hand in arms:
        segments.append((shoulder, elbow_at, 0.033, 0.026, looks.top))
        segments.append((elbow_at, hand, 0.025, 0.019, looks.sleeves))
        segments.append((hand, hand + np.array([0.01, 0.0, -0.035]), 0.021, 0.016, looks.skin))
    if looks.backpack is not None:
        behind = np.array([-0.105, 0.0, 0.0])
        segments.append(
            (waist + behind, neck + behind - 0.05 * trunk, 0.075, 0.062, looks.backpack)
        )

    ends = np.array([[a, b] for a, b, *_ in segments]) * looks.height_m
    radii = np.array([[ra, rb] for _, _, ra, rb, _ in segments]) * looks.height_m
    colours = np.array([colour for *_, colour in segments], dtype=np.float64)
    if not posture.pedal:
        lowest = min(float(ends[:, :, 2].min()), -0.4 * looks.height_m)
        ends[:, :, 2] -= lowest - 0.02 * looks.height_m
        bounce = 0.045 * running * abs(math.sin(posture.phase + 0.6))
        ends[:, :, 2] += bounce
    else:
        ends[:, :, 2] += 0.98
        ends[:, :, 0] -= 0.18
    if posture.tilt > 0:
        ends = _tip(ends, posture.tilt, posture.tilt_side)
    return placed(place, heading, ends, radii, colours)


def _tip(ends: Points, tilt: float, side: float) -> Points:
    """Turn a figure about its feet towards `side`; what lies down rests on the ground."""
    along = ends[..., 0] * math.cos(side) + ends[..., 1] * math.sin(side)
    across = -ends[..., 0] * math.sin(side) + ends[..., 1] * math.cos(side)
    up = ends[..., 2]
    tipped = along * math.cos(tilt) + up * math.sin(tilt)
    raised = up * math.cos(tilt) - along * math.sin(tilt)
    raised = raised - min(0.0, float(raised.min()) - 0.07)
    out = np.empty_like(ends)
    out[..., 0] = tipped * math.cos(side) - across * math.sin(side)
    out[..., 1] = tipped * math.sin(side) + across * math.cos(side)
    out[..., 2] = raised
    return out


def placed(
    place: tuple[float, float],
    heading: float,
    ends: Points,
    radii: Points,
    colours: NDArray[np.float64],
    faces: tuple[tuple[Points, Colour], ...] = (),
) -> Body:
    """A figure given as (forward, right, up) set down in the world."""
    foot = np.array([place[0], 0.0, place[1]])

    def set_down(local: Points) -> Points:
        out = np.empty_like(local)
        sin_h, cos_h = math.sin(heading), math.cos(heading)
        out[..., 0] = place[0] + local[..., 0] * sin_h + local[..., 1] * cos_h
        out[..., 1] = local[..., 2]
        out[..., 2] = place[1] + local[..., 0] * cos_h - local[..., 1] * sin_h
        return out

    return Body(
        foot,
        set_down(ends),
        radii,
        colours,
        tuple((set_down(points), colour) for points, colour in faces),
    )


def joined(*bodies: Body) -> Body:
    """Several bodies as one: the first one's foot, all their parts."""
    return Body(
        bodies[0].foot,
        np.concatenate([body.ends for body in bodies]),
        np.concatenate([body.radii for body in bodies]),
        np.concatenate([body.colours for body in bodies]),
        tuple(face for body in bodies for face in body.faces),
    )
