"""`sorawatch export`: a trained encoder to ONNX."""

from dataclasses import asdict
from pathlib import Path

import click

from streamer.cli.common import command, json_option, needs_train_extra, print_json


@command("export", example="sorawatch export runs/sora/checkpoint.pt --out sora.onnx")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True,
              help="The ONNX file to write.")  # fmt: skip
@click.option("--half", is_flag=True, help="In float16, for GPUs.")
@json_option
def export(checkpoint: Path, out: Path, half: bool, as_json: bool) -> None:
    """Export a trained encoder to ONNX.

    CHECKPOINT was written by `sorawatch train`, which also exports its last one by itself. Needs
    the extra `train`: pip install 'sorawatch[train]'.

    With --half weights and arithmetic are float16: half the file, made for CUDA. A CPU runs it
    too, but slower than without. What it gives differs a little, so cameras must learn anew with
    it, as with any other encoder.
    """
    with needs_train_extra():
        from detectors.encoder.train import export_checkpoint  # noqa: PLC0415

    contract = export_checkpoint(checkpoint, out, half=half)
    if as_json:
        print_json({"encoder": out, **asdict(contract)})
    else:
        click.echo(f"{out}: {contract.name}, {contract.precision}")
