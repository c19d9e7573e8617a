"""Render a data set: films and labels in the layout that the benchmarks read."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scenes.sets import SETS, DataSet, Take
from streamer.demo.render import Rendering, encode_h264
from streamer.demo.scene import Planted

TEST_TAKES = 100
"""Numbers of test takes begin here: other people come by than in training."""


@dataclass(frozen=True, slots=True)
class Film:
    """A file to render: where in the data set, and of what."""

    path: Path
    take: Take


def films(name: str, seed: int) -> Iterator[Film]:
    """All films of a data set, training first."""
    one = SETS[name]
    place = seed * 1000 + list(SETS).index(name)
    for number, seconds in enumerate(one.train, start=1):
        yield Film(Path("train") / f"{number:02}.mp4", Take(place, number, None, seconds, one.size))
    for number, kind in enumerate(one.test, start=1):
        take = Take(place, TEST_TAKES + number, kind, 0.0, one.size)
        low, high = one.test_s
        seconds = round(float(take.rng(0).uniform(low, high)) * 2) / 2
        take = Take(place, TEST_TAKES + number, kind, seconds, one.size)
        yield Film(Path("test") / f"{number:02}-{kind}.mp4", take)


def rendering(one: DataSet, take: Take) -> Rendering:
    """The pictures of a take, and the truth about them."""
    return Rendering(one.stage(take), one.fps, one.noise_sigma)


def render_set(name: str, seed: int, folder: Path) -> dict[str, Any]:
    """Render a data set into a folder; returns its labels."""
    one = SETS[name]
    labels: dict[str, Any] = {}
    for film in films(name, seed):
        pictures = rendering(one, film.take)
        encode_h264(pictures, folder / film.path, one.fps, crf=one.crf)
        if film.take.kind is not None:
            labels[film.path.stem] = label(pictures.frames, one.fps, pictures.truth.events)
    part = folder / "labels.json.part"
    part.write_text(json.dumps(labels, indent=1) + "\n", encoding="utf-8")
    part.replace(folder / "labels.json")
    return labels


def label(frames: int, fps: float, events: tuple[Planted, ...]) -> dict[str, Any]:
    """An entry of `labels.json`: intervals of frames, and where the event is in each frame."""
    spans: list[list[int]] = []
    for start, end in sorted((one.start_frame, one.end_frame) for one in events):
        if spans and start <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], end)
        else:
            spans.append([start, end])
    tracks = [
        {
            "kind": one.kind,
            "boxes": {
                str(frame): [round(share, 4) for share in box] for frame, box in one.boxes.items()
            },
        }
        for one in events
    ]
    return {"frames": frames, "fps": fps, "anomalous": spans, "tracks": tracks}
