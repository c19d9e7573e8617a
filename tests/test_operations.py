"""What an operator does to the running program, and what becomes of it when it is killed."""

import os
import shutil
import signal
import socket
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import zmq
import zmq.auth
from disk import fill, small_disk
from films import write_ordinary
from program import Program, Remains, free_port, running, sorawatch, write_config
from rtsp_server import RtspServer, missing

from streamer.capture.ring import ring_bytes
from streamer.capture.source import Source
from streamer.cli import main
from streamer.fit import fit

OFF = {"encoder": "off"}
SECONDS = 60.0


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ordinary(tmp_path_factory.mktemp("film") / "film.mp4", SECONDS, crowd=2.0)


def workers(program: Program) -> set[int]:
    """The processes that capture cameras."""
    found = set()
    for pid in Remains(program).processes - {program.process.pid}:
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
            found.add(pid)
    return found


def test_reload_touches_only_what_changed(film: Path, tmp_path: Path) -> None:
    """SIGHUP adds, removes and restarts cameras; one that did not change loses nothing by it.

    It goes on in the same worker, every one of its frames is analysed, and its state is told no
    second time. A configuration with a mistake, or with a normality file that cannot be used,
    changes nothing.
    """
    same = {"source": str(film)}
    cameras = {"same": same, "gone": same, "changed": same}
    config = write_config(tmp_path, cameras, detect=OFF)
    with running(config) as (program, heard):
        heard.until(lambda: len(heard.find(state="online", type="new")) == 3, 20, "all online")
        before, at_first = program.status()["same"], workers(program)
        assert len(at_first) == 3
        since = len(heard.events)
        cameras = {"same": same, "new": same, "changed": {**same, "judge": {"cooldown_s": 1}}}
        program.reload(write_config(tmp_path, cameras))
        for name in ("new", "changed"):
            heard.until_event(20, since, camera=name, state="online", type="new")
        for name in ("gone", "changed"):
            end = heard.until_event(5, since, camera=name, state="online", type="end")
            assert end["ended_by"] == "stopped"
        after = program.status()
        assert set(after) == set(cameras)
        assert after["same"]["frames"] > before["frames"]
        assert after["same"]["since_s"] > before["since_s"]
        assert after["same"]["reconnects"] == 0
        assert sum(after["same"]["dropped"].values()) == 0
        assert not heard.find(since, camera="same", kind="health")
        now = workers(program)
        assert len(now) == 3
        assert len(now & at_first) == 1, "only the unchanged camera keeps its worker"
        (tmp_path / "bad.normal").write_bytes(b"nonsense")
        bad = {**same, "normal": str(tmp_path / "bad.normal")}
        for wrong, said in (
            ({"n/n": same}, "a camera's name is"),
            ({"n": bad}, "cameras.n.normal"),
        ):
            program.reload(write_config(tmp_path, wrong))
            assert said in program.said()
            assert set(program.status()) == set(cameras)
            assert workers(program) == now
        assert program.said().count("not reloaded, the old configuration stays") == 2
        assert program.stop() <= 2.0


def test_check_while_it_runs(film: Path, tmp_path: Path) -> None:
    """A configuration can be checked before SIGHUP: the program's own ports are no problem."""
    publish = f"tcp://127.0.0.1:{free_port()}"
    alerts = {"publish": publish, "catch_up": f"tcp://127.0.0.1:{free_port()}"}
    config = write_config(tmp_path, {"one": {"source": str(film)}}, detect=OFF, alerts=alerts)
    with running(config) as (program, _):
        checked = sorawatch("check", config)
        assert checked.returncode == 0, checked.stdout + checked.stderr
        assert f"pid {program.process.pid}" in checked.stdout + checked.stderr
        other = write_config(tmp_path, {"one": {"source": str(film)}}, metrics={"listen": None})
        assert sorawatch("check", other).returncode == 1
        assert program.stop() <= 2.0


def test_reload_takes_up_what_was_learned_anew(film: Path, normal: Path, tmp_path: Path) -> None:
    """After `sorawatch fit` has replaced a camera's normality file, SIGHUP puts it to use."""
    used, other = tmp_path / "used.normal", tmp_path / "other.normal"
    shutil.copy(normal, used)
    shutil.copy(normal, other)
    cameras = {name: {"source": str(film), "normal": str(tmp_path / f"{name}.normal")}
               for name in ("used", "other")}  # fmt: skip
    config = write_config(tmp_path, cameras)
    with running(config) as (program, heard):
        heard.until(lambda: len(heard.find(state="online", type="new")) == 2, 20, "both online")
        since = len(heard.events)
        fit([Source.parse(str(film))], used, seconds=30)
        program.reload(config)
        heard.until_event(20, since, camera="used", state="online", type="new")
        assert not heard.find(since, camera="other", kind="health")
        assert program.stop() <= 2.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_abrupt_end_leaves_nothing(film: Path, tmp_path: Path, number: signal.Signals) -> None:
    """A second SIGTERM, and kill -9, end its workers too, and free the shared memory."""
    config = write_config(tmp_path, {"gate": {"source": str(film)}}, detect=OFF)
    with running(config) as (program, heard):
        heard.until_event(20, state="online")
        remains = Remains(program)
        assert len(remains.rings) == 1
        assert len(remains.processes) >= 2
        program.signal(signal.SIGSTOP)
        program.signal(number)
        if number != signal.SIGKILL:
            program.signal(signal.SIGINT)  # both wait when it goes on
            program.signal(signal.SIGCONT)
        assert program.process.wait(10) in (-signal.SIGKILL, 128 + signal.SIGTERM, 130)
        assert not remains.after(3.0)


@pytest.mark.rtsp
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_it_stops_in_time_while_a_camera_hangs(film: Path, tmp_path: Path) -> None:
    """A camera that hangs, and one that is not there, do not hold up the end."""
    with RtspServer() as server:
        server.serve("gate", film)
        sources = {"gate": server.url("gate"), "none": server.url("none")}
        cameras = {name: {"source": source} for name, source in sources.items()}
        with running(write_config(tmp_path, cameras, detect=OFF)) as (program, heard):
            heard.until_event(20, camera="gate", state="online")
            assert heard.until_event(10, camera="none", state="offline")["reason"] == "not_found"
            server.suspend()
            stalled = heard.until_event(10, camera="gate", state="stalled", type="new")
            assert stalled["reason"] == "timeout"
            remains = Remains(program)
            assert program.stop() <= 2.0
            assert not remains.after(1.0)


def test_an_open_event_of_a_killed_program_is_ended_by_the_next(film: Path, tmp_path: Path) -> None:
    """What kill -9 left open is told as interrupted at the next start; numbers go on."""
    config = write_config(tmp_path, {"gate": {"source": str(film)}}, detect=OFF)
    with running(config) as (program, heard):
        open_still = heard.until_event(20, state="online", type="new")
        program.signal(signal.SIGKILL)
        program.process.wait()
    with running(config) as (program, heard):
        after = heard.until_event(20, state="online", type="new")
        assert after["stream"] == open_still["stream"]
        assert after["seq"] > open_still["seq"] + 1
        where = [program.tree["alerts"][key] for key in ("publish", "catch_up")]
        ask = ["--after", 0, "--count", 3, "--timeout", 20, "--json"]
        out = sorawatch("listen", where[0], "--catch-up", where[1], *ask)
        assert '"interrupted"' in out.stdout
        program.stop()


def test_a_full_disk_loses_no_event(film: Path, tmp_path: Path) -> None:
    """While the outbox's disk is full events are told all the same, and stored once it is not."""
    with small_disk(tmp_path / "disk", 512) as disk:
        outbox = {"outbox": str(disk / "alerts.db"), "snapshots": None}
        cameras = {f"cam{n}": {"source": str(film)} for n in range(2)}
        config = write_config(tmp_path, {"cam0": cameras["cam0"]}, detect=OFF, alerts=outbox)
        with running(config) as (program, heard):
            heard.until_event(20, state="online")
            heard.until(lambda: program.get("/readyz")[0] == 200, 5, "ready")
            ballast = fill(disk)
            program.reload(write_config(tmp_path, cameras))
            heard.until_event(20, camera="cam1", state="online")
            status, why = program.get("/readyz")
            assert status == 503
            assert "outbox" in why
            assert program.get("/livez")[0] == 200
            ballast.unlink()
            heard.until(lambda: program.get("/readyz")[0] == 200, 30, "ready again")
            program.stop()
            heard.until(lambda: heard.available is False, 5, "its last word")
        numbers = [event["seq"] for event in heard.events]
        with closing(sqlite3.connect(disk / "alerts.db")) as stored:
            rows = stored.execute("SELECT seq FROM events ORDER BY seq").fetchall()
        assert [number for (number,) in rows][-len(numbers) :] == numbers


def test_two_programs_do_not_share_an_outbox(film: Path, tmp_path: Path) -> None:
    """A second program on the same outbox is refused with one line."""
    config = write_config(tmp_path, {"gate": {"source": str(film)}}, detect=OFF)
    with running(config) as (program, _):
        other = tmp_path / "other.yaml"
        text = config.read_text().replace("alerts.ipc", "a2.ipc").replace("catch-up.ipc", "c2.ipc")
        other.write_text(text.replace(program.tree["metrics"]["listen"], "127.0.0.1:0"))
        done = sorawatch("run", other)
        assert done.returncode == 5
        assert "alerts.db" in done.stderr
        program.stop()


def test_alerts_go_to_those_with_a_key(film: Path, tmp_path: Path) -> None:
    """With CURVE keys, a subscriber on the list hears alerts, and one without a key nothing."""
    for name in ("us", "them"):
        zmq.auth.create_certificates(tmp_path, name)
    ours, _ = zmq.auth.load_certificate(tmp_path / "us.key_secret")
    public, secret = zmq.auth.load_certificate(tmp_path / "them.key_secret")
    (tmp_path / "allowed").write_bytes(public + b" them\n")
    address = f"tcp://127.0.0.1:{free_port()}"
    keys = {"secret_key_file": "us.key_secret", "allowed_keys_file": "allowed"}
    alerts = {"publish": address, "curve": keys}
    config = write_config(tmp_path, {"a": {"source": str(film)}}, alerts=alerts, detect=OFF)
    with zmq.Context() as context, running(config) as (program, without_key):
        with context.socket(zmq.SUB) as subscriber:
            subscriber.linger = 0
            subscriber.curve_publickey, subscriber.curve_secretkey = public, secret
            subscriber.curve_serverkey = ours
            subscriber.subscribe(b"available")
            subscriber.connect(address)
            assert subscriber.poll(10_000)
            assert subscriber.recv_multipart()[0] == b"available"
        assert program.stop() <= 2.0
        assert without_key.available is None
        assert not without_key.events


# What cannot work is refused at the start.


def refused(capsys: pytest.CaptureFixture[str], config: Path, status: int, *said: str) -> None:
    """`run` ends with this status, and one line that says all this."""
    assert main(["run", str(config)]) == status
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, lines
    for text in said:
        assert text in lines[0]


@pytest.fixture(scope="module")
def normal(film: Path) -> Path:
    """Learned with the built-in encoder."""
    fit([Source.parse(str(film))], film.with_name("n.normal"), seconds=20)
    return film.with_name("n.normal")


@pytest.mark.parametrize("key", ["publish", "catch_up"])
def test_an_address_in_use(tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str) -> None:
    """An address that another program has is named with its key: status 5."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        config = write_config(tmp_path, {"a": {"source": "0"}}, alerts={key: address}, detect=OFF)
        refused(capsys, config, 5, f"alerts.{key}", address)


def test_encoders_that_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An encoder file that is missing, broken or foreign is named: status 4."""
    path = tmp_path / "x.onnx"
    builtin = Path(__file__).parents[1].joinpath("detectors/weights/sora.onnx").read_bytes()
    foreign = builtin.replace(b"sorawatch.encoder", b"somebody.encoders"[:17])
    for data in (None, b"", b"nonsense" * 100, builtin[: len(builtin) // 2], foreign):
        if data is not None:
            path.write_bytes(data)
        config = write_config(tmp_path, {"a": {"source": "0"}}, detect={"encoder": str(path)})
        refused(capsys, config, 4, str(path))


def test_normality_files_that_are_none(
    normal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A normality file that is broken, foreign, or of another encoder names its key: status 4."""
    path = tmp_path / "gate.normal"
    cameras = {"gate": {"source": "0", "normal": str(path)}}
    whole = normal.read_bytes()
    for data in (b"", b"nonsense" * 100, whole[: len(whole) // 2], whole[:-300] + bytes(300)):
        path.write_bytes(data)
        refused(capsys, write_config(tmp_path, cameras), 4, "cameras.gate.normal", str(path))
    with path.open("wb") as file:
        np.savez(file, header=np.zeros(3))
    refused(capsys, write_config(tmp_path, cameras), 4, "cameras.gate.normal", str(path))
    path.write_bytes(whole)
    config = write_config(tmp_path, cameras, detect=OFF)
    refused(capsys, config, 4, "cameras.gate.normal", "no encoder is in use")
    path.unlink()
    path.mkdir()
    refused(capsys, config, 4, "cameras.gate.normal", str(path))


def test_cameras_that_would_learn_into_one_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two cameras may share what was learned, but not learn into one file: status 2."""
    both = {"source": "0", "normal": str(tmp_path / "x.normal")}
    config = write_config(tmp_path, {"a": both, "b": both}, detect=OFF)
    refused(capsys, config, 2, "cameras.b.normal", "x.normal")


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="there is an NVIDIA GPU")
def test_cuda_is_never_replaced_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`device: cuda` without CUDA is refused: status 2."""
    config = write_config(tmp_path, {"a": {"source": "0"}}, detect={"device": "cuda"})
    refused(capsys, config, 2, "cuda")


def test_rings_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More shared memory than there is: refused with the number before anything starts."""
    there = os.statvfs("/dev/shm")  # noqa: S108 - where it is
    count = there.f_bavail * there.f_frsize // ring_bytes(256) + 2
    if count > 400:
        pytest.skip("a configuration for so much memory would be too long")
    cameras = {f"c{n}": {"source": "0", "capture": {"slots": 256}} for n in range(count)}
    config = write_config(tmp_path, cameras, detect=OFF)
    refused(capsys, config, 5, f"{count * ring_bytes(256)} bytes")


def test_alerts_leave_the_machine_with_keys_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An address beyond this machine wants CURVE keys, and key files that can be read: status 2."""
    address = f"tcp://0.0.0.0:{free_port()}"
    cameras = {"a": {"source": "0"}}
    config = write_config(tmp_path, cameras, alerts={"publish": address}, detect=OFF)
    refused(capsys, config, 2, "alerts.publish", "CURVE")
    keys = {"secret_key_file": "us.key_secret", "allowed_keys_file": "allowed"}
    config = write_config(tmp_path, cameras, alerts={"curve": keys})
    refused(capsys, config, 2, str(tmp_path / "us.key_secret"))
