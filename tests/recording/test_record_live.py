"""Recording cameras: true times, lost and hanging ones, a recorder that is killed."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import COMMAND, ROOT
from record_rig import CAMERA, Rig, frames_of, true_camera
from rtsp_server import RtspServer, missing
from video import write_video

from streamer.capture.states import CameraState
from streamer.demo.packets import read_footage
from streamer.recording.recordings import faults, segments
from streamer.recording.segment import End

FPS = 15.0
FRAMES = 40
needs_server = pytest.mark.skipif(bool(missing()), reason=missing())


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "clip.mp4", FRAMES, gop=5, fps=FPS)


@pytest.fixture
def server(clip: Path) -> Iterator[RtspServer]:
    with RtspServer() as server:
        server.serve("cam", clip)
        yield server


def test_every_frame_of_a_camera_is_recorded_at_its_true_time(tmp_path: Path, clip: Path) -> None:
    """From RTSP: every NAL unit as it was sent, and UTC within a frame of when it was sent."""
    with true_camera(clip) as (url, played), Rig(tmp_path, {CAMERA: url}) as rig:
        played_utc_s = played()
        rig.until_state(CameraState.OFFLINE, "ended")
    found = segments(tmp_path, CAMERA, None, played_utc_s + FRAMES / FPS)
    sent = read_footage(clip).frames[:-1]  # of the last, nothing says that it is whole
    recorded = frames_of(found)[: len(sent)]
    assert [frame.units for frame in recorded] == [units for _, units in sent]
    wrong_s = [
        frame.at_s - played_utc_s - at_s for frame, (at_s, _) in zip(recorded, sent, strict=True)
    ]
    assert max(map(abs, wrong_s)) < 1 / FPS, wrong_s
    assert len(found) >= 2
    for segment in found[1:]:
        assert segment.start_utc_s % 1.0 < 6 / FPS


@pytest.mark.rtsp
@needs_server
def test_a_lost_camera_is_recorded_again(tmp_path: Path, server: RtspServer) -> None:
    """It is never given up; what was recorded before stays whole, and the gap is told."""
    with Rig(tmp_path, {CAMERA: server.url("cam")}, segment_s=60) as rig:
        rig.until_frames(20)
        before = len(rig.changes)
        server.kill()
        lost = rig.until_state(CameraState.OFFLINE, since=before)
        assert lost.reason in ("ended", "error")
        rig.until_state(CameraState.OFFLINE, "refused", since=before)
        server.start()
        rig.until_state(CameraState.ONLINE, since=before)
        rig.until_frames(20)
    found = segments(tmp_path, CAMERA)
    assert [segment.ended for segment in found] == [End.RECONNECT, End.STOP]
    assert all(segment.complete for segment in found)
    assert [fault.kind for fault in faults(tmp_path, CAMERA, read=True)] == ["gap"]


@pytest.mark.rtsp
@needs_server
def test_a_camera_that_hangs_is_noticed_and_stopping_does_not_hang(
    tmp_path: Path, server: RtspServer
) -> None:
    """It stalls, is offline after its timeout, and ends within that when told to."""
    with Rig(tmp_path, {CAMERA: server.url("cam")}) as rig:
        rig.until_frames(10)
        server.suspend()
        rig.until_state(CameraState.STALLED, "timeout")
        rig.until_state(CameraState.OFFLINE, "timeout")
        began_s = time.monotonic()
    assert time.monotonic() - began_s < 6.0
    assert all(segment.complete for segment in segments(tmp_path, CAMERA))


@pytest.mark.rtsp
@needs_server
def test_a_killed_recorder_loses_at_most_its_open_segment(
    tmp_path: Path, server: RtspServer
) -> None:
    """Started again, it adopts that segment up to its last fragment, and goes on."""
    arguments = [server.url("cam"), "--camera", CAMERA, "--out", str(tmp_path)]
    options = ["--segment", "2s", "--keep-free", "0"]
    with subprocess.Popen(
        [*COMMAND, "record", *arguments, *options], cwd=ROOT, stderr=subprocess.DEVNULL
    ) as process:
        ready = Rig(tmp_path / "unused", {})
        ready.until(lambda: finished(tmp_path) >= 1 and growing(tmp_path) > 0, 20)
        process.kill()
    with (tmp_path / CAMERA / "index.jsonl").open("ab") as index:
        index.write(b'{"file": "2026-11-2')  # as a power cut would have left it
    before = segments(tmp_path, CAMERA)
    with Rig(tmp_path, {CAMERA: server.url("cam")}, segment_s=2.0) as rig:
        rig.until_frames(5)
    found = segments(tmp_path, CAMERA)
    kinds = [segment.ended for segment in found]
    adopted = found[kinds.index(End.KILLED)]
    assert kinds == [End.BOUNDARY] * (len(before) - 1) + [End.KILLED, End.STOP]
    assert adopted.frames >= 15
    assert not adopted.complete
    assert len(read_footage(adopted.path).frames) == adopted.frames
    assert {fault.kind for fault in faults(tmp_path, CAMERA, read=True)} <= {"truncated", "gap"}


def finished(out: Path) -> int:
    index = out / CAMERA / "index.jsonl"
    return index.read_text().count('"boundary"') if index.exists() else 0


def growing(out: Path) -> int:
    newest = max((out / CAMERA).glob("*/*.mp4"))
    return newest.stat().st_size


def test_a_camera_that_answers_nonsense_or_nobody_is_tried_for_ever(tmp_path: Path) -> None:
    """Its state says why, without the password; other cameras do not mind."""
    url = "rtsp://viewer:geheim@127.0.0.1:1/cam"
    with Rig(tmp_path, {CAMERA: url}) as rig:
        change = rig.until_state(CameraState.OFFLINE, "refused")
        rig.until(lambda: rig.recorder.reports()[0].reconnects >= 0)
        assert not rig.recorder.wait(0.3)
    assert "geheim" not in change.detail
    assert "viewer:***@127.0.0.1" in change.detail
    assert not segments(tmp_path, CAMERA)
    assert not any("geheim" in path.name for path in tmp_path.rglob("*"))
