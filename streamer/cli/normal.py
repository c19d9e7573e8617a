"""`sorawatch normal`: look into a normality file, teach it, take lessons back."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from detectors.encoder.providers import Device
from detectors.normality import Normality, load
from streamer import teach as teaching
from streamer.cli.common import (
    Progress,
    analysis_options,
    command,
    json_option,
    masks_of,
    masks_options,
    print_json,
    source_argument,
)
from streamer.config_fields import parse_duration

_FILE = click.Path(path_type=Path)
_RELOAD = "a running program takes it over on SIGHUP"


def _seconds(_ctx: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_duration(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


@click.group(
    "normal",
    epilog="\b\nExample:\n  sorawatch normal show normal/gate.normal\n"
    "  sorawatch normal teach normal/gate.normal friday.mp4 --from 40 --to 55 --note 'the post'\n"
    "  sorawatch normal undo normal/gate.normal last",
)
def normal() -> None:
    """Show a normality file, teach it, take lessons back."""


@command("show", example="sorawatch normal show normal/gate.normal")
@click.argument("file", type=_FILE)
@click.option("--alerts-per-day", type=click.FloatRange(0, min_open=True), default=1.0,
              show_default=True, help="The rate to give the threshold for.")  # fmt: skip
@json_option
def show(file: Path, alerts_per_day: float, as_json: bool) -> None:
    """Say what FILE was learned from, what it promises, and what it was taught."""
    found = _shown(load(file), alerts_per_day)
    if as_json:
        print_json(found)
        return
    lessons = found.pop("lessons")
    for key, value in found.items():
        click.echo(f"{key.replace('_', ' '):<15}{'-' if value is None else value}")
    for lesson in lessons:
        click.echo(f"lesson {lesson['id']}  {lesson['made_utc']}  {lesson['note']}".rstrip())


@command(
    "teach",
    example="sorawatch normal teach normal/gate.normal friday.mp4 --from 40 --to 55 --note 'post'",
)
@click.argument("file", type=_FILE)
@click.argument("source")
@click.option("--from", "from_s", callback=_seconds, metavar="SECONDS",
              help="Where in SOURCE it begins. Also 2m.")  # fmt: skip
@click.option("--to", "to_s", callback=_seconds, metavar="SECONDS", help="Where it ends.")
@click.option("--note", default="", help="In your words; `show` prints it.")
@analysis_options
@masks_options
@json_option
def teach(
    file: Path, source: str, from_s: float | None, to_s: float | None, note: str, fps: float,
    device: Device, encoder: str, config: Path | None, camera: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Say that what happens in SOURCE is normal.

    SOURCE is a recording of the same camera that holds a false alarm, best with some seconds before
    it. What is unusual there between --from and --to, and whatever is like it at the same place,
    raises nothing any more. The old FILE is kept as FILE.bak.
    """
    given = source_argument(source)
    with Progress() as progress:
        report = teaching.teach(
            file,
            given,
            from_s=from_s or 0.0,
            to_s=float("inf") if to_s is None else to_s,
            note=note,
            fps=fps,
            encoder=None if encoder == "builtin" else Path(encoder),
            device=device,
            masks=masks_of(config, camera),
            on_progress=lambda t_s: progress.show(f"{given.masked}: {t_s:.0f} s"),
        )
    if as_json:
        print_json(asdict(report))
    else:
        click.echo(
            f"{file}: lesson {report.id} ({report.tokens} tokens); the highest score there was "
            f"{report.before:.1f}, is {report.after:.1f}; {_RELOAD}"
        )


@command("undo", example="sorawatch normal undo normal/gate.normal last")
@click.argument("file", type=_FILE)
@click.argument("lesson", metavar="ID|last")
def undo(file: Path, lesson: str) -> None:
    """Take a lesson out of FILE, as if it had never been given.

    The old FILE is kept as FILE.bak.
    """
    gone = teaching.undo(file, lesson)
    click.echo(f"{file}: lesson {gone.id} taken back; {_RELOAD}")


def _shown(normality: Normality, alerts_per_day: float) -> dict[str, Any]:
    facts, calibration = normality.facts, normality.calibration
    threshold = calibration.threshold(alerts_per_day)
    return {
        "camera": facts.camera or None,
        "learned": facts.made_utc,
        "footage_s": round(facts.footage_s, 1),
        "cells": f"{facts.grid[1]}x{facts.grid[0]}",
        "encoder": facts.encoder,
        "sha256": normality.sha256,
        "threshold": round(threshold.value, 3),
        "promises": threshold.text,
        "warning": threshold.warning,
        "lessons": [
            {"id": one.id, "made_utc": one.made_utc, "note": one.note, "tokens": len(one)}
            for one in normality.lessons.all
        ],
    }


for _command in (show, teach, undo):
    normal.add_command(_command)
