"""Reading a labelled data set: what is right with it, and one line about what is wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from sorawatch import ConfigError
from streamer.evaluation.dataset import read_data_set

LABEL = {"frames": 20, "fps": 8, "anomalous": [[5, 9]]}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set of two entries to learn from and two to score, none of which is opened here."""
    root = tmp_path / "set"
    for name in ("train/1.mp4", "train/2/0.png", "test/10.avi", "test/9/0.png"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    write(root, {"10": LABEL, "9": {**LABEL, "anomalous": []}})
    return root


def write(root: Path, labels: object) -> None:
    text = labels if isinstance(labels, str) else json.dumps(labels)
    (root / "labels.json").write_text(text)


def wrong(root: Path) -> str:
    with pytest.raises(ConfigError) as error:
        read_data_set(root)
    text = str(error.value)
    assert "\n" not in text
    assert str(root) in text
    return text


def test_entries_in_natural_order(folder: Path) -> None:
    """Videos go by their stem, folders by their name; folders play at the labels' rate."""
    data = read_data_set(folder)
    assert data.name == "set"
    assert [entry.name for entry in data.test] == ["9", "10"]
    assert [entry.source.fps for entry in data.test] == [8.0, None]
    assert [source.fps for source in data.train] == [None, 8.0]
    assert data.test[1].truth.anomalous == ((5, 9),)
    assert data.test[1].truth.mask().sum() == 4
    assert data.notes == ()


def test_folders_to_learn_from_play_at_ten_when_rates_differ(folder: Path) -> None:
    """Where the test entries have no common rate, folders in train/ play at 10 a second."""
    write(folder, {"10": LABEL, "9": {**LABEL, "fps": 25}})
    assert read_data_set(folder).train[1].fps == 10.0


@pytest.mark.parametrize("part", ["train", "test", "labels.json"])
def test_parts_that_are_missing(folder: Path, part: str) -> None:
    """No train/, no test/, no labels.json: each is named."""
    (folder / part).rename(folder / "elsewhere")
    assert str(folder / part) in wrong(folder)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_split_without_footage(folder: Path, part: str) -> None:
    """A split in which nothing is footage is an error, whatever else lies there."""
    (folder / part).rename(folder / "elsewhere")
    (folder / part).mkdir()
    (folder / part / "readme.txt").touch()
    (folder / part / ".DS_Store").touch()
    assert "neither video files nor folders" in wrong(folder)


def test_no_such_data_set(tmp_path: Path) -> None:
    """A folder that is not there is named."""
    assert "no such folder" in wrong(tmp_path / "nothing")


def test_what_is_no_footage_is_passed_over_and_told(folder: Path) -> None:
    """A file beside the entries, or an unknown key, is left out, but not in silence."""
    (folder / "test" / "notes.txt").touch()
    (folder / "test" / ".DS_Store").touch()
    write(folder, {"10": {**LABEL, "weather": "rain"}, "9": LABEL})
    notes = read_data_set(folder).notes
    assert len(notes) == 2
    assert "notes.txt" in notes[0]
    assert "'weather'" in notes[1]


def test_two_entries_of_one_name(folder: Path) -> None:
    """9.mp4 beside 9/ cannot be told apart by the labels: both are named."""
    (folder / "test" / "9.mp4").touch()
    text = wrong(folder)
    assert "9.mp4" in text
    assert "'9'" in text


@pytest.mark.parametrize(
    ("labels", "why"),
    [
        ("", "cannot be understood"),
        ("{", "cannot be understood"),
        ("[" * 100_000, "cannot be understood"),
        ("[]", "must hold an object"),
        ({"10": LABEL}, "no key '9'"),
        ({"10": LABEL, "9": LABEL, "11": LABEL}, "'11'"),
        ('{"10": {}, "9": {}, "9": {}}', "'9' comes 2 times"),
        ('{"10": {"frames": 1, "frames": 2}, "9": {}}', "'frames' comes 2 times"),
    ],
)
def test_labels_as_a_whole(folder: Path, labels: object, why: str) -> None:
    """Broken JSON, unknown and missing entries, keys that come twice."""
    write(folder, labels)
    text = wrong(folder)
    assert "labels.json" in text
    assert why in text


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"frames": None}, "frames"),
        ({"frames": "20"}, "frames"),
        ({"frames": 20.5}, "frames"),
        ({"frames": True}, "frames"),
        ({"frames": 0}, "frames"),
        ({"frames": 10**30}, "frames"),
        ({"fps": 0}, "fps"),
        ({"fps": -5}, "fps"),
        ({"fps": "10"}, "fps"),
        ({"fps": float("nan")}, "fps"),
        ({"fps": float("inf")}, "fps"),
        ({"fps": 10**400}, "fps"),
        ({"anomalous": None}, "anomalous"),
        ({"anomalous": {"5": 9}}, "anomalous"),
        ({"anomalous": [5, 9]}, "anomalous: 5"),
        ({"anomalous": [[5]]}, r"anomalous: [5]"),
        ({"anomalous": [[5, 6, 7]]}, "anomalous"),
        ({"anomalous": [[5.0, 9.0]]}, "anomalous"),
        ({"anomalous": [[5, 21]]}, "does not lie within its 20 frames"),
        ({"anomalous": [[-1, 5]]}, "does not lie within"),
        ({"anomalous": [[9, 5]]}, "does not lie within"),
        ({"anomalous": [[5, 5]]}, "does not lie within"),
        ({"tracks": "here"}, "tracks"),
    ],
)
def test_labels_of_one_entry(folder: Path, change: dict[str, Any], why: str) -> None:
    """Wrong types and values are told with the file, the entry and the key."""
    write(folder, {"10": {**LABEL, **change}, "9": LABEL})
    text = wrong(folder)
    assert "labels.json: '10'" in text
    assert why in text


@pytest.mark.parametrize("key", ["frames", "fps", "anomalous"])
def test_keys_that_are_missing(folder: Path, key: str) -> None:
    """Each of the three keys is needed; labels that are no object are refused, too."""
    write(folder, {"10": {k: v for k, v in LABEL.items() if k != key}, "9": LABEL})
    assert f"'10': has no '{key}'" in wrong(folder)
    write(folder, {"10": [1], "9": LABEL})
    assert "'10': must be an object" in wrong(folder)


def test_intervals_that_touch_are_one_event(folder: Path) -> None:
    """Overlapping and touching intervals, in any order, are one event each, and that is told."""
    write(folder, {"10": {**LABEL, "anomalous": [[15, 20], [2, 5], [4, 8], [8, 9]]}, "9": LABEL})
    data = read_data_set(folder)
    assert data.test[1].truth.anomalous == ((2, 9), (15, 20))
    assert len(data.notes) == 2


def test_where_the_events_are(folder: Path) -> None:
    """Tracks come from labels.json; that others have none is told."""
    tracks = [{"boxes": {"5": [0.1, 0.1, 0.2, 0.2]}}]
    write(folder, {"10": {**LABEL, "tracks": tracks}, "9": LABEL})
    data = read_data_set(folder)
    assert data.test[1].truth.tracks == ({5: (0.1, 0.1, 0.2, 0.2)},)
    assert "RBDC and TBDC are left out" in data.notes[0]
