"""RBDC, TBDC and tracks from masks, on cases that can be counted by hand."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from sorawatch import ConfigError
from streamer.evaluation.regions import Detection, RegionFigures, iou, region_figures
from streamer.evaluation.tracks import Box, Track, link, read_masks, read_tracks

LEFT: Box = (0.0, 0.0, 0.2, 0.2)
RIGHT: Box = (0.6, 0.6, 0.2, 0.2)
NOWHERE: Box = (0.0, 0.8, 0.1, 0.1)


def test_overlap() -> None:
    """Intersection over union: whole, a third, none, and touching."""
    assert iou(LEFT, LEFT) == pytest.approx(1)
    assert iou(LEFT, (0.1, 0.0, 0.2, 0.2)) == pytest.approx(1 / 3)
    assert iou(LEFT, RIGHT) == 0
    assert iou(LEFT, (0.2, 0.0, 0.2, 0.2)) == 0


def test_everything_right_and_nothing_right() -> None:
    """Each region found without a false one is 1; only false ones is 0; so is silence."""
    track: Track = dict.fromkeys(range(10), LEFT)
    right = [Detection(0, i, LEFT, 1.0) for i in range(10)]
    assert region_figures(right, [[track]], 10) == RegionFigures(1.0, 1.0)
    assert region_figures([d._replace(box=RIGHT) for d in right], [[track]], 10) == (0, 0)
    assert region_figures([d._replace(entry=1) for d in right], [[track], []], 20) == (0, 0)
    assert region_figures([], [[track]], 10) == (0, 0)
    assert region_figures(right, [[], [{}]], 10) is None


def test_counted_by_hand() -> None:
    """False regions move the curve to the right, found ones upwards, in the order of scores.

    Two tracks of two and twenty regions, ten frames' worth of false regions in forty frames.
    """
    tracks: list[Track] = [{0: LEFT, 1: LEFT}, dict.fromkeys(range(20), RIGHT)]
    detections = [
        Detection(0, 0, LEFT, 9.0),  # 1 of 22 regions, track 0 of 2 found
        *(Detection(0, 30 + i, NOWHERE, 8.0) for i in range(10)),  # 0.25 false ones a frame
        Detection(0, 2, RIGHT, 7.0),  # 2 of 22: 1 of the 20 is not yet 10 % of the track
        *(Detection(0, 21 + i, NOWHERE, 6.0) for i in range(5)),  # 0.375
        Detection(0, 3, RIGHT, 5.0),  # 3 of 22, both tracks
    ]
    found = region_figures(detections, [tracks], 40)
    assert found is not None
    assert found.rbdc == pytest.approx(0.25 * 1 / 22 + 0.125 * 2 / 22 + 0.625 * 3 / 22)
    assert found.tbdc == pytest.approx(0.375 * 0.5 + 0.625 * 1)


def test_equal_scores_come_together() -> None:
    """A false and a right region of equal score are one step, whichever is listed first."""
    track: Track = {0: LEFT}
    pair = [Detection(0, 0, LEFT, 1.0), Detection(0, 1, RIGHT, 1.0)]
    for order in (pair, pair[::-1]):
        assert region_figures(order, [[track]], 2) == (0.75, 0.75)  # the slope up to 0.5 false


def test_more_than_one_false_region_a_frame_is_cut_off() -> None:
    """What is found beyond one false region a frame does not count."""
    track: Track = {0: LEFT}
    false = [Detection(0, 0, RIGHT, 2.0), Detection(0, 0, NOWHERE, 2.0)]
    assert region_figures([*false, Detection(0, 0, LEFT, 1.0)], [[track]], 1) == (0, 0)


def test_one_detection_finds_all_that_it_overlaps() -> None:
    """A region over two things finds both; finding one twice counts once."""
    both: Box = (0.0, 0.0, 0.4, 0.2)
    tracks: list[Track] = [{0: LEFT}, {0: (0.2, 0.0, 0.2, 0.2)}]
    assert region_figures([Detection(0, 0, both, 1.0)], [tracks], 1) == (1, 1)
    twice = [Detection(0, 0, LEFT, 2.0), Detection(0, 0, LEFT, 1.0)]
    assert region_figures(twice, [tracks], 1) == (0.5, 0.5)


def masks_of(*frames: list[tuple[int, int]]) -> np.ndarray:
    """Masks of 10x20 pixels with blobs of 2x4 pixels at these (row, column)."""
    masks = np.zeros((len(frames), 10, 20), np.uint8)
    for mask, blobs in zip(masks, frames, strict=True):
        for row, column in blobs:
            mask[row : row + 2, column : column + 4] = 255
    return masks


def test_components_are_linked_by_overlap() -> None:
    """A blob that moves on is one track; one that comes later, or after a gap, another."""
    masks = masks_of([(0, 0)], [(0, 2), (6, 10)], [(0, 4), (6, 12)], [], [(0, 6)])
    tracks = link(mask != 0 for mask in masks)
    assert [sorted(track) for track in tracks] == [[0, 1, 2], [1, 2], [4]]
    assert tracks[0][1] == pytest.approx((0.1, 0.0, 0.2, 0.2))


def test_a_track_goes_on_as_what_it_overlaps_most() -> None:
    """Where a blob parts in two, the larger overlap carries the track on, the other begins."""
    tracks = link(mask != 0 for mask in masks_of([(4, 4)], [(4, 5), (1, 0)], [(3, 6), (1, 1)]))
    assert [sorted(track) for track in tracks] == [[0, 1, 2], [1, 2]]
    split = masks_of([(4, 4)], [])
    split[1, 4:6, 4] = split[1, 4:6, 6:9] = 255
    first, second = link(mask != 0 for mask in split)
    assert sorted(first) == [0, 1]
    assert first[1][0] == pytest.approx(6 / 20)
    assert sorted(second) == [1]


def test_masks_as_pictures_and_as_an_array(tmp_path: Path) -> None:
    """A folder of pictures in natural order and an array give the same tracks."""
    masks = masks_of(*[[(0, i)] for i in range(12)])
    (tmp_path / "a").mkdir()
    for i, mask in enumerate(masks):
        assert cv2.imwrite(str(tmp_path / "a" / f"{i}.png"), mask)
    np.save(tmp_path / "b.npy", masks)
    tracks = read_masks(tmp_path, "a", 12)
    assert tracks == read_masks(tmp_path, "b", 12)
    assert tracks is not None
    assert [sorted(track) for track in tracks] == [list(range(12))]
    assert read_masks(tmp_path, "c", 12) is None


def test_masks_that_cannot_be_used(tmp_path: Path) -> None:
    """Another number of masks than frames, pickles, other shapes, no picture: named."""
    np.save(tmp_path / "short.npy", np.zeros((3, 4, 4)))
    np.save(tmp_path / "flat.npy", np.zeros((3, 4)))
    np.save(tmp_path / "pickle.npy", np.array([{}], object), allow_pickle=True)
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "0.png").write_text("no picture")
    for name, frames, why in [
        ("short", 4, "3 masks, labels.json says 4"),
        ("flat", 3, "shape"),
        ("pickle", 1, "cannot be read"),
        ("text", 1, "cannot be read"),
        ("folder", 1, "is no picture"),
        ("folder", 2, "1 masks"),
    ]:
        with pytest.raises(ConfigError, match=why) as error:
            read_masks(tmp_path, name, frames)
        assert name in str(error.value)


@pytest.mark.parametrize(
    "given",
    [
        {},
        [1],
        [{}],
        [{"boxes": {}}],
        [{"boxes": {"x": [0, 0, 0.1, 0.1]}}],
        [{"boxes": {"10": [0, 0, 0.1, 0.1]}}],
        [{"boxes": {"-1": [0, 0, 0.1, 0.1]}}],
        [{"boxes": {"1": [0, 0, 0.1]}}],
        [{"boxes": {"1": [0, 0, 0, 0.1]}}],
        [{"boxes": {"1": [0.5, 0, 0.6, 0.1]}}],
        [{"boxes": {"1": [0, 0, 30, 40]}}],
        [{"boxes": {"1": [0, 0, float("nan"), 0.1]}}],
        [{"boxes": {"1": "here"}}],
    ],
)
def test_tracks_that_cannot_be_used(given: object) -> None:
    """Boxes in pixels, of frames that are not there or not numbers at all are refused by name."""
    with pytest.raises(ConfigError, match=r"labels.json: '01': tracks"):
        read_tracks("labels.json: '01'", given, 10)


def test_tracks_by_frame() -> None:
    """Boxes come back by frame, in order."""
    given = [{"boxes": {"7": [0.1, 0.2, 0.3, 0.4], "3": [0, 0, 1, 1]}}]
    assert read_tracks("x", given, 10) == ({3: (0, 0, 1, 1), 7: (0.1, 0.2, 0.3, 0.4)},)
