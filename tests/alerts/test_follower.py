"""Followers: each sink goes through the outbox at its own pace, over restarts and kills."""

import json
import threading
from pathlib import Path

import pytest
from alert_makers import START_S, WAIT_S, draft, settings
from test_outbox import Disk, long_drafts

from alerts.follower import Follower
from alerts.journal import RETRY_EVERY_S, Journal
from alerts.outbox import Outbox
from alerts.writer import AlertWriter


def handed(follower: Follower, limit: int = 100) -> list[int]:
    return [json.loads(body)["seq"] for body in follower.wait(WAIT_S, limit)]


def test_what_is_not_done_comes_again(tmp_path: Path) -> None:
    """In order, page by page; again until it is done; then what comes after it."""
    with AlertWriter(settings(tmp_path)) as writer, writer.follow("mqtt") as follower:
        for number in range(5):
            writer.submit(draft(number))
        assert handed(follower, 1) == [1]
        while handed(follower) != [1, 2, 3, 4, 5]:
            pass
        assert handed(follower, 2) == [1, 2]
        follower.done(3)
        assert handed(follower, 100) == [4, 5]
        follower.done(5)
        assert follower.wait(0) == []
        assert (follower.position, follower.behind) == (5, 0)


def test_a_position_outlives_the_program(tmp_path: Path) -> None:
    """After a restart each name goes on where it was; a new one begins with what is new."""
    with AlertWriter(settings(tmp_path)) as writer:
        mqtt, hook = writer.follow("mqtt"), writer.follow("webhook")
        for number in range(6):
            writer.submit(draft(number, "new" if number % 2 else "end"))
        while handed(mqtt) != [1, 2, 3, 4, 5, 6]:
            pass
        mqtt.done(4)
        assert handed(hook, 1) == [1]
    assert mqtt.wait(None) == hook.wait(None) == []
    assert mqtt.closed
    with AlertWriter(settings(tmp_path)) as writer:
        late = writer.follow("script")
        early = writer.follow("syslog", after=0)
        mqtt, hook = writer.follow("mqtt"), writer.follow("webhook")
        writer.submit(draft(9))
        (new,) = handed(late)
        assert new == 10  # three were open, and ended by the restart
        for follower, first in ((mqtt, 5), (hook, 1), (early, 1)):
            while handed(follower) != list(range(first, new + 1)):
                pass


def test_a_position_outlives_a_kill(tmp_path: Path) -> None:
    """What was done a moment before is on disk, without the writer being closed."""
    with AlertWriter(settings(tmp_path)) as writer, writer.follow("mqtt") as follower:
        writer.submit(draft(0))
        assert handed(follower) == [1]
        follower.done(1)
        while follower.moved() is not None:  # what the writer's thread looks at
            follower.wait(0.01)
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("alerts.db", "alerts.db-wal"):
            (copy / name).write_bytes((tmp_path / name).read_bytes())
    with Outbox(copy / "alerts.db", START_S) as outbox:
        assert outbox.position("mqtt") == 1


def test_one_follower_a_name(tmp_path: Path) -> None:
    """A second one of the same name is refused until the first has let go."""
    with AlertWriter(settings(tmp_path)) as writer:
        first = writer.follow("mqtt")
        with pytest.raises(ValueError, match="mqtt follows already"):
            writer.follow("mqtt")
        writer.submit(draft(0))
        writer.submit(draft(1))
        while handed(first) != [1, 2]:
            pass
        first.done(1)
        first.close()
        assert handed(writer.follow("mqtt")) == [2]


def test_closing_wakes_who_waits(tmp_path: Path) -> None:
    """A sink that waits for ever stops at once when it is closed, or the writer is."""
    with AlertWriter(settings(tmp_path)) as writer:
        follower, other = writer.follow("mqtt"), writer.follow("webhook")
        waiting = [threading.Thread(target=f.wait) for f in (follower, other)]
        for thread in waiting:
            thread.start()
        follower.close()
        waiting[0].join(WAIT_S)
    waiting[1].join(WAIT_S)
    assert not any(thread.is_alive() for thread in waiting)
    assert writer.follow("late").wait(None) == []


def test_what_was_forgotten_is_passed_over(tmp_path: Path) -> None:
    """A sink that was away for longer than the outbox remembers gets what is left."""
    with Outbox(tmp_path / "alerts.db", START_S) as outbox:
        outbox.move({"mqtt": 2})
        outbox.append([draft(n, t) for n in range(20) for t in ("new", "end")], START_S)
    with (
        AlertWriter(settings(tmp_path, max_events=10, max_age_days=1e9)) as writer,
        writer.follow("mqtt") as follower,
    ):
        writer.submit(draft(50))
        numbers = handed(follower)
        while 41 not in numbers:
            numbers = handed(follower)
        assert numbers[0] > 2
        assert len(numbers) <= 10


def test_positions_wait_for_a_full_disk(tmp_path: Path) -> None:
    """A position is not stored before the events up to it are."""
    disk = Disk()
    outbox = Outbox(tmp_path / "alerts.db", START_S, connect=disk.connect)
    journal = Journal(outbox)
    disk.fill()
    journal.append(long_drafts(0, 20), START_S, 0.0)
    assert not journal.move({"mqtt": 40})
    disk.clear()
    journal.tend(START_S, RETRY_EVERY_S)
    assert journal.move({"mqtt": 40})
    assert journal.position("mqtt") == 40
    journal.close(START_S)


def test_an_outbox_of_an_earlier_version_learns_positions(tmp_path: Path) -> None:
    """Files made before there were followers are taken as they are."""
    path = tmp_path / "alerts.db"
    with Outbox(path, START_S) as outbox:
        outbox.append([draft(0)], START_S)
        outbox._db.execute("DROP TABLE positions")
    with Outbox(path, START_S) as outbox:
        assert outbox.position("mqtt") is None
        outbox.move({"mqtt": 1})
        assert outbox.position("mqtt") == 1
