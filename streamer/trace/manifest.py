"""`replay.json`: what was replayed, with what, and how far; written last at every stage.

The folder of a replay::

    replay.json                     this
    trace/<camera>/NNNN.parquet     a trace for each source, in order of time
    trace/<camera>/NNNN.events.jsonl   the messages that were made of it, not yet numbered
    normal/<camera>.normal          the normality that it was scored with
    events.jsonl, pictures/         what was told
"""

import json
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from detectors.arrayfile import write_atomic
from sorawatch import ReplayError
from streamer.config import CameraName
from streamer.config_judge import JudgeConfig

FORMAT: Final = "sorawatch.replay"
VERSION: Final = 1
MANIFEST: Final = "replay.json"
EVENTS: Final = "events.jsonl"
PICTURES: Final = "pictures"
REPORT: Final = "report.html"
OWN: Final = frozenset({MANIFEST, EVENTS, PICTURES, REPORT, "trace", "normal"})
"""Names that a replay's folder may hold."""

_MAX_BYTES: Final = 64 * 1024 * 1024

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class SourceRecord(_Part):
    """One source, or one unbroken run of a recording's segments, and how far it was replayed.

    `file`: its trace, a name in `trace/<camera>`; None where it gave nothing. `source`: masked.
    `start_utc_s`, `end_utc_s`: of its first and last frame; what had to be known before, where it
    gave none. `complete`: it was replayed to its end. `problem`: why it was not, or what is odd.
    `identity`: SHA-256 of path, size, time of change and UTC of what was read.
    """

    file: Annotated[str, Field(pattern=r"^[0-9]{4,}\.parquet$")] | None
    source: str
    start_utc_s: Seconds
    end_utc_s: Seconds
    frames_read: Count
    frames_scored: Count
    complete: bool
    problem: str | None
    identity: Sha256


class CameraReplay(_Part):
    """What one camera was replayed with, and its sources in order of time."""

    normal_sha256: Sha256
    model_sha256: Sha256 | None
    config_sha256: Sha256
    provider: str | None
    fps: float = Field(gt=0, allow_inf_nan=False)
    alerts_per_day: float = Field(gt=0, allow_inf_nan=False)
    judge: JudgeConfig
    sources: tuple[SourceRecord, ...]


class Manifest(_Part):
    """`replay.json`."""

    format: Literal["sorawatch.replay"] = FORMAT
    version: Literal[1] = VERSION
    cameras: dict[CameraName, CameraReplay]

    def save(self, folder: Path) -> None:
        """Write it, whole or not at all; ResourceError when that cannot be done."""
        text = json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False)
        write_atomic(folder / MANIFEST, (text + "\n").encode())

    @property
    def complete(self) -> bool:
        """Whether every source was replayed to its end."""
        return all(s.complete for camera in self.cameras.values() for s in camera.sources)


def load_manifest(folder: Path) -> Manifest:
    """Read `folder`'s manifest; ReplayError says what is wrong with it."""
    path = folder / MANIFEST
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise ReplayError(
            f"{folder}: no replay: make one with sorawatch replay --out {folder}"
        ) from exc
    except OSError as exc:
        raise ReplayError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    try:
        tree = json.loads(data) if len(data) <= _MAX_BYTES else None
    except (ValueError, RecursionError) as exc:
        raise ReplayError(f"{path}: broken: no JSON ({exc}): replay into another folder") from exc
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise ReplayError(f"{path}: not a replay of Sorawatch")
    if tree.get("version") != VERSION:
        raise ReplayError(
            f"{path}: replay version {tree.get('version')!r:.20}, this program reads {VERSION}: "
            "replay into another folder"
        )
    try:
        return Manifest.model_validate(tree)
    except ValidationError as exc:
        error = exc.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in error["loc"])
        raise ReplayError(
            f"{path}: broken: {place}: {error['msg']}: replay into another folder"
        ) from exc


def trace_paths(folder: Path, manifest: Manifest, camera: str) -> list[Path]:
    """The trace files of a camera, in order of time."""
    sources = manifest.cameras[camera].sources
    return [trace_folder(folder, camera) / s.file for s in sources if s.file is not None]


def trace_folder(folder: Path, camera: str) -> Path:
    """Where a camera's traces lie."""
    return folder / "trace" / camera


def normal_path(folder: Path, camera: str) -> Path:
    """The normality that a camera was replayed with."""
    return folder / "normal" / f"{camera}.normal"
