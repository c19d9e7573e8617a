"""The summary of an evaluation: figures, with what they were computed from."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

SCHEMA: Final = "sorawatch.evaluation/1"

PointKind = Literal["calibrated", "at_false_alarms"]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """What one threshold gives. docs/datasets.md tells every field."""

    kind: PointKind
    alerts_per_day: float
    per_hour: float
    threshold: float
    extrapolated: bool | None
    events_found: int
    events_found_early: int
    median_delay_s: float | None
    alarms: int
    false_alarms: int
    false_alarms_per_hour: float | None
    false_alarms_per_hour_upper95: float | None

    @property
    def asked(self) -> str:
        """The rate that was asked for, for people: 1 a day, 10 an hour."""
        if self.per_hour >= 1 and self.per_hour.is_integer():
            return f"{self.per_hour:.0f} an hour"
        return f"{self.alerts_per_day:g} a day"


@dataclass(frozen=True, slots=True)
class EntrySummary:
    """One entry of the test split."""

    entry: str
    frames: int
    frames_decoded: int
    fps: float
    anomalous_frames: int
    events: int
    auc: float | None
    highest_score: float
    highest_score_normal: float | None
    highest_score_anomalous: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """What an evaluation found out. docs/datasets.md tells every field."""

    schema: str
    version: str
    dataset: str
    fps: float
    device: str | None
    encoder_sha256: str | None
    normality_sha256: str
    min_length_s: float
    merge_gap_s: float
    cooldown_s: float
    leave_ratio: float
    train_entries: int
    train_footage_s: float
    learning_s: float
    test_entries: int
    test_frames: int
    test_footage_s: float
    normal_footage_s: float
    anomalous_frames: int
    events: int
    scored_frames: int
    detector_cpu_ms_per_s: float | None
    scoring_s: float
    micro_auc: float | None
    micro_auc_low95: float | None
    micro_auc_high95: float | None
    macro_auc: float | None
    macro_auc_entries: int
    average_precision: float | None
    equal_error_rate: float | None
    rbdc: float | None
    tbdc: float | None
    tracks: int
    operating_points: tuple[OperatingPoint, ...]
    entries: tuple[EntrySummary, ...]
    notes: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """As it stands in summary.json: finite numbers, or null."""
        found = _finite(asdict(self))
        assert isinstance(found, dict)  # noqa: S101
        return found


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
