"""The rendered data sets of the benchmarks: labels that are true of their pictures."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.scenes import make
from benchmarks.scenes.script import Performer
from benchmarks.scenes.sets import SETS, Take
from streamer.demo.footage import pictures, read_data_set
from streamer.demo.render import Rendering

SMALL = (160, 90)
FPS = 4.0
CALM = {"nothing", "calm", "calm-sitting", "calm-bending"}


def staged(name: str, number: int):
    """The take of a test entry, at a small size."""
    film = [film for film in make.films(name, 1) if film.take.kind is not None][number]
    return SETS[name].stage(replace(film.take, size=SMALL)), film.take


@pytest.mark.parametrize("name", SETS)
def test_every_event_is_in_the_picture_with_normal_footage_before_it(name):
    """Each test entry holds what its name says: about one event, inside the footage."""
    for kind, number in {kind: n for n, kind in enumerate(SETS[name].test)}.items():
        stage, take = staged(name, number)
        planted = stage.truth(FPS)
        assert len(planted) == (0 if kind in CALM else 1), take
        for event in planted:
            assert kind in event.kind
            assert take.seconds * FPS * 0.15 < event.start_frame < event.end_frame
            assert event.end_frame <= round(take.seconds * FPS)
            boxes = np.array(list(event.boxes.values()))
            assert (boxes[:, :2] >= 0).all()
            assert (boxes[:, 2:] > 0).all()
            assert (boxes[:, :2] + boxes[:, 2:] <= 1 + 1e-9).all()


@pytest.mark.parametrize("name", SETS)
def test_same_seed_gives_the_same_pixels_and_another_take_other_people(name):
    """A data set can be rendered again, to the pixel; test takes differ from training takes."""
    takes = [Take(5, number, None, 20.0, SMALL) for number in (1, 1, 102)]
    first, again, other = (Rendering(SETS[name].stage(take), FPS) for take in takes)
    np.testing.assert_array_equal(first.picture(40), again.picture(40))
    assert any((first.picture(f) != other.picture(f)).mean() > 0.2 for f in (8, 40, 72))


@pytest.mark.parametrize("name", ["room", "walkway2", "street", "concourse"])
def test_what_is_planted_is_where_its_boxes_are(name):
    """Pictures with and without the event differ inside its boxes, hardly elsewhere."""
    number = next(n for n, kind in enumerate(SETS[name].test) if kind not in CALM)
    stage, _ = staged(name, number)
    planted, without = Rendering(stage, FPS), Rendering(replace(stage, events=()), FPS)
    (event,) = planted.truth.events
    frames = sorted(event.boxes)
    for frame in frames[len(frames) // 3 :: max(1, len(frames) // 5)]:
        changed = np.any(planted.picture(frame) != without.picture(frame), axis=2)
        x, y, width, height = event.boxes[frame]
        rows = slice(int(y * SMALL[1]), round((y + height) * SMALL[1]) + 1)
        columns = slice(int(x * SMALL[0]), round((x + width) * SMALL[0]) + 1)
        assert changed[rows, columns].sum() >= 0.3 * changed.sum() > 0  # the rest are shadows


@pytest.mark.parametrize(("name", "number"), [("room", 0), ("room", 3), ("walkway", 0)])
def test_nobody_jumps(name, number):
    """From frame to frame no limb moves faster than limbs can, whatever act follows which."""
    stage, take = staged(name, number)
    (actor,) = [one for one in stage.events[0].actors if isinstance(one, Performer)]
    times = np.arange(0.0, take.seconds, 1 / 25)
    ends = [body.ends for t in times for body in actor.at(float(t))]
    fastest = max(np.linalg.norm(b - a, axis=-1).max() for a, b in pairwise(ends))
    assert len(ends) > 250
    assert fastest * 25 < 9.0  # metres a second


def test_a_fall_takes_a_second_and_then_lasts():
    """Somebody who falls forwards is on the floor within 1.1 s and stays there."""
    stage, _ = staged("room", SETS["room"].test.index("forwards"))
    (event,) = stage.events

    def top_m(t_s: float) -> float:
        return max(float(body.ends[..., 1].max()) for body in event.subject(t_s))

    assert top_m(event.begin_s) > 1.3
    assert top_m(event.begin_s + 1.1) < 0.6
    assert top_m(event.begin_s + 2.5) < 0.6


def test_a_data_set_reads_back_as_its_labels_say(tmp_path, monkeypatch):
    """What is written is the benchmarks' layout: films with as many frames as labelled."""
    small = replace(SETS["room"], fps=FPS, train=(1.0,), test=("forwards",), size=SMALL)
    monkeypatch.setattr(make, "SETS", {"room": small})
    make.render_set("room", 1, tmp_path / "room")
    found = read_data_set(tmp_path / "room")
    (entry,) = found.test
    label = json.loads((tmp_path / "room" / "labels.json").read_text())[entry.name]
    assert sum(1 for _ in pictures(entry.source)) == label["frames"] == entry.truth.frames
    assert [track["kind"] for track in label["tracks"]] == ["fall-forwards"]
    (span,) = label["anomalous"]
    assert {int(frame) for frame in label["tracks"][0]["boxes"]} <= set(range(*span))
    assert len(found.train) == 1
