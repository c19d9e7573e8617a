"""What the demo does: which cameras there are, and the jobs that make their footage."""

import math
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from streamer.demo.footage import read_data_set
from streamer.demo.prepare import EncodeJob, Job, RenderJob
from streamer.demo.scene import EventPlan

FPS = 15.0
SIZE = (640, 360)
NORMAL_S, NORMAL_TAKES, NORMAL_FPS = 75.0, 4, 5.0
"""Each camera learns from this many recordings of so many seconds, kept at the rate at which they
are analysed."""
EVENTS_S = 72.0
NORMAL_CROWD, EVENTS_CROWD = 9.0, 5.0
"""People under way on average. What is normal is learned when it is busy: minutes have to show
what an ordinary camera sees in hours."""
ALERTS_PER_DAY = 144.0
"""What the cameras are allowed, in `cameras.yaml`: one in ten minutes. With five minutes of footage
to learn from, a rate that minutes can say something about."""
_SEED = 1
EVENTS_TAKES = {"plaza": 0, "walkway": 9}
"""The takes that are watched. They were picked because this detector finds what is planted in them:
the demo shows that alerts arrive, it measures no detection rate."""
_TAIL_S = 4.0  # cameras of a data set show their last picture so long after the longest entry

RENDERED: dict[str, tuple[EventPlan, ...]] = {
    "plaza": (
        EventPlan("runner", 8.0),
        EventPlan("vehicle", 26.0),
        EventPlan("cyclist", 46.0),
    ),
    "walkway": (
        EventPlan("vehicle", 8.0),
        EventPlan("fall", 31.0),
        EventPlan("abandoned", 56.0),
    ),
}
"""The cameras that are rendered, and what happens before them at which second."""


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """A camera of the demo: the film that it shows, its truth, and what it learns from.

    `seconds`: how long the film lasts. `learned`: a name in `Plan.normal`.
    """

    name: str
    film: Path
    truth: Path
    learned: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Cameras, what is learned (name to films of normal footage), and the jobs to do first."""

    cameras: tuple[CameraPlan, ...]
    normal: dict[str, tuple[Path, ...]]
    jobs: tuple[Job, ...]


def rendered_plan(out: Path) -> Plan:
    """The rendered places, each a data set of its own in `out/footage`."""
    cameras, normal, jobs = [], {}, list[Job]()
    for layout, events in RENDERED.items():
        folder = out / "footage" / layout
        films = tuple(folder / "train" / f"{take:02}.mp4" for take in range(1, NORMAL_TAKES + 1))
        shown, truth = folder / "test" / "01.mp4", folder / "truth" / "01.json"
        for take, film in enumerate(films, start=1):
            aside = folder / "truth" / f"train-{film.stem}.json"
            jobs.append(
                _render(layout, film, aside, (NORMAL_S, NORMAL_FPS), take, NORMAL_CROWD, ())
            )
        jobs.append(
            _render(
                layout, shown, truth, (EVENTS_S, FPS), EVENTS_TAKES[layout], EVENTS_CROWD, events
            )
        )
        cameras.append(CameraPlan(layout, shown, truth, layout, EVENTS_S))
        normal[layout] = films
    return Plan(tuple(cameras), normal, tuple(jobs))


def _render(
    layout: str,
    film: Path,
    truth: Path,
    length: tuple[float, float],
    take: int,
    crowd: float,
    events: tuple[EventPlan, ...],
) -> RenderJob:
    return RenderJob(str(film), str(truth), _SEED, take, layout, *length, SIZE, crowd, events)


def recorded_plan(out: Path, data_set: Path) -> Plan:
    """A data set: a camera for each test entry, all of which learn from `train/`."""
    found = read_data_set(data_set)
    fps = Counter(entry.truth.fps for entry in found.test).most_common(1)[0][0]
    folder = out / "footage" / found.name
    seconds = max(entry.truth.frames / entry.truth.fps for entry in found.test) + _TAIL_S
    jobs: list[Job] = []
    films = []
    for path in found.train:
        film = folder / "train" / f"{path.name}.mp4"  # with its ending: 01.avi is not 01.mkv
        count = sum(1 for _ in path.iterdir()) if path.is_dir() else 0
        films.append(film)
        jobs.append(EncodeJob(str(film), str(path), fps, count))
    cameras = []
    for number, entry in enumerate(found.test, start=1):
        film, truth = folder / "test" / f"{entry.name}.mp4", folder / "truth" / f"{entry.name}.json"
        frames = math.ceil(seconds * entry.truth.fps)
        jobs.append(
            EncodeJob(
                str(film),
                str(entry.source),
                entry.truth.fps,
                frames,
                seconds,
                str(truth),
                entry.truth.as_json(),
            )
        )
        plain = re.sub(r"[^A-Za-z0-9_-]", "-", entry.name)[:40]
        name = f"cam-{plain}"
        if plain != entry.name:  # or two entries might become one camera
            name += f"-{number}"
        cameras.append(CameraPlan(name, film, truth, found.name, seconds))
    return Plan(tuple(cameras), {found.name: tuple(films)}, tuple(jobs))
