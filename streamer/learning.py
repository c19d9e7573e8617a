"""Learning what is normal while the camera is being watched, across restarts."""

import logging
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from detectors.fitting import SHORTEST_S, NormalityFitter
from detectors.normality import Normality, load
from detectors.observer import Encoder
from sorawatch import NormalityError, ResourceError
from streamer.normality_process import NormalityProcess

log = logging.getLogger(__name__)

SAVE_EVERY_S: Final = 60.0


def shared(normal: Path, other: str) -> str:
    """What is wrong when the camera `other` learns into `normal` as well."""
    return (
        f"{normal} is not there yet, and {other} learns into it too: give each camera that learns "
        "a file of its own"
    )


class Learning:
    """One camera that learns live: keeps what its fitter has seen, until that is enough.

    The detector feeds `fitter` with every window; this says how far it is, keeps the progress on
    disk, has the result computed by another process, and gives it once it is saved. A disk that
    takes nothing costs nothing that was learned: it is told, learning goes on, and saving is tried
    again every minute. Belongs to the analysis thread.

    `process`: what computes the result; None until enough was seen.
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
        self._learn_for_s = max(learn_for_s, SHORTEST_S)
        self._encoder = encoder
        self._clock = clock
        self._progress = normal.with_name(normal.name + ".learning")
        # Cameras that began together do not all save at the same moment.
        share = zlib.crc32(camera.encode()) / 2**32
        self._saved_s = clock() - share * SAVE_EVERY_S
        self._try_at_s = clock()
        self.process: NormalityProcess | None = None
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

    def step(self) -> Normality | None:
        """Call about once a second: what was learned, once, when it is on disk."""
        if self.process is None:
            self._save_or_finish(self._clock())
            return None
        problem = self.process.poll()
        if problem is None:
            return None
        self._end_process()
        if not problem:
            try:
                return load(self.normal)
            except NormalityError as exc:
                problem = str(exc)
        log.error("%s: cannot finish learning, goes on: %s", self._camera, problem)
        return None

    def close(self) -> None:
        """Stop: keep the progress for the next start."""
        if self.process is None:
            self._save()
        else:  # saved before it was started
            self._end_process()

    def _save_or_finish(self, now_s: float) -> None:
        if self.share >= 1.0:
            if now_s >= self._try_at_s:
                self._try_at_s = now_s + SAVE_EVERY_S
                if self._save():
                    self._compute()
        elif now_s - self._saved_s >= SAVE_EVERY_S:
            self._save()

    def _compute(self) -> None:
        try:
            self.process = NormalityProcess(self._progress, self.normal, self._encoder)
        except OSError as exc:  # the machine has no process, file or memory left
            log.error("%s: cannot finish learning, goes on: %s", self._camera, exc)

    def _save(self) -> bool:
        self._saved_s = self._clock()
        if self.fitter.footage_s <= 0:
            return False
        try:
            self.fitter.save_progress(self._progress)
        except ResourceError as exc:
            log.error("%s: cannot keep what was learned so far: %s", self._camera, exc)
            return False
        return True

    def _end_process(self) -> None:
        if self.process is not None:
            self.process.close()
            self.process = None
