"""Whether memory, files and threads stay flat while cameras reconnect.

    python -m benchmarks.reconnects --times 200

A real RTSP server (gst-rtsp-server, see CONTRIBUTING.md) closes every connection as soon as each
camera has given a picture, over and over. Reported for the worker process that captures them: its
own memory (without what it shares) after a warm-up and at the end, its growth for each reconnect
of a camera (a line through all measurements), open files and threads. The exit status is 1 when it
grows by more than `--limit-kib` each.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.report import report
from streamer.capture.doorbell import Doorbell, wait
from streamer.capture.ring import FrameRing
from streamer.capture.settings import CaptureSettings
from streamer.capture.source import Source
from streamer.capture.states import StateChange
from streamer.capture.supervisor import CameraSpec, Supervisor
from tests.numbered import write_numbered
from tests.rtsp_server import RtspServer

WARM_UP = 20
PATIENCE_S = 20.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 1 when memory grows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--cameras", type=int, default=2)
    parser.add_argument("--limit-kib", type=float, default=20.0)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, RtspServer() as server:
        server.serve("cam", write_numbered(Path(folder) / "cam.mp4", 60, 15, (640, 360)))
        figures = measure(server, options.times, options.cameras)
    report("reconnects", times=options.times, cameras=options.cameras, **figures)
    return 1 if figures["growth_kib"] > options.limit_kib else 0


def measure(server: RtspServer, times: int, cameras: int) -> dict[str, float]:
    """Reconnect so many times after the warm-up; what it did to the worker."""
    settings = CaptureSettings(fps=30.0, backoff_max_s=0.1)
    rings = [FrameRing.create() for _ in range(cameras)]
    own_kib: list[float] = []
    try:
        with Doorbell() as bell, Supervisor(bell, _ignore, workers=1) as supervisor:
            for number, ring in enumerate(rings):
                source = Source.parse(server.url("cam"))
                supervisor.add(CameraSpec(f"cam{number}", source, settings), ring)
            for turn in range(WARM_UP + times):
                _await_pictures(bell, rings, turn)
                if turn >= WARM_UP:
                    worker = psutil.Process(supervisor.states()["cam0"].worker_pid)
                    memory = worker.memory_info()
                    own_kib.append((memory.rss - memory.shared) / 1024)
                if turn == WARM_UP:
                    files, threads, began_s = worker.num_fds(), worker.num_threads(), time.time()
                server.kick()
            _await_pictures(bell, rings, WARM_UP + times)
            slope = statistics.linear_regression(range(len(own_kib)), own_kib).slope
            return {
                "own_before_mib": round(own_kib[0] / 1024, 1),
                "own_after_mib": round(own_kib[-1] / 1024, 1),
                "growth_kib": round(slope / cameras, 2),
                "more_files": worker.num_fds() - files,
                "more_threads": worker.num_threads() - threads,
                "seconds_each": round((time.time() - began_s) / times, 2),
            }
    finally:
        for ring in rings:
            ring.close()
            ring.unlink()


def _await_pictures(bell: Doorbell, rings: Sequence[FrameRing], turn: int) -> None:
    """Wait until every camera has given a picture of its connection number `turn`."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not all(ring.counters.reconnects >= turn and _is_new(ring, turn) for ring in rings):
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"no picture after {turn} reconnects")
        wait([bell], 1.0)


def _is_new(ring: FrameRing, turn: int) -> bool:
    stored = ring.read(ring.written - 1)
    return stored is not None and stored.header.generation > turn


def _ignore(_: StateChange) -> None:
    """Its ring says all that is asked here."""


if __name__ == "__main__":
    sys.exit(main())
