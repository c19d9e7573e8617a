"""The folder that an evaluation leaves: there whole, or not at all."""

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from sorawatch import ConfigError, ResourceError
from streamer.evaluation.summary import SCHEMA

SUMMARY: Final = "summary.json"
_OWN: Final = frozenset({"scores", "regions", "pictures", SUMMARY})


def check_out(out: Path) -> None:
    """Raise ConfigError where `out` holds what is not an earlier evaluation's.

    ResourceError where it cannot be written: before hours of footage are read, not after.
    """
    try:
        inside = {path.name for path in out.iterdir()} if out.is_dir() else set()
        if out.exists() and not out.is_dir():
            raise ConfigError(f"{out}: is a file: give a folder")
        if inside and not (inside <= _OWN and _is_evaluation(out / SUMMARY)):
            raise ConfigError(
                f"{out}: holds something that is no earlier evaluation: give another folder"
            )
        out.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out.absolute().parent):
            pass
    except OSError as exc:
        raise _unwritable(out, exc) from exc


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """A new folder beside `out`, which takes its place at the end; removed if that is not reached.

    Raises as `check_out`.
    """
    check_out(out)
    whole = out.absolute()
    try:
        new = Path(tempfile.mkdtemp(prefix=f".{whole.name}.", dir=whole.parent))
    except OSError as exc:
        raise _unwritable(out, exc) from exc
    try:
        yield new
        new.chmod(0o755)
        old: Path | None = None
        if whole.exists():
            check_out(out)  # it may have been filled meanwhile
            old = Path(tempfile.mkdtemp(prefix=f".{whole.name}.", dir=whole.parent)) / "old"
            os.rename(whole, old)
        os.rename(new, whole)
        if old is not None:
            shutil.rmtree(old.parent, ignore_errors=True)
    except OSError as exc:
        raise _unwritable(out, exc) from exc
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _is_evaluation(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))["schema"] == SCHEMA)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def _unwritable(out: Path, exc: OSError) -> ResourceError:
    reason = "no space left" if exc.errno == errno.ENOSPC else exc.strerror or str(exc)
    return ResourceError(f"{out}: cannot be written: {reason}")
