"""A picture for each event: the frame where it was most unusual so far, with the place drawn in."""

import contextlib
import logging
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from alerts.event import EventDraft
from streamer.evidence.names import PART, PICTURE, evidence_path

log = logging.getLogger(__name__)

PATIENCE_S: Final = 0.25
"""How long the live path waits for the disk to take a picture."""

_QUALITY = 88
_REMEMBERED: Final = 10_000
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
        try:
            self._store(path, jpeg.tobytes())
        except OSError as exc:
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

    def _store(self, path: Path, jpeg: bytes) -> None:
        """Put the file there, whole or not at all. Raises OSError."""
        part = path.with_suffix(PART)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(jpeg)
            os.replace(part, path)
        except OSError:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise

    def _failed(self, problem: str) -> str | None:
        self.failed += 1
        self.problem = problem
        if self.failed & (self.failed - 1) == 0:  # the 1st, 2nd, 4th, ...: as for clips
            log.error("%s (%d so far)", problem, self.failed)
        return None


class LiveSnapshots(Snapshots):
    """The same for the live path, which no disk may hold up. A context manager.

    A thread writes. It is waited for, so that a message names a picture that is there; but no
    longer than `PATIENCE_S`, and while it hangs not at all: those events have no picture. Asking
    for a picture never touches the disk.
    """

    def __init__(self, folder: Path, link: Callable[[str, str, str], str] | None = None) -> None:
        """As `Snapshots`."""
        super().__init__(folder, link)
        self._work: queue.SimpleQueue[tuple[Path, bytes] | None] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._error: OSError | None = None
        self._written: dict[str, None] = {}
        # A daemon: a disk that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)

    def __enter__(self) -> Self:
        """Start."""
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """Stop, unless the disk hangs."""
        self._work.put(None)
        self._thread.join(PATIENCE_S)

    def write(self, draft: EventDraft, picture: NDArray[np.uint8]) -> str | None:
        """As `Snapshots.write`, within `PATIENCE_S`."""
        path = super().write(draft, picture)
        if path is not None:
            self._written[draft.id] = None
            if len(self._written) > _REMEMBERED:
                del self._written[next(iter(self._written))]
        return path

    def existing(self, draft: EventDraft) -> str | None:
        """The picture's path or URL, if this has written one."""
        if draft.id not in self._written:
            return None
        path = self.path(draft)
        return str(path) if self._link is None else self._link(draft.camera, draft.id, PICTURE)

    def _store(self, path: Path, jpeg: bytes) -> None:
        if not self._idle.is_set():
            raise OSError("the disk has not taken an earlier picture yet")
        self._idle.clear()
        self._work.put((path, jpeg))
        if not self._idle.wait(PATIENCE_S):
            raise OSError(f"the disk has not taken it within {PATIENCE_S:g} s")
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            self._error = None
            try:
                super()._store(*work)
            except OSError as exc:
                self._error = exc
            self._idle.set()


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
