"""What remembering an event costs beside scoring its frames, and teaching from it beside a scoring.

    python -m benchmarks.feedback

On the little made-up place of the tests, by motion alone: somebody runs where people walk. A frame
is remembered only while something unusual goes on. `deciding` is the judge with caps and zones
beside the plain one.
"""

import time
from dataclasses import replace

import numpy as np

from alerts.judge import Judge, JudgeSettings, Observation
from alerts.wanted import Zone
from benchmarks.report import report, time_us
from detectors.detector import Detector
from detectors.fitting import NormalityFitter
from detectors.teaching import with_lesson
from streamer.event_memory import MOST_TOKENS, EventMemory, Recollection
from tests.detectors import scene

FRAMES = 400


def main() -> None:
    """Run all, print JSON lines."""
    fitter = NormalityFitter(None, "gate")
    for window in scene.windows(scene.normal_life(120)):
        fitter.add(window)
    normality = fitter.finish()
    rng = np.random.default_rng(3)
    people = scene.walkers(rng, FRAMES)
    fast = [
        replace(person, speed_px=4 * person.speed_px, rise_px=0.5) for person in people[::2]
    ] + people[1::2]
    windows = list(scene.windows(scene.render(rng, fast, FRAMES)))
    memory = EventMemory()
    recollection = Recollection(memory)
    step_ns, see_ns = [], []
    with Detector(None) as detector:
        detector.add("gate", normality)
        for number, window in enumerate(windows):
            start_ns = time.perf_counter_ns()
            detector.step([("gate", window)])
            scored_ns = time.perf_counter_ns()
            told = ["event"] if number == 10 else []
            recollection.see(normality, 1.0, told, lambda: detector.recent("gate"))
            step_ns.append(scored_ns - start_ns)
            see_ns.append(time.perf_counter_ns() - scored_ns)
    step_us, see_us = (float(np.median(ns[50:])) / 1e3 for ns in (step_ns, see_ns))
    report("score a busy frame", p50_us=round(step_us, 1))
    report("remember it", p50_us=round(see_us, 1), to_scoring=round(see_us / step_us, 2))
    collector = memory.of("event")
    assert collector is not None
    tokens = collector.tokens()
    start_ns = time.perf_counter_ns()
    with_lesson(normality, tokens).to_bytes()
    lesson_us = (time.perf_counter_ns() - start_ns) / 1e3
    report(
        "make a lesson and its file",
        ms=round(lesson_us / 1e3, 1),
        to_scoring=round(lesson_us / step_us, 1),
        tokens=sum(map(len, tokens.values())),
        most_tokens=2 * MOST_TOKENS,
        bytes_held=sum(points.nbytes for points in tokens.values()),
    )
    plain_us = judged(JudgeSettings())
    everywhere = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
    zones = (Zone("all", everywhere, threshold_ratio=0.5),)
    rules = JudgeSettings(zones=zones, most_per_hour=3, cooldown="idle", alert_ratio=1.5)
    strict_us = judged(rules)
    report("judge, plain", p50_us=plain_us)
    report("judge, restrained", p50_us=strict_us, to_plain=round(strict_us / plain_us, 2))


def judged(rules: JudgeSettings) -> float:
    """Median of a step, microseconds, half of which are unusual."""
    judge, clock = Judge("gate", 5.0, rules), iter(range(10**9))

    def step() -> None:
        number = next(clock)
        score = 9.0 if number // 50 % 2 else 1.0
        judge.step(Observation(number * 0.2, score, (0.2, 0.2, 0.1, 0.1), {}, "", None))

    return time_us(step)["p50_us"]


if __name__ == "__main__":
    main()
