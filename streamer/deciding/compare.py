"""`sorawatch compare`: the events of two replays of the same footage, set against each other."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from alerts.event import Event
from alerts.wire import WireError, decode
from sorawatch import ConfigError, ReplayError
from streamer.deciding.alert import Alert, decided
from streamer.deciding.redecide import Settings
from streamer.deciding.replayed import Replay, ReplayedCamera, each_footage
from streamer.trace.manifest import EVENTS

_LONGEST_LINE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Moved:
    """One event in both whose beginning or end differs, in seconds: B's minus A's."""

    before: Alert
    after: Alert

    @property
    def start_s(self) -> float:
        """How much later it begins in B."""
        return self.after.start_utc_s - self.before.start_utc_s

    @property
    def end_s(self) -> float:
        """How much later it ends in B."""
        return self.after.end_utc_s - self.before.end_utc_s


@dataclass(frozen=True, slots=True)
class Difference:
    """Events that only B has (`gained`), that only A has (`lost`), that both have but at other
    times (`moved`), and how many are the same within the tolerance."""

    gained: tuple[Alert, ...]
    lost: tuple[Alert, ...]
    moved: tuple[Moved, ...]
    same: int

    @property
    def any(self) -> bool:
        """Whether they differ."""
        return bool(self.gained or self.lost or self.moved)

    def document(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "differ": self.any,
            "same": self.same,
            "gained": [alert.document() for alert in self.gained],
            "lost": [alert.document() for alert in self.lost],
            "moved": [
                {
                    "before": one.before.document(),
                    "after": one.after.document(),
                    "start_s": round(one.start_s, 3),
                    "end_s": round(one.end_s, 3),
                }
                for one in self.moved
            ],
        }


def compare(a: Replay, b: Replay, tolerance_s: float = 1.0) -> Difference:
    """The events that both replays wrote. ConfigError where their footage is not the same."""
    check_same_footage(a, b)
    before, after = written(a), written(b)
    shifted = [_shifted(alert, b, a) for alert in after]
    return difference(before, shifted, tolerance_s)


def compare_settings(
    replay: Replay, chosen: Callable[[ReplayedCamera], Settings], tolerance_s: float = 1.0
) -> Difference:
    """The events as replayed, and with other settings, both decided anew from the traces."""
    before: list[Alert] = []
    after: list[Alert] = []
    for camera, source, footage in each_footage(replay.sources()):
        before += decided(camera, source, camera.today, footage=footage)
        after += decided(camera, source, chosen(camera), footage=footage)
    return difference(before, after, tolerance_s)


def difference(before: Sequence[Alert], after: Sequence[Alert], tolerance_s: float) -> Difference:
    """Match events of the same camera and time, in order; each has one counterpart at most."""
    gained: list[Alert] = []
    lost: list[Alert] = []
    moved: list[Moved] = []
    same = 0
    for camera in sorted({alert.camera for alert in (*before, *after)}):
        old, new = (
            sorted((x for x in alerts if x.camera == camera), key=lambda x: x.start_utc_s)
            for alerts in (before, after)
        )
        i = j = 0
        while i < len(old) and j < len(new):
            one, other = old[i], new[j]
            if one.overlaps(other, tolerance_s):
                if _same(one, other, tolerance_s):
                    same += 1
                else:
                    moved.append(Moved(one, other))
                i, j = i + 1, j + 1
            elif one.start_utc_s < other.start_utc_s:
                lost.append(one)
                i += 1
            else:
                gained.append(other)
                j += 1
        lost += old[i:]
        gained += new[j:]
    return Difference(tuple(gained), tuple(lost), tuple(moved), same)


def _same(one: Alert, other: Alert, tolerance_s: float) -> bool:
    grace_s = tolerance_s + 1e-6
    starts_s = abs(one.start_utc_s - other.start_utc_s)
    return starts_s <= grace_s and abs(one.end_utc_s - other.end_utc_s) <= grace_s


def check_same_footage(a: Replay, b: Replay) -> None:
    """ConfigError, naming the camera and what differs, unless both are of the same footage."""
    if a.cameras.keys() != b.cameras.keys():
        odd = sorted(a.cameras.keys() ^ b.cameras.keys())
        raise ConfigError(
            f"{a.folder} and {b.folder}: not the same footage: only one of them has the camera "
            f"{odd[0]}"
        )
    for name, camera in a.cameras.items():
        ours, theirs = camera.facts.sources, b.cameras[name].facts.sources
        what = None
        if len(ours) != len(theirs):
            what = f"{len(ours)} sources and {len(theirs)}"
        for one, other in zip(ours, theirs, strict=False):
            if one.identity != other.identity and (
                one.frames_read != other.frames_read or abs(_length_s(one) - _length_s(other)) > 1.0
            ):
                what = what or (
                    f"{one.source} has {one.frames_read} frames in {_length_s(one):.1f} s, "
                    f"{other.source} {other.frames_read} in {_length_s(other):.1f} s"
                )
        if what is not None:
            raise ConfigError(
                f"{a.folder} and {b.folder}: not the same footage of {name}: {what}: replay both "
                "over the same files"
            )


def _length_s(source: Any) -> float:
    return float(source.end_utc_s - source.start_utc_s)


def written(replay: Replay) -> list[Alert]:
    """The events that the replay wrote. ReplayError where they cannot be read."""
    path = replay.folder / EVENTS
    told: dict[tuple[str, str], list[Event]] = {}
    try:
        with path.open("rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
                if line.strip():
                    event = _event(path, number, line)
                    if event.kind == "anomaly" and event.camera in replay.cameras:
                        told.setdefault((event.camera, event.id), []).append(event)
    except OSError as exc:
        raise ReplayError(f"{path}: cannot be read: {exc.strerror or exc}: replay anew") from exc
    return [_alert(replay.cameras[camera], events) for (camera, _), events in told.items()]


def _event(path: Path, number: int, line: bytes) -> Event:
    try:
        return decode(line)
    except WireError as exc:
        raise ReplayError(f"{path}:{number}: {exc}: replay anew") from exc


def _alert(camera: ReplayedCamera, events: Sequence[Event]) -> Alert:
    first, last = events[0], events[-1]
    source = _source_at(camera, first.start_time)
    return Alert(
        camera=camera.name,
        source=camera.sources[source].name if camera.sources else "",
        id=first.id,
        start_utc_s=first.start_time,
        raised_utc_s=first.start_time if first.time is None else first.time,
        end_utc_s=first.start_time if last.end_time is None else last.end_time,
        score=last.score or 0.0,
        threshold=first.threshold or 1.0,
        expected_per_day=last.expected_per_day,
        text=last.explanation.text,
    )


def _source_at(camera: ReplayedCamera, utc_s: float) -> int:
    """Which source a moment is in: the last that begins before it."""
    starts = [source.start_utc_s for source in camera.sources]
    return max(0, bisect_right(starts, utc_s + 1e-3) - 1)


def _shifted(alert: Alert, own: Replay, onto: Replay) -> Alert:
    """An event at the time that its footage has in `onto`: a copied file may be younger."""
    sources, others = own.cameras[alert.camera].sources, onto.cameras[alert.camera].sources
    at = _source_at(own.cameras[alert.camera], alert.start_utc_s)
    if at >= len(sources) or at >= len(others):
        return alert
    by_s = others[at].start_utc_s - sources[at].start_utc_s
    return replace(
        alert,
        start_utc_s=alert.start_utc_s + by_s,
        raised_utc_s=alert.raised_utc_s + by_s,
        end_utc_s=alert.end_utc_s + by_s,
    )
