"""One recorded segment as a value, and where its file lies."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

SEGMENT_FILE: Final = re.compile(r"\d{4}-\d\d-\d\d/\d\d-\d\d-\d\d\.\d{3}\.mp4", re.ASCII)
"""A segment's file as the index names it, below its camera's folder."""


class End(StrEnum):
    """Why a segment ended.

    open: it has not, as far as the index knows: it is being written, or was when somebody looked.
    boundary: its time was full, the next one follows without a gap.
    reconnect: the connection to the camera broke off. changed: the camera sends another codec,
    size or parameters. ended: a file had no more. stop: the recorder was told to stop.
    clock_back, clock_forward: the wall clock was stepped. disk_full: no room was left.
    killed: the recorder was, and this is what was found of the segment afterwards.
    """

    OPEN = "open"
    BOUNDARY = "boundary"
    RECONNECT = "reconnect"
    CHANGED = "changed"
    ENDED = "ended"
    STOP = "stop"
    CLOCK_BACK = "clock_back"
    CLOCK_FORWARD = "clock_forward"
    DISK_FULL = "disk_full"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class Segment:
    """One MP4 file of one camera. A frame's UTC is `start_utc_s` plus its PTS in the file.

    `path`: the file. `start_utc_s`: of its first frame, seconds since 1970. `duration_s`: up to
    the end of its last frame. `frames`, `bytes`: how many it holds. `complete`: it was finished
    and synced to the disk; one that is not holds what it had up to its last fragment.
    `codec`: h264, hevc or mjpeg. `width`, `height`: pixels. `ended`: why.
    `clock_ahead_s`: by how much `start_utc_s` runs ahead of the wall clock at that time, because
    the clock was stepped back and time in an index never goes back; 0 otherwise.
    """

    path: Path
    camera: str
    start_utc_s: float
    duration_s: float
    frames: int
    bytes: int
    complete: bool
    codec: str
    width: int
    height: int
    ended: End
    clock_ahead_s: float = 0.0

    @property
    def end_utc_s(self) -> float:
        """Where the next one may begin."""
        return self.start_utc_s + self.duration_s

    @property
    def file(self) -> str:
        """As the index names it: `2026-11-27/14-30-00.067.mp4`."""
        return f"{self.path.parent.name}/{self.path.name}"


def segment_file(start_utc_s: float) -> str:
    """Where a segment that begins then lies below its camera's folder; UTC."""
    millis = int(start_utc_s * 1000 + 0.5)
    when = datetime.fromtimestamp(millis // 1000, UTC)
    return f"{when:%Y-%m-%d/%H-%M-%S}.{millis % 1000:03}.mp4"


def file_utc_s(file: str) -> float:
    """The start that a segment's file name tells, to a millisecond; ValueError for another name."""
    if not SEGMENT_FILE.fullmatch(file):
        raise ValueError(f"{file!r} is no segment")
    when = datetime.strptime(file, "%Y-%m-%d/%H-%M-%S.%f.mp4")
    return when.replace(tzinfo=UTC).timestamp()
