"""`sorawatch explain`: why there was an alert, and why there was none."""

import json
from pathlib import Path
from typing import Any

import pytest
from replays import CALIBRATION, START_S, Clip, burst, make_replay

from detectors.normality import Normality
from streamer.cli import main
from streamer.config_judge import JudgeConfig
from streamer.trace.row import Gate

ASKED = CALIBRATION.threshold(1.0).value
HIGH = ASKED + 1.0
ZONED = JudgeConfig.model_validate(
    {
        "cooldown_s": 60,
        "zones": [{"name": "tree", "exclude": [[0, 0], [0.5, 0], [0.5, 0.5]]}],
        "schedule": {"time_zone": "UTC", "alert": ["sat 09:00-10:00"]},
    }
)
TREE, YARD = (0.3, 0.05, 0.1, 0.1), (0.6, 0.6, 0.1, 0.1)


@pytest.fixture(scope="module")
def folder(learned: Normality, tmp_path_factory: pytest.TempPathFactory) -> Path:
    scores = burst(
        6000,
        (500, 520, HIGH),
        (515, 518, 0.8 * HIGH),  # within the event, above what it is left at
        (530, 533, HIGH),  # bridged
        (700, 705, HIGH),  # while it rests
        (3000, 3002, HIGH),  # the third minute with an alert
        (4000, 4010, ASKED - 1),  # not enough
    )
    flood = burst(6000, *((k, k + 10, HIGH + k / 1000) for k in range(0, 5000, 500)))
    clips = {
        "gate": [
            Clip("yard.mp4", 0, scores, YARD),
            Clip("tree.mp4", 1300, burst(100, (50, 60, HIGH)), TREE),
            Clip("short.mp4", 2000, burst(100, (50, 52, HIGH)), YARD),
            Clip("next.mp4", 2020, burst(100), YARD),  # begins where short.mp4 ends
            Clip("late.mp4", 7200, burst(100, (50, 60, HIGH)), YARD),
            Clip("black.mp4", 9000, [float("nan")] * 50, YARD, Gate.INVALID),
        ],
        "flooded": [Clip("flood.mp4", 0, flood, YARD)],
    }
    return make_replay(tmp_path_factory.mktemp("why") / "why", clips, learned, judge=ZONED)


def why(
    folder: Path, capsys: pytest.CaptureFixture[str], at_s: float, camera: str = "gate"
) -> dict[str, Any]:
    status = main(
        ["explain", str(folder), "--at", str(START_S + at_s), "--camera", camera, "--json"]
    )
    assert status == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)["cameras"][0]
    return found


@pytest.mark.parametrize(
    ("at_s", "stopped_by", "says"),
    [
        (100.0, None, "told at 2025-11-22 09:01:40"),
        (102.0, None, "it belongs to the event that began at 2025-11-22 09:01:40"),
        (103.2, None, "enough to go on"),
        (106.2, None, "it belongs to the event that began at 2025-11-22 09:01:40"),
        (105.0, "above the threshold", "the event waits for more"),
        (140.2, "cooldown", "the camera rested until 2025-11-22 09:02:46"),
        (600.2, "threshold lifted", "(1 a day), but drift lifted the threshold to"),
        (2010.2, "long enough", "it lasted 0.2 s, 0.6 s are needed"),
        (801.0, "above the threshold", "it would do at"),
        (1310.5, "zone", "'tree'"),
        (7210.5, "schedule", "Saturday 11:00 is outside the schedule (UTC)"),
        (9005.0, "scored", "does not show the scene"),
    ],
)
def test_each_gate_says_whether_it_let_pass(
    folder: Path, capsys: pytest.CaptureFixture[str], at_s: float, stopped_by: str | None, says: str
) -> None:
    """The gates in order, up to the one that stopped it, each with its figures."""
    found = why(folder, capsys, at_s)
    texts = " ".join(gate["text"] for gate in found["gates"])
    assert (found["stopped_by"], found["alert"]) == (stopped_by, stopped_by is None)
    assert says in texts


def test_a_lifted_threshold_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What would have been an alert but for drift is told with both thresholds."""
    found = why(folder, capsys, 700.2, "flooded")
    assert found["stopped_by"] == "threshold lifted"
    assert found["threshold"] > found["score"] > found["asked_threshold"]
    assert "drift lifted the threshold" in found["gates"][-1]["text"]
    assert "unusual in" in found["drift"]


def test_the_score_its_parts_and_what_it_is_compared_with(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures of the moment, and how much of normal footage reached them."""
    found = why(folder, capsys, 801.0)
    assert found["score"] == pytest.approx(ASKED - 1)
    assert found["parts"] == {"speed": 1.0}
    assert found["region"] == pytest.approx(list(YARD), abs=1e-4)
    assert found["expected_per_day"] == pytest.approx(
        CALIBRATION.expected_per_day(ASKED - 1), rel=1e-6
    )
    assert "in the 2 hours of normal footage" in found["compared_with"]


def test_a_moment_beside_the_one_that_was_meant(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who misses the moment by seconds is led to it, in words that people read."""
    assert main(["explain", str(folder), "--at", "2025-11-22T09:13:15Z", "--camera", "gate"]) == 0
    out = capsys.readouterr().out
    assert f"the score was {ASKED - 1:.2f} at 2025-11-22T09:13:20.000Z" in out
    assert "=> no alert: above the threshold" in out


def test_a_moment_is_looked_up_in_the_source_that_holds_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where sources touch, the first seconds of one are not told as the end of the other."""
    assert why(folder, capsys, 2022.0)["source"] == "next.mp4"
    assert why(folder, capsys, 2019.9)["source"] == "short.mp4"


@pytest.mark.parametrize(
    ("at", "status", "says"),
    [
        ("2025-11-23T09:00:00Z", 2, "has no footage of 2025-11-23T09:00:00.000Z: it has 2025-11-2"),
        ("yesterday", 2, "expected a time, such as"),
    ],
)
def test_moments_that_are_not_there(
    folder: Path, capsys: pytest.CaptureFixture[str], at: str, status: int, says: str
) -> None:
    """One line says what there is footage of."""
    assert main(["explain", str(folder), "--at", at, "--camera", "gate"]) == status
    assert says in capsys.readouterr().err
