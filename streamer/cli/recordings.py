"""`sorawatch recordings`: what has been recorded."""

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from sorawatch import ConfigError
from streamer.cli.common import command, json_option, print_json
from streamer.recording.recordings import cameras, faults, parse_utc, segments
from streamer.status import duration


@command(
    "recordings",
    example="sorawatch recordings recordings\n"
    "sorawatch recordings recordings --camera gate --from 2026-11-27T14:00 "
    "--to 2026-11-27T18:00 --json",
)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("--camera", "names", multiple=True, metavar="NAME",
              help="Only this camera; may be given again.")  # fmt: skip
@click.option("--from", "start", metavar="TIME",
              help="UTC: 2026-11-27T14:00, or seconds since 1970.")  # fmt: skip
@click.option("--to", "end", metavar="TIME", help="UTC, likewise.")
@click.option("--read", is_flag=True, help="Read every segment to its end; slow.")
@json_option
def recordings(
    folder: Path, names: tuple[str, ...], start: str | None, end: str | None, read: bool,
    as_json: bool,
) -> int:  # fmt: skip
    """List recorded segments, and what is wrong with them.

    DIR is what `sorawatch record --out` was given. Gaps, overlaps, truncated, empty and missing
    segments are told; exit status 1 when there are any.
    """
    start_utc_s = None if start is None else parse_utc(start)
    end_utc_s = None if end is None else parse_utc(end)
    if start_utc_s is not None and end_utc_s is not None and end_utc_s <= start_utc_s:
        raise ConfigError(f"--to {end} is not later than --from {start}")
    found = {
        name: (
            segments(folder, name, start_utc_s, end_utc_s),
            faults(folder, name, start_utc_s, end_utc_s, read=read),
        )
        for name in names or cameras(folder)
    }
    if as_json:
        print_json(
            {
                name: {
                    "segments": [asdict(one) for one in held],
                    "faults": [asdict(one) for one in wrong],
                }
                for name, (held, wrong) in found.items()
            }
        )
    else:
        for name, (held, wrong) in found.items():
            total_s = sum(segment.duration_s for segment in held)
            size = sum(segment.bytes for segment in held) / 1e6
            click.echo(f"{name}: {len(held)} segments, {duration(total_s)}, {size:.1f} MB")
            for segment in held:
                click.echo(
                    f"  {_utc(segment.start_utc_s)}  {segment.duration_s:>8.1f} s  "
                    f"{segment.frames:>6} frames  {segment.bytes / 1e6:>8.1f} MB  {segment.codec} "
                    f"{segment.width}x{segment.height}  {segment.ended}"
                )
            for fault in wrong:
                click.echo(f"  {fault.kind}: {fault.text}")
    return int(any(wrong for _, wrong in found.values()))


def _utc(utc_s: float) -> str:
    return datetime.fromtimestamp(utc_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
