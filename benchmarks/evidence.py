"""What pictures and clips of events cost: CPU for each second of footage, memory for each camera.

`python -m benchmarks.evidence --cameras 4` measures three things, one JSON line each:

- `frame`: what a frame costs the process that makes clips, in its own thread: looking whether it
  shows anything new, and compressing it if so; and what encoding a clip costs.
- `process`: that process, looking into the rings of so many cameras at 5 frames a second.
- `program`: the whole program as a user runs it, on files of a busy place with cars that raise
  alerts, without evidence and with it, in turns.

`decode_ms` is what OpenCV's decoder alone takes for a second of the same footage in the same run:
compare ratios to it across machines.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from benchmarks.footage import footage
from benchmarks.live import (
    METRICS,
    configuration,
    cpu_s,
    decoding_ms,
    fit,
    memory_mb,
    running,
    until_online,
)
from benchmarks.report import report, time_us
from streamer.capture.frame import FrameHeader
from streamer.capture.reduce import analysis_shape, luma_for_analysis
from streamer.capture.ring import FrameRing
from streamer.evidence.clip import find_encoder, write_clip
from streamer.evidence.cutter import ClipSettings
from streamer.evidence.desk import Clips
from streamer.evidence.reel import Changes, Still, compress

FPS = 5.0
CARS_S = (12.0, 32.0, 50.0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; 1 when a clip was dropped or a picture missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cameras", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=2, help="of the program; 0: none")
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    busy, still = (
        pictures(footage(kind, cars=cars)) for kind, cars in (("busy", CARS_S), ("still", ()))
    )
    decode_ms = decoding_ms(footage("busy", cars=CARS_S))
    per_frame(busy, decode_ms)
    lost = sum(
        per_process(kind, shown, options.cameras, options.seconds, decode_ms)
        for kind, shown in (("busy", busy), ("still", still))
    )
    if options.rounds:
        lost += whole(options, decode_ms)
    return 1 if lost else 0


def pictures(path: Path, count: int = 150) -> list[np.ndarray]:
    """Frames of a film, five a second."""
    film, found = cv2.VideoCapture(str(path)), []
    step = round(film.get(cv2.CAP_PROP_FPS) / FPS)
    while len(found) < count and film.grab():
        if round(film.get(cv2.CAP_PROP_POS_FRAMES)) % step == 0:
            found.append(film.retrieve()[1])
    return found


def per_frame(shown: list[np.ndarray], decode_ms: float) -> None:
    """One frame, and a clip of 15 s."""
    luma = luma_for_analysis(shown[0])
    times = iter(np.arange(1e9))
    changes = Changes()
    look = time_us(lambda: changes.wanted(luma, float(next(times))), samples=200)
    encode = time_us(lambda: compress(shown[0]), samples=200, calls=2)
    jpegs = [compress(one) or b"" for one in shown[:75]]
    stills = [Still(n / FPS, n / FPS, jpeg) for n, jpeg in enumerate(jpegs)]
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.process_time()
        size = write_clip(Path(folder) / "clip.mp4", stills, "e", find_encoder())
        clip_ms = (time.process_time() - began_s) * 1e3 / (len(stills) / FPS)
    report(
        "evidence.frame",
        look_us=look,
        jpeg_us=encode,
        jpeg_kb=round(sum(map(len, jpegs)) / len(jpegs) / 1e3, 1),
        busy_ms_per_s=round((look["p50_us"] + encode["p50_us"]) * FPS / 1e3, 2),
        clip_ms_per_s_of_clip=round(clip_ms, 1),
        clip_kb_per_s=round(size / 1e3 / (len(stills) / FPS), 1),
        decode_ms=decode_ms,
    )


def per_process(
    kind: str, shown: list[np.ndarray], cameras: int, seconds: float, decode_ms: float
) -> int:
    """The process that looks into rings which are written in time; pictures that it missed."""
    with tempfile.TemporaryDirectory() as folder:
        rings = [FrameRing.create() for _ in range(cameras)]
        try:
            with Clips(ClipSettings(Path(folder)), lambda _draft: None) as clips:
                for number, ring in enumerate(rings):
                    clips.add(f"cam{number}", ring.name, FPS)
                while not clips.status.buffer_bytes:
                    put(rings, shown, time.monotonic())
                    time.sleep(1 / FPS)
                process = psutil.Process(clips.pid)
                before, began_s, frames = cpu_s(process), time.monotonic(), 0
                while (now_s := time.monotonic()) - began_s < seconds:
                    put(rings, shown, now_s)
                    frames += 1
                    time.sleep(max(0.0, began_s + frames / FPS - time.monotonic()))
                took_s = time.monotonic() - began_s
                used_ms = (cpu_s(process) - before) * 1e3 / took_s
                time.sleep(1.5)  # until it has told how much it holds
                status, memory = clips.status, process.memory_full_info().pss / 1e6
        finally:
            for ring in rings:
                ring.__exit__()
    report(
        "evidence.process",
        scene=kind,
        cameras=cameras,
        cpu_ms_per_camera_s=round(used_ms / cameras, 2),
        ratio_to_decoding=round(used_ms / cameras / decode_ms, 3),
        decode_ms=decode_ms,
        buffer_mb_per_camera=round(sum(status.buffer_bytes.values()) / cameras / 1e6, 2),
        process_mb=round(memory),
        pictures_missed=status.missed,
    )
    return status.missed


def put(rings: Sequence[FrameRing], shown: list[np.ndarray], now_s: float) -> None:
    """The next picture into every ring."""
    t_ns, utc_ns = round(now_s * 1e9), round(time.time() * 1e9)
    for ring in rings:
        picture = shown[ring.written % len(shown)]
        views = ring.begin(analysis_shape(*picture.shape[:2]), picture.shape[:2])
        views.picture[...] = picture
        luma_for_analysis(views.picture, out=views.luma)
        ring.commit(FrameHeader(1, t_ns, t_ns, utc_ns))


def whole(options: argparse.Namespace, decode_ms: float) -> int:
    """The program without and with evidence, in turns; clips that it dropped."""
    runs: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        normal = fit("busy", folder)
        sources = [str(footage("busy", cars=CARS_S))] * options.cameras
        for _ in range(options.rounds):  # in turns: other jobs come and go
            for wanted in (False, True):
                config = configuration(sources, normal, folder)
                if wanted:
                    config["alerts"]["evidence"] = {"folder": str(folder / "e"), "keep_free": 0}
                runs[wanted].append(run(config, folder, options))
    used = {
        wanted: statistics.median(one["cpu_ms_per_camera_s"] for one in made)
        for wanted, made in runs.items()
    }
    evidence = [one["evidence"] for one in runs[True]]
    report(
        "evidence.program",
        cameras=options.cameras,
        without_ms_per_camera_s=[one["cpu_ms_per_camera_s"] for one in runs[False]],
        with_ms_per_camera_s=[one["cpu_ms_per_camera_s"] for one in runs[True]],
        ratio=round(used[True] / used[False], 3),
        decode_ms=decode_ms,
        memory_mb_without=[one["memory_mb"] for one in runs[False]],
        memory_mb_with=[one["memory_mb"] for one in runs[True]],
        frames_overrun=[one["overrun"] for one in [*runs[False], *runs[True]]],
        clips=[one["clips_written"] for one in evidence],
        dropped=[one["clips_dropped"] for one in evidence],
        pictures_missed=[one["pictures_missed"] for one in evidence],
    )
    return sum(sum(one["clips_dropped"].values()) for one in evidence)


def run(config: dict[str, Any], folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The program on these cameras for a while."""
    with running(config, folder) as program:
        until_online(options.cameras)
        time.sleep(5.0)
        before, cpu_before = told(), cpu_s(program)
        time.sleep(options.seconds)
        used_ms, after = (cpu_s(program) - cpu_before) * 1e3, told()
        # Of footage that was analysed: where frames are lost, less is done.
        footage_s = (scored(after) - scored(before)) / FPS
        return {
            "cpu_ms_per_camera_s": round(used_ms / footage_s, 1),
            "memory_mb": round(memory_mb(program)),
            "overrun": sum(one["dropped"]["overrun"] for one in after["cameras"]),
            "evidence": after["evidence"],
        }


def told() -> dict[str, Any]:
    """The program's status."""
    with urllib.request.urlopen(f"http://{METRICS}/status", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def scored(status: dict[str, Any]) -> int:
    """Frames that were analysed and not lost, of all cameras."""
    return sum(one["frames_analysed"] - one["dropped"]["overrun"] for one in status["cameras"])


if __name__ == "__main__":
    sys.exit(main())
