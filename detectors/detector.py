"""The detector: windows of many cameras in, scores out."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from detectors.appearance import HeldMap
from detectors.figure import MEMORY_S, TOGETHER
from detectors.fitting import NormalityFitter
from detectors.ground import STRANGE_SHARE, Figures, Ground
from detectors.normality import Normality
from detectors.observer import (
    ENCODER_PERIOD,
    Encoded,
    Encoder,
    EncoderInput,
    Observation,
    Observer,
)
from detectors.score import Gate, Score
from detectors.scoring import Reason, Smoother, largest, score_of
from detectors.window import Window

RECENT = 15
"""So many of the newest frames of a camera are kept as they were observed: a lesson begins before
the score is high."""

LOOK_STILL_S = 1.0
"""While nothing changes, what stands out is looked at so often, seconds."""

_Due = tuple[int, EncoderInput]
"""Index in the batch, and what the encoder is to be given."""

A = TypeVar("A")
B = TypeVar("B")


class Recent(NamedTuple):
    """A frame as it was observed, and what stood out in it, None where that was not looked for."""

    observation: Observation
    figures: Figures | None


class Scorer:
    """Scores one camera's observations, in order. Not for use by two threads at once.

    The score is the larger of two: of what moves, and of what stands out from the empty scene.
    """

    def __init__(self, normality: Normality) -> None:
        """Score against `normality`."""
        self.normality = normality
        self._ground = Ground(normality.figures.scene)
        self._generation: int | None = None
        self.reset()

    @property
    def foreign(self) -> bool:
        """Whether the picture is not of the scene that normality knows: moved, or other light."""
        return self._ground.foreign

    @property
    def strange(self) -> bool:
        """Whether the picture has for some time been of another scene than the one learned.

        Unlike `foreign` it stays so once the new scene was taken up: what moves in it is compared
        with what moved in another.
        """
        return self._ground.unlike > STRANGE_SHARE

    def reset(self) -> None:
        """Forget what was before, as after a reconnect."""
        self._moving, self._standing = Smoother(), Smoother(MEMORY_S)
        self._reasons: list[Reason | None] = [None, None]
        self._held = HeldMap()
        self.figures: Figures | None = None
        """What stood out in the newest frame, None where it was not looked for."""
        self._figure_value = 0.0
        self._looked_s: float | None = None
        self._ground.reset()

    def step(self, observation: Observation) -> Score:
        """Score the newest frame."""
        if observation.generation != self._generation:
            self._generation = observation.generation
            self.reset()
        passed_s, self.figures = observation.passed_s, None
        moving = self._moving.step(self._of_motion(observation), passed_s)
        standing = self._standing.step(self._of_figures(observation), passed_s)
        reason = self._reasons[0 if moving >= standing else 1]
        score = score_of(observation.t_s, max(moving, standing), reason)
        return replace(score, moving=moving, standing=standing, gate=self._gate(observation))

    def _gate(self, observation: Observation) -> Gate:
        if observation.seq == 0:
            return "warming"
        if observation.whole:
            return "whole"
        if self._ground.foreign:
            return "foreign"
        return "scored" if observation.changed or self._figure_value > 0.0 else "still"

    def _of_motion(self, observation: Observation) -> float:
        """Surprise of what moves in this frame."""
        tokens, fresh = observation.tokens, None
        if observation.encoded is not None:
            fresh = self.normality.appearance_of(tokens, observation.encoded)
        held = self._held.step(fresh, observation.t_s, observation.generation)
        if not len(tokens):
            return 0.0
        surprise = self.normality.surprise(tokens, held)
        value = largest(surprise.total)
        # While a score fades, the reason for its height stays.
        if value > 0.0 and (self._reasons[0] is None or value >= 0.5 * self._moving.value):
            self._reasons[0] = self.normality.reason(tokens, surprise)
        return value

    def _of_figures(self, observation: Observation) -> float:
        """Surprise of what stands out from the empty scene; what it last was while all is still."""
        if observation.whole:  # the camera or the light: nothing to compare
            return 0.0
        since_s = observation.t_s - self._looked_s if self._looked_s is not None else 0.0
        if self._looked_s is not None and not observation.changed and since_s < LOOK_STILL_S:
            return self._figure_value
        self._looked_s = observation.t_s
        self.figures = figures = self._ground.step(observation.cells, since_s)
        self._figure_value = 0.0
        if len(figures):
            surprise = self.normality.figure_surprise(figures)
            self._figure_value = value = largest(surprise.total, TOGETHER)
            if value > 0.0 and (self._reasons[1] is None or value >= 0.5 * self._standing.value):
                self._reasons[1] = self.normality.figure_reason(figures, surprise)
        return self._figure_value


@dataclass(slots=True)
class _Camera:
    """One camera's state; only one thread at a time works on it."""

    observer: Observer
    scorer: Scorer | None
    fitter: NormalityFitter | None
    changed: float = 0.0
    recent: deque[Recent] = field(default_factory=lambda: deque(maxlen=RECENT))


class Detector:
    """Scores windows of any number of cameras against what is normal for each.

    A camera's scores depend on its own windows alone: not on the other cameras, on how windows are
    batched into calls, or on the number of threads; bit for bit. `step` is for one thread; `add`,
    `remove` and `reset` must not run at the same time as it. Use it as a context manager, or
    `close` it: it owns threads.
    """

    def __init__(
        self,
        encoder: Encoder | None = None,
        threads: int = 1,
        encoder_period: int = ENCODER_PERIOD,
    ) -> None:
        """`encoder`: None scores by motion alone. `threads`: how many work on cameras at once."""
        if threads < 1 or encoder_period < 1:
            raise ValueError("threads and encoder_period must be at least 1")
        self.encoder = encoder
        self._encoder_period = encoder_period
        self._cameras: dict[str, _Camera] = {}
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, "detector") if threads > 1 else None

    def __enter__(self) -> "Detector":
        """Nothing to start: threads start with the first call."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """End its threads; it cannot be used afterwards."""
        if self._pool is not None:
            self._pool.shutdown()

    def add(
        self,
        camera: str,
        normality: Normality | None = None,
        fitter: NormalityFitter | None = None,
    ) -> None:
        """Watch a camera, or watch it anew with another normality.

        Without a normality its scores are None. With a `fitter`, every window also goes there.
        NormalityError when the normality was learned with another encoder.
        """
        if normality is not None:
            normality.facts.check_encoder(self.encoder.sha256 if self.encoder else None, camera)
        wants = (normality is not None and normality.appearance is not None) or (
            fitter is not None and fitter.encoder is not None
        )
        contract = self.encoder.contract if self.encoder is not None and wants else None
        self._cameras[camera] = _Camera(
            observer=Observer(contract, self._encoder_period),
            scorer=Scorer(normality) if normality is not None else None,
            fitter=fitter,
        )

    def remove(self, camera: str) -> None:
        """Forget a camera; KeyError when it was never added."""
        del self._cameras[camera]

    def teach(self, camera: str, normality: Normality) -> None:
        """Score by `normality`, that of `camera` with other lessons, from the next frame on.

        Nothing else changes: what was before is not forgotten. Must not run at the same time as
        `step`. KeyError when the camera was never added or has no normality.
        """
        scorer = self._cameras[camera].scorer
        if scorer is None:
            raise KeyError(camera)
        scorer.normality = normality

    def recent(self, camera: str) -> tuple[Recent, ...]:
        """The newest scored frames of a camera as they were observed, oldest first."""
        return tuple(self._cameras[camera].recent)

    def reset(self, camera: str) -> None:
        """Forget what a camera showed up to now, not what is normal for it."""
        state = self._cameras[camera]
        state.recent.clear()
        state.observer.reset()
        if state.scorer is not None:
            state.scorer.reset()

    def changed(self, camera: str) -> float:
        """Share of the camera's picture that changed in its newest window, in [0, 1].

        Above `detectors.motion.WHOLE_SHARE` the camera was moved or the light went on or off; such
        frames score nothing.
        """
        return self._cameras[camera].changed

    def foreign(self, camera: str) -> bool:
        """Whether the camera shows another scene than the one its normality was learned from.

        It was moved, or the light is quite another (day and infrared night). What stands out from
        the scene is not scored then; the new scene is taken up within minutes.
        """
        scorer = self._cameras[camera].scorer
        return scorer is not None and scorer.foreign

    def strange(self, camera: str) -> bool:
        """Whether the camera has for some time shown another scene than the one learned."""
        scorer = self._cameras[camera].scorer
        return scorer is not None and scorer.strange

    def step(self, batch: Sequence[tuple[str, Window]]) -> list[Score | None]:
        """Score the newest frame of each window: (camera, window), at most one for each camera.

        None for a camera that has no normality yet. KeyError for a camera that was never added,
        ValueError for one that comes twice.
        """
        work = [(self._cameras[camera], window) for camera, window in batch]
        if len({camera for camera, _ in batch}) != len(batch):
            raise ValueError("a camera comes twice in one batch")
        observed = self._map(lambda job: job[0].observer.step(job[1]), work)
        encoded = self._encode([state for state, _ in work], observed)
        jobs = [(state, seen) for (state, _), seen in zip(work, encoded, strict=True)]
        return self._map(_conclude, jobs)

    def _encode(self, work: list[_Camera], observed: list[Observation]) -> list[Observation]:
        """Run the encoder over all cameras that are due, those of one shape of input together."""
        groups: dict[tuple[tuple[int, ...], ...], list[_Due]] = {}
        for i, observation in enumerate(observed):
            due = observation.due
            if (
                due is not None
                and self.encoder is not None
                and self.encoder.accepts(*due.x.shape[2:])
            ):
                groups.setdefault((due.x.shape, due.past.shape), []).append((i, due))
        parts = [part for group in groups.values() for part in self._parts(group)]
        for part, out in zip(parts, self._map(self._run, parts), strict=True):
            for (i, _), tokens, features in zip(part, out.tokens, out.features, strict=True):
                observed[i] = work[i].observer.encoded(observed[i], tokens, features)
        return observed

    def _parts(self, group: list[_Due]) -> list[list[_Due]]:
        """What to run at once: a GPU wants everything together, a CPU a share for each thread."""
        if self.encoder is None or self.encoder.provider != "cpu":
            return [group]
        return [group[i :: self._threads] for i in range(min(self._threads, len(group)))]

    def _run(self, part: list[_Due]) -> Encoded:
        assert self.encoder is not None  # noqa: S101  # nothing is due without one
        return self.encoder.run(
            _stack([due.x for _, due in part]), _stack([due.past for _, due in part])
        )

    def _map(self, work: Callable[[A], B], items: list[A]) -> list[B]:
        """Do `work` for each item, in threads where there are any, results in order."""
        if self._pool is None or len(items) < 2:
            return [work(item) for item in items]
        return list(self._pool.map(work, items))


def _stack(arrays: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """As `np.stack`, but one alone is not copied."""
    return np.stack(arrays) if len(arrays) > 1 else arrays[0][None]


def _conclude(job: tuple[_Camera, Observation]) -> Score | None:
    """Learn from an observation and score it."""
    camera, observation = job
    camera.changed = observation.changed
    if camera.fitter is not None:
        camera.fitter.observe(observation)
    if camera.scorer is None:
        return None
    score = camera.scorer.step(observation)
    if observation.seq == 0:
        camera.recent.clear()
    camera.recent.append(
        Recent(observation.with_encoded(observation.encoded), camera.scorer.figures)
    )
    return score
