"""All sinks of a program: made, started, asked, stopped."""

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Final, Self

from alerts.follower import Follower
from alerts.sinks.backoff import Backoff
from alerts.sinks.choice import Choice
from alerts.sinks.dial import CONNECT_S, Dialer, Lookup, Resolver, look_up
from alerts.sinks.halt import Deadline, Halt
from alerts.sinks.mqtt import Mqtt, MqttSettings
from alerts.sinks.runner import SinkReport, SinkRunner
from alerts.sinks.script import Script, ScriptSettings
from alerts.sinks.sink import Sink
from alerts.sinks.syslog import Syslog, SyslogSettings
from alerts.sinks.webhook import Webhook, WebhookSettings
from sorawatch import ConfigError

log = logging.getLogger(__name__)

GRACE_S: Final = 0.3
"""What has not been delivered within this time at the end is delivered at the next start."""


@dataclass(frozen=True, slots=True)
class SinkSettings:
    """One sink: its `name` is its place in the outbox; how it is told; what and how long."""

    name: str
    way: MqttSettings | WebhookSettings | ScriptSettings | SyslogSettings
    choice: Choice = field(default_factory=Choice)
    backoff: Backoff = field(default_factory=Backoff)
    give_up_after_s: float = float("inf")

    @property
    def type(self) -> str:
        """As the configuration names it."""
        return _TYPES[type(self.way)]


_TYPES: Final = {
    MqttSettings: "mqtt",
    WebhookSettings: "webhook",
    ScriptSettings: "script",
    SyslogSettings: "syslog",
}


class Sinks:
    """Follows the outbox on every way at once, a thread for each; none waits for another.

    A context manager, to be left before the writer is. `cameras` and `reports` from any thread.
    """

    def __init__(
        self,
        settings: Sequence[SinkSettings],
        follow: Callable[[str], Follower],
        *,
        stream: str,
        cameras: Sequence[str] = (),
        lookup: Lookup = look_up,
    ) -> None:
        """`follow`: as `AlertWriter.follow`; `stream`: id of the outbox.

        Raises ConfigError that names the sink; nothing is connected yet.
        """
        self._halts: list[Halt] = []
        self._sinks: list[Sink] = []
        self._runners: list[SinkRunner] = []
        with ExitStack() as undo:
            for one in settings:
                halt = Halt()
                undo.callback(halt.close)
                sink = _made(_with_client_id(one, stream), halt, lookup)
                sink.cameras(cameras)
                self._halts.append(halt)
                self._sinks.append(sink)
            self._settings = tuple(settings)
            self._follow = follow
            undo.pop_all()

    def __enter__(self) -> Self:
        """Start."""
        for one, sink, halt in zip(self._settings, self._sinks, self._halts, strict=True):
            runner = SinkRunner(
                one.name,
                one.type,
                sink,
                self._follow(f"sink:{one.name}"),
                halt,
                choice=one.choice,
                backoff=one.backoff,
                give_up_after_s=one.give_up_after_s,
            )
            self._runners.append(runner)
            runner.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Deliver what goes at once, then stop: takes little more than `GRACE_S`."""
        for runner in self._runners:
            runner.finish()
        grace = Deadline(GRACE_S)
        for runner in self._runners:
            if not runner.join(grace.left_s):
                log.info("sink %s: the rest is delivered at the next start", runner.name)
                runner.halt()
        for runner in self._runners:
            runner.join()
        for halt in self._halts:
            halt.close()

    def cameras(self, names: Sequence[str]) -> None:
        """Which cameras there are from now on."""
        for sink in self._sinks:
            sink.cameras(names)

    def reports(self) -> list[SinkReport]:
        """How each does."""
        return [runner.report() for runner in self._runners]


def check_sink(settings: SinkSettings) -> None:
    """Raise ConfigError, that names the sink, for what can be known without connecting."""
    halt = Halt()
    try:
        _made(settings, halt, look_up)
    finally:
        halt.close()


def _made(settings: SinkSettings, halt: Halt, lookup: Lookup) -> Sink:
    way = settings.way
    try:
        connect_s = way.connect_s if isinstance(way, WebhookSettings) else CONNECT_S
        dialer = Dialer(Resolver(lookup), halt, connect_s)
        if isinstance(way, MqttSettings):
            return Mqtt(way, dialer, settings.choice)
        if isinstance(way, WebhookSettings):
            return Webhook(way, dialer)
        if isinstance(way, SyslogSettings):
            return Syslog(way, dialer)
        return Script(settings.name, way, halt)
    except (ConfigError, ValueError) as exc:
        raise ConfigError(f"alerts.sinks.{settings.name}: {exc}") from exc


def _with_client_id(settings: SinkSettings, stream: str) -> SinkSettings:
    """A client id that no other program has: a broker throws out the first of two.

    At most 23 letters and digits, which every broker takes.
    """
    way = settings.way
    if not isinstance(way, MqttSettings) or way.client_id:
        return settings
    digest = hashlib.sha256(f"{stream}/{settings.name}".encode()).hexdigest()
    return replace(settings, way=replace(way, client_id=f"sorawatch{digest[:14]}"))
