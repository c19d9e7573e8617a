"""The configuration as values: what a file may say, its ranges and its defaults.

Reading a file, with line numbers in its errors, is `streamer.config_load`. Top-level sections
give defaults, a camera may override them; `resolve` puts the two together.

All lengths of time are seconds here; a file may also write `90s`, `10m`, `1h`, `7d`.
"""

import os
import re
from collections.abc import Mapping
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationInfo,
    model_validator,
)

from alerts.address import check_address
from alerts.wanted import Hours, Schedule, Zone
from sorawatch import ConfigError
from streamer.capture.source import Source
from streamer.config_fields import (
    AnchoredPath,
    Bytes,
    Count,
    Number,
    PositiveSeconds,
    Seconds,
    Size,
    anchored,
    no_boolean,
    read_by,
)
from streamer.config_fields import Section as _Section
from streamer.config_sinks import SinkConfig, SinkName

CAMERA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Camera names go into topics, file names and metric labels."""

CONTROL_SUFFIX = ".control"
"""Of the control socket's file, after the outbox's name."""

MAX_IPC_BYTES = 100
"""Of an ipc:// address; the system takes 107 of a path."""


def _encoder(value: object, info: ValidationInfo) -> object:
    if value in ("builtin", "off"):
        return value
    if not isinstance(value, str | Path) or not str(value).endswith(".onnx"):
        raise ValueError("expected builtin, off, or the path of an .onnx file")
    return anchored(Path(value), info)


def _source(value: object, info: ValidationInfo) -> Source:
    if isinstance(value, Source):
        return value
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError("expected a URL, a path or a number")  # noqa: TRY004 - as above
    try:
        return Source.parse(str(value), base=(info.context or {}).get("folder"))
    except (ConfigError, OSError, RuntimeError) as exc:  # a path can be too long, a home unknown
        raise ValueError(str(exc)) from exc


def _zmq_endpoint(text: str) -> str:
    if not re.fullmatch(r"tcp://[^/\s]+:[0-9]{1,5}|ipc://\S+", text):
        raise ValueError("expected an address such as tcp://127.0.0.1:5556 or ipc:///run/x.sock")
    if text.startswith("tcp:") and int(text.rpartition(":")[2]) > 65535:
        raise ValueError("a port is at most 65535")
    return text


def _ipc(text: str) -> str:
    if text != "beside the outbox" and not re.fullmatch(r"ipc:///\S+", text):
        raise ValueError("expected ipc:///absolute/path, which this user alone can open, or null")
    if len(os.fsencode(text)) > MAX_IPC_BYTES:
        raise ValueError("the path of a socket has at most 94 characters")
    return text


class HostPort(NamedTuple):
    """A TCP address to listen on; port 0 takes any that is free."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        """`host:port`, with brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_host_port(value: object, _info: ValidationInfo | None = None) -> HostPort:
    """`127.0.0.1:9109` or `[::1]:9109`; ValueError for anything else."""
    if isinstance(value, HostPort):
        return value
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]/@]+)):([0-9]{1,5})", str(value))
    if match is None or int(match[3]) > 65535:
        raise ValueError("expected host:port, such as 127.0.0.1:9109")
    return HostPort(match[1] or match[2], int(match[3]))


Endpoint = Annotated[str, AfterValidator(_zmq_endpoint)]
SourceField = Annotated[Source, read_by(_source)]
ListenField = Annotated[HostPort, read_by(parse_host_port)]
EncoderField = Annotated[Literal["builtin", "off"] | Path, read_by(_encoder)]


class DetectOptions(_Section):
    """How one camera is analysed."""

    fps: Number = Field(default=5.0, ge=1, le=30)
    """Frames analysed a second."""


class DetectConfig(DetectOptions):
    """How cameras are analysed; what all cameras share stands here alone."""

    device: Literal["auto", "cuda", "cpu"] = "auto"
    encoder: EncoderField = "builtin"
    threads: Count | None = None
    """Threads that the encoder may use; None: as many as there are cores."""


class CaptureOptions(_Section):
    """How one camera is read."""

    transport: Literal["tcp", "udp"] = "tcp"
    open_timeout_s: PositiveSeconds = 10.0
    read_timeout_s: PositiveSeconds = 3.5
    stall_after_s: PositiveSeconds = 2.0
    """Called stalled when one read takes longer."""
    backoff_max_s: PositiveSeconds = 3.0
    slots: Annotated[int, BeforeValidator(no_boolean), Field(ge=10, le=256)] = 16
    """Frames that the camera's ring holds; about a megabyte each. Windows alone want ten."""


class CaptureConfig(CaptureOptions):
    """How cameras are read."""

    workers: Count | None = None
    """Worker processes for live streams; None: one a core, at most one a camera."""


class HealthConfig(_Section):
    """When a camera's own state becomes an event."""

    frozen_after_s: PositiveSeconds = 30.0
    dark_after_s: PositiveSeconds = 10.0
    tampered_after_s: PositiveSeconds = 10.0


Corner = tuple[Number, Number]


def _mask(corners: tuple[Corner, ...]) -> tuple[Corner, ...]:
    try:
        Zone("mask", corners)
    except ValueError as exc:
        raise ValueError(str(exc).replace("zone 'mask'", "a mask")) from exc
    return corners


Mask = Annotated[tuple[Corner, ...], AfterValidator(_mask)]
"""A polygon of the picture: corners (x, y) as shares of it."""


class ZoneConfig(_Section):
    """A part of the picture: a polygon that alerts come from alone, or never."""

    name: str = Field(min_length=1, max_length=64)
    include: tuple[Corner, ...] | None = None
    exclude: tuple[Corner, ...] | None = None
    by: Literal["middle", "overlap"] = "middle"
    """A region is in the zone when its middle is, or when they overlap at all."""
    threshold_ratio: Number | None = Field(default=None, gt=0, le=1000)
    """What is in it needs so many times the threshold; below 1 it takes less."""
    alerts_per_day: Number | None = Field(default=None, gt=0, le=100_000)
    """Instead: the rate whose threshold holds in it."""

    @model_validator(mode="after")
    def _polygon(self) -> "ZoneConfig":
        if (self.include is None) == (self.exclude is None):
            raise ValueError("a zone has the corners of either include or exclude")
        budgets = (self.threshold_ratio, self.alerts_per_day)
        if self.exclude is not None and budgets != (None, None):
            raise ValueError("what is in an excluded zone raises nothing, whatever its threshold")
        if None not in budgets:
            raise ValueError("a zone has either alerts_per_day or threshold_ratio")
        self.zone()
        return self

    def zone(self) -> Zone:
        """As the judge takes it."""
        if self.include is not None:
            ratio = 1.0 if self.threshold_ratio is None else self.threshold_ratio
            return Zone(self.name, self.include, "include", self.by, ratio, self.alerts_per_day)
        return Zone(self.name, self.exclude or (), "exclude", self.by)


class ScheduleConfig(_Section):
    """Days and hours in which alerts are wanted."""

    time_zone: str
    alert: tuple[str, ...]
    """Each such as "mon-fri 18:00-06:00"."""

    @model_validator(mode="after")
    def _hours(self) -> "ScheduleConfig":
        self.schedule()
        return self

    def schedule(self) -> Schedule:
        """As the judge takes it."""
        return Schedule(self.time_zone, tuple(Hours.parse(text) for text in self.alert))


class JudgeConfig(_Section):
    """How scores become events."""

    min_length_s: Seconds = 0.6
    merge_gap_s: Seconds = 3.0
    cooldown_s: Seconds = 10.0
    cooldown: Literal["interval", "idle"] = "interval"
    """What lasts through it is told afterwards; idle asks for so long without anything unusual."""
    most_per_hour: Count | None = None
    """Events of a camera told within an hour; None: any number. A rise in severity goes through."""
    alert_ratio: Number = Field(default=1.0, ge=1, le=1000)
    """An event is an alert from so many times the threshold on, a warning below."""
    leave_ratio: Number = Field(default=0.7, gt=0, le=1)
    """An event ends below this share of the threshold that opened it."""
    update_every_s: PositiveSeconds = 2.0
    zones: Annotated[tuple[ZoneConfig, ...], Field(max_length=50)] = ()
    schedule: ScheduleConfig | None = None
    """None: always."""


class CameraConfig(_Section):
    """One camera. Its sections, as read, hold what it overrides; `resolve` fills in the rest."""

    source: SourceField
    normal: AnchoredPath | None = None
    """Normality file; None before `resolve` stands for `<camera>.normal` beside the outbox."""
    alerts_per_day: Number = Field(default=1.0, gt=0, le=100_000)
    learn_for_s: PositiveSeconds = Field(
        default=3600.0, validation_alias=AliasChoices("learn_for", "learn_for_s")
    )
    masks: Annotated[tuple[Mask, ...], Field(max_length=50)] = ()
    """Parts of the picture that nobody is to see: black before anything is analysed or kept."""
    detect: DetectOptions = DetectOptions()
    capture: CaptureOptions = CaptureOptions()
    health: HealthConfig = HealthConfig()
    judge: JudgeConfig = JudgeConfig()


class CurveConfig(_Section):
    """Keys for alerts that leave this machine: encrypted, and only for those on a list."""

    secret_key_file: AnchoredPath
    """Our key pair: a .key_secret file of `sorawatch keys`."""
    allowed_keys_file: AnchoredPath
    """A public key (40 characters, Z85) a line, of each subscriber that may listen."""


class EvidenceConfig(_Section):
    """Pictures and clips of events."""

    folder: AnchoredPath
    clips: bool = True
    pre_roll_s: Annotated[Seconds, Field(le=120)] = 5.0
    """A clip begins so long before its event."""
    post_roll_s: Annotated[Seconds, Field(le=120)] = 5.0
    longest_s: Annotated[PositiveSeconds, Field(le=600)] = 60.0
    """No clip is longer than that."""
    buffer: Annotated[Bytes, Field(ge=1_000_000)] = 16_000_000
    """Memory for a camera's newest pictures, as JPEG."""
    max_age_days: Number = Field(default=30.0, gt=0)
    max_size: Bytes | None = 20_000_000_000
    """Of all pictures and clips; the oldest events' go first."""
    keep_free: Bytes = 1_000_000_000
    """What has to stay free on the disk."""
    base_url: str | None = Field(default=None, pattern=r"^https?://[^\s?#@]+$")
    """What messages call the folder, where others serve it; None: they hold paths."""

    @model_validator(mode="after")
    def _longer(self) -> "EvidenceConfig":
        if self.longest_s <= self.pre_roll_s + self.post_roll_s:
            raise ValueError("longest_s: must be more than pre_roll_s and post_roll_s together")
        return self


class AlertsConfig(_Section):
    """Where alerts go."""

    publish: Endpoint = "tcp://127.0.0.1:5556"
    catch_up: Endpoint = "tcp://127.0.0.1:5557"
    outbox: AnchoredPath = Path("var/alerts.db")
    snapshots: AnchoredPath | None = None
    """Folder for a picture per alert; None: no pictures."""
    evidence: EvidenceConfig | None = None
    """Pictures and clips; in the place of `snapshots`."""
    max_events: Count = 100_000
    """The outbox forgets the oldest beyond this many."""
    max_size: Size = 500_000_000
    """Bytes of the outbox's file, at least 1 MB: beyond, it forgets the oldest as well."""
    max_age_days: Number = Field(default=30.0, gt=0)
    curve: CurveConfig | None = None
    """Needed as soon as others than this machine can connect; `sorawatch keys` makes the files."""
    anyone_on_the_network_may_listen: bool = False
    """Without curve: alerts go in clear to whoever reaches the addresses, which may be beyond
    this machine. Only for a network that is trusted as a whole."""
    sinks: dict[SinkName, SinkConfig] = Field(default_factory=dict, max_length=50)
    """Where alerts go beside ZeroMQ, by name."""

    @model_validator(mode="after")
    def _guarded(self) -> "AlertsConfig":
        for key in ("publish", "catch_up"):
            try:
                check_address(
                    getattr(self, key),
                    key,
                    guarded=self.curve is not None or self.anyone_on_the_network_may_listen,
                )
            except ConfigError as exc:
                raise ValueError(str(exc)) from exc
        return self

    @model_validator(mode="after")
    def _one_folder(self) -> "AlertsConfig":
        if self.snapshots is not None and self.evidence is not None:
            raise ValueError("snapshots: alerts.evidence has the pictures too: leave this out")
        return self

    @model_validator(mode="after")
    def _two_addresses(self) -> "AlertsConfig":
        if self.publish == self.catch_up and not self.publish.endswith(":0"):
            raise ValueError("publish and catch_up need an address each")
        return self


class MetricsConfig(_Section):
    """The HTTP server for metrics, liveness and status."""

    listen: ListenField | None = HostPort("127.0.0.1", 9109)
    token: SecretStr | None = None
    """Asked for as `Authorization: Bearer`; required when others than this machine can connect."""

    @model_validator(mode="after")
    def _guarded(self) -> "MetricsConfig":
        if self.listen is not None and not self.listen.loopback and self.token is None:
            raise ValueError(
                f"listen: {self.listen} can be reached from other machines: set metrics.token, "
                "or listen on 127.0.0.1"
            )
        if self.token is not None and len(self.token.get_secret_value()) < 8:
            raise ValueError("token: a token needs at least 8 characters")
        return self


class ControlConfig(_Section):
    """The socket for `sorawatch events` and other programs of the same user."""

    listen: Annotated[str, AfterValidator(_ipc)] | None = "beside the outbox"
    """`ipc://PATH`, which this user alone can open; null: no socket."""

    def address(self, outbox: Path) -> str | None:
        """Where it is, for a program with this outbox."""
        if self.listen != "beside the outbox":
            return self.listen
        return f"ipc://{outbox.absolute().with_name(outbox.name + CONTROL_SUFFIX)}"

    def problem(self, outbox: Path) -> str | None:
        """Why there can be no socket there, where its place was not chosen by anybody."""
        address = self.address(outbox)
        if address is None or len(os.fsencode(address)) <= MAX_IPC_BYTES:
            return None
        return f"{address} is too long for a socket, so `sorawatch events` cannot change anything"


class LogConfig(_Section):
    """What goes to standard error."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


def _some_cameras(cameras: Mapping[str, CameraConfig]) -> Mapping[str, CameraConfig]:
    if not cameras:
        raise ValueError("at least one camera is needed")
    return cameras


def _camera_name(name: str) -> str:
    if not CAMERA_NAME.fullmatch(name):
        raise ValueError("a camera's name is 1 to 64 of A-Z, a-z, 0-9, _ and -")
    return name


CameraName = Annotated[str, AfterValidator(_camera_name)]


class Config(_Section):
    """A whole configuration, as read."""

    cameras: Annotated[
        dict[CameraName, CameraConfig],
        BeforeValidator(lambda value: {} if value is None else value),
        AfterValidator(_some_cameras),
    ]
    detect: DetectConfig = DetectConfig()
    capture: CaptureConfig = CaptureConfig()
    health: HealthConfig = HealthConfig()
    judge: JudgeConfig = JudgeConfig()
    alerts: AlertsConfig = AlertsConfig()
    metrics: MetricsConfig = MetricsConfig()
    control: ControlConfig = ControlConfig()
    log: LogConfig = LogConfig()

    @model_validator(mode="after")
    def _known_cameras(self) -> "Config":
        for name, sink in self.alerts.sinks.items():
            unknown = sorted(set(sink.cameras or ()) - self.cameras.keys())
            if unknown:
                raise ValueError(f"alerts.sinks.{name}.cameras: there is no camera {unknown[0]}")
        return self


def fingerprint(camera: CameraConfig) -> str:
    """SHA-256 of a resolved camera's settings, in hexadecimal; no password goes into it."""
    return sha256(camera.model_dump_json().encode()).hexdigest()


_S = TypeVar("_S", bound=_Section)


def _merged(kind: type[_S], default: _Section, override: _Section) -> _S:
    values = {name: getattr(default, name) for name in kind.model_fields}
    values |= {name: getattr(override, name) for name in override.model_fields_set}
    return kind.model_construct(**values)


def resolve(config: Config) -> dict[str, CameraConfig]:
    """Each camera with its overrides laid over the top-level defaults, nothing left to look up.

    Two resolved cameras are equal when nothing that matters to the running camera differs.
    """
    learned = config.alerts.outbox.parent
    return {
        name: camera.model_copy(
            update={
                "normal": camera.normal or learned / f"{name}.normal",
                "detect": _merged(DetectOptions, config.detect, camera.detect),
                "capture": _merged(CaptureOptions, config.capture, camera.capture),
                "health": _merged(HealthConfig, config.health, camera.health),
                "judge": _merged(JudgeConfig, config.judge, camera.judge),
            }
        )
        for name, camera in config.cameras.items()
    }
