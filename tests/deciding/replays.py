"""Replays made by hand: folders as `sorawatch replay` writes them, of scores that tests choose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from alerts.event import Event, EventDraft, Provenance
from alerts.wire import encode
from detectors.calibration import Calibration
from detectors.fitting import NormalityFitter
from detectors.normality import Normality
from streamer.config_judge import JudgeConfig
from streamer.deciding.redecide import redecide
from streamer.deciding.replayed import open_replay
from streamer.trace.manifest import (
    EVENTS,
    CameraReplay,
    Manifest,
    SourceRecord,
    normal_path,
    trace_folder,
)
from streamer.trace.row import Gate, TraceRow, short
from streamer.trace.write import TraceWriter
from tests.detectors import scene

START_S = 1_763_802_000.0  # a Saturday, 09:00 UTC
FPS = 5
CALIBRATION = Calibration(np.random.default_rng(1).exponential(1.5, 360), 7200.0)


def normality() -> Normality:
    """A small one, calibrated by `CALIBRATION`."""
    fitter = NormalityFitter(None, "gate")
    for window in scene.windows(scene.normal_life(30)):
        fitter.add(window)
    return replace(fitter.finish(), calibration=CALIBRATION, _hash=[])


@dataclass(frozen=True)
class Clip:
    """One source: a score for each fifth of a second from `start_s` seconds after `START_S`."""

    name: str
    start_s: float
    scores: Sequence[float]
    region: tuple[float, float, float, float] = (0.1, 0.2, 0.125, 0.25)
    gate: Gate = Gate.SCORED
    text: str = "faster than anything seen here"


def burst(n: int, *bursts: tuple[int, int, float]) -> list[float]:
    """`n` scores of 0, but in (first, last) rows, last not included."""
    scores = [0.0] * n
    for first, last, score in bursts:
        scores[first:last] = [score] * (last - first)
    return scores


def make_replay(
    folder: Path,
    cameras: Mapping[str, Sequence[Clip]],
    learned: Normality,
    *,
    alerts_per_day: float = 1.0,
    judge: JudgeConfig | None = None,
    identity: str = "a",
) -> Path:
    """Write a replay's folder, with the events that it would have told; gives the folder."""
    normal = learned.to_bytes()
    facts = {}
    for name, clips in cameras.items():
        normal_path(folder, name).parent.mkdir(parents=True, exist_ok=True)
        normal_path(folder, name).write_bytes(normal)
        facts[name] = CameraReplay(
            normal_sha256=learned.sha256,
            model_sha256=None,
            config_sha256="c" * 64,
            provider="CPUExecutionProvider",
            fps=FPS,
            alerts_per_day=alerts_per_day,
            judge=judge or JudgeConfig(),
            sources=tuple(_source(folder, name, k, clip, identity) for k, clip in enumerate(clips)),
        )
    Manifest(cameras=facts).save(folder)
    _tell(folder)
    return folder


def _source(folder: Path, camera: str, number: int, clip: Clip, identity: str) -> SourceRecord:
    file = f"{number:04}.parquet"
    with TraceWriter(trace_folder(folder, camera) / file) as writer:
        for k, score in enumerate(clip.scores):
            writer.add(
                TraceRow(
                    frame=k,
                    generation=0,
                    t_s=k / FPS,
                    utc_s=START_S + clip.start_s + k / FPS,
                    score=score,
                    moving=score,
                    standing=0.0 if score == score else score,
                    gate=clip.gate,
                    region=tuple(short(side) for side in clip.region),  # type: ignore[arg-type]
                    text=clip.text if score else "",
                    parts={"speed": 1.0} if score else {},
                )
            )
        writer.finish()
    n = len(clip.scores)
    return SourceRecord(
        file=file,
        source=f"/films/{clip.name}",
        start_utc_s=START_S + clip.start_s,
        end_utc_s=START_S + clip.start_s + (n - 1) / FPS,
        frames_read=n,
        frames_scored=n,
        complete=True,
        problem=None,
        identity=identity * 64,
    )


def _tell(folder: Path) -> None:
    drafts: list[EventDraft] = []
    for camera, source in open_replay(folder).sources():
        drafts += redecide(
            source.footage(),
            camera.calibration,
            camera.today,
            camera=camera.name,
            facts=source.facts,
            provenance=Provenance(normal=camera.facts.normal_sha256),
        )
    events = [Event.of(draft, "replay-0", seq) for seq, draft in enumerate(drafts, 1)]
    (folder / EVENTS).write_bytes(b"".join(encode(event) + b"\n" for event in events))
