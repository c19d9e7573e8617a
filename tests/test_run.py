"""`sorawatch run` as a supervisor sees it: a process that is started, reloaded and stopped."""

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from streamer.cli import main

# Nothing listens on port 1: the cameras are offline, which is no reason for the program to end.
CONFIG = """
cameras:
  gate: {source: "rtsp://viewer:${PW}@127.0.0.1:1/1"}
detect: {encoder: off}
alerts: {publish: tcp://127.0.0.1:0, catch_up: tcp://127.0.0.1:0}
metrics: {listen: 127.0.0.1:PORT}
log: {format: json}
"""
YARD = '  yard: {source: "rtsp://127.0.0.1:1/2"}\n'
START_S = 30.0


COMMAND = [sys.executable, "-c", "import sys; from streamer.cli import main; sys.exit(main())"]


class Running:
    """A `sorawatch run`, with the socket on which it tells its supervisor how it is."""

    def __init__(self, process: "subprocess.Popen[str]", notified: socket.socket) -> None:
        self.process = process
        self._notified = notified

    def told(self) -> str:
        """The next state that it tells: READY=1, RELOADING=1 or STOPPING=1."""
        return self._notified.recv(200).decode().splitlines()[0]

    def ended(self) -> tuple[int, str]:
        """Exit status and standard error, once it has ended."""
        _, err = self.process.communicate(timeout=START_S)
        return self.process.returncode, err


@pytest.fixture
def config(tmp_path: Path) -> Path:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    path = tmp_path / "cameras.yaml"
    path.write_text(CONFIG.replace("PORT", str(port)))
    return path


def port_of(config: str) -> int:
    """Where the program serves its pages."""
    return int(config.partition("listen: 127.0.0.1:")[2].partition("}")[0])


@contextmanager
def running(config: Path) -> Iterator[Running]:
    """Start it, and wait until it says that it is ready."""
    address = config.parent / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
        notified.bind(str(address))
        notified.settimeout(START_S)
        process = subprocess.Popen(
            [*COMMAND, "run", str(config)],
            env=os.environ | {"NOTIFY_SOCKET": str(address), "PW": "hunter2"},
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            program = Running(process, notified)
            assert program.told() == "READY=1"
            yield program
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_gracefully(config: Path, number: signal.Signals) -> None:
    """SIGTERM and Ctrl-C end the program with status 0; its supervisor is told; no secret is."""
    with running(config) as program:
        program.process.send_signal(number)
        assert program.told() == "STOPPING=1"
        status, err = program.ended()
    assert status == 0, err
    assert "hunter2" not in err


def test_a_signal_while_it_starts_ends_it_gracefully(config: Path) -> None:
    """Whoever stops the program in its first second does not wait for it to be killed."""
    process = subprocess.Popen(
        [*COMMAND, "run", str(config)],
        env=os.environ | {"PW": "hunter2"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        # Cameras are being added, nothing is ready yet.
        line = next(line for line in process.stderr if "gate: no normality file" in line)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=START_S)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0, line + err
    assert "SIGTERM: stopping" in err


def test_reloads_asked_for_during_a_reload_are_one(config: Path) -> None:
    """SIGHUP over and over makes no queue: what has not begun reads what is there by then."""
    text = config.read_text()
    with running(config) as program:
        config.unlink()
        os.mkfifo(config)  # a reload waits until somebody writes it
        for _ in range(10):
            program.process.send_signal(signal.SIGHUP)
            urlopen(f"http://127.0.0.1:{port_of(text)}/livez", timeout=START_S).close()
        assert program.told() == "RELOADING=1"
        with config.open("w") as fifo:
            config.unlink()
            config.write_text(text)
            fifo.write(text)
        assert [program.told() for _ in range(3)] == ["READY=1", "RELOADING=1", "READY=1"]
        program.process.send_signal(signal.SIGTERM)
        assert program.told() == "STOPPING=1"
        status, err = program.ended()
    assert status == 0, err


def test_reload_takes_cameras_over_and_keeps_the_old_when_wrong(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SIGHUP brings in a new camera; a configuration with a mistake changes nothing but the log."""
    monkeypatch.setenv("PW", "hunter2")
    with running(config) as program:
        good = config.read_text().replace("detect:", YARD + "detect:", 1)
        for text in (good, good.replace("yard", "y a r d")):
            config.write_text(text)
            program.process.send_signal(signal.SIGHUP)
            assert [program.told(), program.told()] == ["RELOADING=1", "READY=1"]
        config.write_text(good)
        assert main(["status", str(config)]) == 0
        out = capsys.readouterr().out
        assert "gate" in out
        assert "yard" in out
        program.process.send_signal(signal.SIGTERM)
        _, err = program.ended()
    assert "not reloaded, the old configuration stays" in err
    assert "a camera's name is" in err


def test_a_reload_lets_no_two_cameras_learn_into_one_file(config: Path) -> None:
    """A new camera cannot take the file that another one is learning into; it is said why not."""
    gate = config.read_text().replace('/1"}', '/1", normal: x.normal}')
    config.write_text(gate)
    with running(config) as program:
        config.write_text(
            gate.replace("detect:", YARD.replace("}", ", normal: x.normal}") + "detect:")
        )
        program.process.send_signal(signal.SIGHUP)
        assert [program.told(), program.told()] == ["RELOADING=1", "READY=1"]
        program.process.send_signal(signal.SIGTERM)
        _, err = program.ended()
    assert "not reloaded, the old configuration stays" in err
    assert "gate learns into it too" in err


def test_hundreds_of_cameras_may_be_opened(config: Path) -> None:
    """The usual limit of open files, which 500 cameras would reach, is raised by the program."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    try:
        with running(config) as program:
            assert resource.prlimit(program.process.pid, resource.RLIMIT_NOFILE)[0] == min(
                16_384, hard
            )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_second_signal_ends_it_at_once(config: Path) -> None:
    """Whoever cannot wait for a graceful end asks twice."""
    with running(config) as program:
        # Both are pending when it goes on, so the second comes before the end is reached.
        program.process.send_signal(signal.SIGSTOP)
        program.process.send_signal(signal.SIGTERM)
        program.process.send_signal(signal.SIGINT)
        program.process.send_signal(signal.SIGCONT)
        status, _ = program.ended()
    assert status in (128 + signal.SIGTERM, 128 + signal.SIGINT)


def test_a_port_in_use_ends_it_with_one_line(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second program on the same ports says which, and ends with the documented status."""
    monkeypatch.setenv("PW", "hunter2")
    port = port_of(config.read_text())
    with socket.create_server(("127.0.0.1", port)):
        assert main(["run", str(config)]) == 5
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    assert f"127.0.0.1:{port}" in lines[-1]
