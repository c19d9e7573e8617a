"""`sorawatch compare`: the events of two replays of the same footage."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replays import CALIBRATION, Clip, burst, make_replay

from detectors.normality import Normality
from streamer.cli import main
from streamer.config_judge import JudgeConfig
from streamer.deciding.alert import Alert
from streamer.deciding.compare import difference

HIGH = CALIBRATION.threshold(1.0).value + 1.0
SCORES = burst(6000, (500, 510, HIGH), (530, 540, HIGH), (3000, 3002, HIGH))


@pytest.fixture(scope="module")
def before(learned: Normality, tmp_path_factory: pytest.TempPathFactory) -> Path:
    clips = {"gate": [Clip("monday.mp4", 0, SCORES)]}
    return make_replay(tmp_path_factory.mktemp("before") / "before", clips, learned)


def compared(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    status = main(["compare", *map(str, arguments)])
    said = capsys.readouterr()
    return status, said.out or said.err


def test_the_same_events_are_no_difference(
    before: Path, learned: Normality, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A test in somebody's CI passes on another machine, where the copied films are younger."""
    clips = {"gate": [Clip("monday.mp4", 86_400, SCORES)]}
    copied = make_replay(tmp_path / "copied", clips, learned, identity="b")
    status, out = compared(capsys, before, copied)
    assert (status, out) == (0, "1 the same, 0 gained, 0 lost, 0 moved\n")


def test_gained_lost_and_moved(
    before: Path, learned: Normality, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another configuration over the same footage: each kind of difference, and exit status 1."""
    clips = {"gate": [Clip("monday.mp4", 0, SCORES)]}
    judge = JudgeConfig(min_length_s=0.2, merge_gap_s=30.0)
    after = make_replay(tmp_path / "after", clips, learned, judge=judge)
    assert compared(capsys, before, after)[0] == 1
    found = json.loads(compared(capsys, before, after, "--json")[1])
    assert (len(found["gained"]), len(found["lost"]), found["same"]) == (1, 0, 0)
    assert found["moved"][0]["end_s"] == pytest.approx(6.0, abs=0.01)
    assert found["moved"][0]["start_s"] == 0
    back = json.loads(compared(capsys, after, before, "--json")[1])
    assert (len(back["gained"]), len(back["lost"])) == (0, 1)
    assert json.loads(compared(capsys, before, after, "--json", "--tolerance-s", "7")[1])["same"]


def test_a_replay_against_itself_with_other_settings(
    before: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a setting would change is told without replaying anything."""
    assert compared(capsys, before, "--set", "judge.cooldown_s=10s")[0] == 0
    status, out = compared(capsys, before, "--set", "judge.min_length_s=200ms")
    assert status == 1
    assert out.startswith("gained gate 2025-11-22 09:10:00 UTC")
    assert compared(capsys, before, "--set", f"threshold={HIGH + 0.5}")[1].startswith("lost")


def test_a_configuration_with_zones_is_tried(
    before: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Zones and schedules are tried on what was replayed without them."""
    config = tmp_path / "zones.yaml"
    zone = "{name: tree, exclude: [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]}"
    config.write_text(f"cameras: {{gate: {{source: 0, judge: {{zones: [{zone}]}}}}}}\n")
    status, out = compared(capsys, before, "--config", config)
    assert status == 1
    assert out.endswith("0 the same, 0 gained, 1 lost, 0 moved\n")


@pytest.mark.parametrize(
    ("clips", "says"),
    [
        ({"yard": [Clip("monday.mp4", 0, SCORES)]}, "only one of them has the camera"),
        ({"gate": [Clip("monday.mp4", 0, SCORES[:-50])]}, "5950 in 1189.8 s"),
        ({"gate": [Clip("a.mp4", 0, SCORES), Clip("b.mp4", 2000, SCORES)]}, "1 sources and 2"),
    ],
)
def test_other_footage_is_refused(
    before: Path, learned: Normality, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    clips: dict[str, list[Clip]], says: str,
) -> None:  # fmt: skip
    """Differences would mean nothing: an error of usage, not a difference."""
    other = make_replay(tmp_path / "other", clips, learned, identity="b")
    status, said = compared(capsys, before, other)
    assert status == 2
    assert "not the same footage" in said
    assert says in said


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "Give B"),
        (("--set", "judge.cool=3"), "the keys are alerts_per_day, threshold, judge.min"),
        (("--set", "judge.leave_ratio=3"), "judge.leave_ratio"),
        (("--set", "alerts_per_day=-1"), "above 0"),
    ],
)
def test_what_cannot_be_compared_is_told(
    before: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], says: str
) -> None:
    """A mistyped setting is usage, and names what there is."""
    status, said = compared(capsys, before, *options)
    assert status == 2
    assert says in said


def test_broken_events_are_told(
    before: Path, learned: Normality, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that is no event names its file and number."""
    clips = {"gate": [Clip("monday.mp4", 0, SCORES)]}
    after = make_replay(tmp_path / "after", clips, learned)
    (after / "events.jsonl").write_text("{}\n")
    status, said = compared(capsys, before, after)
    assert status not in (0, 1)
    assert "events.jsonl:1" in said
    (after / "events.jsonl").unlink()
    assert "events.jsonl: cannot be read" in compared(capsys, before, after)[1]


def alert(start_s: float, length_s: float) -> Alert:
    return Alert("gate", "", "x", start_s, start_s, start_s + length_s, 9.0, 5.0, None, "")


EVENTS = st.lists(st.tuples(st.floats(2, 50), st.floats(0, 20)), max_size=12).map(
    lambda steps: [
        alert(sum(a + b for a, b in steps[:k]) + steps[k][0], steps[k][1])
        for k in range(len(steps))
    ]
)


@given(EVENTS, EVENTS)
def test_every_event_is_told_once(a: list[Alert], b: list[Alert]) -> None:
    """Each event of either side is the same, moved, gained or lost; swapping swaps the last two."""
    found, back = difference(a, b, 1.0), difference(b, a, 1.0)
    assert found.same + len(found.moved) + len(found.lost) == len(a)
    assert found.same + len(found.moved) + len(found.gained) == len(b)
    assert (len(back.gained), len(back.lost)) == (len(found.lost), len(found.gained))
    assert not difference(a, a, 0.0).any
