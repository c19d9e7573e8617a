"""`sorawatch tune`: what a number of alerts a day gives, and what labels say of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replays import CALIBRATION, START_S, Clip, burst, make_replay

from detectors.normality import Normality
from streamer.cli import main
from streamer.config_load import load_config
from streamer.deciding.sweep import Change, Tried, choice, grid, trade_offs
from streamer.evaluation.alarms import Outcome

ONE, DAILY = CALIBRATION.threshold(1.0).value, CALIBRATION.threshold(24.0).value
HOUR = 3600 * 5
CONFIG = """\
# Cameras of the yard.
cameras:
  gate:
    source: rtsp://viewer:${PW}@10.0.0.20/2   # the sub-stream
    alerts_per_day: 1     # few
  yard: {source: rtsp://10.0.0.21/2}
"""


@pytest.fixture(scope="module")
def week(learned: Normality, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cameras: one with something clear, something borderline and something too short."""
    clear, slight = ONE + 1.0, DAILY + 0.5
    gate = burst(HOUR, (500, 510, clear), (5000, 5010, slight), (9000, 9003, clear))
    return make_replay(
        tmp_path_factory.mktemp("week") / "week",
        {"gate": [Clip("monday.mp4", 0, gate)], "yard": [Clip("yard.mp4", 0, burst(HOUR))]},
        learned,
    )


def answer(capsys: pytest.CaptureFixture[str], *arguments: object) -> Any:
    assert main(["tune", *map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = main(["tune", *map(str, arguments)])
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    return status, said.err


def label(path: Path, *lines: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_rate_that_is_no_number_is_refused(
    week: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`nan` is in no range."""
    status, said = refused(capsys, week, "--alerts-per-day", "nan")
    assert (status, "nan is no number" in said) == (2, True)


def test_a_page_is_written_over_pages_alone(
    week: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A slip of the hand does not cost the configuration."""
    config, page = tmp_path / "cameras.yaml", tmp_path / "page.html"
    config.write_text(CONFIG)
    status, said = refused(capsys, week, "--alerts-per-day", 2, "--report", config)
    assert (status, "is no page: name another file" in said) == (2, True)
    assert config.read_text() == CONFIG
    for _ in range(2):
        answer(capsys, week, "--alerts-per-day", 2, "--report", page)


def test_the_alerts_of_a_rate_beside_todays(week: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An operator sees the threshold with its interval, the alerts that they would have had, the
    most borderline first, and which of them are new."""
    gate, yard = answer(capsys, week, "--alerts-per-day", 24)["cameras"]
    assert gate["wished"]["threshold"] == pytest.approx(DAILY, abs=1e-3)
    assert gate["wished"]["low"] < 24 < gate["wished"]["high"]
    assert [round(alert["start_time"] - START_S) for alert in gate["alerts"]] == [1000, 100]
    assert gate["new"] == [gate["alerts"][0]["id"]]
    assert gate["today"]["alerts"] == 1
    assert gate["footage_s"] == pytest.approx(3600, abs=1)
    assert yard["alerts"] == []


def test_what_a_lower_rate_loses_and_twice_would_add(
    week: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fewer alerts name those that are gone; the ones that just miss are told too."""
    fewer = answer(capsys, week, "--alerts-per-day", 0.1, "--camera", "gate")["cameras"][0]
    assert (len(fewer["alerts"]), len(fewer["gone"])) == (0, 1)
    nearly = answer(capsys, week, "--alerts-per-day", 13, "--camera", "gate")["cameras"][0]
    assert [round(alert["start_time"] - START_S) for alert in nearly["next"]] == [1000]


def test_people_read_it(week: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json it is a page that names every alert by its time."""
    assert main(["tune", str(week), "--alerts-per-day", "24"]) == 0
    out = capsys.readouterr().out
    assert "promises 24 alerts a day (between" in out
    assert "2025-11-22 09:16:40 UTC" in out
    assert out.index("09:16:40") < out.index("09:01:40")


def test_labels_choose_and_say_what_is_gained(
    week: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What happened at 30 minutes was too short for today's judge: the choice finds it, says so,
    and shows the curve and the bound that an hour of footage gives."""
    labels = label(
        tmp_path / "labels.jsonl",
        {"camera": "gate", "start": "2025-11-22T09:01:39Z", "end": "2025-11-22T09:01:44Z"},
        {"source": "monday.mp4", "start_s": 1799, "end_s": 1804},
    )
    found = answer(capsys, week, "--alerts-per-day", 1, "--labels", labels)
    today, chosen = found["labels"]["today"], found["labels"]["chosen"]
    assert (today["recall"], today["precision"], today["false_alarms"]) == (0.5, 1.0, 0)
    assert (chosen["recall"], chosen["false_alarms"]) == (1.0, 0)
    assert chosen["settings"] == found["change"] == {"alerts_per_day": 1, "min_length_s": 0.4}
    assert found["cameras"][0]["events_gained"] == [
        ["2025-11-22T09:29:59.000Z", "2025-11-22T09:30:04.000Z"]
    ]
    assert chosen["false_alarms_per_hour_upper95"] == pytest.approx(3.0 / 2.0, rel=0.01)
    assert any("cannot show 1 false alarms a day" in note for note in found["notes"])
    curve = found["labels"]["curve"]
    assert [one["found"] for one in curve] == sorted({one["found"] for one in curve})


def test_a_data_sets_labels_are_understood(
    week: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """labels.json of a data set names sources; what it does not name is left out."""
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"monday": {"frames": 18000, "fps": 5, "anomalous": [[495, 520]]}}))
    found = answer(capsys, week, "--alerts-per-day", 1, "--labels", path)
    assert found["labels"]["today"]["found"] == 1
    assert found["labels"]["today"]["events"] == 1
    assert "1 of the sources" in found["notes"][0]


def test_labels_of_other_cameras_are_passed_over(
    week: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file of labels serves all cameras, also when one alone is tuned."""
    labels = label(
        tmp_path / "labels.jsonl",
        {"camera": "yard", "start": START_S + 10, "end": START_S + 20},
        {"camera": "gate", "start": START_S + 99, "end": START_S + 104},
    )
    ask = (week, "--alerts-per-day", 1, "--labels", labels, "--camera", "gate")
    today = answer(capsys, *ask)["labels"]["today"]
    assert (today["events"], today["found"], today["false_alarms"]) == (1, 1, 0)


def test_write_changes_one_number_and_keeps_the_rest(
    week: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The choice goes into the configuration; every other character stays, passwords need not be
    known, and the old file is there."""
    config = tmp_path / "cameras.yaml"
    config.write_text(CONFIG)
    config.chmod(0o600)
    monkeypatch.delenv("PW", raising=False)
    answer(capsys, week, "--alerts-per-day", 2.5, "--write", config)
    assert config.read_text() == CONFIG.replace("day: 1 ", "day: 2.5 ").replace(
        "21/2}", "21/2, alerts_per_day: 2.5}"
    )
    assert (config.parent / "cameras.yaml.bak").read_text() == CONFIG
    assert config.stat().st_mode & 0o777 == 0o600
    monkeypatch.setenv("PW", "x")
    assert load_config(config).cameras["yard"].alerts_per_day == 2.5
    before = config.stat()
    assert answer(capsys, week, "--alerts-per-day", 2.5, "--write", config)["written"] is None
    assert config.stat().st_mtime_ns == before.st_mtime_ns
    assert (config.parent / "cameras.yaml.bak").read_text() == CONFIG


def test_a_configuration_without_the_camera_is_left_alone(
    week: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written for half of the cameras."""
    config = tmp_path / "cameras.yaml"
    config.write_text("cameras:\n  gate: {source: 0}\n")
    status, said = refused(capsys, week, "--alerts-per-day", 2, "--write", config)
    assert status == 2
    assert "has no cameras.yard" in said
    assert config.read_text() == "cameras:\n  gate: {source: 0}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["cameras.yaml"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "labels.jsonl:1: no JSON"),
        ('{"start": 5}', "labels.jsonl:1: has no 'end'"),
        ('{"camera": "gate", "start": "soon", "end": 9}', "expected a time, such as 2025-"),
        ('{"camera": "roof", "start": 1763802000, "end": 1763802009}', "no camera 'roof'"),
        ('{"start": 1763802000, "end": 1763802009}', "say which camera: one of gate, yard"),
        ('{"camera": "gate", "start": 1763802009, "end": 1763802000}', "ends before it begins"),
        ('{"camera": "gate", "start": 1763902000, "end": 1763902009}', "outside the footage of"),
        ('{"source": "monday.mp4", "start_s": 3700, "end_s": 3800}', "outside the footage of"),
        ('{"camera": "gate", "source": "x.mp4", "start_s": 1, "end_s": 2}', "no source of gate"),
        ('{"source": "monday.mp4", "start_s": -1, "end_s": 2}', "expected seconds from the start"),
        ('{"camera": "gate", "start": 1, "end": 2, "sart": 1}', "unknown key 'sart'"),
        ("[1, 2]", "expected an object"),
        ('{"x": {"frames": 9, "fps": 5, "anomalous": []}}', "no key for any source"),
        ('{"monday": {"frames": 9, "fps": 5, "anomalous": [[4, 99]]}}', "within its 9 frames"),
    ],
)
def test_labels_that_do_not_fit_are_told(
    week: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    """One line says which label is wrong and why; the configuration stays as it is."""
    labels = tmp_path / "labels.jsonl"
    labels.write_text(line)
    config = tmp_path / "cameras.yaml"
    config.write_text(CONFIG)
    status, said = refused(
        capsys, week, "--alerts-per-day", 2, "--labels", labels, "--write", config
    )
    assert status == 2
    assert says in said
    assert config.read_text() == CONFIG


def test_broken_replays_are_told(
    learned: Normality, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No replay, an unknown camera, a missing or another normality, a foreign trace: one line and
    the right status each."""
    folder = make_replay(tmp_path / "r", {"gate": [Clip("a.mp4", 0, burst(50))]}, learned)
    ask = (folder, "--alerts-per-day", 2)
    assert "no replay" in refused(capsys, tmp_path / "no", "--alerts-per-day", 2)[1]
    assert refused(capsys, *ask, "--camera", "roof")[0] == 2
    status, said = refused(capsys, *ask, "--labels", tmp_path / "none.jsonl")
    assert (status, "none.jsonl: cannot be read" in said) == (2, True)
    normal = folder / "normal" / "gate.normal"
    data = normal.read_bytes()
    normal.unlink()
    status, said = refused(capsys, *ask)
    assert (status, "gate.normal: is not there" in said) == (4, True)
    normal.write_bytes(data[:-100])
    assert refused(capsys, *ask)[0] == 4
    normal.write_bytes(data)
    trace = folder / "trace" / "gate" / "0000.parquet"
    good = trace.read_bytes()
    trace.write_bytes(good[:-9])
    status, said = refused(capsys, *ask)
    assert "0000.parquet" in said
    trace.write_bytes(good)
    manifest = folder / "replay.json"
    manifest.write_text(manifest.read_text().replace('"version": 1', '"version": 2'))
    assert "replay version 2" in refused(capsys, *ask)[1]


def tried(rate: float, false: int, found: int, hours: float = 100.0) -> Tried:
    return Tried(Change(rate), Outcome(found + false, false, found, 0, ()), 10, hours)


def test_a_choice_keeps_to_what_was_asked_or_shown() -> None:
    """A setting that asks for more alerts is chosen only when the footage is long enough to show
    that they do not come."""
    short = [tried(1.0, 0, 3, hours=2.0), tried(30.0, 0, 9, hours=2.0)]
    assert choice(short, 1.0, [1.0]).change.alerts_per_day == 1.0
    long = [tried(1.0, 0, 3), tried(30.0, 0, 9)]
    assert choice(long, 1.0, [1.0]).change.alerts_per_day == 30.0
    flooded = [tried(1.0, 50, 3), tried(0.3, 20, 3)]
    assert choice(flooded, 1.0, [1.0]).change.alerts_per_day == 0.3


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 10)), min_size=1, max_size=30))
def test_nothing_beats_a_trade_off(points: list[tuple[int, int]]) -> None:
    """On the curve each finds more than all with as few false alarms."""
    every = [tried(1.0, false, found) for false, found in points]
    curve = trade_offs(every)
    for one in curve:
        assert not any(
            other.outcome.false_alarms <= one.outcome.false_alarms
            and other.outcome.found > one.outcome.found
            for other in every
        )
    assert [x.outcome.found for x in curve] == sorted({x.outcome.found for x in curve})


def test_the_grid_holds_today_and_the_wish() -> None:
    """Today's settings are always tried, and the wished rate exactly."""
    changes = grid(2.3)
    assert changes[0] == Change()
    assert Change(2.3) in changes
    assert len(set(changes)) == len(changes)
