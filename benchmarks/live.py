"""How many live RTSP cameras two cores can watch, and what each of them costs.

`python -m benchmarks.live --cameras 8 24 40 --scene busy` starts a real RTSP server
(gst-rtsp-server, see CONTRIBUTING.md), fits on footage of the same place, runs the program as a
user would, and reports for each number of cameras: frames a second of the slowest one, frames
dropped, age of a frame when it is scored (p50, p99), time from the first unusual frame to the alert
at a subscriber (p50, p99; cars drive across the busy scene, and every camera sees them at once),
CPU of the program and of the server, memory. `--share-still 0.8` makes so many of the cameras
still ones.

One JSON line a result. `decode_ms` and `decode_still_ms` are what OpenCV's decoder alone takes for
a second of the same footage, read from a file in the same run; ratios to it are what to compare
across machines.
"""

import argparse
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import yaml

from alerts.subscriber import Subscriber
from benchmarks.footage import footage
from benchmarks.report import report
from tests.rtsp_server import RtspServer

WARM_UP_S = 25.0
CARS_S = (12.0, 32.0, 50.0)


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


METRICS = _free_address()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure each number of cameras; 1 when a camera lost frames at one of them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cameras", type=int, nargs="+", default=[1, 8, 24, 40])
    parser.add_argument("--scene", choices=["still", "quiet", "normal", "busy"], default="busy")
    parser.add_argument("--share-still", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--encoder", default="builtin")
    parser.add_argument("--alerts-per-day", type=float, default=24.0)
    parser.add_argument("--workers", type=int)
    options = parser.parse_args(arguments)
    lost = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        normal = fit(options.scene, folder, options.encoder)
        decode_ms = decoding_ms(footage(options.scene))
        decode_still_ms = decoding_ms(footage("still"))
        for cameras in options.cameras:
            figures = measure(cameras, options, normal, folder)
            lost += int(figures["frames_dropped"] or 0)
            report(
                "live",
                scene=options.scene,
                share_still=options.share_still,
                cameras=cameras,
                decode_ms=decode_ms,
                decode_still_ms=decode_still_ms,
                **figures,
            )
    return 1 if lost else 0


def fit(scene: str, folder: Path, encoder: str = "builtin") -> Path:
    """A normality file of the place, learned from other footage than what will be watched."""
    normal = folder / "plaza.normal"
    source = str(footage(scene, seconds=120.0, take=1))
    _sorawatch("fit", source, "--out", str(normal), "--encoder", encoder)
    return normal


def configuration(
    sources: Sequence[str],
    normal: Path,
    folder: Path,
    *,
    encoder: str = "builtin",
    alerts_per_day: float = 24.0,
    workers: int | None = None,
) -> dict[str, Any]:
    """What a user would write to watch these sources."""
    return {
        "cameras": {
            f"cam{i}": {
                "source": source,
                "normal": str(normal),
                "alerts_per_day": alerts_per_day,
            }
            for i, source in enumerate(sources)
        },
        "detect": {"encoder": encoder},
        "capture": {"workers": workers},
        "alerts": {
            "publish": f"ipc://{folder}/publish",
            "catch_up": f"ipc://{folder}/catch-up",
            "outbox": str(folder / f"{len(sources)}.db"),
        },
        "metrics": {"listen": METRICS},
        "log": {"level": "warning"},
    }


def decoding_ms(path: Path) -> float:
    """CPU ms for one second of footage: OpenCV decoding a file in one thread, nothing else."""
    code = (
        "import sys, time, cv2; c = cv2.VideoCapture(sys.argv[1], cv2.CAP_FFMPEG, "
        "[cv2.CAP_PROP_N_THREADS, 1]); s = time.process_time(); n = 0\n"
        "while c.grab(): n += 1\n"
        "print((time.process_time() - s) / n * 15 * 1e3)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True
    )
    return round(float(done.stdout), 2)


def measure(
    cameras: int, options: argparse.Namespace, normal: Path, folder: Path
) -> dict[str, float]:
    """Run the program on so many cameras for a while; what it did and what it took."""
    with RtspServer() as server:
        still = round(cameras * options.share_still)
        server.serve("busy", footage(options.scene, cars=CARS_S), shared=True)
        server.serve("still", footage("still"), shared=True)
        sources = [server.url("still" if i < still else "busy") for i in range(cameras)]
        config = configuration(
            sources,
            normal,
            folder,
            encoder=options.encoder,
            alerts_per_day=options.alerts_per_day,
            workers=options.workers,
        )
        with running(config, folder) as program, Alerts(config["alerts"]) as alerts:
            until_online(cameras)
            time.sleep(WARM_UP_S)
            before, cpu_before, server_before = status(), cpu_s(program), server.cpu_s()
            scrape_before = _scrape()
            alerts.after_s.clear()
            start_s = time.monotonic()
            ages = []
            while time.monotonic() - start_s < options.seconds:
                time.sleep(1.0)
                ages += [c["frame_age_s"] for c in status()["cameras"]]
            took_s = time.monotonic() - start_s
            after, scrape = status(), _scrape()
            used_ms = (cpu_s(program) - cpu_before) / took_s * 1e3
            memory = memory_mb(program)
            return {
                "seconds": round(took_s),
                "fps_slowest": round(min(_deltas(before, after, "frames")) / took_s, 2),
                "analysed_fps_slowest": round(
                    min(_deltas(before, after, "frames_analysed")) / took_s, 2
                ),
                "frames_dropped": sum(_dropped(after)) - sum(_dropped(before)),
                "frames_overrun": sum(c["dropped"]["overrun"] for c in after["cameras"]),
                "reconnects": sum(_deltas(before, after, "reconnects")),
                "newest_frame_age_s_max": round(max(ages), 3),
                **_quantiles("scored_age", "sorawatch_scored_age_seconds", scrape_before, scrape),
                "alerts": len(alerts.after_s),
                "first_frame_to_alert_p50_s": _quantile(alerts.after_s, 50),
                "first_frame_to_alert_p99_s": _quantile(alerts.after_s, 99),
                "cpu_ms_per_s": round(used_ms),
                "cpu_ms_per_camera_s": round(used_ms / cameras, 2),
                "server_cpu_ms_per_s": round((server.cpu_s() - server_before) / took_s * 1e3),
                "memory_mb": round(memory),
                "memory_mb_per_camera": round(memory / cameras, 1),
            }


class Alerts:
    """Listens, as a user's program would, on a thread of its own while entered.

    `after_s`: for each alert, how long after its first unusual frame it arrived, seconds.
    """

    def __init__(self, alerts: dict[str, str]) -> None:
        self.after_s: list[float] = []
        self._addresses = alerts["publish"], alerts["catch_up"]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="listen")

    def __enter__(self) -> "Alerts":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _listen(self) -> None:
        with Subscriber(*self._addresses) as events:
            while not self._stop.is_set():
                event = events.next(timeout_s=0.5)
                if event is not None and event.kind == "anomaly" and event.type == "new":
                    self.after_s.append(time.time() - event.start_time)


def _quantile(values: list[float], share: int) -> float | None:
    ordered = sorted(values)
    return round(ordered[(len(ordered) - 1) * share // 100], 3) if ordered else None


def cpu_s(program: psutil.Process) -> float:
    """CPU of the program and all its children so far, seconds."""
    total = 0.0
    for process in [program, *program.children(recursive=True)]:
        times = process.cpu_times()
        total += times.user + times.system
    return total


def memory_mb(program: psutil.Process) -> float:
    """Proportional share of memory of the program and its children: shared pages count once."""
    processes = [program, *program.children(recursive=True)]
    return sum(process.memory_full_info().pss for process in processes) / 1e6


def _sorawatch(*arguments: str) -> None:
    command = [sys.executable, "-c", "from streamer.cli import main; raise SystemExit(main())"]
    subprocess.run([*command, *arguments], check=True, stdout=subprocess.DEVNULL)


@contextmanager
def running(config: dict[str, Any], folder: Path) -> Iterator[psutil.Process]:
    """The program, watching; ended afterwards."""
    path = folder / "cameras.yaml"
    path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-c", "from streamer.cli import main; raise SystemExit(main())"]
    with subprocess.Popen([*command, "run", str(path)]) as process:
        try:
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def status() -> dict:
    with urllib.request.urlopen(f"http://{METRICS}/status", timeout=5) as answer:
        return json.load(answer)


def until_online(cameras: int, patience_s: float = 60.0) -> None:
    end_s = time.monotonic() + patience_s
    while time.monotonic() < end_s:
        try:
            states = [c["state"] for c in status()["cameras"]]
        except OSError:
            states = []
        if states.count("online") == cameras:
            return
        time.sleep(0.5)
    raise SystemExit(f"only {states.count('online')} of {cameras} cameras came online")


def _scrape() -> dict[str, dict[float, float]]:
    """Every histogram's buckets: name -> upper bound -> count, over all labels."""
    with urllib.request.urlopen(f"http://{METRICS}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found: dict[str, dict[float, float]] = {}
    for line in text.splitlines():
        if "_bucket{" in line:
            name, rest = line.split("_bucket{", 1)
            bound = float(rest.split('le="')[1].split('"')[0].replace("+Inf", "inf"))
            buckets = found.setdefault(name, {})
            buckets[bound] = buckets.get(bound, 0.0) + float(line.rsplit(" ", 1)[1])
    return found


def _quantiles(name: str, metric: str, before: dict, after: dict) -> dict[str, float | None]:
    """p50 and p99, seconds: the upper bound of the bucket in which they lie."""
    then = before.get(metric, {})
    counts = {bound: n - then.get(bound, 0.0) for bound, n in sorted(after.get(metric, {}).items())}
    total = max(counts.values(), default=0.0)
    if not total:
        return {f"{name}_p50_s": None, f"{name}_p99_s": None}
    return {
        f"{name}_p{share}_s": next(b for b, n in counts.items() if n >= total * share / 100)
        for share in (50, 99)
    }


def _deltas(before: dict, after: dict, key: str) -> list[int]:
    then = {c["name"]: c[key] for c in before["cameras"]}
    return [c[key] - then[c["name"]] for c in after["cameras"]]


def _dropped(status: dict) -> list[int]:
    return [sum(c["dropped"].values()) for c in status["cameras"]]


if __name__ == "__main__":
    sys.exit(main())
