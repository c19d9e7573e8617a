"""Footage for training: files and folders of pictures to runs of luma and motion, kept on disk.

Motion is the costly part and does not change between trainings, so each clip goes through the
motion chain once for each speed wanted and is kept in a cache folder as plain arrays.
"""

import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.encoder.features import detail_of
from detectors.motion import MotionAnalyser
from detectors.window import Window
from sorawatch import SourceError

log = logging.getLogger(__name__)

CHAIN_VERSION = 3  # a change of the motion chain or of this file's format makes caches stale
PARTS = ("picks", "flow", "difference")
PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
FOLDER_FPS = 10.0
"""Rate of a folder of pictures, which does not say its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """A clip at one speed: evenly spaced frames, `period` of footage apart, with their motion.

    `flow` (N, h, w, 2) float16, px per frame; `difference` (N, h, w) uint8, zero where nothing
    moves. `details` (M, 2h, 2w) uint8: luma of the whole clip, of which frame i is number
    `picks[i]`. `camera`: runs of the same camera share it. `speed`: 2.0 shows twice
    as much footage from frame to frame as a live camera would. `stored`: folder and first part of
    the names of the files that the arrays are read from.
    """

    name: str
    camera: str
    speed: float
    details: NDArray[np.uint8]
    picks: NDArray[np.int64]
    flow: NDArray[np.float16]
    difference: NDArray[np.uint8]
    stored: tuple[Path, str]

    def __len__(self) -> int:
        """Frames."""
        return len(self.picks)

    def __reduce__(self) -> tuple[object, ...]:
        """Another process opens the files itself, instead of being sent what is in them."""
        return _open, (*self.stored, self.name, self.camera)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its frames."""
        return self.difference.shape[1], self.difference.shape[2]


def find_footage(root: Path, patterns: Sequence[str]) -> list[Path]:
    """Files and folders below `root` that match, in order; SourceError if a pattern finds none."""
    found: list[Path] = []
    for pattern in patterns:
        matches = sorted(root.glob(pattern))
        if not matches:
            raise SourceError(f"{root / pattern}: no footage there", "not_found")
        found += [m for m in matches if m not in found]
    return found


def load_runs(
    path: Path,
    camera: str,
    speeds: Sequence[float],
    cache: Path,
    *,
    analysis_px: int = 180,
    period_s: float = 0.2,
) -> list[Run]:
    """The clip's runs, one for each speed and phase, from the cache or made now.

    At speed 1 every phase of the decimation up to two is a run of its own. SourceError when the
    clip cannot be decoded or its size changes.
    """
    key = _key(path, analysis_px, period_s, speeds)
    folder = cache / key
    if not (folder / "done").exists():
        _make(path, speeds, folder, analysis_px, period_s)
    names = (folder / "done").read_text().split()
    return [_open(folder, name, path.name, camera) for name in names]


def frames_of(path: Path) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Media time in seconds and picture, one after the other; SourceError when there are none."""
    if path.is_dir():
        pictures = sorted(p for p in path.iterdir() if p.suffix.lower() in PICTURES)
        for i, picture in enumerate(pictures):
            image = cv2.imread(str(picture), cv2.IMREAD_GRAYSCALE)
            if image is None:
                raise SourceError(f"{picture}: cannot be decoded", "codec")
            yield i / FOLDER_FPS, np.asarray(image, np.uint8)
        if not pictures:
            raise SourceError(f"{path}: a folder without pictures", "not_found")
        return
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise SourceError(f"{path}: cannot be opened as video", "codec")
        fps = capture.get(cv2.CAP_PROP_FPS)
        fps = fps if 1.0 <= fps <= 240.0 else 25.0
        count = 0
        while True:
            ok, image = capture.read()
            if not ok:
                break
            yield count / fps, np.asarray(image, np.uint8)
            count += 1
        if count == 0:
            raise SourceError(f"{path}: holds no frame that can be decoded", "codec")
    finally:
        capture.release()


def analysis_luma(image: NDArray[np.uint8], long_side_px: int) -> NDArray[np.uint8]:
    """Luma at analysis size: long side at most `long_side_px`."""
    if image.ndim == 3:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    h, w = image.shape
    scale = long_side_px / max(h, w)
    if scale >= 1:
        return image
    size = (max(8, round(w * scale)), max(8, round(h * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _make(path: Path, speeds: Sequence[float], folder: Path, px: int, period_s: float) -> None:
    """Decode the clip once, run the motion chain for each speed, write all or nothing."""
    times: list[float] = []
    lumas: list[NDArray[np.uint8]] = []
    details: list[NDArray[np.uint8]] = []
    for t, image in frames_of(path):
        if times and t < times[-1] + 0.4 * period_s * min(speeds):
            continue  # nothing will ask for it
        luma = analysis_luma(image, px)
        if lumas and luma.shape != lumas[0].shape:
            raise SourceError(
                f"{path}: changes its size at {t:.1f} s from {lumas[0].shape} to {luma.shape}"
            )
        times.append(t)
        lumas.append(luma)
        details.append(detail_of(image, luma.shape))
    if len(lumas) < 2:
        raise SourceError(f"{path}: holds {len(lumas)} frame, motion needs two", "ended")
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        runs = _write(work, times, lumas, details, speeds, period_s)
        os.replace(work, folder)
        log.info("%s: %d frames, %d runs", path, len(lumas), runs)
    except OSError:
        if not (folder / "done").exists():  # else another process was faster
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write(
    work: Path,
    times: Sequence[float],
    lumas: list[NDArray[np.uint8]],
    details: list[NDArray[np.uint8]],
    speeds: Sequence[float],
    period_s: float,
) -> int:
    """Write a clip's runs into the folder `work`; how many."""
    np.save(work / "details.npy", np.stack(details))
    names: list[str] = []
    for speed in speeds:
        for phase in range(2 if speed == 1.0 else 1):
            picks = _pick(times, period_s * speed, phase * period_s / 2)
            name = f"{speed:g}-{phase}"
            flow, difference = _motion([lumas[i] for i in picks], period_s)
            for part, array in zip(PARTS, (np.array(picks), flow, difference), strict=True):
                np.save(work / f"{name}-{part}.npy", np.asarray(array))
            names.append(name)
    (work / "done").write_text(" ".join(names))
    return len(names)


def _pick(times: Sequence[float], step_s: float, start_s: float) -> list[int]:
    """Frames nearest to start, start + step, ..., as far as there are."""
    stamps = np.asarray(times)
    wanted = np.arange(start_s, stamps[-1] + 1e-6, step_s)
    nearest = np.abs(stamps[None, :] - wanted[:, None]).argmin(1) if len(wanted) else []
    return [int(i) for i in dict.fromkeys(nearest)]


def _motion(
    lumas: list[NDArray[np.uint8]], period_s: float
) -> tuple[NDArray[np.float16], NDArray[np.uint8]]:
    """Flow and difference of each frame, as in `Run`."""
    analyser = MotionAnalyser()
    n, (h, w) = len(lumas), lumas[0].shape
    flow = np.zeros((n, h, w, 2), np.float16)
    difference = np.zeros((n, h, w), np.uint8)
    for i in range(n):
        first = max(0, i - 1)
        stamps = tuple(k * period_s for k in range(first, i + 1))
        motion = analyser.step(Window(tuple(lumas[first : i + 1]), stamps, i, 0))
        if motion.flow is not None and motion.difference is not None and motion.moving is not None:
            flow[i] = np.clip(motion.flow, -100, 100)
            difference[i] = motion.difference * motion.moving
    return flow, difference


def _open(folder: Path, name: str, clip: str, camera: str) -> Run:
    def read(part: str) -> NDArray[Any]:
        stored: NDArray[Any] = np.load(folder / f"{part}.npy", mmap_mode="r", allow_pickle=False)
        return stored

    speed = float(name.split("-", maxsplit=1)[0])
    picks, flow, difference = (read(f"{name}-{part}") for part in PARTS)
    return Run(
        clip, camera, speed, read("details"), picks, flow, difference, stored=(folder, name)
    )  # fmt: skip


def _key(path: Path, px: int, period_s: float, speeds: Sequence[float]) -> str:
    """Name of the clip's cache folder: changes with its files, their sizes and dates, and the
    chain."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stats = [(file.name, file.stat()) for file in files]
    content = " ".join(f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats)
    text = f"{path.resolve()} {content} {CHAIN_VERSION} {px} {period_s} {list(speeds)}"
    return hashlib.sha256(text.encode()).hexdigest()[:24]
