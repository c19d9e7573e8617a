"""Which cameras share a worker, and who comes under suspicion when one dies."""

from collections.abc import Sequence
from typing import Final, TypeVar

from streamer.capture.counters import Phase

T = TypeVar("T")

MOST_PARTS: Final = 4  # new workers for one crash, so that no crash costs a worker a camera
_DANGEROUS: Final = (Phase.OPENING, Phase.FIRST_READ)


def split_after_crash(cameras: Sequence[tuple[T, Phase]]) -> tuple[list[T], list[list[T]]]:
    """Part the cameras of a crashed worker: those that may stay together, and groups to part.

    The suspects are those that were being opened or decoded for the first time, or, if none was,
    all. Each gets a worker of its own; more than `MOST_PARTS` of them are dealt to so many
    workers, to be parted further by the next crash, until the culprit is alone.
    """
    suspects = [camera for camera, phase in cameras if phase in _DANGEROUS]
    rest = [camera for camera, phase in cameras if phase not in _DANGEROUS]
    if not suspects:
        suspects, rest = rest, []
    parts = min(MOST_PARTS, len(suspects))
    return rest, [suspects[index::parts] for index in range(parts)]
