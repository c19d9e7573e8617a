"""Reading a recording: which segments there are, when, and what is wrong with them."""

from pathlib import Path

from streamer.recording.segment import Segment

__all__ = ["Segment", "segments"]


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
    raise NotImplementedError
