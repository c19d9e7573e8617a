"""Labels: when something happened that should raise an alert, from a file, laid onto a replay.

A file of labels holds a JSON object a line:

    {"camera": "gate", "start": "2025-11-22T09:00:00Z", "end": "2025-11-22T09:00:20Z"}
    {"source": "friday.mp4", "start_s": 40, "end_s": 55, "note": "climbs over the fence"}

or is the `labels.json` of a data set (docs/datasets.md), whose entries are sources by name.
"""

import json
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sorawatch import ConfigError
from streamer.deciding.moment import parse_moment, utc
from streamer.deciding.replayed import Replay, ReplayedCamera, ReplayedSource
from streamer.evaluation.dataset import Truth, read_truths

_MAX_BYTES: Final = 64 * 1024 * 1024
_KEYS: Final = frozenset({"camera", "source", "start", "end", "start_s", "end_s", "note"})
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Labels:
    """What is true of the footage of a replay.

    `events`: of each source of each camera that the labels speak of, by (camera, number): intervals
    in UTC seconds, ascending and apart; none happened where there are none. `notes`: what people
    should know.
    """

    events: dict[tuple[str, int], tuple[Interval, ...]]
    notes: tuple[str, ...] = ()

    def only(self, cameras: Collection[str]) -> "Labels":
        """Those of some cameras."""
        own = {key: events for key, events in self.events.items() if key[0] in cameras}
        return Labels(own, self.notes)

    @property
    def count(self) -> int:
        """Number of events."""
        return sum(map(len, self.events.values()))


@dataclass(frozen=True, slots=True)
class Label:
    """One line of a file of labels: UTC seconds, or seconds from the start of `source`."""

    at: str
    camera: str | None
    source: str | None
    start_s: float
    end_s: float
    note: str = field(default="")


def read_labels(path: Path, replay: Replay) -> Labels:
    """Labels for the footage of `replay`.

    ConfigError, naming file and line or key, where they cannot be read, do not fit the footage, or
    speak of a camera that the replay does not have.
    """
    text = _read(path)
    if is_data_set(text):
        return _of_data_set(path, replay)
    return lay(read_lines(path, text), replay, path)


def read_lines(path: Path, text: str) -> list[Label]:
    """The lines of a file of labels, each checked."""
    labels = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            labels.append(_label(f"{path}:{number}", line))
    return labels


def lay(labels: Sequence[Label], replay: Replay, path: Path) -> Labels:
    """Labels onto the footage: what is not labelled there is normal. Raises ConfigError."""
    found: dict[tuple[str, int], list[Interval]] = {
        (source.camera, source.number): [] for _, source in replay.sources()
    }
    for label in labels:
        camera = _camera_of(label, replay)
        own = camera.sources if label.source is None else [_source_of(label, camera)]
        start_s, end_s = label.start_s, label.end_s
        if label.source is not None:
            start_s, end_s = (own[0].start_utc_s + s for s in (start_s, end_s))
        laid = [
            source for source in own if start_s <= source.end_utc_s and end_s > source.start_utc_s
        ]
        if not laid:
            raise ConfigError(f"{label.at}: lies outside the footage of {camera.name}: {_of(own)}")
        for source in laid:
            inside = (max(start_s, source.start_utc_s), end_s)
            found[source.camera, source.number].append(inside)
    notes = () if labels else (f"{path}: holds no label: every alert counts as a false one",)
    return Labels({key: _apart(events) for key, events in found.items()}, notes)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    if len(data) > _MAX_BYTES:
        raise ConfigError(f"{path}: larger than {_MAX_BYTES >> 20} MiB, no file of labels")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8 text") from exc


def is_data_set(text: str) -> bool:
    """Whether it maps names to labels; a line of labels maps keys to plain values."""
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(tree, dict) and all(isinstance(value, dict) for value in tree.values())


def _label(at: str, line: str) -> Label:
    try:
        given: Any = json.loads(line)
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{at}: no JSON: {exc}") from exc
    if not isinstance(given, dict):
        raise ConfigError(f"{at}: expected an object with start and end, or source, start_s, end_s")
    if unknown := sorted(given.keys() - _KEYS):
        raise ConfigError(f"{at}: unknown key {unknown[0]!r:.40}")
    by_source = "source" in given
    keys = ("start_s", "end_s") if by_source else ("start", "end")
    for key in keys:
        if key not in given:
            raise ConfigError(f"{at}: has no {key!r}" + ("" if by_source else ", nor a 'source'"))
    for key in ("camera", "source", "note"):
        if not isinstance(given.get(key, ""), str):
            raise ConfigError(f"{at}: {key} must be text")
    try:
        start_s, end_s = (_seconds(given[k]) if by_source else parse_moment(given[k]) for k in keys)
    except ValueError as exc:
        raise ConfigError(f"{at}: {exc}") from exc
    if not start_s < end_s:
        raise ConfigError(f"{at}: ends before it begins")
    return Label(
        at, given.get("camera"), given.get("source"), start_s, end_s, given.get("note", "")
    )


def _seconds(given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise ValueError(f"expected seconds, not {given!r:.40}")  # noqa: TRY004 - caught as such
    if not (math.isfinite(given) and given >= 0):
        raise ValueError(f"expected seconds from the start of the source, not {given!r:.40}")
    return float(given)


def _camera_of(label: Label, replay: Replay) -> ReplayedCamera:
    if label.camera is not None:
        if label.camera not in replay.cameras:
            raise ConfigError(
                f"{label.at}: there is no camera {label.camera!r:.80} in {replay.folder}; "
                f"it has {', '.join(replay.cameras)}"
            )
        return replay.cameras[label.camera]
    if len(replay.cameras) == 1:
        return next(iter(replay.cameras.values()))
    having = [
        camera
        for camera in replay.cameras.values()
        if label.source is not None and _matching(label.source, camera)
    ]
    if len(having) != 1:
        raise ConfigError(f"{label.at}: say which camera: one of {', '.join(replay.cameras)}")
    return having[0]


def _matching(name: str, camera: ReplayedCamera) -> list[ReplayedSource]:
    """Sources that are called so: the whole of it, else the file, else the file without suffix."""
    whole = [one for one in camera.sources if one.record.source == name]
    file = [one for one in camera.sources if one.name == name]
    stem = [one for one in camera.sources if Path(one.name).stem == name]
    return whole or file or stem


def _source_of(label: Label, camera: ReplayedCamera) -> ReplayedSource:
    found = _matching(label.source or "", camera)
    if len(found) != 1:
        what = "is no source of" if not found else "is the name of several sources of"
        raise ConfigError(f"{label.at}: {label.source!r:.200} {what} {camera.name}")
    return found[0]


def _of(sources: Sequence[ReplayedSource]) -> str:
    """From when to when there is footage."""
    if not sources:
        return "there is none"
    first, last = (
        min(one.start_utc_s for one in sources),
        max(one.end_utc_s for one in sources),
    )
    return f"it is from {utc(first)} to {utc(last)}" + (", with gaps" if len(sources) > 1 else "")


def _of_data_set(path: Path, replay: Replay) -> Labels:
    truths, notes = read_truths(path)
    found: dict[tuple[str, int], tuple[Interval, ...]] = {}
    unnamed = 0
    for camera, source in replay.sources():
        truth = truths.get(source.name) or truths.get(Path(source.name).stem)
        if truth is None:
            unnamed += 1
        else:
            found[camera.name, source.number] = _on(source, truth, path)
    if not found:
        raise ConfigError(
            f"{path}: has no key for any source of {replay.folder}: its entries are called "
            f"{', '.join(map(repr, list(truths)[:3]))}"
        )
    if unnamed:
        notes.append(f"{path}: says nothing of {unnamed} of the sources: they are left out")
    return Labels(found, tuple(notes))


def _on(source: ReplayedSource, truth: Truth, path: Path) -> tuple[Interval, ...]:
    start_s, length_s = source.start_utc_s, source.end_utc_s - source.start_utc_s
    events = []
    for first, last in truth.anomalous:
        if first / truth.fps > length_s + 1.0:
            raise ConfigError(
                f"{path}: {source.name!r}: [{first}, {last}] lies outside the footage, "
                f"{length_s:.0f} s of it"
            )
        events.append((start_s + first / truth.fps, start_s + last / truth.fps))
    return _apart(events)


def _apart(events: Sequence[Interval]) -> tuple[Interval, ...]:
    """Ascending, those that touch joined."""
    out: list[Interval] = []
    for start_s, end_s in sorted(events):
        if out and start_s <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end_s))
        else:
            out.append((start_s, end_s))
    return tuple(out)


def line_of(camera: str, start_s: float, end_s: float, note: str = "") -> str:
    """A label as a line of a file."""
    given: dict[str, Any] = {"camera": camera, "start": utc(start_s), "end": utc(end_s)}
    return json.dumps(given | ({"note": note} if note else {}))
