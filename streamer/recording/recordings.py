"""Reading a recording: which segments there are, when, and what is wrong with them.

Only the index is read, and the files' sizes; a segment that is still open, or was when its
recorder was killed, is read to its end to see how far it reaches. Nothing is written.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

from sorawatch import ConfigError, SourceError
from streamer.config_fields import CAMERA_NAME
from streamer.recording.index import INDEX, read_index, untangled
from streamer.recording.measure import measure
from streamer.recording.segment import End, Segment

__all__ = ["Fault", "Segment", "cameras", "faults", "parse_utc", "segments"]

GAP_S: Final = 0.5
_SECONDS: Final = re.compile(r"-?\d+(\.\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that a recording lacks.

    gap: nothing was recorded between two segments. overlap: an index, written by something else,
    has two at the same time. clock: times are ahead of the wall clock, which was stepped back.
    truncated: a segment lacks what the index says it holds, or was never finished. empty: it holds
    no frame. missing: its file is gone. index: lines in it are illegible.
    `start_utc_s`, `end_utc_s`: when; None for what has no time.
    """

    kind: Literal["gap", "overlap", "clock", "truncated", "empty", "missing", "index"]
    camera: str
    start_utc_s: float | None
    end_utc_s: float | None
    text: str


def parse_utc(text: str) -> float:
    """Seconds since 1970 of a moment as people write it.

    ISO 8601, taken for UTC where it names no zone (`2026-11-27T14:30`, `2026-11-27`), or the
    seconds themselves. Raises ConfigError for anything else.
    """
    stripped = text.strip()
    if _SECONDS.fullmatch(stripped):
        return float(stripped)
    try:
        when = datetime.fromisoformat(stripped)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError) as exc:
        raise ConfigError(
            f"{text!r} is no time: write it as 2026-11-27T14:30:00 (UTC), or as seconds since 1970"
        ) from exc


def checked_camera(name: str) -> str:
    """The name of a camera, which is a folder's name too. Raises ConfigError for any other."""
    if not CAMERA_NAME.fullmatch(name):
        raise ConfigError(f"camera {name[:80]!r}: a name is 1 to 64 of A-Z, a-z, 0-9, _ and -")
    return name


def cameras(folder: Path) -> list[str]:
    """The cameras in a recording, by name. Raises ConfigError for a folder that is none."""
    found = [
        path.parent.name
        for path in folder.glob(f"*/{INDEX}")
        if CAMERA_NAME.fullmatch(path.parent.name)
    ]
    if not found:
        what = "holds no recording" if folder.is_dir() else "is not a folder"
        raise ConfigError(f"{folder} {what}; give what `sorawatch record --out` was given")
    return sorted(found)


def segments(
    folder: Path,
    camera: str,
    start_utc_s: float | None = None,
    end_utc_s: float | None = None,
) -> list[Segment]:
    """Segments of a camera that hold footage between two moments, in order of time.

    `folder`: the recording, as `sorawatch record --out` was given it. `start_utc_s`, `end_utc_s`:
    seconds since 1970, None for no limit; a segment that reaches into the range is given whole.
    No two overlap, and each holds at least one frame; those not `complete` may be shorter than a
    camera's footage was, or still grow. Raises ConfigError for a folder that is no recording, or
    a camera that is not in it.
    """
    after_s = -math.inf if start_utc_s is None else start_utc_s
    before_s = math.inf if end_utc_s is None else end_utc_s
    return [
        segment
        for segment in untangled(_present(folder, camera))
        if segment.frames and segment.start_utc_s < before_s and segment.end_utc_s > after_s
    ]


def faults(
    folder: Path,
    camera: str,
    start_utc_s: float | None = None,
    end_utc_s: float | None = None,
    *,
    read: bool = False,
) -> list[Fault]:
    """What is wrong with a camera's recording between two moments, in order of time.

    `read`: read every segment to its end, instead of comparing sizes. Raises as `segments` does.
    """
    contents = read_index(_camera_folder(folder, camera))
    found = []
    if contents.bad_lines:
        text = f"{contents.bad_lines} lines of {INDEX} are illegible"
        found.append(Fault("index", camera, None, None, text))
    told = sorted(contents.segments.values(), key=lambda one: one.start_utc_s)
    for segment in told:
        found += _of_file(segment, read)
    found += _between(untangled(_present(folder, camera)), told)
    after_s = -math.inf if start_utc_s is None else start_utc_s
    before_s = math.inf if end_utc_s is None else end_utc_s
    inside = [
        fault
        for fault in found
        if fault.start_utc_s is None
        or (fault.start_utc_s <= before_s and (fault.end_utc_s or fault.start_utc_s) >= after_s)
    ]
    return sorted(inside, key=lambda fault: fault.start_utc_s or 0.0)


def _camera_folder(folder: Path, camera: str) -> Path:
    there = cameras(folder)
    if checked_camera(camera) not in there:
        raise ConfigError(f"{folder}: no camera {camera!r} in it, but {', '.join(there)}")
    return folder / camera


def _present(folder: Path, camera: str) -> Iterator[Segment]:
    """Segments whose file is there; how far an open one reaches is read from it."""
    for segment in read_index(_camera_folder(folder, camera)).segments.values():
        if not segment.path.is_file():
            continue
        if segment.ended is not End.OPEN:
            yield segment
            continue
        try:
            held = measure(segment.path)
            size = segment.path.stat().st_size
        except (SourceError, OSError):
            continue  # it has only just begun, or was removed meanwhile
        yield replace(segment, frames=held.frames, duration_s=held.duration_s, bytes=size)


def _of_file(segment: Segment, read: bool) -> Iterator[Fault]:
    def fault(kind: Literal["clock", "truncated", "empty", "missing"], text: str) -> Fault:
        end_utc_s = segment.end_utc_s
        return Fault(kind, segment.camera, segment.start_utc_s, end_utc_s, f"{segment.file} {text}")

    if segment.clock_ahead_s >= GAP_S:
        yield fault("clock", f"is {segment.clock_ahead_s:.1f} s ahead of the wall clock")
    try:
        size = segment.path.stat().st_size
    except OSError:
        yield fault("missing", "is not there")
        return
    if segment.ended is End.OPEN:
        return
    if not segment.frames or not size:
        yield fault("empty", "holds no frame")
    elif size < segment.bytes:
        yield fault("truncated", f"has {size} of {segment.bytes} bytes")
    elif not segment.complete:
        yield fault("truncated", f"was not finished ({segment.ended})")
    elif read:
        try:
            frames = measure(segment.path).frames
        except SourceError:
            frames = 0
        if frames != segment.frames:
            yield fault("truncated", f"holds {frames} of {segment.frames} frames")


def _between(there: list[Segment], told: list[Segment]) -> Iterator[Fault]:
    for before, after in pairwise(told):
        over_s = before.end_utc_s - after.start_utc_s
        if over_s > 1e-3:
            text = f"{before.file} reaches {over_s:.1f} s into {after.file}"
            yield Fault("overlap", after.camera, after.start_utc_s, before.end_utc_s, text)
    held = [segment for segment in there if segment.frames]
    for before, after in pairwise(held):
        gap_s = after.start_utc_s - before.end_utc_s
        if gap_s > GAP_S:
            text = f"{gap_s:.1f} s before {after.file} ({before.ended})"
            yield Fault("gap", after.camera, before.end_utc_s, after.start_utc_s, text)
