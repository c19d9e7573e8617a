"""The demo's cameras are real RTSP streams."""

import os
import re
import socket
import sys
import threading

import cv2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sorawatch import SourceError
from streamer.demo.children import Children, LineReader
from streamer.demo.packets import Packetizer, read_footage, split_nals
from streamer.demo.render import encode_h264, render_scene
from streamer.demo.serve import Served

OPTIONS = [
    *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 8000),
    *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, 4000),
    *(cv2.CAP_PROP_N_THREADS, 1),
]


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two short films: 24 and 30 frames at 15 a second."""
    folder = tmp_path_factory.mktemp("films")
    for name, frames in (("gate", 24), ("yard", 30)):
        scene = render_scene(1, "plaza", frames / 15, size=(320, 180), crowd="busy")
        assert encode_h264(scene, folder / f"{name}.mp4", 15) == frames
    return folder


@pytest.fixture
def server(films, tmp_path):
    """The server as the demo starts it: its port, and a function that gives what it told."""
    with Children(tmp_path) as children:
        cameras = [f"{name}={films / name}.mp4" for name in ("gate", "yard")]
        child = children.start(
            "serve", [sys.executable, "-m", "streamer.demo.serve", *cameras], talks=True
        )
        reader = LineReader(child)
        told: list[Served] = []

        def hear(count: int) -> list[Served]:
            while len(told) < count and child.poll() is None:
                told.extend(map(Served.parse, reader.lines()))
            return told

        yield hear(1)[0].port, hear, child


def _frames(url: str) -> list[float]:
    """Every picture of a stream: its time stamp, milliseconds."""
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", "rtsp_transport;tcp")
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, OPTIONS)
    stamps = []
    while capture.read()[0]:
        stamps.append(capture.get(cv2.CAP_PROP_POS_MSEC))
    capture.release()
    return stamps


def test_every_client_gets_the_whole_film_from_its_beginning(server):
    """Two cameras at once, one of them twice: each client sees every frame, evenly spaced."""
    port, hear, _ = server
    seen: dict[int, list[float]] = {}
    names = ("gate", "yard", "gate")

    def watch(number: int) -> None:
        seen[number] = _frames(f"rtsp://127.0.0.1:{port}/{names[number]}")

    threads = [threading.Thread(target=watch, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(seen[number]) for number in range(3)] == [24, 30, 24]
    steps = [round(b - a) for a, b in zip(seen[1][1:], seen[1][2:], strict=False)]
    assert set(steps) <= {66, 67}
    told = hear(7)[1:]
    assert sorted(one.camera for one in told if one.what == "play") == ["gate", "gate", "yard"]
    plays = {one.camera: one.utc_s for one in told if one.what == "play"}
    ends = {one.camera: one.utc_s for one in told if one.what == "end"}
    assert 1.9 < ends["yard"] - plays["yard"] < 3  # sent at its rate, not at once


def _ask(port: int, *requests: str) -> list[str]:
    """The status lines of the answers to some requests on one connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as _,
        socket.create_connection(("127.0.0.1", port), timeout=5) as sock,
    ):
        answers = []
        for number, request in enumerate(requests):
            sock.sendall(f"{request}\r\nCSeq: {number}\r\n\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer and (part := sock.recv(4096)):
                answer += part
            answers.append(answer.decode().split("\r\n")[0])
        return answers


def test_requests_that_cannot_be_met_are_refused(server):
    """An unknown camera is 404, UDP 461, an unknown method 501; noise hangs up, quietly."""
    port, _, child = server
    base = f"rtsp://127.0.0.1:{port}"
    assert _ask(
        port,
        f"DESCRIBE {base}/none RTSP/1.0",
        f"SETUP {base}/gate/track1 RTSP/1.0\r\nTransport: RTP/AVP;unicast;client_port=5000-5001",
        f"RECORD {base}/gate RTSP/1.0",
    ) == [
        "RTSP/1.0 404 Not Found",
        "RTSP/1.0 461 Unsupported Transport",
        "RTSP/1.0 501 Not Implemented",
    ]
    assert _ask(port, "GET / HTTP/1.1") == [""]
    assert _ask(port, f"OPTIONS {base}/gate RTSP/1.0") == ["RTSP/1.0 200 OK"]
    assert child.poll() is None


def test_server_ends_with_whoever_started_it(server):
    """When the demo is gone, even killed, its server goes too."""
    _, _, child = server
    child.stdin.close()
    assert child.wait(5) == 0


@given(
    nals=st.lists(
        st.tuples(st.integers(1, 23), st.binary(min_size=1, max_size=9000)), min_size=1, max_size=4
    ),
    sequence=st.integers(0, 0xFFFF),
)
def test_packets_put_together_again_are_the_frame(nals, sequence):
    """Whatever the sizes, the RTP packets of a frame hold exactly its units, numbered in a row."""
    units = tuple(bytes([0x60 | kind]) + body for kind, body in nals)
    stream = Packetizer(7, sequence, 100).interleaved(1.0, units, 0)
    found, marks, at = [], [], 0
    while at < len(stream):
        assert stream[at : at + 2] == b"$\x00"
        size = int.from_bytes(stream[at + 2 : at + 4], "big")
        packet = stream[at + 4 : at + 4 + size]
        at += 4 + size
        assert size < 1500
        assert int.from_bytes(packet[2:4], "big") == (sequence + len(marks)) % 65536
        assert int.from_bytes(packet[4:8], "big") == 100 + 90_000
        marks.append(packet[1] >> 7)
        payload = packet[12:]
        if payload[0] & 31 != 28:
            found.append(payload)
        elif payload[1] & 0x80:
            found.append(bytes([payload[0] & 0xE0 | payload[1] & 31]) + payload[2:])
        else:
            found[-1] += payload[2:]
    assert tuple(found) == units
    assert marks == [0] * (len(marks) - 1) + [1]


def test_units_are_split_at_both_kinds_of_start_code():
    """Three and four byte start codes both begin a unit, and belong to none."""
    assert split_nals(b"\0\0\0\1\x67ab\0\0\1\x68c\0\0\0\1\x65\0d") == (
        b"\x67ab",
        b"\x68c",
        b"\x65\0d",
    )


def test_a_file_that_is_no_film_is_named(tmp_path):
    """What cannot be served is a one-line error that names the file."""
    path = tmp_path / "noise.mp4"
    path.write_bytes(b"no film")
    with pytest.raises(SourceError, match=re.escape(str(path))):
        read_footage(path)
