"""Syslog as RFC 5424 has it, over UDP, TCP, TLS or the machine's own socket.

Not `logging.handlers.SysLogHandler`: that speaks the older format without time, structure and
framing, and does not notice a receiver that is gone.
"""

import os
import re
import socket
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from alerts.event import Event
from alerts.sinks.dial import Dialer, Line
from alerts.sinks.halt import Deadline
from alerts.sinks.sink import Item, NotNow, OneByOne
from alerts.sinks.template import MessageTemplate
from alerts.sinks.tls import TlsSettings

FACILITIES: Final = {
    "kern": 0,
    "user": 1,
    "mail": 2,
    "daemon": 3,
    "auth": 4,
    "syslog": 5,
    "authpriv": 10,
    **{f"local{n}": 16 + n for n in range(8)},
}
_SEVERITY: Final = {"alert": 1, "warning": 4, "info": 6}
_NOTICE: Final = 5
_LONGEST: Final = {"udp": 2048, "unix": 8192, "tcp": 65_536, "tls": 65_536}
_ADDRESS: Final = re.compile(
    r"(udp|tcp|tls)://(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]@]+))(?::(\d{1,5}))?"
)
_PORT: Final = {"udp": 514, "tcp": 601, "tls": 6514}
_LOOK_UP_EVERY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class SyslogAddress:
    """`udp://HOST:514`, `tcp://HOST:601`, `tls://HOST:6514` or `unix:///dev/log`."""

    way: Literal["udp", "tcp", "tls", "unix"]
    host: str
    port: int = 0

    @classmethod
    def of(cls, text: str) -> "SyslogAddress":
        """Raise ValueError."""
        if re.fullmatch(r"unix:///[^\0]+", text):
            return cls("unix", text.removeprefix("unix://"))
        match = _ADDRESS.fullmatch(text)
        if match is None or not 1 <= int(match[4] or _PORT[match[1]]) <= 65535:
            raise ValueError(
                "expected udp://HOST:514, tcp://HOST:601, tls://HOST:6514 or unix:///dev/log"
            )
        way: Literal["udp", "tcp", "tls"] = match[1]  # type: ignore[assignment] # by the pattern
        return cls(way, match[2] or match[3], int(match[4] or _PORT[way]))

    def __str__(self) -> str:
        """As it is written."""
        if self.way == "unix":
            return f"unix://{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.way}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SyslogSettings:
    """Where to, and how it is told. `facility`: one of `FACILITIES`."""

    address: SyslogAddress
    facility: str = "local0"
    message: str = "$line"
    tls: TlsSettings = field(default_factory=TlsSettings)
    send_s: float = 5.0


class Syslog(OneByOne):
    """Tells events to a syslog receiver, which says nothing back.

    Over TCP a receiver that is gone is noticed; over UDP nothing is.
    """

    def __init__(self, settings: SyslogSettings, dialer: Dialer) -> None:
        """Raise ConfigError for TLS files that cannot be used, ValueError for the template."""
        self._settings = settings
        self._dialer = dialer
        self._template = MessageTemplate(settings.message)
        self._context = settings.tls.context() if settings.address.way == "tls" else None
        self._line: Line | None = None
        self._looked_up_s = 0.0
        self._format = Rfc5424(FACILITIES[settings.facility], socket.gethostname(), os.getpid())

    def send(self, item: Item) -> None:
        """As `OneByOne`."""
        way = self._settings.address.way
        text = self._format(item.event, self._template.render(item.event), _LONGEST[way])
        if way in ("tcp", "tls"):
            text = b"%d %s" % (len(text), text)  # RFC 6587 and 5425: length first
        try:
            line = self._connected()
            line.deadline = Deadline(self._settings.send_s)
            line.sendall(text)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the connection."""
        if self._line is not None:
            self._line.close()
        self._line = None

    def _connected(self) -> Line:
        address, now_s = self._settings.address, time.monotonic()
        if self._line is not None:
            stale = address.way == "udp" and now_s > self._looked_up_s + _LOOK_UP_EVERY_S
            if not stale and (address.way in ("udp", "unix") or self._line.idle()):
                return self._line
            self.close()
        if address.way in ("tcp", "tls"):
            self._line = self._dialer.dial(address.host, address.port, self._context)
            return self._line
        family: int = socket.AF_UNIX
        to: object = address.host
        if address.way == "udp":
            found = self._dialer.resolver.resolve(address.host, address.port, self._dialer.halt)
            family, *_, to = found[0]
            self._looked_up_s = now_s
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect(to)  # type: ignore[arg-type] # what the family asks for
        except OSError as exc:
            sock.close()
            raise NotNow(f"{address} cannot be reached: {exc.strerror or exc}") from exc
        self._line = Line(sock, self._dialer.halt, str(address))
        return self._line


class Rfc5424:
    """Makes messages: header, structured data, text."""

    def __init__(self, facility: int, host: str, pid: int) -> None:
        """`facility`: its number."""
        self._facility = facility
        self._host = _name(host, 255)
        self._pid = pid

    def __call__(self, event: Event, text: str, longest: int) -> bytes:
        """One message of at most `longest` bytes: what is too long of `text` is cut off."""
        priority = self._facility * 8 + _SEVERITY.get(event.severity, _NOTICE)
        moment = event.start_time if event.time is None else event.time
        facts = {
            "stream": event.stream,
            "seq": str(event.seq),
            "id": event.id,
            "camera": event.camera,
            "type": event.type,
            "severity": event.severity,
            "state": event.state,
            "score": None if event.score is None else f"{event.score:.4g}",
        }
        # 32473 is the number that RFC 5612 keeps for those who have none of their own.
        data = "".join(f' {key}="{_value(text)}"' for key, text in facts.items() if text)
        head = (
            f"<{priority}>1 {_moment(moment)} {self._host} sorawatch {self._pid} "
            f"{_name(event.kind, 32)} [sorawatch@32473{data}] "
        )
        whole = (head + _printable(text)).encode()
        return whole[:longest].decode(errors="ignore").encode()


def _moment(utc_s: float) -> str:
    try:
        text = datetime.fromtimestamp(utc_s, UTC).isoformat(timespec="microseconds")
    except (OverflowError, ValueError, OSError):
        return "-"
    return text.replace("+00:00", "Z")


def _name(text: str, longest: int) -> str:
    """As names in the header are: ASCII that prints, no spaces."""
    return "".join(c for c in text if "!" <= c <= "~")[:longest] or "-"


def _value(text: str) -> str:
    return re.sub(r'(["\\\]])', r"\\\1", _printable(text))


def _printable(text: str) -> str:
    """On one line: what is no letter or sign becomes a space."""
    return "".join(c if c.isprintable() else " " for c in text)
