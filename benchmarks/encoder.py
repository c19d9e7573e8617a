"""What one window costs in the encoder, on one CPU thread.

    python -m benchmarks.encoder [--encoder FILE]

Prints a JSON line for each picture size, batch and step; `per_window_us` is what counts. With torch
installed, the same network in torch runs beside it, its weights at random.
"""

import argparse
from collections.abc import Callable

import numpy as np

from benchmarks.report import report, time_us
from detectors.encoder.features import MotionRun
from detectors.encoder.session import EncoderSession
from detectors.motion import Motion

SIZES = ((120, 180), (101, 180), (180, 135))
SAMPLES = 60


def windows(batch: int, frames: int, size: tuple[int, int]) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(batch, frames, 4, *size)) * 0.3
    return x.astype(np.float32)


def benchmark_run(session: EncoderSession) -> None:
    for size in SIZES:
        for batch in (1, 8):
            x = windows(batch, session.contract.frames, size)
            past = session.run(x[:, :-1]).features
            parts = {"whole": (x, None), "one frame on": (x[:, -1:], past)}
            for what, (new, before) in parts.items():
                taken = time_us(
                    lambda new=new, before=before: session.run(new, before),
                    samples=SAMPLES,
                    calls=1,
                    warm_up=5,
                )
                report(
                    "encoder, ONNX Runtime",
                    window=what,
                    size=size,
                    batch=batch,
                    provider=session.provider,
                    per_window_us=round(taken["p50_us"] / batch, 1),
                    **taken,
                )


def benchmark_features() -> None:
    """From luma and motion of eight frames to X, a third of the picture moving."""
    h, w = SIZES[0]
    rng = np.random.default_rng(1)
    moving = np.zeros((h, w), np.bool_)
    moving[: h // 3] = True
    flow = (rng.normal(size=(h, w, 2)) * moving[:, :, None]).astype(np.float32)
    motion = Motion(0.3, flow, moving, rng.integers(0, 255, (h, w), dtype=np.uint8))
    run = MotionRun(8)
    for _ in range(8):
        run.add(rng.integers(0, 255, (h, w), dtype=np.uint8), motion)
    report("encoder, preparing a window", size=(h, w), **time_us(run.window, calls=2))


def benchmark_torch() -> None:
    """The same network in torch, eager, on one thread; nothing where torch is not installed."""
    try:
        import torch

        from detectors.encoder.model import SoraEncoder
    except ImportError:
        return
    torch.set_num_threads(1)
    model = SoraEncoder().eval()
    x = torch.from_numpy(windows(1, 8, SIZES[0]))

    def run() -> None:
        with torch.inference_mode():
            model(x)

    work: Callable[[], object] = run
    parameters = sum(p.numel() for p in model.parameters())
    taken = time_us(work, samples=SAMPLES, calls=1, warm_up=5)
    report("encoder, torch", size=SIZES[0], batch=1, parameters=parameters, **taken)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", help="an ONNX file; the one that ships when not given")
    options = parser.parse_args()
    benchmark_run(EncoderSession(options.encoder, "cpu", 1))
    benchmark_features()
    benchmark_torch()


if __name__ == "__main__":
    main()
