"""`sorawatch keys`: key pairs, and the list of who may listen."""

from dataclasses import asdict
from pathlib import Path

import click

from alerts.keys import KeyFolder
from streamer.cli.common import command, json_option, print_json


@command(
    "keys",
    example="sorawatch keys keys --make sorawatch --make hall --allow hall\n"
    "sorawatch keys keys --json\n"
    "sorawatch keys keys --forbid hall",
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--make", multiple=True, metavar="NAME",
              help="Make a key pair: NAME.key_secret stays, NAME.key is given away.")  # fmt: skip
@click.option("--allow", multiple=True, metavar="NAME",
              help="Put a key on the list: a NAME in FOLDER, or a public key.")  # fmt: skip
@click.option("--forbid", multiple=True, metavar="NAME", help="Take a key off the list.")
@json_option
def keys(
    folder: Path, make: tuple[str, ...], allow: tuple[str, ...], forbid: tuple[str, ...],
    as_json: bool,
) -> None:  # fmt: skip
    """Make and list keys for alerts beyond this machine.

    FOLDER holds key pairs (NAME.key_secret, NAME.key) and the file `allowed`, which lists the
    public keys that may listen: alerts.curve names its files. No pair is ever overwritten, and
    no secret printed. A running program takes a changed list in when it is restarted.
    """
    kept = KeyFolder(folder)
    for name in make:
        kept.make(name)
    for name in allow:
        kept.allow(name)
    for name in forbid:
        kept.forbid(name)
    found = kept.keys()
    if as_json:
        print_json(
            {"folder": folder, "allowed": kept.allowed_file, "keys": list(map(asdict, found))}
        )
        return
    for key in found:
        may = "may listen" if key.allowed else "-"
        pair = "pair" if key.secret else "public"
        click.echo(f"{key.name or '?':<20} {key.public}  {pair:<6}  {may}")
    if not found:
        click.echo(f"no keys in {folder}: make one with --make NAME", err=True)
