"""A picture for each event: the frame where it was most unusual so far, with the place drawn in."""

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from alerts.event import EventDraft
from streamer.evidence.names import PART, PICTURE, evidence_path

log = logging.getLogger(__name__)

_QUALITY = 88
_COLOUR = (40, 60, 255)


class PeakPicture:
    """The picture of the frame that was most unusual since something unusual began.

    An event tells the region of its highest score; the frame in which its message is made may be
    two seconds later, with whatever it was at the other end of the picture.
    """

    def __init__(self) -> None:
        """Nothing is going on."""
        self.picture: NDArray[np.uint8] | None = None
        self._score = 0.0

    def see(self, score: float, take: Callable[[], NDArray[np.uint8] | None]) -> None:
        """A frame of what goes on; `take` copies its picture, and is asked only for a new peak."""
        if score > self._score or self.picture is None:
            self._score, self.picture = score, take()

    def forget(self) -> None:
        """What was going on is over."""
        self.picture, self._score = None, 0.0


class Snapshots:
    """Writes `<folder>/<camera>/<event id>.jpg`, replacing it when the event gets worse.

    `failed`: pictures that could not be written. `problem`: why the last one could not, or "".
    """

    def __init__(self, folder: Path, link: Callable[[str, str, str], str] | None = None) -> None:
        """Nothing is made on disk before the first event.

        `link(camera, event_id, suffix)`: what messages call a file; its path where None.
        """
        self._folder = folder
        self._link = link
        self.failed = 0
        self.problem = ""

    def write(self, draft: EventDraft, picture: NDArray[np.uint8]) -> str | None:
        """Write the picture (h, w, 3) BGR of `draft`; its path, or None when that failed.

        A full disk is logged; the event goes out without a picture.
        """
        try:
            path = self.path(draft)
        except ValueError as exc:
            return self._failed(f"no picture: {exc}")
        marked = mark(picture, draft)
        done, jpeg = cv2.imencode(".jpg", marked, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not done:
            return self._failed(f"{draft.camera}: no JPEG could be made of the picture")
        part = path.with_suffix(PART)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(jpeg.tobytes())
            os.replace(part, path)
        except OSError as exc:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            return self._failed(f"{path}: cannot write the picture: {exc.strerror or exc}")
        self.problem = ""
        return str(path)

    def forget(self, before_utc_s: float) -> int:
        """Remove pictures last written before this time; how many. Any thread."""
        removed = 0
        try:
            pictures = list(self._folder.glob("*/*.jpg"))
        except OSError as exc:
            log.warning("%s: cannot be looked through: %s", self._folder, exc.strerror or exc)
            return 0
        for picture in pictures:
            try:
                if picture.stat().st_mtime < before_utc_s:
                    picture.unlink()
                    removed += 1
            except OSError as exc:
                log.warning("%s: cannot be removed: %s", picture, exc.strerror or exc)
        return removed

    def existing(self, draft: EventDraft) -> str | None:
        """Path of the event's picture, if one was written and its folder can still be read.

        Or its URL, where messages are to have that.
        """
        try:
            path = self.path(draft)
        except ValueError:
            return None
        if not os.path.exists(path):  # Path.exists raises for some errors
            return None
        return str(path) if self._link is None else self._link(draft.camera, draft.id, PICTURE)

    def path(self, draft: EventDraft) -> Path:
        """Where the picture of an event goes; ValueError for names that cannot be a file's."""
        return evidence_path(self._folder, draft.camera, draft.id, PICTURE)

    def _failed(self, problem: str) -> str | None:
        self.failed += 1
        self.problem = problem
        log.error("%s", problem)
        return None


def mark(picture: NDArray[np.uint8], draft: EventDraft) -> NDArray[np.uint8]:
    """A copy of the picture (h, w, 3) BGR with the event's region framed and its reason written."""
    out = picture.copy()
    height, width = out.shape[:2]
    if draft.region is not None:
        r = draft.region
        left, top = round(r.x * width), round(r.y * height)
        right, bottom = round((r.x + r.width) * width), round((r.y + r.height) * height)
        cv2.rectangle(out, (left, top), (right, bottom), _COLOUR, 2)
    text = f"{draft.camera}: {draft.explanation.text}"
    scale = max(0.35, width / 1280)
    (_, text_height), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    band = out[height - text_height - 2 * below - 4 :]
    band[:] = band // 3
    at = (6, height - below - 2)
    cv2.putText(out, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return out
