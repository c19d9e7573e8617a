"""Will this configuration run on this machine? What `sorawatch check` asks, one answer a line."""

import errno
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alerts.curve import CurveSettings, check_keys
from alerts.outbox import is_outbox
from alerts.sinks.sinks import check_sink
from detectors import normality
from sorawatch import ConfigError, ResourceError, SorawatchError
from streamer.ask import ask_status
from streamer.capture.ring import check_budget, ring_bytes
from streamer.capture.source import Source, SourceKind
from streamer.config import CameraConfig, Config, resolve
from streamer.config_alerts import EvidenceConfig
from streamer.config_listen import HostPort, parse_host_port
from streamer.config_sinks import MqttSinkConfig, ScriptSinkConfig, WebhookSinkConfig
from streamer.evidence.clip import find_encoder
from streamer.learning import shared
from streamer.status import duration, read_status


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer: a `problem` keeps the program from running as configured, a `note` does not.

    `key`: of the configuration, or "" for what concerns the machine.
    """

    kind: Literal["problem", "note"]
    key: str
    text: str


def check_config(config: Config) -> list[Finding]:
    """All that can be said without opening a camera. Leaves nothing behind."""
    found, encoder = _onnx_runtime(config)
    found += [
        *_memory(config),
        *_addresses(config),
        *_outbox("alerts.outbox", config.alerts.outbox),
    ]
    if (problem := config.control.problem(config.alerts.outbox)) is not None:
        found.append(Finding("note", "control.listen", problem))
    if config.alerts.snapshots is not None:
        found += _folder("alerts.snapshots", config.alerts.snapshots)
    found += _sinks(config)
    found += _evidence(config.alerts.evidence)
    learners: dict[Path, str] = {}
    for name, camera in resolve(config).items():
        found += _source(f"cameras.{name}.source", camera.source)
        found += _normal(name, camera, encoder, learners)
    return found


def _evidence(evidence: EvidenceConfig | None) -> Iterator[Finding]:
    if evidence is None:
        return
    yield from _folder("alerts.evidence.folder", evidence.folder)
    if evidence.clips:
        try:
            find_encoder()
        except ResourceError as exc:
            yield Finding("note", "alerts.evidence.clips", str(exc))


def _problem(key: str, text: object) -> Finding:
    return Finding("problem", key, str(text))


def _onnx_runtime(config: Config) -> tuple[list[Finding], str | None]:
    """Whether ONNX Runtime is whole and the encoder loads, where; and the encoder's SHA-256."""
    try:
        # Here and not above: a broken ONNX Runtime, which this has to tell, fails on import.
        from detectors.encoder.providers import environment_problem  # noqa: PLC0415
        from detectors.encoder.session import EncoderSession  # noqa: PLC0415
    except (ImportError, AttributeError) as exc:
        mend = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install --force-reinstall"
        return [_problem("", f"ONNX Runtime is broken ({exc}): {mend} sorawatch")], None
    if (problem := environment_problem()) is not None:
        return [_problem("", problem)], None
    detect = config.detect
    if detect.encoder == "off":
        return [Finding("note", "detect.encoder", "off: motion alone is scored")], None
    path = None if detect.encoder == "builtin" else detect.encoder
    try:
        session = EncoderSession(path, detect.device, detect.threads)
    except SorawatchError as exc:
        return [_problem("detect", exc)], None
    note = Finding("note", "detect.device", f"the encoder runs on {session.provider}")
    return [note], session.sha256


def _memory(config: Config) -> Iterator[Finding]:
    """Whether shared memory holds every camera's ring."""
    needed = sum(ring_bytes(camera.capture.slots) for camera in resolve(config).values())
    try:
        check_budget(needed)
    except SorawatchError as exc:
        yield _problem("capture.slots", exc)
    else:
        text = f"{len(config.cameras)} rings take {needed / 1e6:.1f} MB of shared memory"
        yield Finding("note", "capture.slots", text)


def _addresses(config: Config) -> Iterator[Finding]:
    """Whether the ports can be had; those that this configuration's running program has, can."""
    pid = _running(config)
    if pid is not None:
        yield Finding("note", "metrics.listen", f"sorawatch is running with it, pid {pid}")
    wanted: list[tuple[str, HostPort | None]] = [
        ("alerts.publish", _tcp(config.alerts.publish)),
        ("alerts.catch_up", _tcp(config.alerts.catch_up)),
        ("metrics.listen", config.metrics.listen),
    ]
    for key, address in wanted:
        if address is not None:
            if pid is None:
                yield from _bindable(key, address)
            if key.startswith("alerts.") and not address.loopback:
                yield _audience(config, key, address)
    curve = config.alerts.curve
    if curve is not None:
        try:
            check_keys(CurveSettings(curve.secret_key_file, curve.allowed_keys_file))
        except ConfigError as exc:
            yield _problem("alerts.curve", exc)


def _audience(config: Config, key: str, address: HostPort) -> Finding:
    """Who can read alerts at an address beyond this machine."""
    if config.alerts.curve is not None:
        text = f"whoever has a key in alerts.curve can read the alerts at {address}"
        return Finding("note", key, text)
    text = (
        f"anyone who reaches {address} can read the alerts, in clear: "
        "alerts.anyone_on_the_network_may_listen says so; `sorawatch keys` makes keys"
    )
    return Finding("note", key, text)


def _running(config: Config) -> int | None:
    """Process id of the program that runs at this configuration's addresses, if one does."""
    try:
        status = read_status(ask_status(config.metrics, timeout_s=1.0))
    except SorawatchError:
        return None
    return status.pid if status.publish == config.alerts.publish else None


def _tcp(endpoint: str) -> HostPort | None:
    scheme, _, address = endpoint.partition("://")
    if scheme != "tcp":
        return None
    try:
        return parse_host_port(address.replace("*", "0.0.0.0", 1))  # noqa: S104 - ZeroMQ's word
    except ValueError:
        return None  # an interface's name, which only ZeroMQ can look up


def _bindable(key: str, address: HostPort) -> Iterator[Finding]:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        socket.create_server(address, family=family).close()
    except OSError as exc:
        used = exc.errno == errno.EADDRINUSE
        advice = "is sorawatch running already?" if used else "choose another"
        yield _problem(key, f"{address}: {exc.strerror or exc}; {advice}")


def _folder(key: str, folder: Path) -> Iterator[Finding]:
    """Whether files can be written to `folder`, which the program makes if it is not there."""
    there = folder
    while not os.path.exists(there) and there != there.parent:
        there = there.parent
    if not there.is_dir():
        yield _problem(key, f"{there} is a file, not a folder")
    elif not os.access(there, os.W_OK | os.X_OK):
        yield _problem(key, f"{there} cannot be written to by this user")


def _outbox(key: str, path: Path) -> Iterator[Finding]:
    """Whether events can be kept at `path`: the outbox of an earlier run, or none yet."""
    try:
        if not is_outbox(path):
            yield _problem(key, f"{path} is not an outbox: give another path")
    except FileNotFoundError:
        yield from _folder(key, path.parent)
    except OSError as exc:
        yield _problem(key, f"{path}: {exc.strerror or exc}")
    else:
        yield from _folder(key, path.parent)


def _sinks(config: Config) -> Iterator[Finding]:
    """Whether each way out could begin; nothing is connected, posted or run."""
    for name, sink in config.alerts.sinks.items():
        key = f"alerts.sinks.{name}"
        try:
            check_sink(sink.settings(name))
        except SorawatchError as exc:
            yield _problem(key, str(exc).removeprefix(f"{key}: "))
        if isinstance(sink, ScriptSinkConfig) and shutil.which(sink.command[0]) is None:
            text = f"{sink.command[0]} is not there, or this user cannot run it"
            yield _problem(f"{key}.command", text)
        plain = isinstance(sink, MqttSinkConfig) and sink.tls is None
        plain |= isinstance(sink, WebhookSinkConfig) and not sink.url.target.tls
        if plain:
            yield Finding("note", key, "what goes there is not encrypted: others may read it")


def _source(key: str, source: Source) -> Iterator[Finding]:
    if source.kind in (SourceKind.RTSP, SourceKind.HTTP):
        return
    path = Path(f"/dev/video{source.url}" if source.kind is SourceKind.DEVICE else source.url)
    if not os.path.exists(path):
        yield _problem(key, f"{path} does not exist")
    elif not os.access(path, os.R_OK):
        yield _problem(key, f"{path} cannot be read by this user")
    elif source.kind is SourceKind.FILE and path.is_file() and path.stat().st_size == 0:
        yield _problem(key, f"{path} is empty")


def _normal(
    name: str, camera: CameraConfig, encoder: str | None, learners: dict[Path, str]
) -> Iterator[Finding]:
    """`learners`: which camera learns into a file; this one is added."""
    key, path = f"cameras.{name}.normal", camera.normal
    if path is None:
        return
    if not os.path.exists(path):
        if path in learners:
            yield _problem(key, shared(path, learners[path]))
        learners.setdefault(path, name)
        learned = duration(camera.learn_for_s)
        yield Finding("note", key, f"{path} is not there yet: learned live, for {learned}")
        yield from _folder(key, path.parent)
        return
    try:
        loaded = normality.load(path)
    except SorawatchError as exc:
        yield _problem(key, exc)
        return
    threshold = loaded.calibration.threshold(camera.alerts_per_day)
    yield Finding("note", key, threshold.warning or threshold.text)
    made_with = loaded.facts.encoder
    if encoder is not None and made_with not in (None, encoder):
        yield _problem(key, f"{path} was learned with another encoder: run sorawatch fit again")
