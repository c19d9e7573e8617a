"""What learning an hour of 360p footage costs: minutes, memory, and how the file grows.

    python -m benchmarks.fit_hour [--minutes 1 10 60] [--encoder off|builtin|FILE] [SOURCE ...]

Without sources, rendered footage of a busy plaza (benchmarks/footage.py), 640x360 at 15 frames/s:
ten minutes of different people, read again and again for as long as wanted. Each length is learned
in a process of its own, as `sorawatch fit` does; one JSON line for each. `peak_mb`: resident memory
of the process that learns, at its largest.
"""

import argparse
import math
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from benchmarks.footage import footage
from benchmarks.report import report
from streamer.capture.source import Source
from streamer.fit import fit

TAKES, TAKE_S = 10, 60.0


def learn(paths: list[str], minutes: float, encoder: str) -> dict[str, object]:
    """Fit that long; called in a process of its own."""
    # A new process starts with its parent's peak; this begins to count anew.
    Path("/proc/self/clear_refs").write_text("5")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "x.normal"
        done = fit(
            [Source.parse(path) for path in paths],
            out,
            seconds=minutes * 60,
            encoder=None if encoder in ("builtin", "off") else Path(encoder),
            use_encoder=encoder != "off",
            device="cpu",
        )
        return {
            "minutes_learned": round(done.footage_s / 60, 2),
            "took_minutes": round(done.took_s / 60, 2),
            "peak_mb": round(_peak_kb() / 1024),
            "file_kb": round(out.stat().st_size / 1024, 1),
        }


def _peak_kb() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", nargs="*")
    parser.add_argument("--minutes", type=float, nargs="*", default=[1.0, 10.0, 60.0])
    parser.add_argument("--encoder", default="off")
    options = parser.parse_args()
    takes = options.sources or [str(footage("busy", take=n)) for n in range(TAKES)]
    for minutes in options.minutes:
        # More than enough times over: it ends when so much has been learned.
        again = 1 + math.ceil(minutes * 60 / (TAKE_S * len(takes)))
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            figures = pool.submit(learn, takes * again, minutes, options.encoder).result()
        report("fit", encoder=options.encoder, sources=len(takes), **figures)


if __name__ == "__main__":
    main()
