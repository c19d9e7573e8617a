"""The wire format: what DESIGN promises to those who read it."""

import json
import re
from contextlib import suppress
from datetime import UTC
from pathlib import Path

import jsonschema
import pytest
from alert_makers import START_S, draft
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import wire
from alerts.event import Event, EventDraft, event_schema
from alerts.health import HealthLog
from alerts.text import format_event

DOCS = Path(__file__).parents[2] / "docs" / "wire.md"


def event(seq: int = 42, **facts: object) -> Event:
    return Event.of(draft(**facts), "5f0c", seq)  # type: ignore[arg-type]


def test_events_fit_the_published_schema() -> None:
    """Anomaly and health, new and end: every body is valid by `event_schema`."""
    schema = event_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    (online,) = HealthLog("gate").camera_state("online", None, START_S)
    messages = [
        event(region={"x": 0.41, "y": 0.22, "width": 0.08, "height": 0.17}),
        event(type_="end"),
        Event.of(online, "5f0c", 1),
    ]
    for message in messages:
        body = json.loads(wire.encode(message))
        jsonschema.validate(body, schema)
        assert wire.decode(wire.encode(message)) == message


def test_the_documented_examples_are_true() -> None:
    """Each JSON example of docs/wire.md is what the program sends, or takes."""
    examples = [
        json.loads(text) for text in re.findall(r"```json\n(.*?)```", DOCS.read_text(), re.S)
    ]
    by_schema = {example.get("schema", "request"): example for example in examples}
    jsonschema.validate(by_schema["sorawatch.event/1"], event_schema())
    assert set(by_schema["sorawatch.event/1"]) == set(json.loads(wire.encode(event())))
    page = wire.decode_page(json.dumps(by_schema["sorawatch.page/1"]).encode())
    assert page.events[0].seq == 42
    wire.Available.parse(json.dumps(by_schema["sorawatch.available/1"]).encode())
    wire.CatchUpRequest.parse(json.dumps(by_schema["request"]).encode())


def test_readers_pass_over_what_they_do_not_know() -> None:
    """A later version may add fields and kinds: this one still reads its events."""
    body = json.loads(wire.encode(event(region={"x": 0, "y": 0, "width": 1, "height": 1})))
    body |= {"tracks": [1, 2], "kind": "behaviour"}
    body["explanation"]["words"] = ["run"]
    body["region"]["depth"] = 3
    jsonschema.validate(body, event_schema())
    assert wire.decode(json.dumps(body).encode()).kind == "behaviour"


def test_makers_are_held_to_the_format() -> None:
    """What would be wrong on the wire cannot be made."""
    for wrong in (
        {"tracks": 1},
        {"kind": "behaviour"},
        {"camera": "a/b"},
        {"camera": ""},
        {"score": float("nan")},
        {"region": {"x": 2, "y": 0, "width": 1, "height": 1}},
    ):
        with pytest.raises(ValueError, match="validation error"):
            EventDraft.model_validate(draft().model_dump() | wrong)


def test_topics() -> None:
    """Anomalies under events/, health under status/, by camera."""
    (online,) = HealthLog("gate").camera_state("online", None, START_S)
    assert wire.topic_of(event()) == b"events/gate"
    assert wire.topic_of(Event.of(online, "5f0c", 1)) == b"status/gate"


junk = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["after", "limit", "cameras", "events", "schema", "seq", "region"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=300, deadline=None)
@given(junk)
def test_junk_is_refused(body: bytes) -> None:
    """Whatever comes in, the readers return a whole value or raise WireError."""
    for read in (
        wire.decode,
        wire.decode_page,
        wire.Available.parse,
        wire.CatchUpRequest.parse,
    ):
        with suppress(wire.WireError):
            read(body)


def test_deep_and_huge_junk_is_refused() -> None:
    """Nesting or digits without end are refused, not followed."""
    for body in (b"[" * 60_000, b'{"after": ' + b"9" * 60_000 + b"}", b'{"region":' * 9_000):
        for read in (wire.decode, wire.decode_page, wire.CatchUpRequest.parse):
            with pytest.raises(wire.WireError):
                read(body)


def test_events_in_words() -> None:
    """One line says when, where, how bad, how rare and why."""
    region = {"x": 0.05, "y": 0.4, "width": 0.1, "height": 0.2}
    assert format_event(event(region=region), UTC) == (
        "09:00:00 gate  ALERT new  7.3 (threshold 5.1, about 1 in 25 days)"
        "  at left, middle: faster than anything seen here"
    )
    assert format_event(event(type_="end", expected_per_day=None), UTC) == (
        "09:00:00 gate  ALERT end  after 1.0 s  7.3 (threshold 5.1): faster than anything seen here"
    )
    (offline,) = HealthLog("gate").camera_state("offline", "auth", START_S)
    assert format_event(Event.of(offline, "5f0c", 1), UTC) == (
        "09:00:00 gate  OFFLINE new: the camera refuses user name or password"
    )
