"""`sorawatch train`: train the encoder."""

from pathlib import Path
from typing import Literal

import click

from streamer.cli.common import Progress, command, json_option, needs_train_extra, print_json


@command(
    "train",
    example="SORAWATCH_FOOTAGE=/footage sorawatch train --config configs/train/sora.yaml "
    "--out runs/sora",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    required=True,
    help="What to train, on which footage; see configs/train/.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for checkpoint, metrics.csv and sora.onnx; an interrupted training "
    "there carries on.",
)
@click.option(
    "--steps", type=click.IntRange(1), help="Instead of the configuration's, for a trial."
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder that keeps motion between trainings.  [default: OUT/cache]",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cuda", "cpu"]),
    default="auto",
    show_default=True,
    help="What to compute on; auto takes a GPU when torch finds one.",
)
@click.option(
    "--workers",
    type=click.IntRange(0, 256),
    help="Processes that make batches ahead.  [default: 0 on the CPU, all cores but one on a GPU]",
)
@json_option
def train(
    config: Path,
    out: Path,
    steps: int | None,
    cache: Path | None,
    device: Literal["auto", "cuda", "cpu"],
    workers: int | None,
    as_json: bool,
) -> None:
    """Train the encoder on normal footage.

    No labels are needed. Needs the extra `train`: pip install 'sorawatch[train]'. The encoder
    that comes out is used with detect.encoder, and by `sorawatch fit --encoder`.
    """
    with needs_train_extra():
        from detectors.encoder.train import train as train_encoder  # noqa: PLC0415

    with Progress() as progress:
        path = train_encoder(
            config,
            out,
            cache=cache,
            steps=steps,
            device=device,
            workers=workers,
            progress=lambda step, last, losses: progress.show(
                f"step {step} of {last}: loss {losses.get('total', float('nan')):.3f}"
            ),
        )
    if as_json:
        print_json({"encoder": path, "checkpoint": out / "checkpoint.pt"})
    else:
        click.echo(f"{path}: the trained encoder")
