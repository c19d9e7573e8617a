"""One camera behind its ring: what is said of it besides its alerts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from alerts.event import Provenance
from detectors.detector import Detector
from detectors.fitting import NormalityFitter
from detectors.window import Window
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
        look = watch.look()
        assert look is not None
        assert look.seen is not None
        watch.observe(look.seen, None)


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


def test_pictures_of_another_size_are_not_scored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A camera that was set to another shape is told once, with what to do, and raises nothing."""
    fitter = NormalityFitter()
    still = np.random.default_rng(0).integers(0, 255, (48, 64)).astype(np.uint8)
    for number in range(60):
        frames = tuple(np.roll(still, k, 1) for k in range(max(0, number - 7), number + 1))
        times = tuple(0.2 * k for k in range(max(0, number - 7), number + 1))
        fitter.add(Window(frames, times, number, 0))
    camera = resolve(parse_config(CONFIG, name="cameras.yaml", folder=tmp_path))["gate"]
    with FrameRing.create(16) as ring, Detector(None) as detector:
        watch = CameraWatch(
            "gate", camera, ring, detector, normality=fitter.finish(), provenance=Provenance()
        )
        assert "too short for 1 alert a day" in (watch.calibration_warning or "")
        show(watch, 20, first_s=100, every_s=0.2)
    assert watch.conditions == {"other_size"}
    assert watch.last is None
    assert caplog.text.count("the camera's picture size has changed: learn it anew") == 1
