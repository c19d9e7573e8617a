"""What the program and its cameras are doing now: one value, for people, metrics and programs."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from sorawatch import SorawatchError

HEARTBEAT_LIMIT_S = 30.0
"""The program counts as hung when its analysis has not come round for this long."""

_TUPLE = AfterValidator(tuple)  # so that what came over the wire equals what was sent


class _Value(BaseModel):
    # Unknown keys are left out, not refused: `sorawatch status` may be older than what it asks.
    model_config = ConfigDict(frozen=True, extra="ignore")


class CameraStatus(_Value):
    """One camera. Counts are since the program's start and never go down."""

    name: str
    source: str
    """Password masked."""
    state: str
    """connecting, online, stalled or offline."""
    reason: str | None = None
    """Why it is not online: auth, not_found, refused, timeout, codec, ended or error."""
    detail: str = ""
    since_s: float = 0.0
    """How long it has been in this state, seconds."""
    frames: int = 0
    frames_analysed: int = 0
    frames_per_s: float = 0.0
    """Frames received a second, over the last few seconds."""
    frame_age_s: float | None = None
    """Since the newest frame was received; None before the first."""
    dropped: Mapping[str, int] = {}
    """Frames not scored, by reason: overrun (analysis fell behind), black, frozen, torn, smeared;
    of those cut from the live picture to `detect.fps` none is counted."""
    reconnects: int = 0
    stalls: int = 0
    width: int = 0
    height: int = 0
    health: Annotated[Sequence[str], _TUPLE] = ()
    """What is wrong with its picture now: frozen, dark, tampered, slow: too few pictures a
    second for `detect.fps`, so that nothing is scored; other_size: neither, since they are not of
    the size that was learned; scene_changed or drifted: see `drift`."""
    learned: float | None = None
    """Share of `learn_for` that has been learned; None once the camera is watched."""
    score: float | None = None
    """Score of the newest frame; None while nothing is scored."""
    threshold: float | None = None
    warning: str | None = None
    """Why `threshold` cannot be relied on: too little footage was learned from."""
    drift: str | None = None
    """What is no longer as it was learned, and what to do; the threshold is higher meanwhile."""
    alerts: int = 0
    """Anomaly events opened."""
    held_back: int = 0
    """Events that `judge.most_per_hour` held back."""
    alerting: bool = False
    """Whether one is open now."""


class SinkStatus(_Value):
    """One way out for alerts. Counts are since the program's start and never go down."""

    name: str
    type: str
    """mqtt, webhook, script or syslog."""
    state: str
    """working, failing or stopped."""
    position: int | None = None
    """Number of the last message that it has dealt with."""
    behind: int = 0
    """How many numbers the outbox is ahead of that."""
    delivered: int = 0
    retries: int = 0
    """Attempts that failed, and were or are made again."""
    given_up: int = 0
    """Messages that the other side will never take, or that became too old."""
    missed: int = 0
    """Messages that the outbox had forgotten before they could be delivered."""
    error: str | None = None
    """What went wrong last."""


class EvidenceStatus(_Value):
    """Pictures and clips of events. Counts are since the program's start."""

    clips_written: int = 0
    clips_dropped: Mapping[str, int] = {}
    """Events without a clip, by reason: behind (too many at once), disk, missed (no pictures of
    that time), empty, error, late, died (the process that makes them), off, stopped."""
    clips_waiting: int = 0
    """Ends that are held back until their clip is there."""
    pictures_failed: int = 0
    buffer_bytes: Mapping[str, int] = {}
    """Memory for the newest pictures of each camera, as JPEG."""
    pictures_thinned: int = 0
    """Of those, given up for want of room: clips have fewer pictures a second."""
    pictures_missed: int = 0
    """Overwritten in the ring before they were looked at."""
    files: int = 0
    bytes: int = 0
    """What the folder held when it was last looked through."""
    problem: str = ""
    """What is wrong now, one line; events go out all the same, without pictures or clips."""


class ProgramStatus(_Value):
    """The whole program. What stands in `problems` keeps it from being ready."""

    version: str
    pid: int
    uptime_s: float
    provider: str | None = None
    """ONNX Runtime's active execution provider; None when the encoder is off."""
    cameras: Annotated[Sequence[CameraStatus], _TUPLE] = ()
    queues: Mapping[str, int] = {}
    """How much waits, by queue: `alerts`, and what else there is."""
    alerts_lost: int = 0
    heartbeat_age_s: float = 0.0
    """Since the analysis last came round, seconds, whether or not there was a frame."""
    problems: Annotated[Sequence[str], _TUPLE] = ()
    """One line each: the outbox's disk is full, a camera has not been opened yet, ..."""
    publish: str = ""
    catch_up: str = ""
    sinks: Annotated[Sequence[SinkStatus], _TUPLE] = ()
    """Where alerts go beside ZeroMQ. One that fails does not make the program unready."""
    control: str | None = None
    evidence: EvidenceStatus | None = None
    """None: neither pictures nor clips are wanted."""

    @property
    def live(self) -> bool:
        """Whether the program still turns; if not, only a restart helps."""
        return self.heartbeat_age_s <= HEARTBEAT_LIMIT_S

    @property
    def ready(self) -> bool:
        """Whether everything works that is the program's own business; cameras may be offline."""
        return self.live and not self.problems


def read_status(text: str | bytes) -> ProgramStatus:
    """Status from the JSON that `/status` gives. Raises SorawatchError for anything else."""
    try:
        return ProgramStatus.model_validate_json(text)
    except ValidationError as exc:
        raise SorawatchError("what answered is not Sorawatch, or another version of it") from exc


def render_status(status: ProgramStatus) -> str:
    """The status as a table for people: a line about the program, then one for each camera."""
    ready = "ready" if status.ready else "NOT READY: " + "; ".join(status.problems or ("hung",))
    head = (
        f"sorawatch {status.version}, pid {status.pid}, up {duration(status.uptime_s)}, "
        f"{status.provider or 'no encoder'}, {ready}"
    )
    rows: list[tuple[str, ...]] = [
        ("camera", "state", "frames/s", "age", "dropped", "score", "alerts", "")
    ]
    rows += [_row(camera) for camera in status.cameras]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if 2 <= i <= 6 else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    said = [
        f"{camera.name}: {text}"
        for camera in status.cameras
        for text in (camera.drift, camera.warning)
        if text is not None
    ]
    said += [_sink_line(sink) for sink in status.sinks]
    if status.evidence is not None and status.evidence.problem:
        said.append(f"evidence: {status.evidence.problem}")
    return "\n".join([head, "", *lines, *([""] if said else []), *said])


def _sink_line(sink: SinkStatus) -> str:
    """`sink ha (mqtt): failing, 12 behind, 3 given up: what is wrong`."""
    counts = [(sink.behind, "behind"), (sink.given_up, "given up"), (sink.missed, "missed")]
    facts = [sink.state, *(f"{count} {what}" for count, what in counts if count)]
    error = f": {sink.error}" if sink.error and sink.state != "working" else ""
    return f"sink {sink.name} ({sink.type}): {', '.join(facts)}{error}"


def _row(camera: CameraStatus) -> tuple[str, ...]:
    state = camera.state if camera.reason is None else f"{camera.state} ({camera.reason})"
    if camera.score is None:
        score = "-"
    elif camera.threshold is None:
        score = f"{camera.score:.2f}"
    else:
        score = f"{camera.score:.2f}/{camera.threshold:.2f}"
    notes = list(camera.health)
    if camera.learned is not None:
        notes.append(f"learning {camera.learned:.0%}")
    if camera.alerting:
        notes.append("ALERT")
    if camera.detail:
        notes.append(camera.detail)
    return (
        camera.name,
        f"{state} {duration(camera.since_s)}",
        f"{camera.frames_per_s:.1f}",
        "-" if camera.frame_age_s is None else f"{camera.frame_age_s:.1f}s",
        str(sum(camera.dropped.values())),
        score,
        str(camera.alerts),
        ", ".join(notes),
    )


def duration(seconds: float) -> str:
    """`42s`, `5m`, `3h`, `12d`: a length of time at a glance."""
    for unit, length_s in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length_s:
            return f"{seconds // length_s:.0f}{unit}"
    return f"{max(seconds, 0):.0f}s"
