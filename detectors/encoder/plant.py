"""Planting: put something that moved elsewhere, or at another speed, into a window.

What is planted is a blob: one connected thing that moves in the newest frame of some run, followed
back in time along its own flow. It is pasted softly, with its luma, flow and difference, so that
the seam tells nothing; besides, ordinary things are pasted the same way and are not anomalies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.encoder.contract import CHANNELS, DIFFERENCE, FLOW, LUMA
from detectors.encoder.features import DIFFERENCE_UNIT, FLOW_LIMIT, FLOW_UNIT_PX, pack, unpack
from detectors.encoder.footage import Run

MIN_AREA_PX = 30
MIN_SIDE_PX, MAX_SIDE_PX = 6, 64
MARGIN_PX = 3


class Kind(IntEnum):
    """What was planted; NORMAL and SLOW are pasted but not called anomalies."""

    NORMAL = 0
    FAST = 1
    SCALED = 2
    TURNED = 3
    FOREIGN = 4
    SLOW = 5


ANOMALIES = (Kind.FAST, Kind.SCALED, Kind.TURNED, Kind.FOREIGN)


@dataclass(frozen=True, slots=True)
class Blob:
    """A moving thing: T patches (T, 7, b, c) float32 as in X, its soft mask (T, b, c) in [0, 1],
    and the middles (T, 2) of the patches, y and x in pixels of its run."""

    patches: NDArray[np.float32]
    masks: NDArray[np.float32]
    middles: NDArray[np.float32]


def crop(run: Run, i: int, y0: int, x0: int, height: int, width: int) -> NDArray[np.float32]:
    """One frame of X (7, height, width), cut out of a run; beyond its border luma is repeated."""
    h, w = run.size
    ya, xa, yb, xb = max(0, y0), max(0, x0), min(h, y0 + height), min(w, x0 + width)
    out = np.zeros((len(CHANNELS), height, width), np.float32)
    if ya >= yb or xa >= xb:
        return out
    to = out[:, ya - y0 : yb - y0, xa - x0 : xb - x0]
    detail = run.details[run.picks[i], 2 * ya : 2 * yb, 2 * xa : 2 * xb]
    to[LUMA] = pack(detail.astype(np.float32)) * np.float32(1 / 255)
    flow = run.flow[i, ya:yb, xa:xb].astype(np.float32)
    to[FLOW] = np.clip(flow.transpose(2, 0, 1) / FLOW_UNIT_PX, -FLOW_LIMIT, FLOW_LIMIT)
    to[DIFFERENCE] = run.difference[i, ya:yb, xa:xb] * np.float32(1 / DIFFERENCE_UNIT)
    if (yb - ya, xb - xa) != (height, width):
        pad = ((0, 0), (ya - y0, y0 + height - yb), (xa - x0, x0 + width - xb))
        out[LUMA] = np.pad(to[LUMA].copy(), pad, mode="edge")
    return out


def moving_boxes(run: Run, i: int) -> list[tuple[int, int, int, int]]:
    """Boxes (y, x, height, width) of the things that move in frame i and are of a usable size."""
    moving = (run.difference[i] > 0).astype(np.uint8)
    if not moving.any():
        return []
    moving = np.asarray(cv2.morphologyEx(moving, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8)))
    n, _, stats, _ = cv2.connectedComponentsWithStats(moving, connectivity=8)
    return [
        (y, x, b, c)
        for x, y, c, b, area in stats[1:n].tolist()
        if area >= MIN_AREA_PX
        and MIN_SIDE_PX <= max(b, c) <= MAX_SIDE_PX
        and min(b, c) >= MIN_SIDE_PX // 2
    ]


def take(run: Run, i: int, frames: int, box: tuple[int, int, int, int]) -> Blob:
    """The blob in `box` of frame i, followed back over `frames` frames along its mean flow."""
    y, x, b, c = box
    height, width = b + 2 * MARGIN_PX, c + 2 * MARGIN_PX
    middle = np.array([y + b / 2, x + c / 2], np.float32)
    patches = np.zeros((frames, len(CHANNELS), height, width), np.float32)
    masks = np.zeros((frames, height, width), np.float32)
    middles = np.zeros((frames, 2), np.float32)
    kernel = np.ones((3, 3), np.uint8)
    for k in range(frames - 1, -1, -1):
        at = i - (frames - 1 - k)
        y0, x0 = (int(v) for v in np.round(middle - (height / 2, width / 2)))
        patches[k] = crop(run, at, y0, x0, height, width)
        middles[k] = middle
        moving = patches[k, DIFFERENCE] > 0
        mask = cv2.morphologyEx(moving.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        mask = cv2.dilate(mask, kernel).astype(np.float32)
        mask[[0, -1], :] = 0
        mask[:, [0, -1]] = 0
        masks[k] = cv2.GaussianBlur(mask, (3, 3), 0)
        if moving.any():
            # From the earlier frame to this one: so the way back is the flow, negated.
            u = float(patches[k, FLOW.start][moving].mean()) * FLOW_UNIT_PX
            v = float(patches[k, FLOW.start + 1][moving].mean()) * FLOW_UNIT_PX
            middle = middle - np.array([v, u], np.float32)
    return Blob(patches, masks, middles)


def resize(x: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Frames of X (..., 7, h, w) at another (height, width); flow is not made longer by it."""
    luma = pack(_resize(unpack(x[..., LUMA, :, :]), (2 * size[0], 2 * size[1])))
    motion = _resize(x[..., LUMA.stop :, :, :], size)
    return np.concatenate([np.asarray(luma, np.float32), motion], -3)


def _resize(planes: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resize the last two axes."""
    flat = planes.reshape(-1, *planes.shape[-2:])
    resized = np.stack([cv2.resize(plane, size[::-1]) for plane in flat]).astype(np.float32)
    return resized.reshape(*planes.shape[:-2], *size)


def scale(blob: Blob, factor: float) -> Blob:
    """The same thing larger or smaller, moving as fast as before."""
    height, width = blob.masks.shape[1:]
    size = (max(4, round(height * factor)), max(4, round(width * factor)))
    return Blob(resize(blob.patches, size), _resize(blob.masks, size), blob.middles)


def turn(blob: Blob, angle: float) -> Blob:
    """The same thing going another way: flow and path turned by `angle` radians."""
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    patches = blob.patches.copy()
    x, y = FLOW.start, FLOW.start + 1
    u, v = blob.patches[:, x], blob.patches[:, y]
    patches[:, x], patches[:, y] = cos * u - sin * v, sin * u + cos * v
    down, right = (blob.middles - blob.middles[-1]).T
    middles = np.stack([sin * right + cos * down, cos * right - sin * down], 1) + blob.middles[-1]
    return Blob(patches, blob.masks, middles.astype(np.float32))


def paste(x: NDArray[np.float32], blob: Blob, where: Sequence[float]) -> NDArray[np.float32]:
    """Paste into X (T, 7, h, w) in place, so that the blob ends at `where` (y, x).

    Returns the newest frame's mask (h, w) in [0, 1].
    """
    t, _, h, w = x.shape
    height, width = blob.masks.shape[1:]
    newest = np.zeros((h, w), np.float32)
    for k in range(t):
        middle = blob.middles[k] - blob.middles[-1] + np.asarray(where, np.float32)
        y0, x0 = (int(v) for v in np.round(middle - (height / 2, width / 2)))
        ya, xa, yb, xb = max(0, y0), max(0, x0), min(h, y0 + height), min(w, x0 + width)
        if ya >= yb or xa >= xb:
            continue
        rows, columns = slice(ya - y0, yb - y0), slice(xa - x0, xb - x0)
        mask = blob.masks[k, rows, columns]
        patch = blob.patches[k][:, rows, columns].copy()
        below = x[k, :, ya:yb, xa:xb]
        outside = mask < 0.1
        if outside.any():  # bring its background to the light that is here
            light = below[LUMA][:, outside].mean() - patch[LUMA][:, outside].mean()
            patch[LUMA] = np.clip(patch[LUMA] + light, 0.0, 1.0)
        below += mask * (patch - below)
        if k == t - 1:
            newest[ya:yb, xa:xb] = mask
    return newest
