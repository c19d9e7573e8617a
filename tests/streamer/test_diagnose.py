"""Why an open failed: what users are told, for every way in which servers say no."""

import hashlib
import re
import time
from collections.abc import Callable

import pytest
from scripted_server import Reply, ScriptedServer, method_of, rtsp_reply

from streamer.capture.authorization import authorization, choose_challenge
from streamer.capture.diagnose import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    diagnose,
)
from streamer.capture.source import Source

SDP = "v=0\r\nm=audio 0 RTP/AVP 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
SDP += "a=control:track1\r\n"
BASIC = 'WWW-Authenticate: Basic realm="cam"\r\n'
MD5 = 'WWW-Authenticate: Digest realm="cam", nonce="n0", qop="auth", opaque="o", algorithm=MD5\r\n'
OLD = 'WWW-Authenticate: Digest realm="cam", nonce="n0"\r\n'
SHA = 'WWW-Authenticate: Digest realm="cam", nonce="n0", qop="auth", algorithm=SHA-256\r\n'


def camera(status: int = 200, body: str = SDP, setup: int = 200, headers: str = "") -> Reply:
    """A camera that answers so, whoever asks."""

    def reply(request: str) -> bytes:
        asked_setup = method_of(request) == "SETUP"
        return rtsp_reply(request, setup if asked_setup else status, headers, body)

    return reply


def is_right(request: str) -> bool:
    """Whether the request carries the right password, by whichever method."""
    match = re.search(r"(?m)^Authorization: (\w+) (.*?)\r?$", request)
    if match is None:
        return False
    if match.group(1) == "Basic":
        return match.group(2) == "dmlld2VyOmdlOmhlaW0="  # viewer:ge:heim
    given = dict(re.findall(r'(\w+)="?([^",]*)"?', match.group(2)))
    make = hashlib.sha256 if given.get("algorithm") == "SHA-256" else hashlib.md5

    def hashed(text: str) -> str:
        return make(text.encode()).hexdigest()

    secret = hashed("viewer:cam:ge:heim")
    what = hashed(f"{method_of(request)}:{request.split()[1]}")
    middle = f"n0:{given['nc']}:{given['cnonce']}:{given['qop']}" if "qop" in given else "n0"
    return given["response"] == hashed(f"{secret}:{middle}:{what}")


def guarded(challenges: str) -> Reply:
    """A camera that lets in who has the right password."""

    def reply(request: str) -> bytes:
        if is_right(request):
            return rtsp_reply(request, 200, body=SDP)
        return rtsp_reply(request, 401, challenges)

    return reply


def reason_of(reply: Reply, credentials: str = "", **how: object) -> tuple[str, str]:
    """What is found out about a camera, and the text for people."""
    with ScriptedServer(reply) as server:
        source = Source.parse(f"rtsp://{credentials}127.0.0.1:{server.port}/s?x=1")
        error = diagnose(source, **how)  # type: ignore[arg-type]
    assert "heim" not in str(error)
    assert f":{server.port}/s" in str(error)
    return error.reason, str(error)


@pytest.mark.parametrize("challenges", [BASIC, MD5, OLD, BASIC + MD5, SHA + MD5])
@pytest.mark.parametrize(
    ("credentials", "reason"),
    [("viewer:ge%3Aheim@", "codec"), ("viewer:nein-heim@", "auth"), ("", "auth")],
)
def test_passwords(challenges: str, credentials: str, reason: str) -> None:
    """A right password gets past every challenge; a wrong one, or none, is the reason."""
    assert reason_of(guarded(challenges), credentials)[0] == reason


def test_a_digest_that_ffmpeg_cannot_make() -> None:
    """The password is right, yet the open must fail: people are told what to change."""
    reason, text = reason_of(guarded(SHA), "viewer:ge%3Aheim@")
    assert reason == "auth"
    assert "SHA-256" in text


@pytest.mark.parametrize(
    ("reply", "how", "reason", "says"),
    [
        (camera(404), {}, "not_found", "404"),
        (camera(403), {}, "auth", "403"),
        (camera(453), {}, "refused", "453"),
        (camera(503), {}, "refused", "503"),
        (camera(500), {}, "error", "500"),
        (camera(302, headers="Location: rtsp://10.9.9.9/y\r\n"), {}, "not_found", "moved"),
        (camera(setup=461), {}, "refused", "capture.transport: udp"),
        (camera(setup=461), {"transport": "udp"}, "refused", "capture.transport: tcp"),
        (camera(), {}, "codec", "H264"),
        (camera(body="v=0\r\nm=audio 0 RTP/AVP 0\r\n"), {}, "codec", "no video"),
        (camera(), {"timed_out": True}, "timeout", "no picture"),
        (lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n", {}, "error", "400"),
        (lambda _: b"SSH-2.0-OpenSSH_9.2\r\n\r\n", {}, "error", "protocol"),
        (lambda _: b"\xff\xfe\r\n\r\n", {}, "error", "protocol"),
        (lambda _: None, {}, "error", "broke off"),
    ],
)
def test_refusals(reply: Reply, how: dict[str, object], reason: str, says: str) -> None:
    """Every kind of no has its reason and its advice."""
    found, text = reason_of(reply, **how)
    assert (found, says in text) == (reason, True), text


@pytest.mark.parametrize(
    "reply",
    [
        lambda _: b"RTSP/1.0 200 OK\r\n" + b"X: " + b"x" * (2 * MAX_HEAD_BYTES) + b"\r\n\r\n",
        lambda r: rtsp_reply(r, 200, "Content-Length: 999999999\r\n", "x" * MAX_BODY_BYTES * 2),
        lambda r: rtsp_reply(r, 200, "Content-Length: -5\r\nContent-Base: x\r\n", SDP),
        lambda _: b"",
    ],
)
def test_servers_that_never_come_to_an_end(reply: Callable[[str], bytes]) -> None:
    """What is read is bounded in size and in time, whatever comes."""
    began = time.monotonic()
    assert reason_of(reply, deadline_s=0.3)[0] in ("error", "timeout", "codec")
    assert time.monotonic() - began < 2


def test_nobody_is_there() -> None:
    """A closed port is refused, and a name that does not resolve is not found."""
    with ScriptedServer(camera()) as server:
        port = server.port
    assert diagnose(Source.parse(f"rtsp://127.0.0.1:{port}/x")).reason == "refused"
    assert diagnose(Source.parse(f"http://127.0.0.1:{port}/x")).reason == "refused"
    assert diagnose(Source.parse("rtsp://no-such-host.invalid/x")).reason == "not_found"
    assert diagnose(Source.parse(f"rtsp://{'x' * 80}.invalid/x")).reason == "not_found"


def test_nobody_answers() -> None:
    """A server that takes the connection and is silent is a timeout, at the deadline."""
    began = time.monotonic()
    assert reason_of(lambda _: b"", deadline_s=0.2)[0] == "timeout"
    assert 0.15 < time.monotonic() - began < 1.5


@pytest.mark.parametrize(
    ("status", "headers", "reason"),
    [
        (200, "Content-Type: text/html; charset=x\r\n", "codec"),
        (404, "", "not_found"),
        (401, BASIC, "auth"),
        (301, "Location: http://10.9.9.9/\r\n", "not_found"),
    ],
)
def test_http(status: int, headers: str, reason: str) -> None:
    """Cameras that speak HTTP are understood as well."""

    def reply(_: str) -> bytes:
        return f"HTTP/1.1 {status} So\r\n{headers}Content-Length: 5\r\n\r\nhello".encode()

    with ScriptedServer(reply) as server:
        source = Source.parse(f"http://viewer:geheim@127.0.0.1:{server.port}/v.mjpg?a=b")
        error = diagnose(source)
    assert error.reason == reason
    assert server.requests[0].startswith("GET /v.mjpg?a=b HTTP/1.1\r\n")
    assert "geheim" not in str(error)
    assert not any("@" in request for request in server.requests)


def test_digest_as_the_standard_has_it() -> None:
    """An answer that others have computed: the example of RFC 2069, as corrected."""
    old = 'Digest realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'
    answer = authorization(old, "Mufasa", "Circle Of Life", "GET", "/dir/index.html")
    assert 'response="670fd8c2df070c60b045671b8b24ff02"' in answer


def test_the_strongest_challenge_is_answered() -> None:
    """SHA-256 before MD5 before Basic, and nothing that is not understood."""
    basic, md5, sha = 'Basic realm="a"', 'Digest realm="a"', 'Digest realm="a", algorithm=SHA-256'
    assert choose_challenge([basic, md5, sha]) == sha
    assert choose_challenge([basic, md5]) == md5
    assert choose_challenge([basic, 'Digest realm="a", algorithm=SHA-512']) == basic
    assert choose_challenge(["Bearer x"]) is None
    assert choose_challenge([]) is None


def test_a_user_name_cannot_add_headers() -> None:
    """What is decoded from the URL stays within its header."""
    answer = authorization('Digest realm="a", nonce="b"', 'x"\r\nEvil: 1', "p", "GET", "/")
    assert "\r" not in answer
    assert "\n" not in answer
