"""Reads recorded pieces one after the other, with the UTC of every frame."""

import logging
from collections.abc import Callable
from typing import Final

from sorawatch import SourceError
from streamer.capture.folder_reader import FolderReader
from streamer.capture.footage import Footage
from streamer.capture.frame import Validity
from streamer.capture.reader import Picture, Reader
from streamer.capture.source import Source
from streamer.capture.video_reader import VideoReader

log = logging.getLogger(__name__)


_SEEK_S: Final = 5.0  # nearer than this, reading on is as quick


class FootageReader:
    """A `Reader` of `Footage`. `utc_ns`: of the frame grabbed last, ns since 1970.

    `number`: of that frame among all, counted from 0, those that were left out included (of pieces
    that are opened). Where much is left out it seeks, and checks that it came where it should.
    A piece that cannot be opened is passed over with a warning, unless none can.
    """

    def __init__(self, footage: Footage, opener: Callable[[Source], Reader]) -> None:
        """Open the first piece; SourceError when none can be opened."""
        self._pieces = list(footage.pieces)
        self._from_ns, self._to_ns = footage.from_utc_ns, footage.to_utc_ns
        self._opener = opener
        self._at = -1
        self._none_yet = True
        self._origin_ns = self._pieces[0].start_utc_ns
        self.utc_ns = self._origin_ns
        self.number = -1
        self.reads_ahead = True
        self._reader = first = self._next()
        if first is None:
            raise SourceError("there is nothing to read", "error")
        self.size = first.size
        self.fps_declared = first.fps_declared
        self.frames_declared = first.frames_declared if len(self._pieces) == 1 else None
        self.codec = first.codec

    @property
    def damage(self) -> Validity:
        """As `Reader.damage`."""
        return self._reader.damage if self._reader is not None else Validity.VALID

    @property
    def pts_s(self) -> float | None:
        """Time since the first piece began."""
        return (self.utc_ns - self._origin_ns) / 1e9

    def grab(self) -> bool:
        """As `Reader.grab`; goes on with the next piece where one ends."""
        while self._reader is not None:
            if not self._reader.grab():
                self._reader.close()
                self._reader = self._next()
                continue
            self.number += 1
            self.utc_ns = self._utc_ns(self._reader)
            if self._to_ns is not None and self.utc_ns >= self._to_ns:
                return False
            if self._from_ns is None or self.utc_ns >= self._from_ns:
                return True
        return False

    def retrieve(self, out: Picture | None = None) -> Picture:
        """As `Reader.retrieve`."""
        if self._reader is None:
            raise SourceError("the recording has ended", "ended")
        return self._reader.retrieve(out)

    def close(self) -> None:
        """Let go of the piece that is open."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _next(self) -> Reader | None:
        """Open the next piece that can be; None when there is none left."""
        fault: SourceError | None = None
        while self._at + 1 < len(self._pieces):
            self._at += 1
            try:
                reader = self._open()
            except SourceError as exc:
                if len(self._pieces) == 1:
                    raise
                fault = exc
                log.warning("passed over: %s", exc)
            else:
                self._none_yet = False
                return reader
        if fault is not None and self._none_yet:
            raise fault
        return None

    def _open(self) -> Reader:
        """Open the piece, at a frame not later than the first that is wanted."""
        piece = self._pieces[self._at]
        reader = self._opener(piece.source)
        if self._from_ns is None or not isinstance(reader, VideoReader | FolderReader):
            return reader
        far_s = (self._from_ns - piece.start_utc_ns) / 1e9 - _SEEK_S
        if far_s <= 0:
            return reader
        passed = reader.seek(far_s)
        if passed is None:  # it may be anywhere
            reader.close()
            return self._opener(piece.source)
        self.number += passed
        return reader

    def _utc_ns(self, reader: Reader) -> int:
        """To the microsecond, so that the same times come of a file that was cut."""
        return self._pieces[self._at].start_utc_ns + round((reader.pts_s or 0.0) * 1e6) * 1000
