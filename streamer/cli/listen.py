"""`sorawatch listen`: print alerts as they come."""

import json
import time
from pathlib import Path

import click

from alerts.curve import CurveClient
from alerts.event import event_schema
from alerts.subscriber import Subscriber, format_event
from streamer.cli.common import command
from streamer.config_alerts import AlertsConfig

_PUBLISH: str = AlertsConfig.model_fields["publish"].default
_CATCH_UP: str = AlertsConfig.model_fields["catch_up"].default


@command(
    "listen",
    example="sorawatch listen\n"
    "sorawatch listen --json --after 0 | jq .explanation.text\n"
    "sorawatch listen tcp://10.0.0.5:5556 --catch-up tcp://10.0.0.5:5557 \\\n"
    "    --key hall.key_secret --server-key sorawatch.key",
)
@click.argument("address", default=_PUBLISH)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a line, as it came: sorawatch.event/1."
)
@click.option("--schema", is_flag=True, help="Print the JSON Schema of an alert, and end.")
@click.option(
    "--catch-up",
    metavar="ADDRESS",
    help=f"Ask here for what was missed.  [default: {_CATCH_UP} for the default ADDRESS]",
)
@click.option(
    "--after",
    type=click.IntRange(0),
    metavar="N",
    help="Begin after alert number N; 0: with the oldest that is kept.",
)
@click.option(
    "--camera",
    "cameras",
    multiple=True,
    metavar="NAME",
    help="Only this camera; may be given again.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Our key pair (.key_secret), where the program has alerts.curve.",
)
@click.option(
    "--server-key",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The program's public key (.key).",
)
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N alerts.")
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="End with exit status 1 when it took longer.",
)
def listen(
    address: str, as_json: bool, schema: bool, catch_up: str | None, after: int | None,
    cameras: tuple[str, ...], key: Path | None, server_key: Path | None, count: int | None,
    timeout_s: float | None,
) -> int:  # fmt: skip
    """Print alerts as they come.

    ADDRESS is the program's alerts.publish. With --timeout, exit status 1 says that the alerts
    that were waited for (--count, or the end of time) did not come.
    """
    if schema:
        click.echo(json.dumps(event_schema(), indent=1))
        return 0
    if catch_up is None and address == _PUBLISH:
        catch_up = _CATCH_UP
    if after is not None and catch_up is None:
        raise click.UsageError("--after needs --catch-up, the program's alerts.catch_up.")
    if (key is None) != (server_key is None):
        raise click.UsageError("--key and --server-key belong together.")
    curve = None if key is None or server_key is None else CurveClient.of_files(key, server_key)
    deadline_s = None if timeout_s is None else time.monotonic() + timeout_s
    printed = 0
    with Subscriber(
        address, catch_up, cameras=cameras or None, after=after, curve=curve
    ) as subscriber:
        while count is None or printed < count:
            left_s = None if deadline_s is None else max(deadline_s - time.monotonic(), 0.0)
            event = subscriber.next(left_s)
            if event is None:
                return 1
            line = event.model_dump_json(by_alias=True) if as_json else format_event(event)
            click.echo(line)
            printed += 1
    return 0
