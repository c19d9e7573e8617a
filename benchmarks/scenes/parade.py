"""Render things on wheels passing by, one after the other: footage to plant from in training.

    python -m benchmarks.scenes.parade --out DIR [--seed N] [--films N]

No labels, nobody else about. `configs/train/sora.yaml` takes these as `foreign`: whatever moves in
them is planted into other cameras' windows, and is never taken for normal itself.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.scenes import squares
from benchmarks.scenes.sets import SETS
from benchmarks.scenes.stage import Event, Lamps, Stage
from streamer.demo.render import Rendering, encode_h264

KINDS = ("cyclist", "slow-cyclist", "trolley", "skater", "slow-cyclist", "cart")
SECONDS = 60.0
EVERY_S = 3.5


def passing(layout: squares.Layout, rng: np.random.Generator) -> list[Event]:
    """What passes: something new every few seconds."""
    events: list[Event] = []
    starts = np.arange(-12.0, SECONDS, EVERY_S)
    for number, start_s in enumerate(starts.tolist()):
        build = squares.EVENTS[KINDS[number % len(KINDS)]]
        events.append(build(layout, start_s + float(rng.uniform(0, 2)), rng))
    return events


def film(name: str, seed: int, number: int) -> Rendering:
    """One film on the demo's plaza or concourse."""
    one = SETS[name]
    layout = squares.square(name, one.size, seed * 100 + number)
    rng = np.random.default_rng([seed, 77, number])
    actors = [actor for event in passing(layout, rng) for actor in event.actors]
    stage = Stage(layout, Lamps(rng), seed * 100 + number, number, SECONDS, actors, ())
    return Rendering(stage, one.fps, one.noise_sigma)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the films")
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--films", type=int, default=6)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    for number in range(options.films):
        name = ("plaza", "concourse")[number % 2]
        started = time.monotonic()
        path = options.out / f"{number + 1:02}-{name}.mp4"
        encode_h264(film(name, options.seed, number), path, SETS[name].fps)
        print(f"{path}: rendered in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
