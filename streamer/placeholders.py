"""`${NAME}` in what people write, filled in from the environment."""

import re
from collections.abc import Mapping
from urllib.parse import quote

_PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_USERINFO = re.compile(_URL.pattern + r"([^/?#]*)@")


def fill(text: str, env: Mapping[str, str]) -> tuple[str, list[str]]:
    """`text` with `${NAME}` replaced by `env[NAME]`, and what is wrong, one line each.

    `$${` stands for `${`. In the user and password of a URL, and as a value in its query, it is
    what one would type: it is percent-encoded here, and may hold @, /, : or &. Messages name
    variables, never their values.
    """
    userinfo = _USERINFO.match(text)
    # `${LOGIN}@` alone stands for user and password together, which only its writer can encode.
    first, last = userinfo.span(1) if userinfo and ":" in userinfo[1] else (0, 0)
    query = text.find("?") if _URL.match(text) else -1
    wrong: list[str] = []

    def replacement(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "${"
        if not _NAME.fullmatch(name) or not match[2]:
            wrong.append("expected ${NAME}; write $${ for a plain ${")
        elif name not in env:
            wrong.append(f"the environment variable {name} is not set")
        elif "\0" in env[name]:
            wrong.append(f"the environment variable {name} holds a zero byte")
        else:
            at = match.start()
            inside = first <= at < last or (0 <= query < at and text[at - 1] == "=")
            return quote(env[name], safe="") if inside else env[name]
        return ""

    return _PLACEHOLDER.sub(replacement, text), wrong
