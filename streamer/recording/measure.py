"""What a segment's file holds, by reading its packets; nothing is decoded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import av

from sorawatch import SourceError

CONTAINER_OPTIONS: Final = {"protocol_whitelist": "file,crypto,data"}
_OPEN_TIMEOUT_S: Final = 10.0
_READ_TIMEOUT_S: Final = 10.0
_DEFAULT_INTERVAL_S: Final = 1 / 15


@dataclass(frozen=True, slots=True)
class Measure:
    """Frames in a file, from the first one's time to the end of the last's; size in pixels."""

    frames: int
    duration_s: float
    codec: str
    size: tuple[int, int]


def measure(path: Path) -> Measure:
    """Read a segment to its end, or to where it was torn off.

    Raises SourceError where it holds no frame at all, or is no MP4.
    """
    # The type is given, else a text file could be a playlist.
    try:
        with av.open(
            str(path),
            format="mp4",
            container_options=CONTAINER_OPTIONS,
            timeout=(_OPEN_TIMEOUT_S, _READ_TIMEOUT_S),
        ) as container:
            stream = container.streams.video[0]
            frames, duration_s = _counted(container, stream)
            context = stream.codec_context
            found = Measure(frames, duration_s, context.name, (context.width, context.height))
    except (av.FFmpegError, OSError, IndexError, ValueError) as exc:
        raise SourceError(f"{path}: no video can be read in it ({exc})", "codec") from exc
    if not found.frames:
        raise SourceError(f"{path}: it holds no frame", "codec")
    return found


def _counted(container: Any, stream: Any) -> tuple[int, float]:
    frames, first_s, last_s, end_s = 0, 0.0, 0.0, 0.0
    try:
        for packet in container.demux(stream):
            if not packet.size or packet.is_corrupt or packet.pts is None:
                continue
            at_s = float(packet.pts * packet.time_base)
            first_s = at_s if not frames else min(first_s, at_s)
            frames += 1
            last_s = max(last_s, at_s)
            end_s = max(end_s, at_s + float((packet.duration or 0) * packet.time_base))
    except (av.FFmpegError, OSError):
        pass  # torn off here
    if end_s <= last_s:
        spans = frames - 1
        end_s = last_s + ((last_s - first_s) / spans if spans > 0 else _DEFAULT_INTERVAL_S)
    return frames, end_s - first_s
