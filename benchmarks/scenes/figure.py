"""People in any pose: angles of the joints to a body that rests on the ground.

The demo's figure walks, and tips over like a pole. Falls, sitting down and dancing need a skeleton
of which every joint moves; poses are arrays of angles, so that they can be mixed.
"""

import math

import numpy as np
from numpy.typing import NDArray

from streamer.demo.body import Body, Colour, Looks, placed, stride_m

Pose = NDArray[np.float64]
"""A value for each name in `JOINTS`: radians, all zero standing upright."""

JOINTS = (
    "ahead", "right",  # the whole figure tips over: pi/2 forwards or to the right is on the ground
    "bend", "sway", "nod",  # the trunk forwards and to the right, the head forwards
    "thigh_r", "thigh_l", "knee_r", "knee_l", "spread_r", "spread_l",
    "arm_r", "arm_l", "elbow_r", "elbow_l", "wing_r", "wing_l",  # arms: forwards, bent, sideways
    "lift",  # shares of the height above the ground: a hop
    "planted",  # 1: the middle of the feet is at the place; 0: the hips are
)  # fmt: skip
_AT = {name: number for number, name in enumerate(JOINTS)}

_THIGH, _SHANK, _UPPER_ARM, _FOREARM = 0.245, 0.235, 0.172, 0.155
_TRUNK, _HIP_HALF, _SHOULDER_HALF = 0.318, 0.052, 0.104


def pose(like: Pose | None = None, /, **angles: float) -> Pose:
    """A pose by the names of its joints; `like` gives those that are not named.

    `thighs`, `knees`, `spreads`, `arms`, `elbows` and `wings` name both sides.
    """
    out = np.zeros(len(JOINTS)) if like is None else like.copy()
    if like is None:
        out[_AT["planted"]] = 1.0
        out[_AT["knee_r"]] = out[_AT["knee_l"]] = 0.05
        out[_AT["elbow_r"]] = out[_AT["elbow_l"]] = 0.25
        out[_AT["wing_r"]] = out[_AT["wing_l"]] = 0.10
    for name, value in angles.items():
        if name in _AT:
            out[_AT[name]] = value
        else:
            out[_AT[name[:-1] + "_r"]] = out[_AT[name[:-1] + "_l"]] = value
    return out


def mix(one: Pose, other: Pose, share: float) -> Pose:
    """`one` at 0, `other` at 1."""
    return one + (other - one) * share


def smooth(share: float) -> float:
    """0 before 0, 1 after 1, without a jerk in between."""
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


STAND = pose()
SIT = pose(thighs=1.5, knees=1.5, bend=-0.08, arms=0.55, elbows=0.75, spreads=0.12)
RISING = pose(thighs=1.25, knees=1.55, bend=0.75, arms=0.75, elbows=0.6)
STOOP = pose(thighs=0.75, knees=0.85, bend=1.30, arms=0.25, arm_r=0.55, elbows=0.1, nod=0.3)
SQUAT = pose(thighs=1.75, knees=2.1, bend=0.75, arms=0.5, arm_r=0.9, elbows=0.3)
KNEEL = pose(ahead=0.12, thighs=0.25, knees=1.75, bend=0.25, arms=0.3, elbows=0.5)
ALL_FOURS = pose(ahead=0.15, thighs=1.3, knees=1.5, bend=1.25, arms=0.25, elbows=0.05, nod=-0.5)
ON_FLOOR = pose(ahead=-0.25, thighs=1.45, knees=0.5, bend=0.1, arms=-0.5, elbows=0.1)
PRONE = pose(ahead=1.53, thigh_l=0.1, knee_r=0.15, knee_l=0.5, arm_r=2.6, arm_l=2.1,
             elbow_r=0.3, elbow_l=0.9, wings=0.5, spreads=0.12, nod=-0.2)  # fmt: skip
SUPINE = pose(ahead=-1.50, thigh_r=0.25, knee_r=0.5, knee_l=0.12, arms=0.1, wing_r=0.7,
              wing_l=0.45, elbows=0.2, spreads=0.15)  # fmt: skip
ON_RIGHT_SIDE = pose(right=1.48, thigh_r=0.25, thigh_l=0.6, knee_r=0.5, knee_l=1.0, bend=0.15,
                     arm_r=1.9, arm_l=0.8, elbows=0.6, nod=0.2)  # fmt: skip
ON_LEFT_SIDE = pose(ON_RIGHT_SIDE, right=-1.48, thigh_r=0.6, thigh_l=0.25, knee_r=1.0, knee_l=0.5,
                    arm_r=0.8, arm_l=1.9)  # fmt: skip
CURLED = pose(ON_RIGHT_SIDE, thighs=1.2, knees=1.6, bend=0.5, arms=0.9, elbows=1.2)


def gait(
    metres: float, speed: float, height_m: float, phase: float = 0.0, now: float | None = None
) -> Pose:
    """The pose of somebody who has walked so far at a speed (metres a second).

    `now`: the speed at this moment, while they set out or stop; the length of their steps goes by
    `speed`. Feet that bear weight stay where they are on the ground while the hips move on.
    """
    share = smooth((speed if now is None else now) / min(speed, 0.8))
    running = smooth((speed - 2.1) / 1.2)
    stride = stride_m(max(speed, 0.75)) / height_m
    turn = phase / (2 * math.pi) + metres / (stride * height_m)
    duty = 0.62 - 0.27 * running
    angles: dict[str, float] = {}
    for side, lag in (("r", 0.0), ("l", 0.5)):
        cycle = (turn + lag) % 1.0
        reach, raised = _step(cycle, duty)
        thigh, knee = _bent_leg(reach * duty * stride * share, raised * share * (1 + running))
        angles[f"thigh_{side}"], angles[f"knee_{side}"] = thigh, knee + 0.05
        swing = -math.cos(2 * math.pi * (cycle + 0.04)) * share * (0.42 + 0.35 * running)
        angles[f"arm_{side}"] = swing
        elbow = 0.25 + 0.25 * share * max(0.0, swing) + 1.2 * running
        angles[f"elbow_{side}"] = elbow
    hop = abs(math.sin(2 * math.pi * (turn + 0.12))) * 0.05 * running
    lean = 0.04 * share + 0.16 * running
    return pose(**angles, bend=lean, lift=hop, planted=0.0, wings=0.10)


def _step(cycle: float, duty: float) -> tuple[float, float]:
    """Where the foot is (1/2 ahead, -1/2 behind) and how far it is raised (0..1)."""
    if cycle < duty:
        return 0.5 - cycle / duty, 0.0
    swing = (cycle - duty) / (1 - duty)
    return -0.5 + smooth(swing), math.sin(math.pi * swing)


def _bent_leg(ahead: float, raised: float) -> tuple[float, float]:
    """Thigh and knee that bring the ankle `ahead` of the hip, shares of the height."""
    low = 0.4745 - 0.060 * raised
    far = min(math.hypot(ahead, low), 0.478)
    cosine = (_THIGH**2 + far**2 - _SHANK**2) / (2 * _THIGH * far)
    corner = math.acos(min(max(cosine, -1.0), 1.0))
    inner = (_THIGH**2 + _SHANK**2 - far**2) / (2 * _THIGH * _SHANK)
    return math.atan2(ahead, low) + corner, math.pi - math.acos(min(max(inner, -1.0), 1.0))


def figure(place: tuple[float, float], heading: float, looks: Looks, angles: Pose) -> Body:
    """A person at `place` (x, z in metres) who faces `heading` (radians, 0 along z, clockwise)."""
    a = dict(zip(JOINTS, angles.tolist(), strict=True))
    segments: list[tuple[np.ndarray, np.ndarray, float, float, Colour]] = []
    girth = looks.girth
    ankles = []
    for side, sign in (("r", 1.0), ("l", -1.0)):
        hip = np.array([0.0, sign * _HIP_HALF, 0.0])
        thigh, spread = a[f"thigh_{side}"], sign * a[f"spread_{side}"]
        knee_at = hip + _THIGH * _hanging(thigh, spread)
        low = thigh - a[f"knee_{side}"]
        ankle = knee_at + _SHANK * _hanging(low, spread * 0.5)
        sole = low * 0.55
        toe = ankle + 0.10 * np.array([math.cos(sole), 0.0, math.sin(sole) - 0.12])
        segments.append((hip, knee_at, 0.046 * girth, 0.034, looks.trousers))
        segments.append((knee_at, ankle, 0.033, 0.024, looks.trousers))
        segments.append((ankle, toe, 0.022, 0.016, looks.shoes))
        ankles.append(ankle)
    bend, sway = a["bend"], a["sway"]
    trunk = _trunk(bend, sway)
    neck = _TRUNK * trunk
    nod = bend + a["nod"]
    up = _trunk(nod, sway)
    head_low = neck + 0.055 * trunk
    head_top = head_low + 0.095 * up
    waist = 0.12 * trunk
    segments.append((np.zeros(3), waist, 0.068 * girth, 0.066 * girth, looks.trousers))
    for sign in (1.0, -1.0):
        offset = np.array([0.0, sign * 0.045 * girth, 0.0])
        low_at = waist - 0.05 * trunk + offset
        segments.append((low_at, neck + 0.9 * offset - 0.03 * trunk, 0.058, 0.052, looks.top))
        if looks.coat:
            segments.append((offset - 0.10 * trunk, low_at, 0.062, 0.060, looks.top))
    segments.append((neck, head_low, 0.030, 0.028, looks.skin))
    segments.append((head_low + 0.01 * trunk, head_top, 0.040, 0.046, looks.skin))
    back = np.array([-0.022 * math.cos(nod), 0.0, 0.022 * math.sin(nod)]) + 0.014 * up
    hair = looks.top if looks.hat else looks.hair
    segments.append((head_low + back + 0.03 * up, head_top + back, 0.040, 0.049, hair))
    for side, sign in (("r", 1.0), ("l", -1.0)):
        shoulder = neck + np.array([0.0, sign * _SHOULDER_HALF, 0.0]) - 0.025 * trunk
        swing, wing = a[f"arm_{side}"], sign * a[f"wing_{side}"]
        elbow_at = shoulder + _UPPER_ARM * _hanging(swing, wing)
        hand = elbow_at + _FOREARM * _hanging(swing + a[f"elbow_{side}"], wing * 0.5)
        tip = hand + 0.035 * _hanging(swing + a[f"elbow_{side}"], 0.0)
        segments.append((shoulder, elbow_at, 0.033, 0.026, looks.top))
        segments.append((elbow_at, hand, 0.025, 0.019, looks.sleeves))
        segments.append((hand, tip, 0.021, 0.016, looks.skin))
    if looks.backpack is not None:
        behind = np.array([-0.105 * math.cos(bend), 0.0, 0.105 * math.sin(bend)])
        segments.append(
            (waist + behind, neck + behind - 0.05 * trunk, 0.075, 0.062, looks.backpack)
        )
    ends = np.array([[one, two] for one, two, *_ in segments] + [ankles])
    ends = _tipped(ends, a["ahead"], a["right"])
    middle = ends[-1].mean(axis=0) * a["planted"]
    ends = ends[:-1]
    radii = np.array([[ra, rb] for _, _, ra, rb, _ in segments])
    ends[..., :2] -= middle[:2]
    ends[..., 2] += a["lift"] - float((ends[..., 2] - radii).min())
    colours = np.array([colour for *_, colour in segments], dtype=np.float64)
    return placed(place, heading, ends * looks.height_m, radii * looks.height_m, colours)


def _hanging(swing: float, out: float) -> np.ndarray:
    """A limb that hangs down, swung forwards and spread to the right."""
    return np.array(
        [math.sin(swing) * math.cos(out), math.sin(out), -math.cos(swing) * math.cos(out)]
    )


def _trunk(bend: float, sway: float) -> np.ndarray:
    return np.array(
        [math.sin(bend) * math.cos(sway), math.sin(sway), math.cos(bend) * math.cos(sway)]
    )


def _tipped(ends: np.ndarray, ahead: float, right: float) -> np.ndarray:
    """Turned about the hips, towards wherever the two angles together point."""
    tilt = math.hypot(ahead, right)
    if tilt < 1e-9:
        return ends
    to = np.array([ahead / tilt, right / tilt])
    along = ends[..., 0] * to[0] + ends[..., 1] * to[1]
    turned = along * math.cos(tilt) + ends[..., 2] * math.sin(tilt)
    out = ends.copy()
    out[..., 0] += (turned - along) * to[0]
    out[..., 1] += (turned - along) * to[1]
    out[..., 2] = ends[..., 2] * math.cos(tilt) - along * math.sin(tilt)
    return out


def child_looks(looks: Looks, height_m: float) -> Looks:
    """The same clothes on somebody smaller."""
    return Looks(
        height_m, looks.girth * 0.95, looks.skin, looks.hair, looks.top, looks.sleeves,
        looks.trousers, looks.shoes, False, None, looks.hat,
    )  # fmt: skip
