"""Whether memory stays flat: so many cameras for an hour, memory every ten seconds, its slope.

`python -m benchmarks.soak --minutes 60 --cameras 8`. Half of the cameras are busy, half still;
memory is the proportional share (PSS) of the program and its workers. The slope is a least-squares
line through everything after the first tenth, which is when pools and caches fill.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.footage import footage
from benchmarks.live import configuration, fit, memory_mb, running, status, until_online
from benchmarks.report import report
from tests.rtsp_server import RtspServer

EVERY_S = 10.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Watch, weigh, and report the slope; 1 when a camera lost frames."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--cameras", type=int, default=8)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name, RtspServer() as server:
        folder = Path(name)
        normal = fit("normal", folder)
        server.serve("busy", footage("normal"), shared=True)
        server.serve("still", footage("still"), shared=True)
        sources = [server.url("still" if i % 2 else "busy") for i in range(options.cameras)]
        with running(configuration(sources, normal, folder), folder) as program:
            until_online(options.cameras)
            at_s, memory = [], []
            start_s = time.monotonic()
            while (now_s := time.monotonic() - start_s) < options.minutes * 60:
                at_s.append(now_s)
                memory.append(memory_mb(program))
                time.sleep(EVERY_S)
            cameras = status()["cameras"]
    settled = len(at_s) // 10
    slope, start = np.polyfit(np.array(at_s[settled:]) / 3600, memory[settled:], 1)
    dropped = sum(c["dropped"]["overrun"] for c in cameras)
    report(
        "soak",
        cameras=options.cameras,
        minutes=options.minutes,
        memory_mb=round(float(start), 1),
        slope_mb_per_hour=round(float(slope), 2),
        memory_mb_first=round(memory[settled], 1),
        memory_mb_last=round(memory[-1], 1),
        frames=sum(c["frames"] for c in cameras),
        frames_dropped=dropped,
        reconnects=sum(c["reconnects"] for c in cameras),
        alerts=sum(c["alerts"] for c in cameras),
    )
    return 1 if dropped else 0


if __name__ == "__main__":
    sys.exit(main())
