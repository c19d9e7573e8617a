"""What people say of events stays as long as the events, beside a program that writes."""

from pathlib import Path

import pytest
from alert_makers import START_S, draft

from alerts.eventlog import EventLog, Filter
from alerts.marks import MarkBook
from alerts.outbox import Outbox
from sorawatch import OutboxError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "alerts.db"


def test_marks_outlast_the_program_and_go_with_their_events(path: Path) -> None:
    """Marks survive a restart; when the outbox forgets an event, what was said of it goes too."""
    drafts = [draft(n, type_) for n in range(5) for type_ in ("new", "end")]
    ids = [one.id for one in drafts[::2]]
    with Outbox(path, START_S) as outbox, MarkBook(path) as book:
        outbox.append(drafts, START_S)
        book.acknowledge(ids[:2], START_S + 9, "me")
        book.acknowledge(ids[:1], START_S + 99, "you")  # it was seen before
        book.mark(ids[1], "normal", START_S + 10, by="me", note="the post", lesson="0a1b2c3d")
        book.mark(ids[4], "real", START_S + 11)
    with Outbox(path, START_S), MarkBook(path) as book, EventLog(path) as log:
        assert book.of(ids[0]).acknowledged_by == "me"
        assert book.of(ids[1]).lesson == "0a1b2c3d"
        book.acknowledge(ids[1:2], None, "me")
        book.mark(ids[4], None, START_S)
        assert log.show(ids[1]).marks.model_dump(exclude_none=True) == {
            "mark": "normal", "marked_utc": START_S + 10, "marked_by": "me", "note": "the post",
            "lesson": "0a1b2c3d",
        }  # fmt: skip
        assert log.show(ids[4]).marks.mark is None
    with Outbox(path, START_S + 40 * 86_400, max_age_s=86_400), MarkBook(path) as book:
        assert book.of(ids[0]).acknowledged_utc is None
        assert book.of(ids[1]).mark is None


def test_events_are_found_by_what_they_are(path: Path) -> None:
    """Filters by camera, time, kind and what was said; newest first, in pages."""
    drafts = [draft(10 * n, camera=("gate", "yard")[n % 2]) for n in range(6)]
    health = draft(100, kind="health", state="dark", score=None)
    with Outbox(path, START_S) as outbox, MarkBook(path) as book, EventLog(path) as log:
        outbox.append([*drafts, health], START_S + 100)
        ends = [draft(10 * n, "end", camera=("gate", "yard")[n % 2]) for n in range(4)]
        outbox.append(ends, START_S + 101)
        ids = [one.id for one in drafts]
        book.acknowledge([ids[1]], START_S, None)
        book.mark(ids[2], "real", START_S)

        def found(limit: int = 100, **wanted: object) -> list[str]:
            return [one.event.id for one in log.newest(Filter(**wanted), limit)]  # type: ignore[arg-type]

        newest = [ids[3], ids[2], ids[1], ids[0], health.id, ids[5], ids[4]]
        assert found() == newest
        assert found(kind="anomaly", cameras=("yard",)) == [ids[3], ids[1], ids[5]]
        assert found(kind="health") == [health.id]
        assert found(acknowledged=True) == [ids[1]]
        assert found(mark="real") == [ids[2]]
        assert found(mark="none", acknowledged=False, kind="anomaly") == [
            ids[3], ids[0], ids[5], ids[4]
        ]  # fmt: skip
        assert found(until=START_S + 10) == [ids[1], ids[0]]
        assert found(since=START_S + 25) == [ids[3], health.id, ids[5], ids[4]]
        pages: list[str] = []
        before = None
        while page := log.newest(Filter(before=before), 2):
            pages += [one.event.id for one in page]
            before = page[-1].event.seq
        assert pages == newest
        assert [one.type for one in log.messages(ids[0])] == ["new", "end"]
        assert log.find(ids[2][-6:]) == ids[2]
        assert log.find("last") == ids[3]
        for name in ("nobody", "%", "'; DROP TABLE events; --", "_" * 6):
            with pytest.raises(OutboxError, match="no event"):
                log.find(name)


def test_an_outbox_without_marks_is_read_and_left_alone(path: Path) -> None:
    """What an earlier version wrote can be listed without a program, and is not changed."""
    with Outbox(path, START_S) as outbox:
        outbox.append([draft()], START_S)
    before = path.read_bytes()
    with EventLog(path) as log:
        (one,) = log.newest(Filter())
        assert one.marks.mark is None
    assert path.read_bytes() == before
    other = path.with_name("other")
    other.write_bytes(b"no outbox" * 100)
    for wrong in (other, path.with_name("none")):
        with pytest.raises(OutboxError, match=wrong.name):
            EventLog(wrong)
