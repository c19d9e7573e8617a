"""Speed of replay, as times real time for each core, and as CPU against decoding alone.

    python -m benchmarks.replay [--minutes 10] [--encoder builtin|off] [--crowd busy still]

Rendered footage of a plaza (benchmarks/footage.py), 640x360 at 15 frames/s: 60 s of it, read again
and again as one recording. A minute of it is learned first. CPU is that of all processes, children
and kernel included, so that a neighbour on the machine costs little. `times_real_time_per_core`:
seconds of footage for each CPU second. `start_s`: CPU that replay takes before the first frame and
after the last one, which the figures include. `decoding` is cv2 in one process, every frame
grabbed and none retrieved.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.footage import footage
from benchmarks.report import report
from streamer.capture.source import Source
from streamer.config_load import parse_config
from streamer.fit import fit
from streamer.replay.gather import gather
from streamer.replay.plan import Run
from streamer.replay.replay import replay

DECODE = """
import sys, cv2
for path in sys.argv[1:]:
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    while capture.grab():
        pass
"""
START_UTC_S = 1_800_000_000.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--encoder", default="builtin")
    parser.add_argument("--crowd", nargs="*", default=["busy", "still"])
    options = parser.parse_args()
    for crowd in options.crowd:
        film, learned = footage(crowd, seconds=60.0), footage(crowd, seconds=60.0, take=1)
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), film, learned, options.minutes, options.encoder, crowd)


def measure(
    folder: Path, film: Path, learned: Path, minutes: int, encoder: str, crowd: str
) -> None:
    """Replay so many minutes of `film`, and decode them."""
    normal = folder / "plaza.normal"
    fit([Source.parse(str(learned))], normal, use_encoder=encoder != "off", device="cpu")
    config = parse_config(
        f"cameras: {{plaza: {{source: 0, normal: {normal}, alerts_per_day: 10}}}}\n"
        f"detect: {{encoder: {encoder}, device: cpu}}\n",
        name="benchmark.yaml",
        folder=folder,
    )
    cpu_s = {}
    for count in (1, minutes):
        sources = [Source.parse(str(film))] * count
        runs: list[Run] = gather(sources, start_utc_s=START_UTC_S, unbroken=True)
        before_s = _cpu_s()
        done = replay(runs, config, "plaza", folder / f"out{count}")
        cpu_s[count] = _cpu_s() - before_s
    before_s = _cpu_s()
    subprocess.run([sys.executable, "-c", DECODE, *[str(film)] * minutes], check=True)
    decoding_s = _cpu_s() - before_s
    before_s = _cpu_s()
    subprocess.run([sys.executable, "-c", "import cv2"], check=True)
    decoding_s -= _cpu_s() - before_s
    footage_s = 60.0 * minutes
    marginal_s = (cpu_s[minutes] - cpu_s[1]) / (minutes - 1) * minutes
    report(
        "replay",
        crowd=crowd,
        encoder=encoder,
        footage_s=footage_s,
        alerts=done.alerts,
        cpu_ms_per_s=round(1e3 * cpu_s[minutes] / footage_s, 2),
        times_real_time_per_core=round(footage_s / cpu_s[minutes], 1),
        start_s=round(cpu_s[minutes] - marginal_s, 2),
        times_real_time_once_started=round(footage_s / marginal_s, 1),
        decoding_cpu_ms_per_s=round(1e3 * decoding_s / footage_s, 2),
        cpu_by_decoding=round(cpu_s[minutes] / decoding_s, 2),
        cpu_by_decoding_once_started=round(marginal_s / decoding_s, 2),
        wall_s=round(done.took_s, 1),
    )


def _cpu_s() -> float:
    own, children = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main()
