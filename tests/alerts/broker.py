"""A Mosquitto of one's own, and somebody who listens at it."""

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alert_makers import WAIT_S
from certificates import Certificates

mqtt = pytest.importorskip("paho.mqtt.client", reason="paho-mqtt is not installed (mqtt)")

USER, PASSWORD = "sorawatch", "s3cret of the broker"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


class Broker:
    """Mosquitto on a port of the loopback interface; it can be stopped and started again.

    With `certificates` it speaks TLS and asks for a client's certificate; with `password` it
    wants `USER` and `PASSWORD`. What is retained survives on disk.
    """

    def __init__(
        self,
        folder: Path,
        certificates: Certificates | None = None,
        *,
        password: bool = False,
        options: str = "",
        persistence: bool = True,
    ) -> None:
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.skip("Mosquitto is not installed (mqtt)")
        self.port = free_port()
        self._folder = folder
        self._certificates = certificates
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        lines = [f"listener {self.port} 127.0.0.1", options, "user root"]
        if persistence:
            lines += ["persistence true", f"persistence_location {folder}/"]
        if certificates is not None:
            lines += [
                f"cafile {certificates.ca}",
                f"certfile {certificates.server}",
                f"keyfile {certificates.server_key}",
                "require_certificate true",
            ]
        if password:
            passwords = folder / "passwords"
            subprocess.run(
                ["mosquitto_passwd", "-b", "-c", passwords, USER, PASSWORD],
                check=True,
                capture_output=True,
            )
            lines += [f"password_file {passwords}"]
        lines += [f"allow_anonymous {'false' if password else 'true'}"]
        self._config = folder / "mosquitto.conf"
        self._config.write_text("\n".join(lines) + "\n")
        self._command = [program, "-c", str(self._config)]

    def start(self) -> None:
        """Until it listens."""
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        tick = threading.Event()
        for _ in range(500):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            assert self._process.poll() is None, "Mosquitto did not start"
            tick.wait(0.02)
        raise AssertionError("Mosquitto does not listen")

    def stop(self, *, kill: bool = False) -> None:
        """End it; `kill`: as a power cut would."""
        if self._process is not None:
            (self._process.kill if kill else self._process.terminate)()
            self._process.wait()
        self._process = None

    def __enter__(self) -> "Broker":
        self.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def listener(self, topic: str = "#") -> "Listener":
        """Somebody who has subscribed."""
        return Listener(self, topic)


class Listener:
    """Everything that is published, through paho as anybody would use it."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.messages: list[tuple[str, bytes, bool]] = []
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._client = client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        if broker._password:
            client.username_pw_set(USER, PASSWORD)
        if broker._certificates is not None:
            files = broker._certificates
            client.tls_set(str(files.ca), str(files.client), str(files.client_key))
        client.reconnect_delay_set(0.05, 0.1)
        client.on_connect = lambda c, *_: c.subscribe(topic, qos=1)
        client.on_subscribe = lambda *_: self._ready.set()
        client.on_message = self._take
        client.connect("localhost", broker.port)
        client.loop_start()

    def __enter__(self) -> "Listener":
        assert self._ready.wait(WAIT_S), "nobody listens"
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, _client: Any, _userdata: Any, message: Any) -> None:
        with self._changed:
            self.messages.append((message.topic, message.payload, message.retain))
            self._changed.notify_all()

    def until(self, holds: Callable[[], bool]) -> None:
        with self._changed:
            came = self._changed.wait_for(holds, WAIT_S)
        assert came, f"in {WAIT_S} s came {[(t, p[:40]) for t, p, _ in self.messages]}"

    def of(self, topic: str) -> list[bytes]:
        """What came on one topic."""
        return [payload for found, payload, _ in self.messages if found == topic]

    def last(self, topic: str) -> bytes | None:
        """What came last on one topic."""
        return (self.of(topic) or [None])[-1]

    def seqs(self, topic: str) -> list[int]:
        """Numbers of the events on a topic."""
        return [json.loads(payload)["seq"] for payload in self.of(topic)]
