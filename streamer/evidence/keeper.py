"""Keeps the folder of pictures and clips within its bounds; touches nothing that is not evidence.

What belongs to an event goes together, the oldest event first, by when its files were last
written. Events that are open keep theirs.
"""

import contextlib
import logging
import os
import stat
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

from streamer.evidence.names import PART, event_of, is_camera

log = logging.getLogger(__name__)

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_STALE_PART_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the folder may take; None: no limit.

    `max_age_s`: since an event's files were last written. `max_bytes`: of all files together.
    `keep_free_bytes`: what must stay free on the disk, whoever fills it.
    """

    max_age_s: float | None = None
    max_bytes: int | None = None
    keep_free_bytes: int = 0


class Kept(NamedTuple):
    """What the folder holds after a look, and how many files that look has removed."""

    files: int
    bytes: int
    removed: int


@dataclass(slots=True)
class _Event:
    """An event's files, in the folder of its camera. `written_s`: when the newest was."""

    camera: str
    bytes: int = 0
    written_s: float = 0.0
    names: list[str] = field(default_factory=list)


def keep(
    folder: Path,
    bounds: Bounds,
    now_utc_s: float,
    open_events: Collection[str] = (),
    free_bytes: Callable[[Path], int] | None = None,
) -> Kept:
    """Remove what has to go. Raises nothing: what cannot be removed is logged and left.

    Only files `<event id>.jpg`, `.mp4` and unfinished ones of these, in folders of cameras
    directly below, are looked at; links are neither followed nor removed.
    """
    free_bytes = free_bytes or _free_bytes
    try:
        events = _events(folder, now_utc_s)
    except FileNotFoundError:
        return Kept(0, 0, 0)
    except OSError as exc:
        log.warning("%s: cannot be looked through: %s", folder, exc.strerror or exc)
        return Kept(0, 0, 0)
    total = sum(event.bytes for event in events.values())
    files = sum(len(event.names) for event in events.values())
    removed = 0
    for event_id, event in sorted(events.items(), key=lambda item: item[1].written_s):
        if event_id in open_events:
            continue
        too_old = bounds.max_age_s is not None and now_utc_s - event.written_s > bounds.max_age_s
        too_much = bounds.max_bytes is not None and total > bounds.max_bytes
        if not (too_old or too_much or free_bytes(folder) < bounds.keep_free_bytes):
            break  # those that follow are younger
        gone = _remove(folder / event.camera, event.names)
        removed += gone
        if gone == len(event.names):
            total -= event.bytes
    return Kept(files - removed, total, removed)


def remove_unfinished(folder: Path) -> int:
    """Remove what a program that was killed had only begun to write; how many files. At start."""
    removed = 0
    with contextlib.suppress(OSError):
        for camera, name, _ in _files(folder):
            if name.endswith(PART):
                removed += _remove(folder / camera, [name])
    return removed


def _events(folder: Path, now_utc_s: float) -> dict[str, _Event]:
    events: dict[str, _Event] = {}
    for camera, name, found in _files(folder):
        event_id = event_of(name)
        if event_id is None:
            continue
        if name.endswith(PART) and now_utc_s - found.st_mtime < _STALE_PART_S:
            continue  # it may be being written
        event = events.setdefault(event_id, _Event(camera))
        if event.camera != camera:
            continue  # a copy that somebody made; its camera's event is the other
        event.bytes += found.st_size
        event.written_s = max(event.written_s, found.st_mtime)
        event.names.append(name)
    return events


def _files(folder: Path) -> Iterator[tuple[str, str, os.stat_result]]:
    """Camera, name and facts of every file of ours."""
    with os.scandir(folder) as cameras:
        names = [c.name for c in cameras if is_camera(c.name) and c.is_dir(follow_symlinks=False)]
    for camera in sorted(names):
        try:
            fd = os.open(folder / camera, _FOLDER)
        except OSError:  # it went, or became a link
            continue
        try:
            for name in os.listdir(fd):
                if event_of(name) is None:
                    continue
                with contextlib.suppress(OSError):
                    found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    if stat.S_ISREG(found.st_mode):
                        yield camera, name, found
        finally:
            os.close(fd)


def _remove(folder: Path, names: Collection[str]) -> int:
    """Remove files of a folder that is no link; how many went."""
    removed = 0
    try:
        fd = os.open(folder, _FOLDER)
    except OSError as exc:
        log.warning("%s: cannot be opened: %s", folder, exc.strerror or exc)
        return 0
    try:
        for name in names:
            try:
                os.unlink(name, dir_fd=fd)
                removed += 1
            except FileNotFoundError:
                removed += 1
            except OSError as exc:
                log.warning("%s/%s: cannot be removed: %s", folder, name, exc.strerror or exc)
    finally:
        os.close(fd)
    return removed


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
