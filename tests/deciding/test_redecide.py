"""Deciding again from a trace gives the very messages that the camera gave."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from alerts.event import EventDraft
from alerts.judge import JudgeSettings
from alerts.wanted import Hours, Schedule, Zone
from detectors.calibration import Calibration
from streamer.deciding.redecide import Footage, Settings, redecide
from streamer.judging import CalibratedJudge, observation_of
from streamer.trace.row import Gate, TraceRow

START_S = 1_763_802_000.0  # a Saturday, 09:00 UTC
CALIBRATION = Calibration(np.random.default_rng(1).exponential(1.5, 360), 7200.0)
LEFT = Zone("left", ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
RIGHT = replace(LEFT, name="right", points=((0.4, 0), (1, 0), (1, 1), (0.4, 1)), by="overlap")
ALL = replace(LEFT, name="all", points=((0, 0), (1, 0), (1, 1), (0, 1)))
MORNING = Schedule("UTC", (Hours.parse("sat 09:00-09:05"), Hours.parse("all 09:07-09:20")))


class Rows:
    """A trace in memory."""

    def __init__(self, rows: list[TraceRow]) -> None:
        self.rows = rows

    def row(self, row: int) -> TraceRow:
        return self.rows[row]

    def region(self, row: int) -> tuple[float, float, float, float] | None:
        return self.rows[row].region

    def column(self, name: str) -> NDArray:
        return np.array([getattr(row, name) for row in self.rows])

    @property
    def footage(self) -> Footage:
        return Footage.of(
            self.column("utc_s").astype(np.float64),
            self.column("score").astype(np.float64),
            self.column("strange").astype(np.bool_),
            np.array(["dark" in row.conditions for row in self.rows], np.bool_),
            np.array([row.gate in (Gate.INVALID, Gate.TORN) for row in self.rows], np.bool_),
            self.rows[-1].utc_s + 0.3 if self.rows else 0.0,
        )


def stepped(rows: list[TraceRow], chosen: Settings) -> list[EventDraft]:
    """What the live path says, row for row, as streamer/trace/schema.py tells it."""
    judge = CalibratedJudge("gate", CALIBRATION, chosen.alerts_per_day, chosen.judge)
    drafts, dark, newest_s = [], False, None
    for row in rows:
        if "dark" in row.conditions and not dark and newest_s is not None:
            drafts += judge.close(min(max(row.utc_s, newest_s), newest_s + 1.0), "camera_lost")
        dark = "dark" in row.conditions
        if row.gate not in (Gate.INVALID, Gate.TORN):
            newest_s = row.utc_s
        if not np.isnan(row.score):
            drafts += judge.step(observation_of(row, CALIBRATION), strange=row.strange)
    if newest_s is None:
        return drafts
    end_s = min(max(rows[-1].utc_s + 0.3, newest_s), newest_s + 1.0)
    return drafts + judge.close(end_s, "stopped")


def film(seed: int, n: int, busy: float, back: bool) -> list[TraceRow]:
    """Spells of unusual scores, gaps, clocks that step back, other scenes, dark and torn rows."""
    rng = np.random.default_rng(seed)
    utc_s = START_S + rng.uniform(0, 900)
    high, rows = 0.0, []
    changes = rng.choice([0.05, 0.004])  # long spells as well as short ones
    for k in range(n):
        leap = rng.random()
        step_s = 0.2 if leap < 0.97 else rng.choice([0.0, 1.5, 4.0, 60.0])
        utc_s += -rng.uniform(0, 30) if back and leap > 0.999 else step_s
        if rng.random() < changes:
            high = rng.choice([0.0, 0.0, 3.0, 6.0, 9.0, 20.0]) if rng.random() < busy else 0.0
        score = float(max(0.0, high * rng.uniform(0.6, 1.1)))
        dark = k // 40 % 29 == 11
        unscored = rng.random() < (0.9 if dark else 0.02)
        region = None if rng.random() < 0.2 else tuple(rng.uniform(0, 0.5, 4).tolist())
        rows.append(
            TraceRow(
                frame=k,
                generation=0,
                t_s=k / 5,
                utc_s=float(utc_s),
                score=float("nan") if unscored else score,
                moving=score,
                standing=0.0,
                gate=rng.choice([Gate.TORN, Gate.INVALID, Gate.OTHER_SIZE])
                if unscored
                else Gate.SCORED,
                strange=bool(k // 150 % 7 == 3),
                region=region,  # type: ignore[arg-type]
                text=f"row {k}",
                parts={"speed": 1.0},
                conditions=("dark",) if dark else (),
            )
        )
    return rows


JUDGES = st.builds(
    JudgeSettings,
    min_length_s=st.sampled_from([0.0, 0.6, 2.0]),
    merge_gap_s=st.sampled_from([0.0, 3.0, 20.0]),
    cooldown_s=st.sampled_from([0.0, 10.0, 120.0]),
    leave_ratio=st.sampled_from([0.3, 0.7, 1.0]),
    update_every_s=st.sampled_from([0.0, 2.0]),
    zones=st.sampled_from(
        [
            (),
            (LEFT,),
            (replace(LEFT, kind="exclude"),),
            (RIGHT, LEFT),
            (replace(RIGHT, threshold_ratio=2.5), replace(LEFT, threshold_ratio=0.3)),
            (replace(LEFT, alerts_per_day=900.0), replace(RIGHT, alerts_per_day=0.1), ALL),
        ]
    ),
    schedule=st.sampled_from([None, MORNING]),
    cooldown=st.sampled_from(["interval", "idle"]),
    most_per_hour=st.sampled_from([None, 1, 3]),
    alert_ratio=st.sampled_from([1.0, 1.3, 3.0]),
)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 100_000),
    n=st.sampled_from([0, 1, 7, 400, 1500]),
    busy=st.sampled_from([0.05, 0.4, 1.0]),
    back=st.booleans(),
    rate=st.sampled_from([0.2, 1.0, 24.0, 500.0, 20_000.0]),
    judge=JUDGES,
)
def test_the_same_messages_as_frame_by_frame(
    seed: int, n: int, busy: float, back: bool, rate: float, judge: JudgeSettings
) -> None:
    """Message for message what live watching says, to the last figure and word."""
    rows = film(seed, n, busy, back)
    chosen = Settings(rate, judge)
    trace = Rows(rows)
    found = redecide(trace.footage, CALIBRATION, chosen, camera="gate", facts=trace)
    assert found == stepped(rows, chosen)


def test_without_facts_times_and_scores_are_the_same() -> None:
    """A sweep over settings needs no regions: it counts the same events."""
    rows = film(5, 2500, 1.0, False)
    chosen = Settings(500.0)
    trace = Rows(rows)
    plain = redecide(trace.footage, CALIBRATION, chosen, camera="gate")
    whole = redecide(trace.footage, CALIBRATION, chosen, camera="gate", facts=trace)
    assert len(plain) > 4
    keys = ("type", "id", "time", "start_time", "end_time", "score", "threshold", "ended_by")
    assert [[getattr(d, k) for k in keys] for d in plain] == [
        [getattr(d, k) for k in keys] for d in whole
    ]
