"""Keys: made once, for their owner alone, and never shown."""

import json
import stat
from pathlib import Path

import pytest
import zmq.auth
from alert_makers import WAIT_S, draft, settings

from alerts.curve import CurveClient, CurveSettings
from alerts.subscriber import Subscriber
from alerts.writer import AlertWriter
from streamer.cli import main


def test_keys_that_are_made_let_a_subscriber_in(tmp_path: Path, capsys) -> None:
    """One command makes what the program and a subscriber need; no secret is printed."""
    folder = tmp_path / "keys"
    made = [str(folder), "--make", "sorawatch", "--make", "hall", "--allow", "hall"]
    assert main(["keys", *made]) == 0
    text = capsys.readouterr().out
    assert main(["keys", str(folder), "--json"]) == 0
    document = capsys.readouterr().out
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    secrets = [zmq.auth.load_certificate(path)[1] for path in folder.glob("*.key_secret")]
    assert len(secrets) == 2
    assert not any(secret.decode() in text + document for secret in secrets if secret)
    listed = json.loads(document)["keys"]
    assert [(key["name"], key["secret"], key["allowed"]) for key in listed] == [
        ("hall", True, True),
        ("sorawatch", True, False),
    ]
    curve = CurveSettings(folder / "sorawatch.key_secret", folder / "allowed")
    client = CurveClient.of_files(folder / "hall.key_secret", folder / "sorawatch.key")
    with (
        AlertWriter(settings(tmp_path, curve=curve)) as writer,
        Subscriber(writer.publish_address, writer.catch_up_address, curve=client) as events,
    ):
        assert events.wait_available(WAIT_S)
        writer.submit(draft(0))
        assert events.next(WAIT_S)


def test_a_pair_is_never_overwritten(tmp_path: Path, capsys) -> None:
    """Made a second time, or where a public key of that name lies: refused, nothing changed."""
    assert main(["keys", str(tmp_path), "--make", "hall"]) == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert main(["keys", str(tmp_path), "--make", "hall"]) == 2
    assert "there is a key hall" in capsys.readouterr().err
    (tmp_path / "hall.key_secret").unlink()
    assert main(["keys", str(tmp_path), "--make", "hall"]) == 2
    after = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert after == {path: raw for path, raw in before.items() if path.suffix == ".key"}


@pytest.mark.parametrize("name", ["", ".", "../x", "a/b", "a b", "-x", "x" * 65, "ü"])
def test_a_name_stays_in_its_folder(tmp_path: Path, name: str, capsys) -> None:
    """Names that are paths, or none, are refused."""
    assert main(["keys", str(tmp_path / "keys"), f"--make={name}"]) == 2
    assert "the name of a key" in capsys.readouterr().err
    assert list(tmp_path.rglob("*key*")) == []


def test_the_list_of_who_may_listen(tmp_path: Path, capsys) -> None:
    """Allowed by name or by key, once; forbidden again; what people wrote beside it stays."""
    folder = tmp_path / "keys"
    assert main(["keys", str(folder), "--make", "hall", "--make", "yard", "--allow", "yard"]) == 0
    allowed = folder / "allowed"
    allowed.write_text(allowed.read_text() + "# the gate's screen\n")
    public = zmq.auth.load_certificate(folder / "hall.key")[0].decode()
    for name in (public, "hall"):
        assert main(["keys", str(folder), "--allow", name]) == 0
    assert allowed.read_text().count(public) == 1
    assert main(["keys", str(folder), "--forbid", "yard"]) == 0
    lines = allowed.read_text().splitlines()
    assert lines[1:] == ["# the gate's screen", f"{public} hall"]
    capsys.readouterr()
    for name, message in (("nobody", "no key nobody"), ("x" * 39 + "ü", "not a public key")):
        assert main(["keys", str(folder), "--allow", name]) == 2
        assert message in capsys.readouterr().err
