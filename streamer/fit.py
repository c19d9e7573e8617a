"""Learning one camera's normality file from footage: the live path up to the score."""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty, SimpleQueue

from detectors.detector import Detector
from detectors.encoder.providers import Device
from detectors.encoder.session import EncoderSession
from detectors.fitting import NormalityFitter
from detectors.normality import Normality
from sorawatch import SourceError
from streamer.capture.doorbell import Doorbell, wait
from streamer.capture.ring import FrameRing
from streamer.capture.settings import CaptureSettings
from streamer.capture.source import Source
from streamer.capture.states import CameraState, StateChange
from streamer.capture.supervisor import CameraSpec, Supervisor
from streamer.capture.windows import WindowCutter
from streamer.watch import WINDOW_FRAMES

log = logging.getLogger(__name__)

_FIRST_FRAME_S = 30.0
_POLL_S = 0.05
_SLOTS = 64
_CAMERA = "fit"


@dataclass(frozen=True, slots=True)
class FitProgress:
    """How far fitting is. `total` is 0 where it cannot be known."""

    source: str
    """Masked."""
    index: int
    total: int
    footage_s: float


@dataclass(frozen=True, slots=True)
class FitReport:
    """What was learned."""

    out: Path
    sources: int
    footage_s: float
    took_s: float
    sha256: str


def fit(
    sources: Sequence[Source],
    out: Path,
    *,
    fps: float = 5.0,
    seconds: float | None = None,
    encoder: Path | None = None,
    use_encoder: bool = True,
    device: Device = "auto",
    on_progress: Callable[[FitProgress], None] = lambda _progress: None,
) -> FitReport:
    """Learn from `sources`, one after the other, and write `out` (atomically, at the end).

    `fps`: frames analysed a second; use what the camera will be watched with.
    `seconds`: of footage to learn from in all; required when a source is live, since it never ends.
    Raises SourceError for a source that cannot be opened or gives no frame, NormalityError when
    there was too little to learn from; `out` is then what it was.
    """
    if not sources:
        raise SourceError("nothing to learn from: give a file, a folder or a URL", "not_found")
    for source in sources:
        if source.live and seconds is None:
            raise SourceError(f"{source.masked} is live: say for how long, e.g. --seconds 600")
    started_s = time.monotonic()
    session = EncoderSession(encoder, device, 1) if use_encoder else None
    fitter = NormalityFitter(session, out.stem)
    with ExitStack() as stack:
        detector = Detector(session)
        stack.callback(detector.close)
        detector.add(_CAMERA, None, fitter)
        for index, source in enumerate(sources):
            left_s = None if seconds is None else seconds - fitter.footage_s
            if left_s is not None and left_s <= 0:
                break
            detector.reset(_CAMERA)
            end_s = None if left_s is None else fitter.footage_s + left_s

            def enough(
                source: Source = source, index: int = index, end_s: float | None = end_s
            ) -> bool:
                on_progress(FitProgress(source.masked, index, len(sources), fitter.footage_s))
                return end_s is not None and fitter.footage_s >= end_s

            _read(source, index, fps, detector, enough)
    normality = fitter.finish()
    save(normality, out)
    took_s = time.monotonic() - started_s
    return FitReport(out, len(sources), fitter.footage_s, took_s, normality.sha256)


def save(normality: Normality, out: Path) -> None:
    """Write a normality file, making its folder."""
    out.parent.mkdir(parents=True, exist_ok=True)
    normality.save(out)


def _read(
    source: Source,
    index: int,
    fps: float,
    detector: Detector,
    enough: Callable[[], bool],
) -> None:
    """Feed one source to the detector until it ends, or until `enough`, asked after each window.

    `index`: of the source, so that its generations are not taken for those of another.
    In a worker process, as live: a decoder that aborts is an error here and nothing more.
    """
    states: SimpleQueue[StateChange] = SimpleQueue()
    settings = CaptureSettings(fps=fps, mode="drop" if source.live else "wait", once=True)
    with (
        Doorbell() as bell,
        FrameRing.create(_SLOTS) as ring,
        Supervisor(workers=1, on_state=states.put, bell=bell) as supervisor,
    ):
        cutter = WindowCutter(ring, WINDOW_FRAMES, 1.0 / fps)
        supervisor.add(CameraSpec(_CAMERA, source, settings), ring)
        give_up_s = time.monotonic() + _FIRST_FRAME_S
        ended: StateChange | None = None
        while True:
            seen = cutter.next()
            if seen is not None:
                generation = (index << 32) + seen.window.generation
                detector.step([(_CAMERA, replace(seen.window, generation=generation))])
                if not seen.intact():
                    detector.reset(_CAMERA)
                if enough():
                    return
                continue
            if ended is not None:
                break
            wait([bell], _POLL_S)
            ended = _end(states)
            if ring.written == 0 and ended is None and time.monotonic() > give_up_s:
                raise SourceError(
                    f"{source.masked}: no picture for {_FIRST_FRAME_S:.0f} s", "timeout"
                )
        if ended.reason != "ended" or ring.written == 0:
            why = ended.detail or ended.reason or "no picture"
            raise SourceError(f"{source.masked}: {why}", ended.reason or "error")


def _end(states: "SimpleQueue[StateChange]") -> StateChange | None:
    """The newest state that ends a reading; None while it may go on."""
    end = None
    while True:
        try:
            change = states.get_nowait()
        except Empty:
            return end
        if change.state is CameraState.OFFLINE:
            end = change
