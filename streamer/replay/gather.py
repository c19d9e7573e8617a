"""From what people name to footage with its times: recordings, files, folders, data sets."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sorawatch import ConfigError
from streamer.capture.folder_reader import PICTURE_SUFFIXES
from streamer.capture.source import Source, SourceKind
from streamer.config_fields import parse_duration
from streamer.evaluation.dataset import VIDEO_SUFFIXES, read_data_set
from streamer.evaluation.tracks import natural
from streamer.recording.index import INDEX
from streamer.recording.recordings import faults, parse_utc, segments
from streamer.replay.measure import measure
from streamer.replay.plan import Dated, Range, Run, date_files, plan

log = logging.getLogger(__name__)

_LATEST_S: Final = 7_258_118_400.0
_LABELS: Final = "labels.json"


def gather(
    sources: Sequence[Source],
    camera: str,
    *,
    start_utc_s: float | None = None,
    part: Range | None = None,
    unbroken: bool | None = None,
) -> list[Run]:
    """Runs of what `sources` name, in order of time.

    A folder is a recording (of which `camera` is replayed), a data set where it holds labels.json
    (its `test/` is replayed), a folder of frames where it holds pictures, else all the videos in
    it. When they are as in `date_files`; a recording knows that itself. `unbroken` as in `plan`;
    None: recordings are, others are not. ConfigError for anything else.
    """
    part = part or Range()
    if start_utc_s is not None and not 0 <= start_utc_s < _LATEST_S:
        raise ConfigError("--start must lie between the years 1970 and 2200")
    recordings = [source for source in sources if _is_recording(source)]
    if recordings and (len(sources) > 1 or start_utc_s is not None):
        raise ConfigError(
            f"{recordings[0].masked}: a recording is replayed by itself, and knows when it was: "
            "give nothing beside it, and no --start"
        )
    if recordings:
        dated = _recorded(Path(recordings[0].url), camera, part)
        return plan(dated, part, unbroken=True if unbroken is None else unbroken)
    named: list[Source] = []
    for source in sources:
        named += _inside(source) if source.kind is SourceKind.FOLDER else [source]
    for source in named:
        if source.kind not in (SourceKind.FILE, SourceKind.FOLDER):
            raise ConfigError(
                f"{source.masked}: only footage can be replayed: record it first, with "
                "sorawatch record"
            )
    dated = date_files(named, measure(named), start_utc_s)
    return plan(dated, part, unbroken=bool(unbroken))


def _is_recording(source: Source) -> bool:
    folder = Path(source.url)
    return source.kind is SourceKind.FOLDER and any(folder.glob(f"*/{INDEX}"))


def _recorded(folder: Path, camera: str, part: Range) -> list[Dated]:
    first_s, last_s = (part.first_s, part.last_s) if part.utc else (None, None)
    found = faults(folder, camera, first_s, last_s)
    if lost := sum(fault.kind in ("truncated", "empty", "missing") for fault in found):
        log.warning(
            "%s: %d segments are truncated, empty or missing: sorawatch recordings %s --camera %s "
            "lists them", folder, lost, folder, camera,
        )  # fmt: skip
    return [
        Dated(
            Source(SourceKind.FILE, str(segment.path.absolute())),
            segment.start_utc_s,
            segment.end_utc_s,
        )
        for segment in segments(folder, camera, first_s, last_s)
    ]


def _inside(source: Source) -> list[Source]:
    folder = Path(source.url)
    if (folder / _LABELS).exists():
        return [entry.source for entry in read_data_set(folder).test]
    try:
        inside = sorted(folder.iterdir(), key=lambda path: natural(path.name))
    except OSError as exc:
        raise ConfigError(f"{folder}: cannot be read: {exc.strerror or exc}") from exc
    inside = [path for path in inside if not path.name.startswith(".")]
    if any(path.suffix[1:].lower() in PICTURE_SUFFIXES for path in inside):
        return [source]
    videos = [path for path in inside if path.suffix.lower() in VIDEO_SUFFIXES]
    if not videos:
        raise ConfigError(
            f"{folder}: holds neither pictures nor videos, nor is it a data set: nothing to replay"
        )
    return [Source.parse(str(path.absolute())) for path in videos]


def parse_range(first: str | None, last: str | None) -> Range:
    """What `--from` and `--to` say: times in UTC, or lengths of time into each source.

    ConfigError where they cannot be understood, or are not both of a kind.
    """
    found = [None if text is None else _moment(text) for text in (first, last)]
    kinds = {utc for moment in found if moment is not None for utc in [moment[1]]}
    if len(kinds) > 1:
        raise ConfigError("--from and --to must both be times (UTC), or both lengths of time")
    values = [None if moment is None else moment[0] for moment in found]
    if values[0] is not None and values[1] is not None and values[0] >= values[1]:
        raise ConfigError(f"--from {first} must be earlier than --to {last}")
    return Range(values[0], values[1], utc=kinds == {True})


def _moment(text: str) -> tuple[float, bool]:
    if re.match(r"\d{4}-\d\d-\d\d", text):
        return parse_utc(text), True
    try:
        return parse_duration(text), False
    except ValueError as exc:
        raise ConfigError(
            f"{text!r}: give a time such as 2026-11-27T14:30:00Z, or a length of time into each "
            "source, such as 90s or 1h"
        ) from exc
