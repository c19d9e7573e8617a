"""Render a scene to pictures, and pictures to H.264 files."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import cv2
import numpy as np

from streamer.demo.backdrop import Backdrop, Occluder
from streamer.demo.body import Body
from streamer.demo.brush import Box, Picture, cast, paint, stencil
from streamer.demo.scene import EventPlan, Planted, Scene
from streamer.demo.view import View

NOISE_SIGMA = 2.2
"""Sensor noise, grey levels."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known about rendered footage: its frames, its rate (frames a second), its events."""

    frames: int
    fps: float
    events: tuple[Planted, ...]

    def as_json(self) -> dict[str, Any]:
        """A JSON document; `Truth.from_json` reads it."""
        return {
            "frames": self.frames,
            "fps": self.fps,
            "events": [
                {
                    "kind": event.kind,
                    "start_frame": event.start_frame,
                    "end_frame": event.end_frame,
                    "boxes": {
                        str(frame): [round(share, 4) for share in box]
                        for frame, box in event.boxes.items()
                    },
                }
                for event in self.events
            ],
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Truth":
        """The truth that `as_json` gave."""
        return cls(
            document["frames"],
            document["fps"],
            tuple(
                Planted(
                    event["kind"],
                    event["start_frame"],
                    event["end_frame"],
                    {int(frame): tuple(box) for frame, box in event["boxes"].items()},
                )
                for event in document["events"]
            ),
        )


class Setting(Protocol):
    """Where a scene takes place; every `Layout` is one."""

    @property
    def view(self) -> View:
        """The camera."""

    @property
    def sun(self) -> tuple[float, float]:
        """Metres that a shadow goes along x and z for each metre of height."""

    @property
    def shadow(self) -> float:
        """0..1, how much light a shadow takes."""

    @property
    def paint(self) -> Callable[[np.random.Generator], Backdrop]:
        """Paints what the camera sees when nobody is there."""


class Lighting(Protocol):
    """How the light changes; `scene.Light` is one."""

    def cloud(self, t_s: float) -> float:
        """Smooth, about -1 (overcast) to 1 (sun)."""

    def gain(self, t_s: float, frame: int) -> float:
        """What the picture is multiplied by."""


class Staged(Protocol):
    """What can be rendered; every `Scene` is one."""

    @property
    def layout(self) -> Setting:
        """Where it takes place."""

    @property
    def light(self) -> Lighting:
        """How the light changes."""

    @property
    def seed(self) -> int:
        """Decides the place."""

    @property
    def take(self) -> int:
        """Decides who comes by."""

    @property
    def seconds(self) -> float:
        """How long it lasts."""

    def bodies(self, t_s: float) -> list[Body]:
        """Everybody who is there at second `t_s`."""

    def truth(self, fps: float) -> list[Planted]:
        """What was planted, frame by frame at `fps` frames a second."""


class Rendering:
    """The pictures of a scene, one after the other: iterate for (height, width, 3) uint8 BGR.

    The truth is there from the start. Rendering the same thing again gives the same pixels.
    """

    def __init__(self, scene: Staged, fps: float, noise_sigma: float = NOISE_SIGMA) -> None:
        """A scene at `fps` frames a second; `noise_sigma`: of the sensor, grey levels."""
        self.scene = scene
        self.fps = fps
        self.frames = round(scene.seconds * fps)
        self.truth = Truth(self.frames, fps, tuple(scene.truth(fps)))
        self._backdrop = scene.layout.paint(np.random.default_rng([scene.seed, 5]))
        view = scene.layout.view
        rng = np.random.default_rng([scene.seed, 6])
        # A sheet of noise larger than the picture; each frame takes another part of it.
        shape = (view.height + 96, view.width + 96)
        grey = cv2.GaussianBlur(rng.normal(size=shape).astype(np.float32), (0, 0), 0.55)
        noise = grey[..., None] / grey.std() + 0.35 * rng.normal(size=(*shape, 3))
        self._noise = np.clip(np.rint(128 + noise_sigma * noise), 0, 255).astype(np.uint8)

    def __len__(self) -> int:
        """How many pictures."""
        return self.frames

    def __iter__(self) -> Iterator[Picture]:
        """Every picture, in order."""
        for frame in range(self.frames):
            yield self.picture(frame)

    def picture(self, frame: int) -> Picture:
        """The picture of one frame."""
        scene, view = self.scene, self.scene.layout.view
        t_s = frame / self.fps
        picture = self._backdrop.picture.copy()
        occluders = list(self._backdrop.occluders)
        for number, crown in enumerate(self._backdrop.swaying):
            wind = 0.5 + 0.5 * math.sin(t_s * 0.37 + 2.1 * number)
            turn = t_s * (1.1 + 0.2 * number) + wind * 1.5
            phase = int(turn / (2 * math.pi) * len(crown.phases)) % len(crown.phases)
            box = crown.box
            picture[box.y0 : box.y1, box.x0 : box.x1] = crown.phases[phase]
            occluders.append(crown.occluders[phase])
        bodies = scene.bodies(t_s)
        layout = scene.layout
        dark = layout.shadow * (0.62 + 0.38 * scene.light.cloud(t_s))
        drawn = []
        for body in bodies:
            seen = stencil(body, view, layout.sun[0] < 0)
            if seen is not None:
                drawn.append(seen)
            cast(picture, body, view, layout.sun, dark)
        drawn.sort(key=lambda one: -one.depth)
        waiting = sorted(occluders, key=lambda one: -one.depth)
        touched: list[Box] = []
        for one in drawn:
            while waiting and waiting[0].depth > one.depth:
                _cover(picture, waiting.pop(0), touched)
            paint(picture, one)
            touched.append(one.box)
        for occluder in waiting:
            _cover(picture, occluder, touched)
        rng = np.random.default_rng([scene.seed, 7, scene.take, frame])
        left, top = int(rng.integers(96)), int(rng.integers(96))
        sheet = self._noise[top : top + view.height, left : left + view.width]
        gain = scene.light.gain(t_s, frame)
        return np.asarray(cv2.addWeighted(picture, gain, sheet, 1.0, -128.0), dtype=np.uint8)


def _cover(picture: Picture, occluder: Occluder, touched: list[Box]) -> None:
    for box in touched:
        occluder.cover(picture, box)


def render_scene(
    seed: int,
    layout: str,
    seconds: float,
    *,
    fps: float = 15.0,
    size: tuple[int, int] = (640, 360),
    crowd: str | float = "normal",
    events: Sequence[EventPlan] = (),
    take: int = 0,
) -> Rendering:
    """Footage of a rendered place: iterate for pictures, `.truth` says what was planted.

    `layout`: plaza, walkway or concourse. `seed` decides the place, `take` who comes by: normal
    footage and footage with events of one camera have the same seed and different takes.
    `size`: width and height. `crowd`: still, quiet, normal, busy, or a number of people.
    The same arguments give the same pixels.
    """
    return Rendering(Scene(seed, layout, seconds, size, crowd, events, take), fps)


def encode_h264(
    pictures: Iterable[Picture], path: Path, fps: float, *, key_every_s: float = 2.0, crf: int = 24
) -> int:
    """Write pictures (height, width, 3) uint8 BGR as H.264 in an MP4 file; returns how many.

    Encoded as cameras do: no B frames, a key frame every `key_every_s`. Sizes are cut to even
    numbers. One thread, so that the same pictures give the same file. A file that was there is
    replaced only when the new one is whole.
    """
    part = path.with_name(path.name + ".part")
    part.parent.mkdir(parents=True, exist_ok=True)
    rate = Fraction(fps).limit_denominator(1001)
    count = 0
    with av.open(str(part), "w", format="mp4") as container:
        stream: Any = None
        for picture in pictures:
            height, width = picture.shape[0] & ~1, picture.shape[1] & ~1
            if stream is None:
                stream = container.add_stream("libx264", rate=rate)
                stream.width, stream.height = width, height
                stream.pix_fmt = "yuv420p"
                stream.time_base = 1 / rate
                stream.codec_context.thread_count = 1
                stream.options = {
                    "preset": "superfast",
                    "crf": str(crf),
                    "bf": "0",
                    "g": str(max(1, round(key_every_s * fps))),
                    "sc_threshold": "0",
                }
            planar = cv2.cvtColor(picture[:height, :width], cv2.COLOR_BGR2YUV_I420)
            frame = av.VideoFrame.from_ndarray(planar, format="yuv420p")
            frame.pts = count
            frame.time_base = 1 / rate
            container.mux(stream.encode(frame))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
    part.replace(path)
    return count


def write_truth(truth: Truth, path: Path) -> None:
    """Write the truth beside the footage, as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(truth.as_json()) + "\n", encoding="utf-8")


def read_truth(path: Path) -> Truth:
    """The truth that `write_truth` wrote."""
    return Truth.from_json(json.loads(path.read_text(encoding="utf-8")))
