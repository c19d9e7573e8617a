"""The empty scene and what stands out from it: numbers that can be worked out by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.ground import (
    ABOVE,
    BELOW,
    LEFT,
    RIGHT,
    SETTLE_S,
    STAY,
    TALL,
    WIDE,
    Figures,
    Ground,
    cell_means,
    empty_scene,
)

GRID = (30, 45)
LEVEL = 100
ROWS, COLS = slice(10, 20), slice(20, 24)
"""Cells that a thing covers: 10 down, 4 across."""

Cells = NDArray[np.uint8]


def empty(grid: tuple[int, int] = GRID) -> Cells:
    return np.full(grid, LEVEL, np.uint8)


def with_thing(level: int = 30) -> Cells:
    cells = empty()
    cells[ROWS, COLS] = level
    return cells


def other_scene() -> Cells:
    """As after the camera was turned elsewhere."""
    return np.random.default_rng(0).integers(0, 255, GRID, dtype=np.uint8)


def begun() -> Ground:
    """Of a camera that was watched before anything came."""
    ground = Ground(empty())
    ground.step(empty(), 0.0)
    return ground


def watch(ground: Ground, cells: Cells, seconds: float, step_s: float = 1.0) -> Figures:
    """The same picture for so long; what stands out at the end."""
    for _ in range(round(seconds / step_s)):
        figures = ground.step(cells, step_s)
    return figures


def at(figures: Figures, row: int, col: int) -> NDArray[np.float32]:
    """Features of the figure on this cell, no longer as logarithms."""
    (i,) = np.flatnonzero((figures.rows == row) & (figures.cols == col))
    return np.asarray(np.expm1(figures.features[i]))


def test_a_thing_stands_out_with_its_extents_and_its_stay() -> None:
    """Where it is, how far it reaches to each side, and for how many seconds it has been there."""
    ground = begun()
    assert len(watch(ground, empty(), 5)) == 0
    figures = watch(ground, with_thing(), 7)
    assert set(zip(figures.rows.tolist(), figures.cols.tolist(), strict=True)) == {
        (row, col) for row in range(11, 20, 2) for col in (21, 23)
    }
    one = at(figures, 13, 21)
    wanted = {TALL: 10, WIDE: 4, ABOVE: 4, BELOW: 7, LEFT: 2, RIGHT: 3, STAY: 7}
    assert {i: pytest.approx(one[i], abs=1e-3) for i in wanted} == wanted
    assert figures.grid == GRID


@pytest.mark.parametrize("step_s", [0.2, 0.5, 2.5])
def test_a_stay_is_media_time(step_s: float) -> None:
    """However often it is looked at, ten seconds are ten seconds."""
    figures = watch(begun(), with_thing(), 10, step_s)
    assert at(figures, 13, 21)[STAY] == pytest.approx(10, abs=1e-2)


def test_what_left_is_forgotten() -> None:
    """A flicker costs a stay half, ten seconds' absence all of it; after a reconnect nothing is
    known of earlier stays."""
    ground = begun()
    watch(ground, with_thing(), 30)
    assert len(ground.step(empty(), 0.2)) == 0
    assert 12 < at(ground.step(with_thing(), 0.2), 13, 21)[STAY] < 30
    watch(ground, with_thing(), 30)
    watch(ground, empty(), 10)
    assert at(ground.step(with_thing(), 1.0), 13, 21)[STAY] == pytest.approx(1, abs=1e-3)
    ground.reset()
    ground.step(empty(), 0.0)
    assert at(ground.step(with_thing(), 1.0), 13, 21)[STAY] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("change", [30, -30, 90])
def test_light_is_nothing_that_stands(change: int) -> None:
    """The whole picture lighter or darker: no figure, not foreign, and a thing in it is still one
    thing."""
    ground = begun()
    lit = (empty().astype(int) + change).astype(np.uint8)
    assert len(watch(ground, lit, 5)) == 0
    assert not ground.foreign
    thing = (with_thing(160).astype(int) + min(change, 90)).astype(np.uint8)
    assert at(ground.step(thing, 0.2), 13, 21)[[TALL, WIDE]] == pytest.approx([10, 4], abs=1e-3)


@pytest.mark.parametrize("gain", [0.65, 0.85, 1.15, 1.4])
def test_clouds_are_nothing_that_stands(gain: float) -> None:
    """Light that changes as clouds do, all of it in proportion: bright walls far more than dark
    grass. No figure, and a thing in it is still one thing."""
    scene = np.random.default_rng(3).integers(40, 170, GRID).astype(np.uint8)
    ground = Ground(scene)
    ground.step(scene, 0.0)
    lit = np.rint(scene * gain).astype(np.uint8)
    assert len(watch(ground, lit, 5)) == 0
    assert not ground.foreign
    thing = lit.copy()
    thing[ROWS, COLS] = np.where(lit[ROWS, COLS] > 127, 0, 255)
    figures = ground.step(thing, 0.2)
    assert at(figures, 13, 21)[[TALL, WIDE]] == pytest.approx([10, 4], abs=1e-3)


def test_small_changes_are_nothing_that_stands() -> None:
    """Noise and the softness of compression, below ten levels in the mean of a cell."""
    rng = np.random.default_rng(1)
    ground = begun()
    for _ in range(50):
        noisy = (LEVEL + rng.integers(-8, 9, GRID)).astype(np.uint8)
        assert len(ground.step(noisy, 0.2)) == 0


def test_another_scene_is_foreign_until_it_has_settled() -> None:
    """When more than half of the picture differs nothing is scored; within minutes the new scene is
    taken up, and things in it stand out again."""
    ground, turned = begun(), other_scene()
    assert len(ground.step(turned, 1.0)) == 0
    assert ground.foreign
    assert len(watch(ground, turned, SETTLE_S - 5)) == 0
    assert ground.foreign
    assert len(watch(ground, turned, 60)) == 0
    assert not ground.foreign
    thing = turned.copy()
    thing[ROWS, COLS] = np.where(turned[ROWS, COLS] > 127, 0, 255)
    figures = watch(ground, thing, 5)
    assert len(figures) == 10
    assert at(figures, 13, 21)[STAY] == pytest.approx(5, abs=1e-2)


def test_less_than_half_is_no_other_scene() -> None:
    """A lorry that fills a third of the picture is a figure, not another scene."""
    cells = empty()
    cells[5:25, 10:32] = 20
    ground = begun()
    assert len(ground.step(cells, 0.2)) > 0
    assert not ground.foreign


@pytest.mark.parametrize("step_s", [1.0, 5.0, 20.0])
def test_what_stays_becomes_part_of_the_scene(step_s: float) -> None:
    """A parked car is a figure for minutes and no longer after about ten; media time counts,
    whatever the pace at which the footage is read."""
    ground = begun()
    assert len(watch(ground, with_thing(30), 540, step_s)) == 10
    assert len(watch(ground, with_thing(30), 120, step_s)) == 0
    assert not ground.foreign
    # Gone again, the scene is as it was learned: no ghost stands where it stood.
    assert len(ground.step(empty(), 0.2)) == 0


def test_what_stands_there_from_the_beginning_is_furniture() -> None:
    """A chair that was moved while nobody looked is no figure; whoever passes before it is, and
    whoever comes where it stood after it has gone."""
    ground = Ground(empty())
    assert len(watch(ground, with_thing(), 60)) == 0
    passing = with_thing()
    passing[8:22, 26:30] = 180
    figures = ground.step(passing, 0.2)
    assert set(figures.cols.tolist()) <= {27, 29}
    assert at(figures, 13, 27)[[TALL, WIDE]] == pytest.approx([14, 4], abs=1e-3)
    assert len(watch(ground, with_thing(), 10)) == 0
    assert len(watch(ground, empty(), 10)) == 0  # it has gone, and leaves no ghost
    assert len(watch(ground, with_thing(), 5)) == 10


def test_furniture_is_taken_up_with_other_footage_but_not_after_a_reconnect() -> None:
    """Somebody who lies there is not forgotten because the camera was away for a moment; what
    stands there when other footage begins is furniture."""
    ground = begun()
    assert len(watch(ground, with_thing(), 5)) == 10
    ground.reset()
    assert len(watch(ground, with_thing(), 5)) == 10
    ground.begin()
    assert len(watch(ground, with_thing(), 5)) == 0


@pytest.mark.parametrize("grid", [(15, 22), (60, 90), (25, 45), (1, 1)])
def test_pictures_of_another_size_are_compared(grid: tuple[int, int]) -> None:
    """A camera that sends another size than it was learned with is compared all the same."""
    ground = begun()
    assert len(ground.step(empty(grid), 0.2)) == 0
    cells = empty(grid)
    cells[grid[0] // 3 : grid[0] // 3 * 2, grid[1] // 3 : grid[1] // 3 * 2] = 30
    figures = ground.step(cells, 0.2)
    assert figures.grid == GRID
    assert (len(figures) > 0) == (grid != (1, 1))
    assert all(9 <= row <= 21 for row in figures.rows)


def test_a_pause_in_time_counts_little() -> None:
    """A step of an hour, or back in time, neither absorbs a thing nor makes it an old one."""
    ground = begun()
    watch(ground, with_thing(), 5)
    assert at(ground.step(with_thing(), 3600.0), 13, 21)[STAY] <= 36
    assert at(ground.step(with_thing(), -100.0), 13, 21)[STAY] <= 36


def test_the_empty_scene_is_seen_between_people() -> None:
    """Of pictures in which each place is empty most of the time, nobody is left."""
    rng = np.random.default_rng(2)
    pictures = np.repeat(empty()[None], 50, 0)
    for picture in pictures:
        row, col = rng.integers(0, 20), rng.integers(0, 40)
        picture[row : row + 8, col : col + 4] = 30
    assert np.array_equal(empty_scene(pictures), empty())


def test_cell_means() -> None:
    """Means of whole 4x4 px cells; what is left over at the border is not looked at."""
    luma = np.arange(9 * 14, dtype=np.uint8).reshape(9, 14)
    means = cell_means(luma)
    assert means.shape == (2, 3)
    assert means[1, 2] == round(float(luma[4:8, 8:12].mean()))
