"""What deciding again costs: a week of 8 cameras, and eight hours of 100.

    python -m benchmarks.deciding [--keep FOLDER]

Traces are made up: rows at 5 a second, something moving in a third of them, an event every 20 s
on average whose peak is that of a usual camera, one in ten thousand rows not scored; each night
one of the cameras sees another scene (`strange`) with higher scores, so that its drift watch has
something to do. Reading is from the page cache. `tune` runs as its users run it, in a process of
its own, whose highest memory is reported.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.report import report
from detectors.calibration import Calibration
from detectors.fitting import NormalityFitter
from detectors.normality import Normality
from streamer.config_judge import JudgeConfig
from streamer.deciding.redecide import Settings, redecide
from streamer.deciding.replayed import each_footage, open_replay
from streamer.trace.manifest import (
    CameraReplay,
    Manifest,
    SourceRecord,
    normal_path,
    trace_folder,
)
from streamer.trace.schema import PARTS, SCHEMA
from streamer.trace.write import ROWS_IN_GROUP
from tests.detectors import scene

_COMMAND = """
import re, sys, time, streamer.cli
status = streamer.cli.main()
memory = re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1]
print(round(time.process_time(), 2), memory, file=sys.stderr)
sys.exit(status)
"""
FPS = 5
START_S = 1_763_769_600.0
HOUR = 3600 * FPS
SECONDS_APART = 20.0


def learned() -> Normality:
    fitter = NormalityFitter(None, "gate")
    for window in scene.windows(scene.normal_life(30)):
        fitter.add(window)
    peaks = np.random.default_rng(1).exponential(1.5, round(4 * 3600 / SECONDS_APART))
    return replace(fitter.finish(), calibration=Calibration(peaks, 4 * 3600.0), _hash=[])


def scores(rng: np.random.Generator, n: int, night: bool) -> tuple[np.ndarray, np.ndarray]:
    moving = np.repeat(rng.random(n // 25 + 1) < 1 / 3, 25)[:n]
    value = np.where(moving, rng.random(n), 0.0)
    shape = np.concatenate([np.linspace(0.3, 1, 5), np.linspace(1, 0.4, 7)])
    for at in np.flatnonzero(rng.random(n - len(shape)) < 1 / (SECONDS_APART * FPS)):
        there = slice(at, at + len(shape))
        value[there] = np.maximum(value[there], rng.exponential(1.5) * shape)
    strange = np.zeros(n, np.bool_)
    if night:
        hour = np.arange(n) // HOUR % 24
        strange = (hour >= 18) | (hour < 6)
        value[strange] += 2.0 * (value[strange] > 1.0)
    value[rng.random(n) < 1e-4] = np.nan
    return value, strange


def write_trace(path: Path, rng: np.random.Generator, n: int, night: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        value, strange = scores(rng, n, night)
        for first in range(0, n, ROWS_IN_GROUP):
            own = value[first : first + ROWS_IN_GROUP]
            m, k = len(own), np.arange(first, min(n, first + ROWS_IN_GROUP))
            there = np.isfinite(own) & (own > 0)
            columns = {
                "frame": k * 3,
                "generation": np.zeros(m, np.int32),
                "t_s": k / FPS,
                "utc_s": np.round(START_S + k / FPS + rng.uniform(0, 0.002, m), 6),
                "score": own,
                "moving": own,
                "standing": np.where(np.isnan(own), np.nan, 0.0),
                "strange": strange[first : first + m],
                "changed": np.where(there, 0.01, 0).astype(np.float32),
            }
            arrays = {
                name: pa.array(values, SCHEMA.field(name).type, from_pandas=False)
                for name, values in columns.items()
            }
            for name in ("x", "y", "width", "height"):
                side = rng.uniform(0, 0.5, m).astype(np.float32)
                arrays[name] = pa.array(side, pa.float32(), mask=~there)
            nearest_s = rng.uniform(0, 3600, m).astype(np.float32)
            arrays["nearest_s"] = pa.array(nearest_s, pa.float32(), mask=~there)
            for name in PARTS:
                share = np.where(there & (name == "speed"), 1.0, 0.0).astype(np.float32)
                arrays[name] = pa.array(share, pa.float32())
            gates = np.where(np.isnan(own), 0, np.where(own > 0, 1, 2)).astype(np.int32)
            arrays["gate"] = pa.DictionaryArray.from_arrays(gates, ["torn", "scored", "still"])
            texts = np.where(there, 1, 0).astype(np.int32)
            arrays["text"] = pa.DictionaryArray.from_arrays(texts, ["", "faster than usual here"])
            arrays["conditions"] = pa.DictionaryArray.from_arrays(np.zeros(m, np.int32), [""])
            table = pa.Table.from_arrays([arrays[name] for name in SCHEMA.names], schema=SCHEMA)
            writer.write_table(table, row_group_size=ROWS_IN_GROUP)


def make(folder: Path, cameras: int, hours: int) -> Path:
    if (folder / "replay.json").exists():
        return folder
    normality = learned()
    facts = {}
    n = hours * HOUR
    for number in range(cameras):
        name = f"cam{number:03}"
        normal_path(folder, name).parent.mkdir(parents=True, exist_ok=True)
        normal_path(folder, name).write_bytes(normality.to_bytes())
        rng = np.random.default_rng(number)
        write_trace(trace_folder(folder, name) / "0000.parquet", rng, n, night=number == 0)
        facts[name] = CameraReplay(
            normal_sha256=normality.sha256,
            model_sha256=None,
            config_sha256="c" * 64,
            provider=None,
            fps=FPS,
            alerts_per_day=1.0,
            judge=JudgeConfig(),
            sources=(
                SourceRecord(
                    file="0000.parquet", source=f"{name}.mp4", start_utc_s=START_S,
                    end_utc_s=START_S + (n - 1) / FPS, frames_read=3 * n, frames_scored=n,
                    complete=True, problem=None, identity="a" * 64,
                ),
            ),
        )  # fmt: skip
    Manifest(cameras=facts).save(folder)
    return folder


def label(folder: Path) -> Path:
    """An event every two hours, each beginning a second before something unusual."""
    lines = []
    for camera, source in open_replay(folder).sources():
        footage = source.footage()
        for row in range(HOUR, len(footage), 2 * HOUR):
            top = row + int(np.argmax(footage.score[row : row + HOUR]))
            at_s = float(footage.utc_s[top])
            lines.append(json.dumps({"camera": camera.name, "start": at_s - 1, "end": at_s + 5}))
    path = folder.with_name(f"{folder.name}.jsonl")
    path.write_text("\n".join(lines) + "\n")
    return path


def decide(folder: Path, alerts_per_day: float) -> None:
    """Read and decide everything once, in this process."""
    replay = open_replay(folder)
    rows = messages = 0
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    for camera, source, footage in each_footage(replay.sources()):
        found = redecide(footage, camera.calibration, Settings(alerts_per_day), facts=source.facts)
        rows, messages = rows + len(footage), messages + len(found)
    report(
        "deciding", set=folder.name, alerts_per_day=alerts_per_day, rows=rows, messages=messages,
        wall_s=round(time.perf_counter() - began_s, 2),
        cpu_s=round(time.process_time() - began_cpu_s, 2),
    )  # fmt: skip


def tune(folder: Path, *options: str) -> None:
    """`sorawatch tune` in a process of its own."""
    command = [sys.executable, "-c", _COMMAND]
    command += ["tune", str(folder), "--alerts-per-day", "2", "--json", *options]
    began_s = time.perf_counter()
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    cpu_s, memory_kb = done.stderr.split()[-2:]
    found = json.loads(done.stdout)
    report(
        "tune", set=folder.name, labels=bool(options),
        alerts=sum(len(camera["alerts"]) for camera in found["cameras"]),
        wall_s=round(time.perf_counter() - began_s, 2),
        cpu_s=float(cpu_s), memory_mb=int(memory_kb) // 1024,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="Keep the traces there, and use those there.")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as temporary:
        for cameras, hours, name in ((8, 7 * 24, "8-cameras-week"), (100, 8, "100-cameras-8h")):
            folder = make(Path(keep or temporary) / name, cameras, hours)
            decide(folder, 2.0)
            tune(folder)
            tune(folder, "--labels", str(label(folder)))


if __name__ == "__main__":
    main()
