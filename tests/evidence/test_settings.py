"""What the configuration says of evidence, and what the program says of it."""

from pathlib import Path
from typing import Any

import pytest
from program import write_config

from sorawatch import ConfigError
from streamer.checks import check_config
from streamer.config_load import load_config
from streamer.evidence import clip
from streamer.evidence.names import CLIP
from streamer.metrics import Metrics
from streamer.opening import clip_settings, evidence_bounds, evidence_link
from streamer.status import EvidenceStatus, ProgramStatus, render_status

CAMERA = {"gate": {"source": "rtsp://10.0.0.1/x"}}


def write(folder: Path, evidence: dict[str, Any], **alerts: Any) -> Path:
    """A configuration with this section."""
    return write_config(folder, CAMERA, alerts={"snapshots": None, "evidence": evidence, **alerts})


def test_a_folder_is_all_it_takes(tmp_path: Path) -> None:
    """Everything else has a default; paths start at the file's folder, sizes are as in `record`."""
    evidence = load_config(write(tmp_path, {"folder": "e", "max_size": "2GiB"})).alerts.evidence
    assert evidence is not None
    settings, bounds = clip_settings(evidence), evidence_bounds(evidence)
    assert settings.folder == tmp_path / "e"
    assert (settings.pre_roll_s, settings.post_roll_s, settings.longest_s) == (5, 5, 60)
    assert settings.buffer_bytes == 16_000_000
    assert (bounds.max_bytes, bounds.max_age_s) == (2 * 1024**3, 30 * 86_400)
    link = evidence_link(evidence)
    assert link("gate", "1.000000-abcdef", CLIP) == str(tmp_path / "e/gate/1.000000-abcdef.mp4")
    served = evidence.model_copy(update={"base_url": "https://nvr.example/e/"})
    url = evidence_link(served)("gate", "1.000000-abcdef", CLIP)
    assert url == "https://nvr.example/e/gate/1.000000-abcdef.mp4"


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        ({}, "alerts.evidence.folder: this key is required"),
        ({"folder": "e", "longest_s": 8}, "alerts.evidence.longest_s: must be more than pre_roll"),
        ({"folder": "e", "max_size": "much"}, "alerts.evidence.max_size: expected a size"),
        ({"folder": "e", "buffer": 5}, "alerts.evidence.buffer: must be greater"),
        ({"folder": "e", "base_url": "ftp://x"}, "alerts.evidence.base_url"),
        ({"folder": "e", "base_url": "https://me:secret@x/"}, "alerts.evidence.base_url"),
        ({"folder": "e", "preroll": 3}, "did you mean pre_roll_s?"),
    ],
)
def test_mistakes_are_told(tmp_path: Path, evidence: dict[str, Any], told: str) -> None:
    """With the key, and never with the password that it may hold."""
    with pytest.raises(ConfigError) as raised:
        load_config(write(tmp_path, evidence))
    assert told in str(raised.value)
    assert "secret" not in str(raised.value)


def test_one_folder_for_pictures(tmp_path: Path) -> None:
    """`snapshots` beside `evidence` would be a second folder, and is refused."""
    with pytest.raises(ConfigError, match=r"alerts\.evidence has the pictures"):
        load_config(write(tmp_path, {"folder": "e"}, snapshots="s"))


def test_check_says_what_will_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be one is a problem; a PyAV without H.264 is noted, and no problem."""
    (tmp_path / "e").write_text("")
    monkeypatch.setattr(clip, "ENCODERS", {"none_such": {}})
    config = load_config(write(tmp_path, {"folder": "e"}))
    found = {one.key: one for one in check_config(config)}
    assert found["alerts.evidence.folder"].kind == "problem"
    assert found["alerts.evidence.clips"].kind == "note"
    assert "libx264" in found["alerts.evidence.clips"].text


def test_what_is_missing_is_counted_and_said() -> None:
    """Metrics and the table for people tell of it; the program stays ready."""
    evidence = EvidenceStatus(
        clips_written=3,
        clips_dropped={"disk": 2},
        pictures_failed=1,
        buffer_bytes={"gate": 2_500_000},
        problem="the last clip was not made: disk: No space left on device",
    )
    status = ProgramStatus(version="1", pid=1, uptime_s=1.0, evidence=evidence)
    text = Metrics(lambda: status).render().decode()
    assert "sorawatch_clips_written_total 3.0" in text
    assert 'sorawatch_clips_dropped_total{reason="disk"} 2.0' in text
    assert "sorawatch_pictures_failed_total 1.0" in text
    assert 'sorawatch_evidence_buffer_bytes{camera="gate"} 2.5e+06' in text
    assert "sorawatch_evidence_ok 0.0" in text
    assert status.ready
    assert "evidence: the last clip was not made: disk: No space left" in render_status(status)
    assert "evidence" not in render_status(ProgramStatus(version="1", pid=1, uptime_s=1.0))
