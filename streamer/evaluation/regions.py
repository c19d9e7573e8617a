"""Whether it points at the right place: RBDC and TBDC.

Region-based and track-based detection criteria of Ramachandra & Jones, "Street Scene: A new dataset
and evaluation protocol for video anomaly detection" (WACV 2020), with their parameters. The
detector says one region a frame, so that there is at most one false region a frame, too; where the
curve ends before that, its last rate is held, as is usual.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streamer.evaluation.tracks import Box, Track

LEAST_IOU: Final = 0.1
"""From this overlap on a region of the truth counts as found."""

LEAST_SHARE: Final = 0.1
"""Found regions in a track's regions from which on the track counts as found."""


class Detection(NamedTuple):
    """A region that was pointed at in one frame of one entry."""

    entry: int
    frame: int
    box: Box
    score: float


class RegionFigures(NamedTuple):
    """Areas under region- and track-detection rate up to one false region a frame, in [0, 1]."""

    rbdc: float
    tbdc: float


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def region_figures(
    detections: Sequence[Detection], tracks: Sequence[Sequence[Track]], frames: int
) -> RegionFigures | None:
    """RBDC and TBDC. `tracks`: those of each entry; `frames`: of all entries together.

    A detection is right when it overlaps a region of the truth of its frame by `LEAST_IOU`, and may
    then find several; otherwise it is a false region. Detections of equal score come together. None
    when the truth has no regions.
    """
    flat = [(entry, track) for entry, own in enumerate(tracks) for track in own if track]
    regions = sum(len(track) for _, track in flat)
    if not regions or not frames:
        return None
    at: dict[tuple[int, int], list[tuple[int, Box]]] = {}
    for number, (entry, track) in enumerate(flat):
        for frame, box in track.items():
            at.setdefault((entry, frame), []).append((number, box))
    sizes = np.array([len(track) for _, track in flat])
    found = [0] * len(flat)
    seen: set[tuple[int, int]] = set()  # (track, frame)
    false = 0
    curve = [(0.0, 0.0, 0.0)]
    ordered = sorted(detections, key=lambda one: -one.score)
    for i, one in enumerate(ordered):
        hits = [
            number
            for number, box in at.get((one.entry, one.frame), ())
            if iou(box, one.box) >= LEAST_IOU
        ]
        false += not hits
        for number in hits:
            if (number, one.frame) not in seen:
                seen.add((number, one.frame))
                found[number] += 1
        if i + 1 == len(ordered) or ordered[i + 1].score < one.score:
            followed = np.array(found) >= LEAST_SHARE * sizes - 1e-9
            curve.append((false / frames, len(seen) / regions, float(followed.mean())))
    x, by_region, by_track = np.array(curve).T
    return RegionFigures(_area(x, by_region), _area(x, by_track))


def _area(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Area under the curve for x from 0 to 1; its last value is held where it ends before."""
    inside = x <= 1
    end = float(np.interp(1.0, x, y))
    x, y = np.append(x[inside], 1.0), np.append(y[inside], end)
    return float(((y[1:] + y[:-1]) / 2 * np.diff(x)).sum())
