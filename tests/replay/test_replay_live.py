"""Live over RTSP and replay of the same stream tell the same."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import LAYOUT, SEED, SIZE
from program import running, write_config
from record_rig import Rig
from rtsp_server import RtspServer, missing

from streamer.capture.source import Source
from streamer.config_load import load_config
from streamer.demo.render import encode_h264, render_scene
from streamer.demo.scene import EventPlan
from streamer.fit import fit
from streamer.replay.gather import gather
from streamer.replay.replay import replay

pytestmark = [
    pytest.mark.rtsp,
    pytest.mark.skipif(bool(missing()), reason=missing() or "rtsp"),
]

FPS = 5.0  # every frame is analysed, live as well, whichever it begins with
FRAME_S = 1 / FPS
RUNS_AT_S = 1.5
SCENE_S = 6
BLACK_S = 3.6
DARK = ("dark", "new")


def film(
    path: Path, seconds: float, crowd: float | str, *events: EventPlan, black_s: float = 0.0
) -> Path:
    scene = list(
        render_scene(SEED, LAYOUT, seconds, fps=FPS, size=SIZE, crowd=crowd, events=events)
    )
    nothing = [np.zeros_like(scene[0])] * round(black_s * FPS)
    encode_h264([*scene, *nothing], path, FPS)
    return path


def between(events: list[dict[str, Any]], first: int, last: int) -> list[dict[str, Any]]:
    """What began after one darkness was told, and was told up to the next."""
    dark = [n for n, event in enumerate(events) if (event["state"], event["type"]) == DARK]
    return [
        event
        for event in events[dark[first] + 1 : dark[last] + 1]
        if event["start_time"] > events[dark[first]]["time"]
        and (event["kind"] == "anomaly" or event["state"] == "dark")
    ]


def test_live_and_replay_of_the_recording_tell_the_same(tmp_path: Path) -> None:
    """A camera watched over RTSP while it is recorded: what is replayed tells the same messages.

    Their times are those of the clock on the wall, within the frame that a decoder holds back, and
    agree with each other within a frame: lengths such as 0.6 s fall on a frame, and jitter decides.
    """
    ordinary = film(tmp_path / "ordinary.mp4", 20, 7.0)
    runner = film(
        tmp_path / "runner.mp4", SCENE_S, "still", EventPlan("runner", RUNS_AT_S), black_s=BLACK_S
    )
    fit([Source.parse(str(ordinary))], tmp_path / "plaza.normal", device="cpu")
    with RtspServer() as server:
        server.serve("plaza", runner, shared=True)  # over and over
        plaza = {
            "source": server.url("plaza"), "normal": "plaza.normal", "alerts_per_day": 2000,
        }  # fmt: skip
        config = write_config(
            tmp_path,
            {"plaza": plaza},
            health={"dark_after_s": 2},
            judge={"cooldown_s": 0},
            detect={"device": "cpu"},
        )
        recording = tmp_path / "recording"
        with Rig(recording, {"plaza": server.url("plaza")}, segment_s=4.0) as rig:
            rig.until_frames(1)
            with running(config) as (program, heard):
                heard.until(lambda: count(heard.events, DARK) >= 2, 60)
                live = between(heard.events, 0, 1)
                began_s = heard.find(state="dark")[0]["time"]
                program.stop()
    runs = gather([Source.parse(str(recording))], "plaza")
    assert len(runs) == 1
    assert len(runs[0].footage.pieces) > 3
    replay(runs, load_config(config), "plaza", tmp_path / "out")
    lines = (tmp_path / "out" / "events.jsonl").read_text().splitlines()
    every = [json.loads(line) for line in lines]
    times_s = [e["time"] for e in every if (e["state"], e["type"]) == DARK]
    first = int(np.argmin(np.abs(np.array(times_s) - began_s)))
    replayed = between(every, first, first + 1)
    assert count(live, ("", "new")) >= 1
    what = ("type", "kind", "state", "severity", "ended_by", "model", "normal", "config")
    assert [[e[key] for key in what] for e in live] == [[e[key] for key in what] for e in replayed]
    late_s = live[0]["start_time"] - replayed[0]["start_time"]
    assert abs(late_s) < 1.5 * FRAME_S
    for one, other in zip(live, replayed, strict=True):
        for key in ("time", "start_time", "end_time"):
            if one[key] is not None:
                assert abs(one[key] - late_s - other[key]) < 1.5 * FRAME_S, (key, one, other)
        if one["kind"] == "anomaly" and one["type"] == "end":
            assert one["score"] == pytest.approx(other["score"], rel=0.02)
            assert one["explanation"]["text"] == other["explanation"]["text"]


def count(events: list[dict[str, Any]], state_and_type: tuple[str, str]) -> int:
    """How many messages are of this state, "" for alerts, and type."""
    state, type_ = state_and_type
    return sum((e["state"] or "", e["type"]) == (state, type_) for e in events)
