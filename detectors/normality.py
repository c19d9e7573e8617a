"""Normality: what one camera's normal footage looks like, in one file."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import appearance, figure, pattern
from detectors.arrayfile import Arrays, dump, parse, read_file, write_atomic
from detectors.bank import Bank
from detectors.calibration import Calibration
from detectors.figure import FigureNormality
from detectors.ground import Figures
from detectors.scoring import Reason, explain, fuse, region_of
from detectors.speed import usual_speed
from detectors.tail import KNOTS, Tail
from detectors.tokens import TRACKED, Tokens
from sorawatch import NormalityError

FORMAT = "sorawatch.normality"
VERSION = 2
_MAX_GRID = 4096
_MOST_SURPRISE = 30.0  # nats, of the part of a tail that was counted: 1e13 numbers
_SMALLEST, _LARGEST = 1e-9, 1e12
"""Scales and numbers beyond these are in no file of ours; with them scores would overflow."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Where a normality comes from.

    `footage_s`: seconds of normal footage. `made_utc`: when, ISO 8601. `grid`: rows and columns of
    4 px cells of the pictures. `encoder`: sha256 of the encoder file, None without one. `camera`:
    the name it was learned under, may be empty.
    """

    footage_s: float
    made_utc: str
    grid: tuple[int, int]
    encoder: str | None = None
    camera: str = ""


@dataclass(frozen=True, slots=True)
class AppearanceNormality:
    """Normal encoder tokens: `spread` (E,), a bank of (n, E + 2), and the tail of distances."""

    spread: NDArray[np.float32]
    bank: Bank
    tail: Tail


@dataclass(frozen=True, slots=True)
class Surprise:
    """How surprising each of n tokens is: `total` (n,) and what makes it up, nats.

    `ratio`: (n,) speed over the usual speed. `patterns`, `nearest`: (n, 10), each token and the
    nearest normal one.
    """

    total: NDArray[np.float64]
    speed: NDArray[np.float64]
    pattern: NDArray[np.float64]
    appearance: NDArray[np.float64] | None
    ratio: NDArray[np.float32]
    patterns: NDArray[np.float32]
    nearest: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Normality:
    """What is normal for one camera. Immutable; may be used by several threads at once.

    `profile`: (rows,) usual speed, px per 0.2 s. `fastest`: largest speed over the usual seen.
    `spread`: (8,) standard deviations of pattern features. `bank`: (n, 10). The tails turn speed
    ratio and distance into surprise. `figures`: what stands out from the empty scene.
    `appearance`: None when learned without an encoder.
    """

    facts: Facts
    profile: NDArray[np.float32]
    fastest: float
    spread: NDArray[np.float32]
    bank: Bank
    speed_tail: Tail
    pattern_tail: Tail
    figures: FigureNormality
    appearance: AppearanceNormality | None
    calibration: Calibration
    _hash: list[str] = field(default_factory=list, repr=False, compare=False)

    @property
    def sha256(self) -> str:
        """Hash of the file that `save` writes, hexadecimal."""
        if not self._hash:
            self._hash.append(hashlib.sha256(self.to_bytes()).hexdigest())
        return self._hash[0]

    def surprise(
        self, tokens: Tokens, appearance_map: NDArray[np.float64] | None = None
    ) -> Surprise:
        """How surprising each token is; `appearance_map` (h, w) as `appearance_of` gave it."""
        usual = usual_speed(self.profile, tokens)
        ratio = tokens.features[:, TRACKED] / usual
        patterns = pattern.place(
            tokens, pattern.describe(tokens, usual), self.spread, self.facts.grid
        )
        distance, nearest = self.bank.ask(patterns)
        speed, unlike = self.speed_tail(ratio), self.pattern_tail(distance)
        looks: NDArray[np.float64] | None = None
        parts = [speed, unlike]
        if self.appearance is not None:
            if appearance_map is None:
                looks = np.zeros(len(tokens))
            else:
                looks = appearance_map[appearance.encoder_cell(tokens, appearance_map.shape)]
            parts.append(looks)
        return Surprise(
            total=fuse(np.stack(parts)),
            speed=speed,
            pattern=unlike,
            appearance=looks,
            ratio=ratio,
            patterns=patterns,
            nearest=self.bank.tokens[nearest],
        )

    def appearance_of(
        self, tokens: Tokens, encoded: NDArray[np.float32]
    ) -> NDArray[np.float64] | None:
        """Surprise (h, w) of the encoder's tokens (E, h, w) where something moves, else 0."""
        if self.appearance is None:
            return None
        shape = encoded.shape[1:]
        out = np.zeros(shape)
        rows, cols = appearance.cells_of(tokens, shape)
        if len(rows):
            vectors = np.ascontiguousarray(encoded[:, rows, cols].T)
            placed = appearance.place(vectors, rows, cols, self.appearance.spread)
            out[rows, cols] = self.appearance.tail(self.appearance.bank.ask(placed)[0])
        return out

    def reason(self, tokens: Tokens, surprise: Surprise) -> Reason:
        """Why the most surprising token is surprising; there must be one."""
        top = int(np.argmax(surprise.total))
        parts = pattern.blame(surprise.patterns[top], surprise.nearest[top])
        parts = {name: share * float(surprise.pattern[top]) for name, share in parts.items()}
        parts["speed"] = parts.get("speed", 0.0) + float(surprise.speed[top])
        if surprise.appearance is not None:
            parts["appearance"] = float(surprise.appearance[top])
        total = sum(parts.values())
        if total > 0:
            parts = {name: value / total for name, value in parts.items() if value > 0}
        else:
            parts = {"speed": 1.0}
        text = explain(parts, float(surprise.ratio[top]), self.fastest)
        return Reason(parts, region_of(tokens, surprise.total, top), text)

    def figure_reason(self, figures: Figures, surprise: figure.FigureSurprise) -> Reason:
        """Why the most surprising figure is surprising; there must be one."""
        top = int(np.argmax(surprise.total))
        parts = figure.blame(surprise.points[top], surprise.nearest[top])
        parts = {name: share for name, share in parts.items() if share > 0}
        return Reason(parts, region_of(figures, surprise.total, top), explain(parts, 0.0, 0.0))

    def to_bytes(self) -> bytes:
        """The contents of the file."""
        header: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            "footage_s": self.facts.footage_s,
            "made_utc": self.facts.made_utc,
            "grid": list(self.facts.grid),
            "encoder": self.facts.encoder,
            "camera": self.facts.camera,
            "fastest": self.fastest,
            "calibrated_s": self.calibration.footage_s,
        }
        arrays: Arrays = {
            "profile": self.profile,
            "spread": self.spread,
            "bank": self.bank.tokens,
            "peaks": self.calibration.peaks,
            "speed_tail": _pack(self.speed_tail),
            "pattern_tail": _pack(self.pattern_tail),
            "scene": self.figures.scene,
            "figure_spread": self.figures.spread,
            "figure_bank": self.figures.bank.tokens,
            "figure_tail": _pack(self.figures.tail),
        }
        if self.appearance is not None:
            arrays["appearance_spread"] = self.appearance.spread
            arrays["appearance_bank"] = self.appearance.bank.tokens
            arrays["appearance_tail"] = _pack(self.appearance.tail)
        return dump(header, arrays)

    def save(self, path: str | Path) -> None:
        """Write it to `path`, whole or not at all; ResourceError when that cannot be done."""
        write_atomic(Path(path), self.to_bytes())

    def check_encoder(self, sha256: str | None, path: str | Path = "normality") -> None:
        """NormalityError when it needs another encoder than that of this hash (None: no encoder).

        One that was learned without an encoder needs none.
        """
        if self.facts.encoder is None or self.facts.encoder == sha256:
            return
        learned = f"with encoder {self.facts.encoder[:12]}"
        now = f"encoder {sha256[:12]} is in use" if sha256 else "no encoder is in use"
        raise NormalityError(
            f"{path}: learned {learned}, but {now}: learn it anew with sorawatch fit, or set "
            "detect.encoder to the one it was learned with"
        )


def load(path: str | Path) -> Normality:
    """Read what `Normality.save` wrote; NormalityError names the file and what is wrong with it."""
    path = Path(path)
    data = read_file(path)
    header, arrays = parse(data, path)
    if header.get("format") != FORMAT:
        raise NormalityError(f"{path}: not a normality file: make one with sorawatch fit")
    if header.get("version") != VERSION:
        raise NormalityError(
            f"{path}: normality version {header.get('version')!r}, this program reads {VERSION}: "
            "learn it anew with sorawatch fit"
        )
    try:
        normality = _build(header, arrays)
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise NormalityError(f"{path}: broken ({exc}): learn it anew with sorawatch fit") from exc
    normality._hash.append(hashlib.sha256(data).hexdigest())
    return normality


def _build(header: Mapping[str, Any], arrays: Arrays) -> Normality:
    """A normality from checked parts; KeyError, TypeError or ValueError when they do not fit."""
    rows, cols = header["grid"]
    if not (
        type(rows) is int and type(cols) is int and 0 < rows < _MAX_GRID and 0 < cols < _MAX_GRID
    ):
        raise ValueError("its grid is impossible")
    encoder = header["encoder"]
    if encoder is not None and not (isinstance(encoder, str) and encoder.isalnum()):
        raise ValueError("its encoder is not a hash")
    facts = Facts(
        footage_s=_positive(header["footage_s"]),
        made_utc=str(header["made_utc"]),
        grid=(rows, cols),
        encoder=encoder,
        camera=str(header["camera"]),
    )
    seen: AppearanceNormality | None = None
    if encoder is not None:
        spread = _array(arrays, "appearance_spread", (None,))
        bank = _array(arrays, "appearance_bank", (None, len(spread) + 2))
        seen = AppearanceNormality(_above_0(spread), Bank(bank), _unpack(arrays, "appearance_tail"))
    return Normality(
        facts=facts,
        profile=_above_0(_array(arrays, "profile", (rows,))),
        fastest=_positive(header["fastest"]),
        spread=_above_0(_array(arrays, "spread", (pattern.PATTERN,))),
        bank=Bank(_array(arrays, "bank", (None, pattern.DIMENSIONS))),
        speed_tail=_unpack(arrays, "speed_tail"),
        pattern_tail=_unpack(arrays, "pattern_tail"),
        figures=FigureNormality(
            scene=_array(arrays, "scene", (rows, cols), np.uint8),
            spread=_above_0(_array(arrays, "figure_spread", (len(figure.SHAPE),))),
            bank=Bank(_array(arrays, "figure_bank", (None, figure.DIMENSIONS))),
            tail=_unpack(arrays, "figure_tail"),
        ),
        appearance=seen,
        calibration=Calibration(
            _array(arrays, "peaks", (None,), np.float64), _positive(header["calibrated_s"])
        ),
    )


def _array(
    arrays: Arrays, name: str, shape: tuple[int | None, ...], dtype: type = np.float32
) -> NDArray[Any]:
    array = arrays[name]
    fits = len(shape) == array.ndim and all(
        want is None or want == side for want, side in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != dtype:
        raise ValueError(f"{name} is {array.dtype} {array.shape}")
    if array.dtype != np.uint8 and len(array) and np.abs(array).max() > _LARGEST:
        raise ValueError(f"{name} holds numbers beyond {_LARGEST:g}")
    return array


def _above_0(array: NDArray[np.float32]) -> NDArray[np.float32]:
    if not (array > _SMALLEST).all():
        raise ValueError("a scale is not above 0")
    return array


def _positive(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    if not _SMALLEST < value < _LARGEST:
        raise ValueError(f"{value!r} is not above 0, or not finite")
    return float(value)


def _pack(tail: Tail) -> NDArray[np.float64]:
    return np.concatenate([[tail.surprise, tail.scale], tail.knots])


def _unpack(arrays: Arrays, name: str) -> Tail:
    packed = _array(arrays, name, (KNOTS + 2,), np.float64)
    surprise, scale, knots = _positive(float(packed[0])), _positive(float(packed[1])), packed[2:]
    if surprise > _MOST_SURPRISE:
        raise ValueError(f"{name} knows more than any footage tells")
    if (np.diff(knots) < 0).any():
        raise ValueError(f"{name} is not in order")
    return Tail(knots, surprise, scale)
