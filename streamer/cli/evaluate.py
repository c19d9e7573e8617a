"""`sorawatch evaluate`: how good it is on labelled footage."""

from pathlib import Path

import click

from detectors.encoder.providers import Device
from streamer.cli.common import Progress, analysis_options, command, json_option, print_json
from streamer.evaluation.evaluate import Progress as Now
from streamer.evaluation.evaluate import evaluate as run
from streamer.evaluation.summary import OperatingPoint, Summary

_POINTS = {
    "calibrated": "calibrated (threshold from train/ alone: what an operator gets)",
    "at_false_alarms": "at false alarms (threshold chosen on the test's normal frames: the ROC)",
}


@command(
    "evaluate",
    example="sorawatch evaluate data/ped2 --out ped2-out\n"
    "sorawatch evaluate data/mine --out mine-out --fps 5 --encoder off --json",
)
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder to write: summary.json, scores/, regions/, pictures/.",
)
@analysis_options
@click.option(
    "--alerts-per-day",
    type=click.FloatRange(0, min_open=True),
    multiple=True,
    default=(1.0,),
    show_default=True,
    help="An alarm budget to report besides 1, 10 and 60 an hour; may be repeated.",
)
@json_option
def evaluate(
    dataset: Path, out: Path, fps: float, device: Device, encoder: str,
    alerts_per_day: tuple[float, ...], as_json: bool,
) -> None:  # fmt: skip
    """Score labelled footage as the running program would.

    DATASET holds train/ (normal footage), test/ and labels.json, as docs/datasets.md tells. What is
    normal is learned from train/ alone; each score uses no later frame; nothing is normalised or
    chosen on test/, but for the figures that say so.
    """
    with Progress() as progress:
        summary = run(
            dataset,
            out,
            fps=fps,
            encoder=None if encoder in ("builtin", "off") else Path(encoder),
            use_encoder=encoder != "off",
            device=device,
            alerts_per_day=alerts_per_day,
            on_progress=lambda now: progress.show(_doing(now)),
        )
    if as_json:
        print_json(summary.document())
    else:
        click.echo("\n".join(_table(summary)))
        click.echo(f"\nScores, pictures and summary.json are in {out}")


def _doing(now: Now) -> str:
    return f"{now.doing} [{now.index + 1}/{now.total}] {now.source}"


def _table(summary: Summary) -> list[str]:
    """What people want to know first."""
    s = summary
    encoder = "motion alone" if s.encoder_sha256 is None else f"encoder {s.encoder_sha256[:12]}"
    interval = f"95 % interval {_number(s.micro_auc_low95)} to {_number(s.micro_auc_high95)}"
    lines = [
        f"{s.dataset}: learned from {s.train_footage_s:.0f} s ({s.train_entries} entries) in "
        f"{s.learning_s:.0f} s; {encoder}, {s.fps:g} frames analysed a second",
        f"test: {s.test_entries} entries, {s.test_frames} frames ({s.test_footage_s:.0f} s), "
        f"{s.anomalous_frames} anomalous in {s.events} events; {s.normal_footage_s:.0f} s normal",
        "",
        f"micro AUC           {_number(s.micro_auc)}   {interval}, by entry",
        f"macro AUC           {_number(s.macro_auc)}   {s.macro_auc_entries} entries hold both",
        f"average precision   {_number(s.average_precision)}",
        f"equal error rate    {_number(s.equal_error_rate)}",
        f"RBDC, TBDC          {_number(s.rbdc)}, {_number(s.tbdc)}   {s.tracks} tracks",
        f"detector            {_number(s.detector_cpu_ms_per_s, 1)} CPU ms per second of footage",
    ]
    for kind, title in _POINTS.items():
        points = [point for point in s.operating_points if point.kind == kind]
        if points:
            lines += ["", title, _HEAD, *(_row(point, s.events) for point in points)]
    if s.notes:
        lines += ["", *(f"note: {note}" for note in s.notes)]
    return lines


_HEAD = "  rate         threshold  found (early)  median delay  false alarms  an hour (95 % bound)"


def _row(point: OperatingPoint, events: int) -> str:
    found = f"{point.events_found}/{events} ({point.events_found_early})"
    delay = "-" if point.median_delay_s is None else f"{point.median_delay_s:.1f} s"
    rate = _number(point.false_alarms_per_hour, 1)
    upper = _number(point.false_alarms_per_hour_upper95, 1)
    return (
        f"  {point.asked:<11}  {point.threshold:>9.3g}  {found:>13}  {delay:>12}  "
        f"{point.false_alarms:>12}  {rate} ({upper})"
    )


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
