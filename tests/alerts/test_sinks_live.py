"""Sinks of the running program: what an operator sees of them, and what nobody does."""

import json
import socket
from pathlib import Path

import psutil
import pytest
from films import write_ordinary
from program import running, write_config
from sink_rig import Server, until

from alerts.sinks.sinks import GRACE_S
from streamer.cli import main


def test_the_program_and_its_sinks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One works, one's server never answers, one's host is gone: the first has every event.

    `status`, `/status` and `/metrics` tell which; no secret stands there, in the log, or in `ps`.
    The program stops in time all the same.
    """
    film = write_ordinary(tmp_path / "film.mp4", 8, crowd=1.0)
    secrets = {"KEY": "s3cret-of-sixteen"}
    with socket.create_server(("127.0.0.1", 0)) as found:
        nobody = found.getsockname()[1]
    with Server() as good, Server(lambda _n, _p: None) as mute:
        hooks = {"type": "webhook", "secret": "${KEY}", "headers": {"X-Key": "${KEY}"}}
        sinks = {
            "good": {**hooks, "url": f"{good.url}&k=${{KEY}}"},
            "mute": {**hooks, "url": f"{mute.url}&k=${{KEY}}"},
            "log": {"type": "syslog", "address": f"tcp://127.0.0.1:{nobody}"},
            "mine": {"type": "script", "command": ["cat"], "env": {"KEY": "${KEY}"}},
        }
        cameras = {"gate": {"source": str(film)}, "yard": {"source": str(film)}}
        config = write_config(tmp_path, cameras, detect={"encoder": "off"}, alerts={"sinks": sinks})
        with running(config, secrets) as (program, heard):
            heard.until(lambda: len(heard.find(state="online", type="new")) == 2, 20, "online")
            mute.wait()

            def told() -> dict[str, dict[str, object]]:
                status = json.loads(program.get("/status")[1])
                return {sink["name"]: sink for sink in status["sinks"]}

            until(lambda: told()["good"]["behind"] == told()["mine"]["behind"] == 0, told)
            until(lambda: told()["log"]["state"] == "failing", told)
            heard.until(
                lambda: [p.seq for p in good.posts] == [e["seq"] for e in heard.events],
                20,
                "the same at the webhook and the subscriber",
            )
            assert [post.seq for post in good.posts] == list(range(1, len(good.posts) + 1))
            frames = program.status()["gate"]["frames"]
            assert program.get("/readyz")[0] == 200
            metrics, page = program.get("/metrics")[1], program.get("/status")[1]
            assert 'sorawatch_sink_working{sink="log",type="syslog"} 0.0' in metrics
            assert 'sorawatch_sink_behind{sink="good",type="webhook"} 0.0' in metrics
            assert 'sorawatch_sink_retries_total{sink="log",type="syslog"}' in metrics
            monkeypatch.setenv("KEY", secrets["KEY"])
            assert main(["status", str(config)]) == 0
            table = capsys.readouterr().out
            assert main(["check", str(config)]) == 0
            shown = capsys.readouterr().out
            processes = [program.process.pid, *_children(program.process.pid)]
            lines = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes)
            until(lambda: program.status()["gate"]["frames"] > frames)
            assert program.stop() <= 2.0 + GRACE_S
        said = program.said()
    assert "sink log (syslog): failing" in table
    assert "sink good (webhook): working" in table
    assert f"tcp://127.0.0.1:{nobody}" in shown
    assert "sink log: " in said
    assert "s3cret" not in said + metrics + table + shown + page + lines.decode()


def _children(pid: int) -> list[int]:
    return [child.pid for child in psutil.Process(pid).children(recursive=True)]
