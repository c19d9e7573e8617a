"""Key pairs and the list of who may listen: the files behind CURVE, in one folder.

`NAME.key_secret` and `NAME.key` are a pair, as ZeroMQ's own tools write them; `allowed` lists
public keys, one a line, with the name behind it. All are for their owner alone.
"""

import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth

from alerts.curve import listed_keys, public_key
from sorawatch import ConfigError

ALLOWED = "allowed"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_PAIR = """\
#   CURVE key pair of {name}, made by `sorawatch keys`. Keep it: whoever reads it is {name}.

metadata
curve
    public-key = "{public}"
    secret-key = "{secret}"
"""
_PUBLIC = """\
#   CURVE public key of {name}, made by `sorawatch keys`. Give it to those who connect.

metadata
curve
    public-key = "{public}"
"""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key (Z85, 40 characters): what it is called, what we have of it."""

    name: str
    public: str
    secret: bool
    allowed: bool


class KeyFolder:
    """Makes and lists keys in a folder. Secrets are written once, and never read out."""

    def __init__(self, path: Path) -> None:
        """Nothing is read or made yet."""
        self.path = path

    @property
    def allowed_file(self) -> Path:
        """The list of public keys that may listen."""
        return self.path / ALLOWED

    def keys(self) -> list[Key]:
        """All of them by name, those of the list that have no file last. Raises ConfigError."""
        listed = listed_keys(self.allowed_file) if self.allowed_file.exists() else {}
        found = []
        for secret in sorted(self.path.glob("*.key_secret")):
            public = _public_of(secret)
            found.append(Key(secret.stem, public, secret=True, allowed=public in listed))
        with_secret = {key.name for key in found}
        for file in sorted(self.path.glob("*.key")):
            if file.stem not in with_secret:
                public = _public_of(file)
                found.append(Key(file.stem, public, secret=False, allowed=public in listed))
        named = {key.public for key in found}
        others = [Key(n, p, secret=False, allowed=True) for p, n in listed.items()]
        return sorted(found, key=lambda key: key.name) + [
            k for k in others if k.public not in named
        ]

    def make(self, name: str) -> Key:
        """A new pair. Raises ConfigError for a name that there is, or that is none."""
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r}: the name of a key is 1 to 64 of A-Z, a-z, 0-9, _ and -, "
                "the first a letter or digit"
            )
        public, secret = (half.decode() for half in zmq.curve_keypair())
        facts = {"name": name, "public": public}
        try:
            self.path.mkdir(parents=True, mode=0o700, exist_ok=True)
            if (self.path / f"{name}.key").exists():  # somebody else's public key, brought here
                raise FileExistsError
            _write(self.path / f"{name}.key_secret", _PAIR.format(**facts, secret=secret))
            _write(self.path / f"{name}.key", _PUBLIC.format(**facts))
        except FileExistsError as exc:
            raise ConfigError(
                f"there is a key {name} in {self.path} already: give another name, or remove "
                f"{name}.key and {name}.key_secret yourself"
            ) from exc
        except OSError as exc:
            raise ConfigError(f"{self.path}: cannot keep a key there: {exc.strerror}") from exc
        return Key(name, public, secret=True, allowed=False)

    def allow(self, name: str) -> Key:
        """Put a key on the list: a name in this folder, or a public key itself."""
        key = self._find(name)
        if not key.allowed:
            self._rewrite([*self._lines(), f"{key.public} {key.name}".rstrip()])
        return Key(key.name, key.public, secret=key.secret, allowed=True)

    def forbid(self, name: str) -> Key:
        """Take a key off the list; a running program has to be restarted to take it in."""
        key = self._find(name)
        self._rewrite([line for line in self._lines() if line.split()[:1] != [key.public]])
        return Key(key.name, key.public, secret=key.secret, allowed=False)

    def _find(self, name: str) -> Key:
        for key in self.keys():
            if name in (key.name, key.public):
                return key
        if len(name) == 40:
            return Key("", public_key(name, name).decode(), secret=False, allowed=False)
        raise ConfigError(
            f"no key {name} in {self.path}: make it with --make {name}, copy {name}.key there, "
            "or give the public key itself (40 characters)"
        )

    def _lines(self) -> list[str]:
        try:
            return self.allowed_file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return ["# Public keys that may listen, one a line. Kept by `sorawatch keys`."]
        except (OSError, UnicodeError) as exc:
            raise ConfigError(
                f"the list of keys {self.allowed_file} cannot be read: {exc}"
            ) from exc

    def _rewrite(self, lines: list[str]) -> None:
        try:
            self.path.mkdir(parents=True, mode=0o700, exist_ok=True)
            fresh = self.path / f".{secrets.token_hex(4)}.new"
            _write_new(fresh, "\n".join([*lines, ""]))
            fresh.replace(self.allowed_file)
        except OSError as exc:
            raise ConfigError(
                f"the list of keys {self.allowed_file} cannot be written: {exc.strerror}"
            ) from exc


def _public_of(path: Path) -> str:
    try:
        public, _secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as exc:
        raise ConfigError(f"the key file {path} cannot be read: {exc}") from exc
    return public_key(public.decode("ascii", "replace"), str(path)).decode()


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and never over another. Raises FileExistsError, OSError."""
    fresh = path.with_name(f".{secrets.token_hex(4)}.new")
    _write_new(fresh, text)
    try:
        os.link(fresh, path)
    finally:
        fresh.unlink()


def _write_new(path: Path, text: str) -> None:
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(number, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(number)
