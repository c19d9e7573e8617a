"""Webhooks: each event is a signed POST.

The standard library's `http.client` says what HTTP needs; the connection under it (`dial`) has a
deadline for everything, which no library for HTTP gives: a name server that hangs, or a server
that sends a byte a second, would hold the thread. There are no redirects, proxies, cookies or
environment variables that somebody could forget.
"""

import hashlib
import hmac
import json
import re
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Final
from urllib.parse import urlsplit

from alerts.sinks.dial import Dialer, Line
from alerts.sinks.halt import Deadline
from alerts.sinks.sink import Item, NotNow, OneByOne, Refused
from alerts.sinks.template import MessageTemplate
from alerts.sinks.tls import TlsSettings
from sorawatch import __version__

_LATER: Final = frozenset({408, 425, 429})
_MAX_ANSWER: Final = 64 * 1024
_OURS: Final = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "user-agent"}
    | {"idempotency-key", "sorawatch-timestamp", "sorawatch-signature", "sorawatch-event"}
)
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """Where to post. `url`, `headers` and `secret` may hold secrets and are never shown.

    `secret`: what both sides know; None: not signed. `message`: the body in the operator's words
    instead of the event as JSON, of `content_type`. `answer_s`: for sending and answering.
    """

    url: str = field(repr=False)
    secret: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    message: str | None = None
    content_type: str | None = None
    tls: TlsSettings = field(default_factory=TlsSettings)
    connect_s: float = 5.0
    answer_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """A URL taken apart."""

    tls: bool
    host: str
    port: int
    path: str = field(repr=False)

    @classmethod
    def of(cls, url: str) -> "Target":
        """Raise ValueError that does not repeat the URL."""
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("a URL holds printable ASCII without spaces: percent-encode others")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise ValueError("expected a URL such as https://example.org/hook") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("expected a URL such as https://example.org/hook")
        if "@" in parts.netloc:
            raise ValueError("give user and password in headers, not in the URL")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        tls = parts.scheme == "https"
        return cls(tls, parts.hostname, port or (443 if tls else 80), path)

    def __str__(self) -> str:
        """Without what follows the host, which may be a secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}/***"


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise ValueError for what cannot be a header, or is ours to set; without its value."""
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} cannot be a header's name")
        if name.lower() in _OURS:
            raise ValueError(f"{name} is set by the program")
        if not value.isascii() or not value.isprintable():
            raise ValueError(f"the value of {name} has to be printable ASCII on one line")


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """`v1=` and HMAC-SHA256, in hexadecimal, over the timestamp, a full stop, and the body."""
    text = timestamp.encode() + b"." + body
    return "v1=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def idempotency_key(item: Item) -> str:
    """The event's id and the number of the message: the same for the same message, always."""
    return f"{item.event.id}-{item.event.seq}"


class Webhook(OneByOne):
    """Posts events to one URL."""

    def __init__(
        self,
        settings: WebhookSettings,
        dialer: Dialer,
        *,
        utc_clock: Callable[[], float] = time.time,
    ) -> None:
        """Raise ConfigError for TLS files that cannot be used, ValueError for other settings."""
        check_headers(settings.headers)
        self._settings = settings
        self._dialer = dialer
        self._utc_clock = utc_clock
        self._target = Target.of(settings.url)
        self._context: ssl.SSLContext | None = None
        if self._target.tls:
            self._context = settings.tls.context()
        kind = settings.content_type
        self._template: MessageTemplate | None = None
        if settings.message is not None:
            as_json = kind is not None and "json" in kind
            self._template = MessageTemplate(settings.message, as_json=as_json)
            kind = kind or "text/plain; charset=utf-8"
        self._content_type = kind or "application/json"
        self._connection: HTTPConnection | None = None
        self._line: Line | None = None

    def send(self, item: Item) -> None:
        """As `OneByOne`: done when the answer is 2xx."""
        try:
            status, reason, after = self._post(item)
        except HTTPException as exc:
            self.close()
            raise NotNow(f"{self._target}: not HTTP: {type(exc).__name__}") from exc
        except BaseException:
            self.close()
            raise
        text = f"{self._target} answered {status} {_printable(reason)}".rstrip()
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise NotNow(f"{text}: redirects are not followed: give the URL that it leads to")
        if 400 <= status < 500 and status not in _LATER:
            raise Refused(text)
        raise NotNow(text, self._after_s(after))

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self._line = None

    def _post(self, item: Item) -> tuple[int, str, str | None]:
        """Status, reason and Retry-After of the answer."""
        body = item.body
        if self._template is not None:
            body = self._template.render(item.event).encode()
        timestamp = str(int(self._utc_clock()))
        headers = {
            **self._settings.headers,
            "Content-Type": self._content_type,
            "User-Agent": f"sorawatch/{__version__}",
            "Idempotency-Key": idempotency_key(item),
            "Sorawatch-Event": item.event.id,
            "Sorawatch-Timestamp": timestamp,
        }
        if self._settings.secret is not None:
            headers["Sorawatch-Signature"] = sign(self._settings.secret, timestamp, body)
        connection, line = self._connected()
        line.deadline = Deadline(self._settings.answer_s)
        connection.request("POST", self._target.path, body, headers)
        response = connection.getresponse()
        self._drain(response)
        return response.status, response.reason, response.getheader("Retry-After")

    def _connected(self) -> tuple[HTTPConnection, Line]:
        """The connection of the event before, if it still stands, or a new one."""
        if self._connection is not None and self._line is not None:
            if self._connection.sock is not None and self._line.idle():
                return self._connection, self._line
            self.close()
        target = self._target
        line = self._dialer.dial(target.host, target.port, self._context)
        connection = HTTPConnection(target.host, target.port)
        if target.port == (443 if target.tls else 80):
            connection.default_port = target.port  # then Host has no port
        connection.sock = line  # all of a socket that it uses
        self._connection, self._line = connection, line
        return connection, line

    def _drain(self, response: HTTPResponse) -> None:
        """Read the answer away, so that the connection can be used again, or drop both.

        Its first line has said all: what comes of the rest changes nothing.
        """
        with suppress(HTTPException, NotNow):
            response.read(_MAX_ANSWER)
        if not response.isclosed():
            self.close()

    def _after_s(self, text: str | None) -> float | None:
        """Seconds of a Retry-After header, None where it says nothing."""
        if text is None:
            return None
        if re.fullmatch(r"[0-9]{1,9}", text.strip()):
            return float(text)
        try:
            return parsedate_to_datetime(text).timestamp() - self._utc_clock()
        except (ValueError, OverflowError, TypeError):
            return None


def _printable(text: str) -> str:
    """What a stranger wrote, fit for one line of a log."""
    return json.dumps(text[:80])[1:-1]
