"""The data sets: which views there are, how long, and what is planted in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.scenes import indoors, rooms, squares, strangers, streets, walkways
from benchmarks.scenes.crowd import crowd
from benchmarks.scenes.ground import Ground
from benchmarks.scenes.stage import Lamps, Site, Stage


@dataclass(frozen=True, slots=True)
class Take:
    """One recording: `kind` names what is planted, None in training footage."""

    seed: int
    number: int
    kind: str | None
    seconds: float
    size: tuple[int, int]

    def rng(self, purpose: int) -> np.random.Generator:
        """Chance for one purpose of this take."""
        return np.random.default_rng([self.seed, 40 + purpose, self.number])

    def place_rng(self) -> np.random.Generator:
        """Chance that is the same for all takes of a data set."""
        return np.random.default_rng([self.seed, 40])


@dataclass(frozen=True, slots=True)
class DataSet:
    """A camera: its pictures, its recordings, and how a take of it is staged.

    `train`: seconds of each training recording. `test`: what is planted in each test recording.
    """

    fps: float
    train: tuple[float, ...]
    test: tuple[str, ...]
    test_s: tuple[float, float]
    stage: Callable[[Take], Stage]
    size: tuple[int, int] = (640, 360)
    noise_sigma: float = 2.2
    crf: int = 24


def _living_room(take: Take) -> Stage:
    room = rooms.living_room(take.size, take.place_rng())
    actors, events = indoors.takes(room, take.kind, take.seconds, take.rng(1))
    light = Lamps(take.rng(2), clouds=0.05)
    return Stage(room.site, light, take.seed, take.number, take.seconds, actors, events)


NOTHING = "nothing"
"""The kind of a test take without an event, out of doors."""


def _on_foot(take: Take, site: Site, ground: Ground, people: float) -> Stage:
    actors = crowd(ground.paths, people, take.seconds, take.rng(1))
    events = []
    if take.kind not in (None, NOTHING):
        begin_s = take.seconds * float(take.rng(3).uniform(0.28, 0.42))
        build = strangers.ON_FOOT[take.kind]
        events.append(strangers.timed(build, ground, begin_s, [take.seed, 44, take.number]))
    light = Lamps(take.rng(2))
    return Stage(site, light, take.seed, take.number, take.seconds, actors, events)


def _bedsit(take: Take) -> Stage:
    room = rooms.bedsit(take.size, take.place_rng())
    actors, events = indoors.takes(room, take.kind, take.seconds, take.rng(1))
    light = Lamps(take.rng(2), clouds=0.01, hum=0.012, level=0.72)
    return Stage(room.site, light, take.seed, take.number, take.seconds, actors, events)


def _crossing(take: Take) -> Stage:
    return _on_foot(take, *walkways.crossing(take.size, take.place_rng()), people=6.0)


def _campus(take: Take) -> Stage:
    return _on_foot(take, *walkways.campus(take.size, take.place_rng()), people=4.5)


def _street(take: Take) -> Stage:
    site = streets.place(take.size, take.place_rng())
    actors, events = streets.takes(site.view, take.kind, take.seconds, take.rng(1))
    light = Lamps(take.rng(2), clouds=0.08)
    return Stage(site, light, take.seed, take.number, take.seconds, actors, events)


def _square(take: Take, layout: str, people: float) -> Stage:
    place = squares.square(layout, take.size, take.seed)
    actors, events = squares.takes(place, take.kind, people, take.seconds, take.rng(1))
    light = Lamps(take.rng(2), clouds=0.05 if layout == "concourse" else 0.065)
    return Stage(place, light, take.seed, take.number, take.seconds, actors, events)


def _plaza(take: Take) -> Stage:
    return _square(take, "plaza", 18.0)


def _concourse(take: Take) -> Stage:
    return _square(take, "concourse", 16.0)


SETS: Mapping[str, DataSet] = {
    "room": DataSet(
        fps=12.5,
        train=(50.0, 45.0, 45.0, 40.0),
        test=(
            "forwards", "backwards", "calm-sitting", "sideways-right", "slump", "seat-forwards",
            "forwards-to-camera", "calm-bending", "sideways-left", "seat-sideways", "backwards",
            "slump", "calm", "forwards",
        ),
        test_s=(20.0, 32.0),
        stage=_living_room,
    ),
    "walkway": DataSet(
        fps=12.5,
        train=(50.0, 45.0, 45.0, 40.0),
        test=(
            "loiter", "throw-papers", "leave-bag", "skip", NOTHING, "towards", "cross-grass", "run",
            "wrestle", "toss-bag", "dance", NOTHING, "loiter", "throw-papers", "towards", "run",
        ),
        test_s=(25.0, 38.0),
        stage=_campus,
        crf=23,
    ),
    "room2": DataSet(
        fps=25.0,
        train=(45.0, 40.0, 40.0),
        test=(
            "sideways-left", "calm-bending", "forwards", "seat-sideways", "slump",
            "backwards-to-camera", "calm-sitting", "forwards-to-camera", "seat-forwards",
            "sideways-right",
        ),
        test_s=(20.0, 28.0),
        stage=_bedsit,
        noise_sigma=3.4,
        crf=25,
    ),
    "walkway2": DataSet(
        fps=10.0,
        train=(50.0, 50.0, 40.0),
        test=(
            "towards", "wrestle", "loiter", NOTHING, "toss-bag", "cross-grass", "leave-bag", "run",
            "dance", "throw-papers", NOTHING, "skip", "cross-grass", "loiter",
        ),
        test_s=(26.0, 38.0),
        stage=_crossing,
        size=(360, 240),
        noise_sigma=2.8,
    ),
    "street": DataSet(
        fps=15.0,
        train=(50.0, 50.0, 45.0),
        test=(
            "stopped-car", "pavement-cyclist", NOTHING, "u-turn", "jaywalker", "wrong-way-car",
            "runner", "walks-on-road", "stopped-car", NOTHING, "wrong-way-car", "jaywalker",
            "pavement-cyclist", "runner",
        ),
        test_s=(22.0, 34.0),
        stage=_street,
    ),
    "plaza": DataSet(
        fps=12.5,
        train=(50.0, 50.0, 45.0),
        test=(
            "slow-cyclist", "fall", "cart", NOTHING, "skater", "trolley", "leave-bag", "wrong-way",
            "cyclist", "slow-cyclist", NOTHING, "skater", "trolley", "fall",
        ),
        test_s=(24.0, 36.0),
        stage=_plaza,
    ),
    "concourse": DataSet(
        fps=15.0,
        train=(45.0, 45.0, 45.0),
        test=(
            "skater", "wrong-way", "trolley", "slow-cyclist", NOTHING, "fall", "leave-bag", "cart",
            "slow-cyclist", "skater", "cyclist", NOTHING, "wrong-way", "trolley",
        ),
        test_s=(24.0, 34.0),
        stage=_concourse,
        noise_sigma=2.8,
    ),
}  # fmt: skip
