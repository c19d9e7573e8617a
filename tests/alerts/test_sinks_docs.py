"""docs/sinks.md: what it shows works as it stands there."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml
from alert_makers import START_S
from sink_rig import item

from alerts.sinks.syslog import Rfc5424
from alerts.sinks.webhook import sign
from streamer.config import Config
from streamer.config_load import parse_config

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "sinks.md").read_text()
ENV = {name: "0123456789abcdef" for name in re.findall(r"\$\{([A-Z_]+)\}", TEXT) if name != "NAME"}


def blocks(language: str) -> list[str]:
    """What stands between the fences of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


def read(text: str) -> Config:
    cameras = "cameras: {gate: {source: rtsp://10.0.0.20/1}}\n"
    return parse_config(cameras + text, name="docs/sinks.md", folder=Path("/etc/x"), env=ENV)


def test_every_configuration_is_one() -> None:
    """Each example is accepted, and becomes sinks."""
    examples = [text for text in blocks("yaml") if text.startswith("alerts:")]
    found = {name: sink for text in examples for name, sink in read(text).alerts.sinks.items()}
    assert {sink.type for sink in found.values()} == {"mqtt", "webhook", "script", "syslog"}
    for name, sink in found.items():
        assert sink.settings(name).type == sink.type
    assert len(examples) == 6
    assert found["siren"].settings("siren").way.command[0] == "/etc/x/scripts/siren.sh"


def test_the_automation_is_yaml() -> None:
    """And asks for entities whose names we announce."""
    automation = next(text for text in blocks("yaml") if text.startswith("triggers:"))
    assert yaml.safe_load(automation)["triggers"][0]["entity_id"] == "binary_sensor.gate_alert"


def test_the_receiver_tells_genuine_messages() -> None:
    """One that was changed, of another secret, or old, is none."""
    names: dict[str, Any] = {}
    exec(blocks("python")[0], names)  # noqa: S102 - that is what is tested
    genuine = names["genuine"]
    body = item().body
    stamp = str(int(START_S))
    headers = {"Sorawatch-Timestamp": stamp, "Sorawatch-Signature": sign("x" * 16, stamp, body)}
    assert genuine(headers, body, "x" * 16, now=lambda: START_S + 9)
    assert not genuine(headers, body + b" ", "x" * 16, now=lambda: START_S + 9)
    assert not genuine(headers, body, "y" * 16, now=lambda: START_S + 9)
    assert not genuine(headers, body, "x" * 16, now=lambda: START_S + 999)
    assert sign("0123456789abcdef", "1763802001", b'{"seq": 42}') in TEXT


def test_the_script_runs(tmp_path: Path) -> None:
    """As it is, but for the logger of a machine that may have none."""
    script = next(text for text in blocks("sh") if text.startswith("#!"))
    path = tmp_path / "siren.sh"
    path.write_text(script.replace("logger ", "echo "))
    done = subprocess.run(
        ["sh", path],
        input=item().body,
        env={"PATH": "/usr/bin:/bin", "SORAWATCH_CAMERA": "gate"},
        capture_output=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == b"faster than anything seen here"


def test_the_syslog_line_is_what_is_sent() -> None:
    """Byte for byte."""
    shown = next(text for text in blocks("text") if text.startswith("<"))
    event = item(42, id="1763802000.123456-a1b2c3").event
    made = Rfc5424(16, "nvr", 812)(event, "gate: faster than anything seen here", 2000)
    assert made.decode() == shown.strip()
    assert json.loads(item(42).body)["seq"] == 42
