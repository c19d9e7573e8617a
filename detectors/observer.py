"""What one camera's newest frame shows, before anybody asks whether that is normal."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.encoder.contract import Contract
from detectors.encoder.features import MotionRun
from detectors.ground import cell_means
from detectors.motion import GAP_S, MotionAnalyser
from detectors.tokens import TokenMaker, Tokens, grid_of, no_tokens
from detectors.window import Window

LONGEST_STEP_S = 1.0
ENCODER_PERIOD = 3
"""The encoder runs for a camera at most every so many frames of 0.2 s."""
_AGREEMENT = 0.6  # of a period: the stream's times jitter


class Encoded(Protocol):
    """What an encoder gives for B windows, cells of 16 px.

    `tokens`: (B, E, h, w) float32. `features`: (B, N, F, h, w) float32, for later calls.
    """

    @property
    def tokens(self) -> NDArray[np.float32]:
        """Local tokens of the newest frames."""

    @property
    def features(self) -> NDArray[np.float32]:
        """Features of the frames given."""


class Encoder(Protocol):
    """An encoder as scoring needs it; `detectors.encoder.session.EncoderSession` is one.

    `run` may be called by several threads at once.
    """

    contract: Contract
    sha256: str

    @property
    def provider(self) -> str:
        """What it runs on: cpu or cuda."""

    def accepts(self, height: int, width: int) -> bool:
        """Whether pictures of this size can be encoded."""

    def run(self, x: NDArray[np.float32], past: NDArray[np.float32] | None = None) -> Encoded:
        """Encode (B, N, C, H, W) after `past` (B, M, F, h, w), both float32.

        The same window gives the same bits in any batch.
        """


@dataclass(frozen=True, slots=True)
class EncoderInput:
    """What the encoder is to be given for one window of T = M + N frames.

    `x`: (N, C, H, W) float32, the newest frames. `past`: (M, F, h, w) float32, features of those
    before them.
    """

    x: NDArray[np.float32]
    past: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Observation:
    """The newest frame of a window, as normality and the fitter take it.

    `t_s`, `generation`, `seq`: as in the window. `cells`: (rows, cols) uint8, mean luma of each
    cell. `passed_s`: since the frame before, 0.0 for the first of a generation. `changed`: share of
    the picture that changed; `whole`: (nearly) all of it did, so that `tokens` is empty and nothing
    is to be learned from it.
    `due`: what the encoder is to be given, when it is due for this frame; else None.
    `encoded`: (E, h, w) float32, the encoder's local tokens of this frame, once it has run.
    """

    t_s: float
    generation: int
    seq: int
    passed_s: float
    changed: float
    whole: bool
    cells: NDArray[np.uint8]
    tokens: Tokens
    due: EncoderInput | None = None
    encoded: NDArray[np.float32] | None = None

    def with_encoded(self, encoded: NDArray[np.float32] | None) -> "Observation":
        """The same with what the encoder gave, and without what it was given."""
        return replace(self, due=None, encoded=encoded)


class Observer:
    """Turns one camera's windows into observations; all that it carries is from earlier windows.

    Every window of the camera must pass through, in order. Not for use by two threads at once.
    """

    def __init__(
        self, encoder: Contract | None = None, encoder_period: int = ENCODER_PERIOD
    ) -> None:
        """Without the contract of an encoder nothing is prepared for one.

        `encoder_period`: the encoder is due for every so many-th frame (0.2 s each) at most.
        """
        self._motion = MotionAnalyser()
        self._tokens = TokenMaker()
        self._run = MotionRun(encoder.frames) if encoder is not None else None
        self._feature_dim = encoder.feature_dim if encoder is not None else 0
        self._encoder_period = encoder_period
        self._generation: int | None = None
        self._t_s = 0.0
        self._added_s = 0.0
        self._waited = 0

    def reset(self) -> None:
        """Forget everything, as after a reconnect."""
        self._generation = None

    def encoded(
        self, observation: Observation, tokens: NDArray[np.float32], features: NDArray[np.float32]
    ) -> Observation:
        """Take what the encoder gave for the newest frame: (E, h, w) and (N, F, h, w)."""
        if self._run is not None:
            self._run.remember(features)
        return observation.with_encoded(tokens)

    def step(self, window: Window) -> Observation:
        """Observe the newest frame of the window."""
        t_s = window.times_s[-1]
        if window.generation != self._generation:
            self._generation = window.generation
            self._motion.reset()
            self._tokens.reset()
            if self._run is not None:
                self._run.reset()
            self._t_s, self._added_s, self._waited = t_s, -np.inf, self._encoder_period
        passed_s = min(max(t_s - self._t_s, 0.0), LONGEST_STEP_S)
        self._t_s = t_s
        luma = window.frames[-1]
        motion = self._motion.step(window)
        if motion.whole:
            self._tokens.reset(begins=False)
            tokens = no_tokens(grid_of(luma.shape))
        else:
            tokens = self._tokens.step(motion, luma.shape, passed_s)
        due = None
        if self._run is not None and t_s - self._added_s >= _AGREEMENT * GAP_S:
            self._added_s = t_s
            self._run.add(luma, motion, window.picture)
            self._waited += 1
            if len(tokens) and self._waited >= self._encoder_period:
                self._waited = 0
                due = EncoderInput(self._run.fresh(), self._run.past(self._feature_dim))
        return Observation(
            t_s=t_s,
            generation=window.generation,
            seq=window.seq,
            passed_s=passed_s,
            changed=motion.changed,
            whole=motion.whole,
            cells=cell_means(luma),
            tokens=tokens,
            due=due,
        )
