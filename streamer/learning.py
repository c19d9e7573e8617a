"""Learning what is normal while the camera is being watched, across restarts."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from detectors.fitting import NormalityFitter
from detectors.normality import Normality
from detectors.observer import Encoder
from sorawatch import NormalityError, ResourceError

log = logging.getLogger(__name__)

SAVE_EVERY_S = 60.0


class Learning:
    """One camera that learns live: feeds a fitter until it has seen enough, then saves.

    The detector feeds `fitter` with every window; this says how far it is, keeps the progress on
    disk, and computes the result on another thread, so that the other cameras do not wait.
    Belongs to the analysis thread.
    """

    def __init__(
        self,
        camera: str,
        normal: Path,
        learn_for_s: float,
        *,
        encoder: Encoder | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Carry on with the progress that an earlier run left beside `normal`, if there is any."""
        self._camera = camera
        self.normal = normal
        self._learn_for_s = learn_for_s
        self._clock = clock
        self._progress = normal.with_name(normal.name + ".learning")
        self._saved_s = clock()
        self._result: Future[Normality] | None = None
        self.fitter = NormalityFitter(encoder, camera)
        if self._progress.exists():
            try:
                self.fitter = NormalityFitter.load_progress(self._progress, encoder)
                log.info("%s: goes on learning after %.0f s", camera, self.fitter.footage_s)
            except NormalityError as exc:
                log.warning("%s: learns anew: %s", camera, exc)

    @property
    def share(self) -> float:
        """How much of `learn_for` has been learned, in [0, 1]."""
        return min(1.0, self.fitter.footage_s / self._learn_for_s)

    @property
    def computing(self) -> bool:
        """Whether enough was seen; the fitter must not be fed any more."""
        return self._result is not None

    def step(self, pool: ThreadPoolExecutor) -> Normality | None:
        """Call about once a second: what was learned, once, when it is ready.

        When it cannot be computed or saved, that is logged and learning goes on: a full disk
        costs nothing that was learned.
        """
        if self._result is None:
            if self.fitter.footage_s >= self._learn_for_s:
                self._result = pool.submit(self._finish)
            elif self._clock() - self._saved_s >= SAVE_EVERY_S:
                self.save()
            return None
        if not self._result.done():
            return None
        result, self._result = self._result, None
        try:
            return result.result()
        except (NormalityError, ResourceError, OSError) as exc:
            log.error("%s: cannot finish learning, goes on: %s", self._camera, exc)
            self._learn_for_s = self.fitter.footage_s + SAVE_EVERY_S
            return None

    def save(self) -> None:
        """Keep the progress for the next start."""
        self._saved_s = self._clock()
        if self.computing or self.fitter.footage_s <= 0:
            return
        try:
            self._progress.parent.mkdir(parents=True, exist_ok=True)
            self.fitter.save_progress(self._progress)
        except (NormalityError, ResourceError, OSError) as exc:
            log.error("%s: cannot keep what was learned so far: %s", self._camera, exc)

    def _finish(self) -> Normality:
        normality = self.fitter.finish()
        self.normal.parent.mkdir(parents=True, exist_ok=True)
        normality.save(self.normal)
        self._progress.unlink(missing_ok=True)
        return normality
