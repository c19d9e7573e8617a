"""`sorawatch fit`: from any footage to a normality file, or to one line that says why not."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from disk import fill, small_disk
from films import write_ordinary, write_pictures
from footage import footage
from program import sorawatch
from rtsp_server import RtspServer, missing
from video import draw, write_video

from detectors.normality import load
from sorawatch import ResourceError, SourceError
from streamer.capture.source import Source
from streamer.cli import main
from streamer.fit import FitProgress, FitReport
from streamer.fit import fit as learn

OLD = b"what was learned before"


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve seconds of people."""
    return write_ordinary(tmp_path_factory.mktemp("film") / "film.mp4", 12)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where an older normality file is."""
    path = tmp_path / "gate.normal"
    path.write_bytes(OLD)
    return path


def fit(*sources: Path | str, out: Path, **options: object) -> FitReport:
    """Learn by motion alone, which is what most of this is about."""
    return learn([Source.parse(str(s)) for s in sources], out, use_encoder=False, **options)  # type: ignore[arg-type]


def refused(capsys: pytest.CaptureFixture[str], status: int, *arguments: object) -> str:
    """The one line with which `fit` ends with this status."""
    assert main(["fit", *map(str, arguments), "--encoder", "off"]) == status
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, lines
    return lines[0]


def test_files_and_folders_of_one_camera(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several sources of either kind are learned together; the report says from how much."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    capture = cv2.VideoCapture(str(film))
    for number in range(60):
        assert cv2.imwrite(str(folder / f"{number}.png"), capture.read()[1])
    capture.release()
    out = tmp_path / "new folder" / "gate.normal"
    assert main(["fit", str(film), str(folder), str(film), "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    alone_s = fit(film, out=tmp_path / "alone.normal").footage_s
    assert alone_s == pytest.approx(12, abs=0.5)
    assert report["sources"] == 3
    assert report["footage_s"] > 2 * alone_s + 1
    facts = load(out).facts
    assert facts.footage_s == pytest.approx(report["footage_s"])
    assert load(out).sha256 == report["sha256"]
    assert facts.camera == "gate"
    assert facts.encoder is not None


def test_progress_tells_where_it_is(film: Path, tmp_path: Path) -> None:
    """Progress names the source and grows; `seconds` ends it early."""
    told: list[FitProgress] = []
    report = fit(film, film, out=tmp_path / "x.normal", seconds=16, on_progress=told.append)
    assert report.footage_s == pytest.approx(16, abs=0.5)
    assert {progress.source for progress in told} == {str(film)}
    assert [told[0].index, told[-1].index, told[0].total] == [0, 1, 2]
    amounts = [progress.footage_s for progress in told]
    assert amounts == sorted(amounts)
    told.clear()
    assert fit(film, film, out=tmp_path / "y.normal", seconds=11, on_progress=told.append)
    assert {progress.index for progress in told} == {0}


def test_the_same_footage_gives_the_same(film: Path, tmp_path: Path) -> None:
    """Learning twice from the same files gives the same normality, bit for bit but its date."""
    contents = []
    for name in ("a", "b"):
        path = tmp_path / name / "gate.normal"
        fit(film, film, out=path)
        with np.load(path) as arrays:
            contents.append({key: arrays[key].tobytes() for key in arrays.files if "." not in key})
    assert contents[0] == contents[1]
    assert len(contents[0]) >= 6


@pytest.mark.rtsp
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_a_live_stream_for_a_stated_time(
    tmp_path: Path, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A live camera is learned from for the time that was asked for; without one it is refused."""
    out = tmp_path / "live.normal"
    with RtspServer("digest") as server:
        server.set_password("viewer", "hunter2")
        server.serve("gate", film)
        url = server.url("gate", "viewer", "hunter2")
        assert "is live" in refused(capsys, 2, url, "--out", out)
        assert main(["fit", url, "--seconds", "10.5", "--out", str(out), "--encoder", "off"]) == 0
        wrong = server.url("gate", "viewer", "wrong-one")
        line = refused(capsys, 3, wrong, "--seconds", "11", "--out", out)
    assert "password" in line
    assert "wrong-one" not in line
    assert load(out).facts.footage_s == pytest.approx(10.5, abs=0.5)


def test_sources_that_give_nothing(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No such file, an empty one, no video, an empty folder: status 3, and nothing is touched."""
    empty, text, folder = tmp_path / "empty.mp4", tmp_path / "text.mp4", tmp_path / "folder"
    empty.touch()
    text.write_text("not a video at all\n" * 50)
    folder.mkdir()
    for source in (tmp_path / "none.mp4", empty, text, folder):
        assert str(source) in refused(capsys, 3, source, "--out", out)
    assert out.read_bytes() == OLD
    assert refused(capsys, 2, "ftp://host/x", "--out", out)


def test_a_bad_source_among_good_ones(
    film: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One source that cannot be read ends it, by name: footage that is missing is not ignored."""
    line = refused(capsys, 3, film, tmp_path / "none.mp4", "--out", out)
    assert "none.mp4" in line
    assert out.read_bytes() == OLD


@pytest.mark.footage
def test_a_decoder_that_aborts(film: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that crashes the decoder is an error that names it, not a crash of the program."""
    killer = footage("faults/aborts-the-decoder-48x48.avi")
    line = refused(capsys, 3, film, killer, film, "--out", out)
    assert killer.name in line
    assert out.read_bytes() == OLD


@pytest.mark.footage
def test_a_container_that_claims_too_much(tmp_path: Path) -> None:
    """A file that ends before the frames that it claims is learned from as far as it goes."""
    report = fit(footage("clips/highway.avi"), out=tmp_path / "x.normal")
    assert report.footage_s > 20


def test_too_little_footage(out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From one frame, or from one second, nothing can be learned: status 4, which says so."""
    for frames in (1, 10):
        video = write_video(tmp_path / f"{frames}.mp4", frames, fps=10)
        assert "too little" in refused(capsys, 4, video, "--out", out)
    assert out.read_bytes() == OLD


@pytest.mark.parametrize(
    ("size", "how"),
    [
        ((3, 3), {}),
        ((17, 9), {}),
        ((321, 181), {}),
        ((160, 120), {"grey": True}),
        ((160, 120), {"depth": 16}),
        ((160, 120), {"depth": 16, "grey": True}),
    ],
)
def test_pictures_of_any_kind(
    size: tuple[int, int], how: dict[str, object], tmp_path: Path
) -> None:
    """Odd sizes, grey and 16-bit pictures are learned from like any others."""
    folder = write_pictures(tmp_path / "pictures", 110, size, **how)
    report = fit(folder, out=tmp_path / "x.normal", fps=5)
    assert report.footage_s >= 10
    assert load(report.out).facts.footage_s == report.footage_s


def test_the_largest_pictures(tmp_path: Path) -> None:
    """Pictures of 7680x4320 are read; what is learned lies in pictures as small as all others'."""
    folder = tmp_path / "large"
    folder.mkdir()
    picture = cv2.resize(draw(1), (7680, 4320), interpolation=cv2.INTER_NEAREST)
    for number in range(2):
        assert cv2.imwrite(str(folder / f"{number}.jpg"), picture)
    with pytest.raises(Exception, match="too little"):
        fit(folder, out=tmp_path / "x.normal")


def test_pictures_that_change_their_shape(out: Path, tmp_path: Path) -> None:
    """Footage of two shapes is refused by name, where half of it would count for nothing."""
    folder = write_pictures(tmp_path / "pictures", 10, (160, 120))
    for number in range(10, 20):
        assert cv2.imwrite(str(folder / f"{number:04}.png"), draw(number, 160, 60))
    with pytest.raises(SourceError, match=r"pictures: its pictures are 160x60 .* 160x120"):
        fit(folder, out=out)
    other = write_pictures(tmp_path / "other", 10, (160, 60))
    first = write_pictures(tmp_path / "first", 10, (160, 120))
    with pytest.raises(SourceError, match=r"other: its pictures"):
        fit(first, other, out=out)
    assert out.read_bytes() == OLD


def test_nowhere_to_write(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That the result cannot be written is told before the footage is read: status 5."""
    (tmp_path / "file").write_text("")
    line = refused(capsys, 5, tmp_path / "none.mp4", "--out", tmp_path / "file" / "x.normal")
    assert "file/x.normal" in line


def test_a_place_that_goes_while_learning(film: Path, tmp_path: Path) -> None:
    """When the folder has gone at the end, that is an error, and nothing is half written."""
    folder = tmp_path / "folder"

    def spoil(_progress: FitProgress) -> None:
        if folder.is_dir():
            folder.rmdir()
            folder.write_text("")

    with pytest.raises(ResourceError, match="cannot be written"):
        fit(film, out=folder / "x.normal", on_progress=spoil)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_full_disk(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A disk without room leaves the old file as it was, and no other: status 5."""
    with small_disk(tmp_path / "disk", 64) as folder:
        out = folder / "gate.normal"
        out.write_bytes(OLD)
        fill(folder, leave=4096)
        line = refused(capsys, 5, film, "--out", out)
        assert "gate.normal: cannot be written: No space left" in line
        assert {path.name for path in folder.iterdir()} == {"gate.normal", "ballast"}
        assert out.read_bytes() == OLD


def test_as_its_users_run_it(film: Path, tmp_path: Path) -> None:
    """The command says what it learned, on standard output, and needs little shared memory."""
    out = tmp_path / "gate.normal"
    done = sorawatch("fit", film, film, "--out", out)
    assert done.returncode == 0, done.stderr
    assert f"{out}: learned from 2" in done.stdout
    assert "(2 sources)" in done.stdout
    assert not done.stderr
