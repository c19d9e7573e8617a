"""CURVE: who may listen beyond this machine. Keys in, encryption and a guest list out."""

import logging
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth
from zmq.utils import z85

from sorawatch import ConfigError

log = logging.getLogger(__name__)

_ZAP_ADDRESS = "inproc://zeromq.zap.01"
_QUIET_MS = 50
_LAST_ANSWERS = 1000


@dataclass(frozen=True, slots=True)
class CurveSettings:
    """Who we are, and who may listen.

    `secret_key_file`: our key pair, as `sorawatch keys` (or ZeroMQ's own tools) writes it.
    `allowed_keys_file`: one public key (Z85, 40 characters) a line, then anything; `#` begins a
    comment.
    """

    secret_key_file: Path
    allowed_keys_file: Path


@dataclass(frozen=True, slots=True)
class CurveClient:
    """A subscriber's key pair file, and the public key (Z85) of the program it listens to."""

    secret_key_file: Path
    server_key: str

    @classmethod
    def of_files(cls, secret_key_file: Path, server_key_file: Path) -> "CurveClient":
        """The same with the program's `.key` file. Raises ConfigError."""
        try:
            public, _ = zmq.auth.load_certificate(server_key_file)
        except (OSError, ValueError) as exc:
            raise ConfigError(f"the key file {server_key_file} cannot be read: {exc}") from exc
        return cls(secret_key_file, public.decode("ascii", "replace"))

    def apply(self, sock: "zmq.Socket[bytes]") -> None:
        """Make `sock` prove who it is, and encrypt. Before connecting. Raises ConfigError."""
        public, secret = _key_pair(self.secret_key_file)
        sock.curve_publickey = public
        sock.curve_secretkey = secret
        sock.curve_serverkey = public_key(self.server_key, "the server's key")


class Gatekeeper:
    """Answers libzmq's question, for each connection, whether a key is on the list (ZAP).

    Its socket belongs to the thread that made it, which calls `answer` when `sock` is readable.
    """

    def __init__(self, context: "zmq.Context[zmq.Socket[bytes]]", settings: CurveSettings) -> None:
        """Read the keys; start before the first bind. Raises ConfigError."""
        self._public, self._secret = _key_pair(settings.secret_key_file)
        self._allowed = _allowed_keys(settings.allowed_keys_file)
        self.sock = context.socket(zmq.REP)
        self.sock.linger = 0
        self.sock.bind(_ZAP_ADDRESS)

    def guard(self, sock: "zmq.Socket[bytes]") -> None:
        """Let only allowed keys in at `sock`. Before binding."""
        sock.curve_server = True
        sock.curve_publickey = self._public
        sock.curve_secretkey = self._secret
        sock.zap_domain = b"sorawatch"

    def finish(self) -> None:
        """Answer who is still waiting at the door, once the doors are closed; takes a moment."""
        for _ in range(_LAST_ANSWERS):
            if not self.sock.poll(_QUIET_MS):
                break
            self.answer()

    def answer(self) -> None:
        """Answer one question. Never raises for what is in it."""
        version, request, _domain, _address, _identity, mechanism, *proof = (
            *self.sock.recv_multipart(),
            *[b""] * 6,
        )[:7]
        known = mechanism == b"CURVE" and proof[0] in self._allowed
        verdict = [b"200", b"OK"] if known else [b"400", b"not on the list"]
        self.sock.send_multipart([version, request, *verdict, b"", b""])


def _key_pair(path: Path) -> tuple[bytes, bytes]:
    try:
        public, secret = zmq.auth.load_certificate(path)
        mode = path.stat().st_mode
    except (OSError, ValueError) as exc:
        raise ConfigError(
            f"the key file {path} cannot be read: {exc}; `sorawatch keys` makes key pairs"
        ) from exc
    if secret is None:
        raise ConfigError(f"the key file {path} holds no secret key: give the .key_secret file")
    for half in (public, secret):
        if not _is_key(half):
            raise ConfigError(f"the key file {path} holds no key pair of 40 Z85 characters each")
    if mode & 0o077:
        log.warning("the key file %s can be read by others: chmod 600 %s", path, path)
    return public, secret


def listed_keys(path: Path) -> dict[str, str]:
    """The public keys (Z85) in `path`, with what stands behind each. Raises ConfigError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError) as exc:
        raise ConfigError(f"the list of keys {path} cannot be read: {exc}") from exc
    # Only a "#" at the start or after a space is a comment: it is a letter of Z85 too.
    words = ((number, line.split(maxsplit=1)) for number, line in enumerate(lines, start=1))
    return {
        public_key(parts[0], f"{path}, line {number}").decode(): " ".join(parts[1:])
        for number, parts in words
        if parts and not (parts[0].startswith("#") and len(parts[0]) != 40)
    }


def _allowed_keys(path: Path) -> frozenset[bytes]:
    """The 32-byte keys in `path`."""
    keys = frozenset(z85.decode(key.encode()) for key in listed_keys(path))
    if not keys:
        raise ConfigError(
            f"the list of keys {path} is empty: nobody could listen; "
            f"`sorawatch keys {path.parent} --allow NAME` puts one on it"
        )
    return keys


def public_key(text: str, where: str) -> bytes:
    """`text` as a public key; `where` names it in the ConfigError."""
    key = text.encode()
    if not _is_key(key):
        raise ConfigError(f"{where}: not a public key of 40 Z85 characters")
    return key


def _is_key(text: bytes) -> bool:
    try:
        return len(z85.decode(text)) == 32
    except (ValueError, KeyError):  # a wrong length, a wrong character
        return False


def check_keys(settings: CurveSettings) -> None:
    """Raise ConfigError for files that cannot be used."""
    _key_pair(settings.secret_key_file)
    _allowed_keys(settings.allowed_keys_file)
