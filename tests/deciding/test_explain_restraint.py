"""`explain` names the gate of restraint that stopped a moment."""

from pathlib import Path

import pytest

from detectors.normality import Normality
from streamer.config_judge import JudgeConfig
from streamer.deciding.explain import Explained, explain
from streamer.deciding.replayed import open_replay
from tests.deciding.replays import FPS, START_S, Clip, burst, make_replay, normality

LEFT = ((0, 0), (0.5, 0), (0.5, 1), (0, 1))


@pytest.fixture(scope="module")
def learned() -> Normality:
    return normality()


def at(folder: Path, learned: Normality, second: float, **judge: object) -> Explained:
    """The moment, of a replay with three bursts a minute apart."""
    scores = burst(200 * FPS, (100, 120, 30.0), (400, 420, 30.0), (700, 720, 13.0))
    rules = JudgeConfig.model_validate({"cooldown_s": 5, **judge})
    make_replay(folder, {"gate": [Clip("a.mp4", 0.0, scores)]}, learned, judge=rules)
    return explain(open_replay(folder).cameras["gate"], START_S + second)


def test_the_cap_is_named(tmp_path: Path, learned: Normality) -> None:
    """What the cap held back says so; what it let pass too."""
    second = at(tmp_path / "one", learned, 82.0, most_per_hour=1)
    assert second.stopped_by == "cap"
    assert "most_per_hour" in second.steps[-1].text
    assert at(tmp_path / "two", learned, 82.0, most_per_hour=2).alert
    assert at(tmp_path / "three", learned, 22.0, most_per_hour=1).alert


def test_a_cooldown_by_idle_time_is_named(tmp_path: Path, learned: Normality) -> None:
    """Within a rest that asks for quiet the gate is the cooldown."""
    found = at(tmp_path, learned, 82.0, cooldown="idle", cooldown_s=90)
    assert found.stopped_by == "cooldown"


def test_the_threshold_is_that_of_the_zone(tmp_path: Path, learned: Normality) -> None:
    """A zone's own threshold is what a moment in it is held against."""
    zone = {"name": "door", "include": LEFT}
    plain = at(tmp_path / "plain", learned, 141.0)
    dull = at(tmp_path / "dull", learned, 82.0, zones=[{**zone, "threshold_ratio": 20}])
    assert dull.stopped_by == "above the threshold"
    assert f"{20 * plain.asked:.2f}" in dull.steps[-1].text
    sharp = at(tmp_path / "sharp", learned, 141.0, zones=[{**zone, "threshold_ratio": 0.2}])
    assert sharp.alert
    rate = at(tmp_path / "rate", learned, 82.0, zones=[{**zone, "alerts_per_day": 0.0001}])
    assert not rate.alert
