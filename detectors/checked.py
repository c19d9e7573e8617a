"""Numbers and arrays out of files, believed once they have been looked at."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrayfile import Arrays
from detectors.tail import KNOTS, Tail

_MOST_SURPRISE = 30.0  # nats, of the part of a tail that was counted: 1e13 numbers
_SMALLEST, _LARGEST = 1e-9, 1e12
"""Scales and numbers beyond these are in no file of ours; with them scores would overflow."""


def array(
    arrays: Arrays, name: str, shape: tuple[int | None, ...], dtype: type = np.float32
) -> NDArray[Any]:
    """The array `name` of this shape (None: any) and type; KeyError or ValueError otherwise."""
    found = arrays[name]
    fits = len(shape) == found.ndim and all(
        want is None or want == side for want, side in zip(shape, found.shape, strict=True)
    )
    if not fits or found.dtype != dtype:
        raise ValueError(f"{name} is {found.dtype} {found.shape}")
    if found.dtype != np.uint8 and found.size and not np.abs(found).max() <= _LARGEST:
        raise ValueError(f"{name} holds numbers beyond {_LARGEST:g}, or that are no numbers")
    return found


def above_0(scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scales that may be divided by; ValueError otherwise."""
    if not (scales > _SMALLEST).all():
        raise ValueError("a scale is not above 0")
    return scales


def positive(value: object) -> float:
    """A finite number above 0; TypeError or ValueError otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    if not _SMALLEST < value < _LARGEST:
        raise ValueError(f"{value!r} is not above 0, or not finite")
    return float(value)


def pack_tail(tail: Tail) -> NDArray[np.float64]:
    """A tail as one array."""
    return np.concatenate([[tail.surprise, tail.scale], tail.knots])


def unpack_tail(arrays: Arrays, name: str) -> Tail:
    """What `pack_tail` gave; KeyError or ValueError when it is none."""
    packed = array(arrays, name, (KNOTS + 2,), np.float64)
    surprise, scale, knots = positive(float(packed[0])), positive(float(packed[1])), packed[2:]
    if surprise > _MOST_SURPRISE:
        raise ValueError(f"{name} knows more than any footage tells")
    if (np.diff(knots) < 0).any():
        raise ValueError(f"{name} is not in order")
    return Tail(knots, surprise, scale)
