"""A labelled data set: `train/`, `test/` and `labels.json`, checked before anything is read.

The layout is told in docs/datasets.md. Everything wrong with it is a ConfigError that names the
file and the key.
"""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sorawatch import ConfigError
from streamer.capture.source import DEFAULT_FOLDER_FPS, Source
from streamer.evaluation.tracks import Track, natural, read_masks, read_tracks

_SUFFIXES: Final = (
    "3gp 264 265 asf avi flv h264 h265 hevc m2ts m4v mjpeg mjpg mkv mov mp4 mpeg mpg mts ogv ts "
    "vob webm wmv y4m"
)
VIDEO_SUFFIXES: Final = frozenset(f".{name}" for name in _SUFFIXES.split())
_HIGHEST_FPS: Final = 1000.0
_MOST_FRAMES: Final = 100_000_000
_KNOWN_KEYS: Final = frozenset({"frames", "fps", "anomalous", "tracks"})


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of one entry.

    `frames`: how many it has. `fps`: how many of them a second. `anomalous`: intervals of frames,
    counted from 0, end excluded, ascending and apart from each other: the *events*. `tracks`:
    where the anomalous things are; None where neither labels.json nor masks say it.
    """

    frames: int
    fps: float
    anomalous: tuple[tuple[int, int], ...]
    tracks: tuple[Track, ...] | None = None

    def mask(self) -> NDArray[np.bool_]:
        """Whether each frame is anomalous, (frames,)."""
        out = np.zeros(self.frames, np.bool_)
        for start, end in self.anomalous:
            out[start:end] = True
        return out


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the test split."""

    name: str
    source: Source
    truth: Truth


@dataclass(frozen=True, slots=True)
class DataSet:
    """Normal footage to learn from, and entries with events. `notes`: what people should know."""

    name: str
    folder: Path
    train: tuple[Source, ...]
    test: tuple[Entry, ...]
    notes: tuple[str, ...]


def read_data_set(folder: Path) -> DataSet:
    """Read and check a data set; no footage is opened. Raises ConfigError."""
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: no such folder: give one that holds train/, test/, labels.json"
        )
    notes: list[str] = []
    train, test = _split(folder / "train", notes), _split(folder / "test", notes)
    labels_path = folder / "labels.json"
    labels = _labels(labels_path)
    for name in labels.keys() - test.keys():
        raise ConfigError(f"{labels_path}: {name!r}: there is no such entry in {folder / 'test'}")
    for name in test.keys() - labels.keys():
        raise ConfigError(f"{labels_path}: has no key {name!r} for the entry {test[name]}")
    truths = {name: _truth(labels_path, name, labels[name], notes) for name in test}
    _check_located(truths, notes)
    rates = Counter(truth.fps for truth in truths.values())
    # Nothing says how fast folders of train/ play, but all of it is to be one camera.
    common = next(iter(rates)) if len(rates) == 1 else DEFAULT_FOLDER_FPS
    return DataSet(
        name=folder.resolve().name,
        folder=folder,
        train=tuple(_source(path, common) for path in train.values()),
        test=tuple(
            Entry(name, _source(path, truths[name].fps), truths[name])
            for name, path in test.items()
        ),
        notes=tuple(notes),
    )


def read_truths(path: Path) -> tuple[dict[str, Truth], list[str]]:
    """A `labels.json` alone, and notes on it: what is true of each entry. Raises ConfigError."""
    notes: list[str] = []
    labels = _labels(path)
    return {name: _truth(path, name, label, notes) for name, label in labels.items()}, notes


def _source(path: Path, fps: float) -> Source:
    return Source.parse(str(path.absolute()) + ("/" if path.is_dir() else ""), fps=fps)


def _split(folder: Path, notes: list[str]) -> dict[str, Path]:
    """Entries of a split by name, in natural order."""
    try:
        inside = sorted(folder.iterdir(), key=lambda path: natural(path.name))
    except OSError as exc:
        raise ConfigError(f"{folder}: cannot be read: {exc.strerror or exc}") from exc
    found: dict[str, Path] = {}
    for path in inside:
        if path.name.startswith("."):
            continue
        if not path.is_dir() and path.suffix.lower() not in VIDEO_SUFFIXES:
            notes.append(f"{path}: passed over: neither a video file nor a folder of frames")
            continue
        name = path.name if path.is_dir() else path.stem
        if name in found:
            raise ConfigError(f"{path} and {found[name]} are both called {name!r}: rename one")
        found[name] = path
    if not found:
        raise ConfigError(f"{folder}: holds neither video files nor folders of frames")
    return found


def _labels(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{path}: cannot be understood: {exc}") from exc
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: must hold an object that maps each entry to its labels")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = Counter(key for key, _ in pairs)
    for key, count in keys.items():
        if count > 1:
            raise ValueError(f"the key {key!r} comes {count} times")
    return dict(pairs)


def _truth(path: Path, name: str, label: Any, notes: list[str]) -> Truth:
    """The labels of one entry, each of its keys checked."""
    at = f"{path}: {name!r}"
    if not isinstance(label, dict):
        raise ConfigError(f"{at}: must be an object with frames, fps and anomalous")
    for key in ("frames", "fps", "anomalous"):
        if key not in label:
            raise ConfigError(f"{at}: has no {key!r}")
    frames, fps = label["frames"], label["fps"]
    if not _is_whole(frames) or not 1 <= frames <= _MOST_FRAMES:
        raise ConfigError(f"{at}: frames must be a whole number above 0, not {frames!r}")
    if not _is_number(fps) or not 0 < fps <= _HIGHEST_FPS:
        raise ConfigError(
            f"{at}: fps must be a number above 0, at most {_HIGHEST_FPS:g}, not {fps!r}"
        )
    if unknown := sorted(label.keys() - _KNOWN_KEYS):
        notes.append(f"{at}: passed over: {', '.join(map(repr, unknown))}")
    anomalous = _intervals(at, label["anomalous"], frames, notes)
    if "tracks" in label:
        tracks: tuple[Track, ...] | None = read_tracks(at, label["tracks"], frames)
    else:
        tracks = read_masks(path.parent / "masks", name, frames)
    return Truth(frames, float(fps), anomalous, tracks)


def _check_located(truths: dict[str, Truth], notes: list[str]) -> None:
    """Say it where only some of the events have a place: RBDC and TBDC are then left out."""
    without = [name for name, one in truths.items() if one.anomalous and one.tracks is None]
    if without and any(one.tracks is not None for one in truths.values()):
        notes.append(f"{without[0]!r} has neither tracks nor masks: RBDC and TBDC are left out")


def _intervals(at: str, given: Any, frames: int, notes: list[str]) -> tuple[tuple[int, int], ...]:
    if not isinstance(given, list):
        raise ConfigError(f"{at}: anomalous must be a list of [start, end], not {given!r}")
    for pair in given:
        if not (isinstance(pair, list) and len(pair) == 2 and all(map(_is_whole, pair))):
            raise ConfigError(f"{at}: anomalous: {pair!r} is not [start, end] in whole frames")
        start, end = pair
        if not 0 <= start < end <= frames:
            raise ConfigError(
                f"{at}: anomalous: [{start}, {end}] does not lie within its {frames} frames "
                "(counted from 0, end excluded)"
            )
    apart: list[tuple[int, int]] = []
    for start, end in sorted(tuple(pair) for pair in given):
        if apart and start <= apart[-1][1]:
            notes.append(f"{at}: anomalous: intervals that touch at {start} are taken as one event")
            apart[-1] = (apart[-1][0], max(apart[-1][1], end))
        else:
            apart.append((start, end))
    return tuple(apart)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
