"""Footage made in child processes: a job each, so that all cores render at once.

    python -m streamer.demo.prepare '{"kind": "render", ...}'

A child writes the number of frames that are done to standard output, a line now and then.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from sorawatch import SorawatchError
from streamer.demo.brush import Picture
from streamer.demo.footage import Entry, encode_entry, pictures
from streamer.demo.render import Truth, encode_h264, render_scene, write_truth
from streamer.demo.scene import EventPlan

_TELL_EVERY = 25


@dataclass(frozen=True, slots=True)
class RenderJob:
    """Render one film of a place into `film`, its truth into `truth`."""

    film: str
    truth: str
    seed: int
    take: int
    layout: str
    seconds: float
    fps: float
    size: tuple[int, int]
    crowd: str | float
    events: tuple[EventPlan, ...] = ()

    @property
    def frames(self) -> int:
        """How many pictures."""
        return round(self.seconds * self.fps)

    def run(self) -> None:
        """Do it."""
        rendering = render_scene(
            self.seed,
            self.layout,
            self.seconds,
            fps=self.fps,
            size=self.size,
            crowd=self.crowd,
            events=self.events,
            take=self.take,
        )
        encode_h264(_told(rendering), Path(self.film), self.fps)
        write_truth(rendering.truth, Path(self.truth))


@dataclass(frozen=True, slots=True)
class EncodeJob:
    """Encode recorded footage into `film`; with `truth`, as a camera that lasts `seconds`."""

    film: str
    source: str
    fps: float
    frames: int
    seconds: float = 0.0
    truth: str | None = None
    labels: dict[str, Any] | None = None

    def run(self) -> None:
        """Do it."""
        if self.truth is None or self.labels is None:
            encode_h264(_told(pictures(Path(self.source))), Path(self.film), self.fps)
            return
        entry = Entry(Path(self.film).stem, Path(self.source), Truth.from_json(self.labels))
        write_truth(encode_entry(entry, Path(self.film), self.seconds), Path(self.truth))


Job = RenderJob | EncodeJob


def to_argument(job: Job) -> str:
    """The command line argument that stands for a job."""
    return json.dumps({"kind": type(job).__name__, **asdict(job)})


def from_argument(text: str) -> Job:
    """The job that `to_argument` wrote."""
    fields = json.loads(text)
    if fields.pop("kind") == "EncodeJob":
        return EncodeJob(**fields)
    fields["size"] = tuple(fields["size"])
    fields["events"] = tuple(EventPlan(**event) for event in fields["events"])
    return RenderJob(**fields)


def _told(frames: Iterable[Picture]) -> Iterator[Picture]:
    """The frames, counted on standard output."""
    for number, picture in enumerate(frames):
        if number % _TELL_EVERY == 0:
            print(number, flush=True)
        yield picture


def main(arguments: list[str]) -> int:
    """Do the job that the only argument describes."""
    cv2.setNumThreads(1)  # there are as many jobs as cores
    try:
        from_argument(arguments[0]).run()
    except (SorawatchError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return exc.exit_status if isinstance(exc, SorawatchError) else 5
    except (KeyboardInterrupt, BrokenPipeError):
        return 130  # whoever started us has gone
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
