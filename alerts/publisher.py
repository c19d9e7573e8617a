"""The publishing socket, and what strangers may do to it."""

import logging
from contextlib import suppress

import zmq

from alerts import wire
from alerts.address import bind
from alerts.curve import Gatekeeper
from sorawatch import ResourceError

log = logging.getLogger(__name__)

SEND_HIGH_WATER = 10_000  # messages that one slow subscriber may lag; then it loses, we never wait
LINGER_MS = 500  # what is on its way at close gets this long
HEARTBEAT_MS = 5_000
HEARTBEAT_TIMEOUT_MS = 15_000
MAX_TOPIC_BYTES = 512  # of what a subscriber says; more closes its connection
MAX_TOPICS = 2_000  # that all subscribers together ask for
MAX_FOREIGN_TOPICS = 100  # of those, topics that there are not
_SAID = 1000  # of what subscribers say, taken in at a time
_FLOOD = 20  # times in a row that there was more: somebody fills our memory


class Publisher:
    """The XPUB socket, and what subscribers say to it: which topics they want.

    libzmq keeps every topic that it is asked for. Whoever asks for too many has everybody
    disconnected, which frees them; subscribers come back by themselves, and ask for what they
    missed.
    """

    def __init__(
        self,
        context: "zmq.Context[zmq.Socket[bytes]]",
        gatekeeper: Gatekeeper | None,
        poller: zmq.Poller,
    ) -> None:
        """Nothing is bound yet."""
        self._context = context
        self._gatekeeper = gatekeeper
        self._poller = poller
        self._address = ""
        self._sock: zmq.Socket[bytes] | None = None
        self._topics: set[bytes] = set()
        self._foreign = 0
        self._floods = 0

    def bind(self, address: str) -> str:
        """Begin to publish; the address as bound. Raises ResourceError."""
        sock = make_socket(self._context, zmq.XPUB, self._gatekeeper)
        sock.setsockopt(zmq.MAXMSGSIZE, MAX_TOPIC_BYTES)
        sock.setsockopt(zmq.SNDHWM, SEND_HIGH_WATER)
        sock.setsockopt(zmq.RCVHWM, 100)
        sock.setsockopt(zmq.XPUB_VERBOSE, 1)  # every newcomer is told how far we are
        try:
            self._address = bind(sock, address, "alerts.publish")
        except BaseException:
            sock.close(0)
            raise
        self._sock = sock
        self._poller.register(sock, zmq.POLLIN)
        return self._address

    def send(self, topic: bytes, body: bytes) -> None:
        """To whoever wants it. Never blocks."""
        if self._sock is not None:
            self._sock.send_multipart([topic, body])

    def newcomers(self) -> bool:
        """Whether somebody has subscribed to `available`; what else subscribers say is noted."""
        if self._sock is None:
            with suppress(ResourceError):  # until libzmq has let go of the address
                self.bind(self._address)
            return False
        found = False
        for _ in range(_SAID):
            if not self._sock.poll(0):
                self._floods = 0
                break
            found |= self._hear(self._sock.recv_multipart())
            if len(self._topics) > MAX_TOPICS or self._foreign > MAX_FOREIGN_TOPICS:
                self._disconnect_all()
                return False
        else:
            self._floods += 1
            if self._floods > _FLOOD:
                self._disconnect_all()
        return found

    def close(self) -> None:
        """What is on its way gets a moment."""
        if self._sock is not None:
            self._sock.close(LINGER_MS)

    def _hear(self, said: list[bytes]) -> bool:
        kind, topic = said[0][:1], said[0][1:]
        if kind == b"\0" and topic in self._topics:
            self._topics.remove(topic)
            self._foreign -= not _is_ours(topic)
        elif kind == b"\1" and topic not in self._topics:
            self._topics.add(topic)
            self._foreign += not _is_ours(topic)
        return kind == b"\1" and wire.AVAILABLE.startswith(topic)

    def _disconnect_all(self) -> None:
        assert self._sock is not None  # noqa: S101 - somebody spoke to it
        log.error(
            "alerts.publish: flooded with subscriptions (%d topics, %d of which do not exist): "
            "all subscribers are disconnected, and may come back",
            len(self._topics),
            self._foreign,
        )
        self._poller.unregister(self._sock)
        self._sock.close(0)
        self._sock = None
        self._topics.clear()
        self._foreign = self._floods = 0


def _is_ours(topic: bytes) -> bool:
    """Whether something that is published could match."""
    return any(
        topic.startswith(own) or own.startswith(topic)
        for own in (b"events/", b"status/", wire.AVAILABLE)
    )


def make_socket(
    context: "zmq.Context[zmq.Socket[bytes]]", kind: int, gatekeeper: Gatekeeper | None
) -> "zmq.Socket[bytes]":
    """A socket that probes its connections, guarded if there is a gatekeeper."""
    sock = context.socket(kind)
    sock.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    sock.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    if gatekeeper is not None:
        gatekeeper.guard(sock)
    return sock
