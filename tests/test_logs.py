"""Logs: one line an event, for people or for machines, and never a password."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest

from streamer.logs import set_up_logging

URL = "rtsp://viewer:s3cret@10.0.0.20/1"


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def set_up(form: Literal["text", "json"], level: str = "info") -> io.StringIO:
    """Log to the stream that comes back."""
    logging.getLogger().handlers.clear()  # pytest's own raise on messages that do not fit
    stream = io.StringIO()
    set_up_logging(form, level, stream=stream)
    return stream


def write_one_of_everything() -> None:
    log = logging.getLogger("streamer.test")
    log.info("opening %s", URL)
    log.warning("two\nlines %s", {"url": URL})
    log.info("does not fit %d", URL)
    try:
        try:
            raise ValueError(f"cannot open {URL}")
        except ValueError as exc:
            raise RuntimeError(f"gave up on {URL}") from exc
    except RuntimeError:
        log.exception("failed")


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_password_is_logged(
    form: Literal["text", "json"], capsys: pytest.CaptureFixture[str]
) -> None:
    """Not in messages, in arguments, nor in tracebacks and their causes."""
    stream = set_up(form)
    write_one_of_everything()
    assert "s3cret" not in stream.getvalue()
    assert stream.getvalue().count("rtsp://viewer:***@10.0.0.20/1") >= 5
    assert "s3cret" not in "".join(capsys.readouterr())


def test_json_logs_are_one_object_a_line() -> None:
    """Every line parses, whatever was logged; `extra` fields and tracebacks are in it."""
    stream = set_up("json")
    write_one_of_everything()
    logging.getLogger("streamer.test").info("x", extra={"camera": "gate", "odd": {1, 2}})
    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [entry["level"] for entry in entries] == ["info", "warning", "info", "error", "info"]
    assert entries[1]["message"].startswith("two\nlines")
    assert "gave up on" in entries[3]["traceback"]
    assert entries[4]["camera"] == "gate"
    assert entries[0]["time"].endswith("Z")


def test_text_logs_are_one_line_an_event() -> None:
    """A message cannot forge a second line of the log."""
    stream = set_up("text", "warning")
    logging.getLogger("streamer.test").warning("bad\n2026-01-01T00:00:00.000Z INFO x: forged")
    logging.getLogger("streamer.test").info("below the level")
    assert len(stream.getvalue().splitlines()) == 1
