"""What strangers send: refused, without a crash, and without growing."""

import json
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import zmq
from alert_makers import WAIT_S, draft, settings, subscriber
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from alerts import wire
from alerts.subscriber import Subscriber
from alerts.writer import AlertWriter

MIB = 1024 * 1024


@contextmanager
def plain(context: zmq.Context, kind: int, address: str) -> Iterator[zmq.Socket]:
    with context.socket(kind) as sock:
        sock.linger = 0
        sock.rcvtimeo = sock.sndtimeo = round(WAIT_S * 1000)
        sock.connect(address)
        yield sock


def still_serves(writer: AlertWriter, events: Subscriber, number: int) -> None:
    """An event that is told now arrives, and nothing before it was lost."""
    writer.submit(draft(number))
    while (event := events.next(WAIT_S)) is not None and event.id != draft(number).id:
        pass
    assert event is not None
    assert events.lost == 0


def rss() -> int:
    return psutil.Process().memory_info().rss


def test_random_requests_are_refused(tmp_path: Path) -> None:
    """Thousands of random requests, half-right ones among them: each gets an answer, or none."""
    rng = random.Random(5)
    pieces = [b'{"after": 0', b'"limit": 1', b"}", b"{", b",", b"[" * 2000, b"\0", b'"cameras": [',
              b'"gate"', b"]", b"1e999", b"-1", b"\xff\xfe", b"null", b'{"after": 0}',
              b"x" * 999]  # fmt: skip
    with AlertWriter(settings(tmp_path)) as writer, subscriber(writer) as events:
        with zmq.Context() as context, plain(context, zmq.DEALER, writer.catch_up_address) as sock:
            before = rss()
            for number in range(3000):
                parts = [b"".join(rng.choices(pieces, k=rng.randrange(8)))
                         for _ in range(rng.choice((1, 1, 1, 2, 5)))]  # fmt: skip
                sock.send_multipart(parts)
                answer = json.loads(sock.recv_multipart()[-1])
                assert "error" in answer or answer["schema"] == "sorawatch.page/1", number
            assert rss() - before < 20 * MIB
        still_serves(writer, events, 1)


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=4)
            | st.dictionaries(
                st.sampled_from(["after", "cameras", "limit", "x"]), inner, max_size=4
            )
        ),
        max_leaves=10,
    )
)
def test_any_json_is_read_or_refused(document: object) -> None:
    """A request is what docs/wire.md says, or a WireError; a page and an event as well."""
    body = json.dumps(document).encode()
    for read in (wire.CatchUpRequest.parse, wire.Available.parse, wire.decode, wire.decode_page):
        said = ""
        try:
            read(body)
        except wire.WireError as exc:
            said = str(exc)
        assert "\n" not in said
        assert len(said) < 1000


def test_whoever_asks_and_does_not_read_fills_nothing(tmp_path: Path) -> None:
    """A thousand questions for all there is, no answer taken: memory stays, others are served."""
    long = {"text": "x" * 900}
    with AlertWriter(settings(tmp_path)) as writer, subscriber(writer) as events:
        for number in range(1200):
            writer.submit(draft(number, explanation=long))
        assert events.wait_available(WAIT_S)
        while events.position != 1200:
            assert events.next(WAIT_S)
        with zmq.Context() as context, plain(context, zmq.DEALER, writer.catch_up_address) as sock:
            sock.rcvhwm = 1
            before = rss()
            for _ in range(1000):
                sock.send(b'{"after": 0, "limit": 1000}')
            still_serves(writer, events, 2000)
            assert rss() - before < 60 * MIB


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x04\x19\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB"


def framed(said: bytes) -> bytes:
    """A message of one frame, as ZMTP 3 puts it on the wire."""
    return b"\x02" + len(said).to_bytes(8, "big") + said


def hostile(rng: random.Random) -> bytes:
    """What a hostile subscriber says: foreign topics, our own at length, messages, nonsense."""
    said = (
        b"\1" + rng.randbytes(rng.randrange(400)),
        b"\1events/" + rng.randbytes(rng.randrange(300)),
        rng.randbytes(rng.randrange(100)),
        b"\0" + rng.randbytes(5),
    )
    return b"".join(map(framed, said))


def test_a_flood_of_topics_frees_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever subscribes to ever more is disconnected with everybody; who is honest comes back."""
    rng = random.Random(7)
    flood = [b"".join(hostile(rng) for _ in range(250)) for _ in range(20)]
    with AlertWriter(settings(tmp_path)) as writer, subscriber(writer) as events:
        assert events.wait_available(WAIT_S)
        port = int(writer.publish_address.rpartition(":")[2])
        before = rss()
        for number in range(60):  # 60,000 messages, 30,000 topics, 6 MB of them
            try:
                with socket.create_connection(("127.0.0.1", port), WAIT_S) as raw:
                    raw.sendall(GREETING)
                    raw.recv(64, socket.MSG_WAITALL)
                    raw.sendall(READY)
                    raw.sendall(flood[number % len(flood)])
                    while raw.recv(65536):  # until it is thrown out
                        pass
            except (ConnectionError, BrokenPipeError):  # thrown out, or nobody there for a moment
                pass
            if number % 20 == 0:
                still_serves(writer, events, number)
            assert rss() - before < 40 * MIB
        still_serves(writer, events, 99_999)
    assert "all subscribers are disconnected" in caplog.text


def test_bytes_that_are_not_zeromq(tmp_path: Path) -> None:
    """Random bytes on both ports: connections close, nothing else happens."""
    rng = random.Random(3)
    with AlertWriter(settings(tmp_path)) as writer, subscriber(writer) as events:
        before = rss()
        for address in (writer.publish_address, writer.catch_up_address):
            port = int(address.rpartition(":")[2])
            for number in range(150):
                with socket.create_connection(("127.0.0.1", port), WAIT_S) as raw:
                    head = GREETING if number % 2 else b""
                    try:
                        raw.sendall(head + rng.randbytes(rng.randrange(1, 5000)))
                        if number % 50 == 0:  # a frame that says it is 2^60 bytes long
                            raw.sendall(b"\x02" + (1 << 60).to_bytes(8, "big") + bytes(100_000))
                    except (BrokenPipeError, ConnectionResetError):
                        pass
        assert rss() - before < 20 * MIB
        still_serves(writer, events, 1)
