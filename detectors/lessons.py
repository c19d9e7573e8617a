"""Lessons: what a camera was told is normal, each to be taken back by its id.

A lesson holds tokens of footage that was unusual and should not have been. What is at the place of
one of them and nearer to it than `REACH` of its own distance from what is normal is no longer
surprising; towards twice that it becomes as surprising as ever. So something that is much faster
than usual is learned together with what is nearly as fast, something that was almost normal alone.
The banks that were learned stay as they are: without its lessons a normality is what it was, byte
for byte.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors import appearance, checked, figure, pattern
from detectors.arrayfile import Arrays

KINDS: Final = ("motion", "figure", "encoder")
MOST_TOKENS: Final = 200
"""Of each kind in one lesson; `thin` chooses among more."""

MOST_LESSONS: Final = 50
REACH: Final = 0.8
_PLACE: Final = {
    "motion": 3.0 * pattern.PLACE_WEIGHT,
    "figure": 3.0 * figure.PLACE_WEIGHT,
    "encoder": 2.0 * appearance.PLACE_WEIGHT,
}
"""How far a lesson reaches, 24 to 32 px of the analysed picture, in the units of each bank."""

LONGEST_NOTE: Final = 500
"""Characters."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One thing that was said to be normal.

    `id`: 8 hexadecimal digits. `made_utc`: when, ISO 8601. `note`: in the operator's words, may be
    empty. `tokens`: for each of `KINDS`, (n, d + 1) float32, n <= 200: points as the banks hold
    them, then how far each reaches, > 0.
    """

    id: str
    made_utc: str
    note: str
    tokens: Mapping[str, NDArray[np.float32]]

    def __len__(self) -> int:
        """Tokens of all kinds."""
        return sum(len(points) for points in self.tokens.values())


class Lessons:
    """All lessons of one normality, in the order in which they were given. Immutable."""

    def __init__(self, lessons: Iterable[Lesson] = ()) -> None:
        """Hold `lessons`; ValueError when two share an id, or there are too many."""
        self.all = tuple(lessons)
        if len({lesson.id for lesson in self.all}) != len(self.all):
            raise ValueError("two lessons share an id")
        if len(self.all) > MOST_LESSONS:
            raise ValueError(f"more than {MOST_LESSONS} lessons")
        self._taught: dict[str, NDArray[np.float32]] = {}
        for kind in KINDS:
            points = [lesson.tokens[kind] for lesson in self.all if len(lesson.tokens[kind])]
            if points:
                self._taught[kind] = np.concatenate(points)

    def __len__(self) -> int:
        """Number of lessons."""
        return len(self.all)

    def left(self, kind: str, points: NDArray[np.float32]) -> NDArray[np.float64] | float:
        """Share (n,) of its surprise that each point (n, d) keeps: 0.0 at what was taught."""
        if kind not in self._taught or not len(points):
            return 1.0
        taught = self._taught[kind]
        apart = _squares(points[:, :-2], taught[:, :-3]) / taught[:, -1] ** 2
        away = _squares(points[:, -2:], taught[:, -3:-1]) / np.float32(_PLACE[kind] ** 2)
        nearest = np.sqrt((apart + away).min(1)).astype(np.float64)
        return np.asarray(np.clip(nearest - 1.0, 0.0, 1.0) ** 2)

    def pack(self) -> tuple[list[dict[str, Any]], Arrays]:
        """As they stand in a file: a list for the header, and arrays where there are lessons."""
        listed = [
            {
                "id": lesson.id,
                "made_utc": lesson.made_utc,
                "note": lesson.note,
                "tokens": {kind: len(lesson.tokens[kind]) for kind in KINDS},
            }
            for lesson in self.all
        ]
        if not self.all:
            return listed, {}
        return listed, {
            f"taught_{kind}": np.concatenate([lesson.tokens[kind] for lesson in self.all])
            for kind in KINDS
        }

    @classmethod
    def unpack(cls, listed: object, arrays: Arrays, dims: Mapping[str, int]) -> "Lessons":
        """What `pack` gave; `dims`: d of each kind. KeyError, TypeError or ValueError otherwise."""
        if not isinstance(listed, list):
            raise TypeError("its lessons are not a list")
        if not listed:
            return cls()
        taught = {k: checked.array(arrays, f"taught_{k}", (None, dims[k] + 1)) for k in KINDS}
        for points in taught.values():
            checked.above_0(points[:, -1])
        at, lessons = dict.fromkeys(KINDS, 0), []
        for entry in listed:
            tokens = {}
            for kind in KINDS:
                count = entry["tokens"][kind]
                if type(count) is not int or not 0 <= count <= MOST_TOKENS:
                    raise ValueError("a lesson holds an impossible number of tokens")
                tokens[kind] = taught[kind][at[kind] : at[kind] + count]
                at[kind] += count
            lessons.append(
                Lesson(_text(entry["id"]), _text(entry["made_utc"]), _text(entry["note"]), tokens)
            )
        if any(at[kind] != len(taught[kind]) for kind in KINDS):
            raise ValueError("its lessons and their tokens do not belong together")
        return cls(lessons)


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > LONGEST_NOTE:
        raise ValueError(f"{value!r:.40} is not a text of at most {LONGEST_NOTE} characters")
    return value


def _squares(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m) squared distance of each of a (n, d) from each of b (m, d).

    One dimension after the other: BLAS would be quicker, and other bits on other machines.
    """
    total = np.zeros((len(a), len(b)), np.float32)
    for j in range(a.shape[1]):
        apart = a[:, j, None] - b[None, :, j]
        total += apart * apart
    return total
