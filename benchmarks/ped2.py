"""Fit on a data set's train split and score its test split, causally, as the program does.

    python benchmarks/ped2.py [--fps 5] [--encoder builtin|off|PATH] [--footage DIR]

Prints one JSON line for each rate: micro AUC, CPU ms per second of footage (reading aside), and
for several alarm budgets the threshold, the entries found during their anomaly with no alert
before it, and the false alerts.
"""

import argparse
import json
import os
import time
from pathlib import Path

import cv2
import numpy as np

from detectors.detector import Detector
from detectors.encoder.session import EncoderSession
from detectors.fitting import NormalityFitter
from detectors.window import Window

ROOT = Path(os.environ.get("SORAWATCH_FOOTAGE", Path(__file__).parents[2] / "shared" / "data"))
BUDGETS = (1, 10, 100, 1440)
MIN_LENGTH_S = 0.6
LEAVE_RATIO = 0.7


def luma(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    h, w = picture.shape
    scale = min(1.0, 180 / max(h, w))
    return cv2.resize(picture, (round(w * scale), round(h * scale)), interpolation=cv2.INTER_AREA)


def entries(folder: Path):
    for entry in sorted(p for p in folder.iterdir() if p.is_dir()):
        yield entry.name, [luma(p) for p in sorted(entry.iterdir())]


def windows(frames, source_fps, fps, generation):
    """(index of the source frame, window): each analysed frame with those up to it."""
    step = round(source_fps / fps)
    for seq, i in enumerate(range(0, len(frames), step)):
        run = list(range(i % step, i + 1, step))[-8:]
        times = tuple(k / source_fps for k in run)
        yield i, Window(tuple(frames[k] for k in run), times, seq, generation)


def auc(scores, truth):
    """Share of pairs (anomalous, normal) in the right order, ties half."""
    _, rank, count = np.unique(scores, return_inverse=True, return_counts=True)
    middle = (np.cumsum(count) - (count - 1) / 2)[rank]
    n1 = int(truth.sum())
    n0 = len(truth) - n1
    return float((middle[truth].sum() - n1 * (n1 + 1) / 2) / (n1 * n0))


def alerts(scores, threshold, fps):
    """Indices at which a judge with hysteresis and a minimum length would alert."""
    need, run, told, out = max(1, round(MIN_LENGTH_S * fps)), 0, False, []
    for i, score in enumerate(scores):
        if score >= (threshold * LEAVE_RATIO if run else threshold):
            run += 1
            if run >= need and not told:
                out.append(i)
                told = True
        else:
            run, told = 0, False
    return out


def measure(dataset: Path, fps: int, encoder) -> dict:
    labels = json.loads((dataset / "labels.json").read_text())
    fitter = NormalityFitter(encoder)
    started = time.process_time()
    with Detector(encoder) as detector:
        seconds = 0.0
        for generation, (_, frames) in enumerate(entries(dataset / "train")):
            detector.add("train", None, fitter) if generation == 0 else None
            for _, window in windows(frames, 10, fps, generation):
                detector.step([("train", window)])
            seconds += len(frames) / 10
    learning_s = time.process_time() - started
    started = time.process_time()
    normality = fitter.finish()
    finish_s = time.process_time() - started
    scores: dict[str, np.ndarray] = {}
    cpu_s, test_s = 0.0, 0.0
    with Detector(encoder) as detector:
        detector.add("test", normality)
        for generation, (name, frames) in enumerate(entries(dataset / "test")):
            own = np.zeros(len(frames))
            every = list(windows(frames, 10, fps, generation))
            started = time.process_time()
            for i, window in every:
                own[i:] = detector.step([("test", window)])[0].value
            cpu_s += time.process_time() - started
            test_s += len(frames) / 10
            scores[name] = own
    truth = {
        name: np.isin(
            np.arange(len(s)), np.concatenate([np.arange(*i) for i in labels[name]["anomalous"]])
        )
        for name, s in scores.items()
    }
    step = round(10 / fps)
    budgets = {}
    for rate in BUDGETS:
        threshold = normality.calibration.threshold(rate)
        found, before, false, delays = [], [], 0, []
        for name, own in scores.items():
            at = [i * step for i in alerts(own[::step], threshold.value, fps)]
            first = int(np.argmax(truth[name]))
            right = [i for i in at if truth[name][i]]
            false += len(at) - len(right)
            if any(i < first for i in at):
                before.append(name)
            elif right:
                found.append(name)
                delays.append((right[0] - first) / 10)
        budgets[rate] = {
            "threshold": round(threshold.value, 2),
            "text": threshold.text,
            "found": len(found),
            "missed": sorted(set(scores) - set(found)),
            "before": before,
            "false": false,
            "median_delay_s": float(np.median(delays)) if delays else None,
        }
    names = sorted(scores)
    return {
        "dataset": dataset.name,
        "fps": fps,
        "encoder": None if encoder is None else encoder.sha256[:12],
        "micro_auc": round(
            auc(
                np.concatenate([scores[n] for n in names]),
                np.concatenate([truth[n] for n in names]),
            ),
            4,
        ),
        "cpu_ms_per_s": round(cpu_s / test_s * 1e3, 1),
        "learning_cpu_ms_per_s": round(learning_s / seconds * 1e3, 1),
        "finish_cpu_s": round(finish_s, 2),
        "file_kib": round(len(normality.to_bytes()) / 1024),
        "budgets": budgets,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fps", type=int, nargs="*", default=[5, 10])
    parser.add_argument("--encoder", default="off")
    parser.add_argument("--footage", type=Path, default=ROOT / "ped2")
    options = parser.parse_args()
    encoder = None
    if options.encoder != "off":
        encoder = EncoderSession(
            None if options.encoder == "builtin" else options.encoder, "cpu", 1
        )
    for fps in options.fps:
        print(json.dumps(measure(options.footage, fps, encoder)), flush=True)


if __name__ == "__main__":
    main()
