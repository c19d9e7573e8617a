"""The camera of the rendered world: a pinhole on a post that looks down on a plane.

World coordinates are metres: x to the right, y up, z away from the camera's foot. The camera
stands above the origin; `yaw` turns it, `pitch` tilts it down.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]

NEAREST_M = 0.5
"""Things nearer than this are projected as if they were this far: they are out of the picture."""


@dataclass(frozen=True, slots=True)
class View:
    """A fixed camera. Angles in radians, `post_m` is the height of the lens above the ground."""

    width: int
    height: int
    horizontal_angle: float
    post_m: float
    pitch: float
    yaw: float = 0.0

    @property
    def focal_px(self) -> float:
        """Pixels that one metre at one metre's distance takes."""
        return self.width / 2 / math.tan(self.horizontal_angle / 2)

    def scaled(self, factor: int) -> "View":
        """The same view on a picture `factor` times as large."""
        return View(
            self.width * factor,
            self.height * factor,
            self.horizontal_angle,
            self.post_m,
            self.pitch,
            self.yaw,
        )

    def project(self, points: Points) -> Points:
        """World points (n, 3) to (n, 3): column, row (pixels) and depth (metres)."""
        sin_p, cos_p = math.sin(self.pitch), math.cos(self.pitch)
        sin_y, cos_y = math.sin(self.yaw), math.cos(self.yaw)
        x = points[:, 0] * cos_y - points[:, 2] * sin_y
        z = points[:, 0] * sin_y + points[:, 2] * cos_y
        y = points[:, 1] - self.post_m
        depth = np.maximum(z * cos_p - y * sin_p, NEAREST_M)
        scale = self.focal_px / depth
        out = np.empty((len(points), 3))
        out[:, 0] = self.width / 2 + x * scale
        out[:, 1] = self.height / 2 - (z * sin_p + y * cos_p) * scale
        out[:, 2] = depth
        return out

    def ground(self) -> tuple[Points, Points, NDArray[np.bool_]]:
        """Where each pixel looks at the ground: x and z (h, w) in metres, and which pixels do.

        Pixels that look at the sky get the coordinates of a very far point.
        """
        columns = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal_px
        rows = (np.arange(self.height) + 0.5 - self.height / 2) / self.focal_px
        sin_p, cos_p = math.sin(self.pitch), math.cos(self.pitch)
        drop = rows * cos_p + sin_p
        below = drop > 1e-3
        distance = self.post_m / np.where(below, drop, 1e-3)
        ahead = ((cos_p - rows * sin_p) * distance)[:, None]
        aside = columns[None, :] * distance[:, None]
        sin_y, cos_y = math.sin(self.yaw), math.cos(self.yaw)
        x = aside * cos_y + ahead * sin_y
        z = ahead * cos_y - aside * sin_y
        return x, z, np.broadcast_to(below[:, None], x.shape)
