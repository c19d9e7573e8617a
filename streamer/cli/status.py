"""`sorawatch status`: ask the running program how its cameras are."""

import sys
import threading
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import click

from sorawatch import ConfigError, SorawatchError
from streamer.cli.common import CONFIG, command, json_option
from streamer.config import MetricsConfig
from streamer.config_load import load_config
from streamer.status import read_status, render_status

_TIMEOUT_S = 5.0
_MAX_BYTES = 8 * 1024 * 1024


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
        text = _ask(metrics)
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


def _ask(metrics: MetricsConfig) -> str:
    """The JSON of `/status`."""
    if metrics.listen is None:
        raise ConfigError("metrics.listen is null: the program serves no status")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(metrics.listen.host, metrics.listen.host)  # noqa: S104
    connection = HTTPConnection(host, metrics.listen.port, timeout=_TIMEOUT_S)
    headers = {}
    if metrics.token is not None:
        headers["Authorization"] = f"Bearer {metrics.token.get_secret_value()}"
    try:
        connection.request("GET", "/status", headers=headers)
        response = connection.getresponse()
        body = response.read(_MAX_BYTES).decode(errors="replace")
    except (OSError, HTTPException) as exc:
        raise SorawatchError(
            f"nothing answers at {metrics.listen}: {exc}; is `sorawatch run` running?"
        ) from exc
    finally:
        connection.close()
    if response.status != 200:
        raise SorawatchError(f"{metrics.listen} answers {response.status} {response.reason}")
    return body
