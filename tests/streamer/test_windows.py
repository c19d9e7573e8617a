"""Windows cut from a ring, against a plain list of everything that was ever written to it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.capture.frame import FrameHeader, Validity
from streamer.capture.ring import FrameRing, ring_bytes
from streamer.capture.windows import RingWindow, WindowCutter

PERIOD_NS = 200_000_000
PICTURE = (8, 8)


@dataclass(frozen=True)
class Frame:
    """One frame to write: what matters of it to a window."""

    time_ns: int
    generation: int = 0
    valid: bool = True
    luma: tuple[int, int] = (4, 6)


def frames_of(steps: Sequence[tuple[int, int, bool, tuple[int, int]]]) -> list[Frame]:
    """Frames from steps of (periods / 2 passed, generations passed, valid, shape)."""
    frames, time_ns, generation = [], 0, 0
    for halves, generations, valid, luma in steps:
        time_ns += halves * PERIOD_NS // 2
        generation += generations
        frames.append(Frame(time_ns, generation, valid, luma))
    return frames


def evenly(count: int) -> list[Frame]:
    return [Frame(number * PERIOD_NS) for number in range(count)]


def write(ring: FrameRing, frame: Frame) -> None:
    views = ring.begin(frame.luma, PICTURE)
    views.luma[:] = ring.written % 251
    views.picture[:] = ring.written % 251
    ring.commit(
        FrameHeader(
            generation=frame.generation,
            t_media_ns=frame.time_ns,
            t_mono_ns=frame.time_ns,
            utc_ns=frame.time_ns,
            validity=Validity.VALID if frame.valid else Validity.TORN,
        )
    )


@dataclass(frozen=True)
class Cut:
    """What a window ought to be: the numbers of its frames, and its own two."""

    seqs: tuple[int, ...]
    seq: int
    generation: int
    first: int
    """Of its generation."""


class ListCutter:
    """The rules for windows, followed frame by frame over a list that forgets nothing."""

    def __init__(self, frames: Sequence[Frame], length: int, slots: int) -> None:
        self.frames, self.length, self.slots = frames, length, slots
        self.next = self.dropped = 0
        self.generation, self.seq = -1, 0
        self.now: list[int] = []  # valid frames of the generation under way, all of them
        self.missed = True

    def cut(self, written: int) -> Cut | None:
        while self.next < written:
            newest, frame = self.next, self.frames[self.next]
            before = [seq for seq in self.now if seq >= newest - self.length]
            before = before[-(self.length - 1) :] if self.length > 1 else []
            if [*before, newest][0] < written - self.slots:
                resume = max(newest, written - min(self.length, self.slots - self.length))
                self.dropped += resume - newest
                self.next, self.now, self.missed = resume, [], True
                continue
            self.next += 1
            if newest and frame.time_ns - self.frames[newest - 1].time_ns > 2.5 * PERIOD_NS:
                self.missed = True
            if not frame.valid:
                continue
            if self.missed or self._incomparable(self.frames[self.now[-1]], frame):
                self.generation, self.seq = self.generation + 1, -1
                self.now, before, self.missed = [], [], False
            self.seq += 1
            self.now.append(newest)
            return Cut((*before, newest), self.seq, self.generation, self.now[0])
        return None

    @staticmethod
    def _incomparable(last: Frame, frame: Frame) -> bool:
        passed = frame.time_ns - last.time_ns
        other = (last.generation, last.luma) != (frame.generation, frame.luma)
        return other or passed <= 0 or passed > 1e9


def assert_is(window: RingWindow | None, cut: Cut | None, frames: Sequence[Frame]) -> None:
    assert (window is None) == (cut is None)
    if window is None or cut is None:
        return
    got = window.window
    assert (got.seq, got.generation) == (cut.seq, cut.generation)
    origin_ns = frames[cut.first].time_ns
    assert got.times_s == tuple((frames[seq].time_ns - origin_ns) / 1e9 for seq in cut.seqs)
    assert [view.shape for view in got.frames] == [frames[seq].luma for seq in cut.seqs]
    assert window.header.seq == cut.seqs[-1]
    assert window.intact()
    for view, seq in zip(got.frames, cut.seqs, strict=True):
        assert (view == seq % 251).all()
    picture = window.picture()
    assert picture is not None
    assert (picture == cut.seqs[-1] % 251).all()


STEPS = st.lists(
    st.tuples(
        st.sampled_from([2, 2, 2, 2, 2, 1, 3, 5, 6, 11, 0, -2]),
        st.sampled_from([0] * 12 + [1]),
        st.sampled_from([True, True, True, False]),
        st.sampled_from([(4, 6)] * 12 + [(6, 4)]),
    ),
    max_size=60,
)


@settings(max_examples=250, deadline=None)
@given(STEPS, st.integers(1, 6), st.integers(2, 6), st.lists(st.booleans(), max_size=150))
def test_waiting_writer_loses_nothing(
    steps: list[tuple[int, int, bool, tuple[int, int]]],
    length: int,
    spare: int,
    turns: list[bool],
) -> None:
    """In wait mode each valid frame gets its window, the same however the two sides take turns."""
    frames = frames_of(steps)
    model = ListCutter(frames, length, slots=10**9)  # which never forgets
    with FrameRing.create(length + spare) as ring:
        cutter = WindowCutter(ring, length, PERIOD_NS / 1e9)
        order = iter(turns)
        while True:
            room = ring.written < len(frames) and ring.has_room(keep=length)
            if room and next(order, True):
                write(ring, frames[ring.written])
                continue
            window = cutter.next()
            assert_is(window, model.cut(ring.written), frames)
            if window is None and ring.written == len(frames):
                break
            assert window or ring.has_room(keep=length), "neither side can go on"
            del window
        assert cutter.dropped == 0
        assert cutter.walked is None or cutter.walked.seq == len(frames) - 1


@settings(max_examples=250, deadline=None)
@given(STEPS, st.integers(1, 6), st.integers(2, 6), st.lists(st.integers(0, 20), max_size=40))
def test_late_reader_drops_and_goes_on(
    steps: list[tuple[int, int, bool, tuple[int, int]]],
    length: int,
    spare: int,
    bursts: list[int],
) -> None:
    """Live, a reader that falls behind skips what it missed, counts it, and starts anew."""
    frames, slots = frames_of(steps), length + spare
    model = ListCutter(frames, length, slots)
    with FrameRing.create(slots) as ring:
        cutter = WindowCutter(ring, length, PERIOD_NS / 1e9)
        for burst in [*bursts, len(frames)]:
            for frame in frames[ring.written : ring.written + burst]:
                write(ring, frame)
            window = cutter.next()
            assert_is(window, model.cut(ring.written), frames)
            assert cutter.dropped == model.dropped
            if window is not None:
                assert ring.written - window.header.seq <= slots
        while cutter.next() is not None:
            pass
        assert cutter.walked is None or cutter.walked.seq == len(frames) - 1


@pytest.fixture
def ring() -> Iterator[FrameRing]:
    with FrameRing.create(6) as made:
        yield made


def test_window_says_when_it_has_been_overwritten(ring: FrameRing) -> None:
    """A window is whole until the writer touches its oldest frame, and then says that it is not."""
    for frame in evenly(4):
        write(ring, frame)
    cutter = WindowCutter(ring, frames=3)
    windows = [cutter.next() for _ in range(4)]
    assert [len(window.window.frames) for window in windows] == [1, 2, 3, 3]
    for time in (4, 5, 6):  # the last of them overwrites frame 0
        write(ring, Frame(time * PERIOD_NS))
    assert [window.intact() for window in windows] == [False, False, False, True]
    assert windows[0].picture() is None
    assert windows[1].picture() is not None
    ring.begin((4, 6), PICTURE)
    assert not windows[3].intact()


def test_late_by_less_than_the_window_still_drops(ring: FrameRing) -> None:
    """A newest frame that is there but whose window is gone is no reason for a short window."""
    cutter = WindowCutter(ring, frames=3)
    for frame in evenly(3):
        write(ring, frame)
    assert [cutter.next().header.seq for _ in range(3)] == [0, 1, 2]
    for number in range(3, 7):
        write(ring, Frame(number * PERIOD_NS))
    assert cutter.next().window.seq == 3  # frames 1, 2 and 3: frame 1 is lost with the next
    for number in (7, 8):
        write(ring, Frame(number * PERIOD_NS))
    window = cutter.next()
    assert (window.window.seq, window.window.generation, window.header.seq) == (0, 1, 6)
    assert cutter.dropped == 2


def test_frame_that_a_crash_has_garbled_costs_one_frame(ring: FrameRing) -> None:
    """A frame that cannot be read is skipped and counted, and the camera goes on."""
    for frame in evenly(3):
        write(ring, frame)
    ring._cells[ring_bytes(1) // 8 + 5] = 99  # validity of frame 1, after what one slot takes
    cutter = WindowCutter(ring, frames=3)
    assert cutter.next().window.generation == 0
    window = cutter.next()
    assert (window.header.seq, window.window.seq, window.window.generation) == (2, 0, 1)
    assert (cutter.dropped, cutter.next()) == (1, None)


def test_garbled_count_of_frames_does_not_hang(ring: FrameRing) -> None:
    """Whatever a crash leaves as the number of frames, the reader comes back at once."""
    cutter = WindowCutter(ring, frames=3)
    for count in (-1, 2**62, 5, -(2**63)):
        ring._cells[8] = count
        assert cutter.next() is None


def test_reader_that_comes_later_begins_with_what_is_there(ring: FrameRing) -> None:
    """Attaching to a ring that has run for long starts with its oldest frame, and drops nothing."""
    for frame in evenly(20):
        write(ring, frame)
    cutter = WindowCutter(ring, frames=3)
    assert cutter.next().header.seq == 15
    assert cutter.dropped == 0


def test_ring_too_small_for_the_windows_is_refused(ring: FrameRing) -> None:
    """A window that could never be read whole is refused when it is asked for."""
    with pytest.raises(ValueError, match=r"at least 7 slots.*capture\.slots"):
        WindowCutter(ring, frames=5)
