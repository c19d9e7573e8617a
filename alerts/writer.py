"""The alert writer: one thread that alone owns the outbox and the sockets."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from alerts.event import Event, EventDraft


@dataclass(frozen=True, slots=True)
class CurveSettings:
    """Who may listen, and who we are.

    `secret_key_file`: our key pair, as `zmq.auth.create_certificates` writes it.
    `allowed_keys_file`: one public key (Z85, 40 characters) a line; `#` starts a comment.
    """

    secret_key_file: Path
    allowed_keys_file: Path


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """Where alerts go. Addresses are `tcp://HOST:PORT` (port 0: any free one) or `ipc://PATH`."""

    outbox: Path
    publish: str = "tcp://127.0.0.1:5556"
    catch_up: str = "tcp://127.0.0.1:5557"
    max_events: int = 100_000
    max_age_days: float = 30.0
    curve: CurveSettings | None = None


class AlertWriter:
    """Numbers, stores and publishes events. A context manager: entering binds and starts."""

    def __init__(
        self,
        settings: WriterSettings,
        *,
        on_published: Callable[[Event, float], None] = lambda _event, _latency_s: None,
        on_degraded: Callable[[bool, str], None] = lambda _degraded, _reason: None,
        utc_clock: Callable[[], float] = time.time,
        queue_capacity: int = 10_000,
    ) -> None:
        """`on_published(event, latency_s)`: latency from `submit` to the socket; writer's thread.

        `on_degraded(True, reason)`: the disk refuses events, they are kept in memory meanwhile;
        `on_degraded(False, "")`: it takes them again.
        """
        raise NotImplementedError

    publish_address: str
    catch_up_address: str
    stream: str

    @property
    def lost(self) -> int:
        """Drafts that found the queue full, or came after close."""
        raise NotImplementedError

    @property
    def queued(self) -> int:
        """Drafts that wait for the thread."""
        raise NotImplementedError

    def submit(self, draft: EventDraft) -> bool:
        """Hand over a draft from any thread. Never blocks; False if it was lost."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        """Raise ConfigError, ResourceError (address in use) or OutboxError."""
        raise NotImplementedError

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Publish what is queued, say `available: false`, stop within a second."""
        raise NotImplementedError
