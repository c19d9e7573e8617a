"""The control socket: answers who may ask, refuses nonsense, and outlives all of it."""

import json
import os
import random
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.outbox import Outbox
from detectors.normality import Normality
from sorawatch import ConfigError, ResourceError, SorawatchError
from streamer.control import (
    MAX_REQUEST_BYTES,
    MOST_A_SECOND,
    Acknowledge,
    ControlError,
    ControlServer,
    Hello,
    ListEvents,
    MarkEvent,
    ShowEvent,
    UnmarkEvent,
    ask_control,
    parse_request,
)
from streamer.feedback import Held
from tests.alerts.alert_makers import START_S, draft, short_folder

SCHEMA = "sorawatch.control/1"


class Nobody:
    """A program that watches no camera."""

    def held(self, camera: str, _event_id: str) -> Held:
        raise ConfigError(f"the camera {camera} is not watched")

    def taught(self, _file: Path, _before: str, _now: Normality) -> list[str]:
        return []


@pytest.fixture
def address(request: pytest.FixtureRequest) -> Iterator[str]:
    """Of a server over an outbox with three events; `param`: requests it takes a second."""
    folder = short_folder()
    folder.mkdir()
    path = folder / "alerts.db"
    with Outbox(path, START_S) as outbox:
        outbox.append([draft(0), draft(0, "end"), draft(1), draft(2, camera="yard")], START_S)
        found = f"ipc://{path}.control"
        most = getattr(request, "param", MOST_A_SECOND)
        with ControlServer(found, path, Nobody(), stream=outbox.stream, most_a_second=most):
            yield found
    for left in folder.iterdir():
        left.unlink()
    folder.rmdir()


@pytest.fixture
def dealer(address: str) -> Iterator["zmq.Socket[bytes]"]:
    with zmq.Context[zmq.Socket[bytes]]() as context, context.socket(zmq.DEALER) as sock:
        sock.setsockopt(zmq.LINGER, 0)
        sock.connect(address)
        yield sock


def answer(sock: "zmq.Socket[bytes]") -> dict[str, Any]:
    assert sock.poll(5000), "no answer"
    found: dict[str, Any] = json.loads(sock.recv_multipart()[-1])
    assert found["schema"] == SCHEMA
    return found


def test_events_are_listed_acknowledged_and_marked(address: str) -> None:
    """Each command does what its name says, and what cannot be done is refused with the reason."""
    assert ask_control(address, Hello())["version"]
    events = ask_control(address, ListEvents(cameras=["gate"], limit=10))["events"]
    assert [one["camera"] for one in events] == ["gate", "gate"]
    first, second = events[1]["id"], events[0]["id"]
    page = ask_control(address, ListEvents(limit=2))
    assert len(page["events"]) == 2
    assert len(ask_control(address, ListEvents(before=page["next"]))["events"]) == 1
    assert ask_control(address, Acknowledge(ids=[first, second[-6:]], by="me"))["ids"] == [
        first, second
    ]  # fmt: skip
    seen = ask_control(address, ListEvents(acknowledged=True))["events"]
    assert {one["id"] for one in seen} == {first, second}
    real = MarkEvent.model_validate({"id": first, "as": "real", "note": "him again"})
    assert ask_control(address, real)["marks"]["note"] == "him again"
    shown = ask_control(address, ShowEvent(id=first))
    assert [one["type"] for one in shown["messages"]] == ["new", "end"]
    assert shown["event"]["marks"]["mark"] == "real"
    with pytest.raises(SorawatchError, match="marked real already"):
        ask_control(address, real)
    unmarked = ask_control(address, UnmarkEvent(id=first[-6:]))
    assert (unmarked["id"], unmarked["marks"]["mark"]) == (first, None)
    for request, said in (
        (UnmarkEvent(id=first), "is not marked"),
        (ShowEvent(id="nobody"), "no event 'nobody'"),
        (Acknowledge(ids=[first, "nobody"]), "no event 'nobody'"),
        (MarkEvent.model_validate({"id": second, "as": "normal"}), "gate is not watched"),
    ):
        with pytest.raises(SorawatchError, match=said):
            ask_control(address, request)


def test_only_its_owner_can_open_it_and_only_one_program(address: str) -> None:
    """The socket has mode 0600, and a second program does not take it away."""
    path = Path(address.removeprefix("ipc://"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    outbox = path.with_suffix("")
    second = ControlServer(address, outbox, Nobody(), stream="other")
    with pytest.raises(ResourceError, match=r"control\.listen"):
        second.__enter__()
    assert ask_control(address, Hello())["stream"] != "other"


def noise(rng: random.Random) -> list[bytes]:
    """A message that nobody meant."""
    good = {"schema": SCHEMA, "do": rng.choice(["hello", "events", "ack", "mark", "event", "x"])}
    body = json.dumps(
        good
        | {
            "id": rng.choice(["last", "\0", "a" * 101, "%"]),
            "as": "normal",
            "ids": [["deep"]],
            "limit": rng.choice([0, -1, 1e999, 10**30]),
        }
    )
    kinds = [
        rng.randbytes(rng.choice([0, 1, 50, 5000])),
        body.encode(),
        body.encode()[: rng.randrange(len(body))],
        b"[" * rng.randrange(40_000),
        b'{"do":' * rng.randrange(9_000),
        b"\xff\xfe" + body.encode("utf-16"),
        json.dumps("a" * rng.randrange(60_000)).encode(),
        b"null",
        b"1e99999",
    ]  # fmt: skip
    return [rng.choice(kinds) for _ in range(rng.choice([1, 1, 1, 1, 2, 3, 9]))]


@pytest.mark.parametrize("address", [10**9], indirect=True)
def test_nonsense_is_refused_and_nothing_grows(address: str, dealer: "zmq.Socket[bytes]") -> None:
    """Thousands of random messages: each is answered with an error, none kills or feeds it."""
    rng, me, asked = random.Random(7), psutil.Process(), 0
    size = 0
    for number in range(1500):
        dealer.send_multipart(noise(rng))
        found = answer(dealer)
        asked += "error" in found
        if number == 300:
            size = me.memory_info().rss
    assert asked > 1300
    assert me.memory_info().rss - size < 30e6
    assert ask_control(address, Hello())["version"]


def wait_a_second() -> None:
    """Until requests are counted anew."""
    threading.Event().wait(1.1)


def test_what_is_too_long_or_too_much_is_refused(address: str, dealer: "zmq.Socket[bytes]") -> None:
    """Beyond 64 KiB the connection is closed unread; beyond the rate requests are refused."""
    with zmq.Context[zmq.Socket[bytes]]() as context, context.socket(zmq.DEALER) as huge:
        huge.setsockopt(zmq.LINGER, 0)
        huge.connect(address)
        huge.send(b" " * (MAX_REQUEST_BYTES + 1))
        assert not huge.poll(300)
    hello = Hello().model_dump_json(by_alias=True).encode()
    for _ in range(MOST_A_SECOND + 50):
        dealer.send(hello)
    answers = [answer(dealer) for _ in range(MOST_A_SECOND + 50)]
    refused = [one for one in answers if "error" in one]
    assert 0 < len(refused) <= 60
    assert "a second" in refused[0]["error"]
    wait_a_second()
    # Somebody who asks and never reads holds up nobody.
    request = ListEvents(limit=1000).model_dump_json(by_alias=True, exclude_none=True).encode()
    with zmq.Context[zmq.Socket[bytes]]() as context, context.socket(zmq.DEALER) as deaf:
        deaf.setsockopt(zmq.LINGER, 0)
        deaf.setsockopt(zmq.RCVHWM, 1)
        deaf.connect(address)
        for _ in range(150):
            deaf.send(request)
        wait_a_second()
        assert ask_control(address, Hello())["version"]


def test_a_raw_connection_that_speaks_no_zeromq_is_dropped(address: str) -> None:
    """Bytes that are no ZeroMQ at all do no harm."""
    import socket  # noqa: PLC0415 - beside zmq's names it would confuse

    for size in (1, 64, 100_000):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(address.removeprefix("ipc://"))
            try:
                raw.sendall(os.urandom(size))
            except BrokenPipeError:
                continue
    assert ask_control(address, Hello())["version"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)
keys = st.sampled_from(["schema", "do", "id", "ids", "as", "cameras", "limit", "since", "note"])
words = st.sampled_from([SCHEMA, "hello", "events", "ack", "mark", "unmark", "event", "last"])


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | st.dictionaries(keys, words | json_values).map(
    lambda tree: json.dumps(tree).encode()))  # fmt: skip
def test_a_request_is_understood_or_refused(body: bytes) -> None:
    """Whatever the bytes: a request, or a ControlError of one line."""
    try:
        parse_request(body)
    except ControlError as exc:
        assert "\n" not in str(exc)  # noqa: PT017
