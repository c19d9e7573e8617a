"""MQTT 5: every event, and what each camera is like now, on a broker.

An event is done when the broker has confirmed (PUBACK) all that was published about it; a broker
that is away, restarts, or forgets gets it again from the outbox.
"""

import logging
import os
import stat
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alerts.event import PROGRAM
from alerts.sinks.choice import Choice
from alerts.sinks.dial import Dialer
from alerts.sinks.homeassistant import OFFLINE, ONLINE, Pictures, discovery
from alerts.sinks.mqtt_state import CameraState, topic_word
from alerts.sinks.sink import Item, NotNow, Refused
from alerts.sinks.template import MessageTemplate
from alerts.sinks.tls import TlsSettings
from sorawatch import ConfigError

if TYPE_CHECKING:
    from alerts.sinks.mqtt_client import MqttConnection

log = logging.getLogger(__name__)

_BATCH: Final = 20
_MAX_PICTURE: Final = 4 * 1024 * 1024
_STATES: Final = ("alert", "score", "state", "newest", "picture")


@dataclass(frozen=True, slots=True)
class MqttSettings:
    """The broker, and what is published there.

    `client_id`: "" for one that is made up. `tls`: None for a plain connection. `prefix`: topics
    begin with it. `discovery`: where Home Assistant looks for devices; None: it is told of none.
    `pictures`: an event's snapshot as
    JPEG, as the URL that it is, or not at all. `message`: of the event topic, instead of JSON.
    """

    host: str
    port: int
    client_id: str = ""
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: TlsSettings | None = None
    prefix: str = "sorawatch"
    discovery: str | None = "homeassistant"
    pictures: Pictures = "send"
    message: str | None = None
    answer_s: float = 10.0


class Mqtt:
    """Publishes events and states; connects by itself, also when there is nothing to tell."""

    def __init__(self, settings: MqttSettings, dialer: Dialer, choice: Choice = Choice()) -> None:  # noqa: B008
        """Raise ConfigError: no paho-mqtt, TLS files that cannot be used. ValueError: template."""
        try:
            from alerts.sinks import mqtt_client  # noqa: PLC0415 - an extra
        except ImportError as exc:
            raise ConfigError(f"needs paho-mqtt ({exc}): pip install 'sorawatch[mqtt]'") from exc
        self._settings = settings
        self._dialer = dialer
        self._choice = choice
        self._client = mqtt_client
        self._broker = mqtt_client.Broker(
            settings.host,
            settings.port,
            settings.client_id,
            will=(self._available, OFFLINE),
            user=settings.user,
            password=settings.password,
            tls=None if settings.tls is None else settings.tls.context(),
            answer_s=settings.answer_s,
        )
        message = settings.message
        self._template = None if message is None else MessageTemplate(message)
        self._wanted: tuple[str, ...] = ()
        self._announced: frozenset[str] = frozenset()
        self._states: dict[str, CameraState] = {}
        self._connection: MqttConnection | None = None

    def cameras(self, names: Sequence[str]) -> None:
        """As `Sink`; what is new is announced, what is gone taken back, at the next `tend`."""
        self._wanted = tuple(name for name in names if self._choice.takes_camera(name))

    def deliver(self, items: Sequence[Item], done: Callable[[Item], None]) -> None:
        """As `Sink`."""
        try:
            connection = self._connected()
            rest = deque(items)
            while rest:
                batch = [rest.popleft() for _ in range(min(len(rest), _BATCH))]
                self._publish(connection, batch, done)
        except Refused:
            raise
        except BaseException:
            self._drop()
            raise

    def tend(self) -> None:
        """As `Sink`."""
        try:
            self._connected().tend()
        except BaseException:
            self._drop()
            raise

    def close(self) -> None:
        """Say that we are gone, if somebody listens."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            if not self._dialer.halt.is_set():
                connection.settle([connection.publish(self._available, OFFLINE, retain=True)])
        except (NotNow, Refused) as exc:
            log.info("%s", exc)
            connection.close(politely=False)
        else:
            connection.close(politely=not self._dialer.halt.is_set())

    @property
    def _available(self) -> str:
        return f"{self._settings.prefix}/available"

    def _topic(self, camera: str, name: str) -> str:
        return f"{self._settings.prefix}/{topic_word(camera)}/{name}"

    def _drop(self) -> None:
        """Let go of a connection that does not work; the broker publishes the will."""
        if self._connection is not None:
            self._connection.close(politely=False)
        self._connection = None

    def _connected(self) -> "MqttConnection":
        if self._connection is None:
            self._announced = frozenset()
            self._connection = self._client.MqttConnection(self._broker, self._dialer)
            self._announce(self._connection, anew=True)
        elif self._announced != frozenset(self._wanted):
            self._announce(self._connection, anew=False)
        return self._connection

    def _announce(self, connection: "MqttConnection", *, anew: bool) -> None:
        """Say which cameras there are and how they are: a broker may have forgotten."""
        wanted = self._wanted
        try:
            connection.settle(self._announcements(connection, wanted, anew))
        except Refused as exc:  # not of an event, so there is nothing to give up
            raise NotNow(str(exc)) from exc
        self._announced = frozenset(wanted)

    def _announcements(
        self, connection: "MqttConnection", wanted: tuple[str, ...], anew: bool
    ) -> list[int]:
        """Publish them; what is to be confirmed."""
        numbers: list[int] = []
        for camera in sorted(self._announced - set(wanted)):
            self._states.pop(camera, None)
            topics = [topic for topic, _ in self._discovery(camera)]
            topics += [self._topic(camera, name) for name in _STATES]
            numbers += [connection.publish(topic, b"", retain=True) for topic in topics]
        for camera in wanted:
            if camera not in self._announced:
                for topic, config in self._discovery(camera):
                    numbers.append(connection.publish(topic, config, retain=True))
                numbers += self._publish_state(connection, camera, picture=True)
        if anew:
            numbers.append(connection.publish(self._available, ONLINE, retain=True))
        return numbers

    def _discovery(self, camera: str) -> list[tuple[str, bytes]]:
        settings = self._settings
        if settings.discovery is None:
            return []
        return list(
            discovery(settings.discovery, settings.prefix, camera, pictures=settings.pictures)
        )

    def _publish(
        self, connection: "MqttConnection", batch: list[Item], done: Callable[[Item], None]
    ) -> None:
        """Publish a few events at once; each is done when all about it is confirmed."""
        sent: list[tuple[Item, list[int]]] = []
        refused: Refused | None = None
        for item in batch:
            try:
                sent.append((item, self._publish_item(connection, item)))
            except Refused as exc:
                refused = exc
                break
        for item, numbers in sent:
            connection.settle(numbers)
            done(item)
        if refused is not None:
            raise refused

    def _publish_item(self, connection: "MqttConnection", item: Item) -> list[int]:
        event, body = item.event, item.body
        if self._template is not None:
            body = self._template.render(event).encode()
        numbers = [connection.publish(self._topic(event.camera, "event"), body)]
        state = self._states.setdefault(event.camera, CameraState())
        state.see(event, item.body)
        if event.camera != PROGRAM and event.camera not in self._announced:
            return numbers  # it was taken out, and what was kept of it; this is its last word
        pictured = event.kind != "health" and event.snapshot is not None
        return numbers + self._publish_state(connection, event.camera, picture=pictured)

    def _publish_state(
        self, connection: "MqttConnection", camera: str, *, picture: bool
    ) -> list[int]:
        state = self._states.setdefault(camera, CameraState())
        topics = []
        if picture and (content := self._picture(state.picture, connection.max_bytes)):
            topics.append((self._topic(camera, "picture"), content))
        topics += [(self._topic(camera, name), payload) for name, payload in state.topics()]
        return [connection.publish(topic, payload, retain=True) for topic, payload in topics]

    def _picture(self, snapshot: str | None, max_bytes: int | None) -> bytes | None:
        """What is published of a snapshot; None where there is none, or it cannot be."""
        if snapshot is None or self._settings.pictures == "off":
            return None
        if self._settings.pictures == "url":
            return snapshot.encode()
        try:
            return read_picture(Path(snapshot), min(_MAX_PICTURE, (max_bytes or 2**28) - 1024))
        except (OSError, ValueError) as exc:
            log.warning("the picture %s is not published: %s", snapshot, exc)
            return None


def read_picture(path: Path, max_bytes: int) -> bytes:
    """The file at `path`. Raises OSError, and ValueError for what is no file or too large."""
    # Not blocking: a pipe would wait for somebody to write to it.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no file")
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ValueError(f"it is larger than {max_bytes} bytes")
    return content
