"""The times of frames: smooth, increasing and true, whatever the stream claims."""

import random
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.capture.backoff import Backoff
from streamer.capture.clock import ArrivalClock, Decimator, Pacer, PlayClock, Stamp

NS = 1_000_000_000
WRAP_S = 2**33 / 90_000
START_NS = 5_000 * NS

Frames = Iterable[tuple[float | None, float]]


def stamps(frames: Frames, clock: ArrivalClock | None = None) -> list[Stamp | None]:
    """Stamps for frames given as (PTS, receipt), in seconds."""
    clock = clock or ArrivalClock()
    return [clock.stamp(pts_s, START_NS + round(at_s * NS)) for pts_s, at_s in frames]


def seconds(given: Iterable[Stamp | None]) -> list[float]:
    """Media times of the frames that have one."""
    return [(stamp.t_media_ns - START_NS) / NS for stamp in given if stamp is not None]


def steps(times_s: list[float]) -> list[float]:
    return [b - a for a, b in pairwise(times_s)]


def regular(count: int, fps: float = 15.0, pts_s: float = 0.0, at_s: float = 0.0) -> Frames:
    return [(pts_s + i / fps, at_s + i / fps) for i in range(count)]


def test_jitter_cancels() -> None:
    """Frames that are delayed by the network keep the even times at which they were taken."""
    rng = random.Random(1)
    jittery = [(pts, at + rng.expovariate(1 / 0.02)) for pts, at in regular(600)]
    times_s = seconds(stamps(jittery))[150:]
    assert all(abs(step - 1 / 15) < 0.005 for step in steps(times_s))
    late = [at - t for (_, at), t in zip(jittery[-len(times_s) :], times_s, strict=True)]
    assert all(-0.001 < x < 0.3 for x in late)


def test_burst_at_the_start() -> None:
    """What was kept while the stream was being opened is passed over, not spread over time."""
    burst = [(i / 15, 0.001 * i) for i in range(28)]
    live = [((28 + i) / 15, 0.03 + (1 + i) / 15) for i in range(60)]
    given = stamps([*burst, *live])
    assert given[:28] == [None] * 28
    times_s = seconds(given)
    assert times_s[0] == pytest.approx(0.03 + 1 / 15)
    assert all(step == pytest.approx(1 / 15, rel=0.01) for step in steps(times_s))


def test_burst_without_times() -> None:
    """The same where the stream has no times, or does not say the first ones."""
    given = stamps([(None, 0.001 * i) for i in range(28)] + [(None, 0.1), (None, 0.2)])
    assert [stamp is None for stamp in given] == [True] * 28 + [False] * 2
    given = stamps([(0.0, 0.0), (0.0, 0.001), *regular(30, pts_s=1 / 15, at_s=1 / 15)])
    assert [stamp is None for stamp in given[:3]] == [True, True, False]
    assert all(step == pytest.approx(1 / 15, rel=0.01) for step in steps(seconds(given)))


def test_backlog_after_a_stall() -> None:
    """Frames held up by the network, and then let go at once, have the times they were taken at."""
    before = list(regular(60))
    held = [((60 + i) / 15, 6.95 + 0.001 * i) for i in range(45)]
    after = [((105 + i) / 15, (105 + i) / 15) for i in range(60)]
    times_s = seconds(stamps([*before, *held, *after]))
    assert all(step == pytest.approx(1 / 15, rel=0.05) for step in steps(times_s))


@pytest.mark.parametrize("jump_s", [-3600.0, 7200.0, -WRAP_S, 1e6, -0.5, 3.0])
def test_jumps(jump_s: float) -> None:
    """A stream whose times jump goes on as if nothing had happened."""
    before = list(regular(90, pts_s=WRAP_S))
    after = list(regular(90, pts_s=WRAP_S + 6 + jump_s, at_s=6.0))
    times_s = seconds(stamps([*before, *after]))
    assert all(0.03 < step < 0.14 for step in steps(times_s))
    assert times_s[-1] == pytest.approx(6 + 89 / 15, abs=0.1)


@pytest.mark.parametrize("stuck_s", [0.0, 6.0])
def test_times_that_stand_still(stuck_s: float) -> None:
    """Every frame with the same time, zero or another: their receipt has to do."""
    before = list(regular(90))
    after = [(stuck_s, 6 + i / 15) for i in range(300)]
    times_s = seconds(stamps([*before, *after]))
    assert all(0 < step < 0.6 for step in steps(times_s))
    assert times_s[-1] == pytest.approx(6 + 299 / 15, abs=0.3)


@pytest.mark.parametrize("claimed_fps", [6.0, 10.0, 25.0, 50.0])
def test_a_rate_that_is_only_claimed(claimed_fps: float) -> None:
    """Times that run too fast or too slow are not believed for long."""
    frames = [(i / claimed_fps, i / 12) for i in range(12 * 60)]
    times_s = seconds(stamps(frames))
    late = [at - t for (_, at), t in zip(frames[-len(times_s) :], times_s, strict=True)]
    assert all(-0.001 < x < 4.5 for x in late)
    assert all(abs(x) < 0.1 for x in late[12 * 15 :])
    assert all(abs(step - 1 / 12) < 0.02 for step in steps(times_s[12 * 15 :]))


@pytest.mark.parametrize("ppm", [-200, 200])
def test_clocks_drift_apart(ppm: int) -> None:
    """A camera's clock may be a little fast or slow; a day does not add that up."""
    fps = 1.0
    frames = [(i * (1 + ppm / 1e6), float(i)) for i in range(86_400)]
    times_s = seconds(stamps(frames))
    late = [at - t for (_, at), t in zip(frames[-len(times_s) :], times_s, strict=True)]
    assert all(-0.001 < x < 0.3 for x in late)
    assert all(abs(step - 1 / fps) < 0.01 for step in steps(times_s))


@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.none(), st.floats(-1e7, 1e7), st.sampled_from([0.0, WRAP_S, 1 / 15, 2 / 15])
            ),
            st.floats(0, 20),
        ),
        max_size=60,
    )
)
def test_nonsense(frames: list[tuple[float | None, float]]) -> None:
    """Whatever a stream claims, time increases, and never lies in the future."""
    clock, now_ns, last_ns = ArrivalClock(), START_NS, -1
    for pts_s, pause_s in frames:
        now_ns += round(pause_s * NS)
        stamp = clock.stamp(pts_s, now_ns)
        if stamp is not None:
            assert stamp.t_media_ns > last_ns
            last_ns = stamp.t_media_ns
            # Frames that arrive at one moment still need different times.
            assert stamp.t_media_ns <= now_ns + len(frames) * NS // 1000


def test_files_do_not_depend_on_when_they_are_read() -> None:
    """Only the times in the file count: a replay gives the same times, to the nanosecond."""
    pts = [0.0, 0.0, 0.067, 0.133, 0.133, 0.2, 0.1, 0.3, 500.0, 500.1]
    runs = []
    for speed in (0.0, 0.01, 3.0):
        clock = PlayClock(round(NS / 15))
        runs.append([clock.stamp(p, 1000 + round(i * speed * NS)) for i, p in enumerate(pts)])
    assert runs[0] == runs[1] == runs[2]
    times = [stamp.t_media_ns for stamp in runs[0]]
    assert times == sorted(set(times))
    assert [stamp.anew for stamp in runs[0]] == [i in (0, 6, 8) for i in range(len(pts))]
    assert times[7] - times[6] == round(0.2 * NS)


def test_pacing_follows_the_latest() -> None:
    """A file plays at its own rate; what comes late once is played that much later ever after."""
    pacer = Pacer()
    assert pacer.wait_s(START_NS, START_NS) == 0
    assert pacer.wait_s(START_NS + NS, START_NS) == 1
    assert pacer.wait_s(START_NS + 2 * NS, START_NS + 5 * NS) == 0
    assert pacer.wait_s(START_NS + 3 * NS, START_NS + 5 * NS) == 1


def test_pacing_leaves_no_backlog() -> None:
    """A stream whose clock is 50 ppm fast is played no later after a day than at its beginning."""
    pacer, now_ns = Pacer(melting=True), 0
    for second in range(86_400):
        arrived_ns = round(second * (1 - 50e-6) * NS)
        now_ns = max(now_ns, arrived_ns)
        now_ns += round(pacer.wait_s(second * NS, now_ns) * NS)
        assert now_ns - arrived_ns < NS


@pytest.mark.parametrize(
    ("source_fps", "taken"),
    [(5, 5), (10, 5), (15, 5), (25, 5), (30, 5), (60, 5), (12, 6), (20, 5), (3, 3), (1, 1)],
)
def test_even_choice(source_fps: int, taken: int) -> None:
    """Of the usual rates, exactly every k-th frame is analysed."""
    decimator = Decimator(5)
    chosen = [i for i in range(source_fps * 60) if decimator.wants(i * NS // source_fps)]
    assert len(chosen) == taken * 60
    assert len(set(steps([float(i) for i in chosen]))) == 1


@given(st.floats(5, 120), st.floats(1, 30), st.integers(0, 2**32))
def test_spacing(source_fps: float, fps: float, seed: int) -> None:
    """Whatever the rates, the chosen frames are within 40 % of the wanted spacing, or all."""
    rng = random.Random(seed)
    decimator = Decimator(fps)
    times = [round((i + rng.uniform(0, 0.02)) * NS / source_fps) for i in range(200)]
    chosen = [t for t in times if decimator.wants(t)][2:]
    if source_fps <= 1.3 * fps:
        assert len(chosen) >= len(times) - 3
    for a, b in pairwise(chosen):
        period_s = max(1 / fps, 1 / source_fps)
        assert 0.6 * period_s < (b - a) / NS < 1.4 * period_s


def test_lost_frames_do_not_shift_the_choice() -> None:
    """After a gap the next frame is taken, and the even choice goes on from there."""
    decimator = Decimator(5)
    kept = [i for i in range(300) if not 97 <= i < 110]
    chosen = [i for i in kept if decimator.wants(i * NS // 15)]
    assert 110 in chosen
    assert set(steps([float(i) for i in chosen])) <= {3.0, 14.0, 15.0}


def test_backoff_grows_spreads_and_starts_anew() -> None:
    """Waits double up to the longest, differ between cameras, and are short again after reset."""
    waits = [Backoff(0.25, 3, random.Random(s)).next_s() for s in range(9)]
    assert len(set(waits)) == 9
    backoff = Backoff(0.25, 3, random.Random(1))
    grown = [backoff.next_s() for _ in range(8)]
    for wait_s, longest_s in zip(grown, [0.25, 0.5, 1, 2, 3, 3, 3, 3], strict=True):
        assert longest_s / 2 <= wait_s <= longest_s
    backoff.reset()
    assert backoff.next_s() <= 0.25
    assert Backoff(0.25, 0.1).next_s() <= 0.1
