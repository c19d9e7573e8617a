"""The alert writer: from a draft to whoever listens, over real sockets."""

import json
import shutil
import socket
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq
import zmq.auth
from alert_makers import START_S, WAIT_S, draft, settings, short_folder, subscriber
from disk import fill, small_disk
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from alerts import wire
from alerts.address import check_address
from alerts.curve import CurveClient, CurveSettings
from alerts.event import Event
from alerts.outbox import Outbox
from alerts.subscriber import Subscriber
from alerts.writer import AlertWriter
from sorawatch import ConfigError, OutboxError, ResourceError

ROOT = Path(__file__).parents[2]


@contextmanager
def plain(kind: int, address: str) -> Iterator["zmq.Socket[bytes]"]:
    """A socket as somebody would use who knows ZeroMQ and not us."""
    with zmq.Context() as context, context.socket(kind) as sock:
        sock.linger = 0
        sock.rcvtimeo = round(WAIT_S * 1000)
        if kind == zmq.SUB:
            sock.subscribe(b"")
        sock.connect(address)
        yield sock


def seqs(events: Subscriber, count: int) -> list[int]:
    """The numbers of the next `count` events."""
    return [event.seq for _ in range(count) if (event := events.next(WAIT_S)) is not None]


def test_a_plain_subscriber_gets_events(tmp_path: Path) -> None:
    """Topic and JSON body, in order, between `available` true and the last word, false."""
    with AlertWriter(settings(tmp_path)) as writer, plain(zmq.SUB, writer.publish_address) as sub:
        topic, body = sub.recv_multipart()  # sent to every newcomer: the subscription is in force
        assert (topic, json.loads(body)["available"]) == (b"available", True)
        writer.submit(draft(0))
        writer.submit(draft(0, "end"))
        got: list[list[bytes]] = []
        while len(got) < 2:  # a second `available` may come: one is sent at the start as well
            if (message := sub.recv_multipart())[0] != b"available":
                got.append(message)
        assert [topic for topic, _ in got] == [b"events/gate"] * 2
        assert [json.loads(body)["seq"] for _, body in got] == [1, 2]
        assert json.loads(got[0][1])["stream"] == writer.stream
        threading.Thread(target=writer.__exit__, args=(None, None, None)).start()
        last = sub.recv_multipart()
        while json.loads(last[1]).get("available") is True:  # the same second one, late
            last = sub.recv_multipart()
        topic, body = last
        assert (topic, json.loads(body)["available"], json.loads(body)["seq"]) == (
            b"available",
            False,
            2,
        )


def test_what_is_queued_at_the_end_is_stored(tmp_path: Path) -> None:
    """Leaving the writer publishes and stores what was submitted before."""
    told: list[Event] = []
    with AlertWriter(
        settings(tmp_path), on_published=lambda event, _latency_s: told.append(event)
    ) as writer:
        for number in range(1200):
            assert writer.submit(draft(number))
    assert not writer.submit(draft(9999))
    assert writer.lost == 1
    assert [event.seq for event in told] == list(range(1, 1201))
    with Outbox(tmp_path / "alerts.db", START_S) as outbox:
        assert [json.loads(b)["id"] for b in outbox.after(0, limit=1200).bodies] == [
            draft(number).id for number in range(1200)
        ]


def test_a_burst_waits_for_no_timer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More at once than one batch holds goes out at once all the same."""
    monkeypatch.setattr("alerts.writer._TICK_MS", 3_600_000)
    with AlertWriter(settings(tmp_path)) as writer, subscriber(writer) as events:
        assert events.wait_available(WAIT_S)
        for number in range(1200):
            writer.submit(draft(number))
        assert seqs(events, 1200) == list(range(1, 1201))


def test_a_full_queue_counts_what_it_loses(tmp_path: Path) -> None:
    """submit never blocks: while the thread is held up, what does not fit is counted."""
    held, go_on = threading.Event(), threading.Event()

    def hold(_event: Event, _latency_s: float) -> None:
        held.set()
        go_on.wait(WAIT_S)

    with AlertWriter(settings(tmp_path), on_published=hold, queue_capacity=5) as writer:
        writer.submit(draft(0))
        assert held.wait(WAIT_S)
        taken = [writer.submit(draft(number)) for number in range(1, 9)]
        assert taken == [True] * 5 + [False] * 3
        assert (writer.lost, writer.queued) == (3, 5)
        go_on.set()


def test_a_failing_callback_stops_nothing(tmp_path: Path) -> None:
    """An error in `on_published` is logged; events go on."""

    def fail(_event: Event, _latency_s: float) -> None:
        raise RuntimeError("metrics are broken")

    with (
        AlertWriter(settings(tmp_path), on_published=fail) as writer,
        subscriber(writer) as events,
    ):
        assert events.wait_available(WAIT_S)
        writer.submit(draft(0))
        writer.submit(draft(1))
        assert [event.seq for event in (events.next(WAIT_S), events.next(WAIT_S)) if event] == [
            1,
            2,
        ]


def test_a_late_subscriber_gets_everything(tmp_path: Path) -> None:
    """Asked from 0, all that is kept comes, in order, then what happens."""
    with AlertWriter(settings(tmp_path)) as writer, subscriber(writer) as first:
        assert first.wait_available(WAIT_S)
        for number in range(1500):
            writer.submit(draft(number, camera=("gate", "yard")[number % 2]))
        while first.position != 1500:
            assert first.next(WAIT_S)
        with (
            subscriber(writer, after=0) as late,
            subscriber(writer, after=1400, stream=writer.stream, cameras=["yard"]) as choosy,
        ):
            assert seqs(late, 1500) == list(range(1, 1501))
            assert seqs(choosy, 50) == list(range(1402, 1501, 2))
            writer.submit(draft(1500, camera="yard"))
            for one in (late, choosy):
                event = one.next(WAIT_S)
                assert event is not None
                assert event.seq == 1501
                assert one.lost == 0


def test_a_subscriber_outlives_the_program(tmp_path: Path) -> None:
    """Restarted on the same ports, the program is found again and the gap is filled."""
    with AlertWriter(settings(tmp_path)) as writer, subscriber(writer) as events:
        fixed = settings(tmp_path, publish=writer.publish_address, catch_up=writer.catch_up_address)
        assert events.wait_available(WAIT_S)
        writer.submit(draft(0))
        writer.submit(draft(0, "end"))
        assert events.next(WAIT_S)
        writer.__exit__(None, None, None)
        assert events.next(WAIT_S)
        with Outbox(tmp_path / "alerts.db", START_S) as outbox:  # told while nobody could listen
            outbox.append([draft(1), draft(1, "end")], time.time())
        with AlertWriter(fixed) as again:
            assert seqs(events, 2) == [3, 4]
            again.submit(draft(2))
            event = events.next(WAIT_S)
            assert event is not None
            assert (event.seq, events.lost) == (5, 0)


def test_another_outbox_is_another_stream(tmp_path: Path) -> None:
    """When the outbox was replaced, the subscriber begins anew and says nothing twice."""
    with AlertWriter(settings(tmp_path / "old")) as writer, subscriber(writer) as events:
        fixed = {"publish": writer.publish_address, "catch_up": writer.catch_up_address}
        assert events.wait_available(WAIT_S)
        writer.submit(draft(0))
        first = events.next(WAIT_S)
        writer.__exit__(None, None, None)
        with Outbox(tmp_path / "new" / "alerts.db", START_S) as outbox:
            outbox.append([draft(1), draft(1, "end")], time.time())
        with AlertWriter(settings(tmp_path / "new", **fixed)):
            later = [events.next(WAIT_S) for _ in range(2)]
    assert first is not None
    assert [event.seq for event in later if event] == [1, 2]
    assert {event.stream for event in later if event} != {first.stream}


def test_without_catch_up_a_gap_is_counted(tmp_path: Path) -> None:
    """A subscriber that cannot ask says how many messages it lacks."""
    with AlertWriter(settings(tmp_path)) as writer, subscriber(writer) as other:
        assert other.wait_available(WAIT_S)
        for number in range(4):
            writer.submit(draft(number))
        assert seqs(other, 4) == [1, 2, 3, 4]
        with Subscriber(writer.publish_address, after=1) as events:
            assert events.wait_available(WAIT_S)
            writer.submit(draft(4))
            assert seqs(events, 1) == [5]
            assert events.lost == 3


def test_catch_up_answers_plain_sockets(tmp_path: Path) -> None:
    """REQ and DEALER get the same page; a page that is not the last says so."""
    with Outbox(tmp_path / "alerts.db", START_S) as outbox:
        outbox.append([draft(n, type_) for n in range(3) for type_ in ("new", "end")], time.time())
    with AlertWriter(settings(tmp_path)) as writer:
        pages = []
        for kind in (zmq.REQ, zmq.DEALER):
            with plain(kind, writer.catch_up_address) as sock:
                sock.send(b'{"after": 2, "limit": 3, "of a later version": true}')
                (body,) = sock.recv_multipart()
                pages.append(json.loads(body))
        assert pages[0] == pages[1]
        assert [event["seq"] for event in pages[0]["events"]] == [3, 4, 5]
        assert (pages[0]["through"], pages[0]["last"], pages[0]["forgotten"]) == (5, 6, 0)


frames = st.lists(st.binary(max_size=60), min_size=1, max_size=4)


def test_malformed_requests_are_refused(tmp_path: Path) -> None:
    """Random, huge and wrong requests get an error or nothing; the program goes on unharmed."""
    with AlertWriter(settings(tmp_path)) as writer:

        @hypothesis_settings(max_examples=100, deadline=None)
        @given(frames)
        def send_junk(junk: list[bytes]) -> None:
            with plain(zmq.DEALER, writer.catch_up_address) as sock:
                sock.send_multipart(junk)
                assert json.loads(sock.recv_multipart()[-1])["error"]

        send_junk()
        for wrong in (b"", b"{}", b'{"after": -1}', b'{"after": "1"}', b'{"after": 1, "limit": 0}'):
            with plain(zmq.REQ, writer.catch_up_address) as sock:
                sock.send(wrong)
                assert "error" in json.loads(sock.recv())
        for kind, address in (
            (zmq.DEALER, writer.catch_up_address),
            (zmq.XSUB, writer.publish_address),
        ):
            with (
                plain(kind, address) as sock,
                sock.get_monitor_socket(zmq.EVENT_DISCONNECTED) as monitor,
            ):
                sock.send(b"\1" * (wire.MAX_REQUEST_BYTES + 1))
                assert monitor.poll(round(WAIT_S * 1000)), "a huge message was let in"
                sock.disable_monitor()
        with plain(zmq.REQ, writer.catch_up_address) as sock:
            sock.send(b'{"after": 0, "limit": 999999999}')
            assert json.loads(sock.recv())["events"] == []


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    """The address and its key; nothing is left locked."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ResourceError, match=f"alerts.catch_up: cannot listen on {address}"):
            AlertWriter(settings(tmp_path, catch_up=address)).__enter__()
    with AlertWriter(settings(tmp_path)):
        pass


def test_an_outbox_in_use_is_named(tmp_path: Path) -> None:
    """Two programs cannot share an outbox."""
    with AlertWriter(settings(tmp_path)), pytest.raises(OutboxError, match="in use"):
        AlertWriter(settings(tmp_path)).__enter__()


@pytest.mark.parametrize(
    "address",
    [
        "tcp://0.0.0.0:5556",
        "tcp://*:5556",
        "tcp://10.0.0.7:5556",
        "tcp://[::]:5556",
        "tcp://eth0:1",
    ],
)
def test_other_machines_need_keys(tmp_path: Path, address: str) -> None:
    """Beyond loopback nothing is bound without CURVE keys."""
    with pytest.raises(ConfigError, match=r"alerts\.publish: .* needs CURVE keys.*sorawatch keys"):
        AlertWriter(settings(tmp_path, publish=address))
    allowed = settings(tmp_path, anyone_on_the_network_may_listen=True)
    check_address(address, "alerts.publish", guarded=allowed.guarded)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:5556", "tcp://127.0.0.1", "udp://127.0.0.1:1", "", "tcp://127.0.0.1:70000"],
)
def test_no_address(tmp_path: Path, address: str) -> None:
    """What is no address is refused by key."""
    with pytest.raises(ConfigError, match=r"alerts\.publish: .* is no address"):
        AlertWriter(settings(tmp_path, publish=address))


def test_ipc_is_for_the_owner_alone(tmp_path: Path) -> None:
    """ipc works, its sockets are closed to other users, and a living one is not taken away."""
    folder = short_folder()
    try:
        ipc = {"publish": f"ipc://{folder}/pub", "catch_up": f"ipc://{folder}/ask"}
        with AlertWriter(settings(tmp_path, **ipc)) as writer, subscriber(writer) as events:
            for name in ("pub", "ask"):
                assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
            assert events.wait_available(WAIT_S)
            writer.submit(draft(0))
            assert events.next(WAIT_S)
            with pytest.raises(ResourceError, match=r"alerts\.publish: .*in use"):
                AlertWriter(settings(tmp_path / "other", **ipc)).__enter__()
            writer.submit(draft(1))
            assert events.next(WAIT_S)
        with AlertWriter(settings(tmp_path, **ipc)):  # what an earlier run left is no obstacle
            pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_curve_lets_in_the_listed_keys_alone(tmp_path: Path) -> None:
    """With keys an address beyond loopback is allowed; a listed key gets events, others nothing."""
    for name in ("server", "friend", "stranger"):
        zmq.auth.create_certificates(tmp_path, name)
    keys = {
        name: zmq.auth.load_certificate(tmp_path / f"{name}.key")[0].decode()
        for name in ("server", "friend")
    }
    (tmp_path / "allowed").write_text(f"# who may listen\n{keys['friend']} the hall's screen\n")
    curve = CurveSettings(tmp_path / "server.key_secret", tmp_path / "allowed")
    open_to_all = settings(tmp_path, publish="tcp://*:0", curve=curve)
    with AlertWriter(open_to_all) as writer:
        address = writer.publish_address.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        friend = CurveClient(tmp_path / "friend.key_secret", keys["server"])
        stranger = CurveClient(tmp_path / "stranger.key_secret", keys["server"])
        with (
            Subscriber(address, writer.catch_up_address, curve=friend, after=0) as let_in,
            Subscriber(address, writer.catch_up_address, curve=stranger) as kept_out,
            plain(zmq.SUB, address) as naked,
        ):
            assert let_in.wait_available(WAIT_S)
            for number in range(3):
                writer.submit(draft(number))
                assert let_in.next(WAIT_S)
            assert not kept_out.wait_available(0.2)
            assert not naked.poll(0)


def test_bad_keys_are_named(tmp_path: Path) -> None:
    """Missing, public-only, empty and misspelt key files: one line with the file and the line."""
    zmq.auth.create_certificates(tmp_path, "server")
    whole = (tmp_path / "server.key_secret").read_text()
    (tmp_path / "cut.key_secret").write_text(whole[: whole.rindex('"') - 9] + '"')
    allowed = tmp_path / "allowed"

    def enter(secret: str, keys: str) -> None:
        allowed.write_text(keys)
        curve = CurveSettings(tmp_path / secret, allowed)
        AlertWriter(settings(tmp_path, curve=curve)).__enter__()

    for secret, keys, message in (
        ("nothing", "", "nothing cannot be read"),
        ("server.key", "", "holds no secret key"),
        ("cut.key_secret", "", "holds no key pair of 40 Z85 characters"),
        ("server.key_secret", "# nobody\n", "allowed is empty"),
        ("server.key_secret", "\nxyz\n", "allowed, line 2: not a public key"),
    ):
        with pytest.raises(ConfigError, match=message):
            enter(secret, keys)


def test_a_full_disk_is_an_alert_itself(tmp_path: Path) -> None:
    """On a full file system alerts still go out, with one that says so, and are stored later."""
    said: list[bool] = []
    with small_disk(tmp_path / "disk", 400) as folder:
        with (
            AlertWriter(
                settings(folder), on_degraded=lambda degraded, _reason: said.append(degraded)
            ) as writer,
            subscriber(writer) as events,
        ):
            assert events.wait_available(WAIT_S)
            ballast = fill(folder)
            got: list[Event] = []
            while not got or got[-1].kind != "health":
                writer.submit(draft(len(got), explanation={"text": "x" * 900, "parts": {}}))
                event = events.next(WAIT_S)
                assert event is not None
                got.append(event)
            assert (got[-1].camera, got[-1].state, got[-1].type) == ("@program", "outbox", "new")
            assert "has no space" in got[-1].explanation.text
            said_id = got[-1].id
            ballast.unlink()
            event = events.next(WAIT_S)
            while event is not None and event.camera != "@program":
                got.append(event)
                event = events.next(WAIT_S)
            assert event is not None
            assert (event.id, event.type, event.ended_by) == (said_id, "end", "over")
            got.append(event)
            assert said == [True, False]
        with Outbox(folder / "alerts.db", START_S) as outbox:
            stored = [wire.decode(body) for body in outbox.after(0, limit=len(got)).bodies]
            assert stored == got
