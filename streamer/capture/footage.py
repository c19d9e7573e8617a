"""Recorded pieces, one after the other, as one source: each with the UTC of its first frame.

What touches in time reads as if it had never been cut: one clock, one generation, one decimation.
"""

import json
from dataclasses import dataclass
from typing import Final

from sorawatch import ConfigError
from streamer.capture.source import Source, SourceKind

_KINDS: Final = (SourceKind.FILE, SourceKind.FOLDER)


@dataclass(frozen=True, slots=True)
class Piece:
    """A file or a folder, and when its first frame was taken, ns since 1970."""

    source: Source
    start_utc_ns: int


@dataclass(frozen=True, slots=True)
class Footage:
    """Pieces in order of time. Frames outside `from_utc_ns` (included) to `to_utc_ns` are left out.

    `to_utc_ns` None: to the end.
    """

    pieces: tuple[Piece, ...]
    from_utc_ns: int | None = None
    to_utc_ns: int | None = None


def footage_source(footage: Footage) -> Source:
    """The source that reads `footage`. ConfigError where a piece is neither file nor folder."""
    for piece in footage.pieces:
        if piece.source.kind not in _KINDS:
            raise ConfigError(f"{piece.source.masked}: only files and folders can be replayed")
    document = {
        "pieces": [[p.source.kind, p.source.url, p.source.fps, p.start_utc_ns]
                   for p in footage.pieces],
        "from": footage.from_utc_ns,
        "to": footage.to_utc_ns,
    }  # fmt: skip
    return Source(SourceKind.FOOTAGE, json.dumps(document, separators=(",", ":")))


def read_footage(source: Source) -> Footage:
    """What `footage_source` was given."""
    document = json.loads(source.url)
    return Footage(
        tuple(
            Piece(Source(SourceKind(kind), url, fps), start_utc_ns)
            for kind, url, fps, start_utc_ns in document["pieces"]
        ),
        document["from"],
        document["to"],
    )
