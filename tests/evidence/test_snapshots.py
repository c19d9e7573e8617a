"""Pictures of alerts: written, replaced, given up on, and forgotten."""

import os
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from alerts.event import EventDraft, Explanation, Region
from streamer.evidence import snapshots as module
from streamer.evidence.snapshots import LiveSnapshots, Snapshots, mark


def draft(camera: str = "gate", number: int = 1) -> EventDraft:
    return EventDraft(
        type="new", id=f"{number}.000000-abcdef", camera=camera, kind="anomaly", severity="alert",
        time=1.0, start_time=1.0, score=7.3, region=Region(x=0.25, y=0.5, width=0.5, height=0.25),
        explanation=Explanation(text="faster than anything seen here"),
    )  # fmt: skip


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (180, 320), (480, 640)])
def test_the_place_is_framed(size: tuple[int, int]) -> None:
    """A copy of a picture of any size has the region framed; the picture itself stays."""
    picture = np.full((*size, 3), 128, np.uint8)
    marked = mark(picture, draft())
    assert marked.shape == picture.shape
    assert (picture == 128).all()
    if size[0] > 100:
        top, left = size[0] // 2, size[1] // 4
        assert (marked[top, left : left + size[1] // 2, 2] > 200).all()
        assert (marked[10, 10] == 128).all()


def test_a_worse_moment_replaces_the_picture(tmp_path: Path) -> None:
    """One file for each event, by camera; the newest picture is in it."""
    snapshots = Snapshots(tmp_path / "pictures")
    paths = {snapshots.write(draft(), np.full((90, 160, 3), grey, np.uint8)) for grey in (50, 200)}
    assert len(paths) == 1
    (path,) = paths
    assert path is not None
    picture = cv2.imread(path)
    assert picture is not None
    assert picture[5, 5].mean() > 150
    assert os.listdir(tmp_path / "pictures") == ["gate"]
    assert os.listdir(tmp_path / "pictures/gate") == [Path(path).name]


def test_a_folder_that_cannot_be_written_costs_the_picture_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be written is logged with its path; the event can go out without it."""
    (tmp_path / "pictures").write_text("a file")
    assert Snapshots(tmp_path / "pictures").write(draft(), np.zeros((9, 9, 3), np.uint8)) is None
    assert str(tmp_path / "pictures") in caplog.text


def test_a_folder_that_cannot_be_asked_has_no_picture(tmp_path: Path) -> None:
    """An event ends without its picture when its folder is gone in whatever way."""
    snapshots = Snapshots(tmp_path / ("x" * 300))  # "File name too long"
    assert snapshots.existing(draft()) is None
    assert snapshots.forget(1e12) == 0


def test_old_pictures_are_forgotten(tmp_path: Path) -> None:
    """Pictures older than what the outbox keeps go; younger ones and foreign files stay."""
    snapshots = Snapshots(tmp_path)
    old, new = (snapshots.write(draft(number=n), np.zeros((9, 9, 3), np.uint8)) for n in (1, 2))
    assert old is not None
    assert new is not None
    os.utime(old, (1000, 1000))
    (tmp_path / "gate" / "notes.txt").write_text("mine")
    os.utime(tmp_path / "gate" / "notes.txt", (1000, 1000))
    assert snapshots.forget(before_utc_s=2000) == 1
    assert sorted(os.listdir(tmp_path / "gate")) == sorted([Path(new).name, "notes.txt"])
    assert Snapshots(tmp_path / "none").forget(2000) == 0


def test_a_disk_that_hangs_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first picture is waited for a moment, the next ones not at all; then all is well."""
    picture = np.zeros((9, 9, 3), np.uint8)
    go, real = threading.Event(), os.replace

    def hanging(part: Path, path: Path) -> None:
        assert go.wait(20)
        real(part, path)

    with LiveSnapshots(tmp_path) as snapshots:
        assert snapshots.write(draft(number=1), picture) is not None
        monkeypatch.setattr(module.os, "replace", hanging)
        began_s = time.monotonic()
        assert snapshots.write(draft(number=2), picture) is None
        assert snapshots.write(draft(number=3), picture) is None
        assert time.monotonic() - began_s < 5
        assert (snapshots.failed, "earlier picture" in snapshots.problem) == (2, True)
        assert snapshots.existing(draft(number=1)) == str(snapshots.path(draft(number=1)))
        assert snapshots.existing(draft(number=2)) is None
        go.set()
        assert snapshots._idle.wait(20)
        assert snapshots.write(draft(number=4), picture) is not None
        assert (snapshots.failed, snapshots.problem) == (2, "")


@pytest.mark.parametrize("camera", ["..", ".", "a b"])
def test_a_picture_cannot_leave_its_folder(tmp_path: Path, camera: str) -> None:
    """A camera that is called like a way out has no pictures."""
    snapshots = Snapshots(tmp_path / "pictures")
    assert snapshots.write(draft(camera), np.zeros((9, 9, 3), np.uint8)) is None
    assert snapshots.existing(draft(camera)) is None
    assert not list(tmp_path.iterdir())


def test_a_full_disk_does_not_flood_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Pictures that cannot be written are all counted, and said at the 1st, 2nd, 4th, 8th time."""
    (tmp_path / "pictures").write_text("a file where the folder should be")
    snapshots = Snapshots(tmp_path / "pictures")
    for number in range(9):
        assert snapshots.write(draft(number=number), np.zeros((9, 9, 3), np.uint8)) is None
    assert (snapshots.failed, len(caplog.records)) == (9, 4)
