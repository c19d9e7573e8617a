"""The thread of a sink: positions, what was forgotten, and sinks that are broken."""

import itertools
import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from alert_makers import START_S, WAIT_S, draft, settings
from sink_rig import QUICK, Server, report, running, sink, until

from alerts.outbox import Outbox
from alerts.sinks.backoff import Backoff
from alerts.sinks.choice import Choice
from alerts.sinks.halt import Halt
from alerts.sinks.runner import SinkRunner
from alerts.sinks.sink import Item, NotNow, OneByOne, Refused
from alerts.sinks.webhook import WebhookSettings
from alerts.writer import AlertWriter


class Scripted(OneByOne):
    """A sink that does as it is told: None takes the item, an error is raised."""

    def __init__(self, answers: Sequence[Exception | None]) -> None:
        self.answers = iter(answers)
        self.got: list[int] = []
        self.closed = threading.Event()

    def send(self, item: Item) -> None:
        answer = next(self.answers, None)
        if answer is not None:
            raise answer
        self.got.append(item.event.seq)

    def close(self) -> None:
        self.closed.set()


def runner(writer: AlertWriter, one: Scripted, halt: Halt, **options: object) -> SinkRunner:
    made = SinkRunner("x", "script", one, writer.follow("sink:x"), halt, backoff=QUICK, **options)  # type: ignore[arg-type]
    made.start()
    return made


def test_a_bug_in_a_sink_is_its_own(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An error that nobody foresaw is logged with its traceback, and the message tried again."""
    halt = Halt()
    one = Scripted([KeyError("oops"), None])
    with AlertWriter(settings(tmp_path)) as writer:
        made = runner(writer, one, halt)
        writer.submit(draft(0))
        until(lambda: one.got == [1])
        made.finish()
        assert made.join(WAIT_S)
    assert one.closed.is_set()
    (said,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "KeyError" in said.message
    assert said.exc_info is not None
    halt.close()


@pytest.mark.parametrize("page", [1, 2, 3, 7])
def test_the_position_is_never_ahead_of_what_was_delivered(tmp_path: Path, page: int) -> None:
    """However wanted and unwanted messages fall into pages, and whatever fails between them."""
    answers = itertools.cycle([None, NotNow("later"), Refused("never"), None, NotNow("later")])
    halt = Halt()
    one = Scripted([next(answers) for _ in range(100)])
    wanted = Choice(cameras=frozenset({"gate"}))
    handed: list[int] = []
    with AlertWriter(settings(tmp_path)) as writer:
        follower = writer.follow("sink:x")
        wait: Callable[..., list[bytes]] = follower.wait
        done = follower.done

        def checked(seq: int) -> None:
            assert all(number in seen for number in range(1, seq + 1) if number in asked)
            handed.append(seq)
            done(seq)

        asked = {number for number in range(1, 31) if number % 3 != 2}
        seen: list[int] = []
        send = one.send

        def noted(item: Item) -> None:
            try:
                send(item)
            except Refused:
                seen.append(item.event.seq)
                raise
            seen.append(item.event.seq)

        one.send = noted  # type: ignore[method-assign]
        follower.wait = lambda timeout_s=None: wait(timeout_s, page)  # type: ignore[method-assign,assignment]
        follower.done = checked  # type: ignore[method-assign]
        made = SinkRunner("x", "script", one, follower, halt, choice=wanted, backoff=QUICK)
        made.start()
        for number in range(1, 31):
            writer.submit(draft(number, camera="yard" if number % 3 == 2 else "gate"))
        until(lambda: made.report().position == 30, made.report)
        made.finish()
        assert made.join(WAIT_S)
    assert seen == sorted(asked), "each once, in order"
    assert handed == sorted(handed)
    assert made.report().delivered + made.report().given_up == len(asked)
    halt.close()


def test_what_the_outbox_forgot_is_counted(tmp_path: Path) -> None:
    """A sink that was away for longer than the outbox remembers says how much it missed."""
    with Outbox(settings(tmp_path).outbox, START_S) as outbox:
        outbox.move({"sink:hook": 2})
        outbox.append([draft(n, t) for n in range(20) for t in ("new", "end")], START_S)
    with (
        Server() as server,
        running(
            tmp_path,
            sink("hook", WebhookSettings(server.url)),
            max_events=10,
            max_age_days=1e9,
        ) as (writer, sinks),
    ):
        writer.submit(draft(50))
        until(lambda: report(sinks, "hook").position == 41, sinks.reports)
        found = report(sinks, "hook")
        assert found.missed + found.delivered == 39
        assert found.missed >= 25


def test_waits_grow_up_to_a_limit_and_are_never_the_same() -> None:
    """Doubling, up to the longest, less a share by chance."""
    longest = Backoff(0.5, 60.0, lambda: 0.0)
    assert [longest.wait_s(n) for n in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]
    assert longest.wait_s(50) == longest.wait_s(10**9) == 60.0
    assert Backoff(0.5, 60.0, lambda: 1.0).wait_s(3) == 1.0


def test_a_patient_other_side_is_waited_for(tmp_path: Path) -> None:
    """What the other side asks for is kept to, though not for ever, and a stop does not wait."""
    halt = Halt()
    one = Scripted([NotNow("busy", after_s=1e9)])
    with AlertWriter(settings(tmp_path)) as writer:
        made = runner(writer, one, halt)
        writer.submit(draft(0))
        until(lambda: made.report().retries == 1)
        assert made.report().state == "failing"
        assert not made.join(0.2)
        made.finish()
        assert made.join(WAIT_S)
    assert made.report().state == "stopped"
    halt.close()


def test_a_writer_that_ends_first_ends_it(tmp_path: Path) -> None:
    """No thread is left that follows an outbox which is closed."""
    halt = Halt()
    with AlertWriter(settings(tmp_path)) as writer:
        made = runner(writer, Scripted([]), halt)
    assert made.join(WAIT_S)
    halt.close()
