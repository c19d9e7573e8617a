"""MQTT: events, states and devices at a real broker, over its restarts and ours."""

import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from alert_makers import WAIT_S, draft
from broker import PASSWORD, USER, Broker, mqtt
from certificates import make_certificates
from sink_rig import black_hole, item, report, running, sink, talker, until

from alerts.event import event_id
from alerts.sinks.choice import Choice
from alerts.sinks.dial import Dialer, Resolver
from alerts.sinks.halt import Halt
from alerts.sinks.mqtt import Mqtt, MqttSettings
from alerts.sinks.sink import NotNow
from alerts.sinks.tls import TlsSettings
from sorawatch import ConfigError

pytestmark = pytest.mark.mqtt


def way(broker: Broker, **facts: Any) -> MqttSettings:
    return MqttSettings("localhost", broker.port, **{"discovery": None, **facts})


def health(state: str, type_: str = "new", number: int = 0) -> Any:
    facts = {"kind": "health", "severity": "info", "state": state, "score": None}
    return draft(number, type_, **facts, id=event_id("gate", "health", state, number))


def test_events_and_states_are_published(tmp_path: Path) -> None:
    """Each event once, as stored; the states are retained, for whoever comes later."""
    with Broker(tmp_path) as broker, broker.listener() as listener:
        with running(tmp_path, sink("ha", way(broker))) as (writer, sinks):
            writer.submit(draft(0))
            writer.submit(draft(0, "update", score=9.1))
            listener.until(lambda: listener.last("sorawatch/gate/score") == b"9.1")
            listener.until(lambda: listener.last("sorawatch/gate/alert") == b"ON")
            writer.submit(draft(0, "end", score=9.1))
            listener.until(lambda: listener.last("sorawatch/gate/alert") == b"OFF")
            writer.submit(health("online"))
            writer.submit(health("dark"))
            listener.until(lambda: listener.last("sorawatch/gate/state") == b"dark")
            writer.submit(health("dark", "end"))
            listener.until(lambda: listener.last("sorawatch/gate/state") == b"online")
            until(lambda: report(sinks, "ha").behind == 0)
            assert listener.seqs("sorawatch/gate/event") == list(range(1, 7))
            with broker.listener() as late:
                late.until(lambda: late.last("sorawatch/gate/state") is not None)
                late.until(lambda: late.last("sorawatch/available") == b"online")
                late.until(lambda: late.last("sorawatch/gate/alert") == b"OFF")
                late.until(lambda: late.seqs("sorawatch/gate/newest") == [3])
                assert not late.of("sorawatch/gate/event"), "events are not retained"
        listener.until(lambda: listener.last("sorawatch/available") == b"offline")


def test_tls_with_certificate_user_and_password(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What an operator who means it has; who lacks one of them is told, without secrets."""
    caplog.set_level(logging.DEBUG)
    files = make_certificates(tmp_path)
    tls = TlsSettings(files.ca, files.client, files.client_key)
    login = {"user": USER, "password": PASSWORD}
    with Broker(tmp_path, files, password=True) as broker, broker.listener() as listener:
        sinks = {
            "good": way(broker, tls=tls, prefix="good", **login),
            "no-login": way(broker, tls=tls),
            "wrong-password": way(broker, tls=tls, user=USER, password="s3cret but another"),
            "no-certificate": way(broker, tls=TlsSettings(files.ca), **login),
            "stranger": way(
                broker, tls=TlsSettings(files.stranger_ca, files.client, files.client_key), **login
            ),
            "plain": way(broker, **login, answer_s=1.0),
        }
        settings = [sink(name, one) for name, one in sinks.items()]
        with running(tmp_path, *settings) as (writer, found):
            writer.submit(draft(0))
            listener.until(lambda: listener.seqs("good/gate/event") == [1])
            until(lambda: all(r.error for r in found.reports() if r.name != "good"), found.reports)
            errors = {name: str(report(found, name).error) for name in sinks}
            assert all(report(found, name).delivered == 0 for name in sinks if name != "good")
            said = f"{caplog.text} {found.reports()} {settings!r}"
    assert "Not authorized" in errors["no-login"]
    assert "Not authorized" in errors["wrong-password"]
    assert "is not trusted" in errors["stranger"]
    assert report(found, "good").error is None
    assert "s3cret" not in said


def test_the_last_will_tells_of_a_kill(tmp_path: Path) -> None:
    """Killed with -9, the program is `offline` at the broker within moments, retained."""
    with Broker(tmp_path) as broker, broker.listener() as listener:
        program = subprocess.Popen(
            [
                *(sys.executable, Path(__file__).with_name("publishing.py")),
                *(tmp_path, str(broker.port)),
            ],
            stdout=subprocess.PIPE,
        )
        listener.until(lambda: len(listener.of("sorawatch/gate/event")) >= 20)
        assert listener.last("sorawatch/available") == b"online"
        program.send_signal(signal.SIGKILL)
        program.communicate()
        listener.until(lambda: listener.last("sorawatch/available") == b"offline")
        # Started again, it goes on where the broker had confirmed.
        with running(tmp_path, sink("ha", way(broker))) as (_writer, sinks):
            until(lambda: report(sinks, "ha").position is not None)
            until(lambda: report(sinks, "ha").behind == 0, sinks.reports)
            last = report(sinks, "ha").position
            listener.until(lambda: listener.seqs("sorawatch/gate/event")[-1] == last)
        seqs = listener.seqs("sorawatch/gate/event")
        first_comings = list(dict.fromkeys(seqs))
        assert first_comings == list(range(1, len(first_comings) + 1))


@pytest.mark.parametrize("kill", [False, True])
def test_events_survive_a_broker_that_restarts(tmp_path: Path, kill: bool) -> None:
    """What is told while it is away comes when it is back, in order; nothing is missing."""
    with (
        Broker(tmp_path, persistence=not kill) as broker,
        running(tmp_path, sink("ha", way(broker))) as (writer, sinks),
    ):
        with broker.listener() as listener:
            for number in range(30):
                writer.submit(draft(number))
            listener.until(lambda: len(listener.of("sorawatch/gate/event")) == 30)
            until(lambda: report(sinks, "ha").behind == 0)
        broker.stop(kill=kill)
        until(lambda: report(sinks, "ha").state == "failing")
        for number in range(30, 60):
            writer.submit(draft(number))
        assert report(sinks, "ha").delivered == 30
        broker.start()
        with broker.listener() as listener:
            # Who listens first is a matter of chance: what counts is what is confirmed.
            until(lambda: report(sinks, "ha").delivered == 60, sinks.reports)
            writer.submit(draft(60))
            listener.until(lambda: 61 in listener.seqs("sorawatch/gate/event"))
            seqs = list(dict.fromkeys(listener.seqs("sorawatch/gate/event")))
            assert seqs == list(range(seqs[0], 62))
            # What a broker without memory forgot is there again.
            listener.until(lambda: listener.last("sorawatch/available") == b"online")
            listener.until(lambda: listener.last("sorawatch/gate/alert") == b"ON")


def test_only_what_is_confirmed_is_done(tmp_path: Path) -> None:
    """A broker that takes and does not confirm has not got it: the position stays."""
    received: list[bytes] = []

    def connack_only(sock: Any) -> None:
        received.append(sock.recv(4096))
        sock.sendall(bytes([0x20, 3, 0, 0, 0]))
        while data := sock.recv(65536):
            received.append(data)

    with talker(connack_only) as port:
        mute = MqttSettings("127.0.0.1", port, discovery=None, answer_s=0.3)
        with running(tmp_path, sink("ha", mute), cameras=()) as (writer, sinks):
            writer.submit(draft(0))
            until(lambda: report(sinks, "ha").retries >= 2, sinks.reports)
            assert "did not answer within 0.3 s" in str(report(sinks, "ha").error)
            assert (report(sinks, "ha").position, report(sinks, "ha").delivered) == (0, 0)


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\xff\xff\xff\x7f", b"\x20\x00", b"\xff" * 99],
)
def test_what_is_no_broker_is_an_outage(answer: bytes) -> None:
    """Whatever it sends, the sink says that it failed, and tries again."""

    def talk(sock: Any) -> None:
        sock.recv(4096)
        sock.sendall(answer)

    with talker(talk) as port:
        halt = Halt()
        client = Mqtt(MqttSettings("127.0.0.1", port, answer_s=0.5), Dialer(Resolver(), halt, 1.0))
        with pytest.raises(NotNow):
            client.deliver([item()], lambda _item: None)
        client.close()
        halt.close()


def test_home_assistant_finds_a_device_for_each_camera(tmp_path: Path) -> None:
    """Alert, score, state and picture of one device, with topics that are really published."""
    picture = tmp_path / "p.jpg"
    picture.write_bytes(b"\xff\xd8 a picture")
    facts = {"discovery": "homeassistant", "prefix": "site/sora"}
    choice = Choice(frozenset({"gate", "back yard"}))
    with (
        Broker(tmp_path) as broker,
        running(
            tmp_path,
            sink("ha", way(broker, **facts), choice=choice),
            cameras=("gate", "back yard", "other"),
        ) as (writer, sinks),
    ):
        writer.submit(draft(0, snapshot=str(picture)))
        until(lambda: report(sinks, "ha").delivered == 1, sinks.reports)
        with broker.listener() as listener:
            listener.until(lambda: listener.last("site/sora/gate/picture") is not None)
            listener.until(
                lambda: sum("/config" in topic for topic, _, _ in listener.messages) == 8
            )
            configs = {t: json.loads(p) for t, p, _ in listener.messages if "/config" in t}
            gate = {
                topic.split("/")[1]: config
                for topic, config in configs.items()
                if config["device"]["name"] == "gate" and "state/config" not in topic
            }
            assert set(gate) == {"binary_sensor", "sensor", "image"}
            assert len({str(config["device"]) for config in gate.values()}) == 1
            unique = {config["unique_id"] for config in configs.values()}
            assert len(unique) == 8
            alert = gate["binary_sensor"]
            # What is retained comes in any order.
            for topic, payload in (
                (alert["state_topic"], alert["payload_on"].encode()),
                (gate["sensor"]["state_topic"], b"7.3"),
                (gate["image"]["image_topic"], picture.read_bytes()),
                (alert["availability_topic"], b"online"),
            ):
                listener.until(lambda t=topic, p=payload: listener.last(t) == p)
            listener.until(lambda: listener.seqs(alert["json_attributes_topic"]) == [1])
            assert all(not set(topic) - set("abcdefghijklmnopqrstuvwxyz_/") for topic in configs)
            # A camera that is taken out of the configuration goes from Home Assistant.
            sinks.cameras(("gate", "other"))
            listener.until(
                lambda: sum(p == b"" and "/config" in t for t, p, _ in listener.messages) == 4
            )
            # Its last word, such as an end that waited for its clip, brings nothing back.
            writer.submit(draft(9, camera="back yard"))
            listener.until(lambda: listener.last("site/sora/back yard/event") is not None)
            until(lambda: report(sinks, "ha").behind == 0)
        with broker.listener() as late:
            late.until(lambda: late.last("site/sora/available") is not None)
            assert not [t for t, _, _ in late.messages if "back" in t]


def test_pictures_that_cannot_be_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A picture that is gone, a pipe, or too large for the broker: the event goes all the same."""
    large, pipe = tmp_path / "large.jpg", tmp_path / "pipe"
    large.write_bytes(bytes(100_000))
    os.mkfifo(pipe)
    with (
        Broker(tmp_path, options="max_packet_size 20000") as broker,
        broker.listener() as listener,
        running(tmp_path, sink("ha", way(broker))) as (writer, sinks),
    ):
        for number, path in enumerate((tmp_path / "gone.jpg", pipe, large)):
            writer.submit(draft(number, snapshot=str(path)))
        listener.until(lambda: listener.seqs("sorawatch/gate/event") == [1, 2, 3])
        until(lambda: report(sinks, "ha").delivered == 3)
        assert (report(sinks, "ha").given_up, report(sinks, "ha").retries) == (0, 0)
    assert sum("is not published" in record.message for record in caplog.records) == 3


def test_a_message_that_the_broker_never_takes_is_given_up(tmp_path: Path) -> None:
    """One that is too large does not hold up those behind it."""
    with (
        Broker(tmp_path, options="max_packet_size 2000") as broker,
        broker.listener() as listener,
        running(tmp_path, sink("ha", way(broker))) as (writer, sinks),
    ):
        writer.submit(draft(0))
        writer.submit(draft(1, snapshot="x" * 3000))
        writer.submit(draft(2))
        listener.until(lambda: listener.seqs("sorawatch/gate/event") == [1, 3])
        until(lambda: report(sinks, "ha").behind == 0)
        assert report(sinks, "ha").given_up == 1


def test_a_topic_that_is_not_allowed_is_an_outage(tmp_path: Path) -> None:
    """Permissions are mended by an operator: nothing is lost until then."""
    rules = tmp_path / "acl"
    rules.write_text("topic readwrite sorawatch/available\ntopic read #\n")
    with (
        Broker(tmp_path, options=f"acl_file {rules}") as broker,
        running(tmp_path, sink("ha", way(broker)), cameras=()) as (writer, sinks),
    ):
        writer.submit(draft(0))
        until(lambda: report(sinks, "ha").retries >= 1, sinks.reports)
        assert "Not authorized" in str(report(sinks, "ha").error)
        assert report(sinks, "ha").position == 0


def test_names_and_words_of_the_operator(tmp_path: Path) -> None:
    """Topics of a camera with MQTT's own signs in its name; messages by template; URLs."""
    facts = {"message": "$camera: $text", "pictures": "url"}
    with (
        Broker(tmp_path) as broker,
        broker.listener() as listener,
        running(tmp_path, sink("ha", way(broker, **facts)), cameras=("a+b#c",)) as (writer, _sinks),
    ):
        writer.submit(draft(0, camera="a+b#c", snapshot="https://evidence.example/1.jpg"))
        listener.until(lambda: bool(listener.of("sorawatch/a_b_c/picture")))
        assert listener.of("sorawatch/a_b_c/event") == [b"a+b#c: faster than anything seen here"]
        assert listener.last("sorawatch/a_b_c/picture") == b"https://evidence.example/1.jpg"


def test_a_broker_that_is_not_there_holds_nobody(tmp_path: Path) -> None:
    """A port where packets vanish: others deliver, and the end does not wait for it."""
    with Broker(tmp_path) as broker, black_hole() as port:
        dead = sink("dead", MqttSettings("127.0.0.1", port))
        with running(tmp_path, dead, sink("ha", way(broker))) as (writer, sinks):
            for number in range(50):
                writer.submit(draft(number))
            until(lambda: report(sinks, "ha").delivered == 50, sinks.reports)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 2.0


def test_without_paho_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the command."""
    monkeypatch.setitem(sys.modules, "alerts.sinks.mqtt_client", None)
    monkeypatch.delattr("alerts.sinks.mqtt_client", raising=False)
    halt = Halt()
    with pytest.raises(ConfigError, match=r"pip install 'sorawatch\[mqtt\]'"):
        Mqtt(MqttSettings("localhost", 1883), Dialer(Resolver(), halt))
    halt.close()


def test_paho_is_what_we_think() -> None:
    """The client asks for its socket by the name that we answer to."""
    assert callable(mqtt.Client._create_socket_connection)
    assert WAIT_S > 0


def test_a_broker_gone_mad_is_an_outage() -> None:
    """Random packets after a good welcome neither crash the sink nor are taken for confirmation."""
    chance = random.Random(5)

    def talk(sock: Any) -> None:
        sock.recv(4096)
        sock.sendall(bytes([0x20, 3, 0, 0, 0]))
        for _ in range(chance.randrange(1, 20)):
            body = chance.randbytes(chance.randrange(0, 40))
            head = bytes([chance.choice((0x40, 0x40, 0x30, 0x90, 0xD0, 0xE0, 0xF0, 0x20))])
            sock.sendall(head + bytes([len(body)]) + body)

    with talker(talk) as port:
        for _ in range(60):
            halt = Halt()
            broker = MqttSettings("127.0.0.1", port, discovery=None, answer_s=0.5)
            client = Mqtt(broker, Dialer(Resolver(), halt, 1.0))
            done: list[Any] = []
            with pytest.raises(NotNow):
                client.deliver([item(n) for n in range(1, 30)], done.append)
            client.close()
            halt.close()
