"""What is recorded: the camera's own bytes, cut where they should be, at the times they had."""

import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
from record_rig import CAMERA, RunningClock, packets_of, record_file
from video import number_of, write_video

from sorawatch import SourceError
from streamer.capture.opener import open_source
from streamer.capture.source import Source
from streamer.recording.measure import measure
from streamer.recording.recordings import faults, segments
from streamer.recording.segment import End, Segment

NOON = 1_795_780_800.0  # 2026-11-27T12:00:00Z


def write_reordered(path: Path) -> Path:
    """H.264 whose frames are not in the order in which they are shown."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg here")
    options = "-loglevel error -f lavfi -i testsrc=size=160x120:rate=15 -t 5 -c:v libx264 -bf 3"
    subprocess.run(["ffmpeg", "-y", *options.split(), "-g", "15", str(path)], check=True)
    return path


@pytest.mark.parametrize(
    ("codec", "suffix", "name"),
    [
        ("libx264", ".mp4", "h264"),
        ("libx264", ".mkv", "h264"),
        ("libx265", ".mp4", "hevc"),
        ("mjpeg", ".avi", "mjpeg"),
        ("reordered", ".mp4", "h264"),
    ],
)
def test_what_is_recorded_is_what_was_sent(
    tmp_path: Path, codec: str, suffix: str, name: str
) -> None:
    """Not a byte of a picture changes, and each keeps its time to a tick of its stream's clock."""
    clip = tmp_path / f"clip{suffix}"
    if codec == "reordered":
        write_reordered(clip)
    else:
        write_video(clip, 75, codec=codec, size=(160, 120))
    record_file(tmp_path / "out", clip, RunningClock(NOON + 0.5))
    found = segments(tmp_path / "out", CAMERA)
    assert {segment.codec for segment in found} == {name}
    assert {(segment.width, segment.height) for segment in found} == {(160, 120)}
    recorded = [
        (segment.start_utc_s + at_s, data)
        for segment in found
        for at_s, data in packets_of(segment.path)
    ]
    sent = packets_of(clip)
    assert [data for _, data in recorded] == [data for _, data in sent]
    first_s = found[0].start_utc_s - sent[0][0]
    assert [utc_s - first_s for utc_s, _ in recorded] == pytest.approx(
        [at_s for at_s, _ in sent], abs=1e-3
    )
    assert not faults(tmp_path / "out", CAMERA, read=True)


def test_segments_are_cut_at_key_frames_on_even_times(tmp_path: Path) -> None:
    """Each holds what belongs between two multiples of --segment, as far as key frames allow."""
    clip = write_video(tmp_path / "clip.mp4", 150, gop=5, size=(160, 120))
    record_file(tmp_path / "out", clip, RunningClock(NOON + 0.5))
    found = segments(tmp_path / "out", CAMERA)
    starts = [segment.start_utc_s - NOON for segment in found]
    assert starts == pytest.approx([0.5, 2.1667, 4.1667, 6.1667, 8.1667, 10.1667], abs=0.01)
    assert [segment.frames for segment in found] == [25, 30, 30, 30, 30, 5]
    for before, after in pairwise(found):
        assert before.end_utc_s == pytest.approx(after.start_utc_s, abs=1e-5)
    assert found[0].file == "2026-11-27/12-00-00.500.mp4"
    assert [segment.ended for segment in found] == [End.BOUNDARY] * 5 + [End.ENDED]
    assert all(segment.complete for segment in found)


def test_segments_open_where_footage_is_read(tmp_path: Path) -> None:
    """The program's own reader sees every frame of a segment, in order."""
    clip = write_video(tmp_path / "clip.mp4", 45, gop=15)
    record_file(tmp_path / "out", clip, RunningClock(NOON))
    numbers = []
    for segment in segments(tmp_path / "out", CAMERA):
        reader = open_source(Source.parse(str(segment.path)))
        while reader.grab():
            numbers.append(number_of(reader.retrieve()))
        reader.close()
    assert numbers == list(range(45))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Segment:
    """A segment of ten seconds."""
    folder = tmp_path_factory.mktemp("whole")
    clip = write_video(folder / "clip.mp4", 150, gop=30, size=(160, 120))
    record_file(folder / "out", clip, RunningClock(NOON), segment_s=60)
    (found,) = segments(folder / "out", CAMERA)
    return found


def test_a_segment_cut_off_anywhere_plays_up_to_its_last_fragment(
    whole: Segment, tmp_path: Path
) -> None:
    """Whatever a power cut leaves of a file loses a second or so before the cut, and no more."""
    data = whole.path.read_bytes()
    pictures = packets_of(whole.path)
    torn = tmp_path / "torn.mp4"
    sizes = [len(data) * part // 40 for part in range(41)]
    lost = []
    for size in sizes:
        torn.write_bytes(data[:size])
        try:
            frames = measure(torn).frames
        except SourceError:
            frames = 0
        assert packets_of(torn)[:frames] == pictures[:frames] if frames else True
        there = sum(1 for at in range(len(pictures)) if held(pictures, at) <= size)
        lost.append(there - frames)
    assert lost[-1] <= 0
    assert max(lost) <= 2 * 15 + 1, lost


def held(pictures: list[tuple[float, bytes]], index: int) -> int:
    """Bytes of the pictures up to this one: a file that is smaller cannot hold it."""
    return sum(len(data) for _, data in pictures[: index + 1])


def test_a_wall_clock_that_steps_back_never_makes_segments_overlap(tmp_path: Path) -> None:
    """Nothing is lost, time in the index goes on, and it says by how much it is ahead."""
    clip = write_video(tmp_path / "clip.mp4", 180, gop=15, size=(160, 120))
    rig = record_file(tmp_path / "out", clip, RunningClock(NOON, {5.5: -3.0}))
    found = segments(tmp_path / "out", CAMERA)
    assert sum(segment.frames for segment in found) == rig.frames == 180
    for before, after in pairwise(found):
        assert after.start_utc_s == pytest.approx(before.end_utc_s, abs=1e-3)
    assert End.CLOCK_BACK in [segment.ended for segment in found]
    assert found[0].clock_ahead_s == 0
    assert found[-1].clock_ahead_s == pytest.approx(3.0, abs=0.3)  # it heals, frame by frame
    recorded_s = 0.0
    for segment in found:
        wall_s = segment.start_utc_s - segment.clock_ahead_s - NOON
        assert wall_s == pytest.approx(recorded_s - (3.0 if recorded_s > 5.5 else 0.0), abs=0.01)
        recorded_s += segment.frames / 15
    assert "clock" in {fault.kind for fault in faults(tmp_path / "out", CAMERA)}


def test_a_wall_clock_that_steps_forward_leaves_a_gap(tmp_path: Path) -> None:
    """What was recorded before keeps its time, what comes after has the new one."""
    clip = write_video(tmp_path / "clip.mp4", 180, gop=15, size=(160, 120))
    record_file(tmp_path / "out", clip, RunningClock(NOON, {5.5: 3600.0}))
    found = segments(tmp_path / "out", CAMERA)
    assert sum(segment.frames for segment in found) == 180
    assert found[-1].end_utc_s - NOON == pytest.approx(3612.0, abs=0.1)
    assert {segment.clock_ahead_s for segment in found} == {0}
    (gap,) = faults(tmp_path / "out", CAMERA)
    assert gap.kind == "gap"
    assert "clock_forward" in gap.text


def test_a_recording_that_goes_on_before_its_own_end_does_not_overlap(tmp_path: Path) -> None:
    """The same after a restart on a machine whose clock has been set back meanwhile."""
    clip = write_video(tmp_path / "clip.mp4", 45, gop=15, size=(160, 120))
    record_file(tmp_path / "out", clip, RunningClock(NOON))
    record_file(tmp_path / "out", clip, RunningClock(NOON - 60))
    found = segments(tmp_path / "out", CAMERA)
    assert sum(segment.frames for segment in found) == 90
    assert found[-1].start_utc_s >= NOON + 3.0
    assert found[-1].start_utc_s - found[-1].clock_ahead_s < NOON - 57
    assert not [one for one in faults(tmp_path / "out", CAMERA) if one.kind == "overlap"]
