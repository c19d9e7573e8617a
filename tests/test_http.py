"""The HTTP server: metrics and status for those who may see them, bounded against the others."""

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sorawatch import ConfigError, ResourceError
from streamer.config_listen import HostPort
from streamer.http import MAX_CONNECTIONS, MAX_REQUEST_BYTES, StatusServer
from streamer.metrics import Metrics
from streamer.status import CameraStatus, ProgramStatus, SinkStatus, read_status, render_status

GATE = CameraStatus(
    name="gate",
    source="rtsp://viewer:***@10.0.0.20/1",
    state="online",
    since_s=300,
    frames=1500,
    frames_per_s=14.96,
    frame_age_s=0.04,
    dropped={"overrun": 2, "torn": 1},
    score=1.25,
    threshold=5,
    alerts=3,
    alerting=True,
)
YARD = CameraStatus(name="yard", source="0", state="offline", reason="auth", since_s=5)
STATUS = ProgramStatus(
    version="0.1.0",
    pid=1,
    uptime_s=400,
    provider="CPUExecutionProvider",
    cameras=(GATE, YARD),
    queues={"alerts": 4},
    sinks=(SinkStatus(name="ha", type="mqtt", state="failing", position=7, behind=3, error="why"),),
)
ANY_PORT = HostPort("127.0.0.1", 0)


@contextmanager
def serving(status: ProgramStatus | Exception = STATUS, **options: Any) -> Iterator[StatusServer]:
    def snapshot() -> ProgramStatus:
        if isinstance(status, Exception):
            raise status
        return status

    with StatusServer(ANY_PORT, snapshot, Metrics(snapshot).render, **options) as server:
        yield server


def get(server: StatusServer, path: str, **headers: str) -> tuple[HTTPResponse, str]:
    connection = HTTPConnection(*server.address, timeout=5)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response, body


def ended(client: socket.socket) -> bool:
    """Whether the server ends the connection, within the socket's timeout."""
    with client:
        try:
            return client.recv(1) == b""
        except ConnectionResetError:
            return True


def test_metrics_say_what_the_issue_asks() -> None:
    """Frames, drops by reason, reconnects, stalls, age, times, queues, provider: all are there."""
    metrics = Metrics(lambda: STATUS)
    metrics.inference_s.observe(0.02)
    metrics.alert_latency_s.observe(0.2)
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }
    assert found["sorawatch_frames_total", "gate"] == 1500
    assert found["sorawatch_frames_dropped_total", "gate", "torn"] == 1
    assert found["sorawatch_reconnects_total", "yard"] == 0
    assert found["sorawatch_stalls_total", "gate"] == 0
    assert found["sorawatch_frame_age_seconds", "gate"] == 0.04
    assert ("sorawatch_frame_age_seconds", "yard") not in found
    assert found["sorawatch_camera_state", "offline", "yard"] == 1
    assert found["sorawatch_queue_depth", "alerts"] == 4
    assert found["sorawatch_provider_info", "CPUExecutionProvider"] == 1
    assert found["sorawatch_inference_seconds_count",] == 1
    assert found["sorawatch_alert_latency_seconds_sum",] == 0.2


def test_pages() -> None:
    """Each page answers in its format, an unknown one is 404."""
    with serving() as server:
        response, body = get(server, "/status")
        assert response.getheader("Content-Type") == "application/json"
        assert read_status(body) == STATUS
        assert json.loads(body)["cameras"][1]["reason"] == "auth"
        assert "sorawatch_frames_total" in get(server, "/metrics?x=1")[1]
        assert get(server, "/livez")[1] == "ok\n"
        assert get(server, "/readyz")[0].status == 200
        assert get(server, "/")[0].status == 404


def test_readiness_and_liveness_differ() -> None:
    """A full disk makes it not ready, with the reason; only a hung analysis makes it not live."""
    full = STATUS.model_copy(update={"problems": ("outbox: disk full",)})
    with serving(full) as server:
        assert get(server, "/livez")[0].status == 200
        response, body = get(server, "/readyz")
        assert (response.status, body) == (503, "outbox: disk full\n")
    with serving(STATUS.model_copy(update={"heartbeat_age_s": 60.0})) as server:
        assert get(server, "/livez")[0].status == 503


def test_a_token_guards_what_it_shows() -> None:
    """Without the token nothing but yes or no can be seen; other than loopback needs one."""
    hidden = STATUS.model_copy(update={"problems": ("outbox: disk full",)})
    with serving(hidden, token="long-enough") as server:
        for path in ("/metrics", "/status"):
            assert get(server, path)[0].status == 401
            assert get(server, path, Authorization="Bearer long-enougH")[0].status == 401
            assert get(server, path, Authorization="Bearer \xff")[0].status == 401
            assert get(server, path, Authorization="Basic long-enough")[0].status == 401
            assert get(server, path, Authorization="Bearer long-enough")[0].status == 200
        assert get(server, "/readyz")[1] == "no\n"
    with pytest.raises(ConfigError, match="token"):
        StatusServer(HostPort("0.0.0.0", 0), lambda: STATUS, bytes)  # noqa: S104


def test_a_port_in_use_is_said() -> None:
    """The error names the address and what to do."""
    with serving() as server:
        second = StatusServer(server.address, lambda: STATUS, bytes)
        with pytest.raises(ResourceError, match=r"127\.0\.0\.1:.*in use"):
            second.__enter__()


def test_slow_and_greedy_clients_harm_nobody() -> None:
    """Connections that say nothing are ended, too many are refused, large requests are refused."""
    with serving(deadline_s=0.3) as server:
        idle = [socket.create_connection(server.address, 5) for _ in range(MAX_CONNECTIONS + 8)]
        assert all(ended(client) for client in idle)
        assert get(server, "/livez")[0].status == 200
        with socket.create_connection(server.address, 5) as client:
            client.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * (MAX_REQUEST_BYTES + 1))
            assert client.recv(100).startswith(b"HTTP/1.1 431")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"\r\n\r\n", b"400"),
        (b"GET /metrics\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x00\xff\r\n\r\n", b"400"),
        (b"POST /status HTTP/1.1\r\n\r\n", b"405"),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", b"404"),
    ],
)
def test_what_is_no_proper_request(request_bytes: bytes, status: bytes) -> None:
    """Rubbish gets an answer and ends the connection."""
    with serving() as server, socket.create_connection(server.address, 5) as client:
        client.sendall(request_bytes)
        assert client.recv(12) == b"HTTP/1.1 " + status


def test_a_failing_snapshot_is_an_error_page() -> None:
    """The server outlives a status that cannot be taken."""
    with serving(RuntimeError("broken")) as server:
        assert get(server, "/status")[0].status == 500
        assert get(server, "/metrics")[0].status == 500


def test_stopping_ends_open_connections(caplog: pytest.LogCaptureFixture) -> None:
    """A client that holds its connection open does not hold up the program's end."""
    with serving(deadline_s=60) as server:
        client = socket.create_connection(server.address, 5)
        get(server, "/livez")  # the server has turned to the first connection before this one
    assert ended(client)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


def test_the_table_says_what_matters() -> None:
    """Camera, state with reason, rate, age, drops, score and alerts stand in one line each."""
    lines = render_status(STATUS).splitlines()
    assert "CPUExecutionProvider, ready" in lines[0]
    assert " ".join(lines[3].split()) == "gate online 5m 15.0 0.0s 3 1.25/5.00 3 ALERT"
    assert " ".join(lines[4].split()) == "yard offline (auth) 5s 0.0 - 0 - 0"
