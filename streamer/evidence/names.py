"""Which files are evidence: `<folder>/<camera>/<event id>.jpg` and `.mp4`, and no others."""

import re
from pathlib import Path
from typing import Final

from streamer.config_fields import CAMERA_NAME

PICTURE: Final = ".jpg"
CLIP: Final = ".mp4"
PART: Final = ".part"
"""Added to what is being written; what is whole has another name."""

_ID: Final = re.compile(r"-?[0-9]{1,12}\.[0-9]{1,6}-[0-9a-f]{6}")
_FILE: Final = re.compile(rf"({_ID.pattern})(\.jpg|\.mp4|\.part|\.mp4\.part)")


def evidence_path(folder: Path, camera: str, event_id: str, suffix: str) -> Path:
    """Where a file of an event goes: never outside `folder`, whatever the names are.

    ValueError for a camera or an event that cannot be in it.
    """
    if not is_camera(camera) or not _ID.fullmatch(event_id):
        raise ValueError(f"{camera!r:.80}, {event_id!r:.80}: no names for a file")
    return folder / camera / f"{event_id}{suffix}"


def is_camera(name: str) -> bool:
    """Whether a folder of this name may be a camera's."""
    return CAMERA_NAME.fullmatch(name) is not None


def event_of(name: str) -> str | None:
    """The id of the event that a file of this name belongs to; None for one that is not ours."""
    match = _FILE.fullmatch(name)
    return None if match is None else match[1]
