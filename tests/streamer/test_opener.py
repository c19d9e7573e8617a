"""Opening and reading: every kind of source, and what is said when it cannot be done."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from footage import footage
from scripted_server import ScriptedServer, method_of, rtsp_reply
from video import damage, draw, number_of, write_folder, write_video

from sorawatch import SourceError
from streamer.capture.complaints import listen
from streamer.capture.frame import Validity
from streamer.capture.opener import OpenOptions, Reader, open_source
from streamer.capture.source import Source

SDP = "v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track1\r\n"


def opened(path: Path, fps: float | None = None) -> Reader:
    return open_source(Source.parse(str(path), fps=fps))


def numbers(reader: Reader) -> list[int]:
    """The numbers of all frames that are left."""
    found = []
    while reader.grab():
        found.append(number_of(reader.retrieve()))
    reader.close()
    return found


def refused(source: str, **options: float) -> SourceError:
    with pytest.raises(SourceError) as caught:
        open_source(Source.parse(source), OpenOptions(**options))  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mkv", "libx265"),
        ("a.avi", "mpeg4"),
        ("a.ts", "libx264"),
        ("a.h264", "libx264"),
        ("a.mjpg.mkv", "mjpeg"),
    ],
)
def test_files(tmp_path: Path, name: str, codec: str) -> None:
    """Every common kind of file gives every frame, in order, once."""
    reader = opened(write_video(tmp_path / name, 12, codec=codec))
    assert reader.size == (320, 240)
    assert reader.reads_ahead
    assert numbers(reader) == list(range(12))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp"])
def test_folders(tmp_path: Path, suffix: str) -> None:
    """Pictures come in natural order, at the folder's rate; other files are passed over."""
    folder = write_folder(tmp_path / "x", 12, suffix=suffix)
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden.png").write_bytes(b"no picture")
    reader = opened(folder, fps=25)
    assert (reader.size, reader.fps_declared, reader.frames_declared) == ((320, 240), 25, 12)
    assert reader.grab()
    assert reader.pts_s == 0
    assert reader.grab()
    assert reader.pts_s == pytest.approx(1 / 25)
    assert numbers(reader) == list(range(2, 12))


def test_a_picture_in_a_folder_that_is_none(tmp_path: Path) -> None:
    """The error names the picture, for there may be thousands."""
    folder = write_folder(tmp_path / "x", 3)
    (folder / "1.png").write_bytes(b"\x89PNG but no more")
    reader = opened(folder)
    assert reader.grab()
    reader.retrieve()
    assert reader.grab()
    with pytest.raises(SourceError, match=r"x/1\.png") as caught:
        reader.retrieve()
    assert caught.value.reason == "codec"
    reader.close()


def test_sixteen_bit_and_grey_pictures(tmp_path: Path) -> None:
    """Whatever a folder holds comes out as 8 bits a channel, BGR."""
    (tmp_path / "x").mkdir()
    grey = draw(7)[:, :, 1]
    cv2.imwrite(str(tmp_path / "x" / "a.png"), grey.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "x" / "b.png"), grey)
    reader = opened(tmp_path / "x")
    for _ in range(2):
        assert reader.grab()
        picture = reader.retrieve()
        assert (picture.shape, picture.dtype) == ((240, 320, 3), np.uint8)
        assert np.array_equal(picture[:, :, 0], grey)
    reader.close()


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    """One line that names the thing and says what is wrong with it, with the reason in a word."""
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is not a video\n" * 100)
    (tmp_path / "folder").mkdir()
    for name, reason, says in (
        ("empty.mp4", "codec", "empty"),
        ("text.mp4", "codec", "no video"),
        ("none.mp4", "not_found", "not there"),
        ("folder", "not_found", "no pictures"),
        ("none/", "not_found", "No such file"),
    ):
        error = refused(f"{tmp_path}/{name}")
        assert (error.reason, says in str(error), name.strip("/") in str(error)) == (
            reason,
            True,
            True,
        )
        assert "\n" not in str(error)
    assert refused("997").reason == "not_found"


def test_a_file_that_ends_early(tmp_path: Path) -> None:
    """A container that claims more frames than it holds gives those it holds, and ends."""
    path = write_video(tmp_path / "a.avi", 40, codec="mpeg4")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    found = numbers(opened(path))
    assert 5 < len(found) < 40
    assert found[:-1] == list(range(len(found) - 1))  # of the last one a part is there


def test_real_footage_that_ends_early() -> None:
    """The same with a file that was found in the wild."""
    reader = opened(footage("clips/highway.avi"))
    assert reader.frames_declared == 750
    count = 0
    while reader.grab():
        count += 1
    reader.close()
    assert count == 748


def test_packets_that_the_decoder_rejects(tmp_path: Path) -> None:
    """Ruined packets in the middle cost those frames and not the rest of the file."""
    path = write_video(tmp_path / "a.mkv", 40, codec="libx265", gop=10)
    spoilt = damage(path, tmp_path / "b.mkv", frames={12})
    found = numbers(opened(spoilt))
    assert found[:12] == list(range(12))
    assert found[-10:] == list(range(30, 40))


def test_pictures_are_written_in_place(tmp_path: Path) -> None:
    """A target of the right size is filled and given back; another one is left alone."""
    for reader in (
        opened(write_video(tmp_path / "a.mp4", 3)),
        opened(write_folder(tmp_path / "x", 3)),
    ):
        fitting = np.zeros((240, 320, 3), np.uint8)
        assert reader.grab()
        assert reader.retrieve(fitting) is fitting
        assert number_of(fitting) == 0
        small = np.zeros((24, 32, 3), np.uint8)
        assert reader.grab()
        picture = reader.retrieve(small)
        assert number_of(picture) == 1
        assert not small.any()
        reader.close()


def test_damaged_frames_are_told(tmp_path: Path) -> None:
    """A frame that was patched up is torn, those after it smeared, until the next key frame."""
    if not listen():
        pytest.skip("OpenCV has no libavutil of its own here")
    path = write_video(tmp_path / "a.mkv", 45, gop=15, size=(640, 360))
    for name, frames in (("whole.mkv", set()), ("damaged.mkv", {20})):
        reader = opened(damage(path, tmp_path / name, frames=frames))
        told = []
        while reader.grab():
            told.append(reader.damage)
        reader.close()
        torn = [Validity.TORN] + 9 * [Validity.SMEARED] if frames else 10 * [Validity.VALID]
        assert told == 20 * [Validity.VALID] + torn + 15 * [Validity.VALID]


def test_transports_do_not_mix() -> None:
    """Cameras with different transports may be opened at once; each gets its own."""

    def camera(request: str) -> bytes:
        if method_of(request) == "SETUP":
            return rtsp_reply(request, 461)
        return rtsp_reply(request, 200, "Content-Type: application/sdp\r\n", SDP)

    with ScriptedServer(camera) as tcp, ScriptedServer(camera) as udp:

        def attempt(server: ScriptedServer, transport: str) -> None:
            with pytest.raises(SourceError):
                open_source(
                    Source.parse(f"rtsp://127.0.0.1:{server.port}/x"),
                    OpenOptions(transport=transport),  # type: ignore[arg-type]
                )

        threads = [
            threading.Thread(target=attempt, args=(server, name))
            for _ in range(4)
            for server, name in ((tcp, "tcp"), (udp, "udp"))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    setups = [r for r in tcp.requests if method_of(r) == "SETUP"]
    assert len(setups) >= 4
    assert all("interleaved" in setup for setup in setups)
    setups = [r for r in udp.requests if method_of(r) == "SETUP"]
    assert len(setups) >= 4
    assert all("client_port" in setup for setup in setups)


class _Jpegs(BaseHTTPRequestHandler):
    """A camera that sends JPEGs without end, and its own time with none of them."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=x")
        self.end_headers()
        for number in range(20):
            data = cv2.imencode(".jpg", draw(number))[1].tobytes()
            head = f"--x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self.wfile.write(head.encode() + data + b"\r\n")

    def log_message(self, *_: object) -> None:
        return


def test_jpegs_over_http() -> None:
    """They come as a live source without times of its own, not at FFmpeg's 25 a second."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Jpegs)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        reader = open_source(Source.parse(f"http://127.0.0.1:{server.server_port}/v"))
        assert not reader.reads_ahead
        assert reader.grab()
        assert reader.pts_s is None
        assert number_of(reader.retrieve()) == 0
        assert numbers(reader)[:10] == list(range(1, 11))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_file_cannot_reach_into_the_network(tmp_path: Path) -> None:
    """A playlist on disk that names a URL is not followed."""
    with ScriptedServer(lambda _: None) as server:
        playlist = tmp_path / "a.m3u8"
        playlist.write_text(
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n"
            f"http://127.0.0.1:{server.port}/x.ts\n#EXT-X-ENDLIST\n"
        )
        assert refused(str(playlist)).reason == "codec"
    assert not server.requests


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_no_password_on_the_terminal(scheme: str) -> None:
    """Not even where OpenCV's and FFmpeg's own logs were turned up."""
    program = f"""
import sys
from sorawatch import SourceError
from streamer.capture.opener import OpenOptions, open_source
from streamer.capture.source import Source
for url in sys.stdin.read().split():
    try:
        open_source(Source.parse(url), OpenOptions(open_timeout_s=2))
    except SourceError as error:
        print(error.reason, error, repr(error))
print("{scheme} done")
"""
    with ScriptedServer(lambda _: b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n") as server:
        urls = (
            f"{scheme}://viewer:geheim@127.0.0.1:{server.port}/x {scheme}://v:geheim@127.0.0.1:1/"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program],
            input=urls,
            env=os.environ
            | {
                "PYTHONPATH": os.pathsep.join(sys.path),
                "OPENCV_LOG_LEVEL": "DEBUG",
                "OPENCV_FFMPEG_LOGLEVEL": "56",
                "OPENCV_FFMPEG_DEBUG": "1",
                "OPENCV_VIDEOIO_DEBUG": "1",
            },
            capture_output=True,
            text=True,
            check=True,
        )
    assert "viewer:***@" in ran.stdout
    assert f"{scheme} done" in ran.stdout
    assert "geheim" not in ran.stdout + ran.stderr
    assert not ran.stderr
