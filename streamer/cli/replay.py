"""`sorawatch replay`: recorded footage through the live path."""

import os
from dataclasses import asdict
from pathlib import Path

import click

from sorawatch import SourceError
from streamer.cli.common import (
    CONFIG,
    Number,
    Progress,
    command,
    json_option,
    print_json,
    source_argument,
)
from streamer.config_load import load_config
from streamer.recording.recordings import parse_utc
from streamer.replay.gather import gather, parse_range
from streamer.replay.replay import ReplayProgress, ReplayReport
from streamer.replay.replay import replay as run


@command(
    "replay",
    example="sorawatch replay monday.mp4 --config cameras.yaml --camera gate --out monday\n"
    "sorawatch replay clips/ --config cameras.yaml --camera gate --out clips-out --resume\n"
    "sorawatch replay recordings/ --config cameras.yaml --camera gate --out night "
    "--from 2026-11-27T22:00 --to 2026-11-28T06:00\n"
    "sorawatch replay gate.mp4 --config cameras.yaml --camera gate --out live --speed 1",
)
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@click.option("--config", type=CONFIG, required=True, help="The configuration to replay with.")
@click.option("--camera", required=True, help="Whose footage it is: a name in CONFIG.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder to write: replay.json, trace/, events.jsonl, pictures/, report.html.",
)
@click.option(
    "--start",
    metavar="UTC",
    help="When the first frame was taken, 2026-11-27T14:30:00Z; the sources follow one another "
    "from then on. Else a file ends when it was last changed.",
)
@click.option(
    "--from",
    "first",
    metavar="TIME",
    help="Begin there: UTC, or a length of time into each source (90s, 1h).",
)
@click.option("--to", "last", metavar="TIME", help="End there, as --from.")
@click.option(
    "--unbroken/--apart",
    default=None,
    help="Whether sources that touch in time are pieces of one recording: nothing is forgotten "
    "between. Segments of a recording are, if not given; other files are not.",
)
@click.option(
    "--folder-fps",
    type=Number(0, 1000, min_open=True),
    default=10.0,
    show_default=True,
    help="Frames a second of a folder of frames.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 512),
    help="Processes that work at once; each source is one's alone. Else one a core.",
)
@click.option(
    "--batch",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Sources that one process takes at a time: more keep a GPU busy.",
)
@click.option(
    "--speed",
    type=Number(0, 1000, min_open=True),
    help="So many times as fast as it happened, one source after the other, and publish the "
    "alerts as if live. Else as fast as it goes, publishing nothing.",
)
@click.option("--resume", is_flag=True, help="Go on with OUT: what is finished stays.")
@json_option
def replay(
    sources: tuple[str, ...], config: Path, camera: str, out: Path, start: str | None,
    first: str | None, last: str | None, unbroken: bool | None, folder_fps: float, jobs: int | None,
    batch: int, speed: float | None, resume: bool, as_json: bool,
) -> None:  # fmt: skip
    """Replay recorded footage as if it were live.

    SOURCE is a video file, a folder of videos or of frames, a data set (its test/ is replayed), or
    what `sorawatch record --out` was given.
    The same footage, CONFIG, model and normality give the same trace, bit for bit, whatever --jobs,
    --batch and --speed. What is finished when it is interrupted stays usable: --resume goes on.
    """
    loaded = load_config(config)
    runs = gather(
        [source_argument(text, folder_fps=folder_fps) for text in sources],
        camera,
        start_utc_s=None if start is None else parse_utc(start),
        part=parse_range(first, last),
        unbroken=unbroken,
    )
    with Progress() as progress:
        report = run(
            runs,
            loaded,
            camera,
            out,
            jobs=jobs or len(os.sched_getaffinity(0)),
            batch=batch,
            speed=speed,
            resume=resume,
            on_progress=lambda now: progress.show(_doing(now)),
        )
    if as_json:
        print_json(asdict(report))
    else:
        click.echo("\n".join(_lines(report)))
    if report.incomplete:
        raise SourceError(
            f"{report.incomplete} of {report.sources} sources could not be replayed to their end; "
            f"{out} holds the rest: {report.problems[0]}"
        )


def _doing(now: ReplayProgress) -> str:
    share = 100 * now.done_s / now.total_s if now.total_s > 0 else 0.0
    speed = now.done_s / now.took_s if now.took_s > 0 else 0.0
    left = "" if now.left_s is None else f", {_clock(now.left_s)} left"
    return (
        f"replaying [{now.sources_done}/{now.sources}] {share:.0f} %, "
        f"{speed:.0f} times real time{left}"
    )


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _lines(report: ReplayReport) -> list[str]:
    speed = report.footage_s / report.took_s if report.took_s > 0 else 0.0
    kept = f" ({report.resumed} kept from before)" if report.resumed else ""
    lines = [
        f"{report.camera}: {report.sources} sources{kept}, {_clock(report.footage_s)} of footage "
        f"in {report.took_s:.0f} s ({speed:.0f} times real time)",
        f"{report.alerts} alerts, {report.events} messages in all: {report.out / 'events.jsonl'}",
        f"to look at, and to try settings on: {report.out / 'report.html'}",
    ]
    return lines + [f"note: {problem}" for problem in report.problems]
