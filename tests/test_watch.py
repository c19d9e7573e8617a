"""One camera behind its ring: what is said of it besides its alerts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from alerts.event import Provenance
from detectors.detector import Detector
from detectors.fitting import NormalityFitter
from detectors.score import Region, Score
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


def fitter_of_64x48() -> NormalityFitter:
    fitter = NormalityFitter()
    still = np.random.default_rng(0).integers(0, 255, (48, 64)).astype(np.uint8)
    for number in range(60):
        frames = tuple(np.roll(still, k, 1) for k in range(max(0, number - 7), number + 1))
        times = tuple(0.2 * k for k in range(max(0, number - 7), number + 1))
        fitter.add(Window(frames, times, number, 0))
    return fitter


@pytest.mark.parametrize(
    ("judge", "alerts"),
    [
        ("{}", 1),
        ("{zones: [{name: tree, exclude: [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]}]}", 0),
        ("{zones: [{name: yard, include: [[0, 0], [0.5, 0], [0.5, 0.5], [0, 0.5]]}]}", 1),
        ('{schedule: {time_zone: UTC, alert: ["mon 10:00-11:00"]}}', 0),
    ],
)
def test_a_live_camera_alerts_where_and_when_it_is_wanted(
    tmp_path: Path, judge: str, alerts: int
) -> None:
    """Zones and schedule of the configuration hold for live cameras."""
    text = CONFIG + f"judge: {judge}\n"
    camera = resolve(parse_config(text, name="cameras.yaml", folder=tmp_path))["gate"]
    with FrameRing.create(16) as ring, Detector(None) as detector:
        normality = fitter_of_64x48().finish()
        watch = CameraWatch(
            "gate", camera, ring, detector, normality=normality, provenance=Provenance()
        )
        drafts = []
        for number in range(20):
            ring.begin((48, 64), (48, 64)).luma[:] = number
            t_ns = round((100 + number / 5) * 1e9)
            ring.commit(FrameHeader(1, t_ns, t_ns, t_ns, Validity.VALID))
            look = watch.look()
            assert look is not None
            assert look.seen is not None
            score = Score(0.0, 500.0, {"speed": 1.0}, Region(0.1, 0.1, 0.1, 0.1), "fast")
            drafts += watch.observe(look.seen, score)
    assert sum(draft.kind == "anomaly" and draft.type == "new" for draft in drafts) == alerts


def test_pictures_of_another_size_are_not_scored(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A camera that was set to another shape is told once, with what to do, and raises nothing."""
    fitter = fitter_of_64x48()
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
