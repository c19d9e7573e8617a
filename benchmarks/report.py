"""How benchmarks time and report: one JSON line for each result, with the machine it comes from."""

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from importlib import metadata
from pathlib import Path

PACKAGES = ("numpy", "opencv-python-headless", "onnxruntime-gpu", "onnxruntime", "pyzmq")


def time_us(
    work: Callable[[], object], samples: int = 500, calls: int = 10, warm_up: int = 10
) -> dict[str, float]:
    """CPU microseconds that one call takes in this thread: p50 and p99 of `samples`.

    A sample is the mean of `calls` calls, for reading the clock takes half a microsecond itself.
    CPU time, kernel's included, so that a neighbour on the machine costs little.
    """
    taken_ns = []
    clock = time.thread_time_ns
    for _ in range(warm_up + samples):
        start = clock()
        for _ in range(calls):
            work()
        taken_ns.append((clock() - start) / calls)
    cuts = statistics.quantiles(taken_ns[warm_up:], n=100)
    return {"p50_us": round(cuts[49] / 1e3, 2), "p99_us": round(cuts[98] / 1e3, 2)}


def report(benchmark: str, **figures: object) -> None:
    """Print one result as one JSON line."""
    print(json.dumps({"benchmark": benchmark, **figures, **machine()}), flush=True)


@lru_cache(maxsize=1)
def machine() -> dict[str, object]:
    """Processor, cores, and the versions that matter to a figure."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
        "commit": _commit(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit, with "+" when the tree differs from it; None outside a checkout."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
