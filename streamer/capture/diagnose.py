"""Why a stream could not be opened: asks its server again, in few words, and reads the answer.

OpenCV says no more than that an open failed. This is a small client for one purpose: it connects
to the host and port of the source and to nothing else (redirections are reported, not followed),
sends at most a handful of requests, and stops reading at a few kilobytes and at its deadline.
"""

import errno
import re
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from sorawatch import SourceError
from streamer.capture.authorization import (
    authorization,
    choose_challenge,
    ffmpeg_can_answer,
    printable,
)
from streamer.capture.settings import Transport
from streamer.capture.source import Source, SourceKind

MAX_HEAD_BYTES: Final = 16_384
MAX_BODY_BYTES: Final = 65_536
_MAX_REQUESTS: Final = 4
_DEFAULT_PORTS: Final = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
_SILENT: Final = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ETIMEDOUT)


def diagnose(
    source: Source,
    *,
    timed_out: bool = False,
    transport: Transport = "tcp",
    deadline_s: float = 3.0,
) -> SourceError:
    """The error to raise for a stream that did not open; its `reason` says why.

    `timed_out`: the open ran into its timeout. `transport`: what RTSP was to use. Takes
    `deadline_s` at most, name resolution aside.
    """
    asking = _ask_rtsp if source.kind is SourceKind.RTSP else _ask_http
    parts = urlsplit(source.url)
    connection = _Connection(parts, time.monotonic() + deadline_s)
    try:
        with connection:
            finding = asking(connection, source, transport)
    except (socket.gaierror, UnicodeError):
        finding = _Finding("not_found", f"the host name {parts.hostname} cannot be resolved")
    except ConnectionRefusedError:
        finding = _Finding("refused", "the connection is refused; is the port right?")
    except TimeoutError:
        silent = "it takes the connection, but does not answer"
        absent = "no answer; is the host up and the address right?"
        finding = _Finding("timeout", silent if connection.was_up else absent)
    except ssl.SSLError as error:
        finding = _Finding("error", f"no TLS connection ({error.reason or 'broken off'})")
    except OSError as error:
        reason = "timeout" if error.errno in _SILENT else "error"
        finding = _Finding(reason, f"{error.strerror or 'the connection broke off'}")
    except _NotUnderstoodError as error:
        finding = _Finding("error", str(error))
    if finding.reason == "codec" and timed_out:
        finding = _Finding("timeout", "it answers, but no picture came in time")
    return SourceError(f"{source.masked}: {finding.text}", finding.reason)


class _Finding(NamedTuple):
    reason: str
    text: str


class _NotUnderstoodError(Exception):
    """The server said something that is not its protocol."""


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    headers: tuple[tuple[str, str], ...]  # names in lower case
    body: str

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    def get(self, name: str) -> str:
        return next(iter(self.all(name)), "")


def _ask_rtsp(connection: "_Connection", source: Source, transport: Transport) -> _Finding:
    url = _without_credentials(connection.parts)
    client = _Client(connection, source)
    reply = client.request("DESCRIBE", url, {"Accept": "application/sdp"})
    if finding := _refusal(reply, source):
        return finding
    if not client.ffmpeg_can_answer:
        text = "it wants a digest that FFmpeg cannot make (SHA-256); choose MD5 in the camera"
        return _Finding("auth", text)
    track = _video_track(reply.body)
    if track is None:
        return _Finding("codec", "it offers no video")
    base = reply.get("content-base") or reply.get("content-location") or url
    control = track.control if "://" in track.control else f"{base.rstrip('/')}/{track.control}"
    wanted = "/TCP;unicast;interleaved=0-1" if transport == "tcp" else ";unicast;client_port=9-10"
    reply = client.request("SETUP", control, {"Transport": f"RTP/AVP{wanted}"})
    if reply.status == 461:
        other = "udp" if transport == "tcp" else "tcp"
        text = f"it does not send RTSP over {transport}; try capture.transport: {other}"
        return _Finding("refused", text)
    return _Finding("codec", f"it offers video ({track.codec}) that cannot be decoded")


def _ask_http(connection: "_Connection", source: Source, _: Transport) -> _Finding:
    parts = connection.parts
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    reply = _Client(connection, source).request("GET", target, {})
    if finding := _refusal(reply, source):
        return finding
    kind = reply.get("content-type").partition(";")[0].strip()[:80] or "something unnamed"
    return _Finding("codec", f"it gives {kind}, in which no video can be decoded")


def _refusal(reply: _Reply, source: Source) -> _Finding | None:
    """What a reply other than success means."""
    if 200 <= reply.status < 300:
        return None
    if reply.status == 401:
        if source.credentials is None:
            return _Finding("auth", "it wants a user and a password")
        return _Finding("auth", "the user or the password is wrong")
    if reply.status == 403:
        return _Finding("auth", "this user may not see it (403)")
    if reply.status in (404, 410, 454):
        return _Finding("not_found", f"the server knows no such path ({reply.status})")
    if 300 <= reply.status < 400:
        return _Finding("not_found", f"it has moved ({reply.status}); give its new address")
    if reply.status in (453, 503):
        return _Finding("refused", f"the server is too busy ({reply.status})")
    return _Finding("error", f"the server answers with error {reply.status}")


@dataclass(frozen=True, slots=True)
class _Track:
    codec: str
    control: str


def _video_track(sdp: str) -> _Track | None:
    """The first video track that a session description offers."""
    inside, codec, control = False, "", ""
    for line in sdp.splitlines():
        if line.startswith("m="):
            if inside:
                break
            inside = line.startswith("m=video")
        elif inside and line.startswith("a=rtpmap:"):
            codec = line.partition(" ")[2].partition("/")[0]
        elif inside and line.startswith("a=control:"):
            control = line.partition(":")[2].strip()
    return _Track(printable(codec)[:20] or "unnamed", control) if inside else None


class _Client:
    """Sends requests over one connection and answers a demand for credentials once."""

    def __init__(self, connection: "_Connection", source: Source) -> None:
        self._connection = connection
        self._credentials = source.credentials
        self._rtsp = source.kind is SourceKind.RTSP
        self._challenge: str | None = None
        self._sent = 0
        self.ffmpeg_can_answer = True

    def request(self, method: str, target: str, headers: dict[str, str]) -> _Reply:
        reply = self._exchange(method, target, headers)
        if reply.status == 401 and self._credentials is not None and self._challenge is None:
            challenges = reply.all("www-authenticate")
            self._challenge = choose_challenge(challenges)
            self.ffmpeg_can_answer = ffmpeg_can_answer(challenges)
            if self._challenge is not None:
                reply = self._exchange(method, target, headers)
        return reply

    def _exchange(self, method: str, target: str, headers: dict[str, str]) -> _Reply:
        self._sent += 1
        if self._sent > _MAX_REQUESTS:
            raise _NotUnderstoodError("the server wants to be asked again and again")
        lines = [f"{method} {target} {'RTSP/1.0' if self._rtsp else 'HTTP/1.1'}"]
        lines.append(f"CSeq: {self._sent}" if self._rtsp else f"Host: {self._connection.netloc}")
        lines.append("User-Agent: sorawatch")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if self._challenge is not None and self._credentials is not None:
            answer = authorization(self._challenge, *self._credentials, method, target)
            lines.append(f"Authorization: {answer}")
        if not self._rtsp:
            lines.append("Connection: close")
        return self._connection.exchange("\r\n".join(lines) + "\r\n\r\n", body=self._rtsp)


class _Connection:
    """A TCP or TLS connection to a URL's host, with one deadline for everything."""

    def __init__(self, parts: SplitResult, deadline_s: float) -> None:
        self.parts = parts
        self._deadline_s = deadline_s
        self._host = parts.hostname or ""
        self._port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self.netloc = parts.netloc.rpartition("@")[2]
        self.was_up = False
        self._socket: socket.socket | None = None

    def __enter__(self) -> "_Connection":
        """Itself; it connects when it is first used, and again when the server hung up."""
        return self

    def __exit__(self, *exc: object) -> None:
        """Close it."""
        self._hang_up()

    def exchange(self, request: str, *, body: bool) -> _Reply:
        """Send a request and read the reply, with its body if wanted."""
        used = self._socket is not None
        try:
            head, rest = self._ask(request)
        except ConnectionError:
            if not used:
                raise
            self._hang_up()  # the server did, after its last reply
            head, rest = self._ask(request)
        status, headers = _parse_head(head.decode("latin-1"))
        fields = dict(reversed(headers))
        length = fields.get("content-length", "0")
        sane = length.isdecimal() and len(length) < 10
        wanted = min(int(length), MAX_BODY_BYTES) if sane else 0
        while body and len(rest) < wanted:
            rest += self._receive(wanted - len(rest))
        if not body or fields.get("connection", "").lower() == "close":
            self._hang_up()
        return _Reply(status, headers, rest[:wanted].decode("utf-8", "replace"))

    def _ask(self, request: str) -> tuple[bytes, bytes]:
        connection = self._connected()
        connection.settimeout(self._left_s())
        connection.sendall(request.encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive(MAX_HEAD_BYTES - len(data))
        head, _, rest = data.partition(b"\r\n\r\n")
        return head, rest

    def _connected(self) -> socket.socket:
        if self._socket is not None:
            return self._socket
        plain = socket.create_connection((self._host, self._port), self._left_s())
        self._socket, self.was_up = plain, True
        if self.parts.scheme in ("rtsps", "https"):
            # As FFmpeg does, which has already tried: cameras sign their own certificates.
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self._socket = context.wrap_socket(plain, server_hostname=self._host)
        return self._socket

    def _receive(self, most: int) -> bytes:
        if most <= 0:
            raise _NotUnderstoodError("it answers at greater length than any camera")
        connection = self._connected()
        connection.settimeout(self._left_s())
        data = connection.recv(min(most, 4096))
        if not data:
            raise ConnectionResetError("the server closed the connection")
        return data

    def _left_s(self) -> float:
        left_s = self._deadline_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _parse_head(head: str) -> tuple[int, tuple[tuple[str, str], ...]]:
    first, *lines = head.split("\r\n")
    match = re.match(r"(?:RTSP|HTTP)/\d\.\d (\d{3})(?:\D|$)", first)
    if match is None:
        raise _NotUnderstoodError("it answers, but in no protocol known here; is the port right?")
    pairs = (line.partition(":") for line in lines if ":" in line)
    return int(match.group(1)), tuple(
        (key.strip().lower(), value.strip()) for key, _, value in pairs
    )


def _without_credentials(parts: SplitResult) -> str:
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
