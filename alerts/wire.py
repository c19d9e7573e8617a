"""What travels over ZeroMQ: topics, bodies, requests and pages. docs/wire.md tells it to people.

Everything that comes in is checked here: what is not understood raises `WireError`, whatever
the bytes.
"""

import json
from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from alerts.event import Event, HeldBack
from sorawatch import SorawatchError

AVAILABLE = b"available"
MAX_REQUEST_BYTES = 64 * 1024
MAX_PAGE_MESSAGES = 1000
DEFAULT_PAGE_MESSAGES = 200
# A page stops growing here, so that one answer never holds up the alerts behind it.
MAX_PAGE_BYTES = 1024 * 1024


class WireError(SorawatchError):
    """A message is not what docs/wire.md says."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, allow_inf_nan=False)

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read `body`; unknown fields are passed over. Raises WireError."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as exc:
            raise WireError(f"not a {cls.__name__}: {_first(exc)}") from exc

    def encode(self) -> bytes:
        """The JSON body."""
        return self.model_dump_json(by_alias=True).encode()


class Available(_Message):
    """`available`: whether alerts come, and the newest number, to see what was missed."""

    schema_: Literal["sorawatch.available/1"] = Field(
        default="sorawatch.available/1", alias="schema"
    )
    available: bool
    stream: str
    seq: int = Field(ge=0)
    time: float


class CatchUpRequest(_Message):
    """What a subscriber asks the catch-up socket: everything after `after`, for these cameras."""

    after: int = Field(ge=0, lt=2**63)
    cameras: tuple[str, ...] | None = Field(default=None, max_length=1000)
    limit: int = Field(default=DEFAULT_PAGE_MESSAGES, ge=1)

    @field_validator("limit")
    @classmethod
    def _at_most(cls, limit: int) -> int:
        return min(limit, MAX_PAGE_MESSAGES)


class Page(BaseModel):
    """The answer: `events` in order, complete up to number `through` (for those cameras).

    There is more when `through` < `last`. Messages numbered `forgotten` or lower may be missing:
    the outbox keeps only so much.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    stream: str
    after: int
    through: int
    last: int
    forgotten: int
    events: tuple[Event, ...]


def topic_of(event: Event) -> bytes:
    """`events/<camera>`, or `status/<camera>` for a health event."""
    return f"{'status' if event.kind == 'health' else 'events'}/{event.camera}".encode()


def encode(event: Event) -> bytes:
    """The JSON body of an event."""
    return event.model_dump_json(by_alias=True).encode()


def decode(body: bytes) -> Event:
    """Read an event; fields that later versions add are passed over. Raises WireError."""
    try:
        return Event.model_validate(_known(json.loads(body)))
    except ValidationError as exc:
        raise WireError(f"not an event: {_first(exc)}") from exc
    except (ValueError, RecursionError) as exc:
        raise WireError(f"not an event: {exc}") from exc


def encode_page(
    stream: str, after: int, through: int, last: int, forgotten: int, bodies: Sequence[bytes]
) -> bytes:
    """The answer to a catch-up request; `bodies` are events as `encode` made them."""
    head = {
        "schema": "sorawatch.page/1",
        "stream": stream,
        "after": after,
        "through": through,
        "last": last,
        "forgotten": forgotten,
    }
    return json.dumps(head).encode()[:-1] + b', "events": [' + b",\n".join(bodies) + b"]}"


def encode_refusal(reason: str) -> bytes:
    """The answer to a request that cannot be understood."""
    return json.dumps({"schema": "sorawatch.page/1", "error": reason[:500]}).encode()


def decode_page(body: bytes) -> Page:
    """Read a page. Raises WireError, also when it is a refusal."""
    try:
        page = json.loads(body)
        if not isinstance(page, dict):
            raise WireError("not a page: no object")
        if "error" in page:
            raise WireError(f"the catch-up request was refused: {page['error']}")
        page["events"] = [_known(event) for event in page.get("events", ())]
        return Page.model_validate(page)
    except ValidationError as exc:
        raise WireError(f"not a page: {_first(exc)}") from exc
    except (ValueError, TypeError, RecursionError) as exc:
        raise WireError(f"not a page: {exc}") from exc


def _known(event: Any) -> Any:
    """`event` without the fields that this version does not know."""
    if not isinstance(event, dict):
        return event
    known = {key: value for key, value in event.items() if key in _FIELDS}
    for name, fields in _NESTED_FIELDS.items():
        if isinstance(known.get(name), dict):
            known[name] = {key: value for key, value in known[name].items() if key in fields}
    return known


def _first(exc: ValidationError) -> str:
    """The first thing that is wrong, on one line, without the value: it may be long."""
    error = exc.errors(include_input=False, include_url=False, include_context=False)[0]
    place = ".".join(str(part) for part in error["loc"])
    return f"{place}: {error['msg']}" if place else str(error["msg"])


_FIELDS = frozenset(field.alias or name for name, field in Event.model_fields.items())
_NESTED_FIELDS = {
    "region": frozenset({"x", "y", "width", "height"}),
    "explanation": frozenset({"text", "parts"}),
    "held_back": frozenset(HeldBack.model_fields),
}
