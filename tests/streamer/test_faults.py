"""Every way in which a camera fails, with a healthy one beside it in the same worker.

In each the faulty camera is in the right state within 5 s, is back within 5 s of the fault's end,
and the healthy one loses no frame and stays on time. Timeouts are the defaults: they are what is
promised.
"""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from capture_rig import PROMISE_S, Rig
from numbered import write_numbered
from rtsp_server import CutLink, RtspServer, missing

from streamer.capture.counters import Phase
from streamer.capture.states import CameraState

pytestmark = [pytest.mark.rtsp, pytest.mark.skipif(bool(missing()), reason=missing())]

FOOTAGE = Path(
    os.environ.get("SORAWATCH_FOOTAGE", Path(__file__).resolve().parents[3] / "shared" / "data")
)
KILLER = FOOTAGE / "faults" / "aborts-the-decoder-48x48.avi"
FRAMES = 300
LATE_S = 1.0
RIGHT = "hunter2"
CONNECTING, ONLINE = CameraState.CONNECTING, CameraState.ONLINE
STALLED, OFFLINE = CameraState.STALLED, CameraState.OFFLINE


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What cameras see: 320x240, 15 frames a second, numbered."""
    return write_numbered(tmp_path_factory.mktemp("video") / "numbered.mp4", FRAMES)


@pytest.fixture(scope="module")
def healthy_url(video: Path) -> Iterator[str]:
    """A camera that never fails."""
    with RtspServer() as server:
        server.serve("healthy", video)
        yield server.url("healthy")


@pytest.fixture
def server(video: Path) -> Iterator[RtspServer]:
    """A server of its own for the camera that is to fail."""
    with RtspServer("digest") as server:
        server.set_password("viewer", RIGHT)
        server.serve("cam", video)
        yield server


@pytest.fixture
def link(server: RtspServer) -> Iterator[CutLink]:
    """The network between that camera and us."""
    with CutLink(server.port) as link:
        yield link


@pytest.fixture(scope="module")
def fleet(healthy_url: str) -> Iterator[Rig]:
    """One worker, which captures a healthy camera throughout."""
    with Rig(workers=1) as rig:
        rig.add("healthy", healthy_url)
        rig.until_frames("healthy", 10)
        yield rig


@pytest.fixture
def rig(fleet: Rig) -> Iterator[Rig]:
    """The same for one test, at whose end not a frame of the healthy camera may be missing."""
    healthy = fleet.tracks["healthy"]
    fleet.read()
    fleet.history.pop("cam", None)
    began, missed = len(healthy), healthy.missed
    yield fleet
    fleet.remove("cam")
    fleet.until_frames("healthy", 5)
    assert [change.state for change in fleet.history["healthy"]] == [CONNECTING, ONLINE]
    assert all((b - a) % FRAMES == 1 for a, b in pairwise(healthy.numbers[began:]))
    assert len({header.generation for header in healthy.headers}) == 1
    assert healthy.missed == missed
    assert healthy.longest_lag_s(began) < LATE_S


def cam(server: RtspServer, link: CutLink | None = None, password: str = "") -> str:
    """The URL of the camera that is to fail."""
    return server.url("cam", "viewer", password or RIGHT, port=link.port if link else None)


def assert_back(rig: Rig, what: str) -> None:
    """The camera is online within the promise, and gives pictures."""
    took_s = rig.until_state("cam", ONLINE)
    took_s += rig.until_frames("cam", 5, PROMISE_S - took_s)
    print(f"{what}: back after {took_s:.2f} s")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_server_dies_and_returns(rig: Rig, server: RtspServer, transport: str) -> None:
    """A camera that loses power is refused at once, and back soon after it has started again."""
    rig.add("cam", cam(server), transport=transport)
    rig.until_frames("cam", 5)
    server.kill()
    print(f"{transport}: offline after {rig.until_state('cam', OFFLINE):.2f} s")
    rig.until_state("cam", OFFLINE, "refused")
    server.start()
    assert_back(rig, f"{transport} server")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_server_hangs_and_goes_on(rig: Rig, server: RtspServer, transport: str) -> None:
    """A camera that hangs is stalled, and online again with its next picture."""
    rig.add("cam", cam(server), transport=transport)
    rig.until_frames("cam", 5)
    server.suspend()
    print(f"{transport}: stalled after {rig.until_state('cam', STALLED, 'timeout'):.2f} s")
    server.resume()
    assert_back(rig, f"{transport} server")


def test_link_is_cut_for_long(rig: Rig, server: RtspServer, link: CutLink) -> None:
    """Nothing passes and nobody says so: stalled, then offline, and back when the link is."""
    rig.add("cam", cam(server, link))
    rig.until_frames("cam", 5)
    link.cut()
    print(f"stalled after {rig.until_state('cam', STALLED, 'timeout'):.2f} s")
    rig.until_state("cam", OFFLINE, "timeout")
    link.mend()
    assert_back(rig, "link")


def test_camera_reboots_without_a_word(rig: Rig, server: RtspServer, link: CutLink) -> None:
    """A connection that is dead and does not say so is given up in time for a new one."""
    rig.add("cam", cam(server, link))
    rig.until_frames("cam", 5)
    link.cut()
    rig.until_state("cam", STALLED, "timeout")
    link.reboot()
    assert_back(rig, "camera")


def test_link_breaks(rig: Rig, server: RtspServer, link: CutLink) -> None:
    """A connection that is closed in the middle of a picture is opened anew."""
    rig.add("cam", cam(server, link))
    rig.until_frames("cam", 5)
    link.drop_connections()
    print(f"offline after {rig.until_state('cam', OFFLINE):.2f} s")
    assert_back(rig, "link")


def test_password_is_wrong_until_corrected(rig: Rig, server: RtspServer) -> None:
    """A wrong password says so, once, and the camera is online once the server takes it."""
    rig.add("cam", cam(server, password="wrong"))
    print(f"auth after {rig.until_state('cam', OFFLINE, 'auth'):.2f} s")
    assert "wrong" not in rig.history["cam"][-1].detail.replace("password is wrong", "")
    server.set_password("viewer", "wrong")
    assert_back(rig, "password")
    assert [change.state for change in rig.history["cam"]] == [CONNECTING, OFFLINE, ONLINE]


def test_path_is_missing_until_it_appears(rig: Rig, server: RtspServer, video: Path) -> None:
    """A path that the server does not know says so, and is online once it is there."""
    server.remove("cam")
    rig.add("cam", cam(server))
    print(f"not_found after {rig.until_state('cam', OFFLINE, 'not_found'):.2f} s")
    server.serve("cam", video)
    assert_back(rig, "path")


def test_damaged_packets(rig: Rig, server: RtspServer, link: CutLink) -> None:
    """With 2 % of its packets damaged a camera stays online, and is whole when they are."""
    track = rig.add("cam", cam(server, link))
    rig.until_frames("cam", 5)
    link.damage(0.02)
    rig.until_frames("cam", 60)
    link.damage(0.0)
    began = len(track)

    def whole() -> bool:
        newest = track.numbers[began:][-15:]
        return len(newest) == 15 and all((b - a) % FRAMES == 1 for a, b in pairwise(newest))

    print(f"whole after {rig.until(whole, why='whole pictures'):.2f} s")
    assert [change.state for change in rig.history["cam"]] == [CONNECTING, ONLINE]


def test_stream_changes(rig: Rig, server: RtspServer, tmp_path: Path) -> None:
    """A camera that comes back with another size and rate is captured as it is now."""
    track = rig.add("cam", cam(server))
    rig.until_frames("cam", 5)
    before = track.headers[-1].generation
    server.serve("cam", write_numbered(tmp_path / "other.mp4", 100, 25, (480, 352)))
    server.kick()
    rig.until_state("cam", OFFLINE)
    assert_back(rig, "stream")
    counters = rig.rings["cam"].counters
    assert (counters.width, counters.height) == (480, 352)
    assert track.headers[-1].generation > before
    rig.until_frames("cam", 20)
    spacing_s = (track.headers[-1].t_media_ns - track.headers[-11].t_media_ns) / 1e10
    assert spacing_s == pytest.approx(1 / 25, rel=0.2)


@pytest.mark.parametrize("seconds", [3600.0, -3600.0], ids=["ahead", "back"])
def test_time_stamps_jump(rig: Rig, server: RtspServer, link: CutLink, seconds: float) -> None:
    """Pictures go on, and their times go on as if nothing had happened."""
    track = rig.add("cam", cam(server, link))
    rig.until_frames("cam", 15)
    link.jump(seconds)
    rig.until_frames("cam", 50)
    assert [change.state for change in rig.history["cam"]] == [CONNECTING, ONLINE]
    for before, after in pairwise(track.headers):
        assert 0 < after.t_media_ns - before.t_media_ns < 1e9
    assert all(header.t_media_ns <= header.t_mono_ns for header in track.headers)
    assert track.longest_lag_s() < LATE_S


def test_reconnecting_leaves_nothing_behind(rig: Rig, server: RtspServer) -> None:
    """Memory, open files and threads of the worker are after many connections what they were.

    `benchmarks/reconnects.py` does the same 200 times.
    """
    track = rig.add("cam", cam(server), backoff_max_s=0.1)
    worker = psutil.Process(rig.supervisor.states()["healthy"].worker_pid)

    def connected_since(generation: int) -> bool:
        return track.headers[-1].generation > generation

    def reconnect(times: int) -> tuple[int, int, int]:
        for _ in range(times):
            last = track.headers[-1].generation
            server.kick()
            rig.until(partial(connected_since, last), why="reconnect")
        memory = worker.memory_info()
        own = memory.rss - memory.shared  # the ring's pages count as used once touched
        return own, worker.num_fds(), worker.num_threads()

    rig.until_frames("cam", 1)
    own, files, threads = reconnect(4)
    own_after, *others = reconnect(8)
    print(f"grown by {(own_after - own) / 1024} KiB")
    assert own_after - own < 1 << 20
    assert others == [files, threads]


def test_decoder_crashes_in_a_shared_worker(
    healthy_url: str, server: RtspServer, link: CutLink
) -> None:
    """Suspicion falls on the camera that was being opened; the others go on together at once."""
    with Rig(workers=1) as rig:
        names = ["one", "two"]
        for name in names:
            rig.add(name, healthy_url)
            rig.until_frames(name, 5)
        link.cut()
        rig.add("cam", cam(server, link))
        rig.until(lambda: rig.rings["cam"].counters.phase == Phase.OPENING)
        crashed = rig.supervisor.states()["cam"].worker_pid
        assert crashed is not None
        os.kill(crashed, signal.SIGSEGV)
        rig.until_state("cam", OFFLINE, "codec")
        for name in names:
            rig.until_state(name, ONLINE)
            rig.until_frames(name, 5)
        link.mend()
        assert_back(rig, "suspect")
        pids = {name: status.worker_pid for name, status in rig.supervisor.states().items()}
        assert pids["one"] == pids["two"] != pids["cam"]
        assert crashed not in pids.values()


@pytest.mark.footage
@pytest.mark.skipif(not KILLER.exists(), reason="needs the footage")
def test_file_that_kills_its_decoder(rig: Rig) -> None:
    """It takes down a worker of its own, says so once, and is tried again."""
    rig.add("cam", str(KILLER))
    print(f"codec after {rig.until_state('cam', OFFLINE, 'codec'):.2f} s")
    rig.until(lambda: rig.supervisor.states()["cam"].crashes >= 3, why="more crashes")
    states = [change.state for change in rig.history["cam"]]
    assert states in ([CONNECTING, OFFLINE], [CONNECTING, ONLINE, OFFLINE])


def test_closing_while_reads_hang(server: RtspServer) -> None:
    """With every camera inside a read that hangs, closing takes less than 2 s."""
    names = [f"cam{number}" for number in range(6)]
    with Rig(workers=2) as rig:
        for name in names:
            rig.add(name, cam(server))
        rig.until(lambda: all(rig.is_in(name, ONLINE) for name in names), why="online")
        server.suspend()
        rig.until(lambda: all(rig.is_in(name, STALLED) for name in names), why="stalled")
        began_s = time.monotonic()
        rig.supervisor.close()
        took_s = time.monotonic() - began_s
        print(f"closed after {took_s:.2f} s")
        assert took_s < 2.0
