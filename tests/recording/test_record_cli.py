"""`sorawatch record` and `sorawatch recordings` as their users have them."""

import json
import logging
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from program import COMMAND, ROOT
from record_rig import true_camera
from video import write_folder, write_video

from streamer.cli import main
from streamer.recording.recordings import segments


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("streamer.recording")
    handlers, level, our_level = root.handlers[:], root.level, ours.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    ours.setLevel(our_level)
    logging.captureWarnings(False)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(
        tmp_path_factory.mktemp("clip") / "c.mp4", 30, fps=30, gop=5, size=(160, 120)
    )


def test_a_recording_is_reported_and_listed(
    tmp_path: Path, clip: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cameras of a configuration, or some; JSON for programs, a table for people."""
    config = tmp_path / "cameras.yaml"
    config.write_text(f"cameras: {{gate: {{source: {clip}}}, hall: {{source: nowhere.mp4}}}}\n")
    out = str(tmp_path / "out")
    command = ["record", str(config), "--out", out, "--keep-free", "0", "--segment", "1s"]
    assert main([*command, "--camera", "gate", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (camera,) = report["cameras"]
    assert (camera["camera"], camera["frames"], camera["reason"]) == ("gate", 30, "ended")
    assert report["disk_full"] is None
    assert main(["recordings", out, "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["gate"]["segments"]
    assert sum(one["frames"] for one in listed) == 30
    assert main(command) == 3  # again, both: the second one is not there
    said = capsys.readouterr()
    assert "gate " in said.out
    assert "error: hall: nothing was recorded: " in said.err
    assert "nowhere.mp4 does not exist" in said.err
    segments(Path(out), "gate")[-1].path.unlink()
    assert main(["recordings", out, "--camera", "gate"]) == 1
    said = capsys.readouterr()
    assert "h264 160x120" in said.out
    assert "  missing: " in said.out
    later = ["--from", "2100-01-01", "--to", "2100-01-02"]
    assert main(["recordings", out, "--camera", "gate", *later]) == 0
    assert "gate: 0 segments" in capsys.readouterr().out


def test_a_signal_ends_it_well_and_no_password_is_told(tmp_path: Path, clip: Path) -> None:
    """SIGTERM finishes the open segment; nothing on disk or in the log holds the password."""
    with true_camera(clip) as (url, played):
        process = subprocess.Popen(
            [*COMMAND, "record", url.replace("://", "://viewer:${PW}@"), "--debug",
             "--out", str(tmp_path), "--keep-free", "0"],
            cwd=ROOT, env={"PW": "geheim"}, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        played()
        played()  # it was connected again: the first turn is on the disk
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "camera " in out
    found = segments(tmp_path, "camera")
    assert found[0].frames >= 25
    assert all(one.complete for one in found)
    assert "geheim" not in out + err
    assert "viewer:***@127.0.0.1" in err
    for path in tmp_path.rglob("*"):
        assert "geheim" not in path.name
        assert path.is_dir() or b"geheim" not in path.read_bytes()


def test_a_codec_that_mp4_does_not_take_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Instead of encoding it again behind one's back."""
    clip = write_video(tmp_path / "clip.webm", 10, codec="libvpx", size=(160, 120))
    assert main(["record", str(clip), "--out", str(tmp_path / "out")]) == 3
    assert "its video is vp8, which cannot be recorded" in capsys.readouterr().err


def test_what_is_no_video_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Folders, devices, text, playlists of other files, bad options: a line and its status."""
    write_folder(tmp_path / "pictures", 2)
    (tmp_path / "text.mp4").write_text("no video\n" * 100)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/x.ts\n")
    out = ["--out", str(tmp_path / "out")]
    for arguments, status, said in (
        ([str(tmp_path / "pictures"), *out], 2, "a folder gives pictures"),
        (["0", *out], 2, "a device gives pictures"),
        ([str(tmp_path / "text.mp4"), *out], 3, "holds no video that can be read"),
        ([str(tmp_path / "list.mp4"), *out], 3, "holds no video that can be read"),
        (["rtsp://h/x", *out, "--segment", "1ms"], 2, "--segment must lie between"),
        (["rtsp://h/x", *out, "--max-size", "much"], 2, "expected a size"),
        (["rtsp://h/x", *out, "--for", "soon"], 2, "expected a length of time"),
        (["rtsp://h/x", *out, "--camera", "../x"], 2, "a name is 1 to 64"),
        (["rtsp://h/x", *out, "--camera", "a", "--camera", "b"], 2, "A URL is one camera"),
        (["rtsp://u:geheim@127.0.0.1:1/x", *out, "--for", "0.5s"], 3, "u:***@127.0.0.1:1/x"),
        (["none.yaml", *out], 2, "none.yaml: cannot be read"),
    ):
        assert main(["record", *arguments]) == status, arguments
        err = capsys.readouterr().err
        assert said in err
        assert "geheim" not in err
    assert main(["recordings", str(tmp_path)]) == 2
    assert "holds no recording" in capsys.readouterr().err


def test_help_tells_of_masks(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever has to hide a neighbour's window learns that recording does not."""
    assert main(["record", "--help"]) == 0
    assert "PRIVACY: masks cannot be burned in" in capsys.readouterr().out
