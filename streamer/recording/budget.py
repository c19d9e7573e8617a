"""Which segments have to go: the oldest closed ones, of all cameras together."""

from collections.abc import Iterable
from dataclasses import dataclass

from streamer.recording.segment import Segment


@dataclass(frozen=True, slots=True)
class Budget:
    """What a recording may take; None: no limit.

    `max_bytes`: of all cameras' segments together, those being written included.
    `max_age_s`: since a segment's end. `keep_free_bytes`: what must stay free on the disk; where
    it is not, recording stops, for it may be others who fill it.
    """

    max_bytes: int | None = None
    max_age_s: float | None = None
    keep_free_bytes: int = 500_000_000


def surplus(
    closed: Iterable[Segment], open_bytes: int, budget: Budget, now_utc_s: float
) -> list[Segment]:
    """The closed segments to remove, oldest first, so that the budget holds.

    Never one that is open: where that alone is more than the budget, it stays.
    """
    oldest_first = sorted(closed, key=lambda one: (one.end_utc_s, one.camera))
    total = open_bytes + sum(segment.bytes for segment in oldest_first)
    out = []
    for segment in oldest_first:
        age_s = now_utc_s - segment.end_utc_s
        too_old = budget.max_age_s is not None and age_s > budget.max_age_s
        too_much = budget.max_bytes is not None and total > budget.max_bytes
        if too_old or too_much:
            out.append(segment)
            total -= segment.bytes
    return out
