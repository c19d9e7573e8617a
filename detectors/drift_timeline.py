"""What a drift watch would have done over hours of stored scores, without stepping through them.

`DriftWatch` decides by scores and scene alone, never by the level that it gave. So what it noticed
can be found first, by counting whole arrays, and its levels, each of which takes milliseconds, only
where a score comes near enough to ask for one. A test holds both equal, bit for bit.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import BLOCK_S, Calibration
from detectors.drift import (
    FAMILIAR_AFTER_S,
    FOREIGN_AFTER_S,
    LIFT_EVERY_S,
    LULL_S,
    MINUTE_S,
    WINDOWS_S,
    Drift,
    Limits,
    Tally,
    drift_text,
    scene_text,
)
from detectors.watched import Floats, Rows, Watched

_LONGEST_PEAKS: Final = round(WINDOWS_S[-1] / BLOCK_S)


class _Origin(NamedTuple):
    """From where minutes are counted: index of the first, and the rest of a minute before it."""

    first: int = 0
    rest: tuple[float, int] | None = None  # minute, and the row in which it is reached


class _Reached:
    """Minutes in which a level is reached."""

    def __init__(self, watched: Watched, tally: Tally) -> None:
        self.tally = tally
        self._t_s = watched.t_s
        self._hits = np.flatnonzero(watched.value >= tally.level)
        self._hit_minutes = watched.t_s[self._hits] // MINUTE_S * MINUTE_S
        new = np.diff(self._hit_minutes, prepend=-1.0) > 0
        self._minutes = self._hit_minutes[new]
        self._rows = self._hits[new]
        self._minute_list: list[float] = self._minutes.tolist()
        self._row_list: list[int] = self._rows.tolist()
        self._origin = _Origin()

    def restart(self, row: int, *, after: bool) -> None:
        """Forget what was before `row`; `after`: and what is reached with it."""
        now_s = float(self._t_s[row])
        minute_s = now_s // MINUTE_S * MINUTE_S
        first = bisect_left(self._minute_list, now_s)
        rest = None
        if minute_s < now_s:
            hit = int(np.searchsorted(self._hits, row, side="right" if after else "left"))
            if hit < len(self._hits) and self._hit_minutes[hit] == minute_s:
                rest = (minute_s, int(self._hits[hit]))
        self._origin = _Origin(first, rest)

    def since(self, row: int, from_s: float) -> int:
        """How many minutes of them, from `from_s` on, were known with `row`."""
        first, rest = self._origin
        known = bisect_right(self._row_list, row)
        count = max(0, known - max(first, bisect_left(self._minute_list, from_s)))
        return count + (rest is not None and rest[1] <= row and rest[0] >= from_s)

    def reached(self, ends: Rows, t_s: Floats, many: tuple[int, ...]) -> NDArray[np.bool_]:
        """(k,) whether in any window there are as many, nothing forgotten."""
        known = np.searchsorted(self._rows, ends, side="right")
        found = np.zeros(len(ends), np.bool_)
        for window_s, count in zip(WINDOWS_S, many, strict=True):
            found |= known - np.searchsorted(self._minutes, t_s - window_s, side="left") >= count
        return found


@dataclass(frozen=True, slots=True)
class _Lift:
    """What a level is made of: event peaks `first` to `end`, from `from_s` to `t_s`."""

    first: int
    end: int
    from_s: float
    t_s: float


@dataclass(slots=True)
class DriftTimeline:
    """The levels of one camera at one number of alerts a day, and what was noticed.

    `rows` and `lifts`: from this row on it is that lift, None is the level asked for; the first is
    row 0. `drifts`: what holds from a row on. Levels are computed when they are asked for.
    """

    watched: Watched
    limits: Limits
    rows: list[int] = field(default_factory=lambda: [0])
    lifts: list[_Lift | None] = field(default_factory=lambda: [None])
    drifts: list[tuple[int, Drift | None]] = field(default_factory=list)
    _levels: dict[_Lift, float] = field(default_factory=dict)
    _reaching: Rows | None = None

    @classmethod
    def of(
        cls, watched: Watched, calibration: Calibration, alerts_per_day: float
    ) -> "DriftTimeline":
        """What the watch with these would have done."""
        timeline = cls(watched, Limits.of(calibration, alerts_per_day))
        if len(watched.value):
            _Walk(timeline).run()
        return timeline

    def segment(self, row: int) -> int:
        """Number of the stretch of one level that `row` is in."""
        return bisect_right(self.rows, row) - 1

    def level(self, segment: int) -> float:
        """The threshold that holds there."""
        lift = self.lifts[segment]
        if lift is None:
            return self.limits.asked
        if lift not in self._levels:
            recent = self.watched.peaks[lift.first : lift.end]
            self._levels[lift] = self.limits.lifted(recent, lift.from_s, lift.t_s)
        return self._levels[lift]

    def drift(self, row: int) -> Drift | None:
        """What was noticed with `row`."""
        at = bisect_right([start for start, _ in self.drifts], row) - 1
        return None if at < 0 else self.drifts[at][1]

    def reaching(self, share: float = 1.0) -> Rows:
        """Rows whose score reaches the threshold that holds with them, or this `share` of it."""
        if share != 1.0:
            return self._find_reaching(share)
        if self._reaching is None:
            self._reaching = self._find_reaching(1.0)
        return self._reaching

    def _find_reaching(self, share: float) -> Rows:
        value = self.watched.value
        rows = np.flatnonzero(value >= self.limits.asked * share)
        if len(self.rows) == 1 or not len(rows):
            return rows
        segments = np.searchsorted(self.rows, rows, side="right") - 1
        starts = np.flatnonzero(np.diff(segments, prepend=-1))
        value = value[rows]
        # A little higher, so that rounding never calls a level out of reach that is not.
        highest = (np.maximum.reduceat(value, starts) / share * (1.0 + 1e-9)).tolist()
        needed = zip(segments[starts].tolist(), highest, strict=True)
        levels = np.array([self._level_for(segment, top) for segment, top in needed]) * share
        return np.asarray(rows[value >= np.repeat(levels, np.diff(starts, append=len(rows)))])

    def _level_for(self, segment: int, highest: float) -> float:
        """The level there; infinite where it is certainly above `highest`."""
        lift = self.lifts[segment]
        if lift is not None and lift not in self._levels:
            recent = self.watched.peaks[lift.first : lift.end]
            if highest < self.limits.lifted_at_least(recent, lift.from_s, lift.t_s):
                return float("inf")
        return self.level(segment)


class _Walk:
    """From one moment at which something may change to the next."""

    def __init__(self, timeline: DriftTimeline) -> None:
        self._out = timeline
        self._seen = watched = timeline.watched
        self._limits = timeline.limits
        self._tallies = [_Reached(watched, tally) for tally in self._limits.tallies]
        self._ends: list[int] = watched.block_ends.tolist()
        self._end_s: list[float] = watched.t_s[watched.block_ends].tolist()
        ends, t_s = watched.block_ends, watched.t_s[watched.block_ends]
        floods = self._tallies[-1].reached(ends, t_s, self._limits.flooded)
        drifts = [one.reached(ends, t_s, one.tally.drifted) for one in self._tallies]
        # Block ends at which there may be too many alerts, and at which there may be drift too.
        self._floods: list[int] = np.flatnonzero(floods).tolist()
        self._busy: list[int] = np.flatnonzero(np.any([floods, *drifts], axis=0)).tolist()
        self._may_flood = floods
        self._drift: Drift | None = None
        self._began_s = self._from_s = 0.0
        self._lifted_s = -np.inf
        self._foreign = self._familiar = np.zeros(0, np.int64)
        if watched.foreign_s is not None and watched.familiar_s is not None:
            self._foreign = np.flatnonzero(watched.foreign_s >= FOREIGN_AFTER_S)
            self._familiar = np.flatnonzero(watched.familiar_s >= FAMILIAR_AFTER_S)
        self._scene: tuple[bool | None, int | None] = (None, None)  # changed then, and the row

    def run(self) -> None:
        busy, block, row = self._busy, 0, 0  # the next block end; what is before this row is done
        while True:
            if self._drift is None and self._lifted_s == -np.inf:
                # All is as learned: nothing happens before one of these.
                at = bisect_left(busy, block)
                block = busy[at] if at < len(busy) else len(self._ends)
            end = self._ends[block] if block < len(self._ends) else len(self._seen.value)
            scene = self._next_scene(row)
            if scene is not None and scene <= end:
                self._see_scene(scene)
                row = scene + 1
                # With the same row a block may end, after this.
                block = bisect_left(self._ends, scene)
                if block < len(self._ends) and self._ends[block] == scene:
                    self._end_block(block)
                    block += 1
            elif block < len(self._ends):
                self._end_block(block)
                row, block = end + 1, self._after(block)
            else:
                return

    def _after(self, block: int) -> int:
        """The next block end after `block` at which anything may happen."""
        if self._drift is None:
            return block + 1
        # While drifted nothing does, but that the level is lifted again or there is a flood; an
        # hour after slow drift began it may be over. A block too early does no harm.
        until_s = self._lifted_s + LIFT_EVERY_S - BLOCK_S
        if self._drift.kind == "drifted":
            lull_s = self._began_s + LULL_S - BLOCK_S
            if self._end_s[block] >= lull_s:
                return block + 1
            until_s = min(until_s, lull_s)
        flood = bisect_left(self._floods, block + 1)
        flood = self._floods[flood] if flood < len(self._floods) else len(self._ends)
        return max(block + 1, min(bisect_left(self._end_s, until_s), flood))

    def _next_scene(self, row: int) -> int | None:
        """The first row from `row` on with which the scene is said to be another, or no longer."""
        changed, found = self._scene
        if changed != self._changed or (found is not None and found < row):
            rows = self._familiar if self._changed else self._foreign
            at = int(np.searchsorted(rows, row))
            found = int(rows[at]) if at < len(rows) else None
            self._scene = (self._changed, found)
        return found

    @property
    def _changed(self) -> bool:
        return self._drift is not None and self._drift.kind == "scene_changed"

    def _see_scene(self, row: int) -> None:
        if self._changed:
            self._end(row, after=False)
        else:
            assert self._seen.foreign_s is not None  # noqa: S101 - it was found there
            ago_s = float(self._seen.foreign_s[row])
            t_s = float(self._seen.t_s[row])
            self._begin(row, Drift("scene_changed", scene_text()), t_s - ago_s, t_s - ago_s, False)

    def _end_block(self, block: int) -> None:
        row, t_s = self._ends[block], self._end_s[block]
        if self._drift is None:
            self._look_for_drift(row, t_s)
        elif self._drift.kind == "drifted" and self._ordinary(row, t_s):
            self._end(row, after=True)
        flooded_s = self._flooded_s(row, t_s) if self._may_flood[block] else None
        if self._drift is None and flooded_s is None:
            self._lifted_s = -np.inf
            self._put(row, None)
        elif t_s - self._lifted_s >= LIFT_EVERY_S:
            from_s = self._from_s if flooded_s is None else t_s - flooded_s
            self._lift(row, t_s, from_s, with_row=True)

    def _look_for_drift(self, row: int, t_s: float) -> None:
        for one in self._tallies:
            for window_s, many in zip(WINDOWS_S, one.tally.drifted, strict=True):
                count = one.since(row, t_s - window_s)
                if count >= many:
                    drift = Drift("drifted", drift_text(count, one.tally.per_s, window_s))
                    self._begin(row, drift, t_s, t_s - window_s, True)
                    return

    def _flooded_s(self, row: int, t_s: float) -> float | None:
        for window_s, many in zip(reversed(WINDOWS_S), reversed(self._limits.flooded), strict=True):
            if self._tallies[-1].since(row, t_s - window_s) >= many:
                return window_s
        return None

    def _ordinary(self, row: int, t_s: float) -> bool:
        return t_s - self._began_s >= LULL_S and all(
            one.since(row, t_s - LULL_S) <= one.tally.ordinary for one in self._tallies
        )

    def _begin(self, row: int, drift: Drift, began_s: float, from_s: float, with_row: bool) -> None:
        self._drift, self._began_s, self._from_s = drift, began_s, from_s
        self._out.drifts.append((row, drift))
        self._lift(row, float(self._seen.t_s[row]), from_s, with_row=with_row)

    def _end(self, row: int, *, after: bool) -> None:
        self._drift = None
        self._out.drifts.append((row, None))
        for one in self._tallies:
            one.restart(row, after=after)

    def _lift(self, row: int, t_s: float, from_s: float, *, with_row: bool) -> None:
        """`with_row`: a peak that is known with this row counts already."""
        self._lifted_s = t_s
        from_s = max(from_s, t_s - WINDOWS_S[-1], 0.0)
        end = int(np.searchsorted(self._seen.peak_rows, row, side="right" if with_row else "left"))
        first = int(np.searchsorted(self._seen.peak_s[:end], from_s, side="left"))
        first = max(first, end - _LONGEST_PEAKS)
        self._put(row, _Lift(first, end, from_s, t_s))

    def _put(self, row: int, lift: _Lift | None) -> None:
        rows, lifts = self._out.rows, self._out.lifts
        if rows[-1] == row:
            lifts[-1] = lift
        elif lifts[-1] != lift:
            rows.append(row)
            lifts.append(lift)
