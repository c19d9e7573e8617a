"""One camera's clips: which pictures are kept, and when a clip can be cut from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from streamer.evidence.reel import LAG_S, Reel, Still

PATIENCE_S: Final = 2.0
"""A camera that has sent nothing for this long beyond the post-roll sends none of it any more."""

_NEVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """How clips are made. Times in seconds; `longest_s` includes pre-roll and post-roll.

    `buffer_bytes`: JPEG that one camera's reel may hold. `keep_free_bytes`: what has to stay free
    on the disk of `folder`.
    """

    folder: Path
    pre_roll_s: float = 5.0
    post_roll_s: float = 5.0
    longest_s: float = 60.0
    buffer_bytes: int = 16_000_000
    keep_free_bytes: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be meant."""
        if not (self.pre_roll_s >= 0 and self.post_roll_s >= 0 and self.buffer_bytes > 0):
            raise ValueError(f"times and sizes of clips are not negative: {self}")
        if not self.longest_s > self.pre_roll_s + self.post_roll_s:
            raise ValueError("the longest clip must be longer than pre-roll and post-roll together")


class Cut(NamedTuple):
    """A clip that can be made now."""

    event_id: str
    stills: tuple[Still, ...]


@dataclass(slots=True)
class _Take:
    """A clip to come. `to_s`: its end, as far as that is known; `due_s`: by when, monotonic."""

    from_s: float
    to_s: float
    due_s: float = _NEVER


class Cutter:
    """Keeps one camera's reel and cuts it. For one thread; reads no clock: `mono_s` is given.

    An event is first something unusual that is followed (`follow`), whose beginning is kept from
    then on; it may become an event (`begin`) seconds later, and ends (`end`) some time.
    """

    def __init__(self, settings: ClipSettings) -> None:
        """Nothing is going on."""
        self.reel = Reel(settings.buffer_bytes)
        self._settings = settings
        self._since_s: float | None = None
        self._takes: dict[str, _Take] = {}

    def follow(self, since_utc_s: float | None) -> None:
        """Something unusual goes on since then; None: nothing does."""
        self._since_s = since_utc_s

    def begin(self, event_id: str, start_utc_s: float) -> None:
        """An event that began then is to have a clip."""
        from_s = start_utc_s - self._settings.pre_roll_s
        self._takes[event_id] = _Take(from_s, from_s + self._settings.longest_s)

    def end(self, event_id: str, end_utc_s: float, mono_s: float, *, lost: bool = False) -> None:
        """The event ended then; without effect where its clip has been cut.

        `lost`: with its camera, so that no post-roll is waited for.
        """
        take = self._takes.get(event_id)
        if take is not None:
            post_s = self._settings.post_roll_s
            take.to_s = min(take.to_s, end_utc_s + post_s)
            take.due_s = mono_s if lost else mono_s + post_s + PATIENCE_S

    def forget(self, event_id: str) -> None:
        """The event is to have no clip after all."""
        self._takes.pop(event_id, None)

    def add(self, still: Still) -> None:
        """Take the newest picture."""
        settings = self._settings
        recent_s = keep_s = still.utc_s - settings.pre_roll_s - LAG_S
        for take in self._takes.values():
            keep_s = min(keep_s, take.from_s)
        if self._since_s is not None:
            from_s = self._since_s - settings.pre_roll_s
            if not self._takes and from_s + settings.longest_s < recent_s:
                # What goes on for so long may be told of yet, but its clip would end there.
                self.reel.drop_between(from_s + settings.longest_s, recent_s)
            keep_s = min(keep_s, from_s)
        self.reel.add(still, keep_s)

    def due(self, seen_utc_s: float | None, mono_s: float, *, all_: bool = False) -> Sequence[Cut]:
        """The clips that can be cut now, each once; `all_`: all that were begun, as they are.

        `seen_utc_s`: up to when frames have come, be their pictures kept or not.
        """
        ready = [
            event_id
            for event_id, take in self._takes.items()
            if all_ or mono_s >= take.due_s or (seen_utc_s is not None and seen_utc_s >= take.to_s)
        ]
        cuts = []
        for event_id in ready:
            take = self._takes.pop(event_id)
            cuts.append(Cut(event_id, self.reel.cut(take.from_s, take.to_s)))
        return cuts
