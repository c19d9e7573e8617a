"""Where a normality comes from, and what it can be used with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from detectors import checked
from sorawatch import NormalityError

_MAX_GRID = 4096
MOST_SOURCES = 1000
"""So many are remembered by name; an hour in segments of a minute has 60."""

_LONGEST_NAME = 500
_GRACE_S = 0.01  # moments are kept with less precision than where sources begin


class Stretch(NamedTuple):
    """Where the footage of one source begins: its name, seconds into all that was learned from."""

    source: str
    begins_s: float


@dataclass(frozen=True, slots=True)
class Facts:
    """Where a normality comes from.

    `footage_s`: seconds of normal footage. `made_utc`: when, ISO 8601. `grid`: rows and columns of
    4 px cells of the pictures. `encoder`: sha256 of the encoder file, None without one. `camera`:
    the name it was learned under, may be empty. `sources`: what it was learned from, in order; none
    where it learned live.
    """

    footage_s: float
    made_utc: str
    grid: tuple[int, int]
    encoder: str | None = None
    camera: str = ""
    sources: tuple[Stretch, ...] = ()

    def header(self) -> dict[str, Any]:
        """As they stand in the header of a file."""
        return {
            "footage_s": self.footage_s,
            "made_utc": self.made_utc,
            "grid": list(self.grid),
            "encoder": self.encoder,
            "camera": self.camera,
            "sources": [[one.source[:_LONGEST_NAME], one.begins_s] for one in self.sources],
        }

    @classmethod
    def of(cls, header: Mapping[str, Any]) -> "Facts":
        """What `header` gave; KeyError, TypeError or ValueError otherwise."""
        rows, cols = header["grid"]
        if not all(type(side) is int and 0 < side < _MAX_GRID for side in (rows, cols)):
            raise ValueError("its grid is impossible")
        encoder = header["encoder"]
        if encoder is not None and not (isinstance(encoder, str) and encoder.isalnum()):
            raise ValueError("its encoder is not a hash")
        return cls(
            footage_s=checked.positive(header["footage_s"]),
            made_utc=str(header["made_utc"]),
            grid=(rows, cols),
            encoder=encoder,
            camera=str(header["camera"]),
            sources=tuple(_stretch(one) for one in header["sources"][:MOST_SOURCES]),
        )

    def moment(self, at_s: float) -> str:
        """A moment of the footage, for people: `1:12 of gate-3.mp4`, or how long it had learned."""
        inside = [one for one in self.sources if one.begins_s <= at_s + _GRACE_S]
        if not inside:
            return f"{clock_time(at_s)} after learning began"
        return f"{clock_time(at_s - inside[-1].begins_s)} of {inside[-1].source}"

    def check_encoder(self, sha256: str | None, path: str | Path = "normality") -> None:
        """NormalityError when it needs another encoder than that of this hash (None: no encoder).

        What was learned without an encoder needs none.
        """
        if self.encoder is None or self.encoder == sha256:
            return
        now = f"encoder {sha256[:12]} is in use" if sha256 else "no encoder is in use"
        raise NormalityError(
            f"{path}: learned with encoder {self.encoder[:12]}, but {now}: learn it anew with "
            "sorawatch fit, or set detect.encoder to the one it was learned with"
        )

    def check_grid(self, grid: tuple[int, int], path: str | Path = "normality") -> None:
        """NormalityError when pictures of this grid are not like those that it was learned from."""
        if grid == self.grid:
            return
        raise NormalityError(
            f"{path}: learned from pictures of {self.grid[1]}x{self.grid[0]} cells, now they have "
            f"{grid[1]}x{grid[0]}: the camera's picture size has changed: learn it anew with "
            "sorawatch fit, or set the camera back"
        )


def clock_time(seconds: float) -> str:
    """`4:05`, `1:02:03`: a moment in footage, for people."""
    whole = int(max(seconds, 0.0))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def _stretch(given: Any) -> Stretch:
    source, begins_s = given
    if not isinstance(source, str) or len(source) > _LONGEST_NAME:
        raise ValueError("a source has no name")
    return Stretch(source, 0.0 if begins_s == 0 else checked.positive(begins_s))
