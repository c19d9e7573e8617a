"""Answers a server's demand for credentials: Basic, and Digest with MD5 or SHA-256."""

import hashlib
import re
import secrets
from base64 import b64encode
from typing import Final

_HASHES: Final = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


def choose_challenge(challenges: list[str]) -> str | None:
    """The best of a server's `WWW-Authenticate` values that we can answer."""

    def rank(challenge: str) -> int:
        scheme = challenge.partition(" ")[0].lower()
        if scheme == "digest":
            return {"MD5": 2, "SHA-256": 3}.get(_algorithm(challenge), 0)
        return 1 if scheme == "basic" else 0

    best = max(challenges, key=rank, default=None)
    return best if best is not None and rank(best) else None


def ffmpeg_can_answer(challenges: list[str]) -> bool:
    """Whether FFmpeg (8.1) can: it takes the last digest that it is offered, and knows only MD5."""
    digests = [c for c in challenges if c.lower().startswith("digest")]
    return not digests or _algorithm(digests[-1]) == "MD5"


def authorization(challenge: str, user: str, password: str, method: str, uri: str) -> str:
    """Value of the `Authorization` header that answers a challenge (RFC 7616, RFC 7617)."""
    if challenge.partition(" ")[0].lower() == "basic":
        return "Basic " + b64encode(f"{user}:{password}".encode()).decode()
    fields = _fields(challenge)
    algorithm = fields.get("algorithm", "MD5")
    make = _HASHES[_algorithm(challenge)]

    def hashed(*words: str) -> str:
        return make(":".join(words).encode()).hexdigest()

    realm, nonce, cnonce, count = fields.get("realm", ""), fields.get("nonce", ""), "", "00000001"
    with_qop = "auth" in [word.strip() for word in fields.get("qop", "").lower().split(",")]
    secret = hashed(user, realm, password)
    if with_qop or algorithm.upper().endswith("-SESS"):
        cnonce = secrets.token_hex(8)
    if algorithm.upper().endswith("-SESS"):
        secret = hashed(secret, nonce, cnonce)
    middle = (nonce, count, cnonce, "auth") if with_qop else (nonce,)
    answer = {
        "username": _quoted(user),
        "realm": _quoted(realm),
        "nonce": _quoted(nonce),
        "uri": _quoted(uri),
        "response": _quoted(hashed(secret, *middle, hashed(method, uri))),
    }
    if "algorithm" in fields:
        answer["algorithm"] = algorithm
    if "opaque" in fields:
        answer["opaque"] = _quoted(fields["opaque"])
    if with_qop:
        answer |= {"qop": "auth", "nc": count}
    if cnonce:
        answer["cnonce"] = _quoted(cnonce)
    return "Digest " + ", ".join(f"{key}={value}" for key, value in answer.items())


def _algorithm(challenge: str) -> str:
    return _fields(challenge).get("algorithm", "MD5").upper().removesuffix("-SESS")


def _fields(challenge: str) -> dict[str, str]:
    pairs = re.findall(r'([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', challenge)
    return {key.lower(): quoted or plain for key, quoted, plain in pairs}


def _quoted(text: str) -> str:
    return '"' + printable(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def printable(text: str) -> str:
    """`text` without control characters, so that it stays within its line."""
    return "".join(c for c in text if c.isprintable())
