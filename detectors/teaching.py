"""Teaching: footage of something that is normal after all, made into a lesson."""

import hashlib
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from detectors import appearance
from detectors.bank import Bank, thin
from detectors.detector import Scorer
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
        self._taken: dict[str, list[NDArray[np.float32]]] = {}
        self._rng = np.random.default_rng(_SEED)

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
            self._collect(observation)

    def finish(self, note: str = "") -> Normality:
        """The normality with the lesson; NormalityError when nothing unusual was to be taught."""
        tokens = {kind: self._of(kind, MOST_TOKENS) for kind in KINDS}
        if not any(len(points) for points in tokens.values()):
            raise NormalityError("nothing unusual is in that footage: there is nothing to teach")
        made_utc = datetime.now(UTC).isoformat(timespec="seconds")
        digest = hashlib.sha256(f"{len(self.normality.lessons)} {made_utc} {note}".encode())
        for points in tokens.values():
            digest.update(points.tobytes())
        lesson = Lesson(digest.hexdigest()[:8], made_utc, note, tokens)
        return self.normality.with_lesson(lesson)

    def _collect(self, observation: Observation) -> None:
        """Take what is unusual, be it taught already or not: lessons may be taken back."""
        normality, tokens, known = self.normality, observation.tokens, self.normality.appearance
        if len(tokens):
            points = normality.surprise(tokens).patterns
            self._take("motion", points, normality.bank, normality.pattern_tail)
        if self._scorer.figures is not None and len(self._scorer.figures):
            points = normality.figure_surprise(self._scorer.figures).points
            self._take("figure", points, normality.figures.bank, normality.figures.tail)
        if observation.encoded is not None and known is not None:
            rows, cols = appearance.cells_of(tokens, observation.encoded.shape)
            vectors = np.ascontiguousarray(observation.encoded[:, rows, cols].T)
            points = appearance.place(vectors, rows, cols, known.spread)
            self._take("encoder", points, known.bank, known.tail)

    def _take(self, kind: str, points: NDArray[np.float32], bank: Bank, tail: Tail) -> None:
        distance = bank.ask(points)[0]
        unusual = tail(distance) > UNUSUAL
        reach = np.maximum(REACH * distance[unusual], _SMALLEST_REACH)
        taken = self._taken.setdefault(kind, [])
        taken.append(np.column_stack([points[unusual], reach]).astype(np.float32))
        if sum(len(some) for some in taken) > _ENOUGH:
            self._taken[kind] = [self._of(kind, _ENOUGH // 4)]

    def _of(self, kind: str, most: int) -> NDArray[np.float32]:
        taken = self._taken.get(kind)
        if not taken:
            return np.zeros((0, self.normality.dims[kind] + 1), np.float32)
        points = np.concatenate(taken)
        return points[thin(points, most, self._rng)]
