"""What power loss must not undo: appended lines, renamed files, folders that know their files."""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Let the folder itself reach the disk: which files it holds."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def append_lines(path: Path, lines: bytes) -> None:
    """Append whole lines and sync them; on OSError the file is as long as it was before."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        before = os.fstat(fd).st_size
        try:
            write_all(fd, lines)
            os.fsync(fd)
        except OSError:
            os.ftruncate(fd, before)
            raise
    finally:
        os.close(fd)


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of a file: after a power loss there is the old one or the new one."""
    new = path.with_name(path.name + ".new")
    try:
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_all(fd: int, data: bytes) -> None:
    """Write every byte, however often the system takes only a part. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def free_bytes(folder: Path) -> int:
    """Room that is left for us on the file system of a folder."""
    stat = os.statvfs(folder)
    return stat.f_bavail * stat.f_frsize
