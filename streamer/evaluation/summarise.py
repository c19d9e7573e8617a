"""From finished scores and the truth to the figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from alerts.judge import JudgeSettings
from detectors.calibration import Calibration
from sorawatch import __version__
from streamer.evaluation import metrics
from streamer.evaluation.alarms import JudgedEntry, Outcome, judge_at, per_hour, threshold_at
from streamer.evaluation.dataset import DataSet, Entry
from streamer.evaluation.regions import RegionFigures, region_figures
from streamer.evaluation.scores import EntryScores, detections
from streamer.evaluation.summary import SCHEMA, EntrySummary, OperatingPoint, PointKind, Summary

RATES_PER_HOUR: Final = (1.0, 10.0, 60.0)
"""The false alarms an hour at which events found and delay are reported."""

_HOUR_S: Final = 3600.0
_HOURS_A_DAY: Final = 24.0


@dataclass(frozen=True, slots=True)
class Run:
    """What was run, on what, and how long it took, seconds."""

    fps: float
    device: str | None
    encoder_sha256: str | None
    normality_sha256: str
    train_footage_s: float
    learning_s: float
    scoring_s: float
    detector_cpu_s: float


def summarise(
    data: DataSet,
    entries: Sequence[EntryScores],
    run: Run,
    calibration: Calibration,
    alerts_per_day: Sequence[float],
) -> Summary:
    """The summary; `entries` are the scores of `data.test`, in that order."""
    every = [s.every_frame(e.truth.frames) for e, s in zip(data.test, entries, strict=True)]
    truth = [e.truth.mask() for e in data.test]
    rates = [e.truth.fps for e in data.test]
    scores, mask = np.concatenate(every), np.concatenate(truth)
    footage_s = sum(len(t) / fps for t, fps in zip(truth, rates, strict=True))
    normal_s = sum((~t).sum() / fps for t, fps in zip(truth, rates, strict=True))
    interval = metrics.bootstrap_auc(every, truth)
    macro, macro_entries = metrics.macro_auc(every, truth)
    located = _located(data.test, entries, len(mask))
    settings = JudgeSettings()
    judged = [JudgedEntry.of(e.truth, s) for e, s in zip(data.test, entries, strict=True)]
    notes = [*data.notes, *_frame_notes(data.test, entries), *_class_notes(mask, normal_s)]
    notes += _short_notes(calibration, alerts_per_day)
    return Summary(
        schema=SCHEMA,
        version=__version__,
        dataset=data.name,
        fps=run.fps,
        device=run.device,
        encoder_sha256=run.encoder_sha256,
        normality_sha256=run.normality_sha256,
        min_length_s=settings.min_length_s,
        merge_gap_s=settings.merge_gap_s,
        cooldown_s=settings.cooldown_s,
        leave_ratio=settings.leave_ratio,
        train_entries=len(data.train),
        train_footage_s=run.train_footage_s,
        learning_s=run.learning_s,
        test_entries=len(data.test),
        test_frames=len(mask),
        test_footage_s=footage_s,
        normal_footage_s=float(normal_s),
        anomalous_frames=int(mask.sum()),
        events=sum(len(e.truth.anomalous) for e in data.test),
        scored_frames=sum(len(s.frame) for s in entries),
        scoring_s=run.scoring_s,
        detector_cpu_ms_per_s=1e3 * run.detector_cpu_s / footage_s,
        micro_auc=metrics.auc(scores, mask),
        micro_auc_low95=None if interval is None else interval.low,
        micro_auc_high95=None if interval is None else interval.high,
        macro_auc=macro,
        macro_auc_entries=macro_entries,
        average_precision=metrics.average_precision(scores, mask),
        equal_error_rate=metrics.equal_error_rate(scores, mask),
        rbdc=None if located is None else located.rbdc,
        tbdc=None if located is None else located.tbdc,
        tracks=sum(len(e.truth.tracks or ()) for e in data.test),
        operating_points=_points(judged, float(normal_s) / _HOUR_S, calibration, alerts_per_day),
        entries=tuple(
            _entry(e, s, own, t)
            for e, s, own, t in zip(data.test, entries, every, truth, strict=True)
        ),
        notes=tuple(notes),
    )


def _located(
    test: Sequence[Entry], entries: Sequence[EntryScores], frames: int
) -> RegionFigures | None:
    """RBDC and TBDC, where every event has a place."""
    if any(entry.truth.anomalous and entry.truth.tracks is None for entry in test):
        return None
    found = [
        one
        for number, (entry, scores) in enumerate(zip(test, entries, strict=True))
        for one in detections(number, scores, entry.truth.frames)
    ]
    return region_figures(found, [entry.truth.tracks or () for entry in test], frames)


def _points(
    judged: Sequence[JudgedEntry],
    normal_hours: float,
    calibration: Calibration,
    alerts_per_day: Sequence[float],
) -> tuple[OperatingPoint, ...]:
    """What the operator would have got, and what the ROC curve allows."""
    points = []
    for rate in sorted({*alerts_per_day, *(_HOURS_A_DAY * r for r in RATES_PER_HOUR)}):
        level = calibration.threshold(rate)
        outcome = judge_at(judged, calibration, rate)
        points.append(
            _point("calibrated", rate, level.value, level.extrapolated, outcome, normal_hours)
        )
    best = threshold_at(judged, RATES_PER_HOUR, normal_hours) if normal_hours > 0 else {}
    for per_hour_, (value, outcome) in sorted(best.items()):
        rate = _HOURS_A_DAY * per_hour_
        points.append(_point("at_false_alarms", rate, value, None, outcome, normal_hours))
    return tuple(points)


def _point(
    kind: PointKind,
    per_day: float,
    threshold: float,
    extrapolated: bool | None,
    outcome: Outcome,
    normal_hours: float,
) -> OperatingPoint:
    rate, upper = per_hour(outcome.false_alarms, normal_hours)
    return OperatingPoint(
        kind=kind,
        alerts_per_day=per_day,
        per_hour=per_day / _HOURS_A_DAY,
        threshold=threshold,
        extrapolated=extrapolated,
        events_found=outcome.found,
        events_found_early=outcome.early,
        median_delay_s=outcome.median_delay_s,
        alarms=outcome.alarms,
        false_alarms=outcome.false_alarms,
        false_alarms_per_hour=rate,
        false_alarms_per_hour_upper95=upper,
    )


def _entry(
    entry: Entry, scores: EntryScores, every: metrics.Scores, truth: metrics.Mask
) -> EntrySummary:
    return EntrySummary(
        entry=entry.name,
        frames=entry.truth.frames,
        frames_decoded=scores.decoded,
        fps=entry.truth.fps,
        anomalous_frames=int(truth.sum()),
        events=len(entry.truth.anomalous),
        auc=metrics.auc(every, truth),
        highest_score=float(every.max()),
        highest_score_normal=_highest(every[~truth]),
        highest_score_anomalous=_highest(every[truth]),
    )


def _highest(scores: metrics.Scores) -> float | None:
    return float(scores.max()) if len(scores) else None


def _frame_notes(test: Sequence[Entry], entries: Sequence[EntryScores]) -> list[str]:
    return [
        f"{entry.source.masked}: {scores.decoded} frames can be read, labels.json says "
        f"{entry.truth.frames}: rows are those of labels.json, the last score held"
        for entry, scores in zip(test, entries, strict=True)
        if scores.decoded != entry.truth.frames
    ]


def _short_notes(calibration: Calibration, alerts_per_day: Sequence[float]) -> list[str]:
    warnings = [calibration.threshold(rate).warning for rate in sorted(set(alerts_per_day))]
    return [f"train: {warning}" for warning in warnings if warning is not None]


def _class_notes(mask: metrics.Mask, normal_s: float) -> list[str]:
    if not mask.any() or mask.all():
        what = "anomalous" if mask.all() else "normal"
        return [f"every frame of the test split is {what}: curves and AUC are not defined"]
    if RATES_PER_HOUR[-1] * normal_s / _HOUR_S < 1:
        return [
            f"{normal_s:.0f} s of normal test footage: a single false alarm is "
            f"{_HOUR_S / normal_s:.0f} an hour, so at_false_alarms allows none at any rate"
        ]
    return []
