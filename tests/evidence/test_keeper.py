"""The folder of evidence stays within its bounds, and nothing else is touched."""

import os
from pathlib import Path

import pytest

from streamer.evidence.keeper import Bounds, Kept, keep, remove_unfinished

NOW_S = 2_000_000_000.0


def put(folder: Path, number: int, camera: str = "gate", size: int = 100) -> list[Path]:
    """Picture and clip of an event, written so many days before now."""
    made = []
    (folder / camera).mkdir(parents=True, exist_ok=True)
    for suffix in (".jpg", ".mp4"):
        path = folder / camera / f"{number}.000000-abcdef{suffix}"
        path.write_bytes(bytes(size))
        os.utime(path, (NOW_S - number * 86400,) * 2)
        made.append(path)
    return made


def left(folder: Path) -> set[int]:
    """Events that have files."""
    return {int(path.name.split(".")[0]) for path in folder.glob("*/*-abcdef.*")}


def test_too_old(tmp_path: Path) -> None:
    """What was written longer ago goes, picture and clip; what has no age limit stays."""
    for number in range(1, 10):
        put(tmp_path, number, f"cam{number % 2}")
    assert keep(tmp_path, Bounds(), NOW_S) == Kept(18, 1800, 0)
    assert keep(tmp_path, Bounds(max_age_s=5.5 * 86400), NOW_S) == Kept(10, 1000, 8)
    assert left(tmp_path) == {1, 2, 3, 4, 5}


def test_too_much(tmp_path: Path) -> None:
    """The oldest events of all cameras go until the rest fits; an open one never does."""
    for number in range(1, 10):
        put(tmp_path, number, f"cam{number % 2}")
    open_event = "9.000000-abcdef"
    kept = keep(tmp_path, Bounds(max_bytes=650), NOW_S, {open_event})
    assert left(tmp_path) == {1, 2, 9}
    assert kept == Kept(6, 600, 12)
    assert keep(tmp_path, Bounds(max_bytes=0, max_age_s=0), NOW_S, {open_event}).files == 2


def test_a_disk_that_fills(tmp_path: Path) -> None:
    """Whoever fills the disk, the oldest events go until enough is free, and no more."""
    for number in range(1, 6):
        put(tmp_path, number)
    free = iter([100, 200, 300, 600, 600])
    kept = keep(tmp_path, Bounds(keep_free_bytes=500), NOW_S, free_bytes=lambda _: next(free))
    assert kept.removed == 6
    assert left(tmp_path) == {1, 2}


def test_nothing_else_is_touched(tmp_path: Path) -> None:
    """Foreign files, links, and what links lead to stay, however small the bounds are."""
    folder, outside = tmp_path / "evidence", tmp_path / "outside"
    mine = put(outside, 3) + put(outside / "gate", 4)
    put(folder, 5)
    (folder / "gate" / "6.000000-abcdef.jpg").symlink_to(mine[0])
    (folder / "yard").symlink_to(outside / "gate")
    foreign = ["notes.txt", "7.000000-abcdef.txt", "7.jpg", "x7.000000-abcdef.jpg", ".hidden.jpg"]
    for name in foreign:
        (folder / "gate" / name).write_text("mine")
        (folder / name).write_text("mine")
    put(folder / "gate", 8)  # a level too deep
    put(folder, 9, "no camera's")
    (folder / "gate" / "10.000000-abcdef.jpg").mkdir()
    before = {path for path in tmp_path.rglob("*") if "5.000000" not in path.name}
    kept = keep(folder, Bounds(max_age_s=0, max_bytes=0, keep_free_bytes=10**18), NOW_S)
    assert kept == Kept(0, 0, 2)
    assert set(tmp_path.rglob("*")) == before


def test_what_a_killed_program_left_goes_at_the_start(tmp_path: Path) -> None:
    """Unfinished files go; whole ones stay. While running, young unfinished ones stay too."""
    put(tmp_path, 1)
    parts = [tmp_path / "gate" / f"2.000000-abcdef{end}" for end in (".mp4.part", ".part")]
    for part in parts:
        part.write_bytes(b"half")
        os.utime(part, (NOW_S - 10,) * 2)
    assert keep(tmp_path, Bounds(max_bytes=0), NOW_S).removed == 2
    assert all(part.exists() for part in parts)
    assert remove_unfinished(tmp_path) == 2
    assert not any(part.exists() for part in parts)


def test_a_folder_that_is_not_there(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing to keep is nothing to do; what is no folder is told."""
    assert keep(tmp_path / "none", Bounds(), NOW_S) == Kept(0, 0, 0)
    assert remove_unfinished(tmp_path / "none") == 0
    assert not caplog.text
    (tmp_path / "file").write_text("")
    assert keep(tmp_path / "file", Bounds(), NOW_S) == Kept(0, 0, 0)
    assert "file" in caplog.text
