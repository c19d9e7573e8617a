"""One camera's capture: what gets into the ring, when, and what is said about the camera."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from video import Picture, draw, number_of, write_folder, write_video

from sorawatch import SourceError
from streamer.capture.backoff import Backoff
from streamer.capture.camera import CameraCapture
from streamer.capture.clock import SystemClock
from streamer.capture.frame import FrameHeader, Validity
from streamer.capture.opener import OpenOptions, Reader
from streamer.capture.ring import FrameRing, Phase
from streamer.capture.settings import CaptureSettings
from streamer.capture.source import Source
from streamer.capture.states import CameraState, StateChange

CONNECTING, ONLINE = CameraState.CONNECTING, CameraState.ONLINE
STALLED, OFFLINE = CameraState.STALLED, CameraState.OFFLINE
NS = 1_000_000_000
LIVE = Source.parse("rtsp://viewer:geheim@127.0.0.1:5/x")


class FakeClock:
    """Time that passes only where the test says so, and where the capture waits."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.waits: list[float] = []
        self.on_wait: Callable[[], None] = lambda: None

    def mono_ns(self) -> int:
        return round(self.now_s * NS)

    def utc_ns(self) -> int:
        return self.mono_ns() + 1_700_000_000 * NS

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now_s += seconds
        self.on_wait()
        return stop.is_set()


@dataclass
class Frame:
    """A frame that a scripted reader gives: after `cost_s`, with these properties."""

    number: int
    pts_s: float | None
    cost_s: float
    size: tuple[int, int] = (320, 240)
    damage: Validity = Validity.VALID
    picture: Picture | None = None
    meanwhile: Callable[[], None] = lambda: None


def live(count: int, fps: float = 15, first: int = 0, **more: object) -> list[Frame]:
    """Frames as they come from a camera, each when it is taken."""
    return [
        Frame(i, i / fps, 1 / fps, **more)  # type: ignore[arg-type]
        for i in range(first, first + count)
    ]


@dataclass
class Script:
    """A reader that gives frames, then ends."""

    clock: FakeClock
    frames: list[Frame]
    reads_ahead: bool = False
    fps_declared: float | None = 15.0
    frames_declared: int | None = None
    codec: str = "h264"
    retrieved: list[int] = field(default_factory=list)
    closed: int = 0
    at: int = -1

    @property
    def size(self) -> tuple[int, int]:
        return self.frames[max(0, self.at)].size if self.frames else (0, 0)

    @property
    def pts_s(self) -> float | None:
        return self.frames[self.at].pts_s

    @property
    def damage(self) -> Validity:
        return self.frames[self.at].damage

    def grab(self) -> bool:
        self.at += 1
        if self.at >= len(self.frames):
            return False
        self.clock.now_s += self.frames[self.at].cost_s
        self.frames[self.at].meanwhile()
        return True

    def retrieve(self, out: Picture | None = None) -> Picture:
        frame = self.frames[self.at]
        self.retrieved.append(frame.number)
        picture = draw(frame.number, *frame.size) if frame.picture is None else frame.picture
        if out is None or out.shape != picture.shape:
            return picture
        out[...] = picture
        return out

    def close(self) -> None:
        self.closed += 1


class Bench:
    """A capture whose opens are scripted, run in the test's own thread until the script ends."""

    def __init__(self, ring: FrameRing) -> None:
        self.ring = ring
        self.clock = FakeClock()
        self.changes: list[StateChange] = []
        self.frames = 0
        self.scripts: list[Script] = []
        self.capture: CameraCapture

    def script(self, frames: list[Frame], **more: object) -> Script:
        return Script(self.clock, frames, **more)  # type: ignore[arg-type]

    def run(
        self, opens: list[Script | SourceError], source: Source = LIVE, **settings: object
    ) -> None:
        """Capture until every one of `opens` has been used up."""
        left = iter(opens)

        def opener(_: Source, __: OpenOptions) -> Reader:
            result = next(left, None)
            if result is None:
                self.capture.stop()
                raise SourceError("the script is over", "error")
            if isinstance(result, SourceError):
                raise result
            return result

        self.capture = CameraCapture(
            "gate",
            source,
            self.ring,
            settings=CaptureSettings(**settings),  # type: ignore[arg-type]
            on_state=self.changes.append,
            on_frame=self._count,
            opener=opener,
            clock=self.clock,
            backoff=Backoff(0.25, 3),
        )
        self.capture.run()

    def _count(self) -> None:
        self.frames += 1

    @property
    def states(self) -> list[tuple[CameraState, str | None]]:
        return [(change.state, change.reason) for change in self.changes]

    @property
    def headers(self) -> list[FrameHeader]:
        return [stored.header for stored in self._stored()]

    @property
    def numbers(self) -> list[int]:
        return [number_of(stored.picture) for stored in self._stored()]

    def _stored(self) -> Iterator[object]:
        for seq in range(self.ring.written):
            stored = self.ring.read(seq)
            assert stored is not None
            yield stored


@pytest.fixture
def ring() -> Iterator[FrameRing]:
    with FrameRing.create(96) as ring:
        yield ring


@pytest.fixture
def bench(ring: FrameRing) -> Bench:
    return Bench(ring)


def test_only_analysed_frames_are_decoded(bench: Bench) -> None:
    """Of 15 frames a second 5 are taken, evenly; the others are grabbed and never retrieved."""
    script = bench.script(live(46))
    bench.run([script])
    assert script.retrieved == list(range(1, 46, 3))
    assert bench.numbers == script.retrieved
    assert bench.frames == len(script.retrieved)
    assert script.closed == 1
    times = [header.t_media_ns for header in bench.headers]
    assert all(abs(b - a - NS // 5) < NS // 1000 for a, b in pairwise(times))
    counters = bench.ring.counters
    assert (counters.frames_read, counters.frames_analysed) == (46, 15)
    assert (counters.width, counters.height) == (320, 240)
    assert counters.fps_declared_milli == 15_000


def test_times_in_the_header(bench: Bench) -> None:
    """Receipt, media time and wall clock are those of one moment, told by three clocks."""
    bench.run([bench.script(live(5))])
    header = bench.headers[0]
    assert header.t_media_ns == header.t_mono_ns == round((1000 + 2 / 15) * NS)
    assert header.utc_ns - header.t_media_ns == 1_700_000_000 * NS


def test_a_source_that_cannot_be_opened_is_tried_again(bench: Bench) -> None:
    """Each reason is reported once, waits grow, and pictures come as soon as they can."""
    faults: list[Script | SourceError] = [SourceError("no", "refused") for _ in range(6)]
    faults += [SourceError("wrong", "auth"), bench.script(live(10))]
    bench.run(faults)
    assert bench.states == [
        (CONNECTING, None),
        (OFFLINE, "refused"),
        (OFFLINE, "auth"),
        (ONLINE, None),
        (OFFLINE, "ended"),
    ]
    assert bench.changes[1].detail == "no"
    assert bench.ring.written > 0
    assert all(a < b for a, b in zip(bench.clock.waits[:3], bench.clock.waits[2:5], strict=True))
    assert max(bench.clock.waits) <= 3


def test_a_connection_that_breaks_is_opened_anew(bench: Bench) -> None:
    """With a new generation, and a short wait after one that had held."""
    bench.run([bench.script(live(150)), bench.script(live(30)), bench.script(live(30))])
    assert bench.states == [(CONNECTING, None)] + 3 * [(ONLINE, None), (OFFLINE, "ended")]
    assert sorted({header.generation for header in bench.headers}) == [1, 2, 3]
    assert bench.clock.waits[0] <= 0.25
    assert bench.ring.counters.reconnects == 2
    assert "geheim" not in "".join(change.detail for change in bench.changes)


def test_what_the_thread_is_doing_can_be_seen(bench: Bench) -> None:
    """The counters tell the phase, and since when the call under way has lasted."""
    seen: list[tuple[int, float]] = []

    def look() -> None:
        counters = bench.ring.counters
        seen.append((counters.phase, bench.clock.mono_ns() - counters.read_started_ns))

    frames = live(3)
    for frame in frames:
        frame.meanwhile = look
    bench.run([bench.script(frames)])
    assert [phase for phase, _ in seen] == [Phase.FIRST_READ, Phase.READING, Phase.READING]
    assert all(0 < lasted_ns < NS for _, lasted_ns in seen)
    assert bench.ring.counters.phase == Phase.IDLE
    assert bench.ring.counters.read_started_ns == 0


def test_a_read_that_hangs_is_a_stall(bench: Bench) -> None:
    """Whoever watches finds it while it lasts; the next picture ends it."""
    frames = live(40)
    frames[20].cost_s = 3.0
    frames[20].meanwhile = lambda: [bench.capture.watch() for _ in range(3)] and None
    frames[30].meanwhile = lambda: bench.capture.watch()
    bench.run([bench.script(frames)], read_timeout_s=5)
    assert bench.states == [
        (CONNECTING, None),
        (ONLINE, None),
        (STALLED, "timeout"),
        (ONLINE, None),
        (OFFLINE, "ended"),
    ]
    assert bench.ring.counters.stalls == 1


def test_the_picture_after_a_timeout_is_not_believed(bench: Bench) -> None:
    """A read that took the whole timeout gives an old picture; it is dropped, and the link too."""
    frames = live(25)
    frames[19].cost_s = 5.01
    bench.run([bench.script(frames), bench.script(live(10))])
    assert bench.states[1:4] == [(ONLINE, None), (OFFLINE, "timeout"), (ONLINE, None)]
    assert 19 not in bench.numbers
    assert max(bench.numbers) < 19


def test_another_size_is_another_generation(bench: Bench) -> None:
    """A camera that changes its resolution is captured as it is now, whichever way it goes."""
    sizes = [(320, 240), (1280, 720), (176, 144), (1280, 720), (320, 240)]
    frames = [f for i, size in enumerate(sizes) for f in live(15, first=15 * i, size=size)]
    bench.run([bench.script(frames)])
    assert sorted({header.generation for header in bench.headers}) == [1, 2, 3, 4, 5]
    shapes: dict[int, set[tuple[int, ...]]] = {}
    for seq in range(bench.ring.written):
        stored = bench.ring.read(seq)
        assert stored is not None
        shapes.setdefault(stored.header.generation, set()).add(stored.picture.shape)
    assert [shapes[g] for g in range(1, 6)] == [
        {(240, 320, 3)},
        {(360, 640, 3)},
        {(144, 176, 3)},
        {(360, 640, 3)},
        {(240, 320, 3)},
    ]
    assert bench.numbers == [n for n in range(75) if n % 3 == 1]


def test_a_gap_is_another_generation(bench: Bench) -> None:
    """Frames that were lost for longer than 2.5 periods part what comes before from after."""
    frames = live(30) + live(30, first=37)
    frames[30].cost_s = 8 / 15
    bench.run([bench.script(frames)])
    before = {h.generation for h, n in zip(bench.headers, bench.numbers, strict=True) if n < 30}
    after = {h.generation for h, n in zip(bench.headers, bench.numbers, strict=True) if n > 30}
    assert (before, after) == ({1}, {2})


def test_the_first_burst_is_not_analysed(bench: Bench) -> None:
    """28 frames at once after a slow open are not taken for two seconds of footage."""
    burst = [Frame(i, i / 15, 0.001) for i in range(28)]
    bench.run([bench.script(burst + live(30, first=28))])
    assert min(bench.numbers) >= 28


def test_invalid_pictures_are_marked_and_counted(bench: Bench) -> None:
    """Black, frozen, torn and smeared pictures are in the ring, marked for what they are."""
    frames = live(40)
    black = np.full((240, 320, 3), 5, np.uint8)
    frames[4].picture = black
    frames[10].picture = draw(7)
    frames[13].damage = Validity.TORN
    frames[16].damage = Validity.SMEARED
    bench.run([bench.script(frames)])
    marks = [header.validity for header in bench.headers[:7]]
    assert marks == [
        Validity.VALID,
        Validity.BLACK,
        Validity.VALID,
        Validity.FROZEN,
        Validity.TORN,
        Validity.SMEARED,
        Validity.VALID,
    ]
    counters = bench.ring.counters
    assert counters.invalid_black == counters.invalid_frozen == 1
    assert counters.invalid_torn == counters.invalid_smeared == 1


FILE = Source.parse("/nowhere/a.mp4")


def in_file(count: int, fps: float = 10) -> list[Frame]:
    """Frames of a file, which cost next to nothing to read."""
    return [Frame(i, i / fps, 0.001) for i in range(count)]


def test_a_file_plays_at_its_own_rate(bench: Bench) -> None:
    """In drop mode it behaves as a camera would: ten frames take a second."""
    bench.run([bench.script(in_file(101), reads_ahead=True)], FILE, once=True)
    assert bench.clock.now_s == pytest.approx(1010, abs=0.05)
    for header in bench.headers:
        assert 0 <= header.t_mono_ns - header.t_media_ns < 0.01 * NS
    assert bench.states == [(CONNECTING, None), (ONLINE, None), (OFFLINE, "ended")]


def test_a_file_read_for_good_waits_for_its_reader() -> None:
    """In wait mode nothing is lost and no time passes but what the reader takes."""
    with FrameRing.create(12) as ring:
        bench = Bench(ring)
        read: list[int] = []

        def read_one() -> None:
            stored = ring.read(len(read))
            assert stored is not None
            read.append(number_of(stored.picture))
            ring.advance_reader(len(read))

        bench.clock.on_wait = read_one
        bench.run(
            [bench.script(in_file(100), reads_ahead=True)], FILE, mode="wait", once=True, fps=10
        )
        while len(read) < ring.written:
            read_one()
    assert read == list(range(100))
    assert bench.clock.now_s < 1002


def test_a_reader_who_waits_is_told_of_frames_a_few_at_a_time() -> None:
    """In wait mode the bell rings for several frames at once, and never for none."""
    with FrameRing.create(24) as ring:
        bench = Bench(ring)
        ring.advance_reader(1000)
        bench.run(
            [bench.script(in_file(20), reads_ahead=True)], FILE, mode="wait", once=True, fps=10
        )
        assert ring.written == 20
    assert bench.frames == 3  # after 8, after 16, and of the last four at the end


def test_a_reader_who_waits_knows_of_all_frames_before_it_is_waited_for() -> None:
    """A ring too small for a bell's worth of frames: nobody waits for the other."""
    with FrameRing.create(10) as ring:
        bench = Bench(ring)
        known: list[int] = []

        def read_all() -> None:
            known.append(bench.frames)
            ring.advance_reader(ring.written)

        bench.clock.on_wait = read_all
        bench.run(
            [bench.script(in_file(30), reads_ahead=True)], FILE, mode="wait", once=True, fps=10
        )
        assert ring.written == 30
    assert known == list(range(1, len(known) + 1))  # the bell had rung before every wait


def test_the_end_of_a_file(bench: Bench) -> None:
    """Read once it is the end; looped it goes on at once; else it is opened again later."""
    script = bench.script(in_file(11), reads_ahead=True)
    bench.run([script, script], FILE, once=True)
    assert bench.states[-1] == (OFFLINE, "ended")
    assert bench.ring.written == 6
    waits = len(bench.clock.waits)

    loops = [bench.script(in_file(11), reads_ahead=True) for _ in range(3)]
    bench.changes.clear()
    bench.run([*loops], FILE, loop=True)
    assert bench.states[:2] == [(CONNECTING, None), (ONLINE, None)]
    assert [s for s, _ in bench.states].count(OFFLINE) == 0
    assert bench.ring.written == 6 + 18
    assert len(bench.clock.waits) - waits == 30  # for the frames' times, and for nothing else
    assert len({header.generation for header in bench.headers}) == 4


@pytest.mark.parametrize("fault", [SourceError("broken", "codec"), SourceError("no", "not_found")])
def test_a_file_that_cannot_be_read_once(bench: Bench, fault: SourceError) -> None:
    """There is no use in trying again: the capture ends, and the last state says why."""
    bench.run([fault, fault], FILE, once=True)
    assert bench.states == [(CONNECTING, None), (OFFLINE, fault.reason)]


def test_a_stream_without_a_picture(bench: Bench) -> None:
    """What opens and gives nothing is a codec that cannot be decoded, and never online."""
    bench.run([bench.script([])], LIVE)
    assert bench.states == [(CONNECTING, None), (OFFLINE, "codec")]


def test_generations_outlive_a_restart(bench: Bench) -> None:
    """A worker that starts anew on the same ring goes on counting."""
    bench.run([bench.script(live(20))])
    bench.run([bench.script(live(20))])
    assert sorted({header.generation for header in bench.headers}) == [1, 2]


def test_stop_ends_a_wait(ring: FrameRing) -> None:
    """Told to stop while it waits to try again, it returns."""
    changes: list[StateChange] = []
    offline = threading.Event()

    def on_state(change: StateChange) -> None:
        changes.append(change)
        if change.state is OFFLINE:
            offline.set()

    capture = CameraCapture(
        "gate",
        Source.parse("/nowhere/none.mp4"),
        ring,
        settings=CaptureSettings(backoff_max_s=1000),
        on_state=on_state,
        on_frame=lambda: None,
        backoff=Backoff(1000, 1000),
    )
    thread = threading.Thread(target=capture.run)
    thread.start()
    assert offline.wait(5)
    capture.stop()
    thread.join(2)
    assert not thread.is_alive()
    assert [change.reason for change in changes] == [None, "not_found"]


@pytest.mark.parametrize("size", [(320, 240), (1280, 720), (854, 480), (162, 98)])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_real_pictures_reach_the_ring(
    ring: FrameRing, tmp_path: Path, size: tuple[int, int], kind: str
) -> None:
    """What is in the ring is what was filmed, at every size, from a file and from a folder."""
    if kind == "file":
        path = write_video(tmp_path / "a.mp4", 20, fps=10, size=size)
    else:
        path = write_folder(tmp_path / "frames", 20, size=size)
    changes: list[StateChange] = []
    capture = CameraCapture(
        "gate",
        Source.parse(str(path)),
        ring,
        settings=CaptureSettings(mode="wait", once=True, fps=10),
        on_state=changes.append,
        on_frame=lambda: None,
    )
    capture.run()
    assert [change.state for change in changes] == [CONNECTING, ONLINE, OFFLINE]
    for number in range(20):
        stored = ring.read(number)
        assert stored is not None
        assert stored.header.validity is Validity.VALID
        assert number_of(stored.picture) == number_of(stored.luma) == number
        assert max(stored.luma.shape) == min(180, max(size))
    assert ring.counters.frames_analysed == 20


def test_a_broken_picture_in_a_folder_is_named(ring: FrameRing, tmp_path: Path) -> None:
    """Reading a folder once ends at a picture that is none, and says which."""
    folder = write_folder(tmp_path / "frames", 5)
    (folder / "3.png").write_bytes(b"none")
    changes: list[StateChange] = []
    capture = CameraCapture(
        "gate",
        Source.parse(str(folder)),
        ring,
        settings=CaptureSettings(mode="wait", once=True, fps=10),
        on_state=changes.append,
        on_frame=lambda: None,
    )
    capture.run()
    assert (changes[-1].state, changes[-1].reason) == (OFFLINE, "codec")
    assert "frames/3.png" in changes[-1].detail
    assert ring.written == 3


def test_settings_are_checked() -> None:
    """Settings that cannot work are refused where they are made."""
    for wrong in ({"fps": 0}, {"transport": "sctp"}, {"mode": "x"}, {"once": True, "loop": True}):
        with pytest.raises(ValueError, match=r"must be|exclude"):
            CaptureSettings(**wrong)  # type: ignore[arg-type]


def test_the_machine_gives_real_times(ring: FrameRing, tmp_path: Path) -> None:
    """Without a clock of the test's, times are those of the machine."""
    clock = SystemClock()
    before = clock.mono_ns()
    path = write_video(tmp_path / "a.mp4", 3)
    CameraCapture(
        "gate",
        Source.parse(str(path)),
        ring,
        settings=CaptureSettings(mode="wait", once=True),
        on_state=lambda _: None,
        on_frame=lambda: None,
    ).run()
    stored = ring.read(0)
    assert stored is not None
    assert before <= stored.header.t_mono_ns <= clock.mono_ns()
    assert abs(stored.header.utc_ns - clock.utc_ns()) < 60 * NS
