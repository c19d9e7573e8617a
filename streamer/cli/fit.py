"""`sorawatch fit`: learn what is normal at one camera."""

from dataclasses import asdict
from pathlib import Path

import click

from detectors.encoder.providers import Device
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
from streamer.fit import FitProgress, FitReport
from streamer.fit import fit as learn


def _seconds(_ctx: click.Context, _option: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        seconds = parse_duration(text)
    except ValueError as exc:
        raise click.BadParameter(str(exc)) from exc
    if not 0 < seconds < float("inf"):
        raise click.BadParameter("must be longer than 0")
    return seconds


@command(
    "fit",
    example="sorawatch fit recordings/gate-*.mp4 --out normal/gate.normal\n"
    "sorawatch fit 'rtsp://viewer:${PW}@10.0.0.20/stream2' --seconds 1h --out gate.normal",
)
@click.argument("sources", nargs=-1, required=True)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The normality file to write.",
)
@click.option(
    "--seconds",
    metavar="SECONDS",
    callback=_seconds,
    help="How much footage to learn from; needed for a live source. Also 10m, 1h.",
)
@analysis_options
@masks_options
@json_option
def fit(
    sources: tuple[str, ...], out: Path, seconds: float | None, fps: float, device: Device,
    encoder: str, config: Path | None, camera: str | None, as_json: bool,
) -> None:  # fmt: skip
    """Learn a camera's normal footage.

    SOURCES are videos, folders of pictures or streams of one camera, on which nothing unusual
    happens. A quarter of an hour gives a first idea, some hours of different days a good one.
    ${NAME} in a source comes from the environment, which keeps passwords out of `ps`.
    """
    with Progress() as progress:
        report = learn(
            [source_argument(source) for source in sources],
            out,
            fps=fps,
            seconds=seconds,
            encoder=None if encoder in ("builtin", "off") else Path(encoder),
            use_encoder=encoder != "off",
            device=device,
            masks=masks_of(config, camera),
            on_progress=lambda now: progress.show(_doing(now, seconds)),
        )
    if as_json:
        print_json(asdict(report))
    else:
        click.echo(_said(report))


def _said(report: FitReport) -> str:
    said = (
        f"{report.out}: learned from {report.footage_s:.0f} s of footage "
        f"({report.sources} sources) in {report.took_s:.0f} s"
    )
    return said if report.warning is None else f"{said}\nwarning: {report.warning}"


def _doing(now: FitProgress, seconds: float | None) -> str:
    of = "" if seconds is None else f" of {seconds:.0f}"
    return f"[{now.index + 1}/{now.total}] {now.source}: learned {now.footage_s:.0f}{of} s"
