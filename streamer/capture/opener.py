"""Opens any source: one `Reader` for streams, files, folders and devices.

OpenCV takes FFmpeg's options from one environment variable, `OPENCV_FFMPEG_CAPTURE_OPTIONS`, which
it reads at the start of every open (checked with OpenCV 5.0). They reach the demuxer and the
protocol, never the decoder: of `skip_loop_filter`, `err_detect`, `lowres`, `flags2`, `skip_frame`
none has an effect. Two cameras that need different options take turns, see `_set_options`.
"""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sorawatch import SourceError
from streamer.capture.diagnose import diagnose
from streamer.capture.folder_reader import FolderReader
from streamer.capture.footage import read_footage
from streamer.capture.footage_reader import FootageReader
from streamer.capture.opencv import cv2
from streamer.capture.reader import Picture, Reader
from streamer.capture.settings import Transport
from streamer.capture.source import Source, SourceKind, mask_credentials
from streamer.capture.video_reader import VideoReader

__all__ = ["OpenOptions", "Picture", "Reader", "open_source"]

_DIAGNOSIS_S: Final = 3.0
_OPTIONS_VARIABLE: Final = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# How long an open may take to get from our call to its reading of the variable: measured below
# 1 ms, so this is for a machine that is out of breath.
_OPTIONS_HOLD_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How to open: the transport of RTSP, and the longest waits in seconds."""

    transport: Transport = "tcp"
    open_timeout_s: float = 10.0
    read_timeout_s: float = 3.5


def open_source(source: Source, options: OpenOptions | None = None) -> Reader:
    """Open a source for reading; raises SourceError that says why it cannot be.

    Takes up to `open_timeout_s`, and up to 3 s more to find out what went wrong.
    """
    options = options or OpenOptions()
    if source.kind is SourceKind.FOOTAGE:
        return FootageReader(read_footage(source), lambda piece: open_source(piece, options))
    if source.kind is SourceKind.FOLDER:
        return FolderReader(source)
    if source.kind is SourceKind.FILE:
        _check_file(source)
    if source.kind is SourceKind.DEVICE:
        return VideoReader(source, _open_device(source))
    started_s = time.monotonic()
    capture = _open_ffmpeg(source, options)
    if capture is not None:
        return VideoReader(source, capture)
    if source.kind is SourceKind.FILE:
        raise SourceError(f"{source.masked} holds no video that can be decoded", "codec")
    took_s = time.monotonic() - started_s
    raise diagnose(
        source,
        timed_out=took_s > 0.95 * options.open_timeout_s,
        transport=options.transport,
        deadline_s=min(_DIAGNOSIS_S, options.open_timeout_s),
    )


def _open_ffmpeg(source: Source, options: OpenOptions) -> Any:
    parameters = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        max(1, round(options.open_timeout_s * 1e3)),
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        max(1, round(options.read_timeout_s * 1e3)),
        cv2.CAP_PROP_N_THREADS,
        1,
    ]
    _set_options(_ffmpeg_options(source, options))
    try:
        capture = cv2.VideoCapture(source.url, cv2.CAP_FFMPEG, parameters)
    except cv2.error as error:
        message = mask_credentials(str(error).replace(source.url, source.masked))
        raise SourceError(f"{source.masked}: {message}", "codec") from error
    if capture.isOpened():
        return capture
    capture.release()
    return None


def _ffmpeg_options(source: Source, options: OpenOptions) -> str:
    if source.kind is SourceKind.RTSP:
        chosen = {
            "rtsp_transport": options.transport,
            "allowed_media_types": "video",  # else a silent microphone delays the open by seconds
            "fpsprobesize": "0",  # opens in a third of the time; the declared rate is not relied on
        }
    elif source.kind is SourceKind.HTTP:
        # A playlist must not name this machine's files.
        chosen = {"protocol_whitelist": "http,https,tcp,tls,crypto,data"}
    else:
        # Nor may a file reach into the network.
        chosen = {"protocol_whitelist": "file,crypto,data"}
    return "|".join(f"{key};{value}" for key, value in chosen.items())


# Once here, so that later changes swap a pointer in the C library's table instead of moving the
# table under other threads' feet.
os.environ.setdefault(_OPTIONS_VARIABLE, "rtsp_transport;tcp")
_options_turn = threading.Lock()
_options_taken_s = 0.0


def _set_options(options: str) -> None:
    """Make `options` those of the next open in this thread.

    The variable belongs to the whole process, so it is not changed while an open that has just
    begun may not have read it yet. Opens with the same options do not wait for each other.
    """
    global _options_taken_s
    with _options_turn:
        if os.environ.get(_OPTIONS_VARIABLE) != options:
            wait_s = _options_taken_s + _OPTIONS_HOLD_S - time.monotonic()
            if wait_s > 0:
                threading.Event().wait(wait_s)
            os.environ[_OPTIONS_VARIABLE] = options
        _options_taken_s = time.monotonic()


def _open_device(source: Source) -> Any:
    path = Path(f"/dev/video{source.url}")
    if not path.exists():
        raise SourceError(f"{source.masked} ({path}) is not there", "not_found")
    capture = cv2.VideoCapture(int(source.url), cv2.CAP_V4L2)
    if not capture.isOpened():
        capture.release()
        reason = "error" if os.access(path, os.R_OK | os.W_OK) else "auth"
        what = "is busy or gives no video" if reason == "error" else "may not be read by this user"
        raise SourceError(f"{source.masked} ({path}) {what}", reason)
    return capture


def _check_file(source: Source) -> None:
    path = Path(source.url)
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except FileNotFoundError as error:
        raise SourceError(f"file {source.url} is not there", "not_found") from error
    except OSError as error:
        raise SourceError(f"file {source.url} cannot be read: {error.strerror}") from error
    if empty:
        raise SourceError(f"file {source.url} is empty", "codec")
