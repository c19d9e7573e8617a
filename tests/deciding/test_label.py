"""`sorawatch label`: lines that `tune --labels` understands, and nothing that it would refuse."""

import json
from pathlib import Path

import pytest
from replays import Clip, burst, make_replay

from detectors.normality import Normality
from streamer.cli import main
from streamer.deciding.labels import read_labels
from streamer.deciding.replayed import open_replay

FROM, TO = "2025-11-22T09:01:00Z", "2025-11-22T10:01:10+01:00"


@pytest.fixture(scope="module")
def folder(learned: Normality, tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = {
        "gate": [Clip("a.mp4", 0, burst(600)), Clip("b.mp4", 300, burst(600))],
        "yard": [Clip("c.mp4", 0, burst(600))],
    }
    return make_replay(tmp_path_factory.mktemp("labels") / "r", clips, learned)


def add(file: Path, folder: Path, *options: str) -> int:
    return main(["label", "add", str(file), "--replay", str(folder), *options])


def test_what_is_added_is_read(folder: Path, tmp_path: Path) -> None:
    """Times in any zone become UTC; lines are added to those that are there."""
    file = tmp_path / "labels.jsonl"
    file.write_text('{"source": "b.mp4", "start_s": 10, "end_s": 20}')  # without a line's end
    assert add(file, folder, "--camera", "gate", "--from", FROM, "--to", TO, "--note", "post") == 0
    assert json.loads(file.read_text().splitlines()[1]) == {
        "camera": "gate", "start": "2025-11-22T09:01:00.000Z", "end": "2025-11-22T09:01:10.000Z",
        "note": "post",
    }  # fmt: skip
    labels = read_labels(file, open_replay(folder))
    assert labels.events["gate", 0] == ((1_763_802_060.0, 1_763_802_070.0),)
    assert labels.events["gate", 1] == ((1_763_802_310.0, 1_763_802_320.0),)
    assert labels.events["yard", 0] == ()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--from", FROM, "--to", TO), "say which camera"),
        (("--camera", "roof", "--from", FROM, "--to", TO), "no camera 'roof'"),
        (("--camera", "gate", "--from", TO, "--to", FROM), "ends before it begins"),
        (("--camera", "yard", "--from", "2025-11-22T09:05Z", "--to", "2025-11-22T09:06Z"),
         "outside the footage of yard"),
        (("--camera", "gate", "--from", "noon", "--to", TO), "expected a time"),
    ],
)  # fmt: skip
def test_what_tune_would_refuse_is_not_written(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...], says: str,
) -> None:  # fmt: skip
    """A label outside the footage is told when it is made, not in the evening."""
    file = tmp_path / "labels.jsonl"
    assert add(file, folder, *options) == 2
    assert says in capsys.readouterr().err
    assert not file.exists()


def test_nothing_is_added_to_a_broken_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file that cannot be understood stays as it is."""
    file = tmp_path / "labels.jsonl"
    file.write_text("{\n")
    assert add(file, folder, "--camera", "gate", "--from", FROM, "--to", TO) == 2
    assert "labels.jsonl:1" in capsys.readouterr().err
    assert file.read_text() == "{\n"


def test_a_data_sets_labels_become_lines(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Entries by name become times, which outlive a file's name; no file is replaced."""
    given, out = tmp_path / "labels.json", tmp_path / "labels.jsonl"
    truth = {"a": {"frames": 600, "fps": 5, "anomalous": [[50, 60], [100, 120]]}}
    given.write_text(json.dumps(truth))
    ask = ["label", "import", str(given), "--replay", str(folder), "--out", str(out)]
    assert main(ask) == 0
    replay = open_replay(folder)
    lines, named = read_labels(out, replay), read_labels(given, replay)
    assert lines.events["gate", 0] == named.events["gate", 0]
    before = out.read_text()
    assert main(ask) == 2
    assert "is there already" in capsys.readouterr().err
    assert out.read_text() == before


def test_a_data_sets_labels_are_left_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line added to a labels.json would make it unreadable for everything."""
    file = tmp_path / "labels.json"
    before = '{"a.mp4": {"frames": 600, "fps": 5, "anomalous": [[0, 10]]}}'
    file.write_text(before)
    assert add(file, folder, "--camera", "gate", "--from", FROM, "--to", TO) == 2
    assert "sorawatch label import" in capsys.readouterr().err
    assert file.read_text() == before
