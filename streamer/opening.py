"""What must be there before the first frame: encoder, normality files, addresses, settings.

What cannot work is said at the start, with the key that it stands under, not in the night.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from alerts.curve import CurveSettings
from alerts.sinks.sinks import SinkSettings
from alerts.writer import WriterSettings
from detectors.encoder.session import EncoderSession
from detectors.normality import Normality, load
from sorawatch import ConfigError, NormalityError
from streamer.capture.ring import check_budget, ring_bytes
from streamer.capture.settings import CaptureSettings
from streamer.config import CameraConfig, DetectConfig
from streamer.config_alerts import AlertsConfig, EvidenceConfig
from streamer.evidence.cutter import ClipSettings
from streamer.evidence.keeper import Bounds
from streamer.evidence.names import evidence_path
from streamer.learning import shared


def open_encoder(detect: DetectConfig) -> EncoderSession | None:
    """The encoder that all cameras share; None when it is off. Raises ModelError, DeviceError."""
    if detect.encoder == "off":
        return None
    path = None if detect.encoder == "builtin" else detect.encoder
    return EncoderSession(path, detect.device, 1)


def load_normality(
    cameras: Mapping[str, CameraConfig],
    encoder: str | None,
    learners: Mapping[Path, str] | None = None,
) -> dict[str, Normality | None]:
    """What is normal for each of some resolved cameras; None where there is no file yet.

    `encoder`: SHA-256 of the one in use. `learners`: which other camera learns into a file now.
    Raises NormalityError that names the camera's key, and ConfigError where two cameras would
    learn into one file.
    """
    found: dict[str, Normality | None] = {}
    learning = dict(learners or {})
    for name, camera in cameras.items():
        path = camera.normal
        assert path is not None  # noqa: S101 - resolve() has filled it in
        try:
            if path.exists():
                found[name] = normality = load(path)
                normality.facts.check_encoder(encoder, path)
                continue
        except NormalityError as exc:
            raise NormalityError(f"cameras.{name}.normal: {exc}") from exc
        except OSError as exc:
            raise NormalityError(f"cameras.{name}.normal: {path}: {exc.strerror or exc}") from exc
        found[name] = None
        if path in learning:
            raise ConfigError(f"cameras.{name}.normal: {shared(path, learning[path])}")
        learning[path] = name
    return found


def check_memory(cameras: Mapping[str, CameraConfig]) -> None:
    """Raise ResourceError, with the number, when the machine has no room for the rings."""
    check_budget(sum(ring_bytes(camera.capture.slots) for camera in cameras.values()))


def capture_settings(camera: CameraConfig) -> CaptureSettings:
    """How a resolved camera is captured."""
    capture = camera.capture
    return CaptureSettings(
        fps=camera.detect.fps,
        transport=capture.transport,
        open_timeout_s=capture.open_timeout_s,
        read_timeout_s=capture.read_timeout_s,
        stall_after_s=capture.stall_after_s,
        backoff_max_s=capture.backoff_max_s,
        masks=camera.masks,
    )


def clip_settings(evidence: EvidenceConfig) -> ClipSettings:
    """How clips are made."""
    return ClipSettings(
        folder=evidence.folder,
        pre_roll_s=evidence.pre_roll_s,
        post_roll_s=evidence.post_roll_s,
        longest_s=evidence.longest_s,
        buffer_bytes=evidence.buffer,
        keep_free_bytes=evidence.keep_free,
    )


def evidence_bounds(evidence: EvidenceConfig) -> Bounds:
    """What pictures and clips may take."""
    return Bounds(evidence.max_age_days * 86_400, evidence.max_size, evidence.keep_free)


def evidence_link(evidence: EvidenceConfig) -> Callable[[str, str, str], str]:
    """What messages call a file: given camera, event id and suffix."""

    def link(camera: str, event_id: str, suffix: str) -> str:
        path = evidence_path(evidence.folder, camera, event_id, suffix)
        if evidence.base_url is None:
            return str(path)
        return f"{evidence.base_url.rstrip('/')}/{camera}/{event_id}{suffix}"

    return link


def writer_settings(alerts: AlertsConfig) -> WriterSettings:
    """Where alerts go, as the writer takes it."""
    curve = alerts.curve
    return WriterSettings(
        outbox=alerts.outbox,
        publish=alerts.publish,
        catch_up=alerts.catch_up,
        max_events=alerts.max_events,
        max_bytes=alerts.max_size,
        max_age_days=alerts.max_age_days,
        anyone_on_the_network_may_listen=alerts.anyone_on_the_network_may_listen,
        curve=None
        if curve is None
        else CurveSettings(curve.secret_key_file, curve.allowed_keys_file),
    )


def sink_settings(alerts: AlertsConfig) -> list[SinkSettings]:
    """Where else alerts go, as `Sinks` takes it."""
    return [sink.settings(name) for name, sink in alerts.sinks.items()]
