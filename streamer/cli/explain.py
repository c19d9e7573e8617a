"""`sorawatch explain`: why there was an alert at a moment, or none."""

from pathlib import Path

import click

from sorawatch import ConfigError
from streamer.cli.common import command, json_option, print_json
from streamer.deciding.explain import Explained
from streamer.deciding.explain import explain as run
from streamer.deciding.moment import parse_moment, spoken, utc
from streamer.deciding.replayed import open_replay


@command(
    "explain",
    example="sorawatch explain week --at 2025-11-22T09:13:05Z\n"
    "sorawatch explain week --at '2025-11-22 10:13:05+01:00' --camera gate --json",
)
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--at", required=True, metavar="TIME",
              help="UTC, or with its zone; or UTC seconds.")  # fmt: skip
@click.option("--camera", "cameras", multiple=True, help="This camera alone; may be repeated.")
@json_option
def explain(folder: Path, at: str, cameras: tuple[str, ...], as_json: bool) -> None:
    """Say why there was an alert at a moment of the footage replayed into DIR, or why none.

    The score then and its parts, the threshold then, what normal footage it is compared with, and
    each gate on the way to an alert, up to the one that stopped it.
    """
    try:
        at_s = parse_moment(at)
    except ValueError as exc:
        raise click.BadParameter(str(exc), param_hint="--at") from exc
    replay = open_replay(folder).only(cameras)
    found, wrong = [], None
    for camera in replay.cameras.values():
        try:
            found.append(run(camera, at_s))
        except ConfigError as exc:  # others may have footage of it
            wrong = exc
            if cameras:
                raise
    if not found and wrong is not None:
        raise wrong
    if as_json:
        print_json({"at": utc(at_s), "cameras": [one.document() for one in found]})
    else:
        click.echo("\n\n".join("\n".join(_lines(one)) for one in found))


def _lines(one: Explained) -> list[str]:
    row = one.row
    lines = [
        f"{one.camera} at {utc(row.utc_s)} ({one.source}, {one.into_s:.1f} s from its start)",
    ]
    if one.steps[0].passed:
        parts = ", ".join(
            f"{name} {share:.0%}" for name, share in sorted(row.parts.items(), key=lambda p: -p[1])
        )
        lines.append(
            f"  score      {row.score:.2f}: moving {row.moving:.2f}, standing {row.standing:.2f}"
            + (f"; {parts}" if parts else "")
        )
        if row.text:
            lines.append(f"  because    {row.text}")
        if row.region is not None:
            x, y, width, height = row.region
            lines.append(
                f"  where      {x:.0%} from the left, {y:.0%} from the top, {width:.0%} wide, "
                f"{height:.0%} high"
            )
        lifted = f", lifted from {one.asked:.2f}" if one.threshold > one.asked else ""
        lines.append(f"  threshold  {one.threshold:.2f}{lifted}")
        lines.append(f"  compared   {one.compared}")
        if one.expected_per_day is not None:
            lines.append(f"  expected   {one.expected_per_day:.2g} a day on normal footage")
    if row.conditions:
        lines.append(f"  picture    {', '.join(row.conditions)}")
    if one.drift:
        lines.append(f"  drift      {one.drift}")
    lines += [f"  {'pass' if s.passed else 'STOP'}  {s.name}: {s.text}" for s in one.steps]
    lines.append(
        f"  => an alert: part of the event that began at {spoken(one.event_utc_s or 0.0)} UTC"
        if one.alert
        else f"  => no alert: {one.stopped_by}"
    )
    if one.higher is not None:
        lines.append(
            f"  beside it: the score was {one.higher[1]:.2f} at {utc(one.higher[0])}; explain that"
        )
    return lines
