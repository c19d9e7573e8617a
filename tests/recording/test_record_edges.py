"""Cameras that do unusual things: change what they send, repeat themselves, have no times."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import pytest
from record_rig import CAMERA, Rig, RunningClock, frames_of
from rtsp_server import CutLink, RtspServer, missing
from video import draw, write_video

from sorawatch import SourceError
from streamer.capture.source import Source
from streamer.capture.states import StateChange
from streamer.recording.camera import CameraRecorder, RecordSettings
from streamer.recording.index import CameraIndex
from streamer.recording.recorder import file_away
from streamer.recording.recordings import faults, segments
from streamer.recording.room import Room
from streamer.recording.segment import End
from streamer.recording.segmenter import Segmenter
from streamer.recording.stream import PacketStream, StreamOptions, StreamPacket, open_stream
from streamer.recording.writer import SegmentWriter

NOON = 1_795_780_800.0
RTSP = Source.parse("rtsp://127.0.0.1/cam")


class Played:
    """What files hold, one after the other, as packets of one live connection.

    `burst`: so many packets come at once.
    """

    one_late = False
    reads_ahead = False

    def __init__(self, clock: RunningClock, *paths: Path, burst: int = 0) -> None:
        self._burst = burst
        self._clock = clock
        self._streams = [open_stream(Source.parse(str(path)), StreamOptions()) for path in paths]
        first: PacketStream = self._streams[0]
        self.template: Any = first.template
        self.codec, self.size, self.interval_ns = first.codec, first.size, first.interval_ns

    def packets(self) -> Iterator[StreamPacket]:
        for stream in self._streams:
            for packet in stream.packets():
                yield packet
                self._burst -= 1
                if self._burst < 0:
                    self._clock.wait(threading.Event(), 1 / 15)

    def close(self) -> None:
        for stream in self._streams:
            stream.close()


def record(out: Path, clock: RunningClock, turns: list[Played]) -> list[StateChange]:
    """Record connections of a camera, one after the other."""
    left = list(turns)
    changes: list[StateChange] = []

    def opener(_source: Source, _options: StreamOptions) -> Any:
        if not left:
            recorder.stop()
            raise SourceError("no more", "refused")
        return left.pop(0)

    index = CameraIndex(out / CAMERA)
    segmenter = Segmenter(index, 3600.0, Room(out, 0), file_away, clock)
    recorder = CameraRecorder(
        CAMERA, RTSP, segmenter, RecordSettings(), changes.append, opener=opener, clock=clock
    )
    recorder.run()
    return changes


def test_a_camera_that_changes_its_size_is_opened_anew(tmp_path: Path) -> None:
    """The old size ends with its segment; the new one begins at once in a file of its own."""
    small = write_video(tmp_path / "small.h264", 30, size=(160, 120))
    large = write_video(tmp_path / "large.h264", 30, size=(320, 240))
    clock = RunningClock(NOON)
    changes = record(tmp_path, clock, [Played(clock, small, large), Played(clock, large)])
    found = segments(tmp_path, CAMERA)
    assert [(one.width, one.ended) for one in found] == [(160, End.CHANGED), (320, End.RECONNECT)]
    assert [one.frames for one in found] == [30, 30]
    assert [change.state.value for change in changes] == ["connecting", "online", "offline"]


def test_what_a_camera_sends_again_is_recorded_once(tmp_path: Path) -> None:
    """Cameras greet with their last seconds; what is there already does not move the rest."""
    clip = write_video(tmp_path / "clip.mp4", 60, gop=15)
    clock = RunningClock(NOON)
    record(tmp_path, clock, [Played(clock, clip), Played(clock, clip, burst=35)])
    first, second = segments(tmp_path, CAMERA)
    assert (first.frames, second.frames) == (60, 15)  # the others were there, or in between
    assert 0 <= second.start_utc_s - first.end_utc_s < 1.0
    assert second.clock_ahead_s == 0


class _Jpegs(BaseHTTPRequestHandler):
    """A camera that sends JPEGs at 20 a second, and its own time with none of them."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=x")
        self.end_headers()
        pace = threading.Event()
        for number in range(60):
            data = cv2.imencode(".jpg", draw(number))[1].tobytes()
            head = f"--x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")
            pace.wait(1 / 20)

    def log_message(self, *_: object) -> None:
        return


def test_jpegs_over_http_are_recorded_at_the_times_they_came(tmp_path: Path) -> None:
    """Not at the 25 a second that FFmpeg makes up for them."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Jpegs)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/v"
        with Rig(tmp_path, {CAMERA: url}, segment_s=60) as rig:
            rig.until_frames(25)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    first = segments(tmp_path, CAMERA)[0]
    assert first.codec == "mjpeg"
    assert first.frames / first.duration_s == pytest.approx(20, rel=0.15)
    assert not [one for one in faults(tmp_path, CAMERA, read=True) if one.kind != "gap"]


@pytest.mark.rtsp
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_time_stamps_that_jump_do_not_move_the_recording(tmp_path: Path) -> None:
    """A camera whose own clock is set goes on being recorded at the times of receipt."""
    clip = write_video(tmp_path / "clip.mp4", 60, gop=5)
    with RtspServer() as server:
        server.serve("cam", clip)
        with CutLink(server.port) as link:
            url = server.url("cam", port=link.port)
            with Rig(tmp_path / "out", {CAMERA: url}, segment_s=60) as rig:
                for jump_s in (0.0, 3600.0, -7.0):
                    link.jump(jump_s)
                    rig.until_frames(10)
    found = segments(tmp_path / "out", CAMERA)
    frames = frames_of(found)
    steps_s = [after.at_s - before.at_s for before, after in pairwise(frames)]
    assert min(steps_s) >= 0
    assert max(steps_s) < 1.0
    assert found[-1].end_utc_s == pytest.approx(time.time(), abs=2.0)


def test_a_picture_that_mp4_refuses_ends_the_connection_and_not_the_recorder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its segment ends before it, the camera is connected again, and recording goes on."""
    clip = write_video(tmp_path / "clip.mp4", 30, size=(160, 120))
    add, refused = SegmentWriter.add, [20]

    def refusing(writer: SegmentWriter, packet: Any, dts: int, pts: int, duration: int) -> None:
        if writer.frames in refused:
            refused.clear()
            dts = -(10**9)  # times that go back are an error to the muxer
        add(writer, packet, dts, pts, duration)

    monkeypatch.setattr(SegmentWriter, "add", refusing)
    clock = RunningClock(NOON)
    changes = record(tmp_path, clock, [Played(clock, clip), Played(clock, clip)])
    assert [one.frames for one in segments(tmp_path, CAMERA)] == [20, 30]
    assert "codec" in [change.reason for change in changes]
    assert not [one for one in faults(tmp_path, CAMERA, read=True) if one.kind != "gap"]
