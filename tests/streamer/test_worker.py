"""A worker process on its own: what it obeys, what it ignores, when it ends, what it says."""

import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numbered import write_numbered

from streamer.capture import messages
from streamer.capture.doorbell import Doorbell, wait
from streamer.capture.messages import CameraSpec
from streamer.capture.ring import FrameRing
from streamer.capture.settings import CaptureSettings
from streamer.capture.source import Source
from streamer.capture.states import REASONS, CameraState, StateChange
from streamer.capture.worker import worker_main

PATIENCE_S = 10.0
FRAMES = 40


@dataclass
class Worker:
    """A worker as its supervisor sees it."""

    process: Any
    connection: Connection
    bell: Doorbell

    def hear(self, op: str) -> messages.Message:
        """The next message of this kind; AssertionError if none comes."""
        while self.connection.poll(PATIENCE_S):
            message = messages.receive(self.connection)
            if message["op"] == op:
                return message
        raise AssertionError(f"no {op} came")

    def ends(self) -> bool:
        """Whether the process ends soon."""
        self.process.join(PATIENCE_S)
        return bool(self.process.exitcode == 0)


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker that has said that it is ready."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    with Doorbell() as bell, ours:
        process = context.Process(target=worker_main, args=(theirs, bell, logging.INFO))
        process.start()
        theirs.close()
        worker = Worker(process, ours, bell)
        worker.hear("ready")
        yield worker
        process.kill()
        process.join()


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A short file."""
    path = write_numbered(tmp_path_factory.mktemp("video") / "numbered.mp4", FRAMES)
    return Source.parse(str(path))


def test_it_captures_what_it_is_told_to(worker: Worker, video: Source) -> None:
    """It reports the states, rings for the frames, and says when the thread is gone."""
    with FrameRing.create(64) as ring:
        spec = CameraSpec("cam", video, CaptureSettings(fps=30, once=True))
        messages.send(worker.connection, messages.start_message(7, spec, ring.name))
        heard = [worker.hear("state") for _ in range(3)]
        assert [message["number"] for message in heard] == [7, 7, 7]
        changes = [messages.read_state(message) for message in heard]
        assert [change.state for change in changes] == ["connecting", "online", "offline"]
        assert changes[-1].reason == "ended"
        assert worker.hear("stopped") == {"op": "stopped", "number": 7}
        assert wait([worker.bell], PATIENCE_S)
        assert ring.written == FRAMES


def test_a_stopped_camera_leaves_the_others_alone(worker: Worker, video: Source) -> None:
    """Only the camera that is named stops; a number that is not there is none's business."""
    spec = CameraSpec("cam", video, CaptureSettings(fps=30, loop=True))
    with FrameRing.create(16) as first, FrameRing.create(16) as second:
        for number, ring in ((1, first), (2, second)):
            messages.send(worker.connection, messages.start_message(number, spec, ring.name))
        for number in (99, 1):
            messages.send(worker.connection, {"op": "stop", "number": number})
        assert worker.hear("stopped")["number"] == 1
        written = second.written
        while second.written < written + 5:
            assert wait([worker.bell], PATIENCE_S)


def test_a_ring_that_has_gone_is_one_cameras_matter(worker: Worker, video: Source) -> None:
    """A camera whose ring is not there says so, and can be stopped; the worker lives on."""
    spec = CameraSpec("cam", video, CaptureSettings())
    with FrameRing.create(2) as ring:
        name = ring.name
    messages.send(worker.connection, messages.start_message(1, spec, name))
    change = messages.read_state(worker.hear("state"))
    assert (change.state, change.reason) == (CameraState.OFFLINE, "error")
    assert name in change.detail
    messages.send(worker.connection, {"op": "stop", "number": 1})
    assert worker.hear("stopped")["number"] == 1
    worker.hear("alive")


def test_only_the_supervisor_ends_it(worker: Worker) -> None:
    """Ctrl-C and a service manager's signal reach it as well and are not for it to act upon."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(worker.process.pid, number)
    worker.hear("alive")
    messages.send(worker.connection, {"op": "exit"})
    assert worker.ends()


def test_it_ends_with_its_supervisor(worker: Worker) -> None:
    """The other end of the pipe closing is the end."""
    worker.connection.close()
    assert worker.ends()


def test_nothing_outlives_a_killed_program(video: Source) -> None:
    """When the main process is killed, so is every worker, and the shared memory goes."""
    program = f"""
import sys, time
sys.path[:0] = {[str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]!r}
if __name__ == "__main__":
    from capture_rig import Rig
    with Rig() as rig:
        rig.add("cam", {video.url!r}, loop=True)
        rig.until_frames("cam", 3)
        print(rig.supervisor.states()["cam"].worker_pid, rig.rings["cam"].name, flush=True)
        rig.until(lambda: False, 60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as main:
        assert main.stdout is not None
        pid, ring = main.stdout.readline().split()
        worker = psutil.Process(int(pid))
        children = psutil.Process(main.pid).children()
        main.kill()
    assert not psutil.wait_procs([worker, *children], PATIENCE_S)[1]
    assert not (Path("/dev/shm") / ring.decode()).exists()  # noqa: S108


@given(
    st.builds(
        StateChange,
        camera=st.text(min_size=1),
        state=st.sampled_from(CameraState),
        reason=st.none() | st.sampled_from(sorted(REASONS)),
        detail=st.text(),
        t_mono_ns=st.integers(0, 2**63 - 1),
        utc_s=st.floats(0, 1e11),
    )
)
def test_a_change_of_state_survives_the_pipe(change: StateChange) -> None:
    """What the supervisor reads is what the worker wrote."""
    message = json.loads(json.dumps(messages.state_message(1, change)))
    assert messages.read_state(message) == change


@pytest.mark.parametrize(
    "source",
    [
        Source.parse("rtsp://viewer:p%40ss%2Fw@10.0.0.1:8554/a?b=c"),
        Source.parse("3"),
        Source.parse("/a/file with ü.mp4"),
        Source.parse("/pictures/", fps=7.5),
    ],
    ids=lambda source: source.kind,
)
def test_a_camera_survives_the_pipe(source: Source) -> None:
    """Source, credentials included, and settings arrive as they were sent."""
    spec = CameraSpec("gate", source, CaptureSettings(fps=3.5, transport="udp", once=True))
    message = json.loads(json.dumps(messages.start_message(1, spec, "ring")))
    assert messages.read_spec(message) == spec
