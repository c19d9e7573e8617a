"""Changes single values in the text of a configuration and leaves every other character alone.

The text is parsed for where its values stand, and only there it is written. A library that writes
YAML anew would keep comments, but not spacing, quotes and line breaks. What came out is parsed
again: anything but the wished values that differs is an error, and nothing is written.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from sorawatch import ConfigError, ResourceError
from streamer.config_load import MAX_BYTES
from streamer.config_yaml import Key, read_yaml

_BOM: Final = "\ufeff"


def edit_config(path: Path, values: Mapping[Key, float]) -> Path | None:
    """Set `values`, by key, in the configuration `path`; keeps the old file as PATH.bak.

    Gives the path of the old file; None where all of them stood there already, and nothing was
    written. ConfigError where the file cannot be read or changed so, ResourceError where it cannot
    be written; it is then what it was.
    """
    path = Path(os.path.realpath(path))  # a link stays a link
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror or exc}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8 text") from exc
    bom = _BOM if text.startswith(_BOM) else ""
    new = bom + edited(text.removeprefix(_BOM), values, str(path))
    if new == text:
        return None
    backup = path.with_name(path.name + ".bak")
    _write(backup, data, path)
    _write(path, new.encode(), path)
    return backup


def edited(text: str, values: Mapping[Key, float], name: str) -> str:
    """`text` with these values; `name` stands in errors. Raises ConfigError."""
    before = _tree(text, name)
    out = text
    for key, value in values.items():
        at: Any = before
        for part in key:
            at = at.get(part) if isinstance(at, dict) else None
        if isinstance(at, bool) or at != value:
            out = _set(out, key, value, name)
    for key, value in values.items():
        _put(before, key, value)
    if len(out) > MAX_BYTES or _tree(out, name) != before:
        wanted = ", ".join(f"{'.'.join(key)}: {_number(value)}" for key, value in values.items())
        raise ConfigError(f"{name}: cannot be changed safely; write by hand: {wanted}")
    return out


def _tree(text: str, name: str) -> Any:
    document = read_yaml(text, os.environ)
    for problem in document.problems:
        if problem.key == ():
            raise ConfigError(f"{name}:{problem.line}: {problem.message}")
    return document.tree


def _set(text: str, key: Key, value: float, name: str) -> str:
    """`text` with one value changed or added."""
    node: Any = yaml.compose(text, yaml.BaseLoader)
    for depth, part in enumerate(key):
        found = _child(node, part)
        if found is None:
            if depth < 2:  # cameras, and the camera
                raise ConfigError(f"{name}: has no {'.'.join(key[: depth + 1])}")
            return _insert(text, node, key[depth:], value)
        node = found
    start, end = _span(node)
    given = _number(value)
    if start == end:  # `key:` and nothing after it
        given = " " + given
    return text[:start] + given + text[end:]


def _child(node: yaml.Node, name: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.value == name:
            found: yaml.Node = value
            return found
    return None


def _span(node: yaml.Node) -> tuple[int, int]:
    """Where in the text it stands."""
    return int(node.start_mark.index), int(node.end_mark.index)


def _insert(text: str, node: yaml.Node, key: Key, value: float) -> str:
    """Add `key` to the mapping `node`."""
    given = _number(value)
    for part in reversed(key[1:]):
        given = f"{{{part}: {given}}}"
    entry = f"{key[0]}: {given}"
    start, end = _span(node)
    if not isinstance(node, yaml.MappingNode):  # a section that is named but empty
        return text[:start] + (" " if start == end else "") + f"{{{entry}}}" + text[end:]
    if node.flow_style:
        at = _span(node.value[-1][1])[1] if node.value else start + 1
        return text[:at] + (", " if node.value else "") + entry + text[at:]
    first = node.value[0][0].start_mark
    indent = " " * int(first.column)
    newline = "\r\n" if "\r\n" in text else "\n"
    for _key, one in node.value:
        if isinstance(one, yaml.ScalarNode) and one.style not in ("|", ">"):
            line_end = text.find("\n", _span(one)[1])
            if line_end < 0:
                return f"{text}{newline}{indent}{entry}{newline}"
            return text[: line_end + 1] + indent + entry + newline + text[line_end + 1 :]
    at = int(first.index)
    return text[:at] + entry + newline + indent + text[at:]


def _put(tree: Any, key: Key, value: float) -> None:
    for part in key[:-1]:
        if tree.get(part) is None:
            tree[part] = {}
        tree = tree[part]
    tree[key[-1]] = _plain(value)


def _plain(value: float) -> float:
    return int(value) if value == int(value) else value


def _number(value: float) -> str:
    """The shortest that reads as the same number: `3`, `0.25`."""
    return repr(_plain(value))


def _write(path: Path, data: bytes, like: Path) -> None:
    """Write `data` to `path`, whole or not at all, readable by whom `like` is."""
    temporary: str | None = None
    try:
        fd, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(like, temporary)
        os.replace(temporary, path)
        temporary = None
    except OSError as exc:
        raise ResourceError(f"{path}: cannot be written: {exc.strerror or exc}") from exc
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
