"""Webhooks: signed posts that arrive, whatever the other side does meanwhile."""

import hashlib
import hmac
import json
import logging
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from alert_makers import START_S, WAIT_S, draft, settings
from certificates import make_certificates
from sink_rig import Post, Server, black_hole, item, report, running, sink, talker, until

from alerts.outbox import Outbox
from alerts.sinks.choice import Choice
from alerts.sinks.dial import Dialer, Resolver
from alerts.sinks.halt import Halt
from alerts.sinks.sink import NotNow, Refused
from alerts.sinks.tls import TlsSettings
from alerts.sinks.webhook import Webhook, WebhookSettings

SECRET = "a secret of two hands"
ROOT = Path(__file__).parents[2]


def hook(server: Server, **facts: Any) -> WebhookSettings:
    return WebhookSettings(server.url, **facts)


def send(url: str, **facts: Any) -> None:
    """One event to `url`, once."""
    halt = Halt()
    patience = {"connect_s": 2.0, "answer_s": 0.3, **facts}
    try:
        way = WebhookSettings(url, **patience)
        webhook = Webhook(way, Dialer(Resolver(), halt, way.connect_s))
        try:
            webhook.send(item())
        finally:
            webhook.close()
    finally:
        halt.close()


def test_each_message_is_posted_as_documented_and_signed(tmp_path: Path) -> None:
    """The very bytes of the outbox, in order, with a signature that the receiver can check."""
    with (
        Server() as server,
        running(tmp_path, sink("hook", hook(server, secret=SECRET))) as (writer, sinks),
    ):
        for type_ in ("new", "update", "end"):
            writer.submit(draft(0, type_))
        server.wait(3)
        until(lambda: report(sinks, "hook").delivered == 3)
        now = time.time()
    with Outbox(tmp_path / "alerts.db", START_S) as outbox:
        assert tuple(post.body for post in server.posts) == outbox.after(0).bodies
    keys = set()
    for post in server.posts:
        stamp = post.headers["Sorawatch-Timestamp"]
        assert abs(int(stamp) - now) < WAIT_S
        mac = hmac.new(SECRET.encode(), stamp.encode() + b"." + post.body, hashlib.sha256)
        assert post.headers["Sorawatch-Signature"] == f"v1={mac.hexdigest()}"
        assert post.headers["Content-Type"] == "application/json"
        event = json.loads(post.body)
        assert post.headers["Sorawatch-Event"] == event["id"]
        keys.add(post.headers["Idempotency-Key"])
        assert post.headers["Idempotency-Key"] == f"{event['id']}-{event['seq']}"
    assert len(keys) == 3
    assert server.connections == 1, "a connection is used again"


def test_failures_are_tried_again_and_nothing_is_passed_over(tmp_path: Path) -> None:
    """500, 503, 429 and 408 delay what they concern; the order stays."""
    moods = iter([500, 503, 429, 408, 302])

    def mood(_number: int, _post: Post) -> int:
        return next(moods, 204)

    with Server(mood) as server, running(tmp_path, sink("hook", hook(server))) as (writer, sinks):
        for number in range(3):
            writer.submit(draft(number))
        server.wait(8)
        until(lambda: report(sinks, "hook").delivered == 3)
        found = report(sinks, "hook")
        assert [post.seq for post in server.posts] == [1] * 6 + [2, 3]
        assert (found.retries, found.given_up, found.behind) == (5, 0, 0)
        assert found.state == "working"


def test_what_is_refused_is_given_up_said_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A 4xx would be one tomorrow: the message is named in the log, and the next one goes."""

    def mood(number: int, _post: Post) -> int:
        return 422 if number == 0 else 200

    with Server(mood) as server, running(tmp_path, sink("hook", hook(server))) as (writer, sinks):
        writer.submit(draft(0))
        writer.submit(draft(1))
        server.wait(2)
        until(lambda: report(sinks, "hook").delivered == 1)
        found = report(sinks, "hook")
        assert (found.given_up, found.retries, found.position) == (1, 0, 2)
        assert "422" in str(found.error)
    said = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 1
    assert "gives up message 1 (gate, new of" in said[0]


def test_retry_after_is_kept_to(tmp_path: Path) -> None:
    """A server that asks for patience gets it, also by a date; what is nonsense is passed over."""
    for text, waits_s in (("7", 7), ("Sat, 22 Nov 2025 09:00:30 GMT", 30), ("soon", None)):
        halt = Halt()
        with Server(lambda _n, _p, text=text: (503, {"Retry-After": text})) as server:
            webhook = Webhook(hook(server), Dialer(Resolver(), halt), utc_clock=lambda: START_S)
            with pytest.raises(NotNow) as caught:
                webhook.send(item())
            webhook.close()
        halt.close()
        assert caught.value.after_s == waits_s


def test_redirects_are_not_followed() -> None:
    """A signed message goes to the host that was configured and to no other."""
    with Server() as other, Server(lambda _n, _p: (307, {"Location": other.url})) as server:
        with pytest.raises(NotNow, match="redirects are not followed"):
            send(server.url)
        assert not other.posts


def test_a_server_that_never_answers_holds_nobody_for_long() -> None:
    """Neither silence, nor a byte a moment, nor an endless header outlives the time limit."""
    began_s = time.monotonic()
    with Server(lambda _n, _p: None) as server, pytest.raises(NotNow, match=r"within 0\.3 s"):
        send(server.url)

    def drip(sock: socket.socket) -> None:
        tick = threading.Event()
        sock.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while not tick.wait(0.02):
            sock.sendall(b"x")

    with black_hole() as port, pytest.raises(NotNow, match=r"no answer within 0\.3 s"):
        send(f"http://127.0.0.1:{port}/", connect_s=0.3)

    def flood(sock: socket.socket) -> None:
        while True:
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)

    with talker(flood) as port, pytest.raises(NotNow, match=r"within 0\.3 s"):
        send(f"http://127.0.0.1:{port}/")
    with talker(drip) as port, pytest.raises(NotNow, match=r"within 0\.3 s"):
        send(f"http://127.0.0.1:{port}/")
    assert time.monotonic() - began_s < 5


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 999999 \xff\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X" * 100_000,
    ],
)
def test_what_is_no_http_is_an_outage(answer: bytes) -> None:
    """Whatever the other side sends, the message is kept and tried again."""

    def talk(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(answer)

    with talker(talk) as port, pytest.raises(NotNow):
        send(f"http://127.0.0.1:{port}/")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1_000_000,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    ],
)
def test_a_good_status_is_enough(answer: bytes) -> None:
    """A body that breaks off, or has no end, changes nothing about it."""

    def talk(sock: socket.socket) -> None:
        sock.recv(65536)
        sock.sendall(answer)

    with talker(talk) as port:
        send(f"http://127.0.0.1:{port}/")


def test_a_name_server_that_hangs_delays_only_its_sink(tmp_path: Path) -> None:
    """Others deliver meanwhile, the program stops at once, and one thread is left at the most."""
    answer = threading.Event()
    asked = threading.Semaphore(0)

    def hanging(host: str, port: int) -> Any:
        asked.release()
        answer.wait(WAIT_S)
        return socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)

    dead = sink("dead", WebhookSettings("http://hooks.example/x"))
    with Server() as server:
        with running(tmp_path, dead, sink("live", hook(server)), lookup=hanging) as (writer, sinks):
            assert asked.acquire(timeout=WAIT_S) if writer.submit(draft(0)) else False
            for number in range(1, 20):
                writer.submit(draft(number))
            server.wait(20)
            until(lambda: report(sinks, "live").behind == 0)
            assert report(sinks, "dead").delivered == 0
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 2.0
        answer.set()


def test_a_lookup_that_hangs_is_not_asked_twice() -> None:
    """Ten attempts at a dead name server are one thread, and its late answer is used."""
    answer = threading.Event()
    asked = []

    def hanging(host: str, port: int) -> Any:
        asked.append(host)
        answer.wait(WAIT_S)
        return socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)

    halt, resolver = Halt(), Resolver(hanging)
    for _ in range(10):
        with pytest.raises(NotNow, match=r"hooks\.example could not be looked up"):
            resolver.resolve("hooks.example", 80, halt, 0.01)
    answer.set()
    assert resolver.resolve("hooks.example", 80, halt)[0][4] == ("127.0.0.1", 80)
    assert asked == ["hooks.example"]
    halt.close()


def test_a_name_that_does_not_exist_is_an_outage() -> None:
    """What the name server says is repeated."""

    def missing(_host: str, _port: int) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    halt = Halt()
    with pytest.raises(NotNow, match=r"no\.example cannot be looked up: Name or service not known"):
        Resolver(missing).resolve("no.example", 80, halt)
    halt.close()


def test_the_other_side_is_verified(tmp_path: Path) -> None:
    """A certificate of somebody else's, or for another name, gets no event."""
    files = make_certificates(tmp_path)
    with Server() as server:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(files.server, files.server_key)
        server._server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=True
        )
        port = server._server.server_address[1]
        patience = {"answer_s": 5.0, "connect_s": 5.0}
        with pytest.raises(NotNow, match="is not trusted"):
            send(f"https://localhost:{port}/", **patience)
        tls = TlsSettings(ca_file=files.ca)
        with pytest.raises(NotNow, match="is not trusted"):
            send(f"https://127.0.0.1:{port}/", tls=tls, **patience)
        assert not server.posts
        connections = server.connections
        way = WebhookSettings(f"https://localhost:{port}/", tls=tls)
        halt = Halt()
        webhook = Webhook(way, Dialer(Resolver(), halt))
        for number in range(3):
            webhook.send(item(number + 1))
        webhook.close()
        halt.close()
        assert len(server.posts) == 3
        assert server.connections == connections + 1, "a connection is used again"


def test_an_outage_of_one_delays_neither_others_nor_the_writer(tmp_path: Path) -> None:
    """A hook that never answers and one that says 500: the third has all, and so has the outbox."""
    count = 300
    slow: list[float] = []
    with (
        Server(lambda _n, _p: None) as mute,
        Server(lambda _n, _p: 500) as broken,
        Server() as good,
        running(
            tmp_path,
            sink("mute", hook(mute)),
            sink("broken", hook(broken)),
            sink("good", hook(good)),
        ) as (writer, sinks),
    ):
        for number in range(count):
            began_s = time.monotonic()
            assert writer.submit(draft(number))
            slow.append(time.monotonic() - began_s)
        good.wait(count)
        until(lambda: report(sinks, "good").behind == 0, lambda: sinks.reports())
        assert [post.seq for post in good.posts] == list(range(1, count + 1))
        assert report(sinks, "mute").delivered == report(sinks, "broken").delivered == 0
        assert report(sinks, "broken").state == "failing"
        assert sorted(slow)[count // 2] < 0.001, "handing over an event does not wait"
    # The next start begins where each was.
    with (
        Server() as mute,
        Server() as good,
        running(tmp_path, sink("mute", hook(mute)), sink("good", hook(good))) as (writer, sinks),
    ):
        mute.wait(count)
        until(lambda: report(sinks, "mute").behind == report(sinks, "good").behind == 0)
        assert [post.seq for post in mute.posts][:count] == list(range(1, count + 1))
        # Those that were open have been ended by the restart; nothing else is new.
        assert {post.seq for post in good.posts} == set(range(count + 1, 2 * count + 1))


def test_a_message_that_stays_undeliverable_is_given_up_when_old(tmp_path: Path) -> None:
    """One that a broken server chokes on does not hold up the others for ever."""
    with (
        Server(lambda _n, post: 500 if post.seq == 1 else 200) as server,
        running(tmp_path, sink("hook", hook(server), give_up_after_s=3600)) as (writer, sinks),
    ):
        writer.submit(draft(0))  # of last year
        writer.submit(draft(1))
        until(lambda: report(sinks, "hook").delivered == 1)
        assert report(sinks, "hook").given_up == 1
        assert [post.seq for post in server.posts].count(1) >= 5
        assert "too old" in str(report(sinks, "hook").error)


def test_only_what_is_wanted_is_sent(tmp_path: Path) -> None:
    """Cameras, kinds, severities and types; what is not wanted counts as dealt with."""
    choice = Choice(frozenset({"gate"}), types=frozenset({"new"}))
    with (
        Server() as server,
        running(tmp_path, sink("hook", hook(server), choice=choice)) as (writer, sinks),
    ):
        for number in range(3):
            for camera in ("gate", "yard"):
                writer.submit(draft(number, "new", camera))
                writer.submit(draft(number, "end", camera))
        until(lambda: report(sinks, "hook").position == 12, lambda: sinks.reports())
        assert [post.seq for post in server.posts] == [1, 5, 9], sinks.reports()


def test_a_message_in_the_operators_words(tmp_path: Path) -> None:
    """What services for chats ask for; what is put in cannot break out of the JSON."""
    way = {
        "message": '{"text": "$camera: $text ($score)"}',
        "content_type": "application/json",
        "headers": {"Authorization": "Bearer s3cret-token"},
    }
    with (
        Server() as server,
        running(tmp_path, sink("chat", hook(server, **way))) as (writer, _sinks),
    ):
        writer.submit(draft(0, explanation={"text": 'a "box" \\ $camera'}))
        server.wait()
        assert json.loads(server.posts[0].body) == {"text": 'gate: a "box" \\ $camera (7.3)'}
        assert server.posts[0].headers["Authorization"] == "Bearer s3cret-token"


def test_secrets_are_in_no_message(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the URL's path, nor headers, nor the key: not in logs, errors, status or reprs."""
    caplog.set_level(logging.DEBUG)
    moods = iter([500, (307, {"Location": "https://other.example/s3cret-x"}), 418])
    facts: dict[str, Any] = {"secret": "s3cret" * 4, "headers": {"X-Key": "s3cret"}}
    with (
        Server(lambda _n, _p: next(moods, 418)) as server,
        running(tmp_path, one := sink("hook", hook(server, **facts))) as (writer, sinks),
    ):
        writer.submit(draft(0))
        until(lambda: report(sinks, "hook").given_up == 1)
        assert "418" in str(report(sinks, "hook").error)
        said = f"{caplog.text} {sinks.reports()} {one!r}"
    assert "s3cret" not in said
    with pytest.raises(NotNow) as caught:
        send("http://127.0.0.1:1/s3cret", headers={"X-Key": "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_what_was_delivered_before_a_kill_is_known_by_its_key(tmp_path: Path) -> None:
    """Killed at random points and started again: every message came, in order of first coming,

    and one that came twice had the same key and the same bytes.
    """
    with Server() as server:
        for kill in range(3):
            program = subprocess.Popen(
                [sys.executable, Path(__file__).with_name("hooking.py"), tmp_path, server.url],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            server.wait(20 + 7 * kill)
            program.send_signal(signal.SIGKILL)
            program.communicate()
        with running(tmp_path, sink("hook", hook(server))) as (_writer, sinks):
            until(lambda: report(sinks, "hook").position is not None)
            until(lambda: report(sinks, "hook").behind == 0, lambda: sinks.reports())
    with Outbox(tmp_path / "alerts.db", START_S) as outbox:
        stored = outbox.after(0, limit=1_000_000).bodies
    bodies: dict[str, bytes] = {}
    for post in server.posts:
        assert bodies.setdefault(post.headers["Idempotency-Key"], post.body) == post.body
    came = list(bodies.values())
    assert came == list(stored[: len(came)])
    assert json.loads(came[-1])["seq"] == json.loads(stored[-1])["seq"]


def test_a_stop_interrupts_what_hangs(tmp_path: Path) -> None:
    """The program ends within its second although a server holds a request."""
    with Server(lambda _n, _p: None) as server:
        with running(tmp_path, sink("hook", hook(server))) as (writer, _sinks):
            writer.submit(draft(0))
            server.wait()
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 2.0


def test_the_rest_is_delivered_before_the_end(tmp_path: Path) -> None:
    """What is told while the program stops goes out if the other side takes it."""
    with Server() as server:
        with running(tmp_path, sink("hook", hook(server))) as (writer, _sinks):
            for number in range(50):
                writer.submit(draft(number))
        assert [post.seq for post in server.posts] == list(range(1, 51))


def test_a_refused_message_says_so() -> None:
    """400 is for ever, 408 is not."""
    for status, error in ((400, Refused), (404, Refused), (408, NotNow), (500, NotNow)):
        with Server(lambda _n, _p, status=status: status) as server, pytest.raises(error):
            send(server.url)


def test_a_first_start_begins_with_what_is_new(tmp_path: Path) -> None:
    """A sink that is added does not get a month of old alerts."""
    with Outbox(settings(tmp_path).outbox, START_S) as outbox:
        outbox.append([draft(n, t) for n in range(5) for t in ("new", "end")], START_S)
    with (
        Server() as server,
        running(tmp_path, sink("hook", hook(server)), max_age_days=1e5) as (writer, _sinks),
    ):
        writer.submit(draft(9))
        server.wait()
        assert [post.seq for post in server.posts] == [11]
