"""Draw bodies and their shadows on a picture, and say which box they take."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.demo.body import Body
from streamer.demo.view import Points, View

Picture = NDArray[np.uint8]

_SHIFT = 4  # cv2's fixed point: sixteenths of a pixel
_ROUND = 5  # points on each rounded end of a capsule
_TURN = np.linspace(-np.pi / 2, np.pi / 2, _ROUND)[:, None]
_COS, _SIN, _RIGHT = np.cos(_TURN), np.sin(_TURN), np.array([1.0, 0.0])
_SHADED_PX = 34.0  # smaller figures get no light side: it would not be seen


class Box(NamedTuple):
    """A rectangle of the picture in pixels; `x1` and `y1` are excluded."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def area(self) -> int:
        """Pixels inside."""
        return max(0, self.x1 - self.x0) * max(0, self.y1 - self.y0)


@dataclass(frozen=True, slots=True)
class Stencil:
    """A body as seen from a view: polygons in sixteenths of a pixel, far to near."""

    polygons: list[tuple[NDArray[np.int32], tuple[float, float, float]]]
    depth: float
    box: Box


def capsule_outlines(ends: Points, radii: Points) -> Points:
    """Outlines (n, 2 * _ROUND, 2) of capsules given by `ends` (n, 2, 2) and `radii` (n, 2), px."""
    along = ends[:, 1] - ends[:, 0]
    length = np.hypot(along[:, 0], along[:, 1])[:, None]
    ahead = np.where(length > 1e-9, along / np.maximum(length, 1e-9), _RIGHT)
    across = np.empty_like(ahead)
    across[:, 0], across[:, 1] = -ahead[:, 1], ahead[:, 0]
    half = _COS * ahead[:, None] + _SIN * across[:, None]
    out = np.empty((len(ends), 2 * _ROUND, 2))
    out[:, :_ROUND] = ends[:, 1, None] + half * radii[:, 1, None, None]
    out[:, _ROUND:] = ends[:, 0, None] - half * radii[:, 0, None, None]
    return out


def _fixed(points: Points) -> NDArray[np.int32]:
    scaled = points * (1 << _SHIFT) + 0.5
    np.clip(scaled, -(1 << 24), 1 << 24, out=scaled)
    np.floor(scaled, out=scaled)
    return scaled.astype(np.int32)


def _outside(flat: Points, view: View, margin: float) -> bool:
    x0, y0 = flat.min(axis=0)
    x1, y1 = flat.max(axis=0)
    return bool(
        x1 < -margin or y1 < -margin or x0 > view.width + margin or y0 > view.height + margin
    )


def stencil(body: Body, view: View, light_from_right: bool = True) -> Stencil | None:
    """The body as the view sees it, or None when it is outside the picture."""
    count = len(body.ends)
    parts = [body.ends.reshape(-1, 3)] + [points for points, _ in body.faces]
    seen = view.project(np.concatenate(parts))
    flat, depths = seen[:, :2], seen[:, 2]
    margin = 0.4 * view.focal_px / float(depths.min())
    if _outside(flat, view, margin):
        return None
    polygons: list[tuple[NDArray[np.int32], tuple[float, float, float]]] = []
    corners = []
    at = 2 * count
    for points, colour in body.faces:
        face = flat[at : at + len(points)]
        at += len(points)
        polygons.append((_fixed(face), colour))
        corners.append(face)
    if count:
        ends = flat[: 2 * count].reshape(count, 2, 2)
        deep = depths[: 2 * count].reshape(count, 2)
        radii = np.maximum(body.radii * view.focal_px / deep, 0.45)
        outlines = capsule_outlines(ends, radii)
        corners.append(outlines.reshape(-1, 2))
        order = np.argsort(-deep.mean(axis=1), kind="stable")
        extent = float(np.ptp(outlines[..., 1]))
        base = _fixed(outlines)
        if extent > _SHADED_PX:
            side = 0.30 if light_from_right else -0.30
            offset = np.stack([radii * side, -radii * 0.18], axis=-1)
            lit = _fixed(capsule_outlines(ends + offset, radii * 0.66))
        colours = body.colours.tolist()
        for index in order.tolist():
            blue, green, red = colours[index]
            if extent > _SHADED_PX:
                polygons.append((base[index], (blue * 0.74, green * 0.72, red * 0.72)))
                polygons.append((lit[index], (blue * 1.03, green * 1.04, red * 1.06)))
            else:
                polygons.append((base[index], (blue * 0.9, green * 0.9, red * 0.9)))
    every = np.concatenate(corners)
    low, high = np.floor(every.min(axis=0)), np.ceil(every.max(axis=0)) + 1
    box = Box(
        int(np.clip(low[0], 0, view.width)),
        int(np.clip(low[1], 0, view.height)),
        int(np.clip(high[0], 0, view.width)),
        int(np.clip(high[1], 0, view.height)),
    )
    if box.area == 0:
        return None
    depth = float(view.project(body.foot[None])[0, 2])
    return Stencil(polygons, depth, box)


def paint(picture: Picture, drawn: Stencil) -> None:
    """Paint a stencil on the picture."""
    for polygon, colour in drawn.polygons:
        cv2.fillConvexPoly(picture, polygon, colour, cv2.LINE_AA, _SHIFT)


def cast(picture: Picture, body: Body, view: View, sun: tuple[float, float], dark: float) -> None:
    """Darken the ground where the body keeps the sun off.

    `sun`: metres that a shadow goes along x and z for each metre of height; `dark`: 0..1, how much
    light it takes.
    """
    if dark < 0.02:
        return
    count = len(body.ends)
    points = np.concatenate([body.ends.reshape(-1, 3), *(face for face, _ in body.faces)])
    ground = np.empty_like(points)
    ground[:, 0] = points[:, 0] + points[:, 1] * sun[0]
    ground[:, 1] = 0.0
    ground[:, 2] = points[:, 2] + points[:, 1] * sun[1]
    seen = view.project(ground)
    flat = seen[:, :2]
    low = np.maximum(np.floor(flat.min(axis=0)).astype(int) - 4, 0)
    high = np.minimum(np.ceil(flat.max(axis=0)).astype(int) + 5, (view.width, view.height))
    if high[0] - low[0] < 2 or high[1] - low[1] < 2:
        return
    light = np.full((high[1] - low[1], high[0] - low[0]), 255, dtype=np.uint8)
    tone = 255.0 * (1.0 - dark)
    if count:
        ends = flat[: 2 * count].reshape(count, 2, 2) - low
        deep = seen[: 2 * count, 2].reshape(count, 2)
        radii = np.maximum(body.radii * view.focal_px / deep, 0.5)
        # Seen from above a shadow is as wide as the limb, but the view squeezes it in height.
        for outline in _fixed(capsule_outlines(ends, radii * 0.8)):
            cv2.fillConvexPoly(light, outline, tone, cv2.LINE_AA, _SHIFT)
    at = 2 * count
    if body.faces:
        rest = (flat[at:] - low).astype(np.float32)
        cv2.fillConvexPoly(light, _fixed(cv2.convexHull(rest)[:, 0]), tone, cv2.LINE_AA, _SHIFT)
    light = cv2.blur(light, (3, 3))
    part = picture[low[1] : high[1], low[0] : high[0]]
    cv2.multiply(part, cv2.merge([light, light, light]), dst=part, scale=1 / 255)
