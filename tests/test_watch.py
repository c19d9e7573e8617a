"""One camera behind its ring: what is said of it besides its alerts."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from alerts.event import Provenance
from detectors.detector import Detector
from streamer.capture.frame import FrameHeader, Validity
from streamer.capture.ring import FrameRing
from streamer.capture.states import CameraState, StateChange
from streamer.config import resolve
from streamer.config_load import parse_config
from streamer.watch import CameraWatch

CONFIG = "cameras: {gate: {source: 0}}\ndetect: {fps: 5}\n"


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[CameraWatch]:
    camera = resolve(parse_config(CONFIG, name="cameras.yaml", folder=tmp_path))["gate"]
    with FrameRing.create(16) as ring, Detector(None) as detector:
        yield CameraWatch("gate", camera, ring, detector, normality=None, provenance=Provenance())


def show(watch: CameraWatch, count: int, first_s: float, every_s: float) -> None:
    """Let the camera send pictures, and the watch see each."""
    for number in range(count):
        watch.ring.begin((24, 32), (24, 32)).luma[:] = number
        t_ns = round((first_s + number * every_s) * 1e9)
        watch.ring.commit(FrameHeader(1, t_ns, t_ns, t_ns, Validity.VALID))
        seen = watch.cutter.next()
        assert seen is not None
        watch.observe(seen, None)


def test_a_camera_too_slow_to_be_watched_is_told(
    watch: CameraWatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Pictures too seldom to be compared are not passed over in silence, but told once."""
    show(watch, 30, first_s=100, every_s=1.0)
    assert watch.conditions == {"slow"}
    assert caplog.text.count("gate: too few pictures a second for detect.fps 5") == 1
    show(watch, 5, first_s=130, every_s=0.2)
    assert watch.conditions == set()
    show(watch, 30, first_s=140, every_s=1.0)
    watch.change_state(StateChange("gate", CameraState.OFFLINE, "timeout", "", 0, 200.0))
    assert watch.conditions == set()
