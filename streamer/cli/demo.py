"""`sorawatch demo`: see it work, from rendered cameras to alerts."""

import json
from functools import partial
from pathlib import Path

import click

from streamer.cli.common import command, json_option
from streamer.demo.run import run_demo


@command("demo", example="sorawatch demo\nsorawatch demo --footage data/ped2 --out ped2-out")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="demo-out",
    show_default=True,
    help="Folder for films, pictures of the alerts and report.json.",
)
@click.option(
    "--footage",
    type=click.Path(file_okay=False, path_type=Path),
    help="Watch a data set (train/, test/, labels.json) instead of a rendered place.",
)
@json_option
def demo(out: Path, footage: Path | None, as_json: bool) -> int:  # fmt: skip
    """Render cameras, watch them, print alerts.

    Films a small world with things planted in it, serves the films as RTSP cameras, learns what
    is normal, runs the program, and says which planted events it found. Takes under three
    minutes. Exit status 1 when one was missed.
    """
    status = run_demo(out, footage, tell=partial(click.echo, err=as_json))
    if as_json:
        click.echo(json.dumps(json.loads((out / "report.json").read_text()), indent=1))
    return status
