"""Messages in the operator's words: `$camera: $text`. Names alone, no code in them.

`string.Template` replaces names by texts and can do nothing else: no attributes, no indices, no
formats. What is put in is not looked at again, so that a `$` in an event stays a `$`.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from string import Template
from typing import Final

from alerts.event import Event, Explanation
from alerts.text import format_duration, format_event, format_place, format_rate

MAX_LENGTH: Final = 16_384
"""Characters of a template."""

_SAMPLE = Event(
    stream="0" * 16,
    seq=1,
    type="new",
    id="1763802000.123456-a1b2c3",
    camera="gate",
    kind="anomaly",
    severity="alert",
    start_time=1763802000.123456,
    explanation=Explanation(text='faster than "anything" seen here'),
)


class MessageTemplate:
    """A text with `$name` or `${name}` in it; `$$` is a dollar sign."""

    def __init__(self, text: str, *, as_json: bool = False) -> None:
        """Raise ValueError that says what is wrong.

        `as_json`: the text is JSON, and what is put in belongs between quotes in it.
        """
        if len(text) > MAX_LENGTH:
            raise ValueError(f"a template has at most {MAX_LENGTH} characters")
        self.text = text
        self._as_json = as_json
        self._template = Template(text)
        if not self._template.is_valid():
            raise ValueError("write $name or ${name}, and $$ for a plain $")
        known = fields(_SAMPLE)
        unknown = [name for name in self._template.get_identifiers() if name not in known]
        if unknown:
            raise ValueError(f"${unknown[0]} is no field; there are {', '.join(sorted(known))}")
        if as_json:
            try:
                json.loads(self.render(_SAMPLE))
            except ValueError as exc:
                raise ValueError(f"filled in, this is no JSON: {exc}") from exc

    def render(self, event: Event) -> str:
        """The text for one event."""
        values = fields(event)
        if self._as_json:
            values = {name: json.dumps(value)[1:-1] for name, value in values.items()}
        return self._template.substitute(values)


def fields(event: Event) -> Mapping[str, str]:
    """What a template may name; "" for what the event does not have."""
    lasted = None if event.end_time is None else event.end_time - event.start_time
    expected = event.expected_per_day
    return {
        "id": event.id,
        "seq": str(event.seq),
        "type": event.type,
        "camera": event.camera,
        "kind": event.kind,
        "severity": event.severity,
        "state": event.state or "",
        "reason": event.reason or "",
        "text": event.explanation.text,
        "time": _moment(event.start_time if event.time is None else event.time),
        "start_time": _moment(event.start_time),
        "end_time": _moment(event.end_time),
        "lasted": "" if lasted is None else format_duration(lasted),
        "score": "" if event.score is None else f"{event.score:.1f}",
        "threshold": "" if event.threshold is None else f"{event.threshold:.1f}",
        "expected": "" if expected is None else format_rate(expected),
        "place": "" if event.region is None else format_place(event.region),
        "snapshot": event.snapshot or "",
        "clip": event.clip or "",
        "line": _line(event),
    }


def _line(event: Event) -> str:
    """As `sorawatch listen` prints it."""
    try:
        return format_event(event)
    except (OverflowError, ValueError, OSError):  # a time that no calendar has
        return f"{event.camera}: {event.explanation.text}"


def _moment(utc_s: float | None) -> str:
    """`2025-11-22T09:00:00.123Z`; times that no calendar has stay numbers."""
    if utc_s is None:
        return ""
    try:
        text = datetime.fromtimestamp(utc_s, UTC).isoformat(timespec="milliseconds")
    except (OverflowError, ValueError, OSError):
        return f"{utc_s:.3f}"
    return text.replace("+00:00", "Z")
