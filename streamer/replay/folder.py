"""The folder that a replay leaves: what may be written where, and the messages put together."""

import errno
import fcntl
import hashlib
import json
import logging
import os
import tempfile
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from alerts import wire
from alerts.event import Event, EventDraft
from detectors.arrayfile import write_atomic
from sorawatch import ConfigError, ReplayError, ResourceError
from streamer.replay.lane import told_path
from streamer.trace.manifest import (
    EVENTS,
    MANIFEST,
    OWN,
    PICTURES,
    REPORT,
    Manifest,
    load_manifest,
    trace_folder,
)

log = logging.getLogger(__name__)

_STREAM_DIGITS: Final = 16


def check_out(out: Path) -> Manifest | None:
    """The manifest of the replay in `out`, None where there is none yet.

    Raises ConfigError where `out` holds what is no replay's, ReplayError where its manifest is
    broken, ResourceError where it cannot be written.
    """
    try:
        if out.exists() and not out.is_dir():
            raise ConfigError(f"{out}: is a file: give a folder")
        inside = {path.name for path in out.iterdir()} if out.is_dir() else set()
        strange = sorted(name for name in inside if name not in OWN and not name.startswith("."))
        # `normal` and `trace` alone: a replay that was cut off before its first source was done.
        if strange or (inside - {"trace", "normal"} and MANIFEST not in inside):
            what = strange[0] if strange else sorted(inside)[0]
            raise ConfigError(
                f"{out}: holds {what}, which is no replay's: give another folder, or an empty one"
            )
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as exc:
        reason = "no space left" if exc.errno == errno.ENOSPC else exc.strerror or str(exc)
        raise ResourceError(f"{out}: cannot be written: {reason}") from exc
    return load_manifest(out) if MANIFEST in inside else None


def lock_folder(out: Path) -> int:
    """A descriptor that keeps other replays out of `out` until it is closed.

    ConfigError where one is at work there. Where the file system knows no locks there is none.
    """
    fd = os.open(out, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(fd)
        raise ConfigError(
            f"{out}: another `sorawatch replay` is writing there: wait for it, or give another "
            "folder"
        ) from exc
    except OSError as exc:
        log.debug("%s: not locked: %s", out, exc)
    return fd


def forget_camera(out: Path, camera: str, keep: frozenset[str] = frozenset()) -> None:
    """Remove what an earlier replay left of a camera, but for the files of the stems in `keep`."""
    folder = trace_folder(out, camera)
    try:
        for path in sorted(folder.iterdir()) if folder.is_dir() else []:
            stem = path.name.lstrip(".").partition(".")[0]
            if stem in keep and not path.name.startswith("."):
                continue
            if path.name.endswith(".events.jsonl"):
                with suppress(ReplayError):  # broken: it goes all the same
                    for draft in read_told(path):
                        (out / PICTURES / f"{draft.id}.jpg").unlink(missing_ok=True)
            path.unlink()
        (out / REPORT).unlink(missing_ok=True)
    except OSError as exc:
        raise ResourceError(f"{folder}: cannot be cleared: {exc.strerror or exc}") from exc


def read_told(path: Path) -> list[EventDraft]:
    """The messages of a run. ReplayError where the file is broken."""
    try:
        text = path.read_text(encoding="utf-8")
        return [EventDraft.model_validate_json(line) for line in text.splitlines()]
    except OSError as exc:
        raise ReplayError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except (ValidationError, ValueError) as exc:
        raise ReplayError(f"{path}: broken: replay its source anew") from exc


def write_events(out: Path, manifest: Manifest) -> list[Event]:
    """Number the messages of all cameras in the order of their times, and write `events.jsonl`.

    The same replay gives the same bytes.
    """
    drafts: list[tuple[float, EventDraft]] = []
    for camera, replay in manifest.cameras.items():
        for source in replay.sources:
            if source.file is not None:
                told = read_told(told_path(out, camera, source.file.partition(".")[0]))
                # What ends with another thing is told after it, though its time may be earlier.
                made_s = accumulate((draft.time for draft in told), max)
                drafts += zip(made_s, told, strict=True)
    drafts.sort(key=lambda one: one[0])  # stable: the order in which a run told them stays
    stream = stream_of(manifest)
    events = [Event.of(draft, stream, seq) for seq, (_, draft) in enumerate(drafts, 1)]
    write_atomic(out / EVENTS, b"".join(wire.encode(event) + b"\n" for event in events))
    return events


def stream_of(manifest: Manifest) -> str:
    """The stream that the messages of this replay belong to: by what was replayed with what."""
    facts = [
        [name, c.normal_sha256, c.model_sha256, c.config_sha256, [s.identity for s in c.sources]]
        for name, c in manifest.cameras.items()
    ]
    return "replay-" + hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:_STREAM_DIGITS]


def file_bytes(path: Path) -> bytes:
    """A file's bytes; ResourceError."""
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ResourceError(f"{path}: cannot be read: {os.strerror(exc.errno or 0)}") from exc
