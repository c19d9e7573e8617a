"""Message templates: the operator's words, and no code."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sink_rig import item

from alerts.sinks.template import MessageTemplate, fields


def test_fields_are_filled_in() -> None:
    """Times in UTC, figures short, what is not there empty."""
    event = item(
        type="end",
        end_time=1763802007.5,
        expected_per_day=0.04,
        region={"x": 0.1, "y": 0.4, "width": 0.1, "height": 0.1},
    ).event
    template = MessageTemplate("$camera|$time|$lasted|$score|$expected|$place|$clip|$$|${type}")
    assert template.render(event) == (
        "gate|2025-11-22T09:00:00.720Z|7.4 s|7.3|about 1 in 25 days|left, middle||$|end"
    )


@pytest.mark.parametrize(
    "text",
    ["$nobody", "${camera.__class__}", "$camera[0] ${x!r}", "100 $", "${", "$" + "{camera", "$0"],
)
def test_what_is_no_field_is_refused_at_the_start(text: str) -> None:
    """A mistake is told when the configuration is read, not when somebody breaks in."""
    with pytest.raises(ValueError, match=r"is no field|write \$name"):
        MessageTemplate(text)


def test_there_is_no_way_to_code() -> None:
    """Attributes, indices and formats stay text."""
    text = "$camera.__class__ $camera[0] {camera.__class__} %(camera)s $camera!r"
    assert MessageTemplate(text).render(item().event) == (
        "gate.__class__ gate[0] {camera.__class__} %(camera)s gate!r"
    )


@given(st.text(max_size=50))
def test_json_stays_json(text: str) -> None:
    """Whatever an event holds stays inside the quotes it was put into."""
    template = MessageTemplate('{"a": "$text", "b": ["$reason"]}', as_json=True)
    event = item(explanation={"text": text}, reason=text).event
    assert json.loads(template.render(event)) == {"a": text, "b": [text]}


def test_json_that_would_be_none_is_refused() -> None:
    """A field outside quotes, or a comma too many."""
    for text in ('{"a": $text}', '{"a": "$text",}', "$text"):
        with pytest.raises(ValueError, match="no JSON"):
            MessageTemplate(text, as_json=True)


def test_what_is_put_in_is_not_looked_at_again() -> None:
    """A `$` in an event is a `$`."""
    event = item(explanation={"text": "$camera ${id} $$"}).event
    assert MessageTemplate("$text").render(event) == "$camera ${id} $$"


def test_every_field_is_text() -> None:
    """Also of an event that has nothing, at a time that no calendar knows."""
    bare = item(time=None, start_time=1e300, score=None, threshold=None, kind="other").event
    for event in (bare, item().event):
        assert all(isinstance(value, str) for value in fields(event).values())
    assert fields(bare)["line"] == "gate: faster than anything seen here"
