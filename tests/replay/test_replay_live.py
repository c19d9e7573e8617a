"""Live over RTSP and replay of the same stream tell the same."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import LAYOUT, SEED, SIZE
from program import running, write_config
from rtsp_server import RtspServer, missing

from streamer.capture.source import Source
from streamer.config_load import load_config
from streamer.demo.render import encode_h264, render_scene
from streamer.demo.scene import EventPlan
from streamer.fit import fit
from streamer.replay.gather import gather
from streamer.replay.replay import replay
from streamer.trace.manifest import load_manifest, trace_paths
from streamer.trace.read import read_trace

pytestmark = [
    pytest.mark.rtsp,
    pytest.mark.skipif(bool(missing()), reason=missing() or "rtsp"),
]

FPS = 5.0  # every frame is analysed, live as well, whichever it begins with
FRAME_S = 1 / FPS
RUNS_AT_S = 4.0
SCENE_S = 9
BLACK_S = 3.6


def film(
    path: Path, seconds: float, crowd: float | str, *events: EventPlan, black_s: float = 0.0
) -> Path:
    scene = list(
        render_scene(SEED, LAYOUT, seconds, fps=FPS, size=SIZE, crowd=crowd, events=events)
    )
    nothing = [np.zeros_like(scene[0])] * round(black_s * FPS)
    encode_h264([*scene, *nothing], path, FPS)
    return path


def told(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is said of the pictures."""
    return [
        event for event in events
        if event["kind"] == "anomaly" or (event["state"] == "dark" and event["type"] == "new")
    ]  # fmt: skip


def ends(events: list[dict[str, Any]], type_: str) -> int:
    return sum(event["kind"] == "anomaly" and event["type"] == type_ for event in events)


def test_live_and_replay_tell_the_same(tmp_path: Path) -> None:
    """A camera seen over RTSP, and the same frames replayed: the same messages in the same order.

    Times are the same within a frame. A live connection passes over its first frames, so nothing
    happens in those: what is the same is then what is made of the same frames.
    """
    ordinary = film(tmp_path / "ordinary.mp4", 20, 7.0)
    runner = film(
        tmp_path / "runner.mp4", SCENE_S, "still", EventPlan("runner", RUNS_AT_S), black_s=BLACK_S
    )
    fit([Source.parse(str(ordinary))], tmp_path / "plaza.normal", device="cpu")
    with RtspServer() as server:
        server.serve("plaza", runner, once=True)
        plaza = {
            "source": server.url("plaza"), "normal": "plaza.normal", "alerts_per_day": 200,
        }  # fmt: skip
        config = write_config(
            tmp_path, {"plaza": plaza}, health={"dark_after_s": 2}, detect={"device": "cpu"}
        )
        with running(config) as (program, heard):
            heard.until_event(60, state="dark", type="new")
            heard.until(lambda: ends(heard.events, "end") == ends(heard.events, "new"), 10)
            live = told(heard.events)
            program.stop()
    runs = gather([Source.parse(str(runner))], start_utc_s=live[0]["time"])
    replay(runs, load_config(config), "plaza", tmp_path / "out")
    lines = (tmp_path / "out" / "events.jsonl").read_text().splitlines()
    replayed = told([json.loads(line) for line in lines])
    assert [e["kind"] for e in live].count("anomaly") >= 2
    what = ("type", "kind", "state", "severity", "ended_by", "model", "normal", "config")
    assert [[e[key] for key in what] for e in live] == [[e[key] for key in what] for e in replayed]
    began = [events[0]["time"] for events in (live, replayed)]
    for one, other in zip(live, replayed, strict=True):
        for key in ("time", "start_time", "end_time"):
            if one[key] is not None:
                ago_s = one[key] - began[0] - (other[key] - began[1])
                assert abs(ago_s) < 1.1 * FRAME_S, (key, one, other)
        if one["kind"] == "anomaly" and one["type"] == "end":  # an update may be a frame later
            assert one["score"] == pytest.approx(other["score"], rel=0.02)
            assert one["explanation"]["text"] == other["explanation"]["text"]
    paths = trace_paths(tmp_path / "out", load_manifest(tmp_path / "out"), "plaza")
    assert len(read_trace(paths[0])) == round((SCENE_S + BLACK_S) * FPS)
