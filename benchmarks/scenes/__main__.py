"""Render the labelled data sets that stand in for cameras nobody tuned on.

    python -m benchmarks.scenes --out DIR [--seed N] [--only room,walkway]

Each becomes DIR/NAME with `train/`, `test/` and `labels.json` (docs/datasets.md), its labels with
`tracks`: where the event is, frame by frame. One seed gives the same pictures every time; another
seed moves cameras, people and events.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2

from benchmarks.scenes.make import render_set
from benchmarks.scenes.sets import SETS


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(SETS), help=f"of {', '.join(SETS)}")
    options = parser.parse_args()
    names = options.only.split(",")
    unknown = sorted(set(names) - set(SETS))
    if unknown:
        print(f"no data set {', '.join(unknown)}: choose of {', '.join(SETS)}", file=sys.stderr)
        return 2
    cv2.setNumThreads(1)
    for name in names:
        started = time.monotonic()
        labels = render_set(name, options.seed, options.out / name)
        seconds = time.monotonic() - started
        print(f"{name}: {len(labels)} test entries, rendered in {seconds:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
