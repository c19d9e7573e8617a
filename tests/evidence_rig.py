"""Rings with pictures of known times, drafts of events, and clips read back."""

import json
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from alerts.event import EventDraft, Explanation, Region, event_id
from streamer.capture.frame import FrameHeader
from streamer.capture.reduce import analysis_shape, luma_for_analysis
from streamer.capture.ring import FrameRing
from streamer.evidence.cutter import ClipSettings
from streamer.evidence.desk import Clips

UTC_S = 1_763_802_000.0
FPS = 5.0
SLOTS = 64
PATIENCE_S = 20.0


def picture(number: int, width: int = 160, height: int = 90) -> np.ndarray:
    """A picture that says its number by 12 bars; no two in a row are equal."""
    out = np.full((height, width, 3), 90, np.uint8)
    for bit in range(12):
        left = bit * width // 12
        out[: height // 2, left : left + width // 12] = 235 if number >> bit & 1 else 20
    cv2.circle(out, (number * 7 % width, height * 3 // 4), height // 10, (40, 200, 90), -1)
    return out


def number_of(shown: np.ndarray) -> int:
    """The number that `picture` drew."""
    height, width = shown.shape[:2]
    row = shown[height // 4].astype(int).mean(axis=-1)
    return sum((row[bit * width // 12 + width // 24] > 128) << bit for bit in range(12))


def draft(kind: str, start_s: float, camera: str = "gate", **more: Any) -> EventDraft:
    """A message about an event that began `start_s` after `UTC_S`."""
    start = round(UTC_S + start_s, 6)
    fields: dict[str, Any] = {
        "type": kind,
        "id": event_id("gate", "anomaly", None, start),
        "camera": camera,
        "kind": "anomaly",
        "severity": "alert",
        "time": start,
        "start_time": start,
        "score": 7.3,
        "region": Region(x=0.25, y=0.5, width=0.5, height=0.25),
        "explanation": Explanation(text="faster than anything seen here"),
    }
    return EventDraft(**fields | more)


def ended(start_s: float, end_s: float, **more: Any) -> EventDraft:
    """The last message about it."""
    return draft("end", start_s, **{"end_time": UTC_S + end_s, "ended_by": "over"} | more)


def show(ring: FrameRing, numbers: Sequence[int], fps: float = FPS) -> None:
    """Put pictures into a ring; number n was taken n / fps after `UTC_S`."""
    for number in numbers:
        shown = picture(number)
        views = ring.begin(analysis_shape(*shown.shape[:2]), shown.shape[:2])
        views.picture[...] = shown
        luma_for_analysis(views.picture, out=views.luma)
        t_ns = round(number / fps * 1e9)
        ring.commit(FrameHeader(1, 10**12 + t_ns, 10**12 + t_ns, round(UTC_S * 1e9) + t_ns))


@dataclass
class Desk:
    """Clips, a ring of one camera that is full of pictures, and what was told late."""

    clips: Clips
    ring: FrameRing
    told: "queue.SimpleQueue[EventDraft]" = field(default_factory=queue.SimpleQueue)

    def next(self) -> EventDraft:
        """The next message that was held back."""
        return self.told.get(timeout=PATIENCE_S)


@contextmanager
def desk(folder: Path, frames: int = 60, **settings: Any) -> Iterator[Desk]:
    """Clips of the camera `gate`, with two seconds before and after unless told otherwise."""
    told: queue.SimpleQueue[EventDraft] = queue.SimpleQueue()
    chosen = {"pre_roll_s": 2.0, "post_roll_s": 2.0, "longest_s": 30.0} | settings
    with (
        FrameRing.create(SLOTS) as ring,
        Clips(ClipSettings(folder, **chosen), told.put) as clips,
    ):
        show(ring, range(frames))
        clips.add("gate", ring.name, FPS)
        yield Desk(clips, ring, told)


@dataclass
class Film:
    """A clip as it was read: `start_utc_s` of its first picture, times and pictures."""

    start_utc_s: float
    event: str
    times_s: list[float]
    pictures: list[np.ndarray]
    codec: str
    pix_fmt: str
    moov_first: bool


def read_film(path: Path) -> Film:
    """Read a whole clip."""
    data = path.read_bytes()
    with av.open(str(path)) as film:
        comment = json.loads(film.metadata["comment"])
        stream = film.streams.video[0]
        codec, pix_fmt = stream.codec_context.name, stream.codec_context.pix_fmt
        frames = [(f.time, f.to_ndarray(format="bgr24")) for f in film.decode(video=0)]
    moov, mdat = data.find(b"moov"), data.find(b"mdat")
    return Film(
        comment["start_utc_s"],
        comment["event"],
        [t for t, _ in frames],
        [p for _, p in frames],
        codec,
        str(pix_fmt),
        0 < moov < mdat,
    )


def wait_for(event: threading.Event) -> None:
    """Wait for something that has to come."""
    assert event.wait(PATIENCE_S), "it did not come"
