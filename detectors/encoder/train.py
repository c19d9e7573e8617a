"""Training the encoder: seeded, resumable, with its metrics in a CSV file."""

import copy
import csv
import json
import logging
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from detectors.encoder.contract import CHANNELS, LUMA, Contract
from detectors.encoder.data import FUTURE_PLANES, Batches
from detectors.encoder.export import export_onnx
from detectors.encoder.footage import Run, find_footage, load_runs
from detectors.encoder.loading import SHARED, Tensors, batches_ahead, tensors, workers_that_fit
from detectors.encoder.model import EncoderConfig, SoraEncoder
from detectors.encoder.objectives import Objectives
from detectors.encoder.plant import ANOMALIES, Kind
from detectors.encoder.train_config import SPEEDS, TrainConfig, footage_root, load_train_config
from sorawatch import DeviceError, ModelError, ResourceError, SourceError

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.csv"
VALIDATION_BATCHES = 12
SETTLE_WINDOWS = 400
MOST_WORKERS = 16
Progress = Callable[[int, int, dict[str, float]], None]


def train(
    config_path: str | Path,
    out_dir: str | Path,
    *,
    cache: Path | None = None,
    progress: Progress | None = None,
    steps: int | None = None,
    device: Literal["auto", "cuda", "cpu"] = "auto",
    workers: int | None = None,
) -> Path:
    """Train as the configuration says and export `out_dir`/sora.onnx; returns its path.

    A training that was interrupted carries on from `out_dir`/checkpoint.pt. `cache`: where motion
    is kept between trainings (default `out_dir`/cache). `progress(step, steps, losses)` is called
    at every step. `steps` overrides the configuration, for a trial. `device`: `auto` takes a GPU
    when torch finds one. `workers`: processes that make batches ahead; by default none on the CPU,
    where the model takes all there is, and one for each core but one beside a GPU, which would
    wait, or as many as shared memory has room for. They are started anew (spawn), so a script that
    calls this needs `if __name__ == "__main__"`. The same configuration, footage and device give
    the same weights; on a GPU torch is set to what makes that so, for the whole process.
    ConfigError, SourceError, ModelError, DeviceError or ResourceError say what is wrong; nothing
    half-written is left.
    """
    to = pick_device(device)
    config = load_train_config(Path(config_path))
    if steps is not None:
        config = config.model_copy(update={"steps": steps})
    workers = _workers(workers, to, config)
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.threads)
    cv2.setNumThreads(1)
    training, held_out = _footage(config, cache or out / "cache")
    trainer = Trainer(config, training, held_out, out, device=to, workers=workers)
    trainer.resume()
    trainer.run(progress)
    path = out / "sora.onnx"
    trainer.export(path)
    return path


class Trainer:
    """One training: model, optimizer, batches and where they stand.

    Invariant: after `step` steps the state depends on the configuration and the footage alone.
    """

    def __init__(
        self,
        config: TrainConfig,
        training: list[Run],
        held_out: list[Run],
        out: Path,
        *,
        device: torch.device | None = None,
        workers: int = 0,
    ) -> None:
        """Weights at random from the seed; nothing is read or written yet.

        `device`: where to compute, the CPU when not given; `workers` as in `train`.
        """
        self._config, self._out = config, out
        self._device, self._workers = device or torch.device("cpu"), workers
        torch.manual_seed(config.seed)
        self.model = SoraEncoder(EncoderConfig(**config.model.model_dump())).to(
            memory_format=torch.channels_last  # a third faster on a CPU
        )
        self._objectives = Objectives(self.model.config, config.objectives)
        self.model.to(self._device)
        self._objectives.to(self._device)
        self._parameters = [*self.model.parameters(), *self._objectives.parameters()]
        self._optimizer = torch.optim.AdamW(
            self._parameters, config.learning_rate, weight_decay=config.weight_decay
        )
        self._batches = Batches(training, config.frames, config.crop_px, seed=config.seed)
        self._validation = (
            Batches(held_out, config.frames, config.crop_px, seed=config.seed + 1)
            if held_out
            else None
        )
        self.step = 0

    def run(self, progress: Progress | None = None) -> None:
        """Train until the last step."""
        config = self._config
        started = time.monotonic()
        for batch in batches_ahead(
            self._batches,
            range(self.step, config.steps),
            config.batch,
            workers=self._workers,
            pinned=self._device.type == "cuda",
        ):
            parts = self.learn(batch)
            if progress is not None:
                progress(self.step, config.steps, parts)
            last = self.step == config.steps
            if last:
                self.settle()
            if self.step % config.validate_every == 0 or last:
                row = {**parts, **self.validate(), "seconds": time.monotonic() - started}
                self._write_metrics(row)
                log.info("step %d of %d: %s", self.step, config.steps, _brief(row))
            if self.step % config.checkpoint_every == 0 or last:
                self.save()

    def learn(self, batch: Tensors) -> dict[str, float]:
        """One step with this batch; the losses. ModelError when the loss is not finite."""
        config = self._config
        torch.manual_seed(config.seed * 1_000_003 + self.step)  # dropout
        for group in self._optimizer.param_groups:
            group["lr"] = config.learning_rate * self._schedule()
        self.model.train()
        batch = batch.to(self._device)
        losses = self._objectives(self.model(batch.x), batch)
        if not math.isfinite(float(losses.total.detach())):
            raise ModelError(f"the loss is not finite at step {self.step}: lower learning_rate")
        self._optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        torch.nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        self.step += 1
        return {"total": float(losses.total.detach()), **losses.parts}

    def _schedule(self) -> float:
        """Warm-up, then half a cosine to a hundredth."""
        if self.step < self._config.warm_up:
            return (self.step + 1) / self._config.warm_up
        done = (self.step - self._config.warm_up) / max(
            1, self._config.steps - self._config.warm_up
        )
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done))

    def settle(self) -> None:
        """Tell the model how windows of the training footage usually move."""
        counts = []
        with torch.no_grad():
            for x in self._batches.whole(SETTLE_WINDOWS):
                motion = torch.from_numpy(x[:, LUMA.stop :]).to(self._device)
                statistics = self.model.statistics(motion)
                counts.append(self.model.dynamics.count(statistics[None]))
        self.model.dynamics.settle(torch.cat(counts))

    def validate(self) -> dict[str, float]:
        """AUC of the anomaly map on moving cells of held-out footage, for each kind planted."""
        if self._validation is None:
            return {}
        self.model.eval()
        scores, kinds = [], []
        with torch.no_grad():
            for i in range(VALIDATION_BATCHES):
                batch = self._validation.batch(i, self._config.batch, augment=False)
                anomaly = self.model(tensors(batch).x.to(self._device))[2].cpu().numpy()
                use = (batch.moving > 0.02) & (batch.kind >= 0)
                scores.append(anomaly[use])
                kinds.append(batch.kind[use])
        score, kind = np.concatenate(scores), np.concatenate(kinds)
        normal = score[kind == Kind.NORMAL]
        found = {
            f"auc_{k.name.lower()}": auc(normal, score[kind == k])
            for k in ANOMALIES
            if (kind == k).any()
        }
        found["auc"] = auc(normal, score[np.isin(kind, ANOMALIES)])
        return found

    def save(self) -> None:
        """Write the checkpoint, whole or not at all."""
        state = {
            "step": self.step,
            "config": self._config.model_dump_json(),
            "model": self.model.state_dict(),
            "objectives": self._objectives.state_dict(),
            "optimizer": self._optimizer.state_dict(),
        }
        temporary = self._out / f"{CHECKPOINT}.new"
        torch.save(state, temporary)
        os.replace(temporary, self._out / CHECKPOINT)

    def resume(self) -> None:
        """Carry on from the checkpoint if there is one; ModelError when it does not belong here."""
        path = self._out / CHECKPOINT
        if not path.exists():
            return
        state = load_checkpoint(path)
        mine = self._config.model_dump(mode="json", exclude={"steps", "threads"})
        theirs = json.loads(state["config"])
        if mine != {k: v for k, v in theirs.items() if k in mine}:
            raise ModelError(f"{path}: made with another configuration: choose another folder")
        self.model.load_state_dict(state["model"])
        self._objectives.load_state_dict(state["objectives"])
        self._optimizer.load_state_dict(state["optimizer"])
        self.step = int(state["step"])
        log.info("carrying on at step %d", self.step)

    def export(self, path: Path) -> Contract:
        """Write the ONNX file."""
        model = copy.deepcopy(self.model).to("cpu")
        return export_onnx(model, path, f"{self._config.name}, {self.step} steps")

    def _write_metrics(self, row: dict[str, float]) -> None:
        path = self._out / METRICS
        new = not path.exists()
        values = {"step": float(self.step), **row}
        with path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(values))
            if new:
                writer.writeheader()
            writer.writerow({k: f"{v:.6g}" for k, v in values.items()})


def pick_device(device: str) -> torch.device:
    """What to compute on; DeviceError when CUDA was asked for and torch has none.

    On a GPU only what gives the same in every run is used.
    """
    if device == "cpu" or (device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise DeviceError(
            "device cuda is not available: torch finds no NVIDIA GPU, or was built without CUDA; "
            "use --device auto or cpu"
        )
    # cuBLAS reads this when it starts, and is not deterministic without it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    return torch.device("cuda")


def _workers(wanted: int | None, device: torch.device, config: TrainConfig) -> int:
    """Processes that make batches; ResourceError when more are wanted than can hand them over."""
    height, width = config.crop_px
    planes = config.frames * len(CHANNELS) + FUTURE_PLANES
    fit = workers_that_fit(4 * config.batch * planes * height * width)
    if wanted is None:
        wanted = 0
        if device.type == "cuda":
            wanted = min(MOST_WORKERS, len(os.sched_getaffinity(0)) - 1)
            wanted = wanted if fit is None else min(wanted, fit)
    elif fit is not None and wanted > fit:
        raise ResourceError(
            f"{SHARED} has room for the batches of {fit} processes: --workers {fit}, or give it "
            "more (docker run --shm-size)"
        )
    return wanted


def load_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's contents, nothing in it executed; ModelError when it is broken."""
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as exc:  # torch raises many kinds, pickle's among them
        raise ModelError(f"{path}: not a checkpoint: {' '.join(str(exc).split())[:200]}") from exc
    wanted = {"step", "config", "model", "objectives", "optimizer"}
    if not isinstance(state, dict) or not wanted <= set(state):
        raise ModelError(f"{path}: not a checkpoint of this program")
    return state


def export_checkpoint(checkpoint: str | Path, path: str | Path, *, half: bool = False) -> Contract:
    """Export a checkpoint of `train` to the ONNX file `path`; `half`: in float16."""
    state = load_checkpoint(Path(checkpoint))
    config = TrainConfig.model_validate_json(state["config"])
    model = SoraEncoder(EncoderConfig(**config.model.model_dump()))
    model.load_state_dict(state["model"])
    return export_onnx(model, Path(path), f"{config.name}, {state['step']} steps", half=half)


def auc(normal: NDArray[np.floating], anomalous: NDArray[np.floating]) -> float:
    """Chance that an anomalous score is above a normal one, ties half; NaN when either is empty."""
    if len(normal) == 0 or len(anomalous) == 0:
        return math.nan
    ordered = np.sort(normal)
    below = np.searchsorted(ordered, anomalous, "left")
    up_to = np.searchsorted(ordered, anomalous, "right")
    return float((below + up_to).mean() / (2 * len(normal)))


def _footage(config: TrainConfig, cache: Path) -> tuple[list[Run], list[Run]]:
    """Runs to train on and runs held out, one camera never in the sources of the other's plants."""
    root = footage_root()
    held = {p for pattern in config.held_out for p in find_footage(root, [pattern])}
    training: list[Run] = []
    held_out: list[Run] = []
    for entry in config.footage:
        for path in find_footage(root, [entry.files]):
            camera = entry.camera or str(path.relative_to(root))
            try:
                runs = load_runs(path, camera, SPEEDS, cache)
            except SourceError as exc:
                log.warning("left out: %s", exc)
                continue
            (held_out if path in held else training).extend(runs)
    if not training:
        raise SourceError("no footage to train on could be read", "not_found")
    return training, held_out


def _brief(row: dict[str, float]) -> str:
    return " ".join(f"{k}={v:.3g}" for k, v in row.items())
