"""Whether the encoder's window vector tells fights from ordinary clips, by a linear head.

    python -m benchmarks.fights [--encoder builtin|FILE ...] [--footage DIR]

The encoder is frozen; a clip is the mean of its windows' vectors. Logistic regression, five folds
split by source video (clips of one source overlap), for three drawings of the folds. Beside it what
must not be mistaken for knowing a fight: picture size, frame rate and length; and mean motion. One
JSON line each: accuracy over all clips, of each fold, and for other strengths of regularisation.
"""

import argparse
import csv
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.report import report
from detectors.encoder.features import MotionRun
from detectors.encoder.footage import analysis_luma, frames_of
from detectors.encoder.session import EncoderSession
from detectors.motion import MotionAnalyser
from detectors.window import Window

ROOT = Path(os.environ.get("SORAWATCH_FOOTAGE", Path(__file__).parents[2] / "shared" / "data"))
FOLDS, DRAWINGS = 5, 3
STRENGTHS = (0.1, 0.01, 1.0)  # the first is reported as the figure
FRAMES, PERIOD_S = 8, 0.2
WARM_UP = 4  # frames: windows before are mostly of repeated pictures

Describe = Callable[[Path], np.ndarray]


def frames(path: Path) -> tuple[list[np.ndarray], list[float]]:
    """Pictures of a clip and their times, five a second."""
    pictures, times = [], []
    for t_s, picture in frames_of(path):
        if not times or t_s >= times[-1] + 0.9 * PERIOD_S:
            pictures.append(picture.copy())
            times.append(t_s)
    return pictures, times


def by_encoder(session: EncoderSession) -> Describe:
    """Mean window vector of a clip."""

    def describe(path: Path) -> np.ndarray:
        pictures, times = frames(path)
        lumas = [analysis_luma(picture, 180) for picture in pictures]
        analyser, run, vectors = MotionAnalyser(), MotionRun(session.contract.frames), []
        for i, luma in enumerate(lumas):
            first = max(0, i + 1 - FRAMES)
            own = slice(first, i + 1)
            motion = analyser.step(Window(tuple(lumas[own]), tuple(times[own]), i, 0))
            run.add(luma, motion, pictures[i])
            past = run.past(session.contract.feature_dim)
            out = session.run(run.fresh()[None], past[None])
            run.remember(out.features[0])
            vectors.append(out.window[0])
        return np.mean(vectors[min(WARM_UP, len(vectors) - 1) :], 0)

    return describe


def by_motion(path: Path) -> np.ndarray:
    """Mean length of flow, and mean share of the picture that changes."""
    pictures, times = frames(path)
    lumas = [analysis_luma(picture, 180) for picture in pictures]
    analyser, found = MotionAnalyser(), []
    for i in range(len(lumas)):
        own = slice(max(0, i - 1), i + 1)
        motion = analyser.step(Window(tuple(lumas[own]), tuple(times[own]), i, 0))
        flow = (
            0.0 if motion.flow is None else float(np.hypot(*motion.flow.transpose(2, 0, 1)).mean())
        )
        found.append((flow, motion.changed))
    return np.mean(found, 0)


def by_file(path: Path) -> np.ndarray:
    """Picture size, frame rate and length."""
    capture = cv2.VideoCapture(str(path))
    facts = (
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,
        cv2.CAP_PROP_FPS,
        cv2.CAP_PROP_FRAME_COUNT,
    )
    return np.array([capture.get(fact) for fact in facts])


def logistic(x: np.ndarray, y: np.ndarray, strength: float) -> Callable[[np.ndarray], np.ndarray]:
    """Logistic regression with a quadratic penalty, by Newton's method; gives the classifier."""
    mean, spread = x.mean(0), x.std(0) + 1e-6

    def prepared(a: np.ndarray) -> np.ndarray:
        return np.c_[(a - mean) / spread, np.ones(len(a))]

    z, w = prepared(x), np.zeros(x.shape[1] + 1)
    penalty = np.full(len(w), strength)
    for _ in range(100):
        p = 1.0 / (1.0 + np.exp(-np.clip(z @ w, -30, 30)))
        gradient = z.T @ (p - y) / len(y) + penalty * w
        curvature = (z * (p * (1 - p))[:, None]).T @ z / len(y) + np.diag(penalty + 1e-9)
        w -= 0.7 * np.linalg.solve(curvature, gradient)
        if np.abs(gradient).max() < 1e-7:
            break
    return lambda a: prepared(a) @ w > 0


def folds(x: np.ndarray, y: np.ndarray, source: np.ndarray, strength: float) -> np.ndarray:
    """Share of clips that are right, (DRAWINGS, FOLDS), and over all, as the last column."""
    names = np.unique(source)
    out = np.zeros((DRAWINGS, FOLDS + 1))
    for drawing in range(DRAWINGS):
        order = np.random.default_rng(drawing).permutation(names)
        fold = {name: i % FOLDS for i, name in enumerate(order)}
        own = np.array([fold[name] for name in source])
        right = np.zeros(len(y), bool)
        for k in range(FOLDS):
            classify = logistic(x[own != k], y[own != k], strength)
            right[own == k] = classify(x[own == k]) == (y[own == k] > 0)
            out[drawing, k] = right[own == k].mean()
        out[drawing, FOLDS] = right.mean()
    return out


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", nargs="*", default=["builtin"])
    parser.add_argument("--footage", type=Path, default=ROOT / "fights")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with (options.footage / "clips.csv").open() as file:
        rows = list(csv.DictReader(file))
    y = np.array([float(row["label"] == "fight") for row in rows])
    source = np.array([row["source"] for row in rows])
    ways: list[tuple[str, Describe]] = [("size, rate and length", by_file), ("motion", by_motion)]
    for which in options.encoder:
        session = EncoderSession(None if which == "builtin" else which, "cpu", 1)
        ways.append((which, by_encoder(session)))
    for name, describe in ways:
        x = np.stack([describe(options.footage / row["clip"]) for row in rows])
        found = {strength: folds(x, y, source, strength) for strength in STRENGTHS}
        figure = found[STRENGTHS[0]]
        report(
            "fights",
            by=name,
            clips=len(y),
            sources=len(np.unique(source)),
            accuracy=round(float(figure[:, -1].mean()), 3),
            folds=np.round(figure[0, :-1], 3).tolist(),
            by_strength={s: round(float(f[:, -1].mean()), 3) for s, f in found.items()},
        )


if __name__ == "__main__":
    main()
