"""A connection to an MQTT 5 broker: paho-mqtt, driven by the thread of its sink.

paho would start a thread of its own and look names up without a limit; here it is given a socket
that is connected already, and turned by hand.
"""

import select
import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from alerts.sinks.dial import Dialer
from alerts.sinks.halt import Deadline, wait_for
from alerts.sinks.sink import NotNow, Refused

_INFLIGHT: Final = 20
# What the broker will not take tomorrow either.
_NEVER: Final = frozenset({0x90, 0x95, 0x99})  # topic name, packet too large, payload format


@dataclass(frozen=True, slots=True)
class Broker:
    """Where to connect, as whom, and what is said of us when we are gone."""

    host: str
    port: int
    client_id: str
    will: tuple[str, bytes]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = None
    keepalive_s: int = 30
    answer_s: float = 10.0


class _Dialed(Client):
    """paho's client on a socket that it is given; a test would tell if it ceased to ask for it."""

    dialed: Any = None

    def _create_socket_connection(self) -> Any:
        return self.dialed


class MqttConnection:
    """One connection; what it sent and was not confirmed is lost with it. For one thread."""

    def __init__(self, broker: Broker, dialer: Dialer) -> None:
        """Connect. Raises NotNow."""
        self._broker = broker
        self._halt = dialer.halt
        self._where = f"the MQTT broker {broker.host}:{broker.port}"
        self._welcome: ReasonCode | None = None
        self._lost: str | None = None
        self._unconfirmed: set[int] = set()
        self._refused: dict[int, ReasonCode] = {}
        self._window = _INFLIGHT
        self.max_bytes: int | None = None
        """Of a message that the broker takes; None: it did not say."""
        # paho is not told of TLS: the line that it gets has it.
        line = dialer.dial(broker.host, broker.port, broker.tls)
        self._sock = line.sock
        try:
            self._client = client = _Dialed(
                CallbackAPIVersion.VERSION2, client_id=broker.client_id, protocol=MQTTv5
            )
            client.dialed = line.sock
            client.max_inflight_messages_set(_INFLIGHT)
            if broker.user is not None:
                client.username_pw_set(broker.user, broker.password)
            client.will_set(*broker.will, qos=1, retain=True)
            client.on_connect = self._on_connect
            client.on_disconnect = self._on_disconnect
            client.on_publish = self._on_publish
            client.connect(broker.host, broker.port, broker.keepalive_s, clean_start=True)
            deadline = Deadline(broker.answer_s)
            while self._welcome is None:
                self._turn(deadline)
            if self._welcome.is_failure:
                raise NotNow(f"{self._where} refuses us: {self._welcome}")
        except BaseException:
            line.close()
            raise

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int:
        """Send with QoS 1; the number under which it will be confirmed.

        Waits while the broker has not confirmed as many as it takes at once. Raises NotNow, or
        Refused.
        """
        size = len(topic.encode()) + len(payload) + 64
        if self.max_bytes is not None and size > self.max_bytes:
            raise Refused(f"{self._where} takes {self.max_bytes} bytes at most: {topic}: {size}")
        deadline = Deadline(self._broker.answer_s)
        while len(self._unconfirmed) >= self._window:
            self._turn(deadline)
        try:
            number = self._client.publish(topic, payload, qos=1, retain=retain).mid
        except ValueError as exc:
            raise Refused(f"{topic}: {exc}") from exc
        self._unconfirmed.add(number)
        self._refused.pop(number, None)  # of a message before it, that nobody asked for
        return number

    def settle(self, numbers: Iterable[int]) -> None:
        """Wait until the broker has confirmed them all. Raises NotNow, or Refused."""
        deadline = Deadline(self._broker.answer_s)
        for number in numbers:
            while number in self._unconfirmed:
                self._turn(deadline)
            code = self._refused.pop(number, None)
            if code is not None:
                text = f"{self._where} refuses a message: {code}"
                raise Refused(text) if code.value in _NEVER else NotNow(text)

    def tend(self) -> None:
        """Keep it alive, see whether it is. Raises NotNow."""
        self._turn(None)

    def close(self, *, politely: bool) -> None:
        """Let go; `politely`: so that the broker does not publish the last will."""
        if politely and self._lost is None:
            self._client.disconnect()
            if self._client.want_write():
                self._client.loop_write()
        self._client.on_disconnect = None
        self._sock.close()

    def _turn(self, deadline: Deadline | None) -> None:
        """Let paho read and write what can be; wait for that until `deadline`, or not at all."""
        client = self._client
        pending = isinstance(self._sock, ssl.SSLSocket) and self._sock.pending() > 0
        wanted = select.POLLIN | (select.POLLOUT if client.want_write() else 0)
        ready = select.POLLIN
        if not pending:
            within = Deadline(0.0) if deadline is None else deadline
            ready = wait_for(self._sock.fileno(), wanted, self._halt, within)
        if not ready and deadline is not None:
            within_s = "" if self._halt.is_set() else f" within {deadline.within_s:g} s"
            raise NotNow(f"{self._where} did not answer{within_s}")
        code = MQTTErrorCode.MQTT_ERR_SUCCESS
        try:
            if ready & ~select.POLLOUT:
                code = client.loop_read()
            if code == 0 and ready & select.POLLOUT:
                code = client.loop_write()
            if code == 0:
                code = client.loop_misc()
        except Exception as exc:  # paho on packets that are none: IndexError, struct.error, ...
            text = f"{self._where} sent what is no MQTT 5 ({type(exc).__name__})"
            raise NotNow(text) from exc
        if self._lost is None and code != 0:
            self._lost = str(code.name)
        if self._lost is not None and not (self._welcome and self._welcome.is_failure):
            raise NotNow(f"{self._where} is lost: {self._lost}")

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        code: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._welcome = code
        self.max_bytes = getattr(properties, "MaximumPacketSize", None)
        self._window = min(getattr(properties, "ReceiveMaximum", _INFLIGHT), _INFLIGHT)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        code: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._lost = str(code)

    def _on_publish(
        self,
        _client: Client,
        _userdata: object,
        number: int,
        code: ReasonCode,
        _properties: Properties,
    ) -> None:
        self._unconfirmed.discard(number)
        if code.is_failure:
            self._refused[number] = code
