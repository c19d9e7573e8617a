"""A picture for an alert: which camera, when, where, how unusual, and why."""

import math

import cv2
import numpy as np

from streamer.demo.brush import Picture

Share = tuple[float, float, float, float]
"""x, y, width, height as shares of the picture."""

_FRAME = (40, 60, 255)
_TEXT = (255, 255, 255)
_LEAST_WIDTH = 640  # smaller pictures are enlarged, or the writing would cover them


def annotate(picture: Picture, heading: str, reason: str | None, region: Share | None) -> Picture:
    """The picture (h, w, 3) BGR with its region framed, between a heading and a reason.

    The bands with the writing are added above and below: nothing of the picture is covered. None
    for what the picture already has.
    """
    height, width = picture.shape[:2]
    factor = max(1, math.ceil(_LEAST_WIDTH / width))
    out = cv2.resize(
        picture, (width * factor, height * factor), interpolation=cv2.INTER_CUBIC
    ) if factor > 1 else picture.copy()  # fmt: skip
    height, width = out.shape[:2]
    if region is not None:
        left, top = round(region[0] * width), round(region[1] * height)
        right = round((region[0] + region[2]) * width)
        bottom = round((region[1] + region[3]) * height)
        thick = max(2, width // 320)
        cv2.rectangle(out, (left, top), (right, bottom), _FRAME, thick, cv2.LINE_AA)
    parts = [_band(heading, width), out]
    if reason is not None:
        parts.append(_band(reason, width))
    return np.asarray(np.vstack(parts), dtype=np.uint8)


def _band(text: str, width: int) -> Picture:
    """A dark strip with one line of text, smaller if it would not fit."""
    plain = text.encode("ascii", "replace").decode()  # the built-in font has no other letters
    scale = width / 1280
    (wide, _), _ = cv2.getTextSize(plain, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    if wide > width - 16:
        scale *= (width - 16) / wide
    tall = max(20, width // 29)
    strip = np.full((tall, width, 3), 34, np.uint8)
    at = (8, round(tall * 0.68))
    cv2.putText(strip, plain, at, cv2.FONT_HERSHEY_SIMPLEX, scale, _TEXT, 1, cv2.LINE_AA)
    return strip
