"""`sorawatch status`: ask the running program how its cameras are."""

import sys
import threading
from pathlib import Path

import click

from streamer.ask import ask_status
from streamer.cli.common import CONFIG, command, json_option
from streamer.config_listen import MetricsConfig
from streamer.config_load import load_config
from streamer.status import read_status, render_status


@command("status", example="sorawatch status cameras.yaml\nsorawatch status --watch 2")
@click.argument("config", type=CONFIG, required=False)
@click.option("--watch", "every_s", type=click.FloatRange(0.2, 3600), metavar="SECONDS",
              help="Print it again every so many seconds.")  # fmt: skip
@json_option
def status(config: Path | None, every_s: float | None, as_json: bool) -> int:
    """Show the running program's cameras.

    CONFIG says where it listens (metrics.listen); without it, 127.0.0.1:9109 is asked.
    Exit status 1 when the program runs but is not ready.
    """
    metrics = load_config(config).metrics if config else MetricsConfig()
    while True:
        text = ask_status(metrics)
        answer = read_status(text)
        if as_json:
            click.echo(text.strip())
        else:
            if every_s is not None and sys.stdout.isatty():
                click.clear()
            click.echo(render_status(answer))
        if every_s is None:
            return 0 if answer.ready else 1
        threading.Event().wait(every_s)
