"""What capture costs beside the decoder: reading, choosing, reducing, checking, storing.

`python -m benchmarks.capture` reads rendered H.264 footage at 360p, 720p and 1080p with the capture
thread that the program uses (5 frames a second analysed, of 15) and with
`ffmpeg -threads 1 -f null`, in turn, several times, and reports CPU ms per source frame (median)
and their ratio. ffmpeg's start and end, measured on a single frame, are taken out of its figure.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.footage import SIZES, footage
from benchmarks.report import report

SECONDS = 60.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure every size; 2 without ffmpeg."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--size", nargs="+", choices=list(SIZES), default=list(SIZES))
    parser.add_argument("--scene", default="normal")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child is not None:
        return _capture(options.child)
    if shutil.which("ffmpeg") is None:
        print("benchmarks.capture: no ffmpeg to compare with; install it", file=sys.stderr)
        return 2
    for size in options.size:
        path = footage(options.scene, size, SECONDS)
        pairs = [(_ours_ms(path), _ffmpeg_ms(path)) for _ in range(options.runs + 1)][1:]
        report(
            "capture",
            size=size,
            scene=options.scene,
            capture_ms_per_frame=round(statistics.median(ours for ours, _ in pairs), 3),
            ffmpeg_ms_per_frame=round(statistics.median(theirs for _, theirs in pairs), 3),
            ratio=round(statistics.median(ours / theirs for ours, theirs in pairs), 3),
            runs=options.runs,
        )
    return 0


def _ours_ms(path: Path) -> float:
    command = [sys.executable, "-m", "benchmarks.capture", "--child", str(path)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def _capture(path: Path) -> int:
    """Capture a file as fast as it goes; print CPU ms per source frame of the whole process."""
    from streamer.capture.camera import CameraCapture
    from streamer.capture.opencv import cv2
    from streamer.capture.ring import FrameRing
    from streamer.capture.settings import CaptureSettings
    from streamer.capture.source import Source
    from streamer.capture.windows import WindowCutter

    cv2.setNumThreads(1)  # as the worker processes do
    with FrameRing.create(32) as ring:
        capture = CameraCapture(
            "bench",
            Source.parse(str(path)),
            ring,
            settings=CaptureSettings(mode="wait", once=True),
            on_state=lambda _change: None,
            on_frame=lambda: None,
        )
        cutter = WindowCutter(ring)
        start_s = time.process_time()
        thread = threading.Thread(target=capture.run, name="capture")
        thread.start()
        while thread.is_alive():
            while cutter.next() is not None:
                continue
            thread.join(0.05)
        used_s = time.process_time() - start_s
        print(used_s / ring.counters.frames_read * 1e3)
    return 0


def _ffmpeg_ms(path: Path) -> float:
    frames = _ffmpeg_s(path) - _ffmpeg_s(path, "-frames:v", "1")
    return frames / (SECONDS * 15 - 1) * 1e3


def _ffmpeg_s(path: Path, *options: str) -> float:
    """CPU seconds of one run, as the kernel counts them."""
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-i", str(path), *options,
               "-f", "null", "-"]  # fmt: skip
    before = os.times()
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    after = os.times()
    used = after.children_user + after.children_system
    return used - before.children_user - before.children_system


if __name__ == "__main__":
    sys.exit(main())
