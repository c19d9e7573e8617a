"""What was planted, what was found, after how long, and what was raised without cause."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from streamer.demo.annotate import Share
from streamer.demo.render import Truth
from streamer.demo.scene import Planted

CLOCK_SLACK_S = 1.0
"""The program's time of a frame may differ so much from when the server sent it: opening a stream
hands over the first second of it at once."""

PLACE_SLACK = 0.06
"""A region may miss the planted box by this share of the picture: it is cut to coarse cells."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message about an anomaly, as it came over ZeroMQ. Times are UTC seconds.

    `time`: of the frame that it tells of; `start_time`: of the event's first unusual frame;
    `came`: when the subscriber had it. `region`: where the event was most unusual so far.
    """

    camera: str
    event_id: str
    time: float
    start_time: float
    came: float
    region: Share | None
    score: float
    text: str


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera's truth, and when the first frame of its footage was sent: once a connection."""

    name: str
    truth: Truth
    plays: Sequence[float]

    def footage_s(self, utc_s: float) -> float | None:
        """Seconds from the first frame to a moment; None before the first connection."""
        begun = [start for start in self.plays if start <= utc_s + CLOCK_SLACK_S]
        return None if not begun else utc_s - begun[-1]


@dataclass(frozen=True, slots=True)
class Line:
    """A planted event: at which second of the footage, and the alert that found it.

    `delay_s`: from the moment at which its first frame was sent until the alert was received.
    """

    camera: str
    kind: str
    at_s: float
    delay_s: float | None
    score: float | None
    text: str

    @property
    def found(self) -> bool:
        """Whether an alert came for it."""
        return self.delay_s is not None


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome. `false`: alerts, by event, for which nothing was planted."""

    lines: tuple[Line, ...]
    false: tuple[Message, ...]
    watched_s: float

    @property
    def exit_status(self) -> int:
        """0 when something was planted and all of it was found, else 1."""
        return 0 if self.lines and all(line.found for line in self.lines) else 1


def matches(message: Message, camera: Camera, event: Planted) -> bool:
    """Whether a message is about a planted event: its time, and its place where both know it."""
    told_s, start_s = camera.footage_s(message.time), camera.footage_s(message.start_time)
    if told_s is None or start_s is None:
        return False
    start_s = min(start_s, told_s)
    fps = camera.truth.fps
    first, last = (start_s - CLOCK_SLACK_S) * fps, (told_s + CLOCK_SLACK_S) * fps
    if last < event.start_frame or first > event.end_frame:
        return False
    if message.region is None or not event.boxes:
        return True
    x, y, width, height = message.region
    slack = PLACE_SLACK
    for frame, box in event.boxes.items():
        if not first <= frame <= last:
            continue
        apart = (
            x > box[0] + box[2] + slack
            or box[0] > x + width + slack
            or y > box[1] + box[3] + slack
            or box[1] > y + height + slack
        )
        if not apart:
            return True
    return False


def judge(cameras: Sequence[Camera], messages: Sequence[Message]) -> Report:
    """Hold the messages against the truth."""
    by_name: Mapping[str, Camera] = {camera.name: camera for camera in cameras}
    right: set[str] = set()
    lines = []
    for camera in cameras:
        for event in camera.truth.events:
            hits = [
                message
                for message in messages
                if message.camera == camera.name and matches(message, camera, event)
            ]
            right.update(message.event_id for message in hits)
            at_s = event.start_frame / camera.truth.fps
            if not hits:
                lines.append(Line(camera.name, event.kind, at_s, None, None, ""))
                continue
            first = min(hits, key=lambda message: message.came)
            sent = max(play for play in camera.plays if play <= first.time + CLOCK_SLACK_S) + at_s
            lines.append(
                Line(
                    camera.name,
                    event.kind,
                    at_s,
                    max(0.0, first.came - sent),
                    max(message.score for message in hits),
                    first.text,
                )
            )
    wrong: dict[str, Message] = {}
    for message in messages:
        if message.event_id not in right and message.camera in by_name:
            wrong.setdefault(message.event_id, message)
    watched_s = sum(camera.truth.frames / camera.truth.fps for camera in cameras if camera.plays)
    return Report(tuple(lines), tuple(wrong.values()), watched_s)


def clock(seconds: float) -> str:
    """Footage time: "1:05.2"."""
    tenths = round(seconds * 10)
    return f"{tenths // 600}:{tenths % 600 / 10:04.1f}"


def table(report: Report, cameras: Sequence[Camera]) -> str:
    """The closing table, for people."""
    rows = [("camera", "planted", "at", "found", "delay", "score", "reason")]
    for line in report.lines:
        rows.append(
            (
                line.camera,
                line.kind.replace("_", " "),
                clock(line.at_s),
                "yes" if line.found else "NO",
                "" if line.delay_s is None else f"{line.delay_s:.1f} s",
                "" if line.score is None else f"{line.score:.1f}",
                line.text,
            )
        )
    by_name = {camera.name: camera for camera in cameras}
    for message in report.false:
        at_s = by_name[message.camera].footage_s(message.start_time) or 0.0
        rows.append(
            (
                message.camera,
                "-",
                clock(max(at_s, 0.0)),
                "false",
                "",
                f"{message.score:.1f}",
                message.text,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    text = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        text.append("  ".join([*cells, row[-1]]).rstrip())
    text.insert(1, "-" * max(len(line) for line in text))
    found = sum(line.found for line in report.lines)
    delays = sorted(line.delay_s for line in report.lines if line.delay_s is not None)
    middle = f", median delay {delays[len(delays) // 2]:.1f} s" if delays else ""
    text.append("")
    text.append(
        f"found {found} of {len(report.lines)} planted events{middle}; "
        f"{len(report.false)} false {'alert' if len(report.false) == 1 else 'alerts'} "
        f"in {report.watched_s / 60:.1f} camera-minutes"
    )
    return "\n".join(text)
