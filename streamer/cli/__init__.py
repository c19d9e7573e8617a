"""The command `sorawatch`: a module for each of its commands, imported when it is needed.

So `sorawatch --help` stays quick, and `train` alone asks for torch.
"""

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module

import click

from sorawatch import SorawatchError, __version__
from streamer.capture.source import mask_credentials

_COMMANDS = {
    "run": "Watch cameras and publish alerts.",
    "check": "Check a configuration, its files and the machine.",
    "probe": "Try a source: codec, size, rates, or why not.",
    "fit": "Learn a camera's normal footage.",
    "record": "Keep cameras' footage, without encoding it again.",
    "recordings": "List recorded segments, and what is wrong with them.",
    "normal": "Show a normality file, teach it, take lessons back.",
    "replay": "Replay recorded footage as if it were live.",
    "tune": "Find the settings for a number of alerts a day.",
    "compare": "Say which events two replays do not share.",
    "explain": "Say why there was an alert at a moment, or none.",
    "label": "Note when something happened in replayed footage.",
    "evaluate": "Score labelled footage as the running program would.",
    "listen": "Print alerts as they come.",
    "events": "List, acknowledge and mark events.",
    "keys": "Make and list keys for alerts beyond this machine.",
    "status": "Show the running program's cameras.",
    "demo": "Render cameras, watch them, print alerts.",
    "train": "Train the encoder on normal footage.",
    "export": "Export a trained encoder to ONNX.",
}
"""In the order of their use, each with the first line of its help."""

# Statuses above 128 are those of the signal that ended the program.
_INTERRUPTED = 130
_BROKEN_PIPE = 141

HELP = """Watch fixed cameras, learn what is normal for each, and raise few, explained alerts.

Begin with `sorawatch demo`; then `sorawatch check CONFIG` and `sorawatch run CONFIG`.

Exit status: 0 done; 1 ran and the answer is no; 2 usage or configuration; 3 source;
4 model or normality file; 5 anything else.
"""


class _ReaderGone(Exception):
    """Whoever read our output has gone. (click turns BrokenPipeError into a plain failure.)"""


class _Commands(click.Group):
    """Commands by name, each in the module and by the name that it has."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            status = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as exc:
            raise _ReaderGone from exc
        return status

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"streamer.cli.{name}"), name)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


cli = _Commands(
    name="sorawatch", help=HELP, context_settings={"help_option_names": ["-h", "--help"]}
)
click.version_option(__version__, prog_name="sorawatch")(cli)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; None: that of this process's arguments. Gives the exit status."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        status = cli.main(given or ["--help"], prog_name="sorawatch", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.UsageError as exc:
        name = exc.ctx.command_path if exc.ctx else "sorawatch"
        return _fail(f"{exc.format_message()} See `{name} --help`.", 2, debug)
    except (KeyboardInterrupt, click.Abort):
        return _INTERRUPTED
    except _ReaderGone:  # nothing more can be said there, not even by the interpreter at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _BROKEN_PIPE
    except SorawatchError as exc:
        return _fail(str(exc), exc.exit_status, debug)
    except Exception as exc:
        advice = "" if debug else " (--debug shows where)"
        return _fail(f"{type(exc).__name__}: {exc}{advice}", SorawatchError.exit_status, debug)


def _fail(message: str, status: int, debug: bool) -> int:
    if debug:
        click.echo(mask_credentials(traceback.format_exc()), err=True)
    for line in message.splitlines() or [""]:
        click.echo(f"error: {mask_credentials(line)}", err=True)
    logging.shutdown()
    return status
