"""What goes wrong with a camera or its light is told in a handful of messages, not in a flood."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from alerts.event import EventDraft, Provenance
from detectors.detector import Detector
from detectors.fitting import NormalityFitter
from detectors.normality import Normality
from streamer.capture.frame import FrameHeader, Validity
from streamer.capture.ring import FrameRing
from streamer.capture.states import CameraState, StateChange
from streamer.config import resolve
from streamer.config_load import parse_config
from streamer.watch import CameraWatch
from tests.detectors import scene

START_S = 1_763_802_000.0
FPS = scene.FPS
CONFIG = "cameras: {gate: {source: 0, alerts_per_day: 1}}\ndetect: {fps: 5, encoder: 'off'}\n"


@pytest.fixture(scope="module")
def normality() -> Normality:
    """Of a place where people walk along two lanes."""
    fitter = NormalityFitter(None, "gate")
    for window in scene.windows(scene.normal_life(60)):
        fitter.add(window)
    return fitter.finish()


class Camera:
    """A camera of that place; `told`: every message about it."""

    def __init__(self, watch: CameraWatch, detector: Detector) -> None:
        self._watch = watch
        self._detector = detector
        self._life = scene.normal_life(60, seed=2)
        self._shown = 0
        self._epoch = 1
        self._noise = np.random.default_rng(5)
        self.told: list[EventDraft] = []
        self.utc_s = START_S

    def state(self, state: CameraState, reason: str | None = None) -> None:
        """It goes to a state."""
        t_ns = round(self.utc_s * 1e9)
        self.told += self._watch.change_state(
            StateChange("gate", state, reason, "", t_ns, self.utc_s)
        )
        self._epoch += state is CameraState.ONLINE

    def away(self, seconds: float) -> None:
        """Nothing comes."""
        for _ in range(round(seconds)):
            self.utc_s += 1.0
            self.told += self._watch.every_second(self.utc_s)

    def show(self, seconds: float, light: float = 1.0) -> None:
        """What goes on there, in this light."""
        for _ in range(round(seconds * FPS)):
            luma = self._life[self._shown % len(self._life)]
            self._shown += 1
            self.utc_s += 1.0 / FPS
            self._see(luma, light)
        self.told += self._watch.every_second(self.utc_s)

    def _see(self, luma: scene.Luma, light: float) -> None:
        validity = Validity.VALID if light > 0 else Validity.BLACK
        dim = luma * light + self._noise.normal(0, 1.0, luma.shape)
        self._watch.ring.begin(luma.shape, luma.shape).luma[:] = np.clip(dim, 0, 255)
        t_ns = round(self.utc_s * 1e9)
        self._watch.ring.commit(FrameHeader(self._epoch, t_ns, t_ns, t_ns, validity))
        while (look := self._watch.look()) is not None:
            self.told += look.drafts
            if look.seen is not None:
                (score,) = self._detector.step([("gate", look.seen.window)])
                self.told += self._watch.observe(look.seen, score)

    def said(self) -> str:
        """For failures."""
        return "; ".join(
            f"{d.time - START_S:.0f} {d.type} {d.state or d.severity}" for d in self.told
        )


@pytest.fixture
def camera(tmp_path: Path, normality: Normality) -> Iterator[Camera]:
    config = resolve(parse_config(CONFIG, name="cameras.yaml", folder=tmp_path))["gate"]
    with FrameRing.create(16) as ring, Detector(None) as detector:
        watch = CameraWatch(
            "gate", config, ring, detector, normality=normality, provenance=Provenance()
        )
        yield Camera(watch, detector)


def test_a_camera_that_flaps_for_ten_minutes(camera: Camera) -> None:
    """Lost every 20 s for ten minutes: one loss, that it is unsteady, and that this is over."""
    camera.state(CameraState.ONLINE)
    camera.show(10)
    camera.told.clear()
    for _ in range(30):
        camera.state(CameraState.OFFLINE, "timeout")
        camera.away(18)
        camera.state(CameraState.ONLINE)
        camera.show(2)
    assert len(camera.told) <= 5, camera.said()
    assert camera.told[-1].state == "unsteady"
    camera.utc_s += 57
    camera.show(3)
    assert [(d.type, d.state) for d in camera.told[5:]] == [("end", "unsteady")], camera.said()


@pytest.mark.parametrize("light", [0.0, 0.12], ids=["black", "dim"])
def test_a_light_that_goes_off_and_on(camera: Camera, light: float) -> None:
    """Switched every 11 s for two minutes, seen black or dimly: at most a handful of messages."""
    camera.state(CameraState.ONLINE)
    camera.show(15)
    camera.told.clear()
    for _ in range(5):
        camera.show(11, light)
        camera.show(11)
    assert len(camera.told) <= 6, camera.said()
    assert not [d for d in camera.told if d.kind == "anomaly"], camera.said()
