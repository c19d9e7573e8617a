"""Learning live: a camera without a normality file learns, keeps it through restarts, watches."""

import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np
import pytest
from films import write_ordinary
from program import running, write_config

from detectors.normality import load
from detectors.window import Window
from streamer.learning import SAVE_EVERY_S, Learning

LEARN_S = 11.0
PERIOD_S = 0.2
HEIGHT, WIDTH = 48, 64


class Clock:
    """Monotonic time as the test says."""

    def __init__(self) -> None:
        self.s = 1000.0

    def __call__(self) -> float:
        return self.s


class Footage:
    """A box that walks to and fro before a still background, for as long as wanted."""

    def __init__(self) -> None:
        self._still = np.random.default_rng(4).integers(60, 160, (HEIGHT, WIDTH)).astype(np.uint8)
        self._seq = 0

    def feed(self, learning: Learning, seconds: float) -> None:
        """Let the fitter see so much more of it."""
        for _ in range(round(seconds / PERIOD_S)):
            numbers = range(max(0, self._seq - 7), self._seq + 1)
            frames = [self._picture(number) for number in numbers]
            times_s = [number * PERIOD_S for number in numbers]
            learning.fitter.add(Window(frames, times_s, self._seq, 0))
            self._seq += 1

    def _picture(self, number: int) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
        picture = self._still.copy()
        left = abs(number * 2 % (2 * (WIDTH - 12)) - (WIDTH - 12))
        picture[16:32, left : left + 12] = 230
        return picture


@contextmanager
def one_file_left() -> Iterator[None]:
    """This process may open one more file, no second one."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(number) for number in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 2, before[1]))
    held = []
    try:
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        os.close(held.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for number in held:
            os.close(number)


def learned(learning: Learning, within_s: float = 30.0) -> bool:
    """Let a computation end; whether it gave what was to be learned."""
    assert learning.process is not None, "it does not compute"
    wait([learning.process.connection], within_s)
    return learning.step() is not None


def test_progress_is_saved_every_minute(tmp_path: Path) -> None:
    """Whoever kills the program costs a camera at most the last minute of learning."""
    clock, footage, path = Clock(), Footage(), tmp_path / "gate.normal"
    learning = Learning("gate", path, 3600, encoder=None, clock=clock)
    for _ in range(150):
        footage.feed(learning, 1.0)
        clock.s += 1.0
        assert learning.step() is None
    # No farewell: the next one finds what the disk holds.
    after = Learning("gate", path, 3600, encoder=None, clock=clock)
    lost_s = learning.fitter.footage_s - after.fitter.footage_s
    assert 0 <= lost_s <= SAVE_EVERY_S
    assert after.share == pytest.approx(after.fitter.footage_s / 3600)


def test_broken_progress_is_told_and_learned_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A progress file that cannot be used costs its own contents, not the camera."""
    path = tmp_path / "gate.normal"
    (tmp_path / "gate.normal.learning").write_bytes(b"PK\x03\x04 nonsense")
    learning = Learning("gate", path, 3600, encoder=None)
    assert learning.share == 0
    assert "gate: learns anew" in caplog.text
    assert "gate.normal.learning" in caplog.text


def test_a_disk_that_takes_nothing_costs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """While saving fails that is logged, learning goes on, and all of it is saved later."""
    clock, footage, blocked = Clock(), Footage(), tmp_path / "disk"
    blocked.write_text("a file where the folder should be")
    learning = Learning("gate", blocked / "gate.normal", 20, encoder=None, clock=clock)
    with caplog.at_level(logging.ERROR):
        for _ in range(25):
            footage.feed(learning, 1.0)
            clock.s += 1.0
            assert learning.step() is None
    assert "gate: cannot keep what was learned so far" in caplog.text
    assert str(blocked) in caplog.text
    assert learning.process is None
    blocked.unlink()
    clock.s += SAVE_EVERY_S
    assert learning.step() is None
    assert learned(learning)
    assert load(blocked / "gate.normal").facts.footage_s == pytest.approx(25, abs=0.5)
    assert [path.name for path in blocked.iterdir()] == ["gate.normal"]


def test_a_machine_at_its_limits_costs_time_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no process can be started, learning goes on and it is tried again: no camera stops."""
    clock, footage, path = Clock(), Footage(), tmp_path / "gate.normal"
    learning = Learning("gate", path, 20, encoder=None, clock=clock)
    footage.feed(learning, 21.0)
    with one_file_left():  # enough to save the progress, too few for a pipe
        assert learning.step() is None
    assert "gate: cannot finish learning, goes on: " in caplog.text
    assert learning.process is None
    clock.s += SAVE_EVERY_S
    assert learning.step() is None
    assert learned(learning)


def test_stopping_does_not_wait_for_the_computation(tmp_path: Path) -> None:
    """A stop in the middle of computing leaves the progress, and the next start computes."""
    clock, footage, path = Clock(), Footage(), tmp_path / "gate.normal"
    learning = Learning("gate", path, 20, encoder=None, clock=clock)
    footage.feed(learning, 21.0)
    assert learning.step() is None
    assert learning.process is not None
    learning.close()
    assert [file.name for file in tmp_path.iterdir()] == ["gate.normal.learning"]
    after = Learning("gate", path, 20, encoder=None, clock=clock)
    assert after.share == 1.0
    assert after.step() is None
    assert learned(after)


def test_a_camera_learns_across_a_restart_then_watches(tmp_path: Path) -> None:
    """Without a file a camera learns, says so, carries on after a restart, and then watches."""
    film = write_ordinary(tmp_path / "ordinary.mp4", 30)
    cameras = {"gate": {"source": str(film), "learn_for": LEARN_S}}
    config = write_config(tmp_path, cameras, alerts={"outbox": str(tmp_path / "var/alerts.db")})
    normal = tmp_path / "var/gate.normal"
    progress = tmp_path / "var/gate.normal.learning"
    with running(config) as (program, heard):
        assert heard.until_event(20, state="learning", type="new")["severity"] == "info"
        heard.until(lambda: (program.status()["gate"]["learned"] or 0) > 0.3, 20, "a third learned")
        before = program.status()["gate"]
        assert (before["score"], before["threshold"]) == (None, None)
        program.stop()
    assert progress.exists()
    assert not normal.exists()
    with running(config) as (program, heard):
        assert program.status()["gate"]["learned"] >= before["learned"] - 0.01
        assert "goes on learning" in program.said()
        end = heard.until_event(40, state="learning", type="end")
        assert end["ended_by"] == "over"
        heard.until(lambda: program.status()["gate"]["score"] is not None, 10, "it is scored")
        status = program.status()["gate"]
        assert status["learned"] is None
        assert status["threshold"] > 0
        program.stop()
    assert not progress.exists()
    assert load(normal).facts.footage_s >= LEARN_S
    assert load(normal).facts.camera == "gate"
