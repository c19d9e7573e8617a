"""The script hook: what somebody's own command gets, and how it answers."""

import json
import logging
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from alert_makers import WAIT_S, draft
from sink_rig import item, report, running, sink, until

from alerts.sinks.halt import Halt
from alerts.sinks.script import Script, ScriptSettings
from alerts.sinks.sink import NotNow, Refused


def shell(folder: Path, text: str) -> tuple[str, ...]:
    """A script of one's own."""
    path = folder / "hook.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return (str(path),)


def run(*command: str, **facts: Any) -> None:
    halt = Halt()
    try:
        Script("mine", ScriptSettings(command, **facts), halt).send(item())
    finally:
        halt.close()


def test_it_gets_the_event_and_a_few_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """JSON on standard input, words in the environment; the cameras' passwords are not there."""
    monkeypatch.setenv("GATE_PASSWORD", "s3cret")
    out = tmp_path / "out"
    command = shell(tmp_path, f'cat > {out}.json; env > {out}.env; printf %s "$2" > {out}.args')
    way = ScriptSettings((*command, "a b", "$HOME; touch x"), env={"TOKEN": "t0ken"})
    with running(tmp_path, sink("mine", way)) as (writer, sinks):
        writer.submit(draft(0))
        until(lambda: report(sinks, "mine").delivered == 1, sinks.reports)
    event = json.loads((tmp_path / "out.json").read_text())
    assert (event["seq"], event["camera"]) == (1, "gate")
    env = dict(line.split("=", 1) for line in (tmp_path / "out.env").read_text().splitlines())
    assert env["SORAWATCH_CAMERA"] == "gate"
    assert env["SORAWATCH_TYPE"] == "new"
    assert env["SORAWATCH_ID"] == event["id"]
    assert env["SORAWATCH_SINK"] == "mine"
    assert env["TOKEN"] == "t0ken"
    assert "GATE_PASSWORD" not in env
    assert (tmp_path / "out.args").read_text() == "$HOME; touch x", "no shell reads arguments"


def test_the_exit_status_decides(tmp_path: Path) -> None:
    """0 is done, 65 is never, all else is tried again; what it complained of is repeated."""
    run("true")
    with pytest.raises(Refused, match=r"ended with status 65: not mine"):
        run(*shell(tmp_path, "echo first >&2; echo not mine >&2; exit 65"))
    with pytest.raises(NotNow, match="ended with status 1"):
        run("false")
    with pytest.raises(NotNow, match="was ended by signal 9"):
        run(*shell(tmp_path, "kill -9 $$"))
    with pytest.raises(NotNow, match=r"/nowhere/x cannot be run: No such file or directory"):
        run("/nowhere/x")


def test_it_is_tried_again_until_it_works(tmp_path: Path) -> None:
    """An outage of what the script talks to loses nothing; the order stays."""
    out = tmp_path / "out"
    text = (
        f"n=$(cat {out}.n 2>/dev/null || echo 0); echo $((n+1)) > {out}.n; [ $n -ge 3 ] || exit 1"
    )
    command = shell(tmp_path, f"{text}; echo $SORAWATCH_SEQ >> {out}")
    with running(tmp_path, sink("mine", ScriptSettings(command))) as (writer, sinks):
        for number in range(3):
            writer.submit(draft(number))
        until(lambda: report(sinks, "mine").delivered == 3, sinks.reports)
        assert report(sinks, "mine").retries == 3
    assert out.read_text().split() == ["1", "2", "3"]


def test_what_takes_too_long_is_ended_with_all_its_children(tmp_path: Path) -> None:
    """Also when it will not listen; nothing of it is left."""
    pids = tmp_path / "pids"
    command = shell(tmp_path, f"trap '' TERM; sleep 1000 & echo $$ $! > {pids}; wait; wait")
    began_s = time.monotonic()
    with pytest.raises(NotNow, match=r"took longer than 0\.3 s"):
        run(*command, limit_s=0.3)
    assert time.monotonic() - began_s < WAIT_S

    def left() -> list[int]:
        found = []
        for pid in map(int, pids.read_text().split()):
            try:
                if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                    found.append(pid)
            except psutil.NoSuchProcess:
                continue
        return found

    until(lambda: not left(), left)


def test_the_end_of_the_program_does_not_wait_for_it(tmp_path: Path) -> None:
    """A script in the middle of something is ended, and run again at the next start."""
    began = tmp_path / "began"
    command = shell(tmp_path, f"touch {began}; exec sleep 1000")
    with running(tmp_path, sink("mine", ScriptSettings(command))) as (writer, _sinks):
        writer.submit(draft(0))
        until(began.exists)
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 2.0
    with running(tmp_path, sink("mine", ScriptSettings(shell(tmp_path, "true")))) as (_, sinks):
        until(lambda: report(sinks, "mine").delivered == 2)  # the event, and its end by the stop


def test_output_neither_blocks_nor_fills_memory() -> None:
    """A script that talks without end is ended at its limit like any other."""
    code = "import sys\nwhile True: sys.stderr.write('x' * 100000); sys.stdout.write('y' * 100000)"
    before = psutil.Process().memory_info().rss
    with pytest.raises(NotNow, match="took longer"):
        run(sys.executable, "-c", code, limit_s=0.5)
    assert psutil.Process().memory_info().rss - before < 20e6


def test_secrets_are_neither_said_nor_seen(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in `ps`, and masked where the script itself blurts them out."""
    caplog.set_level(logging.DEBUG)
    seen = tmp_path / "ps"
    command = shell(
        tmp_path, f'tr "\\0" " " < /proc/$$/cmdline > {seen}; echo "no $TOKEN" >&2; exit 1'
    )
    way = ScriptSettings(command, env={"TOKEN": "s3cret"})
    with running(tmp_path, one := sink("mine", way)) as (writer, sinks):
        writer.submit(draft(0))
        until(lambda: report(sinks, "mine").retries > 0)
        said = f"{caplog.text} {sinks.reports()} {one!r}"
        assert "no ***" in str(report(sinks, "mine").error)
    assert "s3cret" not in said + seen.read_text()


def test_it_inherits_no_sockets_of_ours() -> None:
    """Nothing is open in it but standard input and output."""
    with open(os.devnull, "rb") as extra:
        os.set_inheritable(extra.fileno(), True)
        run("/bin/sh", "-c", "set -- /proc/self/fd/*; [ $# -le 4 ] || exit 1")
