"""Where the anomalous things are: tracks of boxes from labels.json, or from masks of pixels."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from sorawatch import ConfigError

Box = tuple[float, float, float, float]
"""(x, y, width, height) as shares of the picture, origin at the top left."""

Track = Mapping[int, Box]
"""One anomalous thing: where it is, by frame."""

# Formats that keep pixels as they are: what JPEG compressed is a little anomalous all over.
_MASK_SUFFIXES: Final = frozenset({".png", ".bmp", ".tif", ".tiff", ".pgm", ".pbm"})
_SLACK: Final = 1e-3  # boxes may be rounded


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key by which 2 comes before 10."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", name)]


class _Component(NamedTuple):
    """A connected component of one mask: its pixels (h, w) bool, and its box."""

    pixels: NDArray[np.bool_]
    box: Box


def read_tracks(at: str, given: Any, frames: int) -> tuple[Track, ...]:
    """The `tracks` of one entry of labels.json; `at` names it. Raises ConfigError."""
    if not isinstance(given, list):
        raise ConfigError(f"{at}: tracks must be a list of objects with boxes, not {given!r}")
    tracks = []
    for number, one in enumerate(given):
        boxes = one.get("boxes") if isinstance(one, dict) else None
        if not isinstance(boxes, dict) or not boxes:
            raise ConfigError(f"{at}: tracks: number {number} has no boxes by frame")
        tracks.append(
            dict(
                sorted(
                    (_frame(f"{at}: tracks: number {number}", key, frames), _box(at, key, box))
                    for key, box in boxes.items()
                )
            )
        )
    return tuple(tracks)


def _frame(at: str, key: str, frames: int) -> int:
    short = len(key) <= len(str(frames))
    if not (short and key.isascii() and key.isdigit() and int(key) < frames):
        raise ConfigError(f"{at}: {key!r} is no frame of its {frames}, counted from 0")
    return int(key)


def _box(at: str, key: str, given: Any) -> Box:
    numbers = isinstance(given, list) and all(
        isinstance(side, int | float) and not isinstance(side, bool) and abs(side) < 2
        for side in given
    )
    if numbers and len(given) == 4:
        x, y, width, height = (float(side) for side in given)
        inside = x >= -_SLACK and y >= -_SLACK and x + width <= 1 + _SLACK
        if inside and y + height <= 1 + _SLACK and width > 0 and height > 0:
            return x, y, width, height
    raise ConfigError(
        f"{at}: tracks: the box of frame {key} must be [x, y, width, height] as shares of the "
        f"picture, not {given!r}"
    )


def read_masks(folder: Path, name: str, frames: int) -> tuple[Track, ...] | None:
    """Tracks from the masks of entry `name` in `folder`; None where it has none there.

    `folder`/`name`/ holds one picture a frame, in natural order; `folder`/`name`.npy an array
    (frames, h, w). What is not 0 is anomalous. Raises ConfigError.
    """
    array, pictures = folder / f"{name}.npy", folder / name
    if array.is_file():
        return link(_of_array(array, frames))
    if pictures.is_dir():
        return link(_of_pictures(pictures, frames))
    return None


def _of_array(path: Path, frames: int) -> Iterator[NDArray[np.bool_]]:
    try:
        masks = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as exc:
        raise ConfigError(f"{path}: cannot be read: {exc}") from exc
    if masks.ndim != 3 or masks.dtype.kind not in "buif" or 0 in masks.shape:
        raise ConfigError(f"{path}: must be numbers of shape (frames, h, w), not {masks.shape}")
    _check_count(path, len(masks), frames)
    return (np.asarray(mask) != 0 for mask in masks)


def _of_pictures(folder: Path, frames: int) -> Iterator[NDArray[np.bool_]]:
    paths = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in _MASK_SUFFIXES and not path.name.startswith(".")
    ]
    _check_count(folder, len(paths), frames)
    for path in sorted(paths, key=lambda path: natural(path.name)):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
        if mask is None:
            raise ConfigError(f"{path}: is no picture")
        yield np.asarray(mask != 0)


def _check_count(path: Path, count: int, frames: int) -> None:
    if count != frames:
        raise ConfigError(f"{path}: holds {count} masks, labels.json says {frames} frames")


def link(masks: Iterator[NDArray[np.bool_]]) -> tuple[Track, ...]:
    """Tracks of connected components (8 neighbours): each goes on as what it overlaps most.

    A component continues the track whose newest component, in the frame before, shares the most
    pixels with it; each track goes on once, the largest overlap first. Others begin anew.
    """
    tracks: list[dict[int, Box]] = []
    before: list[tuple[int, _Component]] = []
    for frame, mask in enumerate(masks):
        found = _components(mask)
        shared = [
            (int((old.pixels & new.pixels).sum()), track, i)
            for track, old in before
            for i, new in enumerate(found)
            if old.pixels.shape == new.pixels.shape
        ]
        track_of: dict[int, int] = {}
        for pixels, track, i in sorted(shared, key=lambda one: (-one[0], one[1:])):
            if pixels and i not in track_of and track not in track_of.values():
                track_of[i] = track
        before = []
        for i, component in enumerate(found):
            if i not in track_of:
                track_of[i] = len(tracks)
                tracks.append({})
            tracks[track_of[i]][frame] = component.box
            before.append((track_of[i], component))
    return tuple(tracks)


def _components(mask: NDArray[np.bool_]) -> list[_Component]:
    if not mask.any():
        return []
    height, width = mask.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    out = []
    for i in range(1, count):  # 0 is what is not anomalous
        x, y, w, h = (int(side) for side in stats[i, :4])
        box = (x / width, y / height, w / width, h / height)
        out.append(_Component(np.asarray(labels == i), box))
    return out
