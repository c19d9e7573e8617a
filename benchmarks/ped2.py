"""How good the program is on UCSD Ped2: the figures of `sorawatch evaluate`, with the machine.

    python -m benchmarks.ped2 [--fps 5 10] [--encoder builtin|off|PATH] [--footage DIR]

Prints one JSON line for each rate of analysed frames; docs/datasets.md tells what its keys mean.
"""

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.report import report
from streamer.evaluation.evaluate import evaluate

ROOT = Path(os.environ.get("SORAWATCH_FOOTAGE", Path(__file__).parents[2] / "shared" / "data"))
BUDGETS = (1.0, 10.0, 100.0, 1440.0)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fps", type=float, nargs="*", default=[5.0, 10.0])
    parser.add_argument("--encoder", default="off")
    parser.add_argument("--footage", type=Path, default=ROOT / "ped2")
    options = parser.parse_args()
    for fps in options.fps:
        with tempfile.TemporaryDirectory() as folder:
            summary = evaluate(
                options.footage,
                Path(folder) / "out",
                fps=fps,
                encoder=None if options.encoder in ("builtin", "off") else Path(options.encoder),
                use_encoder=options.encoder != "off",
                device="cpu",
                alerts_per_day=BUDGETS,
            )
        report("ped2", **{k: v for k, v in summary.document().items() if k != "entries"})


if __name__ == "__main__":
    main()
