"""`sorawatch probe`: what a source is, or why it cannot be had."""

from dataclasses import asdict
from typing import Any

import click

from sorawatch import SourceError
from streamer.capture.probe import ProbeResult
from streamer.capture.probe import probe as look
from streamer.capture.settings import CaptureSettings, Transport
from streamer.cli.common import command, json_option, print_json, source_argument


@command("probe", example="sorawatch probe 'rtsp://viewer:${PW}@10.0.0.20/stream2'")
@click.argument("source")
@click.option(
    "--seconds",
    type=click.FloatRange(0.5, 600),
    default=5.0,
    show_default=True,
    help="How long to read it.",
)
@click.option(
    "--transport",
    type=click.Choice(["tcp", "udp"]),
    default="tcp",
    show_default=True,
    help="How RTSP brings its packets.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.5, 600),
    default=10.0,
    show_default=True,
    help="Longest wait for a connection, seconds.",
)
@json_option
def probe(
    source: str, seconds: float, transport: Transport, timeout_s: float, as_json: bool
) -> None:  # fmt: skip
    """Try a source: codec, size, rates, or why not.

    SOURCE is an rtsp, rtsps, http or https URL, a video, a folder of pictures or a device's
    number. ${NAME} in it comes from the environment, which keeps passwords out of `ps`. Exit
    status 3 when no picture could be had; the reason is auth, not_found, refused, timeout, codec
    or error.
    """
    parsed = source_argument(source)
    settings = CaptureSettings(transport=transport, open_timeout_s=timeout_s)
    facts: dict[str, Any] = {"source": parsed.masked}
    try:
        found = look(parsed, seconds, settings)
    except SourceError as exc:
        if as_json:
            print_json({**facts, "ok": False, "reason": exc.reason, "error": str(exc)})
        raise SourceError(f"{exc} ({exc.reason})", exc.reason) from exc
    if as_json:
        print_json({**facts, "ok": True, **asdict(found)})
    else:
        click.echo(f"{parsed.masked}\n{_said(found)}")


def _said(found: ProbeResult) -> str:
    declared = "none" if found.fps_declared is None else f"{found.fps_declared:.2f} frames/s"
    true = "too few frames to say" if found.fps is None else f"{found.fps:.2f} frames/s"
    frames = f"{found.frames}{', all there are' if found.ended else ''}"
    if found.ended and found.frames_declared not in (None, found.frames):
        frames += f" ({found.frames_declared} declared)"
    rows = [
        ("codec", found.codec or "unknown"),
        ("size", f"{found.width}x{found.height}"),
        ("rate declared", declared),
        ("rate true", true),
        ("first picture", f"after {found.first_frame_s:.2f} s"),
        ("frames read", frames),
    ]
    if found.damaged:
        rows.append(("damaged", str(found.damaged)))
    return "\n".join(f"  {name:<14} {value}" for name, value in rows)
