"""The frame ring between real processes, some of which are killed where it hurts."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorawatch import ResourceError
from streamer.capture.frame import FrameHeader, Validity
from streamer.capture.ring import FrameRing, Phase, check_budget, ring_bytes

SHM = Path("/dev/shm")  # noqa: S108
SPAWN = multiprocessing.get_context("spawn")
LUMA, PICTURE = (6, 10), (12, 20)


@pytest.fixture
def ring() -> Iterator[FrameRing]:
    with FrameRing.create(4) as made:
        yield made


def write(
    ring: FrameRing,
    value: int,
    luma: tuple[int, int] = LUMA,
    picture: tuple[int, int] = PICTURE,
) -> int:
    """Commit a frame, every pixel and every number of which says `value`."""
    views = ring.begin(luma, picture)
    views.luma[:] = value % 256
    views.picture[:] = value % 256
    return ring.commit(header(value))


def header(value: int) -> FrameHeader:
    return FrameHeader(
        generation=value,
        t_media_ns=value,
        t_mono_ns=value,
        utc_ns=value,
        validity=Validity.TORN,
        number=value,
    )


def assert_holds(ring: FrameRing, seq: int, value: int) -> None:
    stored = ring.read(seq)
    assert stored is not None
    assert stored.header == header(value)._replace(seq=seq)
    assert (stored.luma == value % 256).all()
    assert (stored.picture == value % 256).all()
    assert ring.holds(seq)


# Written and read.

SHAPES = st.sampled_from([((6, 10), (12, 20)), ((180, 180), (480, 640)), ((3, 1), (554, 554))])


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 5), st.lists(st.one_of(SHAPES, st.just("abandoned")), max_size=24))
def test_ring_holds_the_newest_frames_of_a_list(slots: int, steps: list[object]) -> None:
    """A ring reads like the tail of a list, less the slot of a frame that is being written."""
    frames: list[tuple[int, object]] = []
    with FrameRing.create(slots) as ring:
        for value, shapes in enumerate(steps):
            lost = len(frames) - slots
            if shapes == "abandoned":
                ring.begin(LUMA, PICTURE)
                lost += 1
            else:
                assert write(ring, value, *shapes) == len(frames)
                frames.append((value, shapes))
            assert ring.written == len(frames)
            for seq, (wrote, wrote_shapes) in enumerate(frames):
                if seq >= lost + (shapes != "abandoned"):
                    assert_holds(ring, seq, wrote)
                    stored = ring.read(seq)
                    assert (stored.luma.shape, stored.picture.shape[:2]) == wrote_shapes
                else:
                    assert ring.read(seq) is None
                    assert not ring.holds(seq)
            assert ring.read(len(frames)) is None
            assert ring.read(-1) is None


def test_frames_are_read_only_for_the_reader(ring: FrameRing) -> None:
    """A detector cannot spoil the ring: what it gets cannot be written to."""
    write(ring, 1)
    stored = ring.read(0)
    for view in (stored.luma, stored.picture):
        with pytest.raises(ValueError, match="read-only"):
            view[:] = 0


@pytest.mark.parametrize(
    ("luma", "picture"),
    [
        ((181, 180), (1, 1)),
        ((1, 1), (481, 640)),
        ((0, 1), (1, 1)),
        ((1, 1), (-1, -1)),
        ((1 << 33, 1 << 33), (1, 1)),
    ],
)
def test_frame_too_large_for_a_slot_is_refused(
    ring: FrameRing, luma: tuple[int, int], picture: tuple[int, int]
) -> None:
    """No picture is ever written past its slot, and a refusal harms nothing."""
    write(ring, 1)
    with pytest.raises(ValueError, match="does not fit"):
        ring.begin(luma, picture)
    with pytest.raises(RuntimeError, match="without begin"):
        ring.commit(header(2))
    assert_holds(ring, 0, 1)


def test_room_is_what_the_reader_has_passed_less_its_window(ring: FrameRing) -> None:
    """In wait mode the writer stops before it would overwrite the reader's window."""
    written = []
    while ring.has_room(keep=1):
        written.append(write(ring, 0))
    assert written == [0, 1, 2]  # of four slots: frame -1, before the first, is kept
    ring.advance_reader(2)
    while ring.has_room(keep=1):
        written.append(write(ring, 0))
    assert written == [0, 1, 2, 3, 4]
    assert ring.holds(1)


ANY = st.one_of(st.integers(-1, 700), st.integers(-(2**63), 2**63 - 1))


@given(st.lists(ANY, min_size=9, max_size=9))
@settings(max_examples=200, deadline=None)
def test_garbage_in_a_slot_is_not_read(fields: list[int]) -> None:
    """Whatever a decoder that ran amok left in a header, reading it is refused or harmless."""
    with FrameRing.create(2) as ring:
        write(ring, 1)
        for cell, value in enumerate(fields, (4096 + 8) // 8):
            ring._cells[cell] = value
        stored = ring.read(0)
        assert stored is None or (
            stored.luma.size <= 180 * 180 and stored.picture.size <= 3 * 640 * 480
        )


# Between processes.


def _write_endlessly(name: str, pipe: Connection) -> None:
    ring = FrameRing.attach(name)
    pipe.send_bytes(b"ready")
    value = 0
    while not pipe.poll(0):
        for _ in range(50):
            write(ring, value, (180, 180), (8, 8))
            value += 1


def test_reader_never_takes_a_frame_that_changed_under_it() -> None:
    """A writer at full speed overtakes the reader often, and is found out each time."""
    ours, theirs = SPAWN.Pipe()
    with FrameRing.create(2) as ring:
        child = SPAWN.Process(target=_write_endlessly, args=(ring.name, theirs))
        child.start()
        assert ours.recv_bytes() == b"ready"
        good = overtaken = 0
        while good < 500 or not overtaken:
            stored = ring.read(ring.written - 1)
            if stored is None:
                continue
            luma, picture = stored.luma.copy(), stored.picture.copy()
            if ring.holds(stored.header.seq):
                value = stored.header.generation % 256
                assert (luma == value).all()
                assert (picture == value).all()
                good += 1
            else:
                overtaken += 1
        ours.send_bytes(b"stop")
        child.join()
    assert child.exitcode == 0


def _die_while_writing(name: str, pipe: Connection) -> None:
    ring = FrameRing.attach(name)
    for value in range(5):
        write(ring, value)
        ring.counters.frames_read += 1
    ring.counters.phase = Phase.READING
    ring.begin(LUMA, PICTURE).luma[:3] = 99
    pipe.send_bytes(b"half-way")
    pipe.poll(None)


def test_writer_killed_in_mid_frame_blocks_nobody(ring: FrameRing) -> None:
    """After kill -9 of a writer its whole frames are read, the half one is not, the next go on."""
    ours, theirs = SPAWN.Pipe()
    child = SPAWN.Process(target=_die_while_writing, args=(ring.name, theirs))
    child.start()
    assert ours.recv_bytes() == b"half-way"
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert ring.written == 5
    assert [ring.holds(seq) for seq in range(6)] == [False, False, True, True, True, False]
    assert_holds(ring, 4, 4)
    assert (ring.counters.frames_read, ring.counters.phase) == (5, Phase.READING)
    successor = FrameRing.attach(ring.name)
    assert write(successor, 70) == 5
    successor.counters.frames_read += 1
    successor.close()
    assert_holds(ring, 5, 70)
    assert ring.counters.as_dict()["frames_read"] == 6


OWNER = """
import multiprocessing, sys
from multiprocessing.connection import Connection
from streamer.capture.ring import FrameRing

def work(name, pipe):
    ring = FrameRing.attach(name)
    ring.begin((4, 4), (4, 4))
    pipe.send_bytes(b"attached")
    if LEAVE:
        return
    try:
        pipe.recv_bytes()
    except EOFError:  # the owner is gone
        pass

if __name__ == "__main__":
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    ring = FrameRing.create(2)
    child = spawn.Process(target=work, args=(ring.name, theirs))
    child.start()
    theirs.close()
    assert ours.recv_bytes() == b"attached"
    if LEAVE:
        child.join()
    print(ring.name, flush=True)
    sys.stdin.read()
    ring.close()
    ring.unlink()
"""


@pytest.fixture
def owner(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """A program that owns a ring, with a worker attached to it or, if param is True, gone again."""
    script = tmp_path / "owner.py"
    script.write_text(f"LEAVE = {request.param}\n{OWNER}")
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("owner", [False], indirect=True)
def test_killed_owner_leaves_no_shared_memory(owner: subprocess.Popen[str]) -> None:
    """kill -9 of the program: the segment goes with its last process, attached ones included."""
    segment = SHM / owner.stdout.readline().strip()
    assert segment.is_file()
    owner.kill()
    owner.stderr.read()  # until the tracker, the last to hold it, has ended
    assert not segment.exists()


@pytest.mark.parametrize("owner", [True], indirect=True)
def test_worker_that_ends_leaves_the_ring_and_no_warning(owner: subprocess.Popen[str]) -> None:
    """A worker's end does not take the ring away, nor does anything complain at exit."""
    segment = SHM / owner.stdout.readline().strip()
    assert segment.is_file()
    owner.stdin.close()
    assert owner.stderr.read() == ""
    assert owner.wait() == 0
    assert not segment.exists()


@pytest.mark.parametrize("owner", [False], indirect=True)
def test_what_a_killed_group_left_behind_is_removed(
    owner: subprocess.Popen[str], ring: FrameRing
) -> None:
    """Where even the tracker was killed, the next start clears up, and spares rings in use."""
    segment = SHM / owner.stdout.readline().strip()
    os.killpg(owner.pid, signal.SIGKILL)
    owner.stderr.read()
    owner.wait()
    assert segment.is_file()
    check_budget(1)
    assert not segment.exists()
    assert (SHM / ring.name).is_file()


def test_attaching_to_what_is_no_ring_is_refused(ring: FrameRing) -> None:
    """A worker that is given a wrong or stale name gets an error that says so."""
    for name in ("../../etc/passwd", "psm_1234", "sorawatch-ring-0"):
        with pytest.raises(ResourceError, match=r"not the name|is gone"):
            FrameRing.attach(name)
    ring._cells[0] += 1
    with pytest.raises(ResourceError, match="not one of this version's"):
        FrameRing.attach(ring.name)


# Memory.


def test_memory_is_reserved_when_the_ring_is_made(ring: FrameRing) -> None:
    """A ring that was made cannot run out of memory later, in the middle of a frame."""
    assert (SHM / ring.name).stat().st_blocks * 512 >= ring_bytes(4)
    assert ring_bytes(16) < 15.4e6


def test_too_large_a_ring_is_refused_with_numbers_and_advice() -> None:
    """Too little memory is one line: what is needed, what is there, what to lower."""
    needed = ring_bytes(10**9)
    for attempt in (lambda: FrameRing.create(10**9), lambda: check_budget(needed)):
        with pytest.raises(ResourceError, match=rf"{needed} bytes .* has \d+ .*capture\.slots"):
            attempt()


def test_closing_is_safe_while_a_view_is_held() -> None:
    """A view held past the ring's end is still memory, and the closed ring says that it is."""
    with FrameRing.create(2) as ring:
        write(ring, 7)
        luma = ring.read(0).luma
    ring.close()
    ring.unlink()
    assert (luma == 7).all()
    for use in (lambda: ring.written, lambda: ring.read(0), lambda: ring.counters.as_dict()):
        with pytest.raises(ValueError, match="released"):
            use()
