"""The outbox and the journal: nothing that was told is lost, whatever the disk does."""

import json
import sqlite3
from pathlib import Path

import pytest
from alert_makers import START_S, draft
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.journal import KEEP_EVERY_S, RETRY_EVERY_S, Journal
from alerts.outbox import Outbox
from sorawatch import OutboxError


class Disk:
    """Connects to SQLite files on a disk that can be full (the real error, from SQLite itself)."""

    def __init__(self) -> None:
        self._connections: list[sqlite3.Connection] = []

    def connect(self, *args: object, **kwargs: object) -> sqlite3.Connection:
        self._connections.append(sqlite3.connect(*args, **kwargs))  # type: ignore[call-overload]
        return self._connections[-1]

    def fill(self) -> None:
        for connection in self._connections:
            (used,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {used}")

    def clear(self) -> None:
        for connection in self._connections:
            connection.execute("PRAGMA max_page_count = 1000000")


def numbers(outbox: Outbox | Journal, after: int = 0) -> list[int]:
    stored = outbox.after(after, None, 1000)
    return [json.loads(body)["seq"] for body in stored.bodies]


def long_drafts(first: int, count: int) -> list:
    text = {"text": "x" * 1000}
    return [
        draft(number, type_, explanation=text)
        for number in range(first, first + count)
        for type_ in ("new", "end")
    ]


def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    """Reopened, the outbox is the same stream, holds every message, and goes on counting."""
    path = tmp_path / "new folder" / "alerts.db"
    with Outbox(path, START_S) as outbox:
        events = outbox.append([draft(0), draft(0, "end"), draft(5)], START_S)
        events += outbox.append([draft(5, "end")], START_S)
        stream = outbox.stream
    with Outbox(path, START_S) as outbox:
        events += outbox.append([draft(9), draft(9, "end")], START_S)
        assert outbox.stream == stream
        assert numbers(outbox) == [event.seq for event in events] == [1, 2, 3, 4, 5, 6]


def test_pages_by_camera(tmp_path: Path) -> None:
    """Pages are in order, complete up to `through`, and hold the asked cameras alone."""
    with Outbox(tmp_path / "alerts.db", START_S) as outbox:
        cameras = ["gate", "yard", "hall"]
        outbox.append([draft(n, camera=cameras[n % 3]) for n in range(30)], START_S)
        first = outbox.after(0, ["yard", "hall"], 4)
        assert [json.loads(body)["seq"] for body in first.bodies] == [2, 3, 5, 6]
        assert first.through == 6
        rest = outbox.after(first.through, ["yard", "hall"], 1000)
        assert len(rest.bodies) == 16
        assert rest.through == 30
        assert outbox.after(0, [], 10).through == 30
        assert outbox.after(99, None, 10).through == 99
        assert [event.seq for event in outbox.open_events()] == list(range(1, 31))


def test_what_a_killed_program_left_open_is_ended(tmp_path: Path) -> None:
    """At the next start open events end, interrupted, at the last time of known life."""
    path = tmp_path / "alerts.db"
    with Outbox(path, START_S) as outbox:
        outbox.append([draft(0), draft(3), draft(0, "end")], START_S + 4)
        outbox.keep(START_S + 60)
    with Outbox(path, START_S + 500) as outbox:
        (body,) = outbox.after(3).bodies
        end = json.loads(body)
        assert (end["type"], end["ended_by"], end["end_time"]) == (
            "end",
            "interrupted",
            START_S + 60,
        )
        assert end["id"] == draft(3).id
        assert outbox.open_events() == []


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=120),
    st.integers(3, 30),
)
def test_bounded_by_count(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool]], bound: int
) -> None:
    """Never more messages than the bound, but for events that are open; those stay whole."""
    path = tmp_path_factory.mktemp("outbox") / "alerts.db"
    open_: dict[int, list[int]] = {}
    begun: dict[int, int] = {}
    with Outbox(path, START_S, max_events=bound) as outbox:
        for which, ends in steps:
            if ends and which not in open_:
                continue
            type_ = "end" if ends else "update" if which in open_ else "new"
            begun.setdefault(which, which)
            if type_ == "new":
                begun[which] += 100  # another event of the same camera: another id
            (event,) = outbox.append([draft(begun[which], type_)], START_S)
            open_.setdefault(which, []).append(event.seq)
            if ends:
                del open_[which]
            kept = numbers(outbox)
            of_open = {seq for told in open_.values() for seq in told}
            assert of_open <= set(kept)
            assert len(kept) <= max(bound, len(of_open))
            assert set(range(outbox.forgotten + 1, outbox.last + 1)) <= set(kept)


def test_bounded_by_age(tmp_path: Path) -> None:
    """What is too old goes once it has ended; what is open stays."""
    with Outbox(tmp_path / "alerts.db", START_S, max_age_s=100) as outbox:
        outbox.append([draft(0), draft(0, "end"), draft(1)], START_S)
        outbox.append([draft(90), draft(90, "end")], START_S + 90)
        outbox.keep(START_S + 101)
        assert numbers(outbox) == [3, 4, 5]
        assert outbox.forgotten == 2


def test_bounded_by_size(tmp_path: Path) -> None:
    """Beyond its size ended events go, the oldest first, whole; open ones stay."""
    path, bound = tmp_path / "alerts.db", 1_000_000
    with Outbox(path, START_S, max_bytes=bound) as outbox:
        outbox.append([draft(0)], START_S)
        for first in range(1, 2000, 100):
            outbox.append(long_drafts(first, 100), START_S)
            assert path.stat().st_size <= 1.1 * bound + 400_000
        kept = numbers(outbox)
        assert kept[0] == 1
        assert 300 < len(kept) < 1000
        whole = list(range(kept[1], outbox.last + 1))
        assert kept[1:] == whole
        assert outbox.forgotten == kept[1] - 1
        assert len(whole) % 2 == 0
        long = {"text": "x" * 1000}  # open, all of them: none may go, whatever the size
        outbox.append([draft(number, explanation=long) for number in range(3000, 4500)], START_S)
        assert len(outbox.open_events()) == 1501


def test_a_smaller_bound_gives_room_back(tmp_path: Path) -> None:
    """Started with a lower bound, the file itself becomes smaller."""
    path = tmp_path / "alerts.db"
    with Outbox(path, START_S) as outbox:
        outbox.append(long_drafts(0, 1500), START_S)
    before = path.stat().st_size
    with Outbox(path, START_S, max_bytes=1_000_000) as outbox:
        assert numbers(outbox)[-1] == 3000
    assert path.stat().st_size <= 1_100_000 < before


def damaged(path: Path) -> None:
    with Outbox(path, START_S) as outbox:
        outbox.append([draft(n) for n in range(100)], START_S)
    raw = bytearray(path.read_bytes())
    raw[4096 : len(raw) - 4096] = b"\xa5" * (len(raw) - 8192)
    path.write_bytes(raw)


def foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE birds (name TEXT)")
    connection.close()


def newer(path: Path) -> None:
    Outbox(path, START_S).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 9")
    connection.close()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damaged, "is damaged: move it away"),
        (lambda path: path.write_bytes(b"no database" * 1000), "is not an outbox"),
        (foreign, "is not an outbox"),
        (newer, "has version 9"),
        (lambda path: path.mkdir(), "cannot be opened"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, spoil, message: str) -> None:
    """Damaged, foreign, newer, no file: one line that names it and says what to do."""
    path = tmp_path / "alerts.db"
    spoil(path)
    with pytest.raises(OutboxError, match=message) as caught:
        Outbox(path, START_S)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_foreign_file_is_left_as_it_was(tmp_path: Path) -> None:
    """Pointing at somebody else's database by mistake does it no harm."""
    path = tmp_path / "alerts.db"
    foreign(path)
    before = path.read_bytes()
    with pytest.raises(OutboxError):
        Outbox(path, START_S)
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """A path below a file is refused by name."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxError, match=r"alerts\.db cannot be opened"):
        Outbox(tmp_path / "file" / "alerts.db", START_S)


def test_one_owner(tmp_path: Path) -> None:
    """A second program on the same outbox is refused; once the first has let go, it may."""
    path = tmp_path / "alerts.db"
    with Outbox(path, START_S), pytest.raises(OutboxError, match="in use by another program"):
        Outbox(path, START_S)
    Outbox(path, START_S).close()


def test_a_full_disk_refuses_and_nothing_changes(tmp_path: Path) -> None:
    """The outbox says that the disk is full; the number is given to the next one that fits."""
    disk = Disk()
    with Outbox(tmp_path / "alerts.db", START_S, connect=disk.connect) as outbox:
        outbox.append([draft(0)], START_S)
        disk.fill()
        with pytest.raises(OutboxError, match="has no space"):
            outbox.append(long_drafts(1, 20), START_S)
        assert outbox.last == 1
        disk.clear()
        outbox.append(long_drafts(1, 20), START_S)
        assert numbers(outbox) == list(range(1, 42))


def test_a_full_disk_delays_storing_not_telling(tmp_path: Path) -> None:
    """While the disk is full events are numbered and can be asked for; they are stored later."""
    disk, said = Disk(), []
    outbox = Outbox(tmp_path / "alerts.db", START_S, connect=disk.connect)
    journal = Journal(outbox, on_degraded=lambda degraded, reason: said.append((degraded, reason)))
    journal.append([draft(0), draft(0, "end")], START_S, 0.0)
    disk.fill()
    events = journal.append(long_drafts(1, 20), START_S, 10.0)
    events += journal.append(long_drafts(30, 20), START_S, 10.1)
    assert [event.seq for event in events] == list(range(3, 83))
    assert [degraded for degraded, _ in said] == [True]
    assert "has no space" in said[0][1]
    assert journal.pending == 80
    assert numbers(journal, 1) == list(range(2, 83))
    page = journal.after(0, None, 10)
    assert page.through == 10
    journal.tend(START_S, 10.2 + RETRY_EVERY_S)  # still full
    assert journal.pending == 80
    disk.clear()
    journal.tend(START_S, 10.3 + 2 * RETRY_EVERY_S)
    assert journal.pending == 0
    assert said[1:] == [(False, "")]
    assert numbers(outbox) == list(range(1, 83))
    journal.append([draft(99), draft(99, "end")], START_S, 99.0)
    journal.tend(START_S, 99.0 + KEEP_EVERY_S)
    journal.close(START_S)
    with Outbox(tmp_path / "alerts.db", START_S) as again:
        assert numbers(again) == list(range(1, 85))
        assert again.forgotten == 0


def test_numbers_that_went_out_unstored_are_not_given_again(tmp_path: Path) -> None:
    """Killed while the disk is full: the next start goes on above what was published."""
    path, disk = tmp_path / "alerts.db", Disk()
    outbox = Outbox(path, START_S, connect=disk.connect)
    journal = Journal(outbox)
    journal.append([draft(0), draft(0, "end")], START_S, 0.0)
    disk.fill()
    assert journal.append(long_drafts(1, 20), START_S, 1.0)[-1].seq == 42
    outbox.close()  # what the kernel does when the program is killed
    with Outbox(path, START_S) as again:
        assert again.append([draft(50)], START_S)[0].seq == 43
        assert numbers(again) == [1, 2, 43]
        assert again.forgotten == 42


def test_memory_is_bounded_while_the_disk_is_full(tmp_path: Path) -> None:
    """The newest events are kept; those that had to go count as forgotten."""
    disk = Disk()
    outbox = Outbox(tmp_path / "alerts.db", START_S, connect=disk.connect)
    journal = Journal(outbox, capacity=10)
    disk.fill()
    journal.append(long_drafts(1, 20), START_S, 1.0)
    assert journal.pending == 10
    disk.clear()
    journal.tend(START_S, 1.0 + RETRY_EVERY_S)
    assert numbers(outbox) == list(range(31, 41))
    assert outbox.forgotten == 30
    journal.close(START_S)
