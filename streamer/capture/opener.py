"""Opens any source and reads it: one `Reader` for streams, files, folders and devices.

OpenCV takes FFmpeg's options from one environment variable, `OPENCV_FFMPEG_CAPTURE_OPTIONS`, which
it reads at the start of every open (checked with OpenCV 5.0). They reach the demuxer and the
protocol, never the decoder: of `skip_loop_filter`, `err_detect`, `lowres`, `flags2`, `skip_frame`
none has an effect. Two cameras that need different options take turns, see `_set_options`.
"""

import os
import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from sorawatch import SourceError
from streamer.capture.complaints import listen, take_complaints
from streamer.capture.diagnose import diagnose
from streamer.capture.frame import Validity
from streamer.capture.settings import Transport
from streamer.capture.source import DEFAULT_FOLDER_FPS, Source, SourceKind, mask_credentials

_ENVIRONMENT: Final = {
    "OPENCV_FFMPEG_IS_THREAD_SAFE": "1",  # else one camera's open waits for all others'
    # FFmpeg and OpenCV print URLs, passwords included; -8 is AV_LOG_QUIET.
    "OPENCV_FFMPEG_LOGLEVEL": "-8",
    "OPENCV_FFMPEG_SKIP_LOG_CALLBACK": "1",
    "OPENCV_FFMPEG_DEBUG": "0",
    "OPENCV_LOG_LEVEL": "SILENT",
    "OPENCV_VIDEOIO_DEBUG": "0",
    "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": "5",  # s
}
os.environ.update(_ENVIRONMENT)

import cv2  # noqa: E402  (reads the environment)

cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # if imported before us

Picture = NDArray[np.uint8]

PICTURE_SUFFIXES: Final = frozenset(
    (
        ".bmp",
        ".jpeg",
        ".jpg",
        ".jp2",
        ".pbm",
        ".pgm",
        ".png",
        ".pnm",
        ".ppm",
        ".tif",
        ".tiff",
        ".webp",
    )
)

_DIAGNOSIS_S: Final = 3.0
_OPTIONS_VARIABLE: Final = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# How long an open may take to get from our call to its reading of the variable: measured below
# 1 ms, so this is for a machine that is out of breath.
_OPTIONS_HOLD_S: Final = 0.2
# Consecutive packets that a decoder may reject (grab gives False, though more are to come).
_BAD_PACKETS: Final = 100
_BAD_PACKET_S: Final = 0.5
# Damage is forgotten after so many frames where no key frame mends it: about two seconds.
_SMEARED_FRAMES: Final = 50
_MISSING_FRAMES: Final = 64
_KEY_FRAME: Final = ord("I")


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How to open: the transport of RTSP, and the longest waits in seconds."""

    transport: Transport = "tcp"
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0


class Reader(Protocol):
    """An open source. Belongs to the thread that opened it, which alone may close it."""

    @property
    def damage(self) -> Validity:
        """What the decoder said about the frame grabbed last: VALID, TORN or SMEARED.

        TORN: some of its own data was missing. SMEARED: it builds on a frame that was torn or lost.
        """

    @property
    def reads_ahead(self) -> bool:
        """Whether it can be read faster than it plays: a file, a folder, video over HTTP."""

    @property
    def size(self) -> tuple[int, int]:
        """Declared width and height in px; what `retrieve` gives may differ."""

    @property
    def fps_declared(self) -> float | None:
        """Frames a second as declared, which cameras get wrong; None if unknown."""

    @property
    def frames_declared(self) -> int | None:
        """Frames as declared by a file, which may hold fewer; None if unknown."""

    @property
    def codec(self) -> str:
        """Short name of the codec; may be empty."""

    @property
    def pts_s(self) -> float | None:
        """The stream's own time of the frame grabbed last, seconds; None where it has none."""

    def grab(self) -> bool:
        """Go to the next frame, decoding no more than necessary; False when there is none.

        Blocks up to the read timeout.
        """

    def retrieve(self, out: Picture | None = None) -> Picture:
        """The frame grabbed last, (h, w, 3) uint8 BGR; written into `out` if it fits exactly.

        The result is `out` itself then, and a new array otherwise. Raises SourceError when the
        frame cannot be had.
        """

    def close(self) -> None:
        """Let go of the source; may be repeated."""


def open_source(source: Source, options: OpenOptions | None = None) -> Reader:
    """Open a source for reading; raises SourceError that says why it cannot be.

    Takes up to `open_timeout_s`, and up to 3 s more to find out what went wrong.
    """
    options = options or OpenOptions()
    if source.kind is SourceKind.FOLDER:
        return _FolderReader(source)
    if source.kind is SourceKind.FILE:
        _check_file(source)
    if source.kind is SourceKind.DEVICE:
        return _VideoReader(source, _open_device(source))
    started_s = time.monotonic()
    capture = _open_ffmpeg(source, options)
    if capture is not None:
        return _VideoReader(source, capture)
    if source.kind is SourceKind.FILE:
        raise SourceError(f"{source.masked} holds no video that can be decoded", "codec")
    took_s = time.monotonic() - started_s
    raise diagnose(
        source,
        timed_out=took_s > 0.95 * options.open_timeout_s,
        transport=options.transport,
        deadline_s=min(_DIAGNOSIS_S, options.open_timeout_s),
    )


class _VideoReader:
    """A source that OpenCV reads."""

    def __init__(self, source: Source, capture: Any) -> None:
        self._source = source
        self._capture = capture
        self._damage = _Damage(capture)
        self.codec = _four_characters(int(capture.get(cv2.CAP_PROP_FOURCC)))
        # A stream of JPEGs has no times, but FFmpeg makes some up, for 25 frames a second.
        made_up = source.kind is SourceKind.HTTP and self.codec in ("mjpg", "jpeg")
        self._has_pts = source.kind is not SourceKind.DEVICE and not made_up
        self.damage = Validity.VALID
        self.reads_ahead = source.kind in (SourceKind.FILE, SourceKind.HTTP) and not made_up
        self.size = (
            int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )
        self.fps_declared = _between(capture.get(cv2.CAP_PROP_FPS), 0.01, 1000.0)
        frames = None if source.live else _between(capture.get(cv2.CAP_PROP_FRAME_COUNT), 1, 1e9)
        self.frames_declared = None if frames is None else int(frames)

    @property
    def pts_s(self) -> float | None:
        if not self._has_pts:
            return None
        milliseconds: float = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        return milliseconds / 1e3 if np.isfinite(milliseconds) else None

    def grab(self) -> bool:
        """As `Reader.grab`. A rejected packet also reads as False, so it is asked again.

        At the end of a file and on a dead connection that costs microseconds.
        """
        for _ in range(_BAD_PACKETS):
            started_s = time.monotonic()
            if self._capture.grab():
                self.damage = self._damage.of_next_frame()
                return True
            if time.monotonic() - started_s > _BAD_PACKET_S:
                return False
        return False

    def retrieve(self, out: Picture | None = None) -> Picture:
        try:
            ok, picture = self._capture.retrieve(out)
        except cv2.error as error:
            raise self._undecodable() from error
        if not ok or picture is None or picture.size == 0:
            raise self._undecodable()
        if out is not None and picture.ctypes.data == out.ctypes.data:
            return out
        result: Picture = picture
        return result

    def close(self) -> None:
        self._capture.release()

    def _undecodable(self) -> SourceError:
        return SourceError(f"{self._source.masked}: a frame cannot be decoded", "codec")


class _Damage:
    """Follows damage from frame to frame: from one that is torn up to the next whole key frame."""

    def __init__(self, capture: Any) -> None:
        listen()
        take_complaints()  # those about the frames that the open has looked at
        self._capture = capture
        self._left = 0  # frames that are still taken to be smeared
        self._missing: deque[bool] = deque(maxlen=_MISSING_FRAMES)

    def of_next_frame(self) -> Validity:
        torn, missing = take_complaints()
        # Streams that leave out frames on purpose are said to miss one all the time.
        self._missing.append(missing)
        if missing and 2 * sum(self._missing) > _MISSING_FRAMES:
            missing = False
        if torn or missing:
            self._left = _SMEARED_FRAMES
        elif self._left and self._capture.get(cv2.CAP_PROP_FRAME_TYPE) == _KEY_FRAME:
            self._left = 0
        elif self._left:
            self._left -= 1
        if torn:
            return Validity.TORN
        return Validity.SMEARED if self._left else Validity.VALID


class _FolderReader:
    """A folder of pictures, in their natural order: 2.jpg comes before 10.jpg."""

    def __init__(self, source: Source) -> None:
        folder = Path(source.url)
        try:
            names = [p for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES]
        except OSError as error:
            reason = "not_found" if isinstance(error, FileNotFoundError) else "error"
            raise SourceError(f"folder {source.url}: {error.strerror}", reason) from error
        self._paths = sorted((p for p in names if not p.name.startswith(".")), key=_natural)
        if not self._paths:
            raise SourceError(f"folder {source.url} holds no pictures", "not_found")
        self._at = -1
        self.reads_ahead = True
        self.damage = Validity.VALID
        self.fps_declared: float = source.fps or DEFAULT_FOLDER_FPS
        self.frames_declared = len(self._paths)
        self.codec = self._paths[0].suffix[1:].lower()
        height, width = self._read(0).shape[:2]
        self.size = (width, height)

    @property
    def pts_s(self) -> float | None:
        return self._at / self.fps_declared

    def grab(self) -> bool:
        self._at += 1
        return self._at < len(self._paths)

    def retrieve(self, out: Picture | None = None) -> Picture:
        picture = self._read(self._at)
        if out is None or out.shape != picture.shape:
            return picture
        out[...] = picture
        return out

    def close(self) -> None:
        self._paths = []

    def _read(self, index: int) -> Picture:
        path = self._paths[index]
        try:
            picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        except cv2.error as error:
            raise SourceError(f"picture {path} cannot be read", "codec") from error
        if picture is None:
            raise SourceError(f"picture {path} cannot be read", "codec")
        result: Picture = picture
        return result


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


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key in which runs of digits count as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(p), p) if p.isdigit() else (1, 0, p) for p in parts if p] + [(0, -1, path.name)]


def _between(value: float, low: float, high: float) -> float | None:
    return value if low <= value <= high else None


def _four_characters(code: int) -> str:
    text = code.to_bytes(4, "little", signed=False) if code > 0 else b""
    return "".join(chr(c) for c in text if 32 < c < 127).lower()
