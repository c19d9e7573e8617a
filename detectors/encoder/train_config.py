"""The configuration of a training, `configs/train/*.yaml`."""

import os
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from detectors.encoder.contract import STRIDE_PX
from sorawatch import ConfigError

FOOTAGE_VARIABLE = "SORAWATCH_FOOTAGE"
SPEEDS = (1.0, 0.5, 1.5, 2.0, 3.0)
OBJECTIVES = {
    "plant": 1.0,
    "kind": 0.3,
    "now": 1.0,
    "look": 0.3,
    "next": 0.3,
    "unlike": 1.0,
    "group": 0.05,
}
"""Weights of the objectives unless the configuration says otherwise."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FootageConfig(_Section):
    """`files`: a pattern below the footage's root; `camera`: theirs, or each its own."""

    files: str
    camera: str | None = None


class ModelConfig(_Section):
    """Sizes, see `EncoderConfig`."""

    dim: int = Field(default=96, ge=8, le=1024)
    heads: int = Field(default=4, ge=1, le=32)
    layers: int = Field(default=3, ge=1, le=24)
    window_dim: int = Field(default=96, ge=8, le=4096)
    token_dim: int = Field(default=48, ge=4, le=1024)
    stem: tuple[int, int, int] = (24, 48, 64)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class TrainConfig(_Section):
    """A training; see `configs/train/sora.yaml` for what each key means."""

    name: str
    seed: int = 1
    footage: tuple[FootageConfig, ...] = Field(min_length=1)
    held_out: tuple[str, ...] = ()
    frames: int = Field(8, ge=1, le=32)
    steps: int = Field(ge=1)
    batch: int = Field(24, ge=2)
    crop_px: tuple[int, int] = (96, 128)
    learning_rate: float = Field(0.0015, gt=0)
    warm_up: int = Field(150, ge=0)
    weight_decay: float = Field(0.02, ge=0)
    threads: int = Field(1, ge=1)
    checkpoint_every: int = Field(200, ge=1)
    validate_every: int = Field(400, ge=1)
    model: ModelConfig = ModelConfig()
    objectives: dict[str, float] = OBJECTIVES


def load_train_config(path: Path) -> TrainConfig:
    """Read and check; ConfigError names the file and the key."""
    try:
        given = yaml.safe_load(path.read_text())
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(exc).split())}") from exc
    try:
        config = TrainConfig.model_validate(given)
    except ValidationError as exc:
        first = exc.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the document"
        raise ConfigError(f"{path}: {key}: {first['msg']}") from exc
    if any(side < STRIDE_PX or side % STRIDE_PX for side in config.crop_px):
        raise ConfigError(f"{path}: crop_px: {config.crop_px} are not multiples of {STRIDE_PX}")
    unknown = sorted(set(config.objectives) - set(OBJECTIVES))
    if unknown:
        raise ConfigError(f"{path}: objectives: {unknown} are none of {sorted(OBJECTIVES)}")
    if config.model.dim % config.model.heads:
        raise ConfigError(f"{path}: model.heads: {config.model.heads} does not divide model.dim")
    return config


def footage_root() -> Path:
    """Where training footage lies: SORAWATCH_FOOTAGE, or ../shared/data beside the repository."""
    given = os.environ.get(FOOTAGE_VARIABLE)
    root = Path(given) if given else Path(__file__).parents[3] / "shared" / "data"
    if not root.is_dir():
        raise ConfigError(f"{root}: no footage there; set {FOOTAGE_VARIABLE} to its folder")
    return root
