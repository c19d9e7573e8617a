"""Normality: what one camera's normal footage looks like, in one file."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import appearance, checked, figure, pattern
from detectors.arrayfile import Arrays, dump, parse, read_file, write_atomic
from detectors.bank import Bank
from detectors.calibration import Calibration
from detectors.facts import Facts
from detectors.figure import FigureNormality
from detectors.ground import Figures
from detectors.lessons import Lesson, Lessons
from detectors.scoring import Reason, explain, moving, region_of
from detectors.speed import usual_speed
from detectors.tail import Tail
from detectors.tokens import TRACKED, Tokens
from sorawatch import NormalityError

FORMAT = "sorawatch.normality"
VERSION = 4


@dataclass(frozen=True, slots=True)
class AppearanceNormality:
    """Normal encoder tokens: `spread` (E,), a bank of (n, E + 2), and the tail of distances."""

    spread: NDArray[np.float32]
    bank: Bank
    tail: Tail


@dataclass(frozen=True, slots=True)
class Surprise:
    """How surprising each of n tokens is: `total` (n,) and what makes it up, nats.

    `ratio`: (n,) speed over the usual speed. `patterns`: (n, 10), each token as it is compared.
    `nearest`: (n,) index of the nearest normal one in the bank.
    """

    total: NDArray[np.float64]
    speed: NDArray[np.float64]
    pattern: NDArray[np.float64]
    appearance: NDArray[np.float64] | None
    ratio: NDArray[np.float32]
    patterns: NDArray[np.float32]
    nearest: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Normality:
    """What is normal for one camera. Immutable; may be used by several threads at once.

    `profile`: (rows,) usual speed, px per 0.2 s. `fastest`: largest speed over the usual seen.
    `spread`: (8,) standard deviations of pattern features. `bank`: (n, 10). The tails turn speed
    ratio and distance into surprise. `figures`: what stands out from the empty scene.
    `appearance`: None when learned without an encoder. `lessons`: what it was taught since.
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
    lessons: Lessons = field(default_factory=Lessons, compare=False)
    _hash: list[str] = field(default_factory=list, repr=False, compare=False)

    @property
    def sha256(self) -> str:
        """Hash of the file that `save` writes, hexadecimal."""
        if not self._hash:
            self._hash.append(hashlib.sha256(self.to_bytes()).hexdigest())
        return self._hash[0]

    @property
    def dims(self) -> dict[str, int]:
        """Numbers that a point has, for each kind of token that can be taught."""
        known = self.appearance
        return {
            "motion": pattern.DIMENSIONS,
            "figure": figure.DIMENSIONS,
            "encoder": 2 if known is None else known.bank.tokens.shape[1],
        }

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
        left = self.lessons.left("motion", patterns)
        speed, unlike = self.speed_tail(ratio) * left, self.pattern_tail(distance) * left
        looks: NDArray[np.float64] | None = None
        if self.appearance is not None:
            if appearance_map is None:
                looks = np.zeros(len(tokens))
            else:
                looks = appearance_map[appearance.encoder_cell(tokens, appearance_map.shape)]
        return Surprise(
            total=moving(speed, unlike, looks),
            speed=speed,
            pattern=unlike,
            appearance=looks,
            ratio=ratio,
            patterns=patterns,
            nearest=nearest,
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
            looks = self.appearance.tail(self.appearance.bank.ask(placed)[0])
            out[rows, cols] = looks * self.lessons.left("encoder", placed)
        return out

    def figure_surprise(self, figures: Figures) -> figure.FigureSurprise:
        """How surprising each figure is."""
        found = figure.surprise(figures, self.figures)
        return replace(found, total=found.total * self.lessons.left("figure", found.points))

    def with_lesson(self, lesson: Lesson) -> "Normality":
        """This with one lesson more; NormalityError when there are as many as there can be."""
        try:
            return replace(self, lessons=Lessons([*self.lessons.all, lesson]), _hash=[])
        except ValueError as exc:
            raise NormalityError(
                f"cannot be taught: {exc}: take some back with sorawatch normal undo"
            ) from exc

    def undo(self, lesson_id: str) -> "Normality":
        """This without one lesson, as if it had never been given; NormalityError if there is none.

        `last` is the newest.
        """
        if lesson_id == "last" and self.lessons.all:
            lesson_id = self.lessons.all[-1].id
        left = [lesson for lesson in self.lessons.all if lesson.id != lesson_id]
        if len(left) == len(self.lessons):
            known = ", ".join(lesson.id for lesson in self.lessons.all) or "none"
            raise NormalityError(f"no lesson {lesson_id!r} was taught; there are: {known}")
        return replace(self, lessons=Lessons(left), _hash=[])

    def reason(self, tokens: Tokens, surprise: Surprise) -> Reason:
        """Why the most surprising token is surprising; there must be one."""
        top = int(np.argmax(surprise.total))
        nearest = int(surprise.nearest[top])
        parts = pattern.blame(surprise.patterns[top], self.bank.tokens[nearest])
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
        region = region_of(tokens, surprise.total, top)
        return Reason(parts, region, text, self.bank.moment_of(nearest))

    def figure_reason(self, figures: Figures, surprise: figure.FigureSurprise) -> Reason:
        """Why the most surprising figure is surprising; there must be one."""
        top = int(np.argmax(surprise.total))
        bank, nearest = self.figures.bank, int(surprise.nearest[top])
        parts = figure.blame(surprise.points[top], bank.tokens[nearest])
        parts = {name: share for name, share in parts.items() if share > 0}
        region = region_of(figures, surprise.total, top)
        return Reason(parts, region, explain(parts, 0.0, 0.0), bank.moment_of(nearest))

    def to_bytes(self) -> bytes:
        """The contents of the file."""
        lessons, taught = self.lessons.pack()
        header: dict[str, Any] = {
            "format": FORMAT,
            "version": VERSION,
            **self.facts.header(),
            "fastest": self.fastest,
            "calibrated_s": self.calibration.footage_s,
            "dispersion": self.calibration.dispersion,
            "lessons": lessons,
        }
        arrays: Arrays = {
            "profile": self.profile,
            "spread": self.spread,
            **_packed("bank", self.bank),
            "peaks": self.calibration.peaks,
            "speed_tail": checked.pack_tail(self.speed_tail),
            "pattern_tail": checked.pack_tail(self.pattern_tail),
            "scene": self.figures.scene,
            "figure_spread": self.figures.spread,
            **_packed("figure_bank", self.figures.bank),
            "figure_tail": checked.pack_tail(self.figures.tail),
        }
        if self.appearance is not None:
            arrays["appearance_spread"] = self.appearance.spread
            arrays |= _packed("appearance_bank", self.appearance.bank)
            arrays["appearance_tail"] = checked.pack_tail(self.appearance.tail)
        return dump(header, arrays | taught)

    def save(self, path: str | Path) -> None:
        """Write it to `path`, whole or not at all; ResourceError when that cannot be done."""
        write_atomic(Path(path), self.to_bytes())


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
            "learn it anew with sorawatch fit, or remove it and sorawatch run learns it live"
        )
    try:
        normality = _build(header, arrays)
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise NormalityError(f"{path}: broken ({exc}): learn it anew with sorawatch fit") from exc
    normality._hash.append(hashlib.sha256(data).hexdigest())
    return normality


def _build(header: Mapping[str, Any], arrays: Arrays) -> Normality:
    """A normality from checked parts; KeyError, TypeError or ValueError when they do not fit."""
    facts = Facts.of(header)
    seen: AppearanceNormality | None = None
    if facts.encoder is not None:
        spread = checked.array(arrays, "appearance_spread", (None,))
        seen = AppearanceNormality(
            checked.above_0(spread),
            _bank(arrays, "appearance_bank", len(spread) + 2),
            checked.unpack_tail(arrays, "appearance_tail"),
        )
    normality = Normality(
        facts=facts,
        profile=checked.above_0(checked.array(arrays, "profile", facts.grid[:1])),
        fastest=checked.positive(header["fastest"]),
        spread=checked.above_0(checked.array(arrays, "spread", (pattern.PATTERN,))),
        bank=_bank(arrays, "bank", pattern.DIMENSIONS),
        speed_tail=checked.unpack_tail(arrays, "speed_tail"),
        pattern_tail=checked.unpack_tail(arrays, "pattern_tail"),
        figures=FigureNormality(
            scene=checked.array(arrays, "scene", facts.grid, np.uint8),
            spread=checked.above_0(checked.array(arrays, "figure_spread", (len(figure.SHAPE),))),
            bank=_bank(arrays, "figure_bank", figure.DIMENSIONS),
            tail=checked.unpack_tail(arrays, "figure_tail"),
        ),
        appearance=seen,
        calibration=Calibration(
            checked.array(arrays, "peaks", (None,), np.float64),
            checked.positive(header["calibrated_s"]),
            checked.positive(header["dispersion"]),
        ),
    )
    return replace(
        normality, lessons=Lessons.unpack(header["lessons"], arrays, normality.dims), _hash=[]
    )


def _packed(name: str, bank: Bank) -> Arrays:
    """A bank as it stands in a file: its tokens, and when each was seen (-1: not known)."""
    moments_s = bank.moments_s
    if moments_s is None:
        moments_s = np.full(len(bank), -1.0, np.float32)
    return {name: bank.tokens, f"{name}_moments": moments_s}


def _bank(arrays: Arrays, name: str, dim: int) -> Bank:
    """What `_packed` gave; KeyError or ValueError when it is none."""
    tokens = checked.array(arrays, name, (None, dim))
    moments_s = checked.array(arrays, f"{name}_moments", (len(tokens),))
    return Bank(tokens, moments_s if (moments_s >= 0).all() else None)
