"""Pictures of a replay's events: one beside the other, named by a path within the folder."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alerts.event import EventDraft
from sorawatch import ResourceError
from streamer.evidence.snapshots import Snapshots
from streamer.trace.manifest import PICTURES


class Album(Snapshots):
    """Writes `<folder>/pictures/<event id>.jpg`. A disk that is full ends the replay."""

    def __init__(self, folder: Path) -> None:
        """`folder`: of the replay."""
        super().__init__(folder / PICTURES)
        self._written: set[str] = set()

    def path(self, draft: EventDraft) -> Path:
        """Where the picture of an event goes."""
        return self._folder / f"{draft.id}.jpg"

    def write(self, draft: EventDraft, picture: NDArray[np.uint8]) -> str | None:
        """As `Snapshots.write`; ResourceError when that cannot be done."""
        path = super().write(draft, picture)
        if path is None:
            raise ResourceError(f"{self.path(draft)}: cannot be written: is the disk full?")
        self._written.add(draft.id)
        return path

    def existing(self, draft: EventDraft) -> str | None:
        """The picture's path within the folder, if this run has written one."""
        return f"{PICTURES}/{draft.id}.jpg" if draft.id in self._written else None
