"""Pictures of alerts, small, as the page holds them."""

import base64
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from streamer.trace.manifest import PICTURES

_WIDTH: Final = 480
_QUALITY: Final = 70
_MAX_BYTES: Final = 16 * 1024 * 1024
_MAX_SIDE: Final = 16384


class Pictures:
    """Of one replay, as data URIs, up to a budget of bytes."""

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        """`folder`: of the replay."""
        self._folder = folder / PICTURES
        self._left = budget_bytes

    def of(self, event: str) -> str | None:
        """That of an event; None where there is none that can be read, or no room is left."""
        if self._left <= 0:
            return None
        try:
            with (self._folder / f"{event}.jpg").open("rb") as file:
                data = file.read(_MAX_BYTES)
        except OSError:
            return None
        try:
            picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except cv2.error:
            return None
        if picture is None or max(picture.shape) > _MAX_SIDE:
            return None
        height, width = picture.shape[:2]
        if width > _WIDTH:
            size = (_WIDTH, max(1, round(height * _WIDTH / width)))
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        done, jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not done:
            return None
        text = "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode()
        self._left -= len(text)
        return text if self._left >= 0 else None
