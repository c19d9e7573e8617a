"""From pictures to a clip: H.264 in MP4 that every browser plays, there whole or not at all."""

import contextlib
import json
import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from sorawatch import ResourceError
from streamer.evidence.names import PART
from streamer.evidence.reel import Still
from streamer.recording.disk import sync_folder

ENCODERS: Final = {
    "libx264": {"preset": "superfast", "crf": "24"},
    "libopenh264": {},
}
"""Which of FFmpeg's encoders make H.264 in software, and how; the first that is there is used."""

_TICKS_PER_S: Final = 90_000
_KEY_EVERY: Final = 25  # frames: what a player has to decode when somebody leaps
_LAST_S: Final = 0.2  # how long the last picture is shown
_BT601: Final = {"colorspace": 6, "color_primaries": 6, "color_trc": 6, "color_range": 1}


def find_encoder() -> str:
    """The name of an encoder that makes H.264 here. ResourceError when this PyAV has none."""
    try:
        import av  # noqa: PLC0415 - as in `write_clip`

        for name in ENCODERS:
            with contextlib.suppress(av.FFmpegError, ValueError):
                av.codec.Codec(name, "w")
                return name
    except ImportError as exc:
        raise ResourceError(f"no clips are made: PyAV cannot be used: {exc}") from exc
    raise ResourceError(
        "no clips are made: this PyAV has no encoder for H.264 (libx264): "
        "install it with `pip install av`"
    )


def write_clip(
    path: Path, stills: Sequence[Still], event_id: str, encoder: str, keep_free_bytes: int = 0
) -> int:
    """Write a clip of `stills` (one or more, in order) and give it its name; its bytes.

    The first picture's UTC is in the file's comment, `{"event": ..., "start_utc_s": ...}`; a
    picture's UTC is that plus its time in the clip. Raises OSError when the disk does not take it
    or has less than `keep_free_bytes` left, ValueError when there is no picture to make it of;
    nothing is left behind then.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    check_free(path.parent, keep_free_bytes)
    part = path.with_name(path.name + PART)
    try:
        frames = _encode(part, stills, event_id, encoder)
        _check(part, frames)
        fd = os.open(part, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
            size = os.fstat(fd).st_size
        finally:
            os.close(fd)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return size


def check_free(folder: Path, keep_free_bytes: int) -> None:
    """Raise OSError when the disk of `folder` has less room left than that."""
    stat = os.statvfs(folder)
    free = stat.f_bavail * stat.f_frsize
    if free < keep_free_bytes:
        text = f"the disk has {free / 1e6:.0f} MB left, keep_free is {keep_free_bytes / 1e6:.0f}"
        raise OSError(text)


def _encode(part: Path, stills: Sequence[Still], event_id: str, encoder: str) -> int:
    """Write the film; how many frames are in it."""
    # Here and not above: the running program itself decodes no film and has no use for it.
    import av  # noqa: PLC0415

    comment = json.dumps({"event": event_id, "start_utc_s": round(stills[0].utc_s, 6)})
    frames = 0
    try:
        with av.open(str(part), "w", format="mp4", options={"movflags": "+faststart"}) as film:
            film.metadata["comment"] = comment
            stream: Any = None
            size = (0, 0)
            for still in stills:
                picture = _picture(still, size)
                if picture is None:
                    continue
                if stream is None:
                    size = picture.shape[1::-1]
                    stream = _stream(film, encoder, size)
                frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
                frame.pts = round((still.t_s - stills[0].t_s) * _TICKS_PER_S)
                frame.time_base = Fraction(1, _TICKS_PER_S)
                film.mux(stream.encode(frame))
                frames += 1
            if stream is None:
                raise ValueError("no picture of it can be read")
            for packet in stream.encode(None):
                film.mux(packet)
    except av.FFmpegError as exc:
        raise OSError(exc.errno, f"the clip cannot be written: {exc.strerror}") from exc
    return frames


def _stream(film: Any, encoder: str, size: tuple[int, int]) -> Any:
    stream = film.add_stream(encoder, rate=5, options=dict(ENCODERS[encoder]))
    stream.width, stream.height = size
    stream.pix_fmt = "yuv420p"
    stream.time_base = Fraction(1, _TICKS_PER_S)
    context = stream.codec_context
    context.time_base = Fraction(1, _TICKS_PER_S)
    context.thread_count = 1
    context.gop_size = _KEY_EVERY
    context.max_b_frames = 0  # the first frame is at 0, without a list of edits
    for name, value in _BT601.items():
        setattr(context, name, value)
    return stream


def _picture(still: Still, size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """The picture in an even size, that of the first one (w, h); None if it cannot be read."""
    picture = cv2.imdecode(np.frombuffer(still.jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return None
    height, width = picture.shape[:2]
    if size == (0, 0):
        size = (max(2, width // 2 * 2), max(2, height // 2 * 2))
    if (width, height) != size:
        if width - size[0] in (0, 1) and height - size[1] in (0, 1):
            picture = picture[: size[1], : size[0]]
        else:
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture, np.uint8)


def _check(part: Path, frames: int) -> None:
    """Raise OSError unless every frame is in the file: a full disk is not always told."""
    import av  # noqa: PLC0415

    try:
        with av.open(str(part)) as film:
            found = sum(packet.size > 0 for packet in film.demux(video=0))
    except av.FFmpegError as exc:
        raise OSError(exc.errno, f"the clip was not written whole: {exc.strerror}") from exc
    if found != frames:
        raise OSError(f"the clip was not written whole: {found} of {frames} frames")
