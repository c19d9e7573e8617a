"""Is the calibrated rate kept? Asked against achieved, on normal footage alone.

    python -m benchmarks.calibration [--scenes DIR] [--footage DIR] [--encoder off|builtin|FILE]
        [--only ped2 scenes one-by-one simulated]

Footage: normality is fitted on some clips of a camera and scores the others, in all rotations, so
that every clip is scored once. Simulated: scores that hang together over time and come in busy and
quiet spells, whose true rate is known from a thousand times as much of them. One JSON line for each
camera and rate: events asked for in the footage scored, events got, and in how many rotations what
was got can be had from a rate inside the 90 % interval that was promised (`covered`).
"""

import argparse
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.planted import lumas, windows
from benchmarks.report import report
from detectors.calibration import DAY_S, Calibration, event_peaks
from detectors.detector import Scorer
from detectors.encoder.session import EncoderSession
from detectors.fitting import NormalityFitter
from detectors.observer import Observation, Observer

ROOT = Path(os.environ.get("SORAWATCH_FOOTAGE", Path(__file__).parents[2] / "shared" / "data"))
RATES: Final = (24.0, 96.0, 480.0, 1440.0)
"""Of footage, alerts a day; a few minutes cannot show rarer ones. 1440 is one a minute."""

SIMULATED: Final = ((4, (24.0, 96.0, 480.0)), (60, (1.0, 24.0, 96.0)), (600, (1.0, 24.0)))
"""Minutes to calibrate on, and rates to ask for."""

_STEP_S: Final = 0.2
_SIDE: Final = 0.05  # of a 90 % interval

Clip = list[Observation]


@dataclass
class Kept:
    """What was asked for and what was got at one rate, over all rotations."""

    asked: float = 0.0
    got: int = 0
    covered: int = 0
    rotations: int = 0
    highs: list[float] = field(default_factory=list)
    lows: list[float] = field(default_factory=list)

    def add(self, calibration: Calibration, rate: float, peaks: np.ndarray, days: float) -> None:
        """Take one rotation: `peaks` of footage that it was not calibrated on."""
        level = calibration.threshold(rate)
        got = int((peaks >= level.value).sum())
        self.asked += rate * days
        self.got += got
        self.rotations += 1
        self.covered += can_be(got, level.low * days, level.high * days)
        self.lows.append(level.low)
        self.highs.append(level.high)

    def figures(self) -> dict[str, object]:
        """For the JSON line."""
        return {
            "asked": round(self.asked, 2),
            "got": self.got,
            "covered": self.covered,
            "rotations": self.rotations,
            "low_per_day": float(f"{np.median(self.lows):.2g}"),
            "high_per_day": float(f"{np.median(self.highs):.2g}"),
        }


def can_be(got: int, low: float, high: float) -> bool:
    """Whether so many events are to be had with some Poisson mean between `low` and `high`."""
    return poisson_at_least(got, high) >= _SIDE and 1 - poisson_at_least(got + 1, low) >= _SIDE


def poisson_at_least(count: int, mean: float) -> float:
    """P(N >= count)."""
    terms = np.cumprod(np.concatenate([[1.0], mean / np.arange(1, max(count, 1))]))
    return float(1 - np.exp(-mean) * terms.sum()) if count > 0 else 1.0


def observed(paths: Sequence[Path], parts: int, encoder: EncoderSession | None) -> list[Clip]:
    """What the observer says of each clip, or of each of its `parts`."""
    clips: list[Clip] = []
    for path in paths:
        frames = lumas(path)
        edges = np.linspace(0, len(frames), parts + 1).astype(int)
        for start, end in pairwise(edges):
            generation, observer = len(clips), Observer(encoder.contract if encoder else None)
            clip = []
            for _, window in windows(frames[start:end], generation):
                one = observer.step(window)
                if encoder is not None and one.due is not None:
                    out = encoder.run(one.due.x[None], one.due.past[None])
                    one = observer.encoded(one, out.tokens[0], out.features[0])
                clip.append(one)
            clips.append(clip)
    return clips


def rotate(
    clips: list[Clip], folds: int, encoder: EncoderSession | None
) -> Iterator[tuple[Calibration, np.ndarray, float]]:
    """Calibration from the other folds, and peaks and seconds of each fold."""
    for fold in range(folds):
        fitter = NormalityFitter(encoder)
        for number, clip in enumerate(clips):
            if number % folds != fold:
                for one in clip:
                    fitter.observe(one)
        normality = fitter.finish()
        scorer, times, values, runs = Scorer(normality), [], [], []
        for number, clip in enumerate(clips):
            if number % folds == fold:
                for one in clip:
                    values.append(scorer.step(one).value)
                    times.append(one.t_s)
                    runs.append(number)
        found = event_peaks(np.array(times), np.array(values), np.array(runs))
        yield normality.calibration, found[0], found[1]


def cameras(footage: Path, scenes: Path | None) -> Iterator[tuple[str, list[Path], int, int]]:
    """Name, clips, into how many parts each is cut, and how many rotations."""
    yield "ped2", sorted((footage / "ped2" / "train").iterdir()), 1, 4
    yield "one-by-one", [footage / "clips" / "one-by-one-person-detection.mp4"], 2, 2
    if scenes is not None:
        for folder in sorted(scenes.iterdir()):
            clips = sorted((folder / "train").iterdir())
            yield f"scenes {folder.name}", clips, 1, len(clips)


def simulate(rng: np.random.Generator, seconds: float, shape: float = 0.0) -> np.ndarray:
    """Scores at 5 a second: surprise that hangs together for seconds, spells of minutes.

    Spells last 90 s on average and are quiet or busy, which is worth 2.5 nats. `shape`: of the
    tail; 0 is exponential.
    """
    n = int(seconds / _STEP_S)
    keep = float(np.exp(-_STEP_S / 1.5))
    noise = rng.normal(0, np.sqrt(1 - keep**2), n).tolist()
    state, out = float(rng.normal()), np.empty(n)
    for i in range(n):
        out[i] = state = keep * state + noise[i]
    busy = (np.cumsum(rng.random(n) < _STEP_S / 90) + int(rng.integers(2))) % 2
    surprise = np.interp(out, _NORMAL, _SURPRISE)  # exponentially distributed
    if shape:
        surprise = np.expm1(shape * surprise) / shape
    return np.maximum(1.5 * surprise - 2.5 * (1 - busy) - 2.0, 0.0)


_NORMAL: Final = np.linspace(-8.0, 8.0, 1601)
_SURPRISE: Final = np.array([-math.log(math.erfc(x / math.sqrt(2)) / 2) for x in _NORMAL])


def measure_simulated(minutes: float, runs: int, rates: Sequence[float], shape: float) -> None:
    """Coverage where the truth is known: does the interval hold the true rate?"""
    long_s = 30 * DAY_S
    rng = np.random.default_rng(1)
    times = np.arange(int(long_s / _STEP_S)) * _STEP_S
    truth, truth_s = event_peaks(times, simulate(rng, long_s, shape), np.zeros(len(times), int))[:2]
    for rate in rates:
        covered, factors, widths = 0, [], []
        for run in range(runs):
            values = simulate(np.random.default_rng([2, run]), minutes * 60, shape)
            t = np.arange(len(values)) * _STEP_S
            level = Calibration(*event_peaks(t, values, np.zeros(len(t), int))).threshold(rate)
            true = float((truth >= level.value).sum()) / (truth_s / DAY_S)
            covered += level.low <= true <= level.high
            factors.append(max(true, 1 / 60) / rate)
            widths.append(level.high / level.low)
        low, middle, high = np.quantile(factors, [0.05, 0.5, 0.95])
        report(
            "calibration simulated",
            minutes=minutes,
            shape=shape,
            per_day=rate,
            coverage=round(covered / runs, 3),
            runs=runs,
            true_over_asked=[float(f"{x:.2g}") for x in (low, middle, high)],
            high_over_low=float(f"{np.median(widths):.2g}"),
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--footage", type=Path, default=ROOT)
    parser.add_argument("--scenes", type=Path, help="what benchmarks.scenes rendered")
    parser.add_argument("--encoder", default="off")
    parser.add_argument("--only", nargs="*", default=["ped2", "one-by-one", "scenes", "simulated"])
    parser.add_argument("--runs", type=int, default=100, help="of each simulation")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    path = None if options.encoder == "builtin" else options.encoder
    encoder = None if options.encoder == "off" else EncoderSession(path, "cpu", 1)
    total = {rate: Kept() for rate in RATES}
    for name, paths, parts, folds in cameras(options.footage, options.scenes):
        if name.split()[0] not in options.only:
            continue
        kept = {rate: Kept() for rate in RATES}
        clips = observed(paths, parts, encoder)
        for calibration, peaks, seconds in rotate(clips, folds, encoder):
            for rate in RATES:
                kept[rate].add(calibration, rate, peaks, seconds / DAY_S)
                total[rate].add(calibration, rate, peaks, seconds / DAY_S)
        for rate in RATES:
            report("calibration", camera=name, per_day=rate, **kept[rate].figures())
    for rate in RATES:
        if total[rate].rotations:
            report("calibration", camera="all", per_day=rate, **total[rate].figures())
    if "simulated" in options.only:
        for shape in (0.0, 0.15):
            for minutes, rates in SIMULATED:
                runs = max(10, options.runs // (4 if minutes > 100 else 1))
                measure_simulated(minutes, runs, rates, shape)


if __name__ == "__main__":
    main()
