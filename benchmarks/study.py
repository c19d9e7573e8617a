"""What each part of the score adds, on labelled data sets.

    python -m benchmarks.study DATASET ... [--encoder builtin|off|FILE ...] [--fps 5]
        [--without-place] [--frames 8] [--encoder-period N]

Learns from a data set's train split, scores its test split once by the live path, and reports the
AUC of every part alone and of those that are fused: speed and pattern (`motion`), with the
encoder's tokens (`moving`), what stands out from the empty scene (`figures`), and the larger of
both (`all`), which is the program's score. One JSON line for each data set, encoder and part;
docs/detection.md is made of them. `--without-place`: the statistics do not know where in the
picture a thing is. `--frames`: length of the encoder's windows.
"""

import argparse
import dataclasses
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

from benchmarks.report import report
from detectors import appearance, figure, pattern
from detectors.detector import Scorer
from detectors.encoder.session import EncoderSession
from detectors.fitting import NormalityFitter
from detectors.normality import Normality
from detectors.observer import ENCODER_PERIOD, Observation, Observer
from detectors.scoring import Smoother, largest, moving
from streamer.capture.source import Source
from streamer.evaluation.dataset import read_data_set
from streamer.evaluation.metrics import auc, bootstrap_auc, macro_auc
from streamer.fit import learn_from
from streamer.reading import SourceReader

MOTION = ("speed", "pattern", "motion", "encoder", "moving")
PARTS = (*MOTION, "figures", "motion+figures", "all")


class PartScorer(Scorer):
    """A scorer that also tells what each part alone would have said."""

    def __init__(self, normality: Normality) -> None:
        super().__init__(normality)
        self._smoothers = {name: Smoother() for name in MOTION}
        self._now: dict[str, float] = {}

    def parts(self, observation: Observation) -> dict[str, float]:
        """Score of every part for the newest frame."""
        self._now = dict.fromkeys(MOTION, 0.0)
        self.step(observation)
        found = {
            name: smoother.step(self._now[name], observation.passed_s)
            for name, smoother in self._smoothers.items()
        }
        found["figures"] = self._standing.value
        found["motion+figures"] = max(found["motion"], found["figures"])
        found["all"] = max(self._moving.value, found["figures"])
        return found

    def _of_motion(self, observation: Observation) -> float:
        tokens, fresh = observation.tokens, None
        if observation.encoded is not None:
            fresh = self.normality.appearance_of(tokens, observation.encoded)
        held = self._held.step(fresh, observation.t_s, observation.generation)
        if len(tokens):
            found = self.normality.surprise(tokens, held)
            by_part = {
                "speed": found.speed,
                "pattern": found.pattern,
                "motion": moving(found.speed, found.pattern, None),
                "encoder": found.appearance,
                "moving": found.total,
            }
            self._now = {k: 0.0 if v is None else largest(v) for k, v in by_part.items()}
        return self._now["moving"]


def learn(sources: list[Source], fps: float, encoder: EncoderSession | None) -> Normality:
    fitter = NormalityFitter(encoder, "study")
    learn_from(sources, fitter, fps)
    return fitter.finish()


def score(
    sources: list[Source],
    frames: list[int],
    normality: Normality,
    fps: float,
    encoder: EncoderSession | None,
    period: int,
) -> dict[str, list[np.ndarray]]:
    """Score of every part for every frame of every source."""
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    current, scorer, observer = -1, None, None
    with SourceReader(sources, fps) as reader:
        for index, seen in reader.windows():
            if index != current:
                current, scorer = index, PartScorer(normality)
                observer = Observer(encoder.contract if encoder else None, period)
                for name in PARTS:
                    found[name].append(np.zeros(frames[index]))
            assert scorer is not None
            assert observer is not None
            observation = observer.step(seen.window)
            due = observation.due
            if due is not None and encoder is not None:
                out = encoder.run(due.x[None], due.past[None])
                observation = observer.encoded(observation, out.tokens[0], out.features[0])
            for name, value in scorer.parts(observation).items():
                found[name][index][seen.header.number :] = value
    return found


def study(path: Path, which: str, fps: float, frames: int, period: int, place: bool) -> None:
    encoder = None
    if which != "off":
        encoder = EncoderSession(None if which == "builtin" else which, "cpu", 1)
        encoder.contract = dataclasses.replace(encoder.contract, frames=frames)
    data = read_data_set(path)
    normality = learn(list(data.train), fps, encoder)
    lengths = [entry.truth.frames for entry in data.test]
    found = score([entry.source for entry in data.test], lengths, normality, fps, encoder, period)
    truth = [entry.truth.mask() for entry in data.test]
    for name, scores in found.items():
        if encoder is None and name in ("encoder", "moving"):
            continue
        interval = bootstrap_auc(scores, truth)
        report(
            "study",
            dataset=data.name,
            part=name,
            encoder=which,
            fps=fps,
            frames=frames,
            encoder_period=period,
            place=place,
            micro_auc=_round(auc(np.concatenate(scores), np.concatenate(truth))),
            micro_auc_95=None
            if interval is None
            else [_round(interval.low), _round(interval.high)],
            macro_auc=_round(macro_auc(scores, truth)[0]),
        )


def _round(x: float | None) -> float | None:
    return None if x is None else round(x, 4)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("datasets", type=Path, nargs="+")
    parser.add_argument("--encoder", nargs="*", default=["builtin"])
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--encoder-period", type=int, default=ENCODER_PERIOD)
    parser.add_argument("--without-place", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    if options.without_place:
        pattern.PLACE_WEIGHT = figure.PLACE_WEIGHT = appearance.PLACE_WEIGHT = 0.0
    for path in options.datasets:
        for which in options.encoder:
            place = not options.without_place
            study(path, which, options.fps, options.frames, options.encoder_period, place)


if __name__ == "__main__":
    main()
