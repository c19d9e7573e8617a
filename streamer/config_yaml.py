"""YAML text as plain values with the line of each key, `${NAME}` filled in, bombs refused."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from streamer.placeholders import fill

Key = tuple[str, ...]

MAX_VALUES = 20_000
MAX_DEPTH = 20

_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
_PLAIN_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: the key it concerns, () for the whole file, its line, 1-based, and what."""

    key: Key
    line: int
    message: str


@dataclass(slots=True)
class Document:
    """What a file says.

    `tree`: dict, list, str, int, float, bool or None. What could not be read is None in it, and
    has an entry in `problems`.
    """

    tree: Any = None
    problems: list[Problem] = field(default_factory=list)
    lines: dict[Key, int] = field(default_factory=dict)

    def line_of(self, key: Key) -> int:
        """Line of `key`, or of the nearest key above it."""
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)


def read_yaml(text: str, env: Mapping[str, str]) -> Document:
    """Read one YAML document; mistakes are in its `problems`, nothing is raised."""
    document = Document()
    try:
        loader = yaml.BaseLoader(text)
        try:
            node = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as exc:
        mark = exc.problem_mark or exc.context_mark
        message = f"not valid YAML: {exc.problem or exc.context}"
        document.problems.append(Problem((), mark.line + 1 if mark else 1, message))
    except yaml.reader.ReaderError as exc:
        line = text.count("\n", 0, exc.position) + 1
        document.problems.append(Problem((), line, f"not valid YAML: {exc.reason}"))
    except RecursionError:
        document.problems.append(Problem((), 1, "nested too deeply"))
    except (yaml.YAMLError, ValueError, IndexError) as exc:  # PyYAML leaks these on some inputs
        message = f"not valid YAML: {type(exc).__name__}"
        document.problems.append(Problem((), 1, message))
    else:
        if node is not None:
            converter = _Converter(document, env)
            document.tree = converter.value(node, ())
    return document


class _TooLarge(Exception):
    pass


class _Converter:
    """Nodes to values. Aliases are allowed; what they expand to is counted."""

    def __init__(self, document: Document, env: Mapping[str, str]) -> None:
        self._document = document
        self._env = env
        self._values = 0

    def value(self, node: yaml.Node, key: Key) -> Any:
        try:
            return self._value(node, key)
        except _TooLarge as exc:
            self._document.problems = [Problem((), node.start_mark.line + 1, str(exc))]
            return None

    def _value(self, node: yaml.Node, key: Key) -> Any:
        self._values += 1
        if self._values > MAX_VALUES:
            raise _TooLarge(f"more than {MAX_VALUES} values, not a configuration")
        if len(key) > MAX_DEPTH:
            raise _TooLarge("nested too deeply")
        if node.tag not in _PLAIN_TAGS:
            return self._wrong(node, key, f"YAML tags are not supported here: {node.tag[:60]}")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, key)
        if isinstance(node, yaml.SequenceNode):
            return [self._value(item, (*key, str(i))) for i, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)  # noqa: S101 - YAML has three kinds of node
        return self._plain(node, key) if node.style is None else self._filled(node, key)

    def _wrong(self, node: yaml.Node, key: Key, message: str) -> None:
        self._document.problems.append(Problem(key, node.start_mark.line + 1, message))

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for name, item in node.value:
            if not isinstance(name, yaml.ScalarNode):
                self._wrong(name, key, "a key must be a word")
                continue
            here = (*key, name.value)
            line = name.start_mark.line + 1
            if name.value in tree:
                what = "this camera is configured twice" if key == ("cameras",) else "duplicate key"
                self._wrong(name, here, f"{what} (first on line {self._document.lines[here]})")
                continue
            self._document.lines[here] = line
            tree[name.value] = self._value(item, here)
        return tree

    def _plain(self, node: yaml.ScalarNode, key: Key) -> Any:
        text: str = node.value
        if text.lower() in _WORDS:
            return _WORDS[text.lower()]
        if _INT.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text):
            return float(text)
        return self._filled(node, key)

    def _filled(self, node: yaml.ScalarNode, key: Key) -> str | None:
        text, wrong = fill(node.value, self._env)
        if key[:2] == ("alerts", "sinks") and key[3:4] == ("command",) and text != node.value:
            # Every user of the machine can see a command's arguments.
            wrong.append("nothing is filled in here, where others could see it: use `env`")
        for message in wrong:
            self._wrong(node, key, message)
        return None if wrong else text
