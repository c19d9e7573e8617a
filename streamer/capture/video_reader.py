"""Reads what OpenCV can open: streams, video files, devices."""

import time
from collections import deque
from typing import Any, Final

import numpy as np

from sorawatch import SourceError
from streamer.capture.complaints import listen, take_complaints
from streamer.capture.frame import Validity
from streamer.capture.opencv import cv2
from streamer.capture.reader import Picture
from streamer.capture.source import Source, SourceKind

# Consecutive packets that a decoder may reject (grab gives False, though more are to come).
_BAD_PACKETS: Final = 100
_BAD_PACKET_S: Final = 0.5
# Damage is forgotten after so many frames where no key frame mends it: about two seconds.
_SMEARED_FRAMES: Final = 50
_MISSING_FRAMES: Final = 64
_SEEK_FRAMES_OFF: Final = 0.25
_KEY_FRAME: Final = ord("I")


class VideoReader:
    """A source that OpenCV reads."""

    def __init__(self, source: Source, capture: Any) -> None:
        """Take over an open `cv2.VideoCapture`."""
        self._source = source
        self._capture = capture
        self._damage = _Damage(capture)
        self.codec = _four_characters(int(capture.get(cv2.CAP_PROP_FOURCC)))
        frames = _between(capture.get(cv2.CAP_PROP_FRAME_COUNT), 1, 1e9)
        over_http = source.kind is SourceKind.HTTP
        # A stream of JPEGs has no times, but FFmpeg makes some up, for 25 frames a second.
        made_up = over_http and self.codec in ("mjpg", "jpeg")
        self._has_pts = source.kind is not SourceKind.DEVICE and not made_up
        recorded = over_http and (frames is not None or ".m3u8" in source.url)
        self.reads_ahead = source.kind is SourceKind.FILE or (recorded and not made_up)
        self.damage = Validity.VALID
        self.size = (
            int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        )
        self.fps_declared = _between(capture.get(cv2.CAP_PROP_FPS), 0.01, 1000.0)
        self.frames_declared = None if frames is None or source.live else int(frames)

    @property
    def pts_s(self) -> float | None:
        """As `Reader.pts_s`; FFmpeg says 0 for a frame whose time it does not know yet."""
        if not self._has_pts:
            return None
        milliseconds: float = self._capture.get(cv2.CAP_PROP_POS_MSEC)
        return milliseconds / 1e3 if np.isfinite(milliseconds) else None

    def grab(self) -> bool:
        """As `Reader.grab`. A rejected packet also reads as False, so it is asked again.

        At the end of a file and on a dead connection that costs microseconds.
        """
        for rejected in range(_BAD_PACKETS):
            started_s = time.monotonic()
            if self._capture.grab():
                self.damage = self._damage.of_next_frame(rejected > 0)
                return True
            if time.monotonic() - started_s > _BAD_PACKET_S:
                return False
        return False

    def seek(self, t_s: float) -> int | None:
        """Go near the frame of this time, before anything was grabbed; how many were passed over.

        None where it cannot be known where it is now, as in a file whose rate varies.
        """
        fps = self.fps_declared
        if fps is None:
            return 0
        number = int(t_s * fps)
        there = self._capture.set(cv2.CAP_PROP_POS_FRAMES, number)
        # What it says is what it was told; the time of the frame that comes is not.
        if not there or not self._capture.grab():
            return None
        pts_s = self.pts_s
        if pts_s is None or abs(pts_s * fps - number) > _SEEK_FRAMES_OFF or pts_s > t_s:
            return None
        return number + 1

    def retrieve(self, out: Picture | None = None) -> Picture:
        """As `Reader.retrieve`."""
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
        """Release it. Only for the thread that reads: in the middle of a read it would crash."""
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

    def of_next_frame(self, rejected: bool) -> Validity:
        """Damage of the frame just grabbed; `rejected`: the decoder refused data before it."""
        torn, missing = take_complaints()
        missing = missing or rejected
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


def _between(value: float, low: float, high: float) -> float | None:
    return value if low <= value <= high else None


def _four_characters(code: int) -> str:
    text = code.to_bytes(4, "little", signed=False) if code > 0 else b""
    return "".join(chr(c) for c in text if 32 < c < 127).lower()
