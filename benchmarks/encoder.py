"""What one window costs in the encoder, on one CPU thread.

    python -m benchmarks.encoder [--encoder FILE] [--compare]

Prints a JSON line for each picture size, batch and step; `per_window_us` is what counts. With torch
installed, a last line compares, in turn in the same run: the encoder, the same network in torch,
and a masked auto-encoder of published size (`benchmarks/masked.py`) in torch and in ONNX Runtime.
`--compare` prints that line alone.
"""

import argparse
import contextlib
import io
import logging
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.report import report, time_us
from detectors.encoder.contract import CHANNELS
from detectors.encoder.features import MotionRun
from detectors.encoder.providers import open_session
from detectors.encoder.session import EncoderSession
from detectors.motion import Motion

SIZES = ((120, 180), (101, 180), (180, 135))
SAMPLES = 60
ROUNDS = 7  # of the comparison: each measures everything, so that all see the same neighbours


def windows(batch: int, frames: int, size: tuple[int, int]) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(batch, frames, len(CHANNELS), *size)) * 0.3
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
        picture = rng.integers(0, 255, (360, 640, 3), dtype=np.uint8)
        run.add(rng.integers(0, 255, (h, w), dtype=np.uint8), motion, picture)
    report("encoder, preparing a window", size=(h, w), **time_us(run.window, calls=2))


def compare(session: EncoderSession) -> None:
    """Milliseconds a frame, median of rounds; nothing where torch is not installed."""
    try:
        import torch

        from benchmarks.masked import SIZE, masked_autoencoder
        from detectors.encoder.model import SoraEncoder
    except ImportError:
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    masked, model = masked_autoencoder(), SoraEncoder().eval()
    picture = torch.rand(1, 9, *SIZE)
    exported = _in_runtime(masked, picture)
    x, low = windows(1, 8, SIZES[0]), windows(1, 8, SIZES[1])
    past, low_past = (session.run(own[:, :-1]).features for own in (x, low))
    three_past = session.run(x[:, :-3]).features
    whole = torch.from_numpy(x)

    def on_by_one() -> None:
        model.encode(torch.cat([torch.from_numpy(past), model.features(whole[:, -1:])], 1))

    works: dict[str, tuple[Callable[[], object], int]] = {
        "one_frame_on_180x120": (lambda: session.run(x[:, -1:], past), 1),
        "one_frame_on_180x101": (lambda: session.run(low[:, -1:], low_past), 1),
        "every_third_frame_180x120": (lambda: session.run(x[:, -3:], three_past), 3),
        "whole_window_180x120": (lambda: session.run(x), 1),
        "torch_one_frame_on_180x120": (on_by_one, 1),
        "torch_whole_window_180x120": (lambda: model(whole), 1),
        "masked_320x160": (lambda: exported.run(None, {"x": picture.numpy()}), 1),
        "torch_masked_320x160": (lambda: masked(picture), 1),
    }
    taken: dict[str, list[float]] = {name: [] for name in works}
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for name, (work, frames) in works.items():
                figures = time_us(work, samples=15, calls=1, warm_up=3)
                taken[name].append(figures["p50_us"] / 1e3 / frames)
    ours = taken["one_frame_on_180x120"]

    def times_ours(name: str) -> float:
        return round(statistics.median(a / b for a, b in zip(taken[name], ours, strict=True)), 2)

    report(
        "encoder, compared",
        provider=session.provider,
        ms_per_frame={name: round(statistics.median(own), 2) for name, own in taken.items()},
        times_one_frame_on_180x120={name: times_ours(name) for name in works},
        parameters={
            "encoder": sum(p.numel() for p in model.parameters()),
            "masked": sum(p.numel() for p in masked.parameters()),
        },
        torch=torch.__version__,
    )


def _in_runtime(model: Any, x: Any) -> Any:
    """The network as it is, in ONNX Runtime on one CPU thread."""
    import torch

    logging.disable(logging.WARNING)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(model, (x,), input_names=["x"], dynamo=True, verbose=False)
    logging.disable(logging.NOTSET)
    assert program is not None
    return open_session(program.model_proto.SerializeToString(), "cpu", 1)[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--encoder", help="an ONNX file; the one that ships when not given")
    parser.add_argument("--compare", action="store_true", help="the comparison alone")
    options = parser.parse_args()
    session = EncoderSession(options.encoder, "cpu", 1)
    if not options.compare:
        benchmark_run(session)
        benchmark_features()
    compare(session)


if __name__ == "__main__":
    main()
