"""What the commands share: how one is declared, and how it reports."""

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import click

from sorawatch import ConfigError
from streamer.capture.masks import Polygon
from streamer.capture.source import Source, mask_credentials
from streamer.config_load import load_config
from streamer.logs import set_up_logging
from streamer.placeholders import fill

_TRAIN_EXTRA = frozenset({"torch", "onnx", "onnxscript"})

CONFIG = click.Path(path_type=Path)


class Number(click.FloatRange):
    """A number within a range; click's own takes "nan" for one."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """As click does it."""
        number: float = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value} is no number.", param, ctx)
        return number


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


def analysis_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--fps`, `--device` and `--encoder`: how frames are analysed."""
    options = (
        click.option(
            "--fps", type=click.FloatRange(1, 30), default=5.0, show_default=True,
            help="Frames analysed a second: the detect.fps that the camera is watched with.",
        ),
        click.option(
            "--device", type=click.Choice(["auto", "cuda", "cpu"]), default="auto",
            show_default=True, help="Where the encoder runs.",
        ),
        click.option(
            "--encoder", default="builtin", show_default=True,
            help="The detect.encoder that the camera is watched with: builtin, off or a path.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


def masks_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--config` and `--camera`: whose privacy masks are laid on."""
    for option in (
        click.option("--camera", help="The camera in CONFIG whose footage it is."),
        click.option(
            "--config", type=CONFIG,
            help="Where the camera has `masks`: lay them on, as when it is watched.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


def masks_of(config: Path | None, camera: str | None) -> tuple[Polygon, ...]:
    """The privacy masks that `masks_options` name; none where neither is given."""
    if config is None and camera is None:
        return ()
    if config is None or camera is None:
        raise click.UsageError("--config and --camera go together.")
    cameras = load_config(config).cameras
    if camera not in cameras:
        raise ConfigError(f"{config}: there is no camera {camera!r}: {', '.join(cameras)}")
    return cameras[camera].masks


def source_argument(text: str, folder_fps: float | None = None) -> Source:
    """The source that somebody typed, `${NAME}` filled in. Raises ConfigError.

    `folder_fps`: frames a second, where it is a folder of frames.
    """
    filled, wrong = fill(text, os.environ)
    if wrong:
        raise ConfigError("\n".join(f"{mask_credentials(text)}: {message}" for message in wrong))
    return Source.parse(filled, fps=folder_fps)


@contextmanager
def needs_train_extra() -> Iterator[None]:
    """Around the import of training code: says what to install when it is not there."""
    try:
        yield
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] not in _TRAIN_EXTRA:
            raise
        raise ConfigError(
            f"{exc.name} is not installed, training needs it: pip install 'sorawatch[train]'"
        ) from exc


class Progress:
    """One line on standard error, rewritten where that is a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        """Show nothing yet."""
        self._terminal = sys.stderr.isatty()
        self._shown = ""

    def __enter__(self) -> Self:
        """Nothing to do."""
        return self

    def __exit__(self, *_exc: object) -> None:
        """Clear the line."""
        if self._shown:
            click.echo("\r\033[K", nl=False, err=True)

    def show(self, line: str) -> None:
        """Replace the line."""
        if self._terminal and line != self._shown:
            self._shown = line
            width = shutil.get_terminal_size().columns - 1
            click.echo(f"\r\033[K{line[:width]}", nl=False, err=True)


def print_json(document: object) -> None:
    """Write one JSON document."""
    click.echo(json.dumps(document, indent=1, default=str))


def _set_up_logging(_ctx: click.Context, _option: click.Parameter, debug: bool) -> None:
    set_up_logging("text", "debug" if debug else "warning")
