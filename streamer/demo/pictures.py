"""The annotated picture of an alert, in the demo's folder `alerts`."""

from pathlib import Path

import cv2
import numpy as np

from alerts.event import Event
from alerts.text import format_rate
from streamer.demo.annotate import annotate
from streamer.demo.brush import Picture
from streamer.demo.plan import CameraPlan


def write_alert_picture(event: Event, camera: CameraPlan, shown_s: float, folder: Path) -> Path:
    """Write, or replace, the picture of an alert; `shown_s` is when in the film it began.

    The program's own snapshot where there is one, which has the place and the reason drawn in
    already; otherwise the film's frame of that moment.
    """
    facts = [event.camera, f"{shown_s:.1f} s"]
    if event.score is not None:
        facts.append(f"score {event.score:.1f}")
    if event.threshold is not None:
        facts.append(f"threshold {event.threshold:.1f}")
    if event.expected_per_day is not None:
        facts.append(f"expected {format_rate(event.expected_per_day)}")
    heading = "   ".join(facts)
    path = folder / f"{event.camera}-{shown_s:05.1f}s-{event.id[-6:]}.jpg"
    snapshot = None if event.snapshot is None else cv2.imread(event.snapshot, cv2.IMREAD_COLOR)
    if snapshot is not None:
        drawn = annotate(np.asarray(snapshot, dtype=np.uint8), heading, None, None)
    else:
        place = event.region
        region = None if place is None else (place.x, place.y, place.width, place.height)
        text = f"{event.camera}: {event.explanation.text}"
        drawn = annotate(film_frame(camera.film, shown_s), heading, text, region)
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), drawn, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return path


def film_frame(film: Path, at_s: float) -> Picture:
    """The picture of a film at a second; black when it has none there."""
    reader = cv2.VideoCapture(str(film))
    try:
        reader.set(cv2.CAP_PROP_POS_MSEC, at_s * 1000)
        good, picture = reader.read()
        return np.asarray(picture, dtype=np.uint8) if good else np.zeros((360, 640, 3), np.uint8)
    finally:
        reader.release()
