"""`sorawatch events`: list events, acknowledge them, say which were real and which normal."""

import getpass
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import click

from alerts.event import Event
from alerts.eventlog import MOST, EventLog
from alerts.marks import Marks
from alerts.outbox import is_outbox
from alerts.text import format_event
from alerts.wire import decode
from detectors.arrayfile import write_atomic
from sorawatch import ConfigError, SorawatchError
from streamer.cli.common import CONFIG, command, json_option, print_json
from streamer.config_listen import ControlConfig
from streamer.config_load import load_config
from streamer.control import (
    Acknowledge,
    ControlError,
    Hello,
    ListEvents,
    MarkEvent,
    ShowEvent,
    UnmarkEvent,
    answer_from,
    ask_control,
)
from streamer.deciding.moment import parse_moment, utc

_KINDS: Final = click.Choice(["anomaly", "health", "all"])
_MARKS: Final = click.Choice(["normal", "real", "none"])


def _moment(_ctx: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return parse_moment(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc


class _Place:
    """Where events are: the outbox, and the control socket of the program that writes it."""

    def __init__(self, given: Path) -> None:
        """`given`: a configuration, or an outbox. Raises ConfigError."""
        control = ControlConfig()
        try:
            self.outbox = given
            if not (is_outbox(given) and given.stat().st_size):
                config = load_config(given)
                self.outbox, control = config.alerts.outbox, config.control
        except OSError as exc:
            raise ConfigError(f"{given}: cannot be read: {exc.strerror or exc}") from exc
        self.address = control.address(self.outbox)

    def runs(self) -> bool:
        """Whether the program answers."""
        if self.address is None or not Path(self.address.removeprefix("ipc://")).is_socket():
            return False
        try:
            ask_control(self.address, Hello(), timeout_s=3.0)
        except ControlError:
            return True
        except SorawatchError:
            return False
        return True

    def tell(self, request: Any) -> dict[str, Any]:
        """The running program's answer to a request that changes something."""
        if self.address is None or not self.runs():
            raise SorawatchError(
                f"no program runs with {self.outbox} that could be told: start sorawatch run first"
            )
        return ask_control(self.address, request, timeout_s=30.0)

    def read(self, request: Any) -> dict[str, Any]:
        """The answer of the running program, or where none runs, of the outbox."""
        if self.address is not None and self.runs():
            return ask_control(self.address, request, timeout_s=30.0)
        with EventLog(self.outbox) as events:
            return answer_from(events, request) or {}


@click.group(
    "events",
    epilog="\b\nExample:\n  sorawatch events list cameras.yaml --camera gate --unacknowledged\n"
    "  sorawatch events ack cameras.yaml a1b2c3\n"
    "  sorawatch events mark cameras.yaml a1b2c3 normal --note 'the post'\n"
    "  sorawatch events unmark cameras.yaml a1b2c3",
)
def events() -> None:
    """List, acknowledge and mark events.

    CONFIG is the configuration of the program, or its outbox (alerts.db). ID is an event's id, its
    last six digits, or `last`. What changes something needs the running program; what reads also
    works without.
    """


_config = click.argument("config", type=CONFIG)
_id = click.argument("event_id", metavar="ID")


def _by_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--by", metavar="NAME", default=_user, show_default="you",
                        help="Who says so.")(function)  # fmt: skip


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return None


def _chosen(function: Callable[..., Any]) -> Callable[..., Any]:
    options = (
        click.option("--camera", "cameras", multiple=True, metavar="NAME",
                     help="Only this camera; may be given again."),
        click.option("--since", callback=_moment, metavar="TIME",
                     help="Only what lasted at or after TIME, such as 2026-11-27T14:00Z (UTC)."),
        click.option("--until", callback=_moment, metavar="TIME",
                     help="Only what began at or before TIME."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@command(
    "list",
    example="sorawatch events list cameras.yaml --unacknowledged\n"
    "sorawatch events list cameras.yaml --camera gate --since 2026-11-27 --json",
)
@_config
@_chosen
@click.option("--kind", type=_KINDS, default="anomaly", show_default=True, help="Which events.")
@click.option("--acknowledged/--unacknowledged", default=None, help="Only those that are (not).")
@click.option("--marked", "mark", type=_MARKS, help="Only those with this mark.")
@click.option("--limit", type=click.IntRange(1, MOST), default=100, show_default=True,
              help="So many at most, the newest.")  # fmt: skip
@json_option
def list_(
    config: Path, cameras: tuple[str, ...], since: float | None, until: float | None, kind: str,
    acknowledged: bool | None, mark: Any, limit: int, as_json: bool,
) -> None:  # fmt: skip
    """List events, the newest first."""
    request = ListEvents(
        cameras=list(cameras) or None,
        kind=None if kind == "all" else kind,  # type: ignore[arg-type]
        since=since,
        until=until,
        acknowledged=acknowledged,
        mark=mark,
        limit=limit,
    )
    answer = _Place(config).read(request)
    if as_json:
        print_json(answer)
        return
    for document in answer["events"]:
        click.echo(_line(document))


@command("show", example="sorawatch events show cameras.yaml last")
@_config
@_id
@json_option
def show(config: Path, event_id: str, as_json: bool) -> None:
    """Show an event with all its messages, and what was said of it."""
    answer = _Place(config).read(ShowEvent(id=event_id))
    if as_json:
        print_json(answer)
        return
    document = answer["event"]
    marks = Marks.model_validate(document["marks"])
    event = _event(document)
    click.echo(f"id             {event.id}")
    click.echo(f"camera         {event.camera}")
    for name in ("snapshot", "clip"):
        if getattr(event, name) is not None:
            click.echo(f"{name:<15}{getattr(event, name)}")
    if marks.acknowledged_utc is not None:
        click.echo(f"acknowledged   {utc(marks.acknowledged_utc)} {marks.acknowledged_by or ''}")
    if marks.mark is not None:
        lesson = f"lesson {marks.lesson}" if marks.lesson else ""
        facts = (marks.mark, utc(marks.marked_utc or 0.0), marks.marked_by, lesson, marks.note)
        click.echo(f"marked         {' '.join(fact for fact in facts if fact)}")
    for message in answer["messages"]:
        click.echo(format_event(_event(message)))


@command("ack", example="sorawatch events ack cameras.yaml a1b2c3 d4e5f6")
@_config
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--undo", is_flag=True, help="They were not seen after all.")
@_by_option
@json_option
def ack(config: Path, ids: tuple[str, ...], undo: bool, by: str | None, as_json: bool) -> None:
    """Note that events were seen."""
    answer = _Place(config).tell(Acknowledge(ids=list(ids), undo=undo, by=by))
    if as_json:
        print_json(answer)
        return
    for event_id in answer["ids"]:
        click.echo(f"{event_id}: {'not acknowledged' if undo else 'acknowledged'}")


@command(
    "mark",
    example="sorawatch events mark cameras.yaml a1b2c3 normal --note 'the post'\n"
    "sorawatch events mark cameras.yaml last real",
)
@_config
@_id
@click.argument("mark", metavar="normal|real", type=click.Choice(["normal", "real"]))
@click.option("--note", default="", help="One line, kept with the mark.")
@_by_option
@json_option
def mark(
    config: Path, event_id: str, mark: Any, note: str, by: str | None, as_json: bool
) -> None:  # fmt: skip
    """Say what an event was.

    normal: its camera is taught so at once, and the same at the same place raises nothing any
    more. real: it becomes a label that settings can be chosen by (export, sorawatch tune).
    """
    request = MarkEvent.model_validate(
        {"id": event_id, "as": mark, "by": by, "note": note}, strict=True
    )
    answer = _Place(config).tell(request)
    if as_json:
        print_json(answer)
        return
    taught = ""
    if answer["tokens"]:
        lesson = answer["marks"]["lesson"]
        cameras = ", ".join(answer["cameras"]) or "no camera watches by it now"
        taught = f"; lesson {lesson} ({answer['tokens']} tokens): {cameras}"
    click.echo(f"{answer['id']}: marked {mark}{taught}")


@command("unmark", example="sorawatch events unmark cameras.yaml a1b2c3")
@_config
@_id
@json_option
def unmark(config: Path, event_id: str, as_json: bool) -> None:
    """Take a mark back; what it taught is forgotten at once, as if never given."""
    answer = _Place(config).tell(UnmarkEvent(id=event_id))
    if as_json:
        print_json(answer)
        return
    forgotten = "; its lesson is forgotten" if answer["tokens"] else ""
    click.echo(f"{answer['id']}: unmarked{forgotten}")


@command(
    "export",
    example="sorawatch events export cameras.yaml --labels labels.jsonl --since 2026-11-20\n"
    "sorawatch tune week --labels labels.jsonl",
)
@_config
@_chosen
@click.option("--labels", type=click.Path(path_type=Path), required=True, metavar="FILE",
              help="Written as sorawatch tune reads them, a JSON object a line.")  # fmt: skip
def export(
    config: Path, cameras: tuple[str, ...], since: float | None, until: float | None, labels: Path
) -> None:
    """Write events that were marked real as labels, oldest first."""
    place = _Place(config)
    found: list[dict[str, Any]] = []
    before: int | None = None
    while True:
        request = ListEvents(
            cameras=list(cameras) or None, since=since, until=until, mark="real", before=before,
            limit=MOST,
        )  # fmt: skip
        answer = place.read(request)
        found += answer["events"]
        before = answer["next"]
        if before is None:
            break
    lines = [json.dumps(_label(one)) + "\n" for one in reversed(found)]
    write_atomic(labels, "".join(lines).encode())
    click.echo(f"{labels}: {len(lines)} labels")


def _label(document: dict[str, Any]) -> dict[str, str]:
    event = _event(document)
    newest_s = event.time if event.end_time is None else event.end_time
    end_s = max(newest_s or event.start_time, event.start_time + 0.2)
    label = {"camera": event.camera, "start": utc(event.start_time), "end": utc(end_s)}
    note = document["marks"].get("note")
    return {**label, "note": note} if note else label


def _line(document: dict[str, Any]) -> str:
    event = _event(document)
    marks = document["marks"]
    said = [marks["mark"]] if marks["mark"] else []
    said += ["seen"] if marks["acknowledged_utc"] is not None else []
    date = datetime.fromtimestamp(event.start_time).astimezone().strftime("%Y-%m-%d")
    return f"{event.id[-6:]}  {date} {format_event(event)}" + (
        f"  [{', '.join(said)}]" if said else ""
    )


def _event(document: dict[str, Any]) -> Event:
    return decode(json.dumps(document).encode())


for _command in (list_, show, ack, mark, unmark, export):
    events.add_command(_command)
