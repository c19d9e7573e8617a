"""The configuration as values: what a file may say, its ranges and its defaults.

Reading a file, with line numbers in its errors, is `streamer.config_load`. Top-level sections
give defaults, a camera may override them; `resolve` puts the two together.

All lengths of time are seconds here; a file may also write `90s`, `10m`, `1h`, `7d`.
"""

import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    SecretStr,
    ValidationInfo,
    model_validator,
)
from pydantic_core import core_schema

from alerts.address import check_address
from alerts.wanted import Hours, Schedule, Zone
from sorawatch import ConfigError
from streamer.capture.source import Source

CAMERA_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""Camera names go into topics, file names and metric labels."""

_DURATION = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*(ms|s|m|h|d)?\s*", re.ASCII)
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(text: str) -> float:
    """Seconds in "1.5", "90s", "10m", "1h", "7d" or "250ms"; ValueError for anything else."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError('expected a length of time, such as 30, "90s", "10m" or "1h"')
    return float(match[1]) * _UNIT_S[match[2] or "s"]


def _no_boolean(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("expected a number")  # noqa: TRY004 - pydantic wants it
    return value


def _seconds(value: object) -> object:
    return parse_duration(value) if isinstance(value, str) else _no_boolean(value)


_SIZE = re.compile(r"\s*([0-9]*\.?[0-9]+)\s*([kKMGT]?)(i?)B?\s*", re.ASCII)
_POWERS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}


def parse_size(text: str) -> int:
    """Bytes in "20G", "500M" or "2TiB"; ValueError for anything else."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError('expected a size, such as "20G", "500M" or "2TiB"')
    unit: int = (1024 if match[3] else 1000) ** _POWERS[match[2]]
    return round(float(match[1]) * unit)


def _bytes(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else _no_boolean(value)


def _anchored(path: Path, info: ValidationInfo) -> Path:
    """Relative paths are relative to the file that names them."""
    if "\0" in str(path):
        raise ValueError("a path cannot hold a zero byte")
    folder = (info.context or {}).get("folder")
    return path if folder is None else Path(folder) / path


def _encoder(value: object, info: ValidationInfo) -> object:
    if value in ("builtin", "off"):
        return value
    if not isinstance(value, str | Path) or not str(value).endswith(".onnx"):
        raise ValueError("expected builtin, off, or the path of an .onnx file")
    return _anchored(Path(value), info)


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


def _read_by(read: Callable[..., object]) -> GetPydanticSchema:
    """A field that `read` alone validates; written out as text."""

    def validate(value: object, info: ValidationInfo) -> object:
        return read(value, info)

    schema = core_schema.with_info_plain_validator_function(
        validate, serialization=core_schema.to_string_ser_schema()
    )
    return GetPydanticSchema(lambda _source_type, _handler: schema)


Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)]
Number = Annotated[float, BeforeValidator(_no_boolean), Field(allow_inf_nan=False)]
Bytes = Annotated[int, BeforeValidator(_bytes), Field(ge=0)]
Count = Annotated[int, BeforeValidator(_no_boolean), Field(ge=1)]
AnchoredPath = Annotated[Path, AfterValidator(_anchored)]
Endpoint = Annotated[str, AfterValidator(_zmq_endpoint)]
SourceField = Annotated[Source, _read_by(_source)]
ListenField = Annotated[HostPort, _read_by(parse_host_port)]
EncoderField = Annotated[Literal["builtin", "off"] | Path, _read_by(_encoder)]


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, value: object) -> object:
        """A section that is named but empty means its defaults."""
        return {} if value is None else value


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
    slots: Annotated[int, BeforeValidator(_no_boolean), Field(ge=10, le=256)] = 16
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

    @model_validator(mode="after")
    def _polygon(self) -> "ZoneConfig":
        if (self.include is None) == (self.exclude is None):
            raise ValueError("a zone has the corners of either include or exclude")
        self.zone()
        return self

    def zone(self) -> Zone:
        """As the judge takes it."""
        if self.include is not None:
            return Zone(self.name, self.include, "include", self.by)
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
    """Our key pair, as `zmq.auth.create_certificates` writes it (the .key_secret file)."""
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
    max_age_days: Number = Field(default=30.0, gt=0)
    curve: CurveConfig | None = None
    """Needed as soon as others than this machine can connect."""

    @model_validator(mode="after")
    def _guarded(self) -> "AlertsConfig":
        for key in ("publish", "catch_up"):
            try:
                check_address(getattr(self, key), key, curve=self.curve is not None)
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
    log: LogConfig = LogConfig()


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
