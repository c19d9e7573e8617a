"""The control socket: what people, and other programs of theirs, ask of the running program.

ZeroMQ ROUTER on an ipc:// address that its owner alone can open; docs/feedback.md is the protocol.
A thread of its own serves it, so that nothing that is asked here ever holds up a camera.
"""

import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Final, Literal, Self

import zmq
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from alerts.address import bind
from alerts.eventlog import MOST, EventLog, Filter
from alerts.marks import MarkBook
from sorawatch import SorawatchError, __version__
from streamer.feedback import Feedback, Program, Taught

log = logging.getLogger(__name__)

SCHEMA: Final = "sorawatch.control/1"
MAX_REQUEST_BYTES: Final = 64 * 1024
MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
MOST_A_SECOND: Final = 200
"""Requests answered within a second, of all who ask; more are refused."""

_HIGH_WATER: Final = 100
_TIDY_EVERY_S: Final = 3600.0
_TICK_MS: Final = 1000
_LINGER_MS: Final = 200

Name = Annotated[str, Field(min_length=1, max_length=100)]
Text = Annotated[str, Field(max_length=500)]
Person = Annotated[str, Field(max_length=200)]


class ControlError(SorawatchError):
    """A request cannot be understood, or too many come."""


class _Request(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True
    )
    schema_: Literal["sorawatch.control/1"] = Field(default=SCHEMA, alias="schema")


class Hello(_Request):
    """Who is there?"""

    do: Literal["hello"] = "hello"


class ListEvents(_Request):
    """Events, newest first; `before`: those after a page, by its `next`."""

    do: Literal["events"] = "events"
    cameras: Annotated[list[Name], Field(max_length=1000)] | None = None
    kind: Literal["anomaly", "health"] | None = None
    since: float | None = None
    until: float | None = None
    acknowledged: bool | None = None
    mark: Literal["normal", "real", "none"] | None = None
    before: int | None = Field(default=None, ge=0, lt=2**63)
    limit: int = Field(default=100, ge=1, le=MOST)

    def filter(self) -> Filter:
        """As the log takes it."""
        return Filter(
            cameras=None if self.cameras is None else tuple(self.cameras),
            kind=self.kind,
            since=self.since,
            until=self.until,
            acknowledged=self.acknowledged,
            mark=self.mark,
            before=self.before,
        )


class ShowEvent(_Request):
    """One event with all its messages. `id`: whole, its last six digits, or `last`."""

    do: Literal["event"] = "event"
    id: Name


class Acknowledge(_Request):
    """Events were seen; `undo`: they were not."""

    do: Literal["ack"] = "ack"
    ids: Annotated[list[Name], Field(min_length=1, max_length=100)]
    by: Person | None = None
    undo: bool = False


class MarkEvent(_Request):
    """An event was worth its alert, or shows something normal."""

    do: Literal["mark"] = "mark"
    id: Name
    mark: Literal["normal", "real"] = Field(alias="as")
    by: Person | None = None
    note: Text = ""


class UnmarkEvent(_Request):
    """Neither."""

    do: Literal["unmark"] = "unmark"
    id: Name


Request = Annotated[
    Hello | ListEvents | ShowEvent | Acknowledge | MarkEvent | UnmarkEvent,
    Field(discriminator="do"),
]
_REQUEST: Final[TypeAdapter[Any]] = TypeAdapter(Request)


def parse_request(body: bytes) -> Any:
    """A request, checked; ControlError says in one line what is wrong, whatever the bytes."""
    if len(body) > MAX_REQUEST_BYTES:
        raise ControlError(f"a request has at most {MAX_REQUEST_BYTES} bytes")
    try:
        return _REQUEST.validate_json(body)
    except ValidationError as exc:
        error = exc.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in error["loc"])
        raise ControlError(f"{place}: {error['msg']}" if place else str(error["msg"])) from exc
    except (ValueError, RecursionError) as exc:
        raise ControlError(f"not a request: {exc}") from exc


def answer_from(events: EventLog, request: object) -> dict[str, Any] | None:
    """The answer to what the outbox alone can answer; None for everything else."""
    if isinstance(request, ListEvents):
        found = events.newest(request.filter(), request.limit)
        following = found[-1].event.seq if len(found) == request.limit else None
        return {"events": [one.document() for one in found], "next": following}
    if isinstance(request, ShowEvent):
        event_id = events.find(request.id)
        messages = [one.model_dump(mode="json", by_alias=True) for one in events.messages(event_id)]
        return {"event": events.show(event_id).document(), "messages": messages}
    return None


class ControlServer:
    """Serves the socket. A context manager: entering binds and starts its thread."""

    def __init__(
        self,
        address: str,
        outbox: Path,
        program: Program,
        *,
        stream: str,
        most_a_second: int = MOST_A_SECOND,
    ) -> None:
        """`address`: ipc://PATH. `program`: is asked by the server's thread. `stream`: the outbox's
        id. `most_a_second`: requests that are answered."""
        self._address = address
        self._outbox = outbox
        self._program = program
        self._stream = stream
        self._most = most_a_second
        self._context = zmq.Context[zmq.Socket[bytes]]()
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="control")

    def __enter__(self) -> Self:
        """Raise ResourceError (address in use) or OutboxError."""
        self._stop = self._context.socket(zmq.PAIR)
        self._stop.bind("inproc://stop")
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._end()
            raise self._error
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Answer what is being answered, and stop."""
        self._stop.send(b"")
        self._end()

    def _end(self) -> None:
        self._thread.join()
        self._stop.close(0)
        self._context.term()

    def _run(self) -> None:
        try:
            with ExitStack() as stack:
                stop = self._context.socket(zmq.PAIR)
                stack.callback(stop.close, 0)
                stop.connect("inproc://stop")
                path = Path(self._address.removeprefix("ipc://"))
                router = self._context.socket(zmq.ROUTER)
                stack.callback(router.close, _LINGER_MS)
                router.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
                router.setsockopt(zmq.SNDHWM, _HIGH_WATER)
                router.setsockopt(zmq.RCVHWM, _HIGH_WATER)
                bind(router, self._address, "control.listen")
                stack.callback(path.unlink, missing_ok=True)  # libzmq leaves it
                book = stack.enter_context(MarkBook(self._outbox))
                events = stack.enter_context(EventLog(self._outbox))
                desk = _Desk(self._program, book, events, self._stream, self._most)
                self._ready.set()
                _serve(router, stop, desk)
        except BaseException as exc:
            self._error = exc
            if self._ready.is_set():
                log.exception("nothing can be asked of the program any more")
        finally:
            self._ready.set()


def _serve(router: "zmq.Socket[bytes]", stop: "zmq.Socket[bytes]", desk: "_Desk") -> None:
    poller = zmq.Poller()
    poller.register(router, zmq.POLLIN)
    poller.register(stop, zmq.POLLIN)
    while True:
        ready = dict(poller.poll(_TICK_MS))
        if stop in ready:
            return
        if router in ready:
            sender, *parts = router.recv_multipart()
            envelope = parts[:1] if len(parts) == 2 and parts[0] == b"" else []  # a REQ puts one
            body = parts[len(envelope)] if len(parts) == len(envelope) + 1 else b""
            answer = desk.answer(body)
            try:
                router.send_multipart([sender, *envelope, answer], flags=zmq.NOBLOCK)
            except zmq.ZMQError as exc:  # whoever asked does not read
                log.debug("an answer was not taken: %s", exc)
        desk.tend()


class _Desk:
    """What the server's thread owns besides its sockets."""

    def __init__(
        self,
        program: Program,
        book: MarkBook,
        events: EventLog,
        stream: str,
        most_a_second: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._book = book
        self._events = events
        self._feedback = Feedback(program, book, events)
        self._stream = stream
        self._clock = clock
        self._second_s = self._tidied_s = clock()
        self._asked = 0
        self._most = most_a_second

    def answer(self, body: bytes) -> bytes:
        """The answer to one request, whatever it is; what goes wrong is in the answer."""
        try:
            self._count()
            answer = json.dumps({"schema": SCHEMA, **self._do(parse_request(body))}).encode()
            if len(answer) > MAX_ANSWER_BYTES:
                raise ControlError("the answer is too long: ask for fewer events")
        except SorawatchError as exc:
            return _refusal(str(exc))
        except Exception as exc:
            log.exception("a control request failed")
            return _refusal(f"{type(exc).__name__}: the log says more")
        return answer

    def tend(self) -> None:
        """Now and then: forget what was said of events that are gone."""
        if self._clock() - self._tidied_s < _TIDY_EVERY_S:
            return
        self._tidied_s = self._clock()
        try:
            self._book.tidy()
        except SorawatchError as exc:
            log.warning("%s", exc)

    def _count(self) -> None:
        now_s = self._clock()
        if now_s - self._second_s >= 1.0:
            self._second_s, self._asked = now_s, 0
        self._asked += 1
        if self._asked > self._most:
            raise ControlError(f"more than {self._most} requests a second: ask more slowly")

    def _do(self, request: object) -> dict[str, Any]:
        feedback = self._feedback
        if isinstance(request, Hello):
            return {"version": __version__, "stream": self._stream}
        if isinstance(request, Acknowledge):
            ids = feedback.acknowledge(tuple(request.ids), request.by, undo=request.undo)
            return {"ids": ids}
        if isinstance(request, MarkEvent):
            mark = feedback.mark_real if request.mark == "real" else feedback.mark_normal
            return _taught(mark(request.id, request.by, request.note))
        if isinstance(request, UnmarkEvent):
            return _taught(feedback.unmark(request.id))
        answer = answer_from(self._events, request)
        assert answer is not None  # noqa: S101 - those were all that there are
        return answer


def _taught(done: Taught) -> dict[str, Any]:
    return {
        "id": done.id,
        "marks": done.marks.model_dump(),
        "tokens": done.tokens,
        "cameras": list(done.cameras),
    }


def _refusal(reason: str) -> bytes:
    return json.dumps({"schema": SCHEMA, "error": reason[:1000]}).encode()


def ask_control(address: str, request: BaseModel, timeout_s: float = 10.0) -> dict[str, Any]:
    """The answer of the program that listens at `address`. Raises SorawatchError: nobody answers,
    or the program refuses."""
    context = zmq.Context[zmq.Socket[bytes]]()
    try:
        with context.socket(zmq.REQ) as sock:
            sock.setsockopt(zmq.LINGER, 0)
            sock.setsockopt(zmq.MAXMSGSIZE, MAX_ANSWER_BYTES)
            sock.connect(address)
            sock.send(request.model_dump_json(by_alias=True, exclude_none=True).encode())
            if not sock.poll(round(timeout_s * 1000)):
                raise SorawatchError(f"{address} does not answer; is `sorawatch run` running?")
            answer = json.loads(sock.recv())
    except (zmq.ZMQError, ValueError) as exc:
        raise SorawatchError(f"{address}: {exc}") from exc
    finally:
        context.term()
    if not isinstance(answer, dict) or answer.get("schema") != SCHEMA:
        raise SorawatchError(f"{address}: what answers is not Sorawatch, or another version of it")
    if "error" in answer:
        raise SorawatchError(str(answer["error"]))
    return answer
