"""A replay's folder, opened for deciding: its cameras, their calibrations and footage."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alerts.event import Provenance
from detectors.calibration import Calibration
from detectors.normality import load
from sorawatch import ConfigError, NormalityError
from streamer.deciding.redecide import Footage, Settings
from streamer.judging import judge_settings
from streamer.trace.manifest import (
    CameraReplay,
    SourceRecord,
    load_manifest,
    normal_path,
    trace_folder,
)
from streamer.trace.read import Words, read_columns
from streamer.trace.row import Gate
from streamer.trace.rows import RowReader

_COLUMNS = ("utc_s", "score", "strange", "conditions", "gate")


@dataclass(frozen=True)
class ReplayedSource:
    """One source of a camera. `number`: which of them, from 0. `path`: its trace."""

    camera: str
    number: int
    record: SourceRecord
    path: Path

    @property
    def start_utc_s(self) -> float:
        """UTC of its first frame."""
        return self.record.start_utc_s

    @property
    def end_utc_s(self) -> float:
        """UTC of its last frame."""
        return self.record.end_utc_s

    @property
    def name(self) -> str:
        """Its file's name, or the whole of it where that is no path."""
        return re.split(r"[/\\]", self.record.source.rstrip("/\\"))[-1] or self.record.source

    def footage(self) -> Footage:
        """What the judge was given: a few columns of the trace, read anew. Raises ReplayError."""
        columns = read_columns([self.path], _COLUMNS)
        conditions, gates = columns["conditions"], columns["gate"]
        assert isinstance(conditions, Words)  # noqa: S101 - both are columns of words
        assert isinstance(gates, Words)  # noqa: S101
        dark = [words for words in conditions.words if "dark" in words.split()]
        return Footage.of(
            np.asarray(columns["utc_s"]),
            np.asarray(columns["score"]),
            np.asarray(columns["strange"]),
            conditions.are(*dark),
            gates.are(Gate.INVALID, Gate.TORN),
            self.end_utc_s,
        )

    def times_s(self) -> NDArray[np.float64]:
        """(n,) UTC of every row of the trace. Raises ReplayError."""
        return np.asarray(read_columns([self.path], ["utc_s"])["utc_s"])

    @cached_property
    def facts(self) -> RowReader:
        """Single rows of the trace. Raises ReplayError."""
        return RowReader(self.path)


@dataclass(frozen=True)
class ReplayedCamera:
    """One camera of a replay. `today`: the settings that it was replayed with."""

    name: str
    facts: CameraReplay
    calibration: Calibration
    sources: tuple[ReplayedSource, ...]
    today: Settings
    provenance: Provenance


@dataclass(frozen=True)
class Replay:
    """A folder that `sorawatch replay` made."""

    folder: Path
    cameras: dict[str, ReplayedCamera]

    def only(self, names: tuple[str, ...]) -> "Replay":
        """With these cameras alone, all where none is named. ConfigError for one that it lacks."""
        for name in names:
            if name not in self.cameras:
                raise ConfigError(
                    f"{self.folder}: has no camera {name!r}; it has {', '.join(self.cameras)}"
                )
        chosen = {k: v for k, v in self.cameras.items() if not names or k in names}
        return Replay(self.folder, chosen)

    def sources(self) -> Iterator[tuple[ReplayedCamera, ReplayedSource]]:
        """Every source of every camera, in order."""
        for camera in self.cameras.values():
            for source in camera.sources:
                yield camera, source


def each_footage(
    sources: Iterable[tuple[ReplayedCamera, ReplayedSource]],
) -> Iterator[tuple[ReplayedCamera, ReplayedSource, Footage]]:
    """Every source with its footage, the next being read while one is worked on; two at most are
    in memory. Raises ReplayError where one cannot be read."""
    with ThreadPoolExecutor(1, "trace") as reader:
        ahead: deque[tuple[ReplayedCamera, ReplayedSource, Future[Footage]]] = deque()
        for camera, source in sources:
            ahead.append((camera, source, reader.submit(_watched, source)))
            if len(ahead) > 1:
                before, of, footage = ahead.popleft()
                yield before, of, footage.result()
        for before, of, footage in ahead:
            yield before, of, footage.result()


def _watched(source: ReplayedSource) -> Footage:
    footage = source.footage()
    _ = footage.watched  # whole arrays too, and kept
    return footage


def open_replay(folder: Path) -> Replay:
    """Open what `sorawatch replay --out FOLDER` wrote; no trace is read yet.

    ReplayError where it is none, broken or of another version; NormalityError where the copy of a
    camera's normality is missing or another one than it was scored with.
    """
    manifest = load_manifest(folder)
    cameras = {name: _camera(folder, name, one) for name, one in manifest.cameras.items()}
    if not cameras:
        raise ConfigError(f"{folder}: holds no camera: replay some footage into it first")
    return Replay(folder, cameras)


def _camera(folder: Path, name: str, facts: CameraReplay) -> ReplayedCamera:
    path = normal_path(folder, name)
    if not path.is_file():
        raise NormalityError(
            f"{path}: is not there; {name} cannot be decided on without what it was scored with: "
            "replay it anew"
        )
    normality = load(path)
    if normality.sha256 != facts.normal_sha256:
        raise NormalityError(
            f"{path}: is not the one that {name} was scored with: put it back, or replay it anew"
        )
    sources = tuple(
        ReplayedSource(name, number, record, trace_folder(folder, name) / record.file)
        for number, record in enumerate(facts.sources)
        if record.file is not None
    )
    today = Settings(facts.alerts_per_day, judge_settings(facts.judge))
    provenance = Provenance(
        model=facts.model_sha256, normal=facts.normal_sha256, config=facts.config_sha256
    )
    return ReplayedCamera(name, facts, normality.calibration, sources, today, provenance)
