"""What is to be replayed, in order of time: runs of pieces, each run scored on its own.

A *run* is what the detector sees as unbroken: one file or folder, or those segments of a recording
that touch in time. Runs know nothing of each other, so that they can be replayed in any order.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Final

from sorawatch import ConfigError
from streamer.capture.footage import Footage, Piece, footage_source
from streamer.capture.source import Source, SourceKind
from streamer.replay.measure import Length

log = logging.getLogger(__name__)

TOUCH_S: Final = 0.5
"""Segments of a recording no farther apart than this are one run."""


@dataclass(frozen=True, slots=True)
class Dated:
    """A source, and when it is: seconds UTC, `end_utc_s` as far as known."""

    source: Source
    start_utc_s: float
    end_utc_s: float
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What is scored as one. `problem`: what is odd about it; `dead`: it cannot be opened."""

    footage: Footage
    start_utc_s: float
    end_utc_s: float
    identity: str
    problem: str | None = None
    dead: bool = False

    @property
    def source(self) -> Source:
        """What the capture is given."""
        return footage_source(self.footage)

    @property
    def text(self) -> str:
        """For people, masked."""
        return self.source.masked


@dataclass(frozen=True, slots=True)
class Range:
    """Which part is wanted: `utc`: seconds UTC, else seconds into each source. None: no limit."""

    first_s: float | None = None
    last_s: float | None = None
    utc: bool = False


def date_files(
    sources: Sequence[Source], lengths: Sequence[Length], start_utc_s: float | None = None
) -> list[Dated]:
    """When files and folders are.

    With `start_utc_s` they follow one another from then on, in the order given. Without, each ends
    when it was last changed; where that would have them overlap (they were copied), they follow one
    another from the first such start on, which is logged.
    """
    starts = [
        _changed_s(source) - length.length_s
        for source, length in zip(sources, lengths, strict=True)
    ]
    if start_utc_s is None:
        dated = [
            Dated(source, start_s, start_s + length.length_s, length.problem)
            for source, length, start_s in zip(sources, lengths, starts, strict=True)
        ]
        dated.sort(key=lambda one: one.start_utc_s)
        if all(a.end_utc_s <= b.start_utc_s + TOUCH_S for a, b in pairwise(dated)):
            return dated
        start_utc_s = min(starts)
        log.warning(
            "by the times at which they were changed the sources overlap: they are taken to follow "
            "one another, in the order given; --start says from when on"
        )
    dated = []
    for source, length in zip(sources, lengths, strict=True):
        dated.append(Dated(source, start_utc_s, start_utc_s + length.length_s, length.problem))
        start_utc_s += length.length_s
    return dated


def plan(dated: Sequence[Dated], part: Range, *, unbroken: bool = False) -> list[Run]:
    """Runs in order of time.

    `unbroken`: sources that touch in time are pieces of one recording, and make one run. Raises
    ConfigError when nothing lies in `part`, or a source is neither file nor folder.
    """
    ordered = sorted(dated, key=lambda one: one.start_utc_s)
    runs: list[list[Dated]] = []
    for one in ordered:
        touches = (
            unbroken
            and runs
            and one.problem is None
            and runs[-1][-1].problem is None
            and abs(one.start_utc_s - runs[-1][-1].end_utc_s) <= TOUCH_S
        )
        if touches:
            runs[-1].append(one)
        else:
            runs.append([one])
    planned: list[Run] = []
    for pieces in runs:
        run = _run(pieces, part)
        if run is None:
            continue
        if planned and run.start_utc_s < planned[-1].end_utc_s - TOUCH_S and not run.dead:
            overlap_s = planned[-1].end_utc_s - run.start_utc_s
            run = replace(run, problem=f"begins {overlap_s:.1f} s before the one before it ends")
        planned.append(run)
    if not planned:
        raise ConfigError("nothing to replay: no source holds footage of the time asked for")
    return planned


def _run(pieces: list[Dated], part: Range) -> Run | None:
    start_s, end_s = pieces[0].start_utc_s, pieces[-1].end_utc_s
    dead = all(piece.problem is not None for piece in pieces)
    base_s = 0.0 if part.utc else start_s
    from_s = None if part.first_s is None else base_s + part.first_s
    to_s = None if part.last_s is None else base_s + part.last_s
    known = end_s > start_s
    if not dead and ((from_s is not None and known and from_s >= end_s) or (
        to_s is not None and to_s <= start_s
    )):  # fmt: skip
        return None
    footage = Footage(
        tuple(Piece(piece.source, _ns(piece.start_utc_s)) for piece in pieces),
        None if from_s is None else _ns(from_s),
        None if to_s is None else _ns(to_s),
    )
    if from_s is not None:
        start_s = max(start_s, from_s)
    if to_s is not None:
        end_s = min(end_s, to_s)
    return Run(
        footage,
        start_s,
        max(start_s, end_s),
        _identity(footage),
        pieces[0].problem if dead else None,
        dead,
    )


def _identity(footage: Footage) -> str:
    """SHA-256 of path, size, time of change and UTC of every piece, and of what part is wanted."""
    digest = hashlib.sha256(repr((footage.from_utc_ns, footage.to_utc_ns)).encode())
    for piece in footage.pieces:
        path = Path(piece.source.url)
        digest.update(f"{piece.source.fps}\0{piece.start_utc_ns}\0".encode())
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        for one in inside:
            try:
                found = one.stat()
            except OSError:
                continue
            digest.update(f"{one}\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def _changed_s(source: Source) -> float:
    path = Path(source.url)
    if source.kind not in (SourceKind.FILE, SourceKind.FOLDER):
        raise ConfigError(f"{source.masked}: only files and folders can be replayed")
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _ns(utc_s: float) -> int:
    """To the microsecond, as frames are dated."""
    return round(utc_s * 1e6) * 1000
