"""`sorawatch evaluate`: from labelled footage to figures, or to one line that says why not."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from disk import fill, small_disk
from films import write_ordinary, write_pictures, write_runner
from footage import footage
from program import sorawatch
from sklearn.metrics import roc_auc_score
from video import draw, write_video

from sorawatch import SourceError
from streamer.cli import main
from streamer.evaluation.evaluate import Progress, evaluate
from streamer.evaluation.summary import SCHEMA, Summary

Document = dict[str, Any]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of rendered films: ordinary people, and an entry in which somebody runs."""
    root = tmp_path_factory.mktemp("films")
    (root / "train").mkdir()
    (root / "test").mkdir()
    write_ordinary(root / "train" / "1.mp4", 14)
    truth = write_runner(root / "test" / "runner.mp4")
    write_ordinary(root / "test" / "quiet.mp4", 6)
    (event,) = truth.events
    labels = {
        "runner": {
            "frames": truth.frames,
            "fps": truth.fps,
            "anomalous": [[event.start_frame, event.end_frame]],
            "tracks": [{"boxes": {str(frame): list(box) for frame, box in event.boxes.items()}}],
        },
        "quiet": {"frames": 60, "fps": 10, "anomalous": []},
    }
    (root / "labels.json").write_text(json.dumps(labels))
    return root


@pytest.fixture(scope="module")
def out(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What evaluating it by motion alone left behind."""
    folder = tmp_path_factory.mktemp("out") / "evaluation"
    evaluate(films, folder, use_encoder=False)
    return folder


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """The smallest data set there is: folders of pictures in which a box walks."""
    root = tmp_path / "boxes"
    write_pictures(root / "train" / "a", 110, (160, 120))
    write_pictures(root / "test" / "b", 40, (160, 120))
    label(root, b={"frames": 40, "fps": 10, "anomalous": [[10, 20]]})
    return root


def label(root: Path, **labels: Document) -> None:
    (root / "labels.json").write_text(json.dumps(labels))


def summary_in(out: Path) -> Document:
    def refuse(name: str) -> float:
        raise AssertionError(f"{name} in summary.json")

    found: Document = json.loads((out / "summary.json").read_text(), parse_constant=refuse)
    return found


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def scores(out: Path, entry: str) -> list[float]:
    return [float(row["score"]) for row in rows(out / "scores" / f"{entry}.csv")]


def files(out: Path, *kinds: str) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for kind in kinds
        for path in sorted((out / kind).iterdir())
    }


def refused(capsys: pytest.CaptureFixture[str], status: int, *arguments: object) -> str:
    """The one line with which `evaluate` ends with this status."""
    assert main(["evaluate", *map(str, arguments), "--encoder", "off"]) == status
    captured = capsys.readouterr()
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, captured.err
    assert not captured.out
    return lines[0]


def test_a_row_for_every_frame(films: Path, out: Path) -> None:
    """Each entry has its CSV: header and one row for each frame, counted from 0, with its time."""
    assert sorted(path.name for path in (out / "scores").iterdir()) == ["quiet.csv", "runner.csv"]
    labels = json.loads((films / "labels.json").read_text())
    for name, entry in labels.items():
        text = (out / "scores" / f"{name}.csv").read_text()
        assert text.startswith("frame,time_s,score\n0,0.000000,0.0\n")
        found = rows(out / "scores" / f"{name}.csv")
        assert [int(row["frame"]) for row in found] == list(range(entry["frames"]))
        assert [float(row["time_s"]) for row in found] == [i / 10 for i in range(entry["frames"])]
        values = np.array(scores(out, name))
        assert np.isfinite(values).all()
        assert (values >= 0).all()
        changes = np.flatnonzero(np.diff(values)) + 1
        assert not (changes % 2).any(), "only every other frame is analysed at 5 of 10 a second"
    assert max(scores(out, "runner")) > 2 * max(scores(out, "quiet"))


def test_figures_follow_from_the_rows(films: Path, out: Path) -> None:
    """What summary.json says is what anybody computes from the CSVs and labels.json."""
    summary = summary_in(out)
    labels = json.loads((films / "labels.json").read_text())
    truth, values = [], []
    for name, entry in labels.items():
        mask = np.zeros(entry["frames"], bool)
        for start, end in entry["anomalous"]:
            mask[start:end] = True
        truth.append(mask)
        values.append(np.array(scores(out, name)))
    expected = roc_auc_score(np.concatenate(truth), np.concatenate(values))
    assert summary["micro_auc"] == pytest.approx(expected)
    assert summary["macro_auc"] == pytest.approx(roc_auc_score(truth[0], values[0]))
    assert summary["macro_auc_entries"] == 1
    assert summary["micro_auc"] > 0.8
    assert summary["schema"] == SCHEMA
    assert summary["test_frames"] == 200
    assert summary["events"] == summary["tracks"] == 1
    assert summary["train_footage_s"] == pytest.approx(14, abs=0.5)
    assert summary["encoder_sha256"] is None
    assert 0 < summary["detector_cpu_ms_per_s"] < 1000
    points = {(point["kind"], point["per_hour"]): point for point in summary["operating_points"]}
    assert {rate for kind, rate in points if kind == "at_false_alarms"} == {1.0, 10.0, 60.0}
    assert {rate for kind, rate in points if kind == "calibrated"} == {1 / 24, 1.0, 10.0, 60.0}
    assert points["at_false_alarms", 1.0]["false_alarms"] == 0
    assert points["at_false_alarms", 60.0]["events_found"] == 1
    assert points["at_false_alarms", 60.0]["median_delay_s"] < 5
    assert [entry["entry"] for entry in summary["entries"]] == ["quiet", "runner"]


def test_it_points_at_the_runner(out: Path) -> None:
    """Regions by frame are written, and most of the runner's are right."""
    found = rows(out / "regions" / "runner.csv")
    held = scores(out, "runner")
    assert list(found[0]) == ["frame", "x", "y", "width", "height", "score"]
    assert all(float(row["score"]) == held[int(row["frame"])] > 0 for row in found)
    summary = summary_in(out)
    assert summary["rbdc"] > 0.5
    assert summary["tbdc"] == pytest.approx(1, abs=0.3)


def test_pictures_can_be_seen(out: Path) -> None:
    """A picture of each entry, and one of all; the truth is shaded."""
    for name in ("quiet", "runner", "all"):
        picture = cv2.imread(str(out / "pictures" / f"{name}.png"))
        assert picture is not None
        shaded = (picture == (200, 205, 250)).all(2).mean()
        assert shaded > 0.1 if name == "runner" else shaded > 0


def test_documented(out: Path) -> None:
    """docs/datasets.md tells every key of summary.json."""
    text = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    summary = summary_in(out)
    keys = {*summary, *summary["operating_points"][0], *summary["entries"][0]}
    assert not [key for key in sorted(keys) if f"`{key}`" not in text]


def test_the_same_again(films: Path, out: Path, tmp_path: Path) -> None:
    """The same command gives the same scores, regions and pictures, byte for byte."""
    evaluate(films, tmp_path / "again", use_encoder=False)
    kinds = ("scores", "regions", "pictures")
    assert files(out, *kinds) == files(tmp_path / "again", *kinds)
    before, after = summary_in(out), summary_in(tmp_path / "again")
    for key in ("normality_sha256", "learning_s", "scoring_s", "detector_cpu_ms_per_s"):
        del before[key], after[key]  # a normality says when it was made
    assert before == after


def test_no_score_knows_what_comes_later(films: Path, out: Path, tmp_path: Path) -> None:
    """Scores stay bit for bit the same when what follows is cut off, or is something else."""
    data = tmp_path / "data"
    shutil.copytree(films / "train", data / "train")
    (data / "test" / "whole").mkdir(parents=True)
    capture = cv2.VideoCapture(str(films / "test" / "runner.mp4"))
    pictures = []
    while (read := capture.read())[0]:
        pictures.append(read[1])
    capture.release()
    half, n = 71, len(pictures)
    noise = np.random.default_rng(1).integers(0, 255, pictures[0].shape).astype(np.uint8)
    variants = {
        "whole": pictures,
        "cut": pictures[:half],
        "replaced": [*pictures[:half], *pictures[: n - half]],
        "noise": [*pictures[:half], *[np.roll(noise, 9 * i, 1) for i in range(n - half)]],
        "shrunk": [*pictures[:half], *[picture[::2] for picture in pictures[half:]]],
    }
    for name, shown in variants.items():
        (data / "test" / name).mkdir(exist_ok=True)
        for i, picture in enumerate(shown):
            assert cv2.imwrite(str(data / "test" / name / f"{i:03}.png"), picture)
    labels = {k: {"frames": len(v), "fps": 10, "anomalous": []} for k, v in variants.items()}
    label(data, **labels)
    with pytest.raises(SourceError, match="shrunk"):
        evaluate(data, tmp_path / "out", use_encoder=False)
    shutil.rmtree(data / "test" / "shrunk")
    del labels["shrunk"]
    label(data, **labels)
    evaluate(data, tmp_path / "out", use_encoder=False)
    first = scores(tmp_path / "out", "whole")[:half]
    assert max(first) > 0
    for name in ("cut", "replaced", "noise"):
        assert scores(tmp_path / "out", name)[:half] == first
    assert scores(tmp_path / "out", "replaced")[half:] != scores(tmp_path / "out", "whole")[half:]


def test_neither_truth_nor_other_entries_move_a_score(
    films: Path, out: Path, tmp_path: Path
) -> None:
    """Other labels, and entries left out, change no score: nothing is chosen on the test split."""
    data = tmp_path / "data"
    shutil.copytree(films / "train", data / "train")
    (data / "test").mkdir()
    shutil.copy(films / "test" / "runner.mp4", data / "test")
    label(data, runner={"frames": 140, "fps": 10, "anomalous": [[0, 3]]})
    evaluate(data, tmp_path / "out", use_encoder=False)
    assert scores(tmp_path / "out", "runner") == scores(out, "runner")


def test_as_its_users_run_it(boxes: Path, tmp_path: Path) -> None:
    """The command prints a short table; with --json the document that it wrote, and no more."""
    out = tmp_path / "out"
    done = sorawatch("evaluate", boxes, "--out", out, "--encoder", "off")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    for words in ("micro AUC", "calibrated", "at false alarms", str(out), "3 s normal"):
        assert words in done.stdout
    assert max(map(len, done.stdout.splitlines())) < 160
    done = sorawatch("evaluate", boxes, "--out", out, "--json", "--alerts-per-day", 5)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == summary_in(out)
    assert len(summary_in(out)["encoder_sha256"]) == 64
    assert 5.0 in [point["alerts_per_day"] for point in summary_in(out)["operating_points"]]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_progress_tells_where_it_is(boxes: Path, tmp_path: Path) -> None:
    """Both splits are told of, entry by entry."""
    told: list[Progress] = []
    evaluate(boxes, tmp_path / "out", use_encoder=False, on_progress=told.append)
    assert {(now.doing, Path(now.source).name, now.total) for now in told} == {
        ("learning", "a", 1),
        ("scoring", "b", 1),
    }


@pytest.mark.parametrize("anomalous", [[], [[0, 40]]])
def test_one_class_alone(boxes: Path, tmp_path: Path, anomalous: list[list[int]]) -> None:
    """Where all is normal, or all anomalous, curves are null, and why is told."""
    label(boxes, b={"frames": 40, "fps": 10, "anomalous": anomalous})
    evaluate(boxes, tmp_path / "out", use_encoder=False)
    summary = summary_in(tmp_path / "out")
    assert summary["micro_auc"] is summary["macro_auc"] is summary["equal_error_rate"] is None
    assert summary["micro_auc_low95"] is summary["rbdc"] is None
    assert any("every frame" in note for note in summary["notes"])
    assert len(scores(tmp_path / "out", "b")) == 40


def test_an_entry_of_one_frame(boxes: Path, tmp_path: Path) -> None:
    """One picture is an entry like any other; nothing is known of it, so its score is 0."""
    write_pictures(boxes / "test" / "one", 1, (160, 120))
    label(
        boxes,
        b={"frames": 40, "fps": 10, "anomalous": []},
        one={"frames": 1, "fps": 10, "anomalous": [[0, 1]]},
    )
    evaluate(boxes, tmp_path / "out", use_encoder=False)
    assert scores(tmp_path / "out", "one") == [0.0]


def test_containers_that_lie_a_little(boxes: Path, tmp_path: Path) -> None:
    """A few frames more or fewer than labels.json says: rows are those of the labels, and told."""
    label(boxes, b={"frames": 42, "fps": 10, "anomalous": []})
    evaluate(boxes, tmp_path / "out", use_encoder=False)
    longer = scores(tmp_path / "out", "b")
    assert len(longer) == 42
    assert longer[-1] == longer[-2] == longer[-3]
    assert any("40 frames can be read" in note for note in summary_in(tmp_path / "out")["notes"])
    label(boxes, b={"frames": 39, "fps": 10, "anomalous": [[30, 39]]})
    evaluate(boxes, tmp_path / "out", use_encoder=False)
    assert scores(tmp_path / "out", "b") == longer[:39]


def test_labels_for_other_footage(
    boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """More than 5 per cent of the frames too many or too few: status 3, nothing is written."""
    for frames in (37, 43):
        label(boxes, b={"frames": frames, "fps": 10, "anomalous": []})
        line = refused(capsys, 3, boxes, "--out", tmp_path / "out")
        assert f"40 frames can be read, labels.json says {frames}" in line
    assert [path.name for path in tmp_path.iterdir()] == ["boxes"]


def too_little(root: Path) -> None:
    shutil.rmtree(root / "train")
    write_pictures(root / "train" / "a", 1, (160, 120))


def no_labels(root: Path) -> None:
    (root / "labels.json").unlink()


def empty_test(root: Path) -> None:
    shutil.rmtree(root / "test")
    (root / "test").mkdir()


def broken_training(root: Path) -> None:
    (root / "train" / "broken.mp4").write_text("not a video at all\n" * 50)


def empty_training(root: Path) -> None:
    (root / "train" / "empty").mkdir()


def broken_test(root: Path) -> None:
    (root / "test" / "b" / "0020.png").write_text("not a picture")


def other_size_in_training(root: Path) -> None:
    write_pictures(root / "train" / "other", 20, (160, 60))


def other_size_in_test(root: Path) -> None:
    shutil.rmtree(root / "test" / "b")
    write_pictures(root / "test" / "b", 40, (160, 60))


def size_that_changes(root: Path) -> None:
    for number in range(20, 40):
        assert cv2.imwrite(str(root / "test" / "b" / f"{number:04}.png"), draw(number, 160, 60))


def masks_too_few(root: Path) -> None:
    write_pictures(root / "masks" / "b", 3, (16, 12))


@pytest.mark.parametrize(
    ("spoil", "status", "named"),
    [
        (no_labels, 2, "labels.json"),
        (empty_test, 2, "test"),
        (masks_too_few, 2, "masks"),
        (broken_training, 3, "broken.mp4"),
        (empty_training, 3, "empty"),
        (broken_test, 3, "0020.png"),
        (other_size_in_training, 3, "train/other"),
        (other_size_in_test, 3, "test/b"),
        (size_that_changes, 3, "test/b"),
        (too_little, 4, "too little"),
    ],
)
def test_what_cannot_be_evaluated(
    boxes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    status: int,
    named: str,
) -> None:
    """Each ends with its documented status and names what is wrong; an earlier result stays."""
    out = tmp_path / "out"
    evaluate(boxes, out, use_encoder=False)
    before = files(out, "scores", "regions", "pictures")
    spoil(boxes)
    assert named in refused(capsys, status, boxes, "--out", out)
    assert files(out, "scores", "regions", "pictures") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["boxes", "out"]


def test_usage(boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that is not there is 4, a budget of nothing 2, no data set 2."""
    out = tmp_path / "out"
    assert main(["evaluate", str(boxes), "--out", str(out), "--encoder", "none.onnx"]) == 4
    capsys.readouterr()
    refused(capsys, 2, boxes, "--out", out, "--alerts-per-day", 0)
    refused(capsys, 2, tmp_path / "none", "--out", out)
    refused(capsys, 2, boxes)
    assert not out.exists()


def test_only_an_earlier_evaluation_is_replaced(
    boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that holds anything else is left alone: status 2, before any footage is read."""
    out = tmp_path / "out"
    out.mkdir()
    evaluate(boxes, out, use_encoder=False)
    (out / "mine.txt").write_text("mine")
    assert "no earlier evaluation" in refused(capsys, 2, tmp_path / "none", "--out", out)
    (out / "mine.txt").unlink()
    (out / "scores" / "old.csv").touch()
    evaluate(boxes, out, use_encoder=False)
    assert not (out / "scores" / "old.csv").exists()
    (out / "summary.json").write_text("{}")
    refused(capsys, 2, boxes, "--out", out)
    refused(capsys, 2, boxes, "--out", boxes)
    refused(capsys, 2, boxes, "--out", boxes / "labels.json")


def test_nowhere_to_write(boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That the result cannot be written is told before the footage is read: status 5."""
    (tmp_path / "file").write_text("")
    assert "file/out" in refused(capsys, 5, boxes, "--out", tmp_path / "file" / "out")


def test_a_full_disk(boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A disk without room leaves the earlier result as it was, and nothing beside it: status 5."""
    with small_disk(tmp_path / "disk", 512) as folder:
        out = folder / "out"
        evaluate(boxes, out, use_encoder=False)
        before = files(out, "scores", "regions", "pictures")
        fill(folder, leave=4096)
        assert "cannot be written" in refused(capsys, 5, boxes, "--out", out)
        assert files(out, "scores", "regions", "pictures") == before
        assert sorted(path.name for path in folder.iterdir()) == ["ballast", "out"]


def test_videos_are_told_apart_by_frame(tmp_path: Path) -> None:
    """A row is the video's own frame, also where frames come at uneven times."""
    root = tmp_path / "data"
    for split in ("train", "test"):
        (root / split).mkdir(parents=True)
    write_video(root / "train" / "a.mp4", 180, fps=15)
    times_s = [i / 15 for i in range(30)] + [2 + i / 5 for i in range(20)]
    write_video(root / "test" / "b.mp4", 50, fps=15, times_s=times_s)
    label(root, b={"frames": 50, "fps": 15, "anomalous": [[0, 5]]})
    summary: Summary = evaluate(root, tmp_path / "out", use_encoder=False)
    assert summary.entries[0].frames_decoded == 50
    # Every third of the first thirty frames, then (nearly) every one.
    assert 26 <= summary.scored_frames <= 30


@pytest.mark.footage
def test_ped2(tmp_path: Path) -> None:
    """On real footage the shipped program ranks frames far better than chance, in seconds."""
    summary = evaluate(footage("ped2"), tmp_path / "out")
    assert summary.test_frames == 2010
    assert summary.anomalous_frames == 1648
    assert summary.micro_auc is not None
    assert summary.micro_auc > 0.9
    assert summary.events == 12
    assert all(entry.frames == entry.frames_decoded for entry in summary.entries)
