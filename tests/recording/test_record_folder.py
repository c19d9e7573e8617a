"""The recording's folder: its index whatever happened to it, budgets, a full disk, strangers."""

import json
import math
import os
import shutil
from pathlib import Path

import pytest
from disk import fill, small_disk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_rig import CAMERA, NO_LIMIT, Rig, RunningClock, record_file
from video import write_video

from sorawatch import ConfigError
from streamer.capture.source import Source
from streamer.recording.budget import Budget, surplus
from streamer.recording.index import CameraIndex, read_index
from streamer.recording.recorder import LOCK, RecordCamera, Recorder
from streamer.recording.recordings import cameras, faults, parse_utc, segments
from streamer.recording.segment import End, Segment

NOON = 1_795_780_800.0  # 2026-11-27T12:00:00Z


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("clip") / "c.mp4", 150, gop=15, size=(160, 120))


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten seconds at 60 frames a second: much to write in little time."""
    return write_video(tmp_path_factory.mktemp("fast") / "c.mp4", 600, gop=5, fps=60)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Path:
    out = tmp_path_factory.mktemp("original")
    record_file(out, clip, RunningClock(NOON))
    return out


@pytest.fixture
def out(tmp_path: Path, original: Path) -> Path:
    """A recording of five segments, two seconds each from noon on, to be spoilt."""
    return Path(shutil.copytree(original, tmp_path / "out"))


def index_of(out: Path) -> Path:
    return out / CAMERA / "index.jsonl"


def repaired(out: Path) -> list[Segment]:
    return CameraIndex(out / CAMERA).closed()


def test_segments_are_found_by_time(out: Path) -> None:
    """Those that hold any footage in the range, whole; a camera and a folder have to be there."""
    assert cameras(out) == [CAMERA]
    names = [segment.path.name[:8] for segment in segments(out, CAMERA, NOON + 3, NOON + 6)]
    assert names == ["12-00-02", "12-00-04"]
    assert len(segments(out, CAMERA, NOON + 9.5)) == 1
    assert not segments(out, CAMERA, NOON + 10.1)
    assert not segments(out, CAMERA, None, NOON)
    for folder, name in ((out, "hall"), (out, "../gate"), (out / CAMERA, CAMERA), (out / "x", "y")):
        with pytest.raises(ConfigError):
            segments(folder, name)


@given(share=st.floats(0, 1), noise=st.binary(max_size=40))
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_an_index_cut_off_anywhere_is_read_up_to_there(
    original: Path, tmp_path: Path, share: float, noise: bytes
) -> None:
    """A torn line costs itself; what was read before the cut is as it was, and nothing is added."""
    data = index_of(original).read_bytes()
    folder = tmp_path / CAMERA
    folder.mkdir(exist_ok=True)
    cut = data[: int(len(data) * share)]
    (folder / "index.jsonl").write_bytes(cut + noise)
    read = read_index(folder).segments
    whole = read_index(original / CAMERA).segments
    for file, segment in read.items():
        assert segment.frames in (whole[file].frames, 0)
    assert len(read) >= max(0, cut.count(b"\n") - 1) // 2 - 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.55, 0.9])
def test_a_torn_or_lost_index_is_made_again_from_the_files(out: Path, share: float) -> None:
    """Every segment is there again at its time (to a millisecond), those finished later adopted."""
    before = segments(out, CAMERA)
    data = index_of(out).read_bytes()
    index_of(out).write_bytes(data[: int(len(data) * share)])
    if not share:
        index_of(out).unlink()
    after = repaired(out)
    assert [one.file for one in after] == [one.file for one in before]
    assert [one.frames for one in after] == [one.frames for one in before]
    for one, other in zip(after, before, strict=True):
        assert one.start_utc_s == pytest.approx(other.start_utc_s, abs=2e-3)
        assert one.ended in (End.KILLED, other.ended)
    assert segments(out, CAMERA) == after
    assert index_of(out).read_bytes().count(b"\n") == 6


def test_what_a_killed_recorder_had_only_begun_leaves_nothing(out: Path) -> None:
    """A file without a fragment is removed; one that cannot be read is kept, and told."""
    day = out / CAMERA / "2026-11-27"
    before = segments(out, CAMERA)
    (day / "12-01-00.000.mp4").write_bytes(b"")
    (day / "12-02-00.000.mp4").write_bytes(b"no video")
    (day / "mine.txt").write_text("not ours")
    repaired(out)
    assert segments(out, CAMERA) == before
    assert sorted(path.name for path in day.iterdir())[5:] == ["12-02-00.000.mp4", "mine.txt"]
    assert [fault.kind for fault in faults(out, CAMERA)] == ["empty"]


def test_an_index_does_not_grow_for_ever(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a camera recorded for years it holds what is there, and not what was."""
    monkeypatch.setattr("streamer.recording.index._OUTDATED", 50)
    index = CameraIndex(out / CAMERA)
    kept = index.closed()
    for number in range(60):
        passing = segment(number, 0, out / CAMERA)
        index.begin(passing)
        index.finish(passing)
        index.remove(passing)
        index.flush()
        assert index_of(out).read_bytes().count(b"\n") < 80
    index.begin(segment(7, 0, out / CAMERA))
    index.flush()
    assert index.closed() == kept == segments(out, CAMERA)
    assert read_index(out / CAMERA).segments.keys() > {one.file for one in kept}


def test_an_index_of_another_version_is_refused(out: Path) -> None:
    """It is neither misread nor overwritten."""
    line = '{"format": "sorawatch.recording", "version": 2}\n'
    index_of(out).write_text(line)
    with pytest.raises(ConfigError, match="another version"):
        segments(out, CAMERA)
    with pytest.raises(ConfigError, match="another version"):
        repaired(out)
    assert index_of(out).read_text() == line


@pytest.mark.parametrize(
    "change",
    [
        {"file": "../../../etc/2026-11-27/12-00-00.500.mp4"},
        {"file": "/etc/passwd"},
        {"file": 7},
        {"start_utc_s": math.nan},
        {"duration_s": -1},
        {"frames": "many"},
        {"ended": "never"},
        {"width": None},
    ],
)
def test_a_forged_line_is_passed_over(out: Path, change: dict[str, object]) -> None:
    """An index leads to nothing outside its folder, and its numbers are numbers."""
    before = segments(out, CAMERA)
    line = json.loads(index_of(out).read_text().splitlines()[-1])
    with index_of(out).open("a") as index:
        index.write(json.dumps(line | change) + "\n")
    assert segments(out, CAMERA) == before
    assert [fault.kind for fault in faults(out, CAMERA)] == ["index"]


def test_what_is_wrong_with_a_recording_is_told(out: Path) -> None:
    """Gaps, truncated, empty and missing segments, each by name and time."""
    first, second, third, fourth, fifth = segments(out, CAMERA)
    second.path.unlink()
    third.path.write_bytes(third.path.read_bytes()[:-2000])
    fourth.path.write_bytes(b"")
    data = bytearray(fifth.path.read_bytes())
    data[-1500:] = bytes(1500)
    fifth.path.write_bytes(data)
    found = {(fault.kind, fault.text.split()[0]) for fault in faults(out, CAMERA, read=True)}
    assert {("missing", second.file), ("truncated", third.file), ("empty", fourth.file)} <= found
    assert ("truncated", fifth.file) in found or ("gap", "2.0") in found
    assert [one.kind for one in faults(out, CAMERA, NOON + 2.1, NOON + 2.2)] == ["missing", "gap"]
    assert first.path.exists()


def test_overlaps_of_a_foreign_index_are_told_and_undone(out: Path) -> None:
    """Whoever replays never gets the same moment twice."""
    lines = index_of(out).read_text().splitlines()
    moved = json.loads(lines[-1]) | {"start_utc_s": NOON + 7.0}
    index_of(out).write_text("\n".join([*lines, json.dumps(moved)]) + "\n")
    assert [fault.kind for fault in faults(out, CAMERA)] == ["overlap"]
    found = segments(out, CAMERA)
    assert found[-1].start_utc_s == found[-2].end_utc_s
    assert found[-1].clock_ahead_s == pytest.approx(1.0, abs=0.01)


def segment(number: int, size: int, folder: Path = Path("/x/gate")) -> Segment:
    path = folder / f"2026-11-28/12-00-{number:02}.000.mp4"
    return Segment(path, folder.name, number, 1.0, 15, size, True, "h264", 64, 64, End.BOUNDARY)


@given(
    sizes=st.lists(st.integers(0, 100), max_size=30),
    limit=st.integers(0, 1000),
    age_s=st.integers(0, 40),
    open_bytes=st.integers(0, 200),
)
def test_a_budget_takes_the_oldest_and_no_more_than_needed(
    sizes: list[int], limit: int, age_s: int, open_bytes: int
) -> None:
    """What stays fits, unless it is open; had one more stayed, it would not."""
    closed = [segment(number, size) for number, size in enumerate(sizes)]
    budget = Budget(max_bytes=limit, max_age_s=float(age_s))
    gone = surplus(reversed(closed), open_bytes, budget, 31.0)
    assert gone == closed[: len(gone)]
    kept = closed[len(gone) :]
    assert not kept or open_bytes + sum(one.bytes for one in kept) <= limit
    assert all(31.0 - one.end_utc_s <= age_s for one in kept)
    if gone:
        too_much = open_bytes + sum(one.bytes for one in [gone[-1], *kept]) > limit
        assert too_much or 31.0 - gone[-1].end_utc_s > age_s


def test_a_recorder_keeps_its_budget_over_all_cameras(out: Path, clip: Path) -> None:
    """The oldest segments go, of cameras recorded earlier too, from disk and index alike."""
    size = sum(one.bytes for one in segments(out, CAMERA))
    budget = Budget(max_bytes=round(size * 1.45), keep_free_bytes=0)
    clock = RunningClock(NOON + 60)
    with Rig(out, {"hall": str(clip)}, segment_s=2.0, budget=budget, clock=clock) as rig:
        assert rig.recorder.wait(20)
    assert rig.recorder.removed >= 3
    kept = segments(out, CAMERA) + segments(out, "hall")
    assert len(segments(out, "hall")) == 5
    assert sum(one.bytes for one in kept) <= budget.max_bytes  # type: ignore[operator]
    files = set(out.glob("*/*/*.mp4"))
    assert files == {one.path for one in kept}
    with Rig(out, {}, budget=Budget(max_age_s=60.0, keep_free_bytes=0)) as rig:
        assert not list(out.glob("*/*/*.mp4"))
    assert not list(out.glob("*/2026*"))


def test_a_full_disk_stops_recording_and_hurts_nothing(
    tmp_path: Path, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, what was recorded stays whole, and it goes on when there is room."""
    monkeypatch.setattr("streamer.recording.recorder._ROOM_S", 0.1)
    with small_disk(tmp_path / "disk", 4096) as disk:
        out = disk / "out"
        budget = Budget(keep_free_bytes=1_000_000)
        with Rig(out, {CAMERA: str(fast)}, budget=budget) as rig:
            rig.until_frames(20)
            ballast = fill(disk, leave=500_000)
            rig.until(lambda: "disk is full" in rig.recorder.condition)
            rig.until(lambda: "disk_full" in index_of(out).read_text())
            ballast.unlink()
            rig.until(lambda: not rig.recorder.condition)
            rig.until_frames(10)
        assert rig.recorder.times_full == 1
        found = segments(out, CAMERA)
        assert End.DISK_FULL in [one.ended for one in found]
        assert all(one.complete for one in found)
        assert {fault.kind for fault in faults(out, CAMERA, read=True)} <= {"gap"}


def test_a_disk_that_takes_nothing_at_all_hurts_nothing(
    tmp_path: Path, fast: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same where the write itself fails: what is on the disk is told, to the frame."""
    monkeypatch.setattr("streamer.recording.recorder._ROOM_S", 0.1)
    monkeypatch.setattr("streamer.recording.room._RETRY_S", 0.5)
    with small_disk(tmp_path / "disk", 1024) as disk:
        out = disk / "out"
        with Rig(out, {CAMERA: str(fast)}, segment_s=60.0) as rig:
            rig.until_frames(90)
            ballast = fill(disk)
            rig.until(lambda: "disk is full" in rig.recorder.condition)
            ballast.unlink()
            rig.until(lambda: not rig.recorder.condition)
            rig.until_frames(10)
        found = segments(out, CAMERA)
        assert [one.complete for one in found] == [False, True]
        assert found[0].ended is End.DISK_FULL
        assert found[0].frames >= 30
        assert {fault.kind for fault in faults(out, CAMERA, read=True)} <= {"gap", "truncated"}
        assert repaired(out) == found


def test_one_recorder_at_a_time(tmp_path: Path, clip: Path) -> None:
    """A second one in the same folder is refused before it touches anything."""
    with Rig(tmp_path, {CAMERA: str(clip)}):
        second = Recorder({"hall": RecordCamera(Source.parse(str(clip)))}, tmp_path, NO_LIMIT)
        with pytest.raises(ConfigError, match="another `sorawatch record`"), second:
            pass
        assert not (tmp_path / "hall").exists()
    assert (tmp_path / LOCK).exists()


@pytest.mark.parametrize("name", ["../gate", "a/b", "", ".", "..", "x" * 65, "a\0b", "gate\n"])
def test_no_camera_leaves_the_folder(tmp_path: Path, name: str) -> None:
    """Its name is a folder's name and nothing more."""
    with pytest.raises(ConfigError, match="a name is"):
        Recorder({name: RecordCamera(Source.parse("x.mp4"))}, tmp_path)
    with pytest.raises(ConfigError):
        segments(tmp_path, name)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """A file in its place, or another owner's folder."""
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(ConfigError, match="not a folder"):
            Rig(out, {}).__enter__()
    if os.geteuid():
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(ConfigError, match="cannot be written"):
            Rig(tmp_path / "closed", {}).__enter__()


@pytest.mark.parametrize(
    ("text", "utc_s"),
    [
        ("1795780800.5", NOON + 0.5),
        ("2026-11-27T12:00", NOON),
        ("2026-11-27 12:00:00Z", NOON),
        ("2026-11-27T13:00:00+01:00", NOON),
        ("2026-11-27", NOON - 12 * 3600),
    ],
)
def test_times_are_written_as_people_do(text: str, utc_s: float) -> None:
    """UTC, whatever the machine's zone."""
    assert parse_utc(text) == utc_s


@pytest.mark.parametrize("text", ["", "noon", "nan", "inf", "12:00", "2026-13-01"])
def test_what_is_no_time_is_told(text: str) -> None:
    """And how to write one."""
    with pytest.raises(ConfigError, match="2026-11-27T14:30:00"):
        parse_utc(text)


@pytest.mark.parametrize("start_utc_s", [1e300, -9e10])
def test_a_time_that_is_none_costs_its_line_alone(out: Path, start_utc_s: float) -> None:
    """What no calendar holds is not listed, nor does it end the listing."""
    lines = index_of(out).read_text().splitlines()
    wrong = json.dumps(json.loads(lines[-1]) | {"start_utc_s": start_utc_s})
    index_of(out).write_text("\n".join([*lines, wrong]) + "\n")
    assert read_index(out / CAMERA).bad_lines == 1
    assert len(segments(out, CAMERA)) == 5
