"""Writes one segment: packets as they came into a fragmented MP4, appended and never rewritten.

A fragment is written whole, about once a second; a file that is cut off anywhere plays up to its
last whole fragment. The bytes of the pictures stay as the camera encoded them.
"""

import contextlib
import os
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av

from streamer.recording.disk import write_all

TICKS_PER_S: Final = 90_000
_TIME_BASE: Final = Fraction(1, TICKS_PER_S)
_OPTIONS: Final = {
    # The header waits for the first fragment, for cameras that tell their parameters only there.
    # With it comes an edit list, which keeps the first frame at 0 where frames are reordered.
    "movflags": "empty_moov+delay_moov+default_base_moof",
    "frag_duration": "1000000",
    "fflags": "+bitexact",
}


class SegmentWriter:
    """One file being written; the thread that records its camera owns it."""

    def __init__(self, path: Path, stream: Any) -> None:
        """Create `path`, whose folder must exist, for packets of an input stream of PyAV.

        Raises OSError (FileExistsError too), and ValueError for a codec that MP4 does not take.
        """
        self.path = path
        self.bytes = 0
        self.frames = 0
        self._error: OSError | None = None
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            self._container: Any = av.open(self, "w", format="mp4", options=_OPTIONS)
            self._stream = self._container.add_stream_from_template(stream)
            self._stream.time_base = _TIME_BASE
        except BaseException:
            self.abandon()
            path.unlink(missing_ok=True)
            raise

    def add(self, packet: Any, dts: int, pts: int, duration: int) -> None:
        """Take a packet, which is changed by it; times in ticks of 1/90,000 s from the first.

        `dts` rises with every packet. Raises OSError when the disk does not take it, ValueError
        when MP4 does not.
        """
        packet.time_base = _TIME_BASE
        packet.dts, packet.pts, packet.duration = dts, pts, duration
        packet.stream = self._stream
        try:
            self._container.mux(packet)
        except av.FFmpegError as exc:
            if self._error is None:
                raise ValueError(f"MP4 does not take what it sends: {exc}") from exc
        if self._error is not None:
            raise self._error
        self.frames += 1

    def finish(self) -> int:
        """Write what is left; the file's descriptor, to be synced and closed by the caller.

        Raises OSError when the disk does not take it; the descriptor is closed then.
        """
        try:
            try:
                self._container.close()
            except av.FFmpegError as exc:
                raise self._error or OSError(f"cannot be finished: {exc}") from exc
            if self._error is not None:
                raise self._error
        except BaseException:
            self.abandon()
            raise
        fd, self._fd = self._fd, -1
        return fd

    def abandon(self) -> None:
        """Let go of the file as it is."""
        self._error = self._error or OSError("abandoned")
        with contextlib.suppress(Exception):
            self._container.close()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def write(self, data: bytes) -> int:
        """For PyAV, which takes this for a file."""
        if self._error is None:
            try:
                write_all(self._fd, data)
                self.bytes += len(data)
            except OSError as exc:
                self._error = exc
        return len(data)
