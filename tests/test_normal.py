"""`sorawatch normal`: look into a file, teach it, take it back, with the errors as documented."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from films import write_ordinary

from detectors.normality import load
from streamer.capture.source import Source
from streamer.cli import main
from streamer.fit import fit


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("normal")
    film = write_ordinary(folder / "ordinary.mp4", 40)
    out = folder / "gate.normal"
    report = fit([Source.parse(str(film))], out, use_encoder=False)
    assert report.warning is not None
    assert "too short for 1 alert a day" in report.warning
    return film, out.read_bytes()


@pytest.fixture
def file(learned: tuple[Path, bytes], tmp_path: Path) -> Path:
    path = tmp_path / "gate.normal"
    path.write_bytes(learned[1])
    return path


@pytest.fixture(scope="module")
def odd(learned: tuple[Path, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ordinary film, and something large that falls through it."""
    folder = tmp_path_factory.mktemp("odd")
    reader = cv2.VideoCapture(str(learned[0]))
    fps = reader.get(cv2.CAP_PROP_FPS)
    clothes = np.random.default_rng(0).integers(0, 255, (12, 9, 3)).astype(np.uint8)
    for number in range(round(14 * fps)):
        picture = reader.read()[1]
        height, width = picture.shape[:2]
        body = cv2.resize(clothes, (width // 6, height // 4), interpolation=cv2.INTER_NEAREST)
        top = round((number / fps - 6) * height / 2)
        if 0 <= top < height - len(body):
            picture[top : top + len(body), width // 2 : width // 2 + body.shape[1]] = body
        assert cv2.imwrite(str(folder / f"{number:05}.png"), picture)
    return folder


def test_teach_show_and_undo(file: Path, odd: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A lesson lowers the score, is listed with its note, and goes without a trace."""
    before = file.read_bytes()
    words = ("--from", "2", "--to", "12", "--note", "the ball", "--json")
    assert main(["normal", "teach", str(file), str(odd), *words]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["after"] < 0.5 * report["before"]
    assert file.with_name("gate.normal.bak").read_bytes() == before
    assert main(["normal", "show", str(file)]) == 0
    shown = capsys.readouterr().out
    assert f"lesson {report['id']}" in shown
    assert "the ball" in shown
    assert "too short for 1 alert a day" in shown
    assert main(["normal", "undo", str(file), "last"]) == 0
    assert file.read_bytes() == before
    assert load(file.with_name("gate.normal.bak")).lessons.all[0].note == "the ball"
    capsys.readouterr()
    assert main(["normal", "undo", str(file), "last"]) == 4
    assert f"{file}: no lesson 'last'" in capsys.readouterr().err


def test_what_cannot_be_taught(
    file: Path, learned: tuple[Path, bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No such file, source or stretch, a note too long: one line, status, nothing changed."""
    before = file.read_bytes()
    other = tmp_path / "other"
    other.mkdir()
    for number in range(12):
        assert cv2.imwrite(str(other / f"{number}.png"), np.full((40, 160), 9 * number, np.uint8))
    for status, words, said in (
        (4, (tmp_path / "none.normal", learned[0]), "none.normal: cannot be read"),
        (3, (file, tmp_path / "none.mp4"), "none.mp4"),
        (2, (file, "rtsp://127.0.0.1:9/x"), "is live"),
        (2, (file, learned[0], "--from", "soon"), "--from"),
        (2, (file, learned[0], "--from", "20", "--to", "10"), "no stretch"),
        (2, (file, learned[0], "--from", "100"), "ends after 39"),
        (2, (file, learned[0], "--note", "x" * 501), "at most 500 characters"),
        (2, (file, learned[0], "--note", "two\nlines"), "one line"),
        (4, (file, other), "picture size has changed"),
    ):
        assert main(["normal", "teach", *map(str, words)]) == status, words
        assert said in capsys.readouterr().err
    assert file.read_bytes() == before
    assert not file.with_name("gate.normal.bak").exists()
