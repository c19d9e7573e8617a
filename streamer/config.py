"""The configuration as values: what a file may say, its ranges and its defaults.

Reading a file, with line numbers in its errors, is `streamer.config_load`. Top-level sections
give defaults, a camera may override them; `resolve` puts the two together.

All lengths of time are seconds here; a file may also write `90s`, `10m`, `1h`, `7d`.
"""

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    ValidationInfo,
    model_validator,
)

from sorawatch import ConfigError
from streamer.capture.source import Source
from streamer.config_alerts import AlertsConfig
from streamer.config_fields import (
    CAMERA_NAME,
    AnchoredPath,
    Count,
    Number,
    PositiveSeconds,
    anchored,
    no_boolean,
    read_by,
)
from streamer.config_fields import Section as _Section
from streamer.config_judge import JudgeConfig, Mask
from streamer.config_listen import ControlConfig, MetricsConfig


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


SourceField = Annotated[Source, read_by(_source)]
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
