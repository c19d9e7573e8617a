"""The demo around the program: data sets, pictures, children, and what is left behind."""

import json
import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from alerts.event import Event, Explanation, Region
from sorawatch import ConfigError, ResourceError, SorawatchError, SourceError
from streamer.config_fields import CAMERA_NAME
from streamer.demo.annotate import annotate
from streamer.demo.children import Children, LineReader
from streamer.demo.footage import encode_entry, pictures, read_data_set
from streamer.demo.pictures import write_alert_picture
from streamer.demo.plan import CameraPlan, recorded_plan, rendered_plan
from streamer.demo.prepare import from_argument, to_argument
from streamer.demo.render import encode_h264
from streamer.demo.run import run_demo

OUTSIDE = {"frames": 6, "fps": 10, "anomalous": [[4, 9]]}
ENDLESS = {"frames": float("inf"), "fps": 10, "anomalous": []}
TOO_FAST = {"frames": 6, "fps": 1e9, "anomalous": []}


def write_data_set(folder: Path, frames: int = 6, size: tuple[int, int] = (48, 64)) -> Path:
    """A data set of noise: a folder and a film to learn from, a folder and a film to watch."""
    rng = np.random.default_rng(1)
    for entry in ("train/01", "test/9", "test/10"):
        (folder / entry).mkdir(parents=True)
        for number in range(frames):
            picture = rng.integers(0, 255, (*size, 3), dtype=np.uint8)
            assert cv2.imwrite(str(folder / entry / f"{number}.png"), picture)
    label = {"frames": frames, "fps": 10, "anomalous": [[2, 5]]}
    (folder / "labels.json").write_text(json.dumps({"9": label, "10": label}))
    return folder


def test_data_set_is_read_in_natural_order(tmp_path):
    """Entries and pictures come in the order in which people number them."""
    found = read_data_set(write_data_set(tmp_path / "set", frames=12))
    assert [entry.name for entry in found.test] == ["9", "10"]
    assert found.test[0].truth.events[0].start_frame == 2
    tenth = cv2.imread(str(tmp_path / "set/test/9/10.png"))
    np.testing.assert_array_equal(list(pictures(found.test[0].source))[10], tenth)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda s: (s / "labels.json").unlink(), "labels.json"),
        (lambda s: (s / "labels.json").write_text("{"), "labels.json"),
        (lambda s: (s / "labels.json").write_text("[]"), "labels.json"),
        (lambda s: (s / "labels.json").write_text('{"9": {"frames": 6}}'), "'10'"),
        (
            lambda s: (s / "labels.json").write_text(
                '{"9": 1, "10": {"frames": 6, "fps": 10, "anomalous": []}}'
            ),
            "9",
        ),
        (
            lambda s: (s / "labels.json").write_text(json.dumps({"9": OUTSIDE, "10": OUTSIDE})),
            "interval",
        ),
        (
            lambda s: (s / "labels.json").write_text(json.dumps({"9": ENDLESS, "10": ENDLESS})),
            "9: cannot be understood",
        ),
        (
            lambda s: (s / "labels.json").write_text(json.dumps({"9": TOO_FAST, "10": TOO_FAST})),
            "9: 6 frames at 1e",
        ),
        (lambda s: (s / "train").rename(s / "other"), "train"),
        (lambda s: (s / "test" / "9.mp4").touch(), "both called '9'"),
    ],
)
def test_wrong_data_set_is_an_error_that_names_what_is_wrong(tmp_path, spoil, named):
    """One line that names the file or entry, before any work is done."""
    folder = write_data_set(tmp_path / "set")
    spoil(folder)
    with pytest.raises(ConfigError, match=named):
        read_data_set(folder)


def test_entries_of_any_name_become_cameras_and_films_of_their_own(tmp_path):
    """Names that only people can tell apart make neither one camera of two nor one film."""
    folder = write_data_set(tmp_path / "set")
    (folder / "test/9").rename(folder / "test/Tür a")
    (folder / "test/10").rename(folder / "test/Tor-a")
    label = {"frames": 6, "fps": 10, "anomalous": [[2, 5]]}
    (folder / "labels.json").write_text(json.dumps({"Tür a": label, "Tor-a": label}))
    for name in ("02.avi", "02.mkv"):
        (folder / "train" / name).touch()
    plan = recorded_plan(tmp_path / "out", folder)
    names = [camera.name for camera in plan.cameras]
    assert all(CAMERA_NAME.fullmatch(name) for name in names)
    assert len(set(names)) == 2
    films = [job.film for job in plan.jobs]
    assert len(set(films)) == len(films) == 5


def test_entries_end_together_and_tell_their_true_length(tmp_path):
    """A short entry shows its last picture until the longest is over."""
    entry = read_data_set(write_data_set(tmp_path / "set")).test[0]
    truth = encode_entry(entry, tmp_path / "film.mp4", 1.5)
    assert truth.frames == 6
    with av.open(str(tmp_path / "film.mp4")) as film:
        shown = [frame.to_ndarray(format="gray") for frame in film.decode(video=0)]
    assert len(shown) == 15
    assert np.abs(shown[5].astype(int) - shown[14]).mean() < 12  # noise: ~ 85 for two others


def test_pictures_of_nothing_are_an_error(tmp_path):
    """An empty folder or a broken picture is named."""
    with pytest.raises(SourceError, match="holds no picture"):
        list(pictures(tmp_path))
    (tmp_path / "bad.png").write_bytes(b"not a picture")
    with pytest.raises(SourceError, match=r"bad\.png"):
        list(pictures(tmp_path))


def test_jobs_survive_the_command_line(tmp_path):
    """A child gets the very job that was planned."""
    plans = rendered_plan(tmp_path), recorded_plan(tmp_path, write_data_set(tmp_path / "set"))
    for plan in plans:
        for job in plan.jobs:
            assert from_argument(to_argument(job)) == job
    kinds = {event.kind for job in plans[0].jobs for event in getattr(job, "events", ())}
    assert kinds >= {"runner", "vehicle", "fall", "abandoned"}
    assert len(plans[0].cameras) >= 2
    assert [camera.name for camera in plans[1].cameras] == ["cam-9", "cam-10"]


def test_annotation_covers_nothing(tmp_path):
    """The writing stands above and below the picture; only the frame is drawn into it."""
    picture = np.full((90, 160, 3), 120, np.uint8)
    out = annotate(picture, "gate 1.0 s", "too fast – naïve", (0.25, 0.25, 0.5, 0.5))
    band = (out.shape[0] - 360) // 2
    inside = out[band:-band]
    assert inside.shape == (360, 640, 3)
    assert np.all(inside[20] == 120)
    assert np.any(inside[90, 160:480] != 120)
    assert out[:band].max() > 200
    assert annotate(picture, "gate", None, None).shape[0] == 360 + band


def _alert(snapshot: str | None) -> Event:
    return Event(
        schema="sorawatch.event/1",
        stream="s",
        seq=1,
        type="new",
        id="1000.000000-abcdef",
        camera="gate",
        kind="anomaly",
        severity="alert",
        start_time=1000.0,
        score=7.0,
        threshold=5.0,
        region=Region(x=0.2, y=0.2, width=0.2, height=0.2),
        explanation=Explanation(text="too fast"),
        snapshot=snapshot,
    )


def test_alert_picture_is_the_snapshot_or_else_the_film(tmp_path):
    """Every alert gets a picture, with or without one from the program."""
    film = tmp_path / "gate.mp4"
    levels = [np.full((48, 64, 3), level, np.uint8) for level in range(40, 240, 10)]
    encode_h264(levels, film, 10)
    camera = CameraPlan("gate", film, film, "gate", 2.0)
    red = np.full((48, 64, 3), (0, 0, 250), np.uint8)
    cv2.imwrite(str(tmp_path / "snap.png"), red)
    drawn = cv2.imread(str(write_alert_picture(_alert(None), camera, 1.0, tmp_path / "alerts")))
    assert abs(int(drawn[drawn.shape[0] - 60, 10, 0]) - 140) < 12
    path = write_alert_picture(_alert(str(tmp_path / "snap.png")), camera, 1.0, tmp_path / "alerts")
    drawn = cv2.imread(str(path))
    assert drawn[drawn.shape[0] // 2, 320, 2] > 230
    assert len(list((tmp_path / "alerts").iterdir())) == 1


def test_children_and_their_children_end_with_the_demo(tmp_path):
    """However the demo is left, what it started is gone: even what ignores SIGTERM."""
    stubborn = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "child.wait()\n"
    )

    def interrupted() -> tuple[int, int]:
        with suppress(KeyboardInterrupt), Children(tmp_path) as children:
            child = children.start("stubborn", [sys.executable, "-c", stubborn], talks=True)
            reader, lines = LineReader(child), list[str]()
            while not lines:
                lines = reader.lines()
            pids = os.pidfd_open(child.pid), os.pidfd_open(int(lines[0]))
            raise KeyboardInterrupt
        return pids

    for pid in interrupted():
        assert select.select([pid], [], [], 5)[0], "still running"
        os.close(pid)


def test_a_failing_child_is_quoted_and_its_status_kept(tmp_path):
    """`sorawatch fit` that cannot learn ends the demo with its words and its status."""
    code = "import sys; print('first', file=sys.stderr); sys.exit('error: no such camera')"
    with Children(tmp_path) as children:
        child = children.start("fit-gate", [sys.executable, "-c", code])
        child.wait()
        error = children.failed(child)
    assert str(error) == "fit-gate ended with status 1: no such camera"
    assert error.exit_status == 1


def test_demo_that_cannot_learn_says_so_and_leaves_nothing(tmp_path):
    """A data set too short to learn from: the error of `sorawatch fit`, and no process left."""
    said: list[str] = []
    folder = write_data_set(tmp_path / "set")
    with pytest.raises(SorawatchError, match="fit-set ended with status") as caught:
        run_demo(tmp_path / "out", folder, tell=said.append)
    assert caught.value.exit_status in (3, 4)
    assert (tmp_path / "out/footage/set/test/10.mp4").exists()
    assert any("learning" in line for line in said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_closed_terminal_ends_the_demo_and_its_children(tmp_path, number):
    """However it is told to go, it ends what it started, which would otherwise run for ever."""
    before = signal.signal(number, signal.default_int_handler)
    try:
        with pytest.raises(SystemExit) as caught:
            run_demo(
                tmp_path / "out",
                write_data_set(tmp_path / "set"),
                tell=lambda line: "learning" in line and signal.raise_signal(number),
            )
    finally:
        signal.signal(number, before)
    assert caught.value.code == 128 + number


def test_folder_that_cannot_be_written_is_named(tmp_path):
    """A file where the work folder should be is a one-line error."""
    (tmp_path / "out").write_text("")
    with pytest.raises(ResourceError, match="--out"):
        run_demo(tmp_path / "out")


def test_somebody_elses_files_are_left_alone(tmp_path):
    """A folder that no demo made is refused, whatever it holds; nothing in it is deleted."""
    (tmp_path / "alerts").mkdir()
    (tmp_path / "alerts" / "mine.py").write_text("kept")
    with pytest.raises(ConfigError, match="choose another --out"):
        run_demo(tmp_path)
    assert (tmp_path / "alerts" / "mine.py").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alerts"]


def test_footage_survives_a_demo_that_cannot_be_run(tmp_path):
    """Nothing is cleared for footage that is not there, or that would be cleared with the rest."""
    out = tmp_path / "out"
    kept = write_data_set(out / "footage" / "mine")
    (out / ".sorawatch-demo").touch()
    for footage in (tmp_path / "nowhere", kept):
        with pytest.raises(ConfigError):
            run_demo(out, footage)
        assert (kept / "labels.json").exists()
