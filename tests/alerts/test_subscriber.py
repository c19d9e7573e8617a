"""Subscribers: each event once and in order, whatever they and the program go through."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from alert_makers import START_S, WAIT_S, draft, settings, subscriber
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from alerts import wire
from alerts.course import GIVE_UP_AFTER_S, RETRY_AFTER_S, Course
from alerts.event import Event
from alerts.outbox import Outbox
from alerts.place import Place
from alerts.subscriber import AsyncSubscriber, Subscriber
from alerts.writer import AlertWriter
from sorawatch import ConfigError

ROOT = Path(__file__).parents[2]


def seqs(events: Subscriber, count: int) -> list[int]:
    return [event.seq for _ in range(count) if (event := events.next(WAIT_S)) is not None]


def test_a_position_is_remembered(tmp_path: Path) -> None:
    """Started again, it goes on after what was worked on; from its first moment nothing is lost."""
    place = tmp_path / "hall.place"
    with AlertWriter(settings(tmp_path)) as writer:
        with subscriber(writer, position=place) as events:
            assert events.wait_available(WAIT_S)
        for number in range(6):  # nobody listens
            writer.submit(draft(number))
        with subscriber(writer, position=place) as events:
            assert seqs(events, 3) == [1, 2, 3]
        with suppress(KeyError), subscriber(writer, position=place) as events:
            assert seqs(events, 1) == [4]
            raise KeyError("while it works on number 4")
        with subscriber(writer, position=str(place)) as events:
            assert seqs(events, 3) == [4, 5, 6]
    assert b'"seq": 6}' in place.read_bytes()


def test_a_position_of_something_else_is_refused(tmp_path: Path) -> None:
    """A file that is not a position, or another's, is named and left alone."""
    place = tmp_path / "notes.txt"
    for text in ("buy milk", "{}", "[1]", '{"schema": "other/1", "stream": "", "seq": 1} 00000000'):
        place.write_text(text)
        with pytest.raises(ConfigError, match=r"notes\.txt holds no position"):
            Subscriber("tcp://127.0.0.1:1", position=place).__enter__()
        assert place.read_text() == text
    place.unlink()
    with (
        Subscriber("tcp://127.0.0.1:1", position=place),
        pytest.raises(ConfigError, match=r"notes\.txt is in use by another subscriber"),
    ):
        Subscriber("tcp://127.0.0.1:1", position=place).__enter__()


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(0, 159), st.binary(min_size=1, max_size=160))
def test_a_torn_position_is_the_one_before(
    tmp_path_factory: pytest.TempPathFactory, count: int, cut: int, junk: bytes
) -> None:
    """Power lost in the middle of a write: the number before it is found, never another."""
    path = tmp_path_factory.mktemp("place") / "hall.place"
    place = Place(path)
    place.open()
    for seq in range(1, count + 1):
        place.save("0123456789abcdef", 1000 * seq)
    place.close()
    torn = bytearray(path.read_bytes())
    start = count % 2 * 160 + cut
    whole = bytes(torn)
    junk = junk[: 160 - cut]  # a write does not reach beyond its own line
    torn[start : start + len(junk)] = junk
    path.write_bytes(torn)
    place = Place(path)
    found = place.open()
    place.close()
    expected = {1000 * count} if torn == whole else {1000 * max(count - 1, 1), 1000 * count}
    assert found is not None
    assert found[1] in expected


def test_an_asyncio_subscriber(tmp_path: Path) -> None:
    """Iterates, fills gaps, and remembers, beside other tasks."""
    place = tmp_path / "hall.place"
    with Outbox(tmp_path / "alerts.db", START_S) as outbox:
        outbox.append([draft(n, t) for n in range(300) for t in ("new", "end")], START_S)

    async def main(writer: AlertWriter) -> None:
        address = writer.publish_address, writer.catch_up_address
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0)

        async with AsyncSubscriber(*address, after=0, position=place) as events:
            ticking = asyncio.create_task(tick())
            got = [event.seq async for event in first(events, 500)]
            assert got == list(range(1, 501))
            assert ticks
        async with AsyncSubscriber(*address, position=place) as events:
            assert [event.seq async for event in first(events, 100)] == list(range(501, 601))
            assert await events.next(0.01) is None
            assert await events.wait_available(WAIT_S)
            writer.submit(draft(9999))
            event = await events.next(WAIT_S)
            assert event is not None
            assert (event.seq, events.lost) == (601, 0)
        ticking.cancel()

    async def first(events: AsyncSubscriber, count: int) -> AsyncIterator[Event]:
        async for event in events:
            yield event
            count -= 1
            if not count:
                return

    with AlertWriter(settings(tmp_path, max_age_days=1e9)) as writer:
        asyncio.run(main(writer))


def test_an_asyncio_subscriber_waits_for_the_program(tmp_path: Path) -> None:
    """Cancelled while it waits, it lets go; what it waits for need not be there."""

    async def main() -> None:
        place = tmp_path / "nobody"
        async with AsyncSubscriber(f"ipc://{place}", f"ipc://{place}") as events:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(events.next(), 0.05)
            assert await events.next(0.01) is None

    asyncio.run(main())


class Program:
    """A stream that a course follows; the course's question reaches it, or not."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.stream = "0123456789abcdef"

    def tell(self) -> list[bytes]:
        number = len(self.bodies)
        made = draft(number // 2, ("new", "end")[number % 2])
        self.bodies.append(wire.encode(Event.of(made, self.stream, number + 1)))
        return [b"events/gate", self.bodies[-1]]

    def available(self) -> list[bytes]:
        facts = {"available": True, "stream": self.stream, "seq": len(self.bodies), "time": START_S}
        return [b"available", wire.Available.model_validate(facts).encode()]

    def page(self, question: bytes) -> bytes:
        asked = wire.CatchUpRequest.parse(question)
        found = self.bodies[asked.after : asked.after + min(asked.limit, 7)]
        through = asked.after + len(found)
        last = len(self.bodies)
        return wire.encode_page(self.stream, asked.after, through, last, 0, found)


_STEPS = ("tell", "lose", "repeat", "available", "ask", "fail")


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(_STEPS), max_size=80))
def test_each_once_and_in_order(steps: list[str]) -> None:
    """Messages lost, repeated, questions not answered: what is given out is 1, 2, 3, ..."""
    program, course = Program(), Course(after=0)
    course.hear(program.available())
    now_s, sent = 0.0, []
    for step in steps:
        now_s += 0.5
        if step in ("tell", "lose"):
            message = program.tell()
            if step == "tell":
                sent.append(message)
                course.hear(message)
        elif step == "repeat" and sent:
            course.hear(sent[len(steps) % len(sent)])
        elif step == "available":
            course.hear(program.available())
        elif (question := course.question(now_s)) is not None:
            if step == "ask":
                course.answer(program.page(question), now_s)
            else:
                course.no_answer(now_s)
    course.hear(program.available())
    while course.retry_at_s is not None:
        now_s += RETRY_AFTER_S
        question = course.question(now_s)
        assert question is not None
        course.answer(program.page(question), now_s)
    assert [event.seq for event in course.ready] == list(range(1, len(program.bodies) + 1))
    assert course.lost == 0


def test_a_gap_is_given_up_only_beside_a_living_program() -> None:
    """Nothing after a gap comes out while there is hope; then it does, and the gap is counted."""
    program, course = Program(), Course(after=0)
    course.hear(program.tell())
    program.tell()  # nobody hears number 2
    course.hear(program.tell())
    now_s = 0.0
    while now_s < 10 * GIVE_UP_AFTER_S:  # silence: the program is down, and may come back
        assert course.question(now_s)
        course.no_answer(now_s)
        now_s += RETRY_AFTER_S
    assert [event.seq for event in course.ready] == [1]
    course.hear(program.available())  # it lives, and still nobody answers
    assert course.question(now_s)
    course.no_answer(now_s)
    assert [event.seq for event in course.ready] == [1, 3]
    assert (course.lost, course.retry_at_s) == (1, None)


def test_a_beginning_comes_once() -> None:
    """The same event told again under another number, or in another outbox, is a repetition."""
    course = Course(after=0)
    for stream, seq, type_ in (("a", 1, "new"), ("a", 2, "update"), ("a", 3, "update"),
                               ("a", 4, "end"), ("b", 1, "new"), ("b", 2, "end")):  # fmt: skip
        body = wire.encode(Event.of(draft(0, type_), stream, seq))
        course.hear([b"events/gate", body])
    assert [event.type for event in course.ready] == ["new", "update", "update", "end"]


@hypothesis_settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=80), min_size=1, max_size=4), max_size=10))
def test_junk_from_a_publisher_is_passed_over(messages: list[list[bytes]]) -> None:
    """Whatever the bytes: no error, no event, nothing remembered."""
    course = Course(after=0)
    for parts in messages:
        course.hear(parts)
        course.answer(parts[-1], 0.0)
    assert not course.ready
