"""docs/wire.md is what happens: its examples are read, and run against a living program."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jsonschema
import pytest
import yaml
from alert_makers import draft, settings

from alerts import wire
from alerts.curve import CurveSettings
from alerts.event import event_schema
from alerts.writer import AlertWriter

ROOT = Path(__file__).parents[2]
EXAMPLES = [
    (path.name, language, text)
    for path in (ROOT / "docs/wire.md", ROOT / "README.md")
    for language, text in re.findall(r"```(\w+)\n(.*?)```", path.read_text(), re.DOTALL)
]
SUBSCRIBING = [text for _name, kind, text in EXAMPLES if kind == "python" and "5556" in text]


def of_wire(language: str) -> list[str]:
    return [text for name, kind, text in EXAMPLES if (name, kind) == ("wire.md", language)]


def environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path, "PYTHONUNBUFFERED": "1"}


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def test_messages_are_as_they_are_written_there() -> None:
    """Each JSON example is read by the program itself, and fits the published schema."""
    event, available, request, page = map(str.encode, of_wire("json"))
    jsonschema.validate(json.loads(event), event_schema())
    assert wire.decode(event).seq == 42
    assert wire.Available.parse(available).seq == 42
    assert wire.CatchUpRequest.parse(request).cameras == ("gate",)
    assert wire.decode_page(page).events == (wire.decode(event),)


@pytest.mark.parametrize("number", range(len(SUBSCRIBING)))
def test_a_subscriber_as_written_there(tmp_path: Path, number: int) -> None:
    """Copied from the page, it prints every event: those before a gap, in it, and after it."""
    with AlertWriter(settings(tmp_path)) as writer:
        text = SUBSCRIBING[number].replace("tcp://127.0.0.1:5556", writer.publish_address)
        text = text.replace("tcp://127.0.0.1:5557", writer.catch_up_address)
        (tmp_path / "example.py").write_text(text)
        writer.submit(draft(0))
        with running([sys.executable, "example.py"], tmp_path) as child:
            assert child.stdout is not None
            if "done = None, 0" in text:  # this one begins with the oldest
                assert child.stdout.readline()
            else:
                while not any(tmp_path.glob("*.place")) or not any(
                    file.stat().st_size for file in tmp_path.glob("*.place")
                ):
                    assert child.poll() is None, child.stderr and child.stderr.read()
            for event in range(1, 4):
                writer.submit(draft(event))
                line = child.stdout.readline()
                assert "gate" in line
                assert "faster than anything seen here" in line


def test_keys_as_written_there(tmp_path: Path) -> None:
    """The commands make what the configuration names, and let a listener in."""
    make, listen = of_wire("sh")
    done = subprocess.run(
        ["bash", "-e", "-c", make],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "hall" in done.stdout
    (config,) = map(yaml.safe_load, of_wire("yaml"))
    files = config["alerts"]["curve"]
    curve = CurveSettings(
        tmp_path / files["secret_key_file"], tmp_path / files["allowed_keys_file"]
    )
    with AlertWriter(settings(tmp_path, curve=curve)) as writer:
        writer.submit(draft(0))
        command = listen.strip().replace(config["alerts"]["publish"], writer.publish_address)
        command = command.replace(config["alerts"]["catch_up"], writer.catch_up_address)
        heard = subprocess.run(
            ["bash", "-c", f"{command} --after 0 --count 1 --timeout 20"],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert heard.returncode == 0, heard.stderr
        assert "gate" in heard.stdout
