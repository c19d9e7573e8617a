"""Reads a configuration file; every mistake in it is told with file, line and key.

YAML is read as YAML 1.2 reads it: `on`, `off`, `yes` and `no` are words, not truth values, and
there are no dates. Whatever the file holds, the answer is a `Config` or a `ConfigError`.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sorawatch import ConfigError
from streamer.config import CameraConfig, Config
from streamer.config_sinks import SINK_TYPES
from streamer.config_yaml import Document, Key, Problem, read_yaml

MAX_BYTES = 256 * 1024
"""A configuration of 500 cameras has about 50 KiB."""

_MESSAGES = {
    "missing": "this key is required",
    "model_type": "expected keys below it",
    "dict_type": "expected keys below it",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_parsing_size": "this number is too large",
    "int_from_float": "expected a whole number",
    "string_type": "expected text",
    "tuple_type": "expected a list",
    "path_type": "expected a path",
    "union_tag_not_found": f"`type` is missing: one of {', '.join(SINK_TYPES)}",
    "union_tag_invalid": f"`type` has to be one of {', '.join(SINK_TYPES)}",
    "model_attributes_type": "expected keys below it",
}


def load_config(path: Path, env: Mapping[str, str] | None = None) -> Config:
    """Read the configuration in `path`; relative paths in it are relative to its folder.

    `env` fills in `${NAME}`; None: the environment of this process.
    Raises ConfigError, whose message has a line for each mistake: `FILE:LINE: KEY: what is wrong`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except IsADirectoryError as exc:
        raise ConfigError(f"{path}: this is a folder; give the configuration file in it") from exc
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{path}: cannot be read: {getattr(exc, 'strerror', exc)}") from exc
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than {MAX_BYTES // 1024} KiB, not a configuration")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text") from exc
    return parse_config(text, name=str(path), folder=path.absolute().parent, env=env)


def parse_config(
    text: str, *, name: str, folder: Path | None = None, env: Mapping[str, str] | None = None
) -> Config:
    """Read a configuration from `text`, as `load_config` does; `name` stands in its errors."""
    document = read_yaml(text, os.environ if env is None else env)
    problems = list(document.problems)
    config = None
    if isinstance(document.tree, dict):
        try:
            config = _validated(document.tree, folder)
        except ValidationError as exc:
            # What could not even be read is told once, not again as a wrong value.
            told = {problem.key for problem in problems}
            found = [_problem(error, document) for error in exc.errors(include_url=False)]
            problems += [p for p in found if p.key not in told or p.message.startswith("unknown")]
    elif not problems:
        what = "is empty" if document.tree is None else "holds no keys"
        problems.append(Problem((), 1, f"the file {what}: it needs at least `cameras:`"))
    if problems or config is None:
        problems.sort(key=lambda problem: problem.line)
        raise ConfigError("\n".join(_line(name, problem) for problem in problems))
    return config


def _validated(tree: dict[str, Any], folder: Path | None) -> Config:
    # `alerts` has to be there for its default path to become relative to the folder.
    return Config.model_validate({"alerts": {}, **tree}, context={"folder": folder})


def _line(name: str, problem: Problem) -> str:
    key = f" {'.'.join(problem.key)}:" if problem.key else ""
    text = f"{name}:{problem.line}:{key} {problem.message}"
    return "".join(c if c.isprintable() else "?" for c in text)


def _problem(error: ErrorDetails, document: Document) -> Problem:
    loc: Key = tuple(str(part) for part in error["loc"] if part != "[key]")
    key, kind = _without_tag(loc), error["type"]
    if kind == "extra_forbidden":
        message = _unknown(key, _keys(loc[:-1]))
    elif kind == "value_error":
        message = str(error["ctx"]["error"])
        name, colon, rest = message.partition(": ")
        names = name.split(".")
        if colon and names[0] in _keys(loc):  # a section's own check names the key that is wrong
            key, message = (*key, *names), rest
    elif kind == "literal_error":
        message = f"expected {error['ctx']['expected']}".replace("'", "")
    else:
        message = _MESSAGES.get(kind) or error["msg"].replace("Input should be", "must be", 1)
    return Problem(key, document.line_of(key), message)


def _without_tag(loc: Key) -> Key:
    """The key that pydantic's place stands for: the type of a sink is none."""
    tagged = loc[:2] == ("alerts", "sinks") and loc[3:4] and loc[3] in SINK_TYPES
    return loc[:3] + loc[4:] if tagged else loc


def _unknown(key: Key, known: list[str]) -> str:
    """Why `key` is unknown, with the key that may have been meant; `known`: those beside it."""
    if len(key) == 4 and key[0] == "cameras" and key[3] in _keys((key[2],)):
        return f"this is set for all cameras together: move it to {key[2]} at the top level"
    near = difflib.get_close_matches(key[-1], known, n=1)
    if not near and len(key) == 1:
        near = [f"cameras.<name>.{k}" for k in CameraConfig.model_fields if k == key[0]]
    return f"unknown key (did you mean {near[0]}?)" if near else "unknown key"


def _keys(section: Key) -> list[str]:
    """The keys that a section may hold."""
    model: type[BaseModel] = Config
    if section[:1] == ("cameras",):
        model, section = CameraConfig, section[2:]
    elif section[:2] == ("alerts", "sinks") and section[3:4] and section[3] in SINK_TYPES:
        model, section = SINK_TYPES[section[3]], section[4:]
    for part in section:
        annotation: Any = (
            model.model_fields[part].annotation if part in model.model_fields else None
        )
        sections = [
            kind
            for kind in get_args(annotation) or (annotation,)
            if isinstance(kind, type) and issubclass(kind, BaseModel)
        ]
        if len(sections) != 1:
            return []
        model = sections[0]
    return ["learn_for" if name == "learn_for_s" else name for name in model.model_fields]
