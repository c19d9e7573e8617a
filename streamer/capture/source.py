"""Where pictures come from: one value for a camera's URL, a file, a folder or a device."""

import json
import re
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sorawatch import ConfigError

DEFAULT_FOLDER_FPS = 10.0

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_RTSP_SCHEMES = ("rtsp", "rtsps")
_HTTP_SCHEMES = ("http", "https")
_DEVICE = re.compile(r"^(?:/dev/video)?(\d{1,3})$")

_URL_USERINFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^\s/?#]*)@")
_KEYS_TO_MASK = (
    r"(?:user|login)?(?:password|passwd|passphrase|pass|pas|pwd|psw)"
    r"|token|secret|apikey|key|sig|auth"
)
# Some cameras take the password in the query (&password=...), some in the path (_password=...).
_PAIR_TO_MASK = re.compile(
    rf"(?i)((?:^|[?&;/_])(?:[a-z]+[_-])*(?:{_KEYS_TO_MASK})=)([^&;/\s#]+?)(?=_[a-z]+=|[&;/\s#]|$)"
)


class SourceKind(StrEnum):
    """What a source is."""

    RTSP = "rtsp"
    HTTP = "http"
    FILE = "file"
    FOLDER = "folder"
    DEVICE = "device"
    FOOTAGE = "footage"
    """Recorded pieces, see `streamer.capture.footage`: `url` is a JSON document."""


def mask_credentials(text: str) -> str:
    """`text` with the password of every URL in it replaced by ***."""

    def userinfo(match: re.Match[str]) -> str:
        user, colon, _ = match.group(2).partition(":")
        return f"{match.group(1)}{user}{':***' if colon else ''}@"

    return _PAIR_TO_MASK.sub(r"\1***", _URL_USERINFO.sub(userinfo, text))


@dataclass(frozen=True, slots=True, repr=False)
class Source:
    """A source of pictures; prints with its password masked.

    `url` is what has to be opened, credentials included: print `masked` instead. It is a URL,
    an absolute path, or a device's number, and `Source.parse(source.url, fps=source.fps)` gives
    the same source again in another process.
    `fps`: frames a second of a folder of pictures; None for everything else.
    """

    kind: SourceKind
    url: str = field(repr=False)
    fps: float | None = None

    @classmethod
    def parse(cls, text: str, *, base: Path | None = None, fps: float | None = None) -> "Source":
        """Read a source as people write it.

        `text`: `rtsp://`, `rtsps://`, `http://` or `https://` URL, a path to a video file or to
        a folder of pictures (relative to `base`, or to where the program runs), or a device's
        number. `fps`: frames a second of a folder, 10 if not given.
        Raises ConfigError for anything else. That a path exists is not asked here.
        """
        text = text.strip()
        if not text:
            raise ConfigError("source is empty; give a URL, a file, a folder or a device number")
        if any(ord(c) < 32 for c in text):
            raise ConfigError(f"source {_masked_throughout(text)!r} holds control characters")
        if any(0xD800 <= ord(c) < 0xE000 for c in text):  # bytes of a file's name
            raise ConfigError(f"source {_masked_throughout(text)!r} is not UTF-8: rename it")
        if fps is not None and not 0 < fps <= 1000:
            raise ConfigError(f"fps of a folder must lie between 0 and 1000, not {fps}")
        if match := _SCHEME.match(text):
            return cls(*_parse_url(text, match.group(1).lower()))
        if match := _DEVICE.match(text):
            return cls(SourceKind.DEVICE, match.group(1))
        path = Path(text).expanduser()
        path = (base / path if base is not None else path).absolute()
        if text.endswith("/") or path.is_dir():
            return cls(SourceKind.FOLDER, str(path), fps or DEFAULT_FOLDER_FPS)
        return cls(SourceKind.FILE, str(path))

    @property
    def masked(self) -> str:
        """The source for people: as it was given, without the password."""
        if self.kind is SourceKind.DEVICE:
            return f"device {self.url}"
        if self.kind is SourceKind.FOOTAGE:
            pieces = json.loads(self.url)["pieces"]
            first: str = pieces[0][1]
            return first + (f" and {len(pieces) - 1} more" if len(pieces) > 1 else "")
        if self.kind in (SourceKind.RTSP, SourceKind.HTTP):
            return mask_credentials(self.url)
        return self.url

    @property
    def live(self) -> bool:
        """Whether pictures come at their own pace and cannot be asked to wait."""
        return self.kind in (SourceKind.RTSP, SourceKind.HTTP, SourceKind.DEVICE)

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User and password of a URL, decoded; None where it names no user."""
        if self.kind not in (SourceKind.RTSP, SourceKind.HTTP):
            return None
        userinfo, at, _ = urlsplit(self.url).netloc.rpartition("@")
        if not at:
            return None
        user, _, password = userinfo.partition(":")
        return unquote(user), unquote(password)

    def __str__(self) -> str:
        """`masked`."""
        return self.masked

    def __repr__(self) -> str:
        """Masked as well."""
        return f"Source({self.masked!r})"


def _parse_url(text: str, scheme: str) -> tuple[SourceKind, str]:
    masked = _masked_throughout(text)
    if scheme in _RTSP_SCHEMES:
        kind = SourceKind.RTSP
    elif scheme in _HTTP_SCHEMES:
        kind = SourceKind.HTTP
    else:
        raise ConfigError(
            f"source {masked}: {scheme}:// is not supported; use rtsp, rtsps, http or https"
        )
    if re.search(r"\s", text):
        raise ConfigError(f"source {masked} holds a space; write it as %20")
    try:
        parts = urlsplit(text)
        wrong = "" if parts.hostname and parts.port != 0 else "no host, or no such port"
    except ValueError:
        wrong = "host or port unreadable"
    # user:pass/word@host reads as host "user" and port "pass".
    userinfo, at, _ = text.partition("://")[2].rpartition("@")
    if at and re.search(r":[^\]]*[/?#]", userinfo):
        wrong = "in a password write / as %2F, ? as %3F and # as %23; in a path write @ as %40"
    if wrong:
        raise ConfigError(f"source {masked}: {wrong}")
    return kind, scheme + text[len(scheme) :]


def _masked_throughout(text: str) -> str:
    """Mask a URL that may not be one, so that the password may hold any character."""
    return mask_credentials(re.sub(r"(?s)(://[^:@]*):.*@", r"\1:***@", text))
