"""`sorawatch evaluate`: score a labelled data set as the program would have, and say how well.

The protocol is strictly causal. Normality is learned from `train/` alone; every test entry is
scored from its beginning by the live path, a score never depends on a later frame, and nothing is
normalised, smoothed or chosen with the test split in view. What needs the truth (curves, thresholds
at a number of false alarms) is computed from the finished scores and says so.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.detector import Detector
from detectors.encoder.providers import Device
from detectors.encoder.session import EncoderSession
from detectors.fitting import NormalityFitter
from detectors.normality import Normality
from detectors.score import Score
from sorawatch import ConfigError, SourceError
from streamer.capture.source import Source
from streamer.evaluation.dataset import DataSet, Entry, read_data_set
from streamer.evaluation.folder import SUMMARY, check_out, replacing
from streamer.evaluation.pictures import Chart, Level, draw, overview
from streamer.evaluation.scores import EntryScores, detections, write_regions, write_scores
from streamer.evaluation.summarise import Run, summarise
from streamer.evaluation.summary import Summary
from streamer.fit import FitProgress, Learned, learn_from, same_shape
from streamer.reading import SourceReader

_CAMERA: Final = "evaluation"
_NOWHERE: Final = (np.nan,) * 4
_FRAMES_OFF: Final = 0.05


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: in entry `index` of `total` of the split that is read."""

    doing: Literal["learning", "scoring"]
    source: str
    """Masked."""
    index: int
    total: int


def evaluate(
    dataset: Path,
    out: Path,
    *,
    fps: float = 5.0,
    encoder: Path | None = None,
    use_encoder: bool = True,
    device: Device = "auto",
    alerts_per_day: Sequence[float] = (1.0,),
    on_progress: Callable[[Progress], None] = lambda _progress: None,
) -> Summary:
    """Learn from `dataset`/train, score `dataset`/test, and write the folder `out`, atomically.

    `fps`: frames analysed a second. `encoder`: None is the one that ships. `alerts_per_day`: alarm
    budgets to report besides `RATES_PER_HOUR`.
    `out` then holds summary.json, scores/, regions/ and pictures/ (docs/datasets.md); an earlier
    evaluation in it is replaced. Raises ConfigError for a data set or labels that are not as they
    should be and for an `out` that holds something else, SourceError for footage that cannot be
    read or is not what the labels say, NormalityError when `train` is too little to learn from,
    ModelError for an encoder that cannot be used, ResourceError when `out` cannot be written. `out`
    is then what it was.
    """
    if not all(0 < rate < float("inf") for rate in alerts_per_day):
        raise ConfigError("alerts a day must be numbers above 0")
    check_out(out)
    data = read_data_set(dataset)
    session = EncoderSession(encoder, device, 1) if use_encoder else None
    started_s = time.monotonic()
    fitter = NormalityFitter(session, data.name)
    learned = learn_from(
        data.train, fitter, fps, on_progress=lambda now: on_progress(_learning(now))
    )
    normality = fitter.finish()
    learning_s = time.monotonic() - started_s
    entries, scoring_s, cpu_s = _score(data, normality, session, learned, fps, on_progress)
    run = Run(
        fps=fps,
        device=None if session is None else session.provider,
        encoder_sha256=None if session is None else session.sha256,
        normality_sha256=normality.sha256,
        train_footage_s=fitter.footage_s,
        learning_s=learning_s,
        scoring_s=scoring_s,
        detector_cpu_s=cpu_s,
    )
    summary = summarise(data, entries, run, normality.calibration, alerts_per_day)
    with replacing(out) as folder:
        _write(folder, data, entries, summary)
    return summary


def _learning(now: FitProgress) -> Progress:
    return Progress("learning", now.source, now.index, now.total)


def _score(
    data: DataSet,
    normality: Normality,
    session: EncoderSession | None,
    learned: Learned,
    fps: float,
    on_progress: Callable[[Progress], None],
) -> tuple[list[EntryScores], float, float]:
    """Scores of every entry, seconds taken, and CPU seconds of the detector in them.

    Each entry is scored from its beginning, as if a camera had just been connected.
    """
    sources = [entry.source for entry in data.test]
    found: list[list[_Found]] = [[] for _ in data.test]
    started_s, cpu_s = time.monotonic(), 0.0
    with Detector(session) as detector, SourceReader(sources, fps) as reader:
        current = -1
        for index, seen in reader.windows():
            if index != current:
                _check_frames(data.test, reader.frames_read)
                current = index
                detector.add(_CAMERA, normality)
                on_progress(Progress("scoring", sources[index].masked, index, len(sources)))
            _check_forward(found[index], seen.header.number, sources[index])
            same_shape(learned.shape, seen.window.frames[-1].shape, sources[index])
            before_s = time.process_time()
            score = detector.step([(_CAMERA, seen.window)])[0]
            cpu_s += time.process_time() - before_s
            if not seen.intact():
                detector.reset(_CAMERA)
            elif score is not None:
                found[index].append(_Found(seen.header.number, score, detector.strange(_CAMERA)))
        decoded = tuple(reader.frames_read)
    _check_frames(data.test, decoded)
    entries = [_scores(own, n) for own, n in zip(found, decoded, strict=True)]
    return entries, time.monotonic() - started_s, cpu_s


class _Found(NamedTuple):
    """A frame that was analysed: its number, its score, whether it is of another scene."""

    frame: int
    score: Score
    strange: bool


def _scores(found: list[_Found], decoded: int) -> EntryScores:
    regions = [one.score.region or _NOWHERE for one in found]
    return EntryScores(
        frame=np.array([one.frame for one in found], np.int64),
        score=np.array([one.score.value for one in found], np.float64),
        region=np.array(regions, np.float64).reshape(-1, 4),
        decoded=decoded,
        strange=np.array([one.strange for one in found], np.bool_),
    )


def _check_forward(found: list[_Found], number: int, source: Source) -> None:
    """A worker whose decoder died is replaced, and reads its file from the start again."""
    if found and number <= found[-1].frame:
        raise SourceError(
            f"{source.masked}: its decoder died after frame {found[-1].frame}: convert or remove it"
        )


def _check_frames(test: Sequence[Entry], decoded: Sequence[int]) -> None:
    """Whether the entries read so far hold the frames that the labels speak of."""
    for entry, count in zip(test, decoded, strict=False):
        frames = entry.truth.frames
        if abs(count - frames) > max(1.0, _FRAMES_OFF * frames):
            raise SourceError(
                f"{entry.source.masked}: {count} frames can be read, labels.json says {frames} "
                f"for {entry.name!r}: the labels are not for this footage"
            )


def _write(folder: Path, data: DataSet, entries: Sequence[EntryScores], summary: Summary) -> None:
    for name in ("scores", "regions", "pictures"):
        (folder / name).mkdir()
    charts = []
    for entry, scores in zip(data.test, entries, strict=True):
        frames, fps = entry.truth.frames, entry.truth.fps
        every = scores.every_frame(frames)
        charts.append(Chart(entry.name, every, entry.truth))
        write_scores(folder / "scores" / f"{entry.name}.csv", every, fps)
        write_regions(folder / "regions" / f"{entry.name}.csv", detections(0, scores, frames))
    levels = [
        Level(point.threshold, f"threshold: {point.asked}")
        for point in summary.operating_points
        if point.kind == "calibrated"
    ]
    top = 1.05 * max(
        *(float(chart.scores.max()) for chart in charts), *(level.value for level in levels)
    )
    for chart in charts:
        _write_picture(folder / "pictures" / f"{chart.name}.png", draw(chart, levels, top))
    if all(chart.name != "all" for chart in charts):
        _write_picture(folder / "pictures" / "all.png", overview(charts, levels, top))
    text = json.dumps(summary.document(), indent=1, allow_nan=False)
    (folder / SUMMARY).write_text(text + "\n", encoding="utf-8")


def _write_picture(path: Path, picture: NDArray[np.uint8]) -> None:
    # Not cv2.imwrite: it says no more than that it failed, and knows no names but ASCII everywhere.
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
