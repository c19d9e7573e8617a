"""The rendered world: the same every time, and true to what it says about itself."""

import math
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sorawatch import ConfigError
from streamer.demo.layouts import LAYOUTS
from streamer.demo.render import encode_h264, read_truth, render_scene, write_truth
from streamer.demo.scene import EVENT_KINDS, EventPlan
from streamer.demo.view import View

SMALL = (160, 90)
FPS = 5.0


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_same_arguments_give_same_pixels(layout):
    """Footage can be rendered again: to the pixel, and any frame by itself."""
    first = render_scene(3, layout, 2, fps=FPS, size=SMALL, crowd="busy")
    again = render_scene(3, layout, 2, fps=FPS, size=SMALL, crowd="busy")
    pictures = list(first)
    assert len(pictures) == first.frames == 10
    assert pictures[0].shape == (90, 160, 3)
    np.testing.assert_array_equal(pictures[7], again.picture(7))


def test_another_take_shows_the_same_place_with_other_people():
    """Normal footage and footage with events of one camera differ in who comes by alone."""
    nobody = [
        render_scene(3, "plaza", 1, size=SMALL, crowd="still", take=take).picture(0)
        for take in (1, 2)
    ]
    busy = [
        render_scene(3, "plaza", 1, size=SMALL, crowd="busy", take=take).picture(0)
        for take in (1, 2)
    ]
    # The light differs as well, by a gain: compare shapes, not brightness.
    assert np.corrcoef(nobody[0].ravel(), nobody[1].ravel())[0, 1] > 0.97
    assert np.corrcoef(busy[0].ravel(), busy[1].ravel())[0, 1] < 0.97


@pytest.mark.parametrize(
    ("layout", "kind"),
    [
        (layout, kind)
        for layout in sorted(LAYOUTS)
        for kind in EVENT_KINDS
        if kind != "wrong_way" or layout == "walkway"  # the others have no one-way path
    ],
)
def test_truth_is_where_the_picture_changes(layout, kind):
    """What is planted changes the picture inside its boxes, and nowhere once it is over."""
    plan = [EventPlan(kind, 3.0)]
    planted = render_scene(3, layout, 22, fps=FPS, size=SMALL, crowd="quiet", events=plan)
    without = render_scene(3, layout, 22, fps=FPS, size=SMALL, crowd="quiet")
    (event,) = planted.truth.events
    assert event.kind == kind
    assert event.boxes.keys() <= set(range(event.start_frame, event.end_frame))
    assert event.start_frame >= 3 * FPS
    frames = sorted(event.boxes)
    for frame in frames[len(frames) // 4 : -1 : 7]:
        changed = np.any(planted.picture(frame) != without.picture(frame), axis=2)
        x, y, width, height = event.boxes[frame]
        rows = slice(math.floor(y * 90), math.ceil((y + height) * 90))
        columns = slice(math.floor(x * 160), math.ceil((x + width) * 160))
        inside = int(changed[rows, columns].sum())
        # Hidden things and narrow limbs change little; shadows and leavers change the outside.
        assert inside >= 0.15 * changed.sum()
    after = event.end_frame + round(2 * FPS)
    if kind in ("runner", "vehicle", "cyclist") and after < planted.frames:
        np.testing.assert_array_equal(planted.picture(after), without.picture(after))
        np.testing.assert_array_equal(planted.picture(10), without.picture(10))


def test_a_fall_is_fast_and_then_still():
    """Somebody who falls is down within a second, tries to get up once, and stays down."""
    fall = render_scene(1, "plaza", 20, events=[EventPlan("fall", 4.0)], crowd="still")
    (event,) = fall.truth.events
    top = {frame / 15: event.boxes[frame][1] for frame in event.boxes}
    assert top[5.0] > top[4.0] + 0.4 * event.boxes[60][3]
    assert event.boxes[7 * 15] == event.boxes[13 * 15]
    assert event.end_frame / 15 == pytest.approx(18, abs=0.5)


def test_truth_survives_its_file(tmp_path):
    """The truth that is written beside the footage is the truth that is read."""
    truth = render_scene(1, "plaza", 8, events=[EventPlan("runner", 1.0)], size=SMALL).truth
    write_truth(truth, tmp_path / "t" / "01.json")
    again = read_truth(tmp_path / "t" / "01.json")
    assert (again.frames, again.fps) == (truth.frames, truth.fps)
    (event,), (same,) = truth.events, again.events
    assert (event.kind, event.start_frame, event.end_frame) == (
        "runner",
        same.start_frame,
        same.end_frame,
    )
    assert event.boxes.keys() == same.boxes.keys()
    assert same.boxes[same.start_frame] == pytest.approx(event.boxes[event.start_frame], abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"layout": "moon"}, "moon"),
        ({"layout": "plaza", "crowd": "mob"}, "mob"),
        ({"layout": "plaza", "events": [EventPlan("wrong_way", 1)]}, "wrong_way"),
        ({"layout": "plaza", "events": [EventPlan("meteor", 1)]}, "meteor"),
    ],
)
def test_what_cannot_be_rendered_is_named(arguments, named):
    """A layout, crowd or event that does not exist is a one-line error that names it."""
    with pytest.raises(ConfigError, match=named):
        render_scene(1, seconds=1, **arguments)


def test_encoded_film_is_h264_with_every_frame(tmp_path: Path):
    """A film holds the frames that were rendered, in H.264 as a camera sends it."""
    rendering = render_scene(2, "concourse", 2, size=SMALL, crowd="busy")
    assert encode_h264(rendering, tmp_path / "film.mp4", 15) == 30
    with av.open(str(tmp_path / "film.mp4")) as film:
        stream = film.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert float(stream.average_rate) == 15
        decoded = [frame.to_ndarray(format="bgr24") for frame in film.decode(stream)]
    assert len(decoded) == 30
    error = decoded[20].astype(float) - rendering.picture(20)
    assert math.sqrt((error**2).mean()) < 12
    assert not (tmp_path / "film.mp4.part").exists()


@settings(max_examples=60, deadline=None)
@given(
    angle=st.floats(0.5, 1.4),
    post=st.floats(2, 12),
    pitch=st.floats(0.1, 0.9),
    yaw=st.floats(-0.4, 0.4),
    column=st.integers(0, 63),
    row=st.integers(0, 47),
)
def test_the_ground_under_a_pixel_is_seen_at_that_pixel(angle, post, pitch, yaw, column, row):
    """Where things stand and where they are drawn is one and the same geometry."""
    view = View(64, 48, angle, post, pitch, yaw)
    x, z, below = view.ground()
    if not below[row, column] or math.hypot(x[row, column], z[row, column]) > 500:
        return
    seen = view.project(np.array([[x[row, column], 0.0, z[row, column]]]))[0]
    if seen[2] > 0.6:
        assert seen[:2] == pytest.approx((column + 0.5, row + 0.5), abs=1e-6)
