"""Which kinds of event are found, and pictures of those that are not.

    python -m benchmarks.misses EVALUATION=DATASET ... [--per-hour 60] [--picture FILE.jpg]

`EVALUATION` is a folder that `sorawatch evaluate DATASET --out EVALUATION` wrote; the data set's
labels must have tracks, with a `kind` in each (as `benchmarks.scenes` renders them). An event
counts as found when the score stays above the calibrated threshold for the judge's least length
within it. One JSON line for each kind. `--picture`: missed events, each at its highest score, the
truth framed in white and what the score pointed at in red; below it the score over time, the truth
shaded, the threshold in red.
"""

import argparse
import csv
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.report import report

WIDTH, HEIGHT = 320, 180
MOST_PICTURES = 12
WHITE, RED, GREY, DARK = (255, 255, 255), (60, 60, 230), (150, 150, 150), (40, 40, 40)

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Happening:
    """An event of the truth, and the score while it lasted."""

    dataset: Path
    entry: str
    kind: str
    first: int
    last: int
    boxes: dict[int, Box]
    regions: dict[int, Box]
    scores: np.ndarray
    fps: float
    threshold: float
    least_s: float

    @property
    def found(self) -> bool:
        above = self.scores[self.first : self.last] >= self.threshold
        edges = np.flatnonzero(np.diff(np.r_[0, above.astype(int), 0]))
        return any(np.diff(edges)[::2] >= self.least_s * self.fps)

    @property
    def top(self) -> int:
        """The frame at which the score is highest."""
        return self.first + int(np.argmax(self.scores[self.first : self.last]))


def happenings(evaluation: Path, dataset: Path, per_hour: float) -> list[Happening]:
    summary = json.loads((evaluation / "summary.json").read_text())
    labels = json.loads((dataset / "labels.json").read_text())
    (threshold,) = (
        point["threshold"]
        for point in summary["operating_points"]
        if point["kind"] == "calibrated" and point["per_hour"] == per_hour
    )
    found = []
    for entry, truth in labels.items():
        scores = np.array(
            [row["score"] for row in rows(evaluation / "scores" / f"{entry}.csv")], float
        )
        regions = {
            int(row["frame"]): tuple(float(row[k]) for k in ("x", "y", "width", "height"))
            for row in rows(evaluation / "regions" / f"{entry}.csv")
        }
        for track in truth.get("tracks", []):
            boxes: dict[int, Any] = {int(k): tuple(v) for k, v in track["boxes"].items()}
            found.append(
                Happening(
                    dataset, entry, track["kind"], min(boxes), max(boxes) + 1, boxes, regions,
                    scores, truth["fps"], threshold, summary["min_length_s"],
                )
            )  # fmt: skip
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def picture(one: Happening) -> np.ndarray:
    """(HEIGHT + 60, WIDTH, 3): the frame with both boxes, and the score below it."""
    (path,) = (one.dataset / "test").glob(f"{one.entry}.*")
    capture = cv2.VideoCapture(str(path))
    for _ in range(one.top + 1):
        ok, image = capture.read()
        assert ok, path
    image = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    frame(image, one.boxes.get(one.top), WHITE)
    frame(image, one.regions.get(one.top), RED)
    chart = np.full((60, WIDTH, 3), DARK, np.uint8)
    n, top = len(one.scores), 1.05 * max(float(one.scores.max()), one.threshold)
    left, right = (round(k / n * WIDTH) for k in (one.first, one.last))
    chart[:, left:right] = (75, 75, 75)
    level = round(58 * (1 - one.threshold / top))
    cv2.line(chart, (0, level), (WIDTH, level), RED, 1)
    points = [(round(i / n * WIDTH), round(58 * (1 - s / top))) for i, s in enumerate(one.scores)]
    cv2.polylines(chart, [np.array(points, np.int32)], False, WHITE, 1, cv2.LINE_AA)
    text = f"{one.dataset.name} {one.entry}: {one.kind}"
    cv2.rectangle(image, (0, 0), (WIDTH, 16), DARK, -1)
    cv2.putText(image, text, (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, WHITE, 1, cv2.LINE_AA)
    return np.vstack([image, chart])


def frame(image: np.ndarray, box: Box | None, colour: tuple[int, int, int]) -> None:
    if box is not None:
        x, y, width, height = box
        corners = [(x, y), (x + width, y + height)]
        low, high = ((round(a * WIDTH), round(b * HEIGHT)) for a, b in corners)
        cv2.rectangle(image, low, high, colour, 1, cv2.LINE_AA)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("evaluations", nargs="+", metavar="EVALUATION=DATASET")
    parser.add_argument("--per-hour", type=float, default=60.0)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    all_of: dict[str, list[Happening]] = defaultdict(list)
    for pair in options.evaluations:
        evaluation, _, dataset = pair.partition("=")
        for one in happenings(Path(evaluation), Path(dataset), options.per_hour):
            all_of[one.kind].append(one)
    all_of["all"] = [one for events in all_of.values() for one in events]
    for kind, events in sorted(all_of.items()):
        found = sum(one.found for one in events)
        report("misses", kind=kind, events=len(events), found=found, per_hour=options.per_hour)
    missed = [one for one in all_of["all"] if not one.found]
    if options.picture is not None and missed:
        chosen = missed[:: max(1, len(missed) // MOST_PICTURES)][:MOST_PICTURES]
        tiles = [picture(one) for one in chosen]
        tiles += [np.full_like(tiles[0], DARK)] * (-len(tiles) % 4)
        lines = [np.hstack(tiles[i : i + 4]) for i in range(0, len(tiles), 4)]
        cv2.imwrite(str(options.picture), np.vstack(lines), [cv2.IMWRITE_JPEG_QUALITY, 80])


if __name__ == "__main__":
    main()
