"""What the encoder adds on normal footage with things planted into it.

    python -m benchmarks.planted [--encoder builtin|off|FILE ...] [--period 1] [--footage DIR]

Real cameras, normal footage only: normality is fitted on one part, and into the rest things are
planted pixel by pixel, whole tracks of them: people two and three times as fast, of another size,
or from another camera; also ordinary ones, which are not anomalies. What is scored of Ped2 was held
out of the encoder's training; the other camera was seen in it. Frames are scored by the program as
it runs. One JSON line for each encoder and camera: AUC over frames, in all and by kind.

Settings are chosen here, never on a data set's test split.
"""

import argparse
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.report import report
from detectors.detector import Detector
from detectors.encoder.features import detail_of
from detectors.encoder.footage import analysis_luma, frames_of
from detectors.encoder.session import EncoderSession
from detectors.fitting import NormalityFitter
from detectors.window import Window

ROOT = Path(os.environ.get("SORAWATCH_FOOTAGE", Path(__file__).parents[2] / "shared" / "data"))
FPS, STEP, FRAMES = 10, 2, 8  # of the pictures; every second one is analysed; of a window
KINDS = ("fast x2", "fast x3", "large", "small", "foreign", "ordinary")
SEED = 7

Frames = list[np.ndarray]


@dataclass(frozen=True)
class Piece:
    """One frame of a track: its pixels at twice the analysis size, which of them belong to it (at
    analysis size), and where its middle is, px at analysis size."""

    pixels: np.ndarray
    mask: np.ndarray
    y: float
    x: float


@dataclass(frozen=True)
class Sequence:
    """Pictures with something planted; `truth` where it is an anomaly."""

    kind: str
    frames: Frames
    truth: np.ndarray


def pictures(path: Path) -> Frames:
    """The clip's luma at twice the analysis size, ten frames a second."""
    out: Frames = []
    last = -1
    for t, image in frames_of(path):
        k = int(t * FPS + 1e-6)
        if k != last:
            out.append(detail_of(image, analysis_luma(image, 180).shape))
            last = k
    return out


def shrunk(picture: np.ndarray) -> np.ndarray:
    """A picture at analysis size."""
    height, width = picture.shape
    return cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)


def foreground(frames: Frames) -> Frames:
    """(h, w) uint8 masks of what differs from the clip's median picture."""
    ground = np.median(np.stack(frames[:: max(1, len(frames) // 60)]), 0).astype(np.uint8)
    masks = []
    for frame in frames:
        difference = cv2.GaussianBlur(cv2.absdiff(frame, ground), (3, 3), 0)
        mask = (difference > 14).astype(np.uint8)
        mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
        masks.append(cv2.dilate(mask, np.ones((3, 3), np.uint8)))
    return masks


def find_track(
    frames: Frames,
    step: int,
    shortest: int,
    area: tuple[int, int],
    rng: np.random.Generator,
) -> list[Piece] | None:
    """One thing that keeps moving, every `step`-th frame of it."""
    masks = foreground([shrunk(frame) for frame in frames])
    for _ in range(300):
        t = int(rng.integers(0, max(1, len(frames) - shortest * step)))
        n, labels, stats, _ = cv2.connectedComponentsWithStats(masks[t])
        fitting = [j for j in range(1, n) if area[0] <= stats[j, cv2.CC_STAT_AREA] <= area[1]]
        if not fitting:
            continue
        own = labels == int(rng.choice(fitting))
        track = _follow(frames, masks, own, t, step)
        way = np.hypot(track[-1].y - track[0].y, track[-1].x - track[0].x)
        if len(track) >= shortest and way > 0.3 * step * len(track):
            return track
    return None


def _follow(frames: Frames, masks: Frames, own: np.ndarray, t: int, step: int) -> list[Piece]:
    first, track = int(own.sum()), []
    while True:
        ys, xs = np.nonzero(own)
        rows, columns = slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1)
        track.append(
            Piece(
                frames[t][
                    2 * rows.start : 2 * rows.stop, 2 * columns.start : 2 * columns.stop
                ].copy(),
                own[rows, columns].astype(np.float32),
                (rows.start + rows.stop) / 2,
                (columns.start + columns.stop) / 2,
            )
        )
        t += step
        if t >= len(frames) or len(track) >= 40:
            return track
        n, labels, stats, _ = cv2.connectedComponentsWithStats(masks[t])
        near = cv2.dilate(own.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        shared = np.bincount(labels[near], minlength=n)
        shared[0] = 0
        j = int(shared.argmax())
        if n < 2 or not shared[j]:
            return track
        if not 0.6 * first <= stats[j, cv2.CC_STAT_AREA] <= 1.7 * first:
            return track
        own = labels == j


def plant(
    kind: str,
    frames: Frames,
    track: list[Piece],
    start: int,
    scale: float = 1.0,
    at: tuple[float, float] | None = None,
) -> Sequence:
    """Put the track into a copy of the frames, feet where they were (or first at `at`, y and x)."""
    frames, truth = [f.copy() for f in frames], np.zeros(len(frames), bool)
    down, right = (0.0, 0.0) if at is None else (at[0] - track[0].y, at[1] - track[0].x)
    for t, piece in zip(range(start, len(frames)), track, strict=False):
        size = tuple(max(6, round(side * scale)) for side in piece.pixels.shape[::-1])
        pixels = cv2.resize(piece.pixels, size)
        mask = cv2.GaussianBlur(cv2.resize(piece.mask, size), (5, 5), 0)
        height, width = frames[t].shape
        y0 = round(2 * (piece.y + down) + piece.pixels.shape[0] / 2) - size[1]
        x0 = round(2 * (piece.x + right) - size[0] / 2)
        rows = slice(max(0, y0), min(height, y0 + size[1]))
        columns = slice(max(0, x0), min(width, x0 + size[0]))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        there = (
            slice(rows.start - y0, rows.stop - y0),
            slice(columns.start - x0, columns.stop - x0),
        )
        below, weight = frames[t][rows, columns], mask[there]
        frames[t][rows, columns] = np.clip(below * (1 - weight) + pixels[there] * weight, 0, 255)
        truth[t] = kind != "ordinary" and (weight > 0.5).sum() > 100
    return Sequence(kind, frames, truth)


def sequences(
    fit: list[Frames], rest: list[Frames], foreign: list[Frames], area: tuple[int, int]
) -> Iterator[Sequence]:
    """The held-out clips as they are, and each with one thing of every kind."""
    rng = np.random.default_rng(SEED)
    sources = [clip for clip in fit if len(clip) > 60]
    for clip in rest:
        yield Sequence("nothing", clip, np.zeros(len(clip), bool))
        for kind in KINDS:
            clips = foreign if kind == "foreign" else sources
            step = int(kind[-1]) if kind.startswith("fast") else 1
            fits = (80, 2500) if kind == "foreign" else area
            for _ in range(8):
                track = find_track(
                    clips[int(rng.integers(len(clips)))], step, 15 if step == 1 else 10, fits, rng
                )
                if track is not None:
                    break
            else:
                continue
            at, scale = None, {"large": 1.7, "small": 0.55}.get(kind, 1.0)
            if kind == "foreign":
                height, width = shrunk(clip[0]).shape
                at = (height * rng.uniform(0.35, 0.8), width * rng.uniform(0.25, 0.75))
                scale = float(np.clip(np.sqrt(250 / (track[0].mask.sum() + 1)), 0.3, 1.5))
            start = int(rng.integers(10, max(11, len(clip) - 40)))
            yield plant(kind, clip, track, start, scale, at)


def cameras(root: Path) -> Iterator[tuple[str, list[Frames], list[Sequence]]]:
    """Name, footage to fit on, and sequences to score."""
    entries = {p.name: pictures(p) for p in sorted((root / "ped2" / "train").iterdir())}
    people = pictures(root / "clips" / "one-by-one-person-detection.mp4")
    cars = [pictures(root / "clips" / name) for name in ("highway.avi", "car-detection.mp4")]
    held_out = ("13", "14", "15", "16")  # as in configs/train/sora.yaml
    fit = [clip for name, clip in entries.items() if name not in held_out]
    rest = [entries[name] for name in held_out]
    yield "ped2", fit, list(sequences(fit, rest, [people, *cars], (40, 700)))
    rest = [people[i : i + 110] for i in range(800, len(people) - 60, 110)]
    fit = [people[:800]]
    yield "one-by-one", fit, list(sequences(fit, rest, [*cars, entries["03"]], (150, 3000)))


def windows(frames: Frames, generation: int) -> Iterator[tuple[int, Window]]:
    lumas = [shrunk(frame) for frame in frames]
    for seq, i in enumerate(range(0, len(frames), STEP)):
        run = list(range(i % STEP, i + 1, STEP))[-FRAMES:]
        times = tuple(k / FPS for k in run)
        yield i, Window(tuple(lumas[k] for k in run), times, seq, generation, frames[i])


def auc(normal: np.ndarray, anomalous: np.ndarray) -> float:
    """Share of pairs in the right order, ties half."""
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, anomalous, "left")
    up_to = np.searchsorted(ordered, anomalous, "right")
    return round(float((below + up_to).mean() / (2 * len(normal))), 3)


def measure(
    fit: list[Frames], scored: list[Sequence], encoder: EncoderSession | None, period: int
) -> dict[str, object]:
    started = time.process_time()
    fitter = NormalityFitter(encoder)
    with Detector(encoder, encoder_period=period) as detector:
        detector.add("camera", None, fitter)
        for generation, clip in enumerate(fit):
            for _, window in windows(clip, generation):
                detector.step([("camera", window)])
    normality = fitter.finish()
    values, truth, kinds = [], [], []
    with Detector(encoder, encoder_period=period) as detector:
        detector.add("camera", normality)
        for generation, sequence in enumerate(scored):
            for i, window in windows(sequence.frames, generation):
                score = detector.step([("camera", window)])[0]
                assert score is not None
                values.append(score.value)
                truth.append(bool(sequence.truth[i]))
                kinds.append(sequence.kind)
    score, is_anomaly, kind = np.array(values), np.array(truth), np.array(kinds)
    normal = score[~is_anomaly]
    by_kind = {
        k: auc(normal, score[is_anomaly & (kind == k)])
        for k in KINDS
        if (is_anomaly & (kind == k)).any()
    }
    return {
        "auc": auc(normal, score[is_anomaly]),
        "by_kind": by_kind,
        "frames": len(score),
        "anomalous": int(is_anomaly.sum()),
        "cpu_s": round(time.process_time() - started, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", nargs="*", default=["off", "builtin"])
    parser.add_argument("--period", type=int, default=1, help="analysed frames from run to run")
    parser.add_argument("--footage", type=Path, default=ROOT)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    for name, fit, scored in cameras(options.footage):
        for which in options.encoder:
            path = None if which == "builtin" else which
            encoder = None if which == "off" else EncoderSession(path, "cpu", 1)
            figures = measure(fit, scored, encoder, options.period)
            report("planted", camera=name, encoder=which, period=options.period, **figures)


if __name__ == "__main__":
    main()
