"""Cameras in worker processes: which share one, and what becomes of them when one dies."""

import logging
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from capture_rig import PROMISE_S, Rig
from hypothesis import given
from hypothesis import strategies as st
from numbered import write_numbered

from streamer.capture import supervisor
from streamer.capture.counters import Phase
from streamer.capture.doorbell import Doorbell
from streamer.capture.grouping import MOST_PARTS, split_after_crash
from streamer.capture.states import CameraState

FRAMES = 150


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A short file whose pictures bear their number."""
    return str(write_numbered(tmp_path_factory.mktemp("video") / "numbered.mp4", FRAMES))


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def pid_of(rig: Rig, name: str) -> int:
    """The process that captures a camera, once there is one."""
    rig.until(lambda: rig.supervisor.states()[name].worker_pid is not None)
    pid = rig.supervisor.states()[name].worker_pid
    assert pid is not None
    return pid


def test_live_streams_share_workers_and_files_do_not(video: str, closed_port: int) -> None:
    """Streams are spread over as many workers as asked for; every file has its own."""
    with Rig(workers=2) as rig:
        for number in range(6):
            rig.add(f"stream{number}", f"rtsp://127.0.0.1:{closed_port}/{number}")
        rig.add("file0", video, loop=True)
        rig.add("file1", video, loop=True)
        streams = [pid_of(rig, f"stream{number}") for number in range(6)]
        files = {pid_of(rig, "file0"), pid_of(rig, "file1")}
        assert [streams.count(pid) for pid in set(streams)] == [3, 3]
        assert len(files) == 2
        assert not files & set(streams)
        for number in range(6):
            rig.until_state(f"stream{number}", CameraState.OFFLINE, "refused")


def test_a_file_read_once_is_read_whole_and_its_worker_ends(video: str) -> None:
    """In wait mode no frame is lost; at the end the camera is `ended` and takes no process."""
    with Rig() as rig:
        track = rig.add("file", video, once=True, mode="wait")
        process = psutil.Process(pid_of(rig, "file"))
        rig.until_state("file", CameraState.OFFLINE, "ended", within_s=20)
        rig.until(lambda: not process.is_running(), why="the worker's end")
        assert track.numbers == list(range(FRAMES))
        assert rig.supervisor.states()["file"].worker_pid is None
        assert [change.state for change in rig.history["file"]] == [
            CameraState.CONNECTING,
            CameraState.ONLINE,
            CameraState.OFFLINE,
        ]


def test_a_killed_worker_comes_back(video: str) -> None:
    """Its cameras are reported offline, and online again, and the ring goes on where it was."""
    with Rig() as rig:
        track = rig.add("file", video, loop=True)
        rig.until_frames("file", 3)
        os.kill(pid_of(rig, "file"), signal.SIGKILL)
        rig.until_state("file", CameraState.OFFLINE, "error", within_s=1)
        rig.until_state("file", CameraState.ONLINE)
        rig.until_frames("file", 3)
        assert [header.seq for header in track.headers] == list(range(len(track)))
        generations = [header.generation for header in track.headers]
        assert generations == sorted(generations)
        assert generations[-1] > generations[0]
        assert rig.supervisor.states()["file"].crashes == 1


def test_a_worker_that_does_not_start_is_tried_again(
    video: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Be it that there is no process to be had, or that it dies before it has begun."""
    attempts = []

    class Refused(supervisor.WorkerProcess):
        def __init__(self, bell: Doorbell) -> None:
            attempts.append(bell)
            if len(attempts) == 1:
                raise BlockingIOError("no process left")
            super().__init__(bell)

    monkeypatch.setattr(supervisor, "WorkerProcess", Refused)
    with Rig() as rig:
        rig.add("file", video, loop=True)
        rig.until_state("file", CameraState.OFFLINE, "error")
        os.kill(pid_of(rig, "file"), signal.SIGKILL)
        rig.until_state("file", CameraState.ONLINE)
        assert len(attempts) == 3


def test_a_stuck_worker_is_replaced(video: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker process that hangs as a whole is noticed, killed and started anew."""
    monkeypatch.setattr(supervisor, "SILENT_TICKS", 2)
    with Rig() as rig:
        rig.add("file", video, loop=True)
        rig.until_frames("file", 3)
        stuck = pid_of(rig, "file")
        os.kill(stuck, signal.SIGSTOP)
        rig.until_state("file", CameraState.OFFLINE)
        rig.until_state("file", CameraState.ONLINE)
        assert pid_of(rig, "file") != stuck


def test_cameras_come_and_go_without_disturbing_others(video: str, closed_port: int) -> None:
    """While others are added to and removed from its worker, a camera's own stays as it was."""
    with Rig(workers=1) as rig:
        rig.add("first", f"rtsp://127.0.0.1:{closed_port}/")
        rig.until_state("first", CameraState.OFFLINE, "refused")
        pid = pid_of(rig, "first")
        for number in range(10):
            rig.add(f"other{number}", f"rtsp://127.0.0.1:{closed_port}/")
        rig.until_state("other9", CameraState.OFFLINE, "refused")
        for number in range(10):
            rig.remove(f"other{number}")
        again = rig.add("other0", video, loop=True)  # a name may be used again at once
        rig.until_frames("other0", 3)
        assert again.numbers[0] == 0
        assert pid_of(rig, "first") == pid
        assert set(rig.supervisor.states()) == {"first", "other0"}
        assert len(rig.history["first"]) == 2


def test_a_removed_camera_is_heard_of_no_more(video: str) -> None:
    """After `remove` its worker ends, and its ring may be closed at once."""
    with Rig() as rig:
        rig.add("file", video, loop=True)
        rig.until_frames("file", 3)
        process = psutil.Process(pid_of(rig, "file"))
        rig.remove("file")
        heard = len(rig.history["file"])
        rig.until(lambda: not process.is_running(), within_s=2, why="the worker's end")
        assert len(rig.history["file"]) == heard
        with pytest.raises(KeyError):
            rig.supervisor.remove("file")


@pytest.mark.parametrize("stopped", [False, True], ids=["blocked", "blocked and suspended"])
def test_close_is_quick_whatever_hangs(silent_port: int, stopped: bool) -> None:
    """With every camera inside an open that hangs, closing takes less than 2 s."""
    with Rig(workers=2) as rig:
        for number in range(8):
            rig.add(f"cam{number}", f"rtsp://127.0.0.1:{silent_port}/{number}")
        rig.until(
            lambda: all(ring.counters.phase == Phase.OPENING for ring in rig.rings.values()),
            why="all in open",
        )
        processes = [psutil.Process(pid_of(rig, f"cam{number}")) for number in range(8)]
        if stopped:
            os.kill(processes[0].pid, signal.SIGSTOP)
        began_s = time.monotonic()
        rig.supervisor.close()
        assert time.monotonic() - began_s < 2.0
        assert not any(process.is_running() for process in processes)
        with pytest.raises(RuntimeError):
            rig.supervisor.add(rig.specs["cam0"], rig.rings["cam0"])
        rig.supervisor.close()  # once more does no harm


def test_passwords_show_nowhere(closed_port: int, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the command line and environment of a worker hold a camera's password, nor logs.

    What the log says of a camera's state it says once.
    """
    with caplog.at_level(logging.INFO), Rig() as rig:
        rig.add("cam", f"rtsp://viewer:hunter2%2F@127.0.0.1:{closed_port}/")
        rig.until_state("cam", CameraState.OFFLINE, "refused")
        for file in ("cmdline", "environ"):
            assert b"hunter2" not in Path(f"/proc/{pid_of(rig, 'cam')}/{file}").read_bytes()
        assert not any("hunter2" in change.detail for change in rig.history["cam"])
        assert "hunter2" not in caplog.text
        assert len([line for line in caplog.messages if line.startswith("cam: offline")]) == 1


def test_a_name_is_given_once(closed_port: int) -> None:
    """Two cameras of one name are an error, and the first one stays."""
    with Rig() as rig:
        rig.add("cam", f"rtsp://127.0.0.1:{closed_port}/")
        with pytest.raises(ValueError, match="cam"):
            rig.supervisor.add(rig.specs["cam"], rig.rings["cam"])
        rig.until_state("cam", CameraState.OFFLINE, "refused")


def test_an_error_of_the_listener_reaches_the_owner(closed_port: int) -> None:
    """What `on_state` raises comes out of the supervisor's context; nothing is left running."""

    def broken(change: object) -> None:
        raise ZeroDivisionError("in on_state")

    def capture() -> None:
        with Rig(on_state=broken) as rig:
            rig.add("cam", f"rtsp://127.0.0.1:{closed_port}/")
            rig.until(lambda: False, PROMISE_S)

    with pytest.raises(ZeroDivisionError):
        capture()


@given(st.lists(st.sampled_from(Phase), min_size=2, max_size=50))
def test_a_crash_parts_the_suspects(phases: list[Phase]) -> None:
    """No camera is lost or doubled, the groups are few, and suspects never stay with the rest."""
    together, apart = split_after_crash(list(enumerate(phases)))
    assert sorted([*together, *(camera for group in apart for camera in group)]) == list(
        range(len(phases))
    )
    assert 1 <= len(apart) <= MOST_PARTS
    assert all(apart)
    suspected = {Phase.OPENING, Phase.FIRST_READ}
    assert not any(phases[camera] in suspected for camera in together)
    if suspected & set(phases):
        assert all(phases[camera] in suspected for group in apart for camera in group)


@given(st.integers(2, 64), st.data())
def test_a_culprit_ends_up_alone_soon(count: int, data: st.DataObject) -> None:
    """However many cameras share a worker, few crashes suffice to find which one it is."""
    culprit = data.draw(st.integers(0, count - 1))
    group, crashes = list(range(count)), 0
    while len(group) > 1:
        together, apart = split_after_crash([(camera, Phase.READING) for camera in group])
        crashes += 1
        group = next(part for part in [together, *apart] if culprit in part)
    assert crashes <= 3
