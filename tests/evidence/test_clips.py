"""Clips: what is in them, that they come, and what happens where they cannot."""

import os
import random
import signal
import threading
import time
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NoReturn

import pytest
from disk import fill, small_disk
from evidence_rig import FPS, UTC_S, desk, draft, ended, number_of, picture, read_film, wait_for

from sorawatch import ResourceError
from streamer.capture.reduce import luma_for_analysis
from streamer.evidence import clip, process
from streamer.evidence import desk as desk_module
from streamer.evidence.clip import find_encoder, write_clip
from streamer.evidence.cutter import ClipSettings, Cut, Cutter
from streamer.evidence.keeper import remove_unfinished
from streamer.evidence.names import evidence_path
from streamer.evidence.process import Encoding
from streamer.evidence.reel import STILL_EVERY_S, Changes, Reel, Still, compress


def test_the_start_is_never_missing(tmp_path: Path) -> None:
    """Of 100 events at random times, told late, the clip begins with the pre-roll or before it.

    Whatever moved before: where nothing did there is a picture a second, and one of those is at
    or before that moment.
    """
    rng = random.Random(7)
    encoder = find_encoder()
    jpegs = [compress(picture(number, 96, 64)) for number in range(64)]
    for number in range(100):
        pre_s, post_s = rng.choice([0.0, 1.0, 3.0, 5.0]), rng.uniform(0, 4)
        fps = rng.choice([2.0, 5.0, 8.0, 15.0])
        start_at = rng.randrange(round((pre_s + 2) * fps), round((pre_s + 20) * fps))
        told_at = start_at + round(rng.uniform(0.6, 12) * fps)  # after a cooldown, at the worst
        end_at = told_at + round(rng.uniform(0, 8) * fps)
        lag = round(rng.uniform(0, 3) * fps)  # the analysis is late
        still_until = rng.choice([0, start_at, start_at // 2])
        cutter = Cutter(ClipSettings(tmp_path, pre_s, post_s, 60.0))
        changes, cuts, at = Changes(), [], 0
        start_s = UTC_S + start_at / fps
        while not cuts:
            shown = picture(0 if at < still_until else at, 96, 64)
            if changes.wanted(luma_for_analysis(shown), at / fps):
                jpeg = jpegs[at % 64]
                assert jpeg is not None
                cutter.add(Still(UTC_S + at / fps, at / fps, jpeg))
            if at == start_at + lag:
                cutter.follow(start_s)
            if at == told_at + lag:
                cutter.begin("e", start_s)
            if at == end_at + lag:
                cutter.follow(None)
                cutter.end("e", UTC_S + end_at / fps, 0.0)
            cuts = list(cutter.due(UTC_S + at / fps, 0.0))
            at += 1
        stills = cuts[0].stills
        assert start_s - pre_s - STILL_EVERY_S - 1 / fps <= stills[0].utc_s
        assert stills[0].utc_s <= start_s - pre_s + 1e-6
        assert stills[-1].utc_s >= UTC_S + (end_at - 1) / fps + post_s - STILL_EVERY_S
        if number % 10 == 0:
            path = tmp_path / f"{number}.mp4"
            write_clip(path, stills, "e", encoder)
            film = read_film(path)
            assert film.start_utc_s == pytest.approx(stills[0].utc_s, abs=1e-5)
            assert film.times_s == pytest.approx([s.t_s - stills[0].t_s for s in stills], abs=1e-3)


def test_an_event_ends_with_its_clip(tmp_path: Path) -> None:
    """The `end` is told once the clip is there, and the clip shows what was analysed."""
    with desk(tmp_path) as d:
        d.clips.follow("gate", UTC_S + 5)
        new = d.clips.pass_on(draft("new", 5.0))
        assert new is not None
        assert new.clip is None
        assert d.clips.open_events() == {new.id}
        assert d.clips.pass_on(ended(5.0, 8.0)) is None
        end = d.next()
        assert not d.clips.open_events()
        status = d.clips.status
    assert end.clip == str(tmp_path / "gate" / f"{new.id}.mp4")
    assert (status.written, status.dropped, status.problem) == (1, {}, "")
    assert status.missed == 0
    film = read_film(Path(end.clip))
    assert film.event == new.id
    assert (film.codec, film.pix_fmt, film.moov_first) == ("h264", "yuv420p", True)
    assert film.start_utc_s == pytest.approx(UTC_S + 3, abs=1e-3)
    assert [number_of(shown) for shown in film.pictures] == list(range(15, 51))
    assert film.times_s == pytest.approx([n / FPS for n in range(36)], abs=1e-3)
    assert os.listdir(tmp_path / "gate") == [f"{new.id}.mp4"]


def test_an_event_too_long_for_a_clip_has_one_before_it_ends(tmp_path: Path) -> None:
    """A clip ends with the longest; messages that come after it was written name it."""
    with desk(tmp_path, longest_s=6.0) as d:
        new = d.clips.pass_on(draft("new", 3.0))
        # No message says that it is written: the next event's, which comes after it, is waited for.
        d.clips.pass_on(draft("new", 4.0))
        d.clips.pass_on(ended(4.0, 4.2))
        d.next()
        update = d.clips.pass_on(draft("update", 3.0))
        end = d.clips.pass_on(ended(3.0, 400.0))
        assert new is not None
        assert update is not None
        assert end is not None
    assert update.clip == end.clip == str(tmp_path / "gate" / f"{new.id}.mp4")
    assert len(read_film(Path(end.clip)).pictures) == 31


def test_what_the_camera_no_longer_shows_ends_the_clip(tmp_path: Path) -> None:
    """A camera that is taken out in the middle of the post-roll leaves the clip that there is."""
    with desk(tmp_path) as d:
        d.clips.pass_on(draft("new", 4.0))
        d.clips.pass_on(ended(4.0, 4.2))
        assert d.next().clip is not None  # its process has started, and looks at the camera
        d.clips.pass_on(draft("new", 10.0))
        assert d.clips.pass_on(ended(10.0, 11.9, ended_by="camera_lost")) is None
        d.clips.remove("gate")
        end = d.next()
    assert end.clip is not None
    assert number_of(read_film(Path(end.clip)).pictures[-1]) == 59


def test_stopping_tells_every_end(tmp_path: Path) -> None:
    """What is held when the program stops is told, with its clip where that could still be made."""
    with desk(tmp_path) as d:
        d.clips.pass_on(draft("new", 10.0))
        d.clips.pass_on(ended(10.0, 11.8))
    end = d.told.get_nowait()
    assert end.type == "end"
    assert end.clip is None or Path(end.clip).exists()


def test_health_events_and_strangers_pass() -> None:
    """What has no clip is not held."""
    with desk(Path("/nowhere"), frames=1) as d:
        assert d.clips.pass_on(ended(1.0, 2.0)) == ended(1.0, 2.0)


def killed_main(connection: Connection, settings: ClipSettings, log_level: int) -> NoReturn:
    """The process that makes clips, killed in the middle of one."""
    left = iter(range(32))
    real = clip._picture

    def killed(*arguments: object) -> object:
        if next(left, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*arguments)  # type: ignore[arg-type]

    clip._picture = killed  # type: ignore[assignment]
    process.evidence_main(connection, settings, log_level)


def test_killed_in_the_middle_of_a_clip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """There is no half clip under a clip's name; the event ends without, and it is counted."""
    monkeypatch.setattr(desk_module, "evidence_main", killed_main)
    with desk(tmp_path) as d:
        new = d.clips.pass_on(draft("new", 5.0))
        assert new is not None
        d.clips.pass_on(ended(5.0, 8.0))
        end = d.next()
        status = d.clips.status
    assert (end.type, end.clip) == ("end", None)
    assert status.dropped == {"died": 1}
    assert "died" in status.problem
    assert "died" in caplog.text
    assert os.listdir(tmp_path / "gate") == [f"{new.id}.mp4.part"]
    assert remove_unfinished(tmp_path) == 1, "so does the next start"


def no_encoder_main(connection: Connection, settings: ClipSettings, log_level: int) -> NoReturn:
    """The same with a PyAV that cannot make H.264."""
    clip.ENCODERS.clear()  # type: ignore[attr-defined]
    process.evidence_main(connection, settings, log_level)


def test_a_pyav_without_h264(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once, with what to do; events end at once, without clips, and are counted."""
    monkeypatch.setattr(desk_module, "evidence_main", no_encoder_main)
    with desk(tmp_path) as d:
        d.clips.pass_on(draft("new", 5.0))
        assert d.clips.pass_on(ended(5.0, 8.0)) is None
        assert d.next().clip is None
        d.clips.pass_on(draft("new", 6.0))
        end = d.clips.pass_on(ended(6.0, 8.0))
        status = d.clips.status
    assert end is not None
    assert end.clip is None
    assert status.dropped == {"off": 2}
    assert "libx264" in status.problem
    assert caplog.text.count("libx264") == 1
    monkeypatch.setattr(clip, "ENCODERS", {"no_such_encoder": {}})
    with pytest.raises(ResourceError, match="pip install av"):
        find_encoder()


def test_a_process_that_hangs_delays_ends_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages pass at once whatever the process does; an `end` waits no longer than said."""
    monkeypatch.setattr(desk_module, "HOLD_S", -1.5)  # of post-roll, and so half a second in all
    with desk(tmp_path) as d:
        d.clips.pass_on(draft("new", 5.0))
        d.clips.pass_on(ended(5.0, 6.0))
        d.next()  # the process is there
        pid = d.clips.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        began_s = time.thread_time()
        for number in range(20_000):
            d.clips.follow("gate", UTC_S + number)
        d.clips.pass_on(draft("new", 6.0))
        assert time.thread_time() - began_s < 5
        d.clips.pass_on(ended(6.0, 7.0))
        assert d.next().clip is None
        assert d.clips.status.dropped["late"] >= 1


def test_too_many_clips_at_once_cost_clips_alone() -> None:
    """The queue is bounded by number and by bytes; what does not fit is dropped and said."""
    go, entered, done = threading.Event(), threading.Event(), {}

    def write(_camera: str, cut: Cut) -> None:
        entered.set()
        wait_for(go)
        if cut.event_id == "c":
            raise OSError(28, "No space left on device")

    stills = (Still(0.0, 0.0, bytes(100)),)
    encoding = Encoding(write, lambda event, problem: done.update({event: problem}), 2, 350)
    encoding.start()
    encoding.put("gate", Cut("a", stills))
    wait_for(entered)
    for event in "bcd":
        encoding.put("gate", Cut(event, stills))
    assert done == {"d": "behind"}
    go.set()
    encoding.finish(5)
    assert done == {"a": None, "b": None, "c": "disk: No space left on device", "d": "behind"}


def test_a_full_disk(tmp_path: Path) -> None:
    """A clip that does not fit leaves nothing, and the event goes out; with room it goes on."""
    with small_disk(tmp_path / "disk", 200) as folder, desk(folder) as d:
        ballast = fill(folder, leave=8000)
        d.clips.pass_on(draft("new", 5.0))
        d.clips.pass_on(ended(5.0, 8.0))
        assert d.next().clip is None
        assert d.clips.status.dropped == {"disk": 1}
        assert "No space left" in d.clips.status.problem
        assert os.listdir(folder / "gate") == []
        ballast.unlink()
        d.clips.pass_on(draft("new", 6.0))
        d.clips.pass_on(ended(6.0, 8.0))
        assert d.next().clip is not None
        assert d.clips.status.problem == ""


@pytest.mark.parametrize("what", ["a file", "keep_free"])
def test_a_folder_that_takes_nothing(tmp_path: Path, what: str) -> None:
    """A folder that cannot be made, or a disk that is to be kept free, costs the clip alone."""
    folder = tmp_path / "evidence"
    if what == "a file":
        folder.write_text("mine")
    keep_free = 10**18 if what == "keep_free" else 0
    with desk(folder, keep_free_bytes=keep_free) as d:
        d.clips.pass_on(draft("new", 5.0))
        d.clips.pass_on(ended(5.0, 8.0))
        assert d.next().clip is None
        assert d.clips.status.dropped == {"disk": 1}
        assert d.clips.status.problem


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "../x", "/etc", "a\0b", "a" * 65, "ü"])
def test_names_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    """Whatever a camera or an event is called, nothing is written beside the folder."""
    for camera, event in ((name, "1.000000-abcdef"), ("gate", name), ("gate", f"{name}.mp4")):
        with pytest.raises(ValueError, match="no names for a file"):
            evidence_path(tmp_path, camera, event, ".mp4")


def test_a_reel_has_a_size() -> None:
    """It never holds more than its bytes: there are fewer pictures a second, evenly, and the
    beginning stays."""
    reel = Reel(limit=5000)
    for number in range(200):
        reel.add(Still(float(number), float(number), bytes(100)), keep_from_utc_s=10.0)
        assert reel.bytes <= 5000
    stills = reel.cut(0.0, 1e9)
    assert (stills[0].utc_s, stills[-1].utc_s) == (10.0, 199.0)
    gaps = [b.t_s - a.t_s for a, b in pairwise(stills)]
    assert max(gaps) <= 8
    assert reel.thinned == 190 - len(reel)
    reel.add(Still(5.0, 300.0, bytes(9000)), 0.0)  # the clock was set back; larger than allowed
    assert len(reel) == 1


def test_what_is_unusual_for_an_hour_leaves_room(tmp_path: Path) -> None:
    """Something that is told of only after an hour has a clip of its beginning, and what comes
    after it has its seconds before: neither is thinned for the hour between them."""
    cutter = Cutter(ClipSettings(tmp_path, 5.0, 5.0, 20.0, buffer_bytes=300_000))
    cutter.follow(10.0)
    for number in range(5 * 3600):
        cutter.add(Still(number / 5, number / 5, bytes(1000)))
    assert cutter.reel.thinned == 0
    assert len(cutter.reel) < 200
    cutter.begin("late", 10.0)
    cutter.begin("next", 3599.0)
    (late,) = cutter.due(3599.8, 0.0)
    assert (late.stills[0].utc_s, late.stills[-1].utc_s, len(late.stills)) == (5.0, 25.0, 101)
    (after,) = cutter.due(None, 0.0, all_=True)
    assert (after.stills[0].utc_s, len(after.stills)) == (3594.0, 30)


def test_pictures_of_any_size_become_a_film(tmp_path: Path) -> None:
    """Odd sides, a size that changes, and a picture that is broken."""
    jpegs = [compress(picture(n, *size)) for n, size in enumerate([(101, 57), (64, 90), (101, 57)])]
    stills = [Still(float(n), float(n), jpeg or b"") for n, jpeg in enumerate(jpegs)]
    stills.insert(1, Still(0.5, 0.5, b"no JPEG"))
    write_clip(tmp_path / "x.mp4", stills, "e", find_encoder())
    film = read_film(tmp_path / "x.mp4")
    assert [shown.shape for shown in film.pictures] == [(56, 100, 3)] * 3
    with pytest.raises(ValueError, match="no picture"):
        write_clip(tmp_path / "y.mp4", stills[1:2], "e", find_encoder())
    assert os.listdir(tmp_path) == ["x.mp4"]
