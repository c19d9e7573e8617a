"""Whether memory stays flat: so many cameras for an hour, memory every ten seconds, its slope.

`python -m benchmarks.soak --minutes 60 --cameras 8`. Half of the cameras are busy, half still;
memory is what the program and its workers have to themselves (USS): the rings, which they share,
have a fixed size, and libraries shared with other programs would come and go with those. The slope
is a least-squares line through everything after the first tenth, which is when pools and caches
fill; that of the second half alone stands beside it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil

from benchmarks.footage import footage
from benchmarks.live import configuration, fit, running, status, until_online
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
                memory.append(own_mb(program))
                time.sleep(EVERY_S)
            cameras = status()["cameras"]
    settled = len(at_s) // 10
    slope, start = _line(at_s[settled:], memory[settled:])
    half = len(at_s) // 2
    dropped = sum(c["dropped"]["overrun"] for c in cameras)
    report(
        "soak",
        cameras=options.cameras,
        minutes=options.minutes,
        memory_mb=round(start, 1),
        slope_mb_per_hour=round(slope, 2),
        slope_second_half_mb_per_hour=round(_line(at_s[half:], memory[half:])[0], 2),
        memory_mb_first=round(memory[settled], 1),
        memory_mb_last=round(memory[-1], 1),
        frames=sum(c["frames"] for c in cameras),
        frames_dropped=dropped,
        reconnects=sum(c["reconnects"] for c in cameras),
        alerts=sum(c["alerts"] for c in cameras),
    )
    return 1 if dropped else 0


def own_mb(program: psutil.Process) -> float:
    """Memory that the program and its children share with nobody."""
    processes = [program, *program.children(recursive=True)]
    return sum(process.memory_full_info().uss for process in processes) / 1e6


def _line(at_s: Sequence[float], memory_mb: Sequence[float]) -> tuple[float, float]:
    """MB an hour, and MB at the start, of the line through these."""
    slope, start = np.polyfit(np.array(at_s) / 3600, memory_mb, 1)
    return float(slope), float(start)


if __name__ == "__main__":
    sys.exit(main())
