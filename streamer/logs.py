"""Logging to standard error, as text or as JSON lines, with every password masked."""

import json
import logging
import sys
import time
from typing import IO, Literal

from streamer.capture.source import mask_credentials

_OWN_FIELDS = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName", "color_message"}
)


class TextFormatter(logging.Formatter):
    """`2026-11-22T12:02:31.123Z WARNING streamer.capture: gate: offline (auth)`, in UTC."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and after it the traceback if there is one; passwords masked."""
        text = f"{_utc(record.created)} {record.levelname} {record.name}: {_one_line(record)}"
        return "\n".join(filter(None, [text, _traceback(self, record)]))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (UTC), `level`, `logger`, `message`, and what was `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds; passwords masked."""
        entry: dict[str, object] = {
            "time": _utc(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        entry |= {
            key: mask_credentials(value) if isinstance(value, str) else value
            for key, value in vars(record).items()
            if key not in _OWN_FIELDS
        }
        if traceback := _traceback(self, record):
            entry["traceback"] = traceback
        return json.dumps(entry, default=lambda value: mask_credentials(str(value)))


def _message(record: logging.LogRecord) -> str:
    try:
        return mask_credentials(record.getMessage())
    except (TypeError, ValueError):  # arguments that do not fit: say what there is
        return mask_credentials(f"{record.msg} {record.args}")


def _one_line(record: logging.LogRecord) -> str:
    return "\\n".join(_message(record).splitlines())


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    # Not kept in record.exc_text as logging would: another handler must not print it unmasked.
    text = formatter.formatException(record.exc_info) if record.exc_info else ""
    return mask_credentials(text)


def _utc(created_s: float) -> str:
    millis = int(created_s * 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(millis // 1000)) + f".{millis % 1000:03}Z"


def set_up_logging(
    form: Literal["text", "json"] = "text",
    level: str = "info",
    stream: IO[str] | None = None,
) -> None:
    """Send everything that is logged to `stream` (None: standard error); calls replace each other.

    `level`: debug, info, warning or error. Warnings of the `warnings` module are logged too.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    for old in [h for h in root.handlers if getattr(h, "of_sorawatch", False)]:
        root.removeHandler(old)
    handler.of_sorawatch = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level.upper())
    logging.captureWarnings(True)
