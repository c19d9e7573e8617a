"""Things that stand in the rendered world: trees, benches, lamp posts, columns, a statue."""

import math

import numpy as np

from streamer.demo.actors import Place
from streamer.demo.body import Body, Colour, Looks, Posture, person
from streamer.demo.view import Points


def _solid(place: Place, capsules: list[tuple[Points, Points, float, float, Colour]]) -> Body:
    foot = np.array([place[0], 0.0, place[1]])
    return Body(
        foot,
        np.array([[a, b] for a, b, *_ in capsules]) + foot,
        np.array([[ra, rb] for _, _, ra, rb, _ in capsules]),
        np.array([colour for *_, colour in capsules], dtype=np.float64),
    )


def box(place: Place, size: tuple[float, float, float], colour: Colour, lift: float = 0.0) -> Body:
    """A block of `size` (along x, up, along z) in metres; only faces that a camera sees."""
    x, z = place
    half_x, half_z = size[0] / 2, size[2] / 2
    low, high = lift, lift + size[1]

    def tone(factor: float) -> Colour:
        return (
            min(int(colour[0] * factor), 255),
            min(int(colour[1] * factor), 255),
            min(int(colour[2] * factor), 255),
        )

    def face(*corners: tuple[float, float, float]) -> Points:
        return np.array(corners)

    a, b, c, d = (
        (x - half_x, z - half_z),
        (x + half_x, z - half_z),
        (x + half_x, z + half_z),
        (x - half_x, z + half_z),
    )
    faces: list[tuple[Points, Colour]] = []
    if x > half_x:
        side = face((a[0], low, a[1]), (a[0], high, a[1]), (d[0], high, d[1]), (d[0], low, d[1]))
        faces.append((side, tone(0.72)))
    elif x < -half_x:
        side = face((b[0], low, b[1]), (b[0], high, b[1]), (c[0], high, c[1]), (c[0], low, c[1]))
        faces.append((side, tone(0.9)))
    top = face((a[0], high, a[1]), (b[0], high, b[1]), (c[0], high, c[1]), (d[0], high, d[1]))
    front = face((a[0], low, a[1]), (b[0], low, b[1]), (b[0], high, b[1]), (a[0], high, a[1]))
    faces += [(top, tone(1.15)), (front, tone(0.82))]
    empty = np.zeros((0, 2, 3))
    foot = np.array([x, 0.0, z - half_z])
    return Body(foot, empty, np.zeros((0, 2)), np.zeros((0, 3)), tuple(faces))


def stacked(*bodies: Body) -> Body:
    """Several blocks as one thing, drawn in the given order."""
    return Body(
        bodies[0].foot,
        np.concatenate([body.ends for body in bodies]),
        np.concatenate([body.radii for body in bodies]),
        np.concatenate([body.colours for body in bodies]),
        tuple(face for body in bodies for face in body.faces),
    )


def bench(place: Place) -> Body:
    """A bench, seat towards the camera."""
    x, z = place
    wood: Colour = (70, 105, 150)
    iron: Colour = (52, 52, 54)
    return stacked(
        box((x - 0.7, z), (0.08, 0.42, 0.45), iron),
        box((x + 0.7, z), (0.08, 0.42, 0.45), iron),
        box((x, z + 0.22), (1.8, 0.40, 0.06), wood, 0.50),
        box((x, z), (1.8, 0.07, 0.48), wood, 0.42),
    )


def lamp(place: Place, height_m: float = 5.2) -> Body:
    """A lamp post."""
    iron: Colour = (62, 64, 60)
    up = np.array([0.0, height_m, 0.0])
    low = np.zeros(3)
    arm = up + np.array([0.55, 0.12, -0.2])
    return _solid(
        place,
        [
            (low, np.array([0.0, 0.9, 0.0]), 0.11, 0.09, iron),
            (low, up, 0.075, 0.05, iron),
            (up, arm, 0.045, 0.04, iron),
            (arm, arm + np.array([0.3, -0.03, 0.0]), 0.09, 0.09, (215, 225, 228)),
        ],
    )


def bollard(place: Place) -> Body:
    """A bollard, as they stand where no car should go."""
    return _solid(
        place,
        [
            (np.zeros(3), np.array([0.0, 0.85, 0.0]), 0.085, 0.085, (75, 78, 80)),
            (np.array([0, 0.70, 0]), np.array([0.0, 0.76, 0.0]), 0.09, 0.09, (200, 205, 210)),
        ],
    )


def bin_(place: Place) -> Body:
    """A litter bin."""
    return _solid(
        place,
        [
            (np.array([0, 0.22, 0]), np.array([0.0, 0.72, 0.0]), 0.24, 0.24, (70, 88, 62)),
            (np.array([0, 0.80, 0]), np.array([0.0, 0.84, 0.0]), 0.25, 0.25, (50, 60, 46)),
        ],
    )


def column(place: Place, radius_m: float = 0.45, height_m: float = 9.0) -> Body:
    """A round column."""
    pale: Colour = (172, 178, 182)
    parts = [
        (np.zeros(3), np.array([0.0, 0.35, 0.0]), radius_m * 1.25, radius_m * 1.25, (140, 146, 150))
    ]
    parts.append((np.zeros(3), np.array([0.0, height_m, 0.0]), radius_m, radius_m, pale))
    return _solid(place, parts)


def statue(place: Place) -> Body:
    """A bronze figure on a plinth."""
    bronze: Colour = (74, 92, 84)
    looks = Looks(
        2.3, 1.2, bronze, bronze, bronze, bronze, bronze, bronze, coat=True, backpack=None, hat=True
    )
    figure = person(place, 3.5, looks, Posture(gesture=1.4))
    figure.ends[..., 1] += 1.5
    return stacked(
        box(place, (2.2, 0.35, 2.2), (150, 155, 158)),
        box(place, (1.3, 1.2, 1.3), (165, 170, 172), 0.35),
        figure,
    )


def shrub(place: Place, size: tuple[float, float, float], rng: np.random.Generator) -> Body:
    """A planter of stone with a bush in it; `size` along x, up, along z."""
    x, z = place
    trough = box(place, (size[0], 0.5, size[2]), (150, 152, 155))
    count = int(60 * size[0] * size[2]) + 30
    return stacked(trough, _leaves((x, z), size, 0.5, count, rng, (44, 92, 58)))


def hedge(place: Place, size: tuple[float, float, float], rng: np.random.Generator) -> Body:
    """A hedge; `size` along x, up, along z."""
    core = box(place, (size[0] * 0.96, size[1] * 0.9, size[2] * 0.98), (34, 62, 44))
    count = min(int(26 * size[0] * size[1] * max(size[2], 1.0)) + 60, 1500)
    return stacked(core, _leaves(place, size, 0.05, count, rng, (40, 84, 54)))


def _leaves(
    place: Place,
    size: tuple[float, float, float],
    lift: float,
    count: int,
    rng: np.random.Generator,
    colour: Colour,
) -> Body:
    offset = rng.uniform(-0.5, 0.5, (count, 3)) * np.array([size[0], 0.0, size[2]])
    offset[:, 1] = lift + rng.uniform(0.1, 1.0, count) ** 0.7 * size[1]
    foot = np.array([place[0], 0.0, place[1]])
    at = foot + offset
    radius = rng.uniform(0.07, 0.17, count)
    light = 0.62 + 0.6 * offset[:, 1] / (lift + size[1]) + rng.normal(0, 0.13, count)
    colours = np.array(colour)[None] * np.clip(light, 0.35, 1.6)[:, None]
    return Body(foot, np.stack([at, at], axis=1), np.stack([radius, radius], axis=1), colours)


def tree(
    place: Place, rng: np.random.Generator, height_m: float = 6.5, spread_m: float = 2.3
) -> tuple[Body, Body]:
    """Trunk, and crown (which sways in the wind)."""
    bark: Colour = (58, 72, 84)
    fork = np.array([0.0, height_m * 0.48, 0.0])
    branches = [(np.zeros(3), fork, 0.20, 0.14, bark)]
    for turn in np.linspace(0, 2 * math.pi, 5, endpoint=False) + rng.uniform(0, 1):
        tip = fork + np.array([math.cos(turn) * spread_m * 0.5, 1.3, math.sin(turn) * spread_m / 2])
        branches.append((fork - np.array([0, 0.2, 0]), tip, 0.10, 0.05, bark))
    count = 420
    direction = rng.normal(size=(count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    reach = rng.uniform(0.35, 1.0, count) ** 0.5
    offset = direction * reach[:, None] * np.array([spread_m, height_m * 0.34, spread_m])
    # Clumps: leaves gather around a few centres, as they do on branches.
    clumps = rng.normal(size=(9, 3))
    clumps /= np.linalg.norm(clumps, axis=1, keepdims=True)
    clumps *= np.array([spread_m, height_m * 0.3, spread_m]) * 0.72
    home = clumps[rng.integers(len(clumps), size=count)]
    offset = 0.45 * offset + 0.65 * home
    centre = np.array([place[0], height_m * 0.70, place[1]])
    at = centre + offset
    radius = rng.uniform(0.14, 0.34, count)
    sunny = 0.80 + 0.10 * offset[:, 0] / spread_m + 0.30 * offset[:, 1] / (height_m * 0.34)
    light = np.clip(sunny + rng.normal(0, 0.13, count), 0.35, 1.5)
    colours = np.array([48.0, 104.0, 72.0])[None] * light[:, None]
    colours[:, 2] += rng.normal(0, 8, count)
    crown = Body(
        np.array([place[0], 0.0, place[1]]),
        np.stack([at, at], axis=1),
        np.stack([radius, radius], axis=1),
        np.clip(colours, 5, 250),
    )
    return _solid(place, branches), crown
