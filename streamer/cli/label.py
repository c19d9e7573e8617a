"""`sorawatch label`: when something happened, for `sorawatch tune --labels`."""

from pathlib import Path

import click

from sorawatch import ConfigError, ResourceError
from streamer.cli.common import command
from streamer.deciding.labels import Label, is_data_set, lay, line_of, read_labels
from streamer.deciding.moment import parse_moment, spoken
from streamer.deciding.replayed import open_replay

_PATH = click.Path(path_type=Path)


def _moment(_ctx: click.Context, _option: click.Parameter, text: str) -> float:
    try:
        return parse_moment(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


@click.group(
    "label",
    epilog="\b\nExample:\n"
    "  sorawatch label add labels.jsonl --replay week --camera gate \\\n"
    "    --from 2025-11-22T09:13:05Z --to 2025-11-22T09:13:20Z --note 'over the fence'\n"
    "  sorawatch label import data/ped2/labels.json --replay ped2 --out labels.jsonl",
)
def label() -> None:
    """Note when something happened in replayed footage."""


@command(
    "add",
    example="sorawatch label add labels.jsonl --replay week --camera gate "
    "--from 2025-11-22T09:13:05Z --to 2025-11-22T09:13:20Z",
)
@click.argument("file", type=_PATH)
@click.option("--replay", "folder", type=_PATH, required=True, help="The footage it is of.")
@click.option("--camera", help="Which camera; needed where the replay has several.")
@click.option("--from", "start_s", callback=_moment, required=True, metavar="TIME",
              help="When it began: UTC, or with its zone.")  # fmt: skip
@click.option("--to", "end_s", callback=_moment, required=True, metavar="TIME", help="Its end.")
@click.option("--note", default="", help="What it was.")
def add(
    file: Path, folder: Path, camera: str | None, start_s: float, end_s: float, note: str
) -> None:
    """Add to FILE that something happened that should raise an alert."""
    if not start_s < end_s:
        raise ConfigError("--to: it ends before it begins")
    replay = open_replay(folder)
    labels = lay([Label("--from", camera, None, start_s, end_s)], replay, file)
    (name, _), _events = next((key, events) for key, events in labels.events.items() if events)
    if file.exists():
        read_labels(file, replay)  # nothing is added to a file that would be refused
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        if text and is_data_set(text):
            raise ConfigError(
                f"{file}: is the labels.json of a data set: make lines of it with "
                "sorawatch label import, and add to those"
            )
        gap = "" if not text or text.endswith("\n") else "\n"
        with file.open("a", encoding="utf-8") as out:
            out.write(f"{gap}{line_of(name, start_s, end_s, note)}\n")
    except OSError as exc:
        raise ResourceError(f"{file}: cannot be written: {exc.strerror or exc}") from exc
    click.echo(f"{file}: {name} {spoken(start_s)} to {spoken(end_s)} UTC")


@command(
    "import",
    example="sorawatch label import data/ped2/labels.json --replay ped2 --out labels.jsonl",
)
@click.argument("labels", type=_PATH)
@click.option("--replay", "folder", type=_PATH, required=True, help="The footage they are of.")
@click.option("--out", type=_PATH, required=True, help="The file to write; must not exist.")
def import_(labels: Path, folder: Path, out: Path) -> None:
    """Turn LABELS of a data set (labels.json), or by source, into times of UTC."""
    found = read_labels(labels, open_replay(folder))
    lines = [
        line_of(camera, start_s, end_s)
        for (camera, _), events in found.events.items()
        for start_s, end_s in events
    ]
    try:
        with out.open("x", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
    except FileExistsError as exc:
        raise ConfigError(f"{out}: is there already: name another file") from exc
    except OSError as exc:
        raise ResourceError(f"{out}: cannot be written: {exc.strerror or exc}") from exc
    click.echo(f"{out}: {len(lines)} events")


for _command in (add, import_):
    label.add_command(_command)
