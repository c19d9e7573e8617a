"""What the commands share: how one is declared, and how it reports."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from sorawatch import ConfigError
from streamer.capture.source import Source, mask_credentials
from streamer.logs import set_up_logging
from streamer.placeholders import fill

CONFIG = click.Path(path_type=Path)


def command(name: str, *, example: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Declare the command `name`; its docstring is its help, `example` stands below.

    What the function returns is the exit status; None is 0.
    """

    def declare(function: Callable[..., Any]) -> click.Command:
        debug = click.option(
            "--debug", is_flag=True, expose_value=False, help="Log more; show tracebacks.",
            callback=_set_up_logging, is_eager=True,
        )  # fmt: skip
        lines = "\n".join(f"  {line}" for line in example.strip().splitlines())
        return click.command(name, epilog=f"\b\nExample:\n{lines}")(debug(function))

    return declare


def json_option(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--json`, as the argument `as_json`."""
    return click.option(
        "--json", "as_json", is_flag=True, help="One JSON document on standard output."
    )(function)


def source_argument(text: str) -> Source:
    """The source that somebody typed, `${NAME}` filled in. Raises ConfigError."""
    filled, wrong = fill(text, os.environ)
    if wrong:
        raise ConfigError("\n".join(f"{mask_credentials(text)}: {message}" for message in wrong))
    return Source.parse(filled)


def print_json(document: object) -> None:
    """Write one JSON document."""
    click.echo(json.dumps(document, indent=1, default=str))


def _set_up_logging(_ctx: click.Context, _option: click.Parameter, debug: bool) -> None:
    set_up_logging("text", "debug" if debug else "warning")
