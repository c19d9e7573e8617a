"""The index of one camera's folder: a JSON line for each thing that happened to a segment.

The first line names the format. After it, a line tells all of one segment, or that it was
removed; a later line about the same file replaces an earlier one. Lines are only ever appended
(and synced); when a recorder starts, and when most lines are outdated, the index is written anew,
atomically. So whatever a crash leaves is a good index with at most one torn line, at its end.
"""

import contextlib
import json
import logging
import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from sorawatch import ConfigError, SourceError
from streamer.recording.disk import append_lines, replace_file
from streamer.recording.measure import measure
from streamer.recording.segment import SEGMENT_FILE, End, Segment, file_utc_s

log = logging.getLogger(__name__)

INDEX: Final = "index.jsonl"
_FORMAT: Final = "sorawatch.recording"
_VERSION: Final = 1
_MAX_PENDING: Final = 10_000
_LATEST_S: Final = 253_402_300_800.0  # the year 10000
_OUTDATED: Final = 1_000  # lines that may be, before an index is written anew


@dataclass(slots=True)
class IndexContents:
    """What an index says: segments by file, oldest line first; how many lines are illegible."""

    segments: dict[str, Segment] = field(default_factory=dict)
    bad_lines: int = 0


def read_index(folder: Path) -> IndexContents:
    """Read the index of a camera's folder; a torn or foreign line costs that line alone.

    Raises ConfigError where there is none, or of a version that is not known here.
    """
    path = folder / INDEX
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    contents = IndexContents()
    for line in data.split(b"\n"):
        if line.strip():
            _take(contents, line, folder, path)
    return contents


def _take(contents: IndexContents, line: bytes, folder: Path, path: Path) -> None:
    try:
        fields = json.loads(line)
        if not isinstance(fields, dict):
            raise ValueError("not an object")  # noqa: TRY004 - as whatever else is wrong in it
        if "format" in fields:
            if (fields["format"], fields.get("version")) != (_FORMAT, _VERSION):
                raise ConfigError(
                    f"{path}: written by another version of sorawatch "
                    f"({fields['format']!s:.40} {fields.get('version')!s:.10}), not {_VERSION}"
                )
            return
        file = fields["file"]
        if fields.get("removed") is True:
            contents.segments.pop(file, None)
            return
        contents.segments[file] = _segment(fields, folder)
    except (ValueError, KeyError, TypeError, RecursionError):
        contents.bad_lines += 1


def _segment(fields: dict[str, Any], folder: Path) -> Segment:
    """Raises ValueError, KeyError or TypeError: an index may hold anything."""
    file = fields["file"]
    if not SEGMENT_FILE.fullmatch(file):  # nor may it lead out of its folder
        raise ValueError("no segment's name")
    times = [float(fields[key]) for key in ("start_utc_s", "duration_s")]
    ahead_s = float(fields.get("clock_ahead_s", 0.0))
    counts = [int(fields[key]) for key in ("frames", "bytes", "width", "height")]
    sane = all(map(math.isfinite, (*times, ahead_s))) and max(times) < _LATEST_S
    if not sane or min(*times, *counts) < 0:
        raise ValueError("a number out of range")
    return Segment(
        path=folder / file,
        camera=folder.name,
        start_utc_s=times[0],
        duration_s=times[1],
        frames=counts[0],
        bytes=counts[1],
        complete=fields["complete"] is True,
        codec=str(fields["codec"]),
        width=counts[2],
        height=counts[3],
        ended=End(fields["ended"]),
        clock_ahead_s=ahead_s,
    )


def _line(segment: Segment) -> str:
    return json.dumps(
        {
            "file": segment.file,
            "start_utc_s": round(segment.start_utc_s, 6),
            "duration_s": round(segment.duration_s, 6),
            "frames": segment.frames,
            "bytes": segment.bytes,
            "complete": segment.complete,
            "codec": segment.codec,
            "width": segment.width,
            "height": segment.height,
            "ended": segment.ended.value,
            "clock_ahead_s": round(segment.clock_ahead_s, 6),
        }
    )


def untangled(found: Iterable[Segment]) -> list[Segment]:
    """In order of time, and none begins before the one before it has ended.

    One that would is moved to that end, and `clock_ahead_s` says by how much.
    """
    out: list[Segment] = []
    for segment in sorted(found, key=lambda one: (one.start_utc_s, one.file)):
        late_s = out[-1].end_utc_s - segment.start_utc_s if out else 0.0
        if late_s > 1e-6:
            segment = replace(
                segment,
                start_utc_s=segment.start_utc_s + late_s,
                clock_ahead_s=segment.clock_ahead_s + late_s,
            )
        out.append(segment)
    return out


class CameraIndex:
    """The index of a camera that is being recorded; any thread may call it.

    Holds every closed segment in memory too. Lines that the disk does not take are kept and
    tried again by `flush`.
    """

    def __init__(self, folder: Path) -> None:
        """Read and repair what is there; makes the folder. Raises ConfigError and OSError."""
        self._folder = folder
        self._path = folder / INDEX
        self._lock = threading.Lock()  # guards what follows, and the file
        self._open: Segment | None = None
        self._lines = 0
        self._closed: dict[str, Segment] = {}
        self._pending: list[str] = []
        self._newest_day = ""
        folder.mkdir(parents=True, exist_ok=True)
        self._repair()

    @property
    def folder(self) -> Path:
        """The camera's folder."""
        return self._folder

    def closed(self) -> list[Segment]:
        """Every closed segment, oldest first."""
        with self._lock:
            return sorted(self._closed.values(), key=lambda one: one.start_utc_s)

    def end_utc_s(self) -> float:
        """Before this moment no further segment may begin; 0 where there is none yet."""
        with self._lock:
            return max((one.end_utc_s for one in self._closed.values()), default=0.0)

    def begin(self, segment: Segment) -> None:
        """Write down that a segment is being written."""
        with self._lock:
            self._newest_day = max(self._newest_day, segment.path.parent.name)
            self._open = segment
            self._append(_line(segment))

    def finish(self, segment: Segment) -> None:
        """Write down what became of a segment."""
        with self._lock:
            if self._open is not None and self._open.file == segment.file:
                self._open = None
            self._closed[segment.file] = segment
            self._append(_line(segment))

    def remove(self, segment: Segment) -> None:
        """Delete a closed segment, and its folder when that is empty. Raises OSError."""
        segment.path.unlink(missing_ok=True)
        with self._lock:
            self._closed.pop(segment.file, None)
            self._append(json.dumps({"file": segment.file, "removed": True}))
            in_use = self._newest_day
        if segment.path.parent.name != in_use:
            with contextlib.suppress(OSError):  # others are in it
                segment.path.parent.rmdir()

    def flush(self) -> None:
        """Try again to write what the disk did not take; leave out what is outdated."""
        with self._lock:
            self._append()
            if self._lines > _OUTDATED + 3 * len(self._closed) and not self._pending:
                try:
                    self._write()
                except OSError as exc:
                    log.warning("%s: not written anew: %s", self._path, exc.strerror or exc)

    def _append(self, *lines: str) -> None:
        """Under the lock."""
        self._pending += lines
        if not self._pending:
            return
        try:
            append_lines(self._path, "".join(f"{line}\n" for line in self._pending).encode())
        except OSError as exc:
            if len(self._pending) == len(lines):
                log.warning("%s: not written yet: %s", self._path, exc.strerror or exc)
            del self._pending[:-_MAX_PENDING]  # the files are still there to be adopted
        else:
            self._lines += len(self._pending)
            self._pending.clear()

    def _write(self) -> None:
        """Write the whole index anew; under the lock. Raises OSError."""
        head = json.dumps({"format": _FORMAT, "version": _VERSION, "camera": self._folder.name})
        segments = sorted(self._closed.values(), key=lambda one: one.start_utc_s)
        lines = [head, *map(_line, segments), *([_line(self._open)] if self._open else [])]
        replace_file(self._path, "".join(f"{line}\n" for line in lines).encode())
        self._lines = len(lines)

    def _repair(self) -> None:
        """Adopt files that the index does not know to the end, forget those that are gone."""
        contents = read_index(self._folder) if self._path.exists() else IndexContents()
        known = contents.segments
        files = {
            f"{path.parent.name}/{path.name}"
            for path in self._folder.glob("*/*.mp4")
            if not path.is_symlink()
        }
        files = {file for file in files if SEGMENT_FILE.fullmatch(file)}
        found = []
        for file in files:
            segment = known.get(file)
            if segment is None or segment.ended is End.OPEN:
                if not (self._folder / file).stat().st_size:  # killed before its first fragment
                    (self._folder / file).unlink()
                    continue
                segment = _adopted(self._folder / file, segment)
                log.info("%s: adopted %d frames", segment.path, segment.frames)
            found.append(segment)
        gone = [s for file, s in known.items() if file not in files and s.ended is not End.OPEN]
        if gone or contents.bad_lines:
            log.warning(
                "%s: repaired: %d segments have no file any more, %d lines were illegible",
                self._path, len(gone), contents.bad_lines,
            )  # fmt: skip
        self._closed = {segment.file: segment for segment in untangled(found)}
        self._write()


def _adopted(path: Path, begun: Segment | None) -> Segment:
    """A segment whose recorder was killed; `begun`: what the index says of its beginning."""
    file = f"{path.parent.name}/{path.name}"
    try:
        start_utc_s = file_utc_s(file) if begun is None else begun.start_utc_s
    except ValueError:
        start_utc_s = path.stat().st_mtime  # as 2026-99-99, which somebody has put there
    try:
        held = measure(path)
        frames, duration_s, codec, size = held.frames, held.duration_s, held.codec, held.size
    except SourceError:
        frames, duration_s, codec, size = 0, 0.0, "", (0, 0)
    return Segment(
        path=path,
        camera=path.parent.parent.name,
        start_utc_s=start_utc_s,
        duration_s=duration_s,
        frames=frames,
        bytes=path.stat().st_size,
        complete=False,
        codec=codec,
        width=size[0],
        height=size[1],
        ended=End.KILLED,
        clock_ahead_s=0.0 if begun is None else begun.clock_ahead_s,
    )
