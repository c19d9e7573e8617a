"""The encoder on an NVIDIA GPU: whether it agrees with the CPU, windows a second, latency.

    python -m benchmarks.gpu [--checkpoint runs/sora/checkpoint.pt] [--batches 1 4 16 64 256]
        [--clips FILE_OR_FOLDER ...]

Needs the extras `cuda` and `train`, and a torch that sees the GPU. Without a checkpoint the weights
are the shipped file's for agreement, and random ones for speed. JSON lines:

- `gpu, agreement`: largest difference of each output between CUDA and the CPU, as a share of the
  output's largest value, in float32 and (of the checkpoint or the random weights) in float16.
- `gpu, scores`: the program's scores of the last of the clips, normality learned from the others,
  with the encoder on CUDA and on the CPU: largest difference.
- `gpu, speed`: wall time of one call, p50 and p99 in ms, and windows/s. `whole`: eight new frames;
  `one frame on`: one new frame and the features of seven, as a live camera asks. What is timed
  includes the way of the frames to the GPU and of the results back. `program` is the program's own
  way (`EncoderSession`), the others the bare runtime and the bare network; torch.compile one frame
  on only, and at a few batches.
- `gpu, refusal`: what is said when `device: cuda` is asked for and its provider cannot be loaded.
"""

import argparse
import copy
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.encoder import SIZES, windows
from benchmarks.planted import pictures
from benchmarks.planted import windows as clip_windows
from benchmarks.report import report
from detectors.detector import Detector
from detectors.encoder.contract import INPUTS, OUTPUTS
from detectors.encoder.export import export_onnx, halved
from detectors.encoder.model import EncoderConfig, SoraEncoder
from detectors.encoder.providers import Device, open_session
from detectors.encoder.session import EncoderSession
from detectors.encoder.train import load_checkpoint
from detectors.encoder.train_config import TrainConfig
from detectors.fitting import NormalityFitter

FRAMES = 8
SECONDS, FEWEST = 0.6, 20  # of each measurement: time, calls
COMPILED = (1, 16, 64)  # batches at which torch.compile is worth its half minute a shape


def time_ms(work: Callable[[], object], batch: int) -> dict[str, float]:
    """Wall time of a call that ends when its results are on the CPU, and windows a second."""
    for _ in range(5):
        work()
    taken: list[float] = []
    while sum(taken) < SECONDS or len(taken) < FEWEST:
        start = time.perf_counter()
        work()
        taken.append(time.perf_counter() - start)
    p50, p99 = np.percentile(taken, (50, 99)) * 1e3
    return {
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "windows_per_s": round(batch / float(np.mean(taken)), 1),
    }


def agreement(path: str | None, like: str | None, precision: str) -> None:
    """CUDA with the file `path` against the CPU with `like`, on windows of several sizes."""
    gpu, cpu = EncoderSession(path, "cuda"), EncoderSession(like, "cpu")
    for size in SIZES:
        x = windows(20, FRAMES, size)
        ours, theirs = gpu.run(x), cpu.run(x)
        again, part = gpu.run(x), gpu.run(x[:3])
        report(
            "gpu, agreement",
            weights=gpu.contract.name,
            precision=precision,
            size=size,
            difference={
                name: float(np.abs(getattr(ours, name) - getattr(theirs, name)).max())
                / float(np.abs(getattr(theirs, name)).max())
                for name in OUTPUTS
            },
            same_again=all(
                np.array_equal(getattr(ours, name), getattr(again, name)) for name in OUTPUTS
            ),
            same_in_a_smaller_batch=all(
                np.array_equal(getattr(ours, name)[:3], getattr(part, name)) for name in OUTPUTS
            ),
        )


def scores(clips: list[Path]) -> None:
    """Learn from all clips but the last and score that, on CUDA and on the CPU."""
    *fit, scored = (pictures(path) for path in clips)
    found: dict[str, np.ndarray] = {}
    taken_s: dict[str, float] = {}
    devices: tuple[Device, ...] = ("cpu", "cuda")
    for device in devices:
        encoder = EncoderSession(None, device)
        started = time.perf_counter()
        fitter = NormalityFitter(encoder)
        with Detector(encoder) as detector:
            detector.add("camera", None, fitter)
            for generation, clip in enumerate(fit):
                for _, window in clip_windows(clip, generation):
                    detector.step([("camera", window)])
        normality = fitter.finish()
        with Detector(encoder) as detector:
            detector.add("camera", normality)
            seen = [detector.step([("camera", w)])[0] for _, w in clip_windows(scored, 0)]
        found[device] = np.array([score.value for score in seen if score is not None])
        taken_s[device] = round(time.perf_counter() - started, 1)
    report(
        "gpu, scores",
        frames=len(found["cpu"]),
        largest_difference=float(np.abs(found["cpu"] - found["cuda"]).max()),
        largest_score=float(found["cpu"].max()),
        taken_s=taken_s,
    )


def speed(model: SoraEncoder, files: dict[str, Path], batches: list[int]) -> None:
    """Every way of running it at every batch, one after the other."""
    for batch in batches:
        x = windows(batch, FRAMES, SIZES[0])
        past = EncoderSession(files["float32"], "cuda").run(x[:, :-1]).features
        nothing = np.empty((batch, 0, *past.shape[2:]), np.float32)
        asked = {"whole": (x, nothing), "one frame on": (x[:, -1:].copy(), past)}
        for what, (new, before) in asked.items():
            for way, work in ways(model, files, new, before).items():
                report("gpu, speed", window=what, batch=batch, way=way, **time_ms(work, batch))


def ways(
    model: SoraEncoder, files: dict[str, Path], new: np.ndarray, past: np.ndarray
) -> dict[str, Callable[[], object]]:
    """The ways of encoding these frames, by name."""
    found: dict[str, Callable[[], object]] = {}
    feed = dict(zip(INPUTS, (new, past), strict=True))
    for precision, path in files.items():
        program = EncoderSession(path, "cuda")
        found[f"program, {precision}"] = partial(program.run, new, past)
        bare = open_session(path.read_bytes(), "cuda", None)[0]
        found[f"ONNX Runtime, {precision}"] = partial(bare.run, OUTPUTS, feed)
        network = copy.deepcopy(model).cuda().eval()
        if precision == "float16":
            network = halved(network)
        found[f"torch eager, {precision}"] = torch_call(on(network), new, past)
        if len(new) in COMPILED and new.shape[1] == 1:
            compiled = torch.compile(on(network), dynamic=False)
            found[f"torch.compile, {precision}"] = torch_call(compiled, new, past)
    return found


def on(network: SoraEncoder) -> Callable[[Any, Any], Any]:
    """The network as it is asked in the program: new frames and the features of those before."""

    def encode(x: torch.Tensor, past: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features = network.features(x)
        return (*network.encode(torch.cat([past, features], 1)), features)

    return encode


def torch_call(network: Callable[[Any, Any], Any], new: np.ndarray, past: np.ndarray) -> Any:
    """A call of it with arrays, results on the CPU."""

    def call() -> list[np.ndarray]:
        with torch.inference_mode():
            outputs = network(torch.from_numpy(new).cuda(), torch.from_numpy(past).cuda())
            return [output.cpu().numpy() for output in outputs]

    return call


def refusal() -> None:
    """Ask for CUDA where no device is to be seen; the program must say so and not fall back."""
    asked = "from detectors.encoder.session import EncoderSession; EncoderSession(None, 'cuda')"
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    said = (done.stderr.strip().splitlines() or [""])[-1]
    report("gpu, refusal", refused="DeviceError" in said, said=said)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 4, 16, 64, 256])
    parser.add_argument("--clips", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cudnn.allow_tf32 = False  # as in the program
    model = SoraEncoder()
    if options.checkpoint is not None:
        state = load_checkpoint(options.checkpoint)
        config = TrainConfig.model_validate_json(state["config"]).model
        model = SoraEncoder(EncoderConfig(**config.model_dump()))
        model.load_state_dict(state["model"])
    report("gpu", gpu=torch.cuda.get_device_name(), torch=torch.__version__)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.onnx" for name in ("float32", "float16")}
        for name, path in files.items():
            export_onnx(model, path, "benchmark", half=name == "float16")
        agreement(None, None, "float32")
        agreement(str(files["float16"]), str(files["float32"]), "float16")
        refusal()
        if len(options.clips) > 1:
            scores(options.clips)
        speed(model.eval(), files, options.batches)


if __name__ == "__main__":
    main()
