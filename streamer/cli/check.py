"""`sorawatch check`: what a configuration means, and whether this machine can run it."""

from pathlib import Path
from typing import Any

import click
import yaml

from streamer.checks import Finding, check_config
from streamer.cli.common import CONFIG, command, json_option, print_json
from streamer.config import Config, resolve
from streamer.config_load import load_config


@command("check", example="sorawatch check cameras.yaml")
@click.argument("config", type=CONFIG)
@json_option
def check(config: Path, as_json: bool) -> int:
    """Check a configuration, its files and the machine.

    Prints what CONFIG comes to, with passwords masked, then what stands in its way. Cameras are
    not opened: `sorawatch probe` does that. Exit status 1 when there is a problem, 2 when CONFIG
    is no configuration.
    """
    loaded = load_config(config)
    found = check_config(loaded)
    problems = [finding for finding in found if finding.kind == "problem"]
    if as_json:
        notes = [_line(finding) for finding in found if finding.kind == "note"]
        print_json(
            {
                "config": resolved(loaded),
                "problems": [_line(finding) for finding in problems],
                "notes": notes,
            }
        )
    else:
        click.echo(yaml.safe_dump(resolved(loaded), sort_keys=False, allow_unicode=True))
        for finding in found:
            click.echo(f"{finding.kind}: {_line(finding)}")
        click.echo(f"{config}: {len(problems)} problems" if problems else f"{config}: good")
    return 1 if problems else 0


def resolved(config: Config) -> dict[str, Any]:
    """The configuration with every default and override filled in, as plain values, masked."""
    tree = config.model_dump(mode="json")
    cameras = {name: camera.model_dump(mode="json") for name, camera in resolve(config).items()}
    return {**tree, "cameras": cameras}


def _line(finding: Finding) -> str:
    return f"{finding.key}: {finding.text}" if finding.key else finding.text
