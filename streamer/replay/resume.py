"""What a replay is made with, and what of an earlier one may stand beside it."""

from collections.abc import Sequence
from pathlib import Path

from detectors.encoder.session import EncoderSession
from detectors.normality import load
from sorawatch import NormalityError, ReplayError
from streamer.config import CameraConfig, DetectConfig, fingerprint
from streamer.replay.lane import told_path
from streamer.replay.plan import Run
from streamer.trace.manifest import CameraReplay, Manifest, SourceRecord, trace_folder


def made_with(
    detect: DetectConfig, camera: str, settings: CameraConfig
) -> tuple[CameraReplay, bytes]:
    """What a replay of the camera would be made with, no sources yet, and its normality's bytes.

    ModelError and NormalityError for what cannot be used.
    """
    session = None
    if detect.encoder != "off":
        path = None if detect.encoder == "builtin" else detect.encoder
        session = EncoderSession(path, detect.device, 1)
    normal = settings.normal
    assert normal is not None  # noqa: S101 - resolve() has filled it in
    key = f"cameras.{camera}.normal"
    if not normal.exists():
        raise NormalityError(f"{key}: {normal} is not there: learn it first, with sorawatch fit")
    try:
        normality = load(normal)
        normality.facts.check_encoder(None if session is None else session.sha256, normal)
        content = normal.read_bytes()
    except NormalityError as exc:
        raise NormalityError(f"{key}: {exc}") from exc
    except OSError as exc:
        raise NormalityError(f"{key}: {normal}: {exc.strerror or exc}") from exc
    facts = CameraReplay(
        normal_sha256=normality.sha256,
        model_sha256=None if session is None else session.sha256,
        config_sha256=fingerprint(settings),
        provider=None if session is None else session.provider,
        fps=settings.detect.fps,
        alerts_per_day=settings.alerts_per_day,
        judge=settings.judge,
        sources=(),
    )
    return facts, content


def finished(
    out: Path, before: Manifest | None, camera: str, now: CameraReplay, runs: Sequence[Run]
) -> dict[int, SourceRecord]:
    """Which of `runs` the earlier replay in `out` has finished, by their index.

    ReplayError when it was made with something else than `now` says.
    """
    if before is None or camera not in before.cameras:
        return {}
    was = before.cameras[camera]
    for name, what in (
        ("normal_sha256", "normality"),
        ("model_sha256", "encoder"),
        ("provider", "provider"),
        ("config_sha256", "configuration of the camera"),
    ):
        if getattr(was, name) != getattr(now, name):
            raise ReplayError(
                f"{out}: was made with another {what}: it cannot go on with this one; "
                "give another folder, or replay anew without --resume"
            )
    whole = {
        record.identity: record
        for record in was.sources
        if record.complete and _is_there(out, camera, record)
    }
    return {index: whole[run.identity] for index, run in enumerate(runs) if run.identity in whole}


def _is_there(out: Path, camera: str, record: SourceRecord) -> bool:
    """Whether nobody has removed what a run left."""
    if record.file is None:
        return True
    told = told_path(out, camera, record.file.partition(".")[0])
    return told.is_file() and (trace_folder(out, camera) / record.file).is_file()
