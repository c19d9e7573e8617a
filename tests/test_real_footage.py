"""The whole main job on real footage: fit, watch by RTSP, hear of what is unusual, in time."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from footage import footage
from program import Event, Subscriber, running, sorawatch, write_config
from rtsp_server import RtspServer, missing

pytestmark = [
    pytest.mark.footage,
    pytest.mark.rtsp,
    pytest.mark.skipif(bool(missing()), reason=missing()),
]

FPS = 10.0
EARLY_S = 0.3  # the time of a frame is known to within a period
Labels = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def dataset() -> Path:
    return footage("ped2")


@pytest.fixture(scope="module")
def labels(dataset: Path) -> Labels:
    found: Labels = json.loads((dataset / "labels.json").read_text())
    return found


@pytest.fixture(scope="module")
def normal(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is normal there, learned as a user would."""
    out = tmp_path_factory.mktemp("normal") / "ped2.normal"
    sources = sorted((dataset / "train").iterdir())
    done = sorawatch("fit", *sources, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["sources"] == len(sources)
    return out


@pytest.fixture(scope="module")
def server(
    dataset: Path, labels: Labels, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RtspServer]:
    """The test sequences as cameras, each from its first frame on for whoever connects."""
    av = pytest.importorskip("av")
    assert av
    from streamer.demo.render import encode_h264  # noqa: PLC0415 - wants av

    folder = tmp_path_factory.mktemp("videos")
    with RtspServer() as server:
        for name in labels:
            frames = sorted((dataset / "test" / name).iterdir())
            pictures = (np.asarray(cv2.imread(str(frame)), np.uint8) for frame in frames)
            encode_h264(pictures, folder / f"{name}.mp4", FPS)
            assert server.serve(name, folder / f"{name}.mp4", once=True) == len(frames)
        yield server


def first_showing(subscriber: Subscriber, camera: str) -> tuple[Event, list[Event]]:
    """That a camera's sequence ended for the first time, and the alerts until then."""
    end = subscriber.find(camera=camera, state="offline", type="new")[0]
    alerts = subscriber.find(camera=camera, kind="anomaly", type="new")
    return end, [alert for alert in alerts if alert["seq"] < end["seq"]]


def test_what_is_unusual_is_told_while_it_happens(
    normal: Path, server: RtspServer, labels: Labels, tmp_path: Path
) -> None:
    """With default settings, at least 10 of 12 real sequences alert during, none before."""
    cameras = {
        f"cam-{name}": {"source": server.url(name), "normal": str(normal)} for name in labels
    }
    with running(write_config(tmp_path, cameras)) as (program, subscriber):
        subscriber.until(
            lambda: all(
                subscriber.find(camera=camera, state="offline", type="new") for camera in cameras
            ),
            within_s=60,
            why="every sequence has ended",
        )
        program.stop()
    during, before = [], []
    for name, label in labels.items():
        end, alerts = first_showing(subscriber, f"cam-{name}")
        # When it ended is known to the frame; what came before it was read is not.
        began_s = end["start_time"] - label["frames"] / FPS
        starts = [alert["start_time"] - began_s for alert in alerts]
        spans = [(first / FPS, last / FPS) for first, last in label["anomalous"]]
        if any(first - EARLY_S <= start < last for start in starts for first, last in spans):
            during.append(name)
        before += [(name, start) for start in starts if start < spans[0][0] - EARLY_S]
        for alert in alerts:
            assert alert["explanation"]["text"]
            assert Path(alert["snapshot"]).is_file()
    assert not before
    assert len(during) >= 10, f"only {during}"
