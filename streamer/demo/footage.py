"""Data sets of recorded footage (`train/`, `test/`, `labels.json`) as films for the demo."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from sorawatch import ConfigError, SourceError
from streamer.demo.brush import Picture
from streamer.demo.render import Truth, encode_h264
from streamer.demo.scene import Planted

_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
_VIDEOS = frozenset({".mp4", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".ts", ".webm"})
_FASTEST_FPS, _LONGEST_S = 240.0, 3600.0
_LONG_SIDE = 1280  # larger footage is reduced before it is served: the demo shows, it does not test


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a data set: a video file or a folder of pictures, and what is true of it."""

    name: str
    source: Path
    truth: Truth


@dataclass(frozen=True, slots=True)
class DataSet:
    """Normal footage to learn from, and entries with events."""

    name: str
    train: tuple[Path, ...]
    test: tuple[Entry, ...]


def read_data_set(folder: Path) -> DataSet:
    """Read a data set: `train/` and `test/` hold video files or folders of pictures, and
    `labels.json` maps the name of each test entry to `{"frames": 180, "fps": 10, "anomalous":
    [[60, 180]]}`: intervals of frames, counted from 0, end excluded.

    Raises ConfigError that names the file and what is wrong with it.
    """
    labels_path = folder / "labels.json"
    try:
        labels = json.loads(labels_path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{labels_path} cannot be read: {exc}") from exc
    if not isinstance(labels, dict):
        raise ConfigError(f"{labels_path} must hold an object: entry name to its labels")
    train, test = _entries(folder / "train"), _entries(folder / "test")
    found: dict[str, Path] = {}
    for path in test:
        name = path.stem if path.is_file() else path.name
        if name in found:
            raise ConfigError(f"{path} and {found[name]} are both called {name!r}")
        found[name] = path
    missing = sorted(set(found) ^ set(labels))
    if missing:
        raise ConfigError(f"{labels_path} and {folder / 'test'} disagree about {missing[0]!r}")
    entries = tuple(
        Entry(name, found[name], _truth(labels_path, name, labels[name])) for name in found
    )
    return DataSet(folder.resolve().name, train, entries)


def _entries(folder: Path) -> tuple[Path, ...]:
    try:
        inside = sorted(folder.iterdir(), key=lambda path: _natural(path.name))
    except OSError as exc:
        raise ConfigError(f"{folder} cannot be read: {exc.strerror}") from exc
    found = tuple(
        path
        for path in inside
        if not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() in _VIDEOS)
    )
    if not found:
        raise ConfigError(f"{folder} holds neither video files nor folders of pictures")
    return found


def _truth(labels_path: Path, name: str, label: Any) -> Truth:
    try:
        frames, fps = int(label["frames"]), float(label["fps"])
        intervals = [(int(start), int(end)) for start, end in label["anomalous"]]
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise ConfigError(f"{labels_path}: {name}: cannot be understood: {exc!r}") from exc
    if not 1 <= fps <= _FASTEST_FPS or not 0 < frames <= _LONGEST_S * fps:
        raise ConfigError(
            f"{labels_path}: {name}: {frames} frames at {fps:g} a second: the demo shows 1 to "
            f"{_FASTEST_FPS:.0f} a second, for {_LONGEST_S / 3600:.0f} hour at most"
        )
    if not all(0 <= a < b <= frames for a, b in intervals):
        raise ConfigError(f"{labels_path}: {name}: an interval lies outside the footage")
    # Labels by frame say when, not where: without boxes any place is the right one.
    return Truth(frames, fps, tuple(Planted("event", a, b, {}) for a, b in intervals))


def _natural(name: str) -> list[tuple[int, str]]:
    """2 before 10."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", name)]


def pictures(source: Path) -> Iterator[Picture]:
    """Every picture of a video file or folder, (h, w, 3) uint8 BGR, at most 1280 pixels long.

    Raises SourceError when there is none, or one cannot be read.
    """
    count = 0
    for picture in _folder(source) if source.is_dir() else _video(source):
        count += 1
        yield _reduced(picture)
    if count == 0:
        raise SourceError(f"{source} holds no picture", "ended")


def _folder(folder: Path) -> Iterator[Picture]:
    files = [path for path in folder.iterdir() if path.suffix.lower() in _PICTURES]
    for path in sorted(files, key=lambda path: _natural(path.name)):
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise SourceError(f"{path} is no picture", "codec")
        yield np.asarray(picture, dtype=np.uint8)


def _video(path: Path) -> Iterator[Picture]:
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield np.asarray(frame.to_ndarray(format="bgr24"), dtype=np.uint8)
    except (av.FFmpegError, IndexError, OSError) as exc:
        raise SourceError(f"{path} cannot be read: {exc}", "codec") from exc


def _reduced(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    if max(height, width) <= _LONG_SIDE:
        return picture
    scale = _LONG_SIDE / max(height, width)
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def encode_entry(entry: Entry, path: Path, seconds: float) -> Truth:
    """Encode an entry as H.264, its last picture repeated until it lasts `seconds`.

    So all cameras of a data set end together. Returns the truth, with the frames there really are.
    """
    fps = entry.truth.fps
    last: Picture | None = None
    count = 0

    def all_of_them() -> Iterator[Picture]:
        nonlocal last, count
        for picture in pictures(entry.source):
            last, count = picture, count + 1
            yield picture

    def tail() -> Iterator[Picture]:
        if last is not None:
            yield from repeat(last, max(0, round(seconds * fps) - count))

    encode_h264(chain(all_of_them(), tail()), path, fps)
    return Truth(count, fps, entry.truth.events)
