"""How long recorded footage is: asked of each file in a process that a bad one may kill."""

import json
import multiprocessing
import os
import resource
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Final

from sorawatch import SourceError
from streamer.capture.opener import open_source
from streamer.capture.source import Source, SourceKind

_PATIENCE_S: Final = 60.0
_USUAL_FPS: Final = 25.0


@dataclass(frozen=True, slots=True)
class Length:
    """What a source says of itself. `length_s`: 0.0 where it does not say, or cannot be opened.

    `problem`: why it cannot be opened, None where it can.
    """

    length_s: float
    problem: str | None = None


def measure(sources: Sequence[Source]) -> list[Length]:
    """The length of each file or folder, as declared; nothing is decoded beyond the first frame."""
    found: list[Length] = []
    while len(found) < len(sources):
        found += _some(sources[len(found) :])
    return found


def _some(sources: Sequence[Source]) -> list[Length]:
    """As many as a process lives to tell; the one that kills it is told with its crash."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    asked = [(source.kind.value, source.url, source.fps) for source in sources]
    process = context.Process(target=_child, args=(theirs, asked), name="sorawatch lengths")
    process.start()
    theirs.close()
    found: list[Length] = []
    try:
        for source in sources:
            if not ours.poll(_PATIENCE_S):
                text = f"{source.masked}: opening it does not come to an end"
                return [*found, Length(0.0, text)]
            found.append(Length(*json.loads(ours.recv_bytes())))
    except (EOFError, OSError):
        found.append(Length(0.0, f"{sources[len(found)].masked}: its decoder crashed"))
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()
    return found


def _child(connection: Connection, asked: list[tuple[str, str, float | None]]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # what FFmpeg says of a file is said in words
    for kind, url, fps in asked:
        connection.send_bytes(json.dumps(_length(Source(SourceKind(kind), url, fps))).encode())


def _length(source: Source) -> tuple[float, str | None]:
    try:
        reader = open_source(source)
    except SourceError as exc:
        return 0.0, str(exc)
    try:
        frames = reader.frames_declared or 0
        return frames / (reader.fps_declared or _USUAL_FPS), None
    finally:
        reader.close()
