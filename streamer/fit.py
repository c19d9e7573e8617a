"""`sorawatch fit`: a normality file from footage: the live path up to the score."""

import errno
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final, NamedTuple

from detectors.detector import Detector
from detectors.encoder.providers import Device
from detectors.encoder.session import EncoderSession
from detectors.fitting import NormalityFitter
from sorawatch import ConfigError, ResourceError, SourceError
from streamer.capture.masks import Polygon
from streamer.capture.source import Source
from streamer.reading import SourceReader

_CAMERA: Final = "fit"
_USUAL_RATE: Final = 1.0  # the default of alerts_per_day


@dataclass(frozen=True, slots=True)
class FitProgress:
    """How far fitting is: in source `index` of `total`, `footage_s` seconds learned in all."""

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
    warning: str | None = None
    """Why one alert a day cannot be promised from so little footage."""


def fit(
    sources: Sequence[Source],
    out: Path,
    *,
    fps: float = 5.0,
    seconds: float | None = None,
    encoder: Path | None = None,
    use_encoder: bool = True,
    device: Device = "auto",
    masks: Sequence[Polygon] = (),
    on_progress: Callable[[FitProgress], None] = lambda _progress: None,
) -> FitReport:
    """Learn from `sources`, one after the other, and write `out` (atomically, at the end).

    `fps`, `masks`: frames analysed a second, what nobody is to see of them; use what the camera
    will be watched with.
    `seconds`: of footage to learn from in all; required when a source is live, since it never ends.
    Raises ConfigError where that is missing, SourceError for a source that cannot be opened or
    gives no frame, or whose pictures are of another shape than those before, NormalityError when
    there was too little to learn from, ResourceError when `out` cannot be written; `out` is then
    what it was.
    """
    if not sources:
        raise ConfigError("nothing to learn from: give a file, a folder or a URL")
    for source in sources:
        if source.live and seconds is None:
            raise ConfigError(f"{source.masked} is live: say for how long, e.g. --seconds 600")
    _check_writable(out)
    started_s = time.monotonic()
    session = EncoderSession(encoder, device, 1) if use_encoder else None
    fitter = NormalityFitter(session, out.stem)
    read = learn_from(
        sources, fitter, fps, seconds=seconds, masks=masks, on_progress=on_progress
    ).sources
    normality = fitter.finish()
    normality.save(out)
    took_s = time.monotonic() - started_s
    warning = normality.calibration.threshold(_USUAL_RATE).warning
    return FitReport(out, read, fitter.footage_s, took_s, normality.sha256, warning)


class Learned(NamedTuple):
    """What was read to learn from: how many sources, and the shape (h, w) of what is analysed."""

    sources: int
    shape: tuple[int, ...] | None


def learn_from(
    sources: Sequence[Source],
    fitter: NormalityFitter,
    fps: float,
    *,
    seconds: float | None = None,
    masks: Sequence[Polygon] = (),
    on_progress: Callable[[FitProgress], None] = lambda _progress: None,
) -> Learned:
    """Give `fitter` the footage of `sources`, one after the other, as the live path sees it.

    `fps`, `seconds`, `masks` and what is raised as in `fit`.
    """
    read, shape = 0, None
    with Detector(fitter.encoder) as detector, SourceReader(sources, fps, masks) as reader:
        detector.add(_CAMERA, None, fitter)
        for index, seen in reader.windows():
            if read != index + 1:
                fitter.begin(sources[index].masked)
            read = index + 1
            shape = same_shape(shape, seen.window.frames[-1].shape, sources[index])
            # Generations of one source are not to be taken for those of another.
            generation = (index << 32) + seen.window.generation
            detector.step([(_CAMERA, replace(seen.window, generation=generation))])
            if not seen.intact():
                detector.reset(_CAMERA)
            on_progress(FitProgress(sources[index].masked, index, len(sources), fitter.footage_s))
            if seconds is not None and fitter.footage_s >= seconds:
                break
    return Learned(read, shape)


def same_shape(
    before: tuple[int, ...] | None, now: tuple[int, ...], source: Source
) -> tuple[int, ...]:
    """`now`, the shape (h, w) of a picture of `source`; SourceError where it is not `before`."""
    if before is not None and now != before:
        raise SourceError(
            f"{source.masked}: its pictures are {now[1]}x{now[0]} when reduced for analysis, those "
            f"before were {before[1]}x{before[0]}: learn from one camera at one setting"
        )
    return now


def _check_writable(out: Path) -> None:
    """Raise ResourceError now rather than after an hour of learning."""
    try:
        if out.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        out.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=out.parent):
            pass
    except OSError as exc:
        raise ResourceError(f"{out}: cannot be written: {exc.strerror or exc}") from exc
