"""Learning what is normal from a camera's footage, in one pass and without gradient steps."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors import appearance, figure, pattern
from detectors.arrayfile import dump, parse, read_file, write_atomic
from detectors.bank import Bank, thin
from detectors.calibration import Calibration, event_peaks
from detectors.facts import MOST_SOURCES, Facts, Stretch
from detectors.figure import FigureNormality
from detectors.footage import Block, Footage
from detectors.ground import Figures, Ground, empty_scene
from detectors.normality import AppearanceNormality, Normality
from detectors.observer import Encoder, Observation, Observer
from detectors.scoring import Smoother, largest, moving
from detectors.speed import fit_profile, usual_speed
from detectors.tail import Tail, fit_tail
from detectors.tokens import SPEED, TRACKED, Tokens
from detectors.window import Window
from sorawatch import NormalityError

log = logging.getLogger(__name__)

SHORTEST_S = 10.0
"""Less footage than this says nothing; a minute is little, an hour is good."""

BANK = 1500
FOLDS = 4
_GROUPS = 24  # neighbouring blocks are alike: left out together, so many groups in all
_LONGEST_GROUP = 20
_FEWEST_TOKENS = 40
_SCENE_PICTURES = 400
_SEED = 11
_PROGRESS = "sorawatch.learning"
_VERSION = 3


class NormalityFitter:
    """Collects normal footage of one camera and makes its normality.

    Feed it windows (`add`), or observations of a detector that watches the camera anyway
    (`observe`), never both. Memory is bounded however long it learns. Not for use by two threads at
    once.
    """

    def __init__(self, encoder: Encoder | None = None, camera: str = "") -> None:
        """`encoder`: the one that the normality will be used with; None for motion alone."""
        self.camera = camera
        self.encoder = encoder
        self._footage = Footage(encoder.contract.token_dim if encoder else 0)
        self._sources: list[Stretch] = []
        self._observer = Observer(encoder.contract if encoder else None)

    @property
    def footage_s(self) -> float:
        """Seconds of footage taken so far."""
        return self._footage.footage_s

    def begin(self, source: str) -> None:
        """What comes next is from this source (a file, a URL, its password masked)."""
        if len(self._sources) < MOST_SOURCES:
            self._sources.append(Stretch(source, self.footage_s))

    def add(self, window: Window) -> None:
        """Learn from the newest frame of a window; every window of the footage, in order."""
        observation = self._observer.step(window)
        due = observation.due
        if self.encoder is not None and due is not None and self.encoder.accepts(*due.x.shape[2:]):
            out = self.encoder.run(due.x[None], due.past[None])
            observation = self._observer.encoded(observation, out.tokens[0], out.features[0])
        self.observe(observation)

    def observe(self, observation: Observation) -> None:
        """Learn from what was observed of the newest frame; another picture size begins anew."""
        before_s = self.footage_s
        self._footage.add(observation)
        if self.footage_s < before_s:
            self._sources = [Stretch(one.source, 0.0) for one in self._sources[-1:]]
            log.warning(
                "%s: learns anew: the picture size has changed, %.0f s of footage are forgotten",
                self.camera or "the camera",
                before_s,
            )

    def finish(self) -> Normality:
        """What was learned; more can be added and `finish` called again.

        NormalityError when there is too little footage.
        """
        blocks = self._footage.blocks()
        if len(blocks) > 1 and self.footage_s <= 0:
            raise NormalityError(
                f"{self.camera or 'the camera'}: its pictures come too far apart to be compared: "
                "analyse as many a second (fps) as it sends, 1 at the least"
            )
        if self._footage.grid is None or self.footage_s < SHORTEST_S:
            raise NormalityError(
                f"{self.camera or 'the camera'}: {int(self.footage_s)} s of normal footage are too "
                f"little to learn from: give at least {SHORTEST_S:.0f} s, better an hour"
            )
        facts = Facts(
            footage_s=self.footage_s,
            made_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            grid=self._footage.grid,
            encoder=self.encoder.sha256 if self.encoder else None,
            camera=self.camera,
            sources=tuple(self._sources),
        )
        return fit(blocks, facts)

    def save_progress(self, path: str | Path) -> None:
        """Write what was taken so far, so that a restart carries on; whole or not at all."""
        header, arrays = self._footage.to_arrays()
        header |= {
            "format": _PROGRESS,
            "version": _VERSION,
            "camera": self.camera,
            "encoder": self.encoder.sha256 if self.encoder else None,
        }
        # Not compressed: the other cameras wait meanwhile, and it is written every minute.
        write_atomic(Path(path), dump(header, arrays, compress=False))

    @classmethod
    def load_progress(cls, path: str | Path, encoder: Encoder | None = None) -> "NormalityFitter":
        """A fitter that carries on; NormalityError when the file cannot be used with `encoder`."""
        path = Path(path)
        header, arrays = parse(read_file(path), path)
        if header.get("format") != _PROGRESS or header.get("version") != _VERSION:
            raise NormalityError(f"{path}: holds no learning progress of this version: remove it")
        if header.get("encoder") != (encoder.sha256 if encoder else None):
            raise NormalityError(
                f"{path}: learned with another encoder than the one in use: remove it to start anew"
            )
        fitter = cls(encoder, str(header.get("camera", "")))
        try:
            footage = Footage.from_arrays(header, arrays)
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            raise NormalityError(f"{path}: broken ({exc}): remove it to start anew") from exc
        if footage.vector_dim != fitter._footage.vector_dim:
            raise NormalityError(f"{path}: broken (its encoder's size is wrong): remove it")
        fitter._footage = footage
        return fitter


@dataclass(frozen=True, slots=True)
class _Seen:
    """All kept footage, one array each: tokens, the frame each belongs to, and the frames.

    `at_s`: (n,) of each frame, seconds into the footage. `run` changes where the footage was
    broken, `stretch` there and where blocks were not kept.
    """

    tokens: Tokens
    frame: NDArray[np.int64]
    frame_fold: NDArray[np.int64]
    t_s: NDArray[np.float64]
    passed_s: NDArray[np.float32]
    at_s: NDArray[np.float64]
    run: NDArray[np.int64]
    stretch: NDArray[np.int64]


def fit(blocks: list[Block], facts: Facts) -> Normality:
    """Normality from blocks of footage."""
    seen = _seen(blocks, facts.grid)
    tokens = seen.tokens
    profile = fit_profile(tokens.rows, tokens.features[:, SPEED], facts.grid[0])
    usual = usual_speed(profile, tokens)
    ratio = tokens.features[:, TRACKED] / usual
    described = pattern.describe(tokens, usual)
    spread = _spread(described)
    patterns = pattern.place(tokens, described, spread, facts.grid)
    token_fold = seen.frame_fold[seen.frame]
    pattern_bank, left_out = _bank(patterns, token_fold, seen.at_s[seen.frame])
    if len(tokens) >= _FEWEST_TOKENS:
        speed_tail, pattern_tail = fit_tail(ratio), fit_tail(left_out)
    else:  # hardly anything ever moved: whatever does is unusual
        speed_tail, pattern_tail = _steep_tail(), _steep_tail()
    looks, surprise = None, None
    if facts.encoder is not None:
        looks, surprise = _fit_appearance(blocks, seen)
    total = moving(speed_tail(ratio), pattern_tail(left_out), surprise)
    figures, standing = _fit_figures(blocks, seen)
    return Normality(
        facts=facts,
        profile=profile,
        fastest=float(ratio.max(initial=1.0)),
        spread=spread,
        bank=pattern_bank,
        speed_tail=speed_tail,
        pattern_tail=pattern_tail,
        figures=figures,
        appearance=looks,
        calibration=_calibrate(seen, total, standing),
    )


def _seen(blocks: list[Block], grid: tuple[int, int]) -> _Seen:
    group = int(np.clip(len(blocks) // _GROUPS, 1, _LONGEST_GROUP))
    counts = np.concatenate([block.counts for block in blocks]).astype(np.int64)
    fold = np.arange(len(blocks)) // group % FOLDS
    run = np.array([block.run for block in blocks], np.int64)
    ordinal = np.array([block.ordinal for block in blocks], np.int64)
    follows = (np.diff(ordinal, prepend=ordinal[:1]) == 1) & (np.diff(run, prepend=run[:1]) == 0)
    frames = [len(block.t_s) for block in blocks]
    return _Seen(
        tokens=Tokens(
            rows=np.concatenate([block.rows for block in blocks]),
            cols=np.concatenate([block.cols for block in blocks]),
            features=np.concatenate([block.features for block in blocks]).astype(np.float32),
            grid=grid,
        ),
        frame=np.repeat(np.arange(len(counts)), counts),
        frame_fold=np.repeat(fold, frames),
        t_s=np.concatenate([block.t_s for block in blocks]),
        passed_s=np.concatenate([block.passed_s for block in blocks]),
        at_s=np.concatenate([block.at_s for block in blocks]),
        run=np.repeat(run, frames),
        stretch=np.repeat(np.cumsum(~follows), frames),
    )


def _spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Standard deviation of each column, never so small that noise looks large."""
    if len(values) < 2:
        return np.ones(values.shape[1], np.float32)
    spread = values.std(0)
    floor = max(0.1 * float(spread.mean()), 1e-3)
    return np.asarray(np.maximum(spread, floor), np.float32)


def _bank(
    points: NDArray[np.float32], fold: NDArray[np.int64], at_s: NDArray[np.float64]
) -> tuple[Bank, NDArray[np.float32]]:
    """A bank of all points, seen at `at_s` (n,), and each point's distance (n,) from a bank of the
    other folds."""
    rng = np.random.default_rng(_SEED)
    distance = np.zeros(len(points), np.float32)
    if len(points) and (fold == fold[0]).all():
        # All that ever happened, happened at once: in quarters, or nothing could be left out, and
        # the same thing again would be as far beyond all that is known as can be.
        fold = np.arange(len(points)) * FOLDS // len(points)
    for k in range(FOLDS):
        own, others = np.flatnonzero(fold == k), np.flatnonzero(fold != k)
        if len(own) and len(others):
            bank = Bank(points[others[thin(points[others], BANK, rng)]])
            distance[own] = bank.ask(points[own])[0]
    if not len(points):
        points, at_s = np.zeros((1, points.shape[1]), np.float32), np.zeros(1)
    kept = thin(points, BANK, rng)
    return Bank(points[kept], at_s[kept].astype(np.float32)), distance


def _steep_tail() -> Tail:
    return fit_tail(np.linspace(0.0, 1.0, 1000))


def _fit_appearance(
    blocks: list[Block], seen: _Seen
) -> tuple[AppearanceNormality, NDArray[np.float64]]:
    """Normality of the encoder's vectors, and the left-out surprise of every motion token."""
    vectors = np.concatenate([block.vectors for block in blocks]).astype(np.float32)
    rows = np.concatenate([block.vector_rows for block in blocks]).astype(np.intp)
    cols = np.concatenate([block.vector_cols for block in blocks]).astype(np.intp)
    counts = np.concatenate([block.vector_counts for block in blocks]).astype(np.int64)
    spread = _spread(vectors)
    points = appearance.place(vectors, rows, cols, spread)
    frame = np.repeat(np.arange(len(counts)), counts)
    bank, left_out = _bank(points, seen.frame_fold[frame], seen.at_s[frame])
    tail = fit_tail(left_out) if len(left_out) >= _FEWEST_TOKENS else _steep_tail()
    surprise = tail(left_out)
    return AppearanceNormality(spread, bank, tail), _spread_over_tokens(
        seen, surprise, rows, cols, counts
    )


def _spread_over_tokens(
    seen: _Seen,
    surprise: NDArray[np.float64],
    rows: NDArray[np.intp],
    cols: NDArray[np.intp],
    counts: NDArray[np.int64],
) -> NDArray[np.float64]:
    """What each motion token reads from the latest encoder run, as when watching live."""
    shape = appearance.encoder_shape(seen.tokens.grid)
    out = np.zeros(len(seen.tokens))
    held = appearance.HeldMap()
    cell_rows, cell_cols = appearance.encoder_cell(seen.tokens, shape)
    token_edges = np.searchsorted(seen.frame, np.arange(len(counts) + 1))
    vector_edges = np.concatenate([[0], np.cumsum(counts)])
    for i in range(len(counts)):
        fresh = None
        v0, v1 = vector_edges[i], vector_edges[i + 1]
        if v1 > v0:
            fresh = np.zeros(shape)
            fresh[rows[v0:v1], cols[v0:v1]] = surprise[v0:v1]
        current = held.step(fresh, float(seen.t_s[i]), int(seen.run[i]))
        t0, t1 = token_edges[i], token_edges[i + 1]
        if current is not None and t1 > t0:
            out[t0:t1] = current[cell_rows[t0:t1], cell_cols[t0:t1]]
    return out


def _fit_figures(blocks: list[Block], seen: _Seen) -> tuple[FigureNormality, NDArray[np.float64]]:
    """Normality of figures, and the left-out surprise (n,) of every frame, held between looks."""
    cells = np.concatenate([block.cells for block in blocks])
    looks = np.flatnonzero(np.concatenate([block.looks for block in blocks]))
    scene = empty_scene(cells[:: max(1, len(cells) // _SCENE_PICTURES)])
    found = _walk(scene, cells, seen.t_s[looks], seen.run[looks])
    figures = Figures(
        rows=np.concatenate([f.rows for f in found]),
        cols=np.concatenate([f.cols for f in found]),
        features=np.concatenate([f.features for f in found]),
        grid=seen.tokens.grid,
    )
    look = np.repeat(np.arange(len(found)), [len(f) for f in found])
    spread = figure.shape_spread(figures)
    frame = looks[look]
    bank, left_out = _bank(figure.place(figures, spread), seen.frame_fold[frame], seen.at_s[frame])
    tail = fit_tail(left_out) if len(left_out) >= _FEWEST_TOKENS else _steep_tail()
    surprise = tail(left_out)
    edges = np.searchsorted(look, np.arange(len(found) + 1))
    values = np.array(
        [largest(surprise[a:b], figure.TOGETHER) for a, b in pairwise(edges.tolist())]
    )
    held = np.maximum(np.searchsorted(looks, np.arange(len(seen.t_s)), side="right") - 1, 0)
    return FigureNormality(scene, spread, bank, tail), values[held]


def _walk(
    scene: NDArray[np.uint8],
    cells: NDArray[np.uint8],
    t_s: NDArray[np.float64],
    run: NDArray[np.int64],
) -> list[Figures]:
    """Figures of every look, in order, as when watching live."""
    ground, found = Ground(scene), []
    for i, picture in enumerate(cells):
        follows = i > 0 and run[i] == run[i - 1]
        if not follows:
            ground.begin()
        found.append(ground.step(picture, float(t_s[i] - t_s[i - 1]) if follows else 0.0))
    return found


def _calibrate(
    seen: _Seen, surprise: NDArray[np.float64], standing: NDArray[np.float64]
) -> Calibration:
    """Event peaks of the left-out frames' scores."""
    n = len(seen.t_s)
    highest = np.zeros(n)
    np.maximum.at(highest, seen.frame, surprise)
    counts = np.bincount(seen.frame, minlength=n)
    values = np.maximum(highest - np.log(np.maximum(counts, 1)), 0.0)
    smoothers, run = (Smoother(), Smoother(figure.MEMORY_S)), -1
    smooth = np.zeros(n)
    for i in range(n):
        if seen.run[i] != run:
            smoothers, run = (Smoother(), Smoother(figure.MEMORY_S)), int(seen.run[i])
        passed_s = float(seen.passed_s[i])
        moving = smoothers[0].step(float(values[i]), passed_s)
        smooth[i] = max(moving, smoothers[1].step(float(standing[i]), passed_s))
    # What was not kept is no footage in which nothing happened.
    return Calibration(*event_peaks(seen.t_s, smooth, seen.stretch))
