"""The command line: help, one-line errors, exit statuses, JSON."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest
import yaml
import zmq.auth

from alerts.curve import CurveSettings
from alerts.event import EventDraft, Explanation
from alerts.writer import AlertWriter, WriterSettings
from streamer.cli import _COMMANDS, cli, main
from streamer.cli.common import Progress
from streamer.config_listen import HostPort
from streamer.http import StatusServer
from streamer.status import CameraStatus, ProgramStatus

CONFIG = """
cameras:
  gate:
    source: rtsp://viewer:${PW}@127.0.0.1:1/1
detect: {encoder: off}
alerts: {publish: tcp://127.0.0.1:0, catch_up: tcp://127.0.0.1:0}
metrics: {listen: 127.0.0.1:0}
"""


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PW", "hunter2")
    path = tmp_path / "cameras.yaml"
    path.write_text(CONFIG)
    return path


def status_of_nothing() -> ProgramStatus:
    return ProgramStatus(version="1", pid=7, uptime_s=1)


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_has_help_with_an_example(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """`sorawatch NAME --help` explains it, in the words of the overview, and shows an example."""
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert f"  {_COMMANDS[name]}\n" in text
    assert "Example:\n    " in text
    assert f"sorawatch {name}" in text.partition("Example:")[2]


def test_help_is_quick_and_imports_nothing_large() -> None:
    """`sorawatch --help` loads neither OpenCV, ONNX Runtime, pydantic nor torch."""
    code = (
        "import sys; from streamer.cli import main; main(['--help']);"
        "print([m for m in ('cv2','onnxruntime','torch','numpy','pydantic') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.endswith("[]\n")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` names the program and its version."""
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("sorawatch, version ")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["rnu"], 2, "error: No such command 'rnu'. See `sorawatch --help`."),
        (["check"], 2, "error: Missing argument 'CONFIG'. See `sorawatch check --help`."),
        (["check", "none.yaml"], 2, "error: none.yaml: cannot be read: No such file or directory"),
        (["run", "none.yaml"], 2, "error: none.yaml: cannot be read: No such file or directory"),
        (["listen", "nonsense"], 2, "error: cannot listen to nonsense"),
        (["listen", "tcp://127.0.0.1:1", "--after", "0"], 2, "error: --after needs --catch-up"),
        (["fit", "x.mp4", "--out", "x", "--seconds", "soon"], 2, "error: Invalid value for '--sec"),
        (
            ["fit", "rtsp://u:${NO}@h/x", "--out", "x"],
            2,
            "error: rtsp://u:***@h/x: the environment",
        ),
        (["probe", "rtsp://u:p@127.0.0.1:1/x"], 3, "error: rtsp://u:***@127.0.0.1:1/x: "),
        (["fit", "missing.mp4", "--out", "x.normal"], 3, "error: "),
    ],
)
def test_errors_are_one_line_with_their_status(
    arguments: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What went wrong is one line on standard error, and the exit status is the documented one."""
    assert main(arguments) == status
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_every_mistake_of_a_configuration_is_a_line(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All mistakes are shown at once, none as a traceback; no password among them."""
    config.write_text(CONFIG.replace("source", "sorce") + "log: {level: loud}\n")
    assert main(["check", str(config)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["error"] * 3
    assert f"error: {config}:4: cameras.gate.sorce: unknown key (did you mean source?)" in lines
    assert "hunter2" not in str(lines)


def test_a_traceback_comes_only_with_debug(capsys: pytest.CaptureFixture[str]) -> None:
    """`--debug` adds where it happened."""
    main(["check", "none.yaml"])
    assert "Traceback" not in capsys.readouterr().err
    main(["check", "none.yaml", "--debug"])
    assert "Traceback" in capsys.readouterr().err


def test_interrupts_and_closed_pipes_are_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C ends with 130 and no word."""

    def interrupted(*_args: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", interrupted)
    assert main(["status"]) == 130
    assert capsys.readouterr() == ("", "")


def test_a_reader_that_goes_away_is_no_error() -> None:
    """`sorawatch listen --schema | head -1` ends without a complaint."""
    code = "import sys; from streamer.cli import main; sys.exit(main(['listen', '--schema']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode in (0, 141)


def test_check_shows_what_a_configuration_comes_to(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every default is filled in and every password masked, for people and for programs."""
    assert main(["check", str(config)]) == 0
    out = capsys.readouterr().out
    assert "hunter2" not in out
    assert "rtsp://viewer:***@127.0.0.1:1/1" in out
    assert out.endswith("cameras.yaml: good\n")
    assert main(["check", str(config), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["config"]["cameras"]["gate"]["capture"]["read_timeout_s"] == 3.5
    assert report["problems"] == []


def test_check_finds_what_stands_in_the_way(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Files that are missing or broken and ports in use are found before the program runs."""
    with StatusServer(HostPort("127.0.0.1", 0), status_of_nothing, bytes) as server:
        (config.parent / "empty.mp4").touch()
        (config.parent / "gate.normal").write_bytes(b"not this")
        tree = yaml.safe_load(CONFIG)
        tree["cameras"] = {
            "gate": {"source": "empty.mp4", "normal": "gate.normal"},
            "yard": {"source": "missing.mp4", "capture": {"slots": 256}},
        }
        both = {"source": "rtsp://127.0.0.1:1/1", "normal": "both.normal"}
        tree["cameras"] |= {"east": both, "west": both}
        (config.parent / "notes.txt").write_text("no outbox")
        tree["alerts"] = {"outbox": "notes.txt", "snapshots": "x" * 300}
        tree["detect"] = {"encoder": "none.onnx"}
        tree["metrics"] = {"listen": str(server.address)}
        config.write_text(yaml.safe_dump(tree))
        assert main(["check", str(config), "--json"]) == 1
    problems = "\n".join(json.loads(capsys.readouterr().out)["problems"])
    assert f"cameras.gate.source: {config.parent}/empty.mp4 is empty" in problems
    assert f"cameras.gate.normal: {config.parent}/gate.normal" in problems
    assert f"cameras.yard.source: {config.parent}/missing.mp4 does not exist" in problems
    assert f"cameras.west.normal: {config.parent}/both.normal is not there yet, and" in problems
    assert f"alerts.outbox: {config.parent}/notes.txt is not an outbox" in problems
    assert f"detect: {config.parent}/none.onnx" in problems
    assert "metrics.listen: 127.0.0.1:" in problems


def test_status_is_a_table_or_json(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`status` asks the program that CONFIG describes; 1 when it is not ready, 5 without it."""
    camera = CameraStatus(name="gate", source="0", state="online")
    answer = ProgramStatus(version="1", pid=7, uptime_s=1, cameras=[camera], problems=["disk full"])
    address = HostPort("127.0.0.1", 0)
    with StatusServer(address, lambda: answer, bytes, token="long-enough") as server:
        config.write_text(
            CONFIG.replace(
                "{listen: 127.0.0.1:0}", f"{{listen: '{server.address}', token: '${{PW}}'}}"
            )
        )
        assert main(["status", str(config)]) == 2  # hunter2 is too short for a token
        assert "at least 8" in capsys.readouterr().err
        config.write_text(config.read_text().replace("${PW}", "long-enough"))
        assert main(["status", str(config)]) == 1
        out = capsys.readouterr().out
        assert "NOT READY: disk full" in out
        assert "gate" in out
        assert main(["status", str(config), "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["pid"] == 7
        config.write_text(config.read_text().replace("long-enough", "wrong-one"))
        assert main(["status", str(config)]) == 5
        assert "401" in capsys.readouterr().err
    assert main(["status", str(config)]) == 5
    assert "is `sorawatch run` running?" in capsys.readouterr().err


def test_probe_says_what_a_video_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Codec, size, both rates and time to the first picture, for people and for programs."""
    video = tmp_path / "v.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (64, 48))
    for brightness in range(0, 200, 10):
        writer.write(np.full((48, 64, 3), brightness, np.uint8))
    writer.release()
    assert main(["probe", str(video)]) == 0
    out = capsys.readouterr().out
    assert "64x48" in out
    assert "10.00 frames/s" in out
    assert main(["probe", str(video), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["codec"], found["frames"], found["ended"]) == ("mjpg", 20, True)
    assert main(["probe", str(tmp_path / "none.avi"), "--json"]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["reason"] == "not_found"
    assert err.startswith("error: ")


def test_listen_catches_up_and_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was published before is printed too, for people or as the wire's JSON."""
    settings = WriterSettings(
        tmp_path / "alerts.db", publish="tcp://127.0.0.1:0", catch_up="tcp://127.0.0.1:0"
    )
    draft = EventDraft(
        type="new", id="1-abcdef", camera="gate", kind="anomaly", severity="alert", time=1.0,
        start_time=1.0, score=7.3, explanation=Explanation(text="faster than anything seen here"),
    )  # fmt: skip
    with AlertWriter(settings) as writer:
        assert writer.submit(draft)
        ask = [writer.publish_address, "--catch-up", str(writer.catch_up_address), "--after", "0"]
        assert main(["listen", *ask, "--count", "1", "--timeout", "20", "--json"]) == 0
        event = json.loads(capsys.readouterr().out)
        assert (event["schema"], event["seq"], event["camera"]) == ("sorawatch.event/1", 1, "gate")
        assert main(["listen", *ask, "--count", "1", "--timeout", "20"]) == 0
        assert "faster than anything seen here" in capsys.readouterr().out
        assert main(["listen", *ask, "--count", "2", "--timeout", "0.1"]) == 1
    capsys.readouterr()
    assert main(["listen", "--schema"]) == 0
    jsonschema.validate(event, json.loads(capsys.readouterr().out))


def test_listen_shows_its_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A program that lets in listed keys alone can be listened to, given the files of the keys."""
    for name in ("server", "hall"):
        zmq.auth.create_certificates(tmp_path, name)
    (tmp_path / "allowed").write_text(zmq.auth.load_certificate(tmp_path / "hall.key")[0].decode())
    curve = CurveSettings(tmp_path / "server.key_secret", tmp_path / "allowed")
    local = "tcp://127.0.0.1:0"
    settings = WriterSettings(tmp_path / "alerts.db", publish=local, catch_up=local, curve=curve)
    draft = EventDraft(
        type="new", id="1-abcdef", camera="gate", kind="anomaly", severity="alert", time=1.0,
        start_time=1.0, score=7.3, explanation=Explanation(text="faster than anything seen here"),
    )  # fmt: skip
    with AlertWriter(settings) as writer:
        assert writer.submit(draft)
        ask = ["listen", writer.publish_address, "--catch-up", str(writer.catch_up_address)]
        ask += ["--after", "0", "--count", "1", "--timeout", "20"]
        key = ["--key", str(tmp_path / "hall.key_secret")]
        assert main([*ask, *key, "--server-key", str(tmp_path / "server.key")]) == 0
        assert "gate" in capsys.readouterr().out
    assert main([*ask, *key]) == 2
    assert main([*ask, *key, "--server-key", str(tmp_path / "none.key")]) == 2
    assert "none.key cannot be read" in capsys.readouterr().err


def test_training_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Without torch, `train` and `export` name the extra that brings it."""
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "detectors.encoder.train", raising=False)
    for arguments in (["train", "--config", "x.yaml"], ["export", "x.pt"]):
        assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
        assert "pip install 'sorawatch[train]'" in capsys.readouterr().err


def test_progress_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where standard error is no terminal, progress leaves no trace in it."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with Progress() as progress:
        progress.show("half")
    assert stream.getvalue() == ""
