"""The still part of a scene: ground, walls, sky and things, painted once for a view.

Everything is painted twice as large and reduced, which is what keeps far paving from glittering.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.demo.actors import Place
from streamer.demo.body import Body, Colour
from streamer.demo.brush import Box, Picture, cast, paint, stencil
from streamer.demo.view import View

Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Occluder:
    """A thing that hides what is behind it: its pixels, and how far it is."""

    depth: float
    box: Box
    colour: Picture
    alpha: Picture

    def cover(self, picture: Picture, box: Box) -> None:
        """Draw the part of the thing that lies in `box` over the picture."""
        x0, y0 = max(box.x0, self.box.x0), max(box.y0, self.box.y0)
        x1, y1 = min(box.x1, self.box.x1), min(box.y1, self.box.y1)
        if x1 <= x0 or y1 <= y0:
            return
        rows = slice(y0 - self.box.y0, y1 - self.box.y0)
        columns = slice(x0 - self.box.x0, x1 - self.box.x0)
        alpha = self.alpha[rows, columns]
        if not alpha.any():
            return
        share = alpha.astype(np.float32)[..., None] * (1 / 255)
        part = picture[y0:y1, x0:x1]
        blend = part + (self.colour[rows, columns].astype(np.float32) - part) * share
        part[:] = np.rint(blend).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Swaying:
    """A crown in the wind: the picture of its place for each phase, and itself as an occluder."""

    box: Box
    phases: tuple[Picture, ...]
    occluders: tuple[Occluder, ...]


@dataclass(frozen=True, slots=True)
class Backdrop:
    """What the camera sees when nobody is there."""

    picture: Picture
    occluders: tuple[Occluder, ...]
    swaying: tuple[Swaying, ...]


class Painter:
    """Paints a backdrop from far to near; `finish` reduces it to the size of the view."""

    FACTOR = 2

    def __init__(self, view: View, sun: tuple[float, float], rng: np.random.Generator) -> None:
        """`sun`: metres that a shadow goes along x and z for each metre of height."""
        self.view = view
        self.sun = sun
        self._large = view.scaled(self.FACTOR)
        self._rng = rng
        self.x, self.z, self.below = self._large.ground()
        far = np.hypot(self.x, self.z)
        self._far = np.minimum(far, 400.0)
        # Metres that one pixel covers: across, and into the distance.
        self._across = (self._far / self._large.focal_px).astype(np.float32)
        self._along = (self._far**2 / (view.post_m * self._large.focal_px)).astype(np.float32)
        noise = np.pad(rng.normal(size=(256, 256)).astype(np.float32), 8, mode="wrap")
        self._noise = cv2.GaussianBlur(noise, (0, 0), 1.0)[8:-8, 8:-8].copy()
        self._noise /= float(self._noise.std())
        self.picture: Picture = np.zeros((self._large.height, self._large.width, 3), np.uint8)
        self._occluders: list[Occluder] = []
        self._crowns: list[Body] = []

    # Ground ------------------------------------------------------------------------------------

    def noise(self, metres: float, shift: float = 0.0) -> Field:
        """Smooth noise on the ground, sigma about 1, with grains of `metres`; fades far away."""
        xs = np.mod(self.x / metres * 2 + shift, 256).astype(np.float32)
        zs = np.mod(self.z / metres * 2 + shift * 1.7, 256).astype(np.float32)
        field = cv2.remap(self._noise, xs, zs, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
        fade = np.clip(metres / np.maximum(self._along, 1e-6), 0.0, 1.0)
        return np.asarray(field * fade, dtype=np.float32)

    def mask(self, outline: Sequence[Place], soft_px: float = 1.5) -> Field:
        """Share 0..1 of each pixel inside a polygon on the ground."""
        points = np.array([(x, 0.0, z) for x, z in outline])
        flat = self._large.project(points)[:, :2]
        mask = np.zeros(self.picture.shape[:2], np.uint8)
        fixed = np.clip(np.rint(flat * 16), -(1 << 24), 1 << 24).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, 4)
        if soft_px > 0:
            mask = cv2.GaussianBlur(mask, (0, 0), soft_px)
        return np.asarray(mask.astype(np.float32) * self.below / 255, dtype=np.float32)

    def lay(self, surface: Field, where: Field | None = None) -> None:
        """Put a surface (h, w, 3) on the ground, where the mask says so."""
        share = self.below.astype(np.float32) if where is None else where
        mixed = self.picture + (surface - self.picture) * share[..., None]
        self.picture[:] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)

    def paving(self, colour: Colour, tile: tuple[float, float], rough: float = 0.06) -> Field:
        """Paving stones of `tile` metres, with joints, stains and stones of different shades."""
        ix, iz = np.floor(self.x / tile[0]), np.floor(self.z / tile[1])
        shift = np.mod(iz, 2) * 0.5
        ix = np.floor(self.x / tile[0] + shift)
        shades = self._rng.normal(0, rough, (97, 89)).astype(np.float32)
        seen = np.clip(tile[1] / np.maximum(self._along, 1e-6) - 0.6, 0.0, 1.0)
        tone = 1.0 + shades[ix.astype(int) % 97, iz.astype(int) % 89] * seen
        for at, size, footprint in (
            (self.x / tile[0] + shift, tile[0], self._across),
            (self.z / tile[1], tile[1], self._along),
        ):
            share = np.mod(at, 1.0)
            gap = np.minimum(share, 1 - share) * size
            line = np.clip(1.0 - (gap - 0.008) / np.maximum(footprint, 1e-6), 0.0, 1.0)
            tone = tone - 0.20 * line * np.clip(0.03 / np.maximum(footprint, 1e-6), 0.0, 1.0)
        tone = tone + 0.030 * self.noise(6.0) + 0.030 * self.noise(1.3, 11) + 0.02 * self.noise(0.2)
        return np.asarray(tone[..., None] * np.array(colour, np.float32), dtype=np.float32)

    def asphalt(self, colour: Colour) -> Field:
        """A plain dark surface with patches and grain."""
        tone = 1.0 + 0.02 * self.noise(6.0) + 0.012 * self.noise(1.0, 5) + 0.03 * self.noise(0.1, 9)
        return np.asarray(tone[..., None] * np.array(colour, np.float32), dtype=np.float32)

    def grass(self) -> Field:
        """A lawn."""
        tone = 1.0 + 0.07 * self.noise(4.0) + 0.09 * self.noise(0.6, 3) + 0.11 * self.noise(0.15, 7)
        dry = np.clip(0.5 + 0.4 * self.noise(7.0, 21), 0, 1)[..., None]
        green = np.array([52.0, 108.0, 84.0], np.float32)
        straw = np.array([66.0, 122.0, 114.0], np.float32)
        return np.asarray((green + (straw - green) * dry) * tone[..., None], dtype=np.float32)

    def shade(self, outline: Sequence[Place], dark: float, soft_px: float = 4.0) -> None:
        """A still shadow on the ground."""
        light = 1.0 - dark * self.mask(outline, soft_px)
        self.picture[:] = np.rint(self.picture * light[..., None]).astype(np.uint8)

    def glow(self, place: Place, radius_m: float, strength: float) -> None:
        """A pool of light on the ground."""
        far = ((self.x - place[0]) ** 2 + (self.z - place[1]) ** 2) / radius_m**2
        light = 1.0 + strength * np.exp(-far) * self.below
        lit = np.clip(self.picture * light[..., None], 0, 255)
        self.picture[:] = np.rint(lit).astype(np.uint8)

    # Above the ground --------------------------------------------------------------------------

    def sky(self) -> None:
        """Sky, and haze on the horizon, wherever the ground is not."""
        rows = np.linspace(0, 1, self.picture.shape[0], dtype=np.float32)[:, None, None]
        top = np.array([205.0, 175.0, 145.0], np.float32)
        low = np.array([228.0, 222.0, 214.0], np.float32)
        self.picture[:] = np.rint(np.broadcast_to(top + (low - top) * rows, self.picture.shape))

    def wall(
        self, left: Place, right: Place, height_m: float, texture: Picture, hides_behind: bool
    ) -> None:
        """An upright wall from `left` to `right` (as seen) that carries a texture.

        With `hides_behind` it covers actors who are further away than its far end.
        """
        corners = np.array(
            [
                (left[0], height_m, left[1]),
                (right[0], height_m, right[1]),
                (right[0], 0.0, right[1]),
                (left[0], 0.0, left[1]),
            ]
        )
        seen = self._large.project(corners)
        h, w = texture.shape[:2]
        source = np.array([(0, 0), (w, 0), (w, h), (0, h)], np.float32)
        matrix = cv2.getPerspectiveTransform(source, seen[:, :2].astype(np.float32))
        size = (self.picture.shape[1], self.picture.shape[0])
        drawn = cv2.warpPerspective(texture, matrix, size, flags=cv2.INTER_AREA)
        mask = cv2.warpPerspective(np.full((h, w), 255, np.uint8), matrix, size)
        self._compose(drawn, mask, float(seen[:, 2].max()) if hides_behind else None)

    def put(self, body: Body, hides: bool = True, shadow: float = 0.38) -> None:
        """A thing, with its shadow."""
        cast(self.picture, body, self._large, self.sun, shadow)
        layer = np.zeros_like(self.picture)
        mask = np.zeros(self.picture.shape[:2], np.uint8)
        drawn = stencil(body, self._large, self.sun[0] < 0)
        if drawn is None:
            return
        paint(layer, drawn)
        for polygon, _ in drawn.polygons:
            cv2.fillConvexPoly(mask, polygon, 255, cv2.LINE_AA, 4)
        self._compose(layer, mask, drawn.depth if hides else None, drawn.box)

    def plant(self, trunk: Body, crown: Body) -> None:
        """A tree, whose crown will sway."""
        cast(self.picture, crown, self._large, self.sun, 0.36)
        self.put(trunk, shadow=0.36)
        self._crowns.append(crown)

    def _compose(
        self, layer: Picture, mask: Picture, depth: float | None, box: Box | None = None
    ) -> None:
        if box is None:
            x, y, w, h = cv2.boundingRect(mask)
            box = Box(x, y, x + w, y + h)
        if box.area == 0:
            return
        # Painted on black with soft edges: where the mask is partial the colour is too dark, so
        # only the mask is soft and the colour is spread one pixel outwards.
        part = (slice(box.y0, box.y1), slice(box.x0, box.x1))
        colour, soft = layer[part], mask[part]
        spread = cv2.dilate(colour, np.ones((3, 3), np.uint8))
        colour = np.where(soft[..., None] < 255, np.maximum(colour, spread), colour)
        share = soft[..., None].astype(np.float32) / 255
        under = self.picture[part]
        under[:] = np.rint(under + (colour.astype(np.float32) - under) * share)
        if depth is None:
            return
        factor = self.FACTOR
        x0, y0 = box.x0 // factor, box.y0 // factor
        x1, y1 = -(-box.x1 // factor), -(-box.y1 // factor)
        whole_colour = np.zeros(((y1 - y0) * factor, (x1 - x0) * factor, 3), np.uint8)
        whole_mask = np.zeros(whole_colour.shape[:2], np.uint8)
        top, left = box.y0 - y0 * factor, box.x0 - x0 * factor
        whole_colour[top : top + colour.shape[0], left : left + colour.shape[1]] = colour
        whole_mask[top : top + soft.shape[0], left : left + soft.shape[1]] = soft
        size = (x1 - x0, y1 - y0)
        self._occluders.append(
            Occluder(
                depth,
                Box(x0, y0, x1, y1),
                cv2.resize(whole_colour, size, interpolation=cv2.INTER_AREA),
                cv2.resize(whole_mask, size, interpolation=cv2.INTER_AREA),
            )
        )

    # The end -----------------------------------------------------------------------------------

    PHASES = 12

    def finish(self) -> Backdrop:
        """The backdrop at the size of the view."""
        size = (self.view.width, self.view.height)
        picture = cv2.resize(self.picture, size, interpolation=cv2.INTER_AREA)
        swaying = []
        for crown in self._crowns:
            swaying.append(self._sway(picture, crown))
        return Backdrop(picture, tuple(self._occluders), tuple(s for s in swaying if s is not None))

    def _sway(self, picture: Picture, crown: Body) -> Swaying | None:
        wobble = self._rng.uniform(0, 2 * np.pi, len(crown.ends))
        occluders = []
        for phase in np.linspace(0, 2 * np.pi, self.PHASES, endpoint=False):
            ends = crown.ends.copy()
            shift = 0.05 * np.sin(phase) + 0.018 * np.sin(phase + wobble)
            ends[..., 0] += (shift * ends[:, 0, 1] / 5.0)[:, None]
            ends[..., 1] += (0.012 * np.sin(phase + wobble))[:, None]
            moved = Body(crown.foot, ends, crown.radii, crown.colours)
            drawn = stencil(moved, self.view, self.sun[0] < 0)
            if drawn is None:
                return None
            colour = np.zeros_like(picture)
            mask = np.zeros(picture.shape[:2], np.uint8)
            paint(colour, drawn)
            for polygon, _ in drawn.polygons:
                cv2.fillConvexPoly(mask, polygon, 255, cv2.LINE_AA, 4)
            occluders.append((drawn, colour, mask))
        x0 = min(drawn.box.x0 for drawn, _, _ in occluders)
        y0 = min(drawn.box.y0 for drawn, _, _ in occluders)
        x1 = max(drawn.box.x1 for drawn, _, _ in occluders)
        y1 = max(drawn.box.y1 for drawn, _, _ in occluders)
        box = Box(x0, y0, x1, y1)
        part = (slice(y0, y1), slice(x0, x1))
        covers = tuple(
            Occluder(drawn.depth, box, colour[part].copy(), mask[part].copy())
            for drawn, colour, mask in occluders
        )
        phases = []
        for cover in covers:
            place = picture.copy()
            cover.cover(place, box)
            phases.append(place[part].copy())
        # Later crowns are painted over the middle phase of this one.
        picture[part] = phases[0]
        return Swaying(box, tuple(phases), covers)


_SIGNS: tuple[Colour, ...] = (
    (70, 62, 52),
    (54, 74, 44),
    (52, 52, 122),
    (92, 68, 46),
    (150, 156, 160),
    (60, 96, 128),
    (84, 66, 78),
)


def _lit(share: float, blue: float, green: float, red: float) -> tuple[float, float, float]:
    return blue * share, green * share, red * share


def facade(
    width_m: float,
    height_m: float,
    rng: np.random.Generator,
    wall: Colour,
    shops: bool = True,
    bay_m: float = 3.0,
    storey_m: float = 3.3,
) -> Picture:
    """A front with rows of windows, and shop windows on the ground floor; 32 pixels a metre."""
    scale = 32
    h, w = int(height_m * scale), int(width_m * scale)
    texture = np.empty((h, w, 3), np.float32)
    texture[:] = wall
    grain = rng.normal(0, 1, (h // 8 + 1, w // 8 + 1)).astype(np.float32)
    texture *= 1 + 0.03 * cv2.resize(grain, (w, h), interpolation=cv2.INTER_CUBIC)[..., None]
    for row in range(0, h, 10):  # courses of brick
        texture[row : row + 1] *= 0.93
    picture: Picture = np.clip(texture, 0, 255).astype(np.uint8)
    bays, storeys = max(int(width_m // bay_m), 1), int(height_m // storey_m)

    def rect(x0: float, y0: float, x1: float, y1: float, colour: tuple[float, ...]) -> None:
        """Metres from the left and above the ground."""
        corner = (int(x0 * scale), int((height_m - y1) * scale))
        opposite = (int(x1 * scale), int((height_m - y0) * scale))
        cv2.rectangle(picture, corner, opposite, colour, -1)

    for bay in range(bays):
        left = bay * width_m / bays
        middle = left + width_m / bays / 2
        for storey in range(1 if shops else 0, max(storeys, 1)):
            floor = storey * storey_m
            glass = rng.uniform(0.35, 0.75)
            rect(middle - 0.75, floor + 0.75, middle + 0.75, floor + 2.65, (205, 208, 210))
            rect(
                middle - 0.65, floor + 0.85, middle + 0.65, floor + 2.55, _lit(glass, 112, 100, 88)
            )
            rect(middle - 0.62, floor + 1.6, middle + 0.62, floor + 2.5, _lit(glass, 190, 172, 152))
            rect(middle - 0.03, floor + 0.85, middle + 0.03, floor + 2.55, (200, 204, 205))
            rect(middle - 0.85, floor + 0.6, middle + 0.85, floor + 0.75, (165, 170, 172))
        if shops:
            sign = _SIGNS[int(rng.integers(len(_SIGNS)))]
            rect(left + 0.25, 0.0, left + width_m / bays - 0.25, 2.7, (48, 44, 42))
            end, inside = left + width_m / bays, rng.uniform(0.55, 1.0)
            rect(left + 0.4, 0.45, end - 1.25, 2.4, _lit(inside, 108, 138, 158))
            rect(left + 0.4, 1.9, end - 1.25, 2.4, _lit(inside, 150, 188, 205))
            for _ in range(5):
                x = left + rng.uniform(0.5, width_m / bays - 1.6)
                goods = _SIGNS[int(rng.integers(len(_SIGNS)))]
                rect(x, 0.5, x + rng.uniform(0.15, 0.4), rng.uniform(0.8, 1.5), goods)
            rect(left + width_m / bays - 1.1, 0.0, left + width_m / bays - 0.4, 2.3, (70, 64, 58))
            rect(left + 0.2, 2.7, left + width_m / bays - 0.2, 3.15, sign)
    if shops:
        rect(0, 3.2, width_m, 3.35, (185, 190, 192))
    rect(0, height_m - 0.35, width_m, height_m, (178, 182, 184))
    return picture
