"""Syslog: messages as RFC 5424 has them, at receivers that come and go."""

import re
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alert_makers import WAIT_S, draft
from certificates import make_certificates
from sink_rig import item, report, running, sink, talker, until

from alerts.sinks.syslog import Rfc5424, SyslogAddress, SyslogSettings
from alerts.sinks.tls import TlsSettings

# The grammar of RFC 5424, section 6, where it matters here.
MESSAGE = re.compile(
    rb"<(\d{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z|-) ([!-~]{1,255}) sorawatch (\d+)"
    rb' ([!-~]{1,32}) (\[sorawatch@32473(?: [a-z]+="(?:[^"\\\]]|\\["\\\]])*")*\]) ([^\n\r\0]*)'
)


def syslog(address: str, **facts: Any) -> SyslogSettings:
    return SyslogSettings(SyslogAddress.of(address), **facts)


def test_udp_and_unix_sockets_get_each_event(tmp_path: Path) -> None:
    """A datagram an event, well-formed, with the facts as data and the line as text."""
    path = tmp_path / "log"
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as unix,
    ):
        udp.bind(("127.0.0.1", 0))
        unix.bind(str(path))
        ways = (
            sink("udp", syslog(f"udp://127.0.0.1:{udp.getsockname()[1]}", facility="local3")),
            sink("unix", syslog(f"unix://{path}", message="$camera: $text")),
        )
        with running(tmp_path, *ways) as (writer, _sinks):
            for number, severity in enumerate(("alert", "warning", "info")):
                writer.submit(draft(number, severity=severity))
            for receiver, facility in ((udp, 19), (unix, 16)):
                receiver.settimeout(WAIT_S)
                for number, level in enumerate((1, 4, 6)):
                    match = MESSAGE.fullmatch(receiver.recv(65536))
                    assert match is not None
                    assert int(match[1]) == facility * 8 + level
                    assert match[5] == b"anomaly"
                    assert f'seq="{number + 1}"'.encode() in match[6]
                    assert b'camera="gate"' in match[6]
            assert match[7] == b"gate: faster than anything seen here"


def test_a_receiver_that_was_away_gets_what_it_missed(tmp_path: Path) -> None:
    """TCP, each message with its length before it; a receiver that is gone is noticed."""
    got: list[bytes] = []
    closing = threading.Semaphore(0)

    def one_each(sock: socket.socket) -> None:
        """Take one message, then hang up."""
        with sock.makefile("rb") as file:
            size = b""
            while (byte := file.read(1)) not in (b" ", b""):
                size += byte
            if size:
                got.append(file.read(int(size)))
        sock.close()
        closing.release()

    with (
        talker(one_each) as port,
        running(tmp_path, sink("log", syslog(f"tcp://127.0.0.1:{port}"))) as (writer, sinks),
    ):
        for number in range(5):
            writer.submit(draft(number))
            until(lambda number=number: report(sinks, "log").delivered == number + 1)
            assert closing.acquire(timeout=WAIT_S)
        assert [int(re.findall(rb'seq="(\d+)"', text)[0]) for text in got] == [1, 2, 3, 4, 5]
        assert all(MESSAGE.fullmatch(text) for text in got)


def test_tls_verifies_the_receiver(tmp_path: Path) -> None:
    """A receiver with somebody else's certificate gets nothing."""
    files = make_certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(files.server, files.server_key)
    got: list[bytes] = []

    connections = 0

    def receive(sock: socket.socket) -> None:
        nonlocal connections
        with context.wrap_socket(sock, server_side=True) as secure:
            connections += 1
            while data := secure.recv(65536):
                got.append(data)

    with talker(receive) as port:
        ways = [
            sink("good", syslog(f"tls://localhost:{port}", tls=TlsSettings(files.ca))),
            sink("stranger", syslog(f"tls://localhost:{port}", tls=TlsSettings(files.stranger_ca))),
        ]
        with running(tmp_path, *ways) as (writer, sinks):
            for number in range(3):
                writer.submit(draft(number))
                until(lambda n=number: report(sinks, "good").delivered == n + 1, sinks.reports)
            until(lambda: report(sinks, "stranger").retries > 0, sinks.reports)
            assert "is not trusted" in str(report(sinks, "stranger").error)
    assert len(b"".join(got).split(b"<")) == 4
    assert connections == 1, "a connection is used again, whatever TLS says meanwhile"


@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_nobody_there_is_an_outage(tmp_path: Path, way: str) -> None:
    """The event is kept, and told once there is a receiver."""
    path = tmp_path / "log"
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    address = f"unix://{path}" if way == "unix" else f"tcp://127.0.0.1:{port}"
    receive: dict[str, Callable[[], Any]] = {
        "unix": lambda: socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
        "tcp": lambda: socket.create_server(("127.0.0.1", port)),
    }
    with running(tmp_path, sink("log", syslog(address))) as (writer, sinks):
        writer.submit(draft(0))
        until(lambda: report(sinks, "log").retries > 1)
        assert "cannot be reached" in str(report(sinks, "log").error)
        with receive[way]() as receiver:
            if way == "unix":
                receiver.bind(str(path))
            until(lambda: report(sinks, "log").delivered == 1, sinks.reports)


def test_what_an_event_holds_cannot_forge_another_message() -> None:
    """Line ends and control characters become spaces, quotes and brackets are escaped."""
    text = 'x"]\\\n<9>1 - forged\r\x00\x85\u2028'
    event = item(camera='c"]\\', reason=text, explanation={"text": text}).event
    made = Rfc5424(16, "a host\n", 7)(event, text, 2000)
    match = MESSAGE.fullmatch(made)
    assert match is not None
    assert rb'camera="c\"\]\\"' in match[6]
    assert match[3] == b"ahost"
    assert not re.search(rb"[\x00-\x1f\x7f]", made)


def test_a_long_message_is_cut_not_broken() -> None:
    """At its longest, between two characters."""
    made = Rfc5424(16, "host", 7)(item().event, "é" * 5000, 600)
    assert 598 <= len(made) <= 600
    assert made.decode().endswith("é")


def test_addresses() -> None:
    """What may be written, with the ports that are usual."""
    assert str(SyslogAddress.of("udp://10.0.0.1")) == "udp://10.0.0.1:514"
    assert str(SyslogAddress.of("tls://log.example")) == "tls://log.example:6514"
    assert str(SyslogAddress.of("tcp://[::1]:99")) == "tcp://[::1]:99"
    for wrong in ("", "udp://", "http://x", "udp://x:99999", "unix://x", "udp://a@b"):
        with pytest.raises(ValueError, match="expected udp://HOST:514"):
            SyslogAddress.of(wrong)
