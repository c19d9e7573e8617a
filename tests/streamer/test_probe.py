"""Probing: what a source is, found out without being taken down by it."""

import threading
import time
from pathlib import Path

import pytest
from footage import footage
from rtsp_server import RtspServer, missing
from video import damage, write_folder, write_video

from sorawatch import SourceError
from streamer.capture.probe import probe
from streamer.capture.settings import CaptureSettings
from streamer.capture.source import Source


def test_a_file(tmp_path: Path) -> None:
    """What it is, how large, how fast and how long."""
    path = write_video(tmp_path / "a.mp4", 45, fps=15, size=(1280, 720))
    result = probe(Source.parse(str(path)))
    assert (result.codec, result.width, result.height) == ("h264", 1280, 720)
    assert result.fps_declared == pytest.approx(15)
    assert result.fps == pytest.approx(15)
    assert (result.frames, result.frames_declared, result.ended) == (45, 45, True)
    assert result.damaged == 0
    assert 0 < result.first_frame_s < 5


def test_a_rate_that_is_only_declared(tmp_path: Path) -> None:
    """The true rate comes from the frames' own times."""
    times_s = [i / 6 for i in range(40)]
    path = write_video(tmp_path / "a.mkv", 40, fps=25, times_s=times_s)
    assert probe(Source.parse(str(path))).fps == pytest.approx(6, rel=0.01)


def test_damage_is_counted(tmp_path: Path) -> None:
    """Frames that the decoder had to patch up are no secret."""
    path = write_video(tmp_path / "a.mkv", 45, size=(640, 360))
    spoilt = damage(path, tmp_path / "b.mkv", frames={20})
    assert probe(Source.parse(str(spoilt))).damaged == 10


def test_a_folder(tmp_path: Path) -> None:
    """A folder of pictures at the rate that it is said to have."""
    result = probe(Source.parse(str(write_folder(tmp_path / "x", 8)), fps=4))
    assert (result.codec, result.width, result.fps, result.frames) == ("png", 320, 4, 8)


def test_a_decoder_that_crashes() -> None:
    """A file that kills the process that decodes it is an error like any other."""
    path = footage("faults/aborts-the-decoder-48x48.avi")
    with pytest.raises(SourceError, match="crashed") as caught:
        probe(Source.parse(str(path)))
    assert caught.value.reason == "codec"
    assert path.name in str(caught.value)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    """The reason comes through from the process that found it."""
    for name, reason in (("none.mp4", "not_found"), ("text.mp4", "codec")):
        (tmp_path / "text.mp4").write_text("no video")
        with pytest.raises(SourceError, match=name) as caught:
            probe(Source.parse(str(tmp_path / name)))
        assert caught.value.reason == reason


@pytest.mark.rtsp
@pytest.mark.skipif(bool(missing()), reason=missing() or "present")
def test_a_camera(tmp_path: Path) -> None:
    """A live camera is read for as long as was said, then let go; one that hangs is a timeout."""
    with RtspServer("digest") as server:
        server.set_password("viewer", "geheim")
        server.serve("cam", write_video(tmp_path / "a.mp4", 60, fps=15))
        source = Source.parse(server.url("cam", "viewer", "geheim"))
        result = probe(source, seconds=1.5)
        assert (result.codec, result.width, result.height) == ("h264", 320, 240)
        assert result.fps == pytest.approx(15, rel=0.1)
        assert not result.ended
        wrong = Source.parse(server.url("cam", "viewer", "falsch"))
        with pytest.raises(SourceError, match="password") as caught:
            probe(wrong)
        assert caught.value.reason == "auth"
        assert "falsch" not in str(caught.value)
        server.suspend()
        began = time.monotonic()
        with pytest.raises(SourceError) as caught:
            probe(source, 1, CaptureSettings(open_timeout_s=0.5, read_timeout_s=0.5))
        assert caught.value.reason == "timeout"
        assert time.monotonic() - began < 10


def test_several_at_once(tmp_path: Path) -> None:
    """Probes in several threads do not get into each other's way."""
    path = write_video(tmp_path / "a.mp4", 20)
    frames: list[int] = []
    threads = [
        threading.Thread(target=lambda: frames.append(probe(Source.parse(str(path))).frames))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert frames == [20, 20]
