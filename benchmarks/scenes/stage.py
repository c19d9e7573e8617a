"""A take: a place, who is in it, what is planted, and the light; ready to be rendered."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from streamer.demo.actors import Actor
from streamer.demo.backdrop import Backdrop
from streamer.demo.body import Body
from streamer.demo.brush import Box, stencil
from streamer.demo.render import Lighting, Setting
from streamer.demo.scene import Planted
from streamer.demo.view import View

_SEEN_PX = 20  # of 640x360; what takes less is not to be seen yet


@dataclass(frozen=True, slots=True)
class Site:
    """A place as a camera sees it; `sun` and `shadow` as in `streamer.demo.layouts`."""

    view: View
    sun: tuple[float, float]
    shadow: float
    paint: Callable[[np.random.Generator], Backdrop]


@dataclass(frozen=True, slots=True)
class Event:
    """What is planted: unusual from `begin_s` to `end_s`, `subject` while that lasts."""

    kind: str
    begin_s: float
    end_s: float
    actors: tuple[Actor, ...]
    subject: Callable[[float], Sequence[Body]]


def event(kind: str, begin_s: float, end_s: float, *actors: Actor) -> Event:
    """An event of which all actors are the subject."""

    def subject(t_s: float) -> Sequence[Body]:
        return [body for actor in actors for body in actor.at(t_s)]

    return Event(kind, begin_s, end_s, actors, subject)


class Lamps:
    """Light that changes: daylight through clouds, and what lamps or the shutter add."""

    def __init__(
        self, rng: np.random.Generator, clouds: float = 0.065, flicker: float = 0.004,
        hum: float = 0.0, level: float = 1.0,
    ) -> None:  # fmt: skip
        """Shares of the light: slow waves, frame to frame noise, a lamp's beat; and how much."""
        self._phases = rng.uniform(0, 2 * math.pi, 4)
        self._periods = np.array([61.0, 23.0, 9.7]) * rng.uniform(0.8, 1.25, 3)
        self._clouds, self._flicker, self._hum = clouds, flicker, hum
        self._level = level
        self._beat_s = float(rng.uniform(0.6, 2.5))
        self._seed = int(rng.integers(1 << 31))

    def cloud(self, t_s: float) -> float:
        """Smooth, about -1 (overcast) to 1 (sun)."""
        waves = np.sin(2 * math.pi * t_s / self._periods + self._phases[:3])
        return float(waves @ np.array([0.6, 0.3, 0.1]))

    def gain(self, t_s: float, frame: int) -> float:
        """What the picture is multiplied by."""
        noise = float(np.clip(np.random.default_rng([self._seed, frame]).normal(), -2.5, 2.5))
        hum = self._hum * math.sin(2 * math.pi * t_s / self._beat_s + self._phases[3])
        return self._level * (1.0 + self._clouds * self.cloud(t_s) + self._flicker * noise + hum)


@dataclass(frozen=True)
class Stage:
    """Everything about one take, as `streamer.demo.render.Rendering` wants it."""

    layout: Setting
    light: Lighting
    seed: int
    take: int
    seconds: float
    actors: Sequence[Actor]
    events: Sequence[Event] = ()

    def bodies(self, t_s: float) -> list[Body]:
        """Everybody who is there at second `t_s`."""
        everybody = [*self.actors, *(actor for one in self.events for actor in one.actors)]
        return [body for actor in everybody for body in actor.at(t_s)]

    def truth(self, fps: float) -> list[Planted]:
        """What is planted, frame by frame, while it is in the picture."""
        frames = round(self.seconds * fps)
        planted = []
        for one in self.events:
            boxes = {}
            first, last = (
                math.ceil(one.begin_s * fps),
                math.floor(min(one.end_s, self.seconds) * fps),
            )
            for frame in range(max(0, first), min(frames, last + 1)):
                box = self._bounding(one.subject(frame / fps))
                if box is not None:
                    boxes[frame] = box
            if boxes:
                planted.append(Planted(one.kind, min(boxes), max(boxes) + 1, boxes))
        return planted

    def _bounding(self, bodies: Sequence[Body]) -> tuple[float, float, float, float] | None:
        view = self.layout.view
        boxes = [one.box for body in bodies if (one := stencil(body, view)) is not None]
        if not boxes:
            return None
        low, high = np.min(boxes, axis=0), np.max(boxes, axis=0)
        box = Box(int(low[0]), int(low[1]), int(high[2]), int(high[3]))
        if box.area < _SEEN_PX * view.width * view.height / (640 * 360):
            return None
        return (
            box.x0 / view.width,
            box.y0 / view.height,
            (box.x1 - box.x0) / view.width,
            (box.y1 - box.y0) / view.height,
        )
