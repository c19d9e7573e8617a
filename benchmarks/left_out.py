"""What an encoder knows of a camera that it was not trained on.

    python -m benchmarks.left_out --encoder CAMERA=FILE ... [--all FILE] [--batches 12]

Footage of each camera with things planted in it as in training (`detectors/encoder/data.py`):
faster, of another size, turned another way. Over cells in which something moves, two AUC tell what
is planted from what is not: of the anomaly map, and of the token's distance to the nearest three
normal ones of other windows cut at the same place, which is what the program uses. `--encoder`: the
file trained without that camera (ped2, or the beginning of a file's name in clips/); `--all`: one
trained with all of them, the shipped one when not given. One JSON line for each camera and
encoder; the last sums up. Ped2 is its four training entries that no training sees.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from benchmarks.report import report
from detectors.appearance import PLACE_WEIGHT
from detectors.encoder.data import Batch, Batches
from detectors.encoder.footage import Run, load_runs
from detectors.encoder.plant import ANOMALIES, Kind
from detectors.encoder.session import EncoderSession
from detectors.encoder.train import auc
from detectors.encoder.train_config import SPEEDS

ROOT = Path(os.environ.get("SORAWATCH_FOOTAGE", Path(__file__).parents[2] / "shared" / "data"))
HELD_OUT = ("13", "14", "15", "16")  # as in configs/train/sora.yaml
CROP_PX, FRAMES, SIZE, SEED = (96, 128), 8, 24, 11
MOVING_SHARE, FEWEST_NORMAL = 0.1, 8  # as in detectors/encoder/objectives.py


def footage(camera: str) -> list[Path]:
    """Files or folders of a camera."""
    if camera == "ped2":
        return [ROOT / "ped2" / "train" / entry for entry in HELD_OUT]
    return sorted((ROOT / "clips").glob(f"{camera}*"))


def windows(camera: str, cache: Path, batches: int) -> Iterator[Batch]:
    """Batches of this camera alone, the same for every encoder."""
    runs: list[Run] = []
    for path in footage(camera):
        runs += load_runs(path, camera, SPEEDS, cache)
    maker = Batches(runs, FRAMES, CROP_PX, seed=SEED)
    for step in range(batches):
        yield maker.batch(step, SIZE, augment=False)


def distances(tokens: np.ndarray, batch: Batch, use: np.ndarray) -> np.ndarray:
    """Distance of the tokens in use to the nearest normal ones of other windows of the group.

    `tokens` (B, E, h, w), `use` (B, h, w) bool; NaN where there are too few to compare with.
    """
    b, dim, h, w = tokens.shape
    found = np.full((b, h, w), np.nan)
    place = np.stack(np.meshgrid(np.arange(h), np.arange(w), indexing="ij"), -1)
    for group in np.unique(batch.group):
        n, y, x = np.nonzero(use & (batch.group == group)[:, None, None])
        normal = batch.kind[n, y, x] == Kind.NORMAL
        if normal.sum() < FEWEST_NORMAL:
            continue
        own = tokens[n, :, y, x]
        spread = own[normal].std(0) + 1e-2
        placed = np.concatenate([own / (spread * dim**0.5), place[y, x] * PLACE_WEIGHT], 1)
        apart = np.sqrt(((placed[:, None] - placed[normal][None]) ** 2).sum(2))
        apart[n[:, None] == n[normal][None]] = np.inf
        found[n, y, x] = np.sort(apart, 1)[:, :3].mean(1)
    found[np.isinf(found)] = np.nan
    return found


def measure(encoder: EncoderSession, batches: list[Batch]) -> dict[str, float]:
    """AUC of map and distance, and how many cells they are over."""
    parts: dict[str, list[np.ndarray]] = {"map": [], "distance": [], "kind": []}
    for batch in batches:
        out = encoder.run(batch.x)
        use = (batch.moving > MOVING_SHARE) & (batch.kind >= 0) & (batch.kind != Kind.SLOW)
        distance = distances(out.tokens, batch, use)
        use &= np.isfinite(distance)
        parts["map"].append(out.anomaly[use])
        parts["distance"].append(distance[use])
        parts["kind"].append(batch.kind[use])
    anomaly, distance, kind = (np.concatenate(values) for values in parts.values())
    normal, planted = kind == Kind.NORMAL, np.isin(kind, ANOMALIES)
    return {
        "map_auc": round(auc(anomaly[normal], anomaly[planted]), 3),
        "distance_auc": round(auc(distance[normal], distance[planted]), 3),
        "cells": int(normal.sum()),
        "planted": int(planted.sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", nargs="+", required=True, metavar="CAMERA=FILE")
    parser.add_argument("--all", metavar="FILE")
    parser.add_argument("--batches", type=int, default=12)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    whole = EncoderSession(options.all, "cpu", 1)
    differences: dict[str, list[float]] = {"map_auc": [], "distance_auc": []}
    with tempfile.TemporaryDirectory() as cache:
        for given in options.encoder:
            camera, _, file = given.partition("=")
            batches = list(windows(camera, Path(cache), options.batches))
            seen = measure(whole, batches)
            unseen = measure(EncoderSession(file, "cpu", 1), batches)
            report("left out", camera=camera, trained="with it", **seen)
            report("left out", camera=camera, trained="without it", **unseen)
            for name, values in differences.items():
                values.append(unseen[name] - seen[name])
    report(
        "left out, all",
        cameras=len(options.encoder),
        without_less_with={name: round(float(np.mean(v)), 3) for name, v in differences.items()},
    )


if __name__ == "__main__":
    main()
