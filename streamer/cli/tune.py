"""`sorawatch tune`: the settings for a number of alerts a day."""

from collections.abc import Sequence, Set
from pathlib import Path

import click

from sorawatch import ConfigError
from streamer.cli.common import Number, Progress, command, json_option, print_json
from streamer.config_edit import edit_config
from streamer.deciding.alert import Alert
from streamer.deciding.labels import read_labels
from streamer.deciding.moment import spoken
from streamer.deciding.replayed import open_replay
from streamer.deciding.sweep import Tried
from streamer.deciding.tune import CameraTuning, Judged, Tuning
from streamer.deciding.tune import tune as run
from streamer.replay_report.report import write_report

_PATH = click.Path(path_type=Path)
_SHOWN = 20
_PAGE = b"<!doctype html"


@command(
    "tune",
    example="sorawatch tune week --alerts-per-day 2\n"
    "sorawatch tune week --alerts-per-day 2 --labels labels.jsonl --write sorawatch.yaml",
)
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("--alerts-per-day", type=Number(0, 100_000, min_open=True), required=True,
              help="How many you can bear, for each camera.")  # fmt: skip
@click.option("--camera", "cameras", multiple=True, help="This camera alone; may be repeated.")
@click.option("--labels", type=_PATH,
              help="When something happened: of `sorawatch label`, or a labels.json.")  # fmt: skip
@click.option("--write", "config", type=_PATH, metavar="CONFIG",
              help="Put the choice into this file; the old one is kept as .bak.")  # fmt: skip
@click.option("--report", "page", type=_PATH, metavar="FILE",
              help="Write the replay's page, set to the choice, with the labels.")  # fmt: skip
@json_option
def tune(
    folder: Path, alerts_per_day: float, cameras: tuple[str, ...], labels: Path | None,
    config: Path | None, page: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Find the settings for a number of alerts a day.

    DIR is what footage was replayed into. For each camera: the threshold, what it promises, and the
    alerts that it would have given there, most borderline first, beside today's. With --labels
    also which settings find most of what was labelled within that number of false alarms, and what
    they gain and lose.
    """
    if page is not None:
        _check_page(page)
    with Progress() as progress:
        whole = open_replay(folder)
        replay = whole.only(cameras)
        truth = None if labels is None else read_labels(labels, whole).only(replay.cameras)
        tuning = run(replay, alerts_per_day, truth, progress.show)
        if page is not None:
            progress.show("writing the report")
            chosen = {camera.camera: camera.settings for camera in tuning.cameras}
            write_report(replay, page, chosen, truth)
    backup = None
    if config is not None:
        backup = edit_config(config, tuning.values())
    if as_json:
        print_json({**tuning.document(), "written": None if backup is None else str(config)})
        return
    click.echo("\n".join(_lines(tuning)))
    if config is not None:
        said = f"written; the old file is {backup}" if backup else "says so already"
        click.echo(f"\n{config}: {said}")


def _check_page(page: Path) -> None:
    """Nothing but an older page is written over."""
    try:
        with page.open("rb") as file:
            is_page = file.read(len(_PAGE)).lower() == _PAGE
    except OSError:
        return  # there is none, or writing will say what is wrong
    if not is_page:
        raise ConfigError(f"--report {page}: is there already, and is no page: name another file")


def _lines(tuning: Tuning) -> list[str]:
    lines: list[str] = []
    for camera in tuning.cameras:
        lines += [*_camera(camera, "wished" if tuning.judged is None else "chosen"), ""]
    if tuning.judged is not None:
        lines += _judged(tuning, tuning.judged)
    lines += [f"note: {note}" for note in tuning.notes]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _camera(one: CameraTuning, name: str) -> list[str]:
    lines = [
        f"{one.camera}: {one.footage_s / 3600:.1f} h of footage",
        f"  {name}  threshold {one.wished.value:7.3f}  {len(one.alerts):4} alerts here   "
        f"promises {one.wished.text}",
        f"  today   threshold {one.today.value:7.3f}  {one.today_count:4} alerts here   "
        f"promises {one.today.text}",
    ]
    if one.wished.warning:
        lines.append(f"  warning: {one.wished.warning}")
    new = {alert.id for alert in one.new}
    lines += _list("alerts, most borderline first", one.alerts, new)
    level = one.wished.value
    lines += _list("alerts of today that it does not give", one.gone, level=level)
    lines += _list("twice as many alerts a day would add", one.next, level=level)
    return lines


def _list(
    title: str, alerts: Sequence[Alert], new: Set[str] = frozenset(), level: float | None = None
) -> list[str]:
    """Scores as multiples of `level`, or of the threshold that each alert reached."""
    if not alerts:
        return []
    lines = [f"  {title}:"]
    for alert in alerts[:_SHOWN]:
        times = alert.margin if level is None else alert.score / level
        lines.append(_alert(alert, times, alert.id in new))
    if len(alerts) > _SHOWN:
        lines.append(f"    and {len(alerts) - _SHOWN} more (--json lists all)")
    return lines


def _alert(alert: Alert, times: float, new: bool) -> str:
    length_s = alert.end_utc_s - alert.start_utc_s
    return (
        f"    {spoken(alert.start_utc_s)} UTC {length_s:6.1f} s  {times:5.2f} x threshold"
        f"{'  new ' if new else '      '}{alert.text}"
    ).rstrip()


def _judged(tuning: Tuning, judged: Judged) -> list[str]:
    return [
        f"{judged.chosen.events} labelled events, {judged.chosen.normal_hours:.2f} h normal",
        "  found    recall  precision  false alarms  an hour (95 % bound)   delay   settings",
        *(_tried(one, one == judged.chosen) for one in judged.curve),
        *([] if judged.chosen in judged.curve else [_tried(judged.chosen, True)]),
        "  beside it:",
        _tried(judged.today, False),
        *([] if judged.wished == judged.chosen else [_tried(judged.wished, False)]),
        "",
        f"chosen: {judged.chosen.change}",
        *(f"  gains {_event(one.camera, e)}" for one in tuning.cameras for e in one.found),
        *(f"  loses {_event(one.camera, e)}" for one in tuning.cameras for e in one.missed),
        f"  false alarms: {judged.chosen.outcome.false_alarms}, today "
        f"{judged.today.outcome.false_alarms}",
        "",
    ]


def _event(camera: str, interval: tuple[float, float]) -> str:
    return f"{camera} {spoken(interval[0])} UTC, {interval[1] - interval[0]:.1f} s"


def _tried(one: Tried, chosen: bool) -> str:
    rate, upper = one.false_per_hour
    delay_s = one.outcome.median_delay_s
    delay = "-" if delay_s is None else f"{delay_s:.1f} s"
    return (
        f"{'>' if chosen else ' '} {one.outcome.found:5}/{one.events:<5}{_share(one.recall):>6}"
        f"{_share(one.precision):>10}{one.outcome.false_alarms:>13}"
        f"{_number(rate):>11} ({_number(upper)}){delay:>14}   {one.change}"
    )


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
