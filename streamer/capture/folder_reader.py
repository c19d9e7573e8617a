"""Reads a folder of pictures."""

import re
from pathlib import Path
from typing import Final

from sorawatch import SourceError
from streamer.capture.frame import Validity
from streamer.capture.opencv import cv2
from streamer.capture.reader import Picture
from streamer.capture.source import DEFAULT_FOLDER_FPS, Source

PICTURE_SUFFIXES: Final = frozenset(
    ("bmp", "jpeg", "jpg", "jp2", "pbm", "pgm", "png", "pnm", "ppm", "tif", "tiff", "webp")
)


class FolderReader:
    """A folder of pictures, in their natural order: 2.jpg comes before 10.jpg."""

    def __init__(self, source: Source) -> None:
        """List the folder and look at its first picture; SourceError if that cannot be done."""
        folder = Path(source.url)
        try:
            names = [p for p in folder.iterdir() if p.suffix[1:].lower() in PICTURE_SUFFIXES]
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
        """Time of the picture at the folder's rate, from 0."""
        return self._at / self.fps_declared

    def seek(self, t_s: float) -> int:
        """Pass over the pictures before this time; how many that are."""
        passed = min(int(t_s * self.fps_declared), len(self._paths))
        self._at += passed
        return passed

    def grab(self) -> bool:
        """Go to the next picture, without reading it."""
        self._at += 1
        return self._at < len(self._paths)

    def retrieve(self, out: Picture | None = None) -> Picture:
        """As `Reader.retrieve`; the error names the picture."""
        picture = self._read(self._at)
        if out is None or out.shape != picture.shape:
            return picture
        out[...] = picture
        return out

    def close(self) -> None:
        """Nothing is held open."""
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


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sort key in which runs of digits count as numbers."""
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts if p] + [
        (0, -1, path.name)
    ]
