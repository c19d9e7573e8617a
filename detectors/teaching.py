"""Teaching: footage of something that is normal after all, made into a lesson."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from detectors import appearance
from detectors.bank import Bank, thin
from detectors.detector import Scorer
from detectors.ground import Figures
from detectors.lessons import KINDS, MOST_TOKENS, REACH, Lesson
from detectors.normality import Normality
from detectors.observer import Encoder, Observation, Observer
from detectors.tail import Tail
from detectors.window import Window
from sorawatch import NormalityError

UNUSUAL = 2.0
"""Tokens that surprise more than this, nats, are worth a lesson: one in seven normal ones does."""

_ENOUGH = 20_000
"""Of a kind: then what was collected is thinned, so that memory is bounded."""

_SMALLEST_REACH = 1e-3
_SEED = 13


class Collector:
    """What is unusual in the frames that it is shown: what a lesson is made of.

    Not for use by two threads at once. `most`: tokens of a kind that it holds, twice as many for a
    moment; None: as many as a recording is worth, thinned slowly and well. With it each token has
    the same chance to be kept, and no frame costs more than another.
    """

    def __init__(self, normality: Normality, most: int | None = None) -> None:
        """Unusual by `normality` without its lessons: they may be taken back."""
        self.normality = normality
        self._most = most
        self._share = dict.fromkeys(KINDS, 1.0)
        self._taken: dict[str, list[NDArray[np.float32]]] = {}
        self._rng = np.random.default_rng(_SEED)

    def see(self, observation: Observation, figures: Figures | None) -> None:
        """Take what is unusual in a frame; `figures`: what stands out in it, if that was seen."""
        normality, tokens, known = self.normality, observation.tokens, self.normality.appearance
        if len(tokens):
            points = normality.surprise(tokens).patterns
            self._take("motion", points, normality.bank, normality.pattern_tail)
        if figures is not None and len(figures):
            points = normality.figure_surprise(figures).points
            self._take("figure", points, normality.figures.bank, normality.figures.tail)
        if observation.encoded is not None and known is not None:
            rows, cols = appearance.cells_of(tokens, observation.encoded.shape)
            vectors = np.ascontiguousarray(observation.encoded[:, rows, cols].T)
            points = appearance.place(vectors, rows, cols, known.spread)
            self._take("encoder", points, known.bank, known.tail)

    def tokens(self) -> dict[str, NDArray[np.float32]]:
        """(n, d + 1) of each kind, n as it comes: points, then how far each reaches. A copy."""
        return {kind: self._all(kind) for kind in KINDS}

    def _take(self, kind: str, points: NDArray[np.float32], bank: Bank, tail: Tail) -> None:
        distance = bank.ask(points)[0]
        unusual = tail(distance) > UNUSUAL
        if self._share[kind] < 1.0:
            unusual &= self._rng.random(len(unusual)) < self._share[kind]
        reach = np.maximum(REACH * distance[unusual], _SMALLEST_REACH)
        taken = self._taken.setdefault(kind, [])
        taken.append(np.column_stack([points[unusual], reach]).astype(np.float32))
        count = sum(len(some) for some in taken)
        if self._most is None:
            if count > _ENOUGH:
                points = self._all(kind)
                self._taken[kind] = [points[thin(points, _ENOUGH // 4, self._rng)]]
        elif count > 2 * self._most:
            self._taken[kind] = [self._rng.permutation(self._all(kind))[: self._most]]
            self._share[kind] *= self._most / count

    def _all(self, kind: str) -> NDArray[np.float32]:
        taken = self._taken.get(kind)
        if not taken:
            return np.zeros((0, self.normality.dims[kind] + 1), np.float32)
        return np.concatenate(taken)


def with_lesson(
    normality: Normality, tokens: Mapping[str, NDArray[np.float32]], note: str = ""
) -> Normality:
    """`normality` taught that `tokens`, as a `Collector` gives them, are normal.

    NormalityError when there are none, or it cannot be taught any more.
    """
    rng = np.random.default_rng(_SEED)
    chosen = {kind: points[thin(points, MOST_TOKENS, rng)] for kind, points in tokens.items()}
    if not any(len(points) for points in chosen.values()):
        raise NormalityError("nothing unusual is in that footage: there is nothing to teach")
    made_utc = datetime.now(UTC).isoformat(timespec="seconds")
    digest = hashlib.sha256(f"{len(normality.lessons)} {made_utc} {note}".encode())
    for points in chosen.values():
        digest.update(points.tobytes())
    return normality.with_lesson(Lesson(digest.hexdigest()[:8], made_utc, note, chosen))


class Teacher:
    """Watches footage as the detector does and collects what is unusual in the part to be taught.

    Feed it every window of the footage, in order. Not for use by two threads at once.

    `highest`: the largest score in the part to be taught, 0.0 before there was any.
    """

    def __init__(self, normality: Normality, encoder: Encoder | None = None) -> None:
        """`encoder`: the one that the normality was learned with; NormalityError for another."""
        normality.facts.check_encoder(encoder.sha256 if encoder else None)
        self.normality = normality
        self.highest = 0.0
        self._encoder = encoder if normality.appearance is not None else None
        # For every frame: what passes by is to be known at every place, not at each third.
        self._observer = Observer(self._encoder.contract if self._encoder else None, 1)
        self._scorer = Scorer(normality)
        self._collector = Collector(normality)

    def see(self, window: Window, *, teach: bool) -> None:
        """Take the newest frame of a window; `teach`: it belongs to what is to be taught.

        NormalityError when its picture is of another size than those that were learned from.
        """
        observation = self._observer.step(window)
        self.normality.facts.check_grid(observation.tokens.grid)
        due = observation.due
        if (
            self._encoder is not None
            and due is not None
            and self._encoder.accepts(*due.x.shape[2:])
        ):
            out = self._encoder.run(due.x[None], due.past[None])
            observation = self._observer.encoded(observation, out.tokens[0], out.features[0])
        score = self._scorer.step(observation)
        if teach:
            self.highest = max(self.highest, score.value)
            self._collector.see(observation, self._scorer.figures)

    def finish(self, note: str = "") -> Normality:
        """The normality with the lesson; NormalityError when nothing unusual was to be taught."""
        return with_lesson(self.normality, self._collector.tokens(), note)
