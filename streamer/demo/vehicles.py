"""What is not a person: a car, a delivery cart, a bicycle, a suitcase."""

import math

import numpy as np

from streamer.demo.body import Body, Colour, placed
from streamer.demo.view import Points


def _box(
    low: tuple[float, float, float], high: tuple[float, float, float], taper: float = 0.0
) -> list[Points]:
    """The five visible faces of a box (forward, right, up): front, back, right, left, top."""
    (f0, r0, u0), (f1, r1, u1) = low, high
    t = taper
    bottom = [(f0, r0, u0), (f1, r0, u0), (f1, r1, u0), (f0, r1, u0)]
    top = [
        (f0 + t, r0 + t * 0.3, u1),
        (f1 - t, r0 + t * 0.3, u1),
        (f1 - t, r1 - t * 0.3, u1),
        (f0 + t, r1 - t * 0.3, u1),
    ]
    faces = [
        [bottom[1], bottom[2], top[2], top[1]],
        [bottom[3], bottom[0], top[0], top[3]],
        [bottom[2], bottom[3], top[3], top[2]],
        [bottom[0], bottom[1], top[1], top[0]],
        [top[0], top[1], top[2], top[3]],
    ]
    return [np.array(face) for face in faces]


def _tone(colour: Colour, factor: float) -> Colour:
    return (
        min(int(colour[0] * factor), 255),
        min(int(colour[1] * factor), 255),
        min(int(colour[2] * factor), 255),
    )


_FACE_TONES = (0.95, 0.85, 0.72, 1.0, 1.18)
_NOTHING = np.zeros((0, 2, 3))


def _inset(face: Points, low: float, high: float, side: float) -> Points:
    """A window in a wall: a part of a face, by shares of its height and of its width."""
    a, b, c, d = face
    left, right = side, 1 - side

    def at(across: float, up: float) -> Points:
        foot, head = a + (b - a) * across, d + (c - d) * across
        return np.asarray(foot + (head - foot) * up)

    return np.array([at(left, low), at(right, low), at(right, high), at(left, high)])


def vehicle(
    place: tuple[float, float], heading: float, colour: Colour, cart: bool, viewer: Points
) -> Body:
    """A car, or a small delivery cart, seen from `viewer` (3,)."""
    if cart:
        hull = _box((-1.25, -0.68, 0.28), (1.25, 0.68, 1.0), 0.02)
        cabin = _box((-0.15, -0.64, 1.0), (1.15, 0.64, 1.92), 0.10)
        load = _box((-1.22, -0.66, 1.0), (-0.15, 0.66, 1.75), 0.0)
        wheels, radius = ((-0.8, 0.3), (0.8, 0.3)), 0.30
    else:
        hull = _box((-2.05, -0.86, 0.28), (2.05, 0.86, 0.88), 0.05)
        cabin = _box((-1.55, -0.78, 0.86), (1.0, 0.78, 1.46), 0.42)
        load = []
        wheels, radius = ((-1.28, 0.33), (1.3, 0.33)), 0.33
    sin_h, cos_h = math.sin(heading), math.cos(heading)
    dx, dz = float(viewer[0] - place[0]), float(viewer[2] - place[1])
    eye = np.array([dx * sin_h + dz * cos_h, dx * cos_h - dz * sin_h, float(viewer[1])])

    def seen(face: Points) -> bool:
        normal = np.cross(face[1] - face[0], face[2] - face[0])
        return bool(normal @ (eye - face.mean(axis=0)) > 0)

    faces: list[tuple[Points, Colour]] = []
    angles = np.linspace(0, 2 * math.pi, 14, endpoint=False)
    near_side = 1.0 if eye[1] > 0 else -1.0
    hull_half = 0.66 if cart else 0.84
    under = np.array(
        [
            (f, r, 0.2)
            for f, r in (
                (-1.1 if cart else -1.9, -hull_half),
                (1.1 if cart else 1.9, -hull_half),
                (1.1 if cart else 1.9, hull_half),
                (-1.1 if cart else -1.9, hull_half),
            )
        ]
    )
    faces.append((under, (22, 22, 24)))

    def add_wheels(side: float) -> None:
        for forward, up in wheels:
            for size, tone in ((radius, (28, 28, 30)), (radius * 0.55, (150, 150, 152))):
                ring = np.column_stack(
                    [
                        forward + size * np.cos(angles),
                        np.full(len(angles), side * (hull_half + 0.02)),
                        up + size * np.sin(angles),
                    ]
                )
                faces.append((ring, tone))

    add_wheels(-near_side)
    blocks = [hull, cabin]
    if load:  # the further of the two upper parts first
        blocks = [hull, load, cabin] if eye[0] >= 0 else [hull, cabin, load]
    for block in blocks:
        is_cabin = block is cabin
        for number, face in enumerate(block):
            if not seen(face):
                continue
            tint = _tone(colour, _FACE_TONES[number])
            if block is load:
                tint = _tone((190, 195, 198), _FACE_TONES[number])
            faces.append((face, tint))
            if is_cabin and number < 4:
                faces.append((_inset(face, 0.18, 0.86, 0.10), (70, 58, 48)))
                faces.append((_inset(face, 0.55, 0.86, 0.10), (118, 104, 92)))
            elif block is hull and number == 0:
                for centre in (0.16, 0.84):
                    lamp = _inset(face, 0.45, 0.72, 0.42)
                    faces.append((lamp + (face[1] - face[0]) * (centre - 0.5), (225, 240, 250)))
            elif block is hull and number == 1:
                for centre in (0.14, 0.86):
                    lamp = _inset(face, 0.5, 0.75, 0.44)
                    faces.append((lamp + (face[1] - face[0]) * (centre - 0.5), (40, 40, 190)))
        if block is hull:
            add_wheels(near_side)
    return placed(place, heading, _NOTHING, np.zeros((0, 2)), np.zeros((0, 3)), tuple(faces))


def bicycle(place: tuple[float, float], heading: float, colour: Colour, roll: float) -> Body:
    """A bicycle without its rider; `roll` is how far the wheels have turned, radians."""
    radius = 0.34
    angles = np.linspace(0, 2 * math.pi, 15)
    segments: list[tuple[Points, Points, float, Colour]] = []
    for hub in (-0.52, 0.52):
        ring = np.column_stack(
            [hub + radius * np.cos(angles), np.zeros(15), radius + radius * np.sin(angles)]
        )
        segments += [(ring[i], ring[i + 1], 0.022, (30, 30, 32)) for i in range(14)]
        for spoke in range(2):
            turn = roll + spoke * math.pi / 2
            arm = radius * np.array([math.cos(turn), 0.0, math.sin(turn)])
            hub_at = np.array([hub, 0.0, radius])
            segments.append((hub_at - arm, hub_at + arm, 0.008, (120, 120, 122)))
    rear, front = np.array([-0.52, 0.0, radius]), np.array([0.52, 0.0, radius])
    crank, seat = np.array([-0.05, 0.0, 0.30]), np.array([-0.2, 0.0, 0.92])
    bar = np.array([0.40, 0.0, 0.98])
    for a, b in ((rear, crank), (rear, seat), (crank, seat), (crank, bar), (seat, bar)):
        segments.append((a, b, 0.026, colour))
    segments.append((front, bar, 0.026, colour))
    segments.append(
        (bar + np.array([0, -0.25, 0.05]), bar + np.array([0, 0.25, 0.05]), 0.02, (30, 30, 32))
    )
    return placed(
        place,
        heading,
        np.array([[a, b] for a, b, *_ in segments]),
        np.array([[r, r] for _, _, r, _ in segments]),
        np.array([c for *_, c in segments], dtype=np.float64),
    )


def suitcase(
    place: tuple[float, float], heading: float, colour: Colour, lift_m: float, viewer: Points
) -> Body:
    """A suitcase whose lower edge is `lift_m` above the ground."""
    box = _box((-0.30, -0.13, lift_m + 0.02), (0.30, 0.13, lift_m + 0.60), 0.0)
    sin_h, cos_h = math.sin(heading), math.cos(heading)
    dx, dz = float(viewer[0] - place[0]), float(viewer[2] - place[1])
    eye = np.array([dx * sin_h + dz * cos_h, dx * cos_h - dz * sin_h, float(viewer[1])])
    faces: list[tuple[Points, Colour]] = []
    for number, face in enumerate(box):
        normal = np.cross(face[1] - face[0], face[2] - face[0])
        if normal @ (eye - face.mean(axis=0)) > 0:
            faces.append((face, _tone(colour, _FACE_TONES[number])))
            if number in (2, 3):
                faces.append((_inset(face, 0.42, 0.58, 0.0), _tone(colour, 0.55)))
    return placed(place, heading, _NOTHING, np.zeros((0, 2)), np.zeros((0, 3)), tuple(faces))
