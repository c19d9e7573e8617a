"""Normal footage as it is kept while learning: blocks of tokens, within a bounded memory."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import appearance
from detectors.arrayfile import Arrays
from detectors.calibration import BLOCK_S
from detectors.observer import Observation
from detectors.tokens import FEATURES

MAX_TOKENS = 1_000_000
MAX_BLOCKS = 40_000
_HALF_MAX = 60_000.0
"""float16 ends at 65,504. Frames that came within microseconds look faster than that, and one
infinite number would spoil all that was learned."""
_SEED = 7
_LOOK_S = 0.4
"""The scene changes slower than things move: its cells are kept now and then."""
_CELLS_PER_TOKEN = 88
_AGREEMENT = 0.9  # of that time: the stream's times jitter


@dataclass(frozen=True, slots=True)
class Block:
    """About 3 s of unbroken footage: n frames, m tokens, k encoder vectors.

    `ordinal`: number of the block since learning began. `run`: changes when footage is broken.
    `t_s`, `passed_s`: (n,) of each frame; `at_s` (n,) its seconds into all the footage learned
    from. `counts`: (n,) tokens in it; `rows`, `cols` (m,) and
    `features` (m, 9) float16 of them. `looks`: (n,) whether the frame's cells are kept; `cells`
    (l, rows, cols) uint8 of those that are. `vector_counts`: (n,) encoder vectors, `vector_rows`,
    `vector_cols` (k,) and `vectors` (k, E) float16 of them.
    """

    ordinal: int
    run: int
    t_s: NDArray[np.float64]
    passed_s: NDArray[np.float32]
    at_s: NDArray[np.float64]
    counts: NDArray[np.int32]
    rows: NDArray[np.int16]
    cols: NDArray[np.int16]
    features: NDArray[np.float16]
    looks: NDArray[np.bool_]
    cells: NDArray[np.uint8]
    vector_counts: NDArray[np.int32]
    vector_rows: NDArray[np.int16]
    vector_cols: NDArray[np.int16]
    vectors: NDArray[np.float16]

    @property
    def weight(self) -> int:
        """What it costs to keep, in tokens."""
        vector_cost = self.vectors.shape[1] // 8 + 1
        cells_cost = self.cells.size // _CELLS_PER_TOKEN
        return 1 + len(self.rows) + cells_cost + len(self.vector_rows) * int(vector_cost)


class Footage:
    """Blocks of normal footage; when there is too much, a fair sample of the blocks.

    Which blocks stay depends on their ordinal alone, so learning twice from the same footage gives
    the same. Memory: at most `max_tokens` tokens of 22 bytes and a part again for the encoder's.
    """

    def __init__(self, vector_dim: int = 0, max_tokens: int = MAX_TOKENS) -> None:
        """`vector_dim`: E of the encoder, 0 without one."""
        self.vector_dim = vector_dim
        self._max_tokens = max_tokens
        self._heap: list[tuple[float, int, Block]] = []  # smallest priority first: next to go
        self._weight = 0
        self._open: list[Observation] = []
        self._run = 0
        self._generation: int | None = None
        self._t_s = 0.0
        self.ordinal = 0
        self.footage_s = 0.0
        self.grid: tuple[int, int] | None = None

    def add(self, observation: Observation) -> None:
        """Take one frame; frames of a camera come in order."""
        if self.grid is not None and observation.tokens.grid != self.grid:
            self.__init__(self.vector_dim, self._max_tokens)  # type: ignore[misc]
        self.grid = observation.tokens.grid
        if self._broken(observation):
            self.close()
            self._run += 1
        elif self._open and observation.t_s - self._open[0].t_s >= BLOCK_S:
            self.close()
        self._generation, self._t_s = observation.generation, observation.t_s
        self.footage_s += observation.passed_s
        self._open.append(observation)

    def _broken(self, observation: Observation) -> bool:
        """Whether this frame does not follow on the one before it."""
        return self._generation is not None and (
            observation.generation != self._generation or observation.t_s <= self._t_s
        )

    def close(self) -> None:
        """End the block that is open."""
        if not self._open:
            return
        passed_s = np.array([frame.passed_s for frame in self._open], np.float64)
        at_s = self.footage_s - passed_s.sum() + np.cumsum(passed_s)
        block = _block(self._open, at_s, self.ordinal, self._run, self.vector_dim)
        self._open = []
        self.ordinal += 1
        self._keep(block)

    def blocks(self) -> list[Block]:
        """The blocks kept, in order of time; ends the one that is open."""
        self.close()
        return sorted((block for _, _, block in self._heap), key=lambda block: block.ordinal)

    def _keep(self, block: Block) -> None:
        priority = float(np.random.default_rng([_SEED, block.ordinal]).random())
        heapq.heappush(self._heap, (priority, block.ordinal, block))
        self._weight += block.weight
        while self._weight > self._max_tokens or len(self._heap) > MAX_BLOCKS:
            self._weight -= heapq.heappop(self._heap)[2].weight

    def to_arrays(self) -> tuple[dict[str, Any], Arrays]:
        """Everything kept, as plain numbers."""
        blocks = self.blocks()
        header = {
            "vector_dim": self.vector_dim,
            "run": self._run,
            "ordinal": self.ordinal,
            "footage_s": self.footage_s,
            "grid": list(self.grid) if self.grid else None,
        }
        return header, pack(blocks, self.vector_dim, self.grid or (1, 1))

    @classmethod
    def from_arrays(cls, header: dict[str, Any], arrays: Arrays) -> "Footage":
        """What `to_arrays` gave; KeyError, TypeError or ValueError when it does not fit."""
        footage = cls(int(header["vector_dim"]))
        footage._run = int(header["run"]) + 1  # what comes next does not follow on this
        footage.footage_s = float(header["footage_s"])
        if header["grid"] is not None:
            rows, cols = header["grid"]
            footage.grid = (int(rows), int(cols))
        grid = footage.grid or (1, 1)
        for names, bounds in (
            (("rows", "cols"), grid),
            (("vector_rows", "vector_cols"), appearance.encoder_shape(grid)),
        ):
            for name, bound in zip(names, bounds, strict=True):
                places = arrays[name]
                if len(places) and not 0 <= places.min() <= places.max() < bound:
                    raise ValueError(f"{name} lie outside its pictures")
        for block in unpack(arrays, footage.vector_dim, grid):
            footage._keep(block)
        footage.ordinal = int(header["ordinal"])
        return footage


def _block(
    frames: list[Observation],
    at_s: NDArray[np.float64],
    ordinal: int,
    run: int,
    vector_dim: int,
) -> Block:
    tokens = [frame.tokens for frame in frames]
    features = np.minimum(np.concatenate([t.features for t in tokens]), _HALF_MAX)
    looks = _looks(frames)
    vector_counts = np.zeros(len(frames), np.int32)
    rows, cols, vectors = [], [], []
    for i, frame in enumerate(frames):
        if frame.encoded is not None and vector_dim:
            r, c = appearance.cells_of(frame.tokens, frame.encoded.shape)
            vector_counts[i] = len(r)
            rows.append(r)
            cols.append(c)
            vectors.append(frame.encoded[:, r, c].T)
    return Block(
        ordinal=ordinal,
        run=run,
        t_s=np.array([frame.t_s for frame in frames]),
        passed_s=np.array([frame.passed_s for frame in frames], np.float32),
        at_s=at_s,
        counts=np.array([len(t) for t in tokens], np.int32),
        rows=np.concatenate([t.rows for t in tokens]),
        cols=np.concatenate([t.cols for t in tokens]),
        features=features.astype(np.float16),
        looks=looks,
        cells=np.stack([frame.cells for frame, look in zip(frames, looks, strict=True) if look]),
        vector_counts=vector_counts,
        vector_rows=_concatenated(rows, np.int16),
        vector_cols=_concatenated(cols, np.int16),
        vectors=(
            np.clip(np.concatenate(vectors), -_HALF_MAX, _HALF_MAX).astype(np.float16)
            if vectors
            else np.zeros((0, vector_dim), np.float16)
        ),
    )


def _looks(frames: list[Observation]) -> NDArray[np.bool_]:
    """Which frames' cells to keep: far enough from the last that is kept, and of the scene, not of
    a flash or a blow to the camera, which watching does not look at either."""
    looks, last_s = np.zeros(len(frames), np.bool_), -np.inf
    for i, frame in enumerate(frames):
        if not frame.whole and frame.t_s - last_s >= _AGREEMENT * _LOOK_S:
            looks[i], last_s = True, frame.t_s
    if not looks.any():
        looks[0] = True
    return looks


def _concatenated(parts: list[NDArray[np.intp]], dtype: type) -> NDArray[Any]:
    return np.concatenate(parts).astype(dtype) if parts else np.zeros(0, dtype)


_FRAME = ("t_s", "passed_s", "at_s", "counts", "looks", "vector_counts")
_TOKEN = ("rows", "cols", "features")
_VECTOR = ("vector_rows", "vector_cols", "vectors")
_ARRAYS = (*_FRAME, *_TOKEN, "cells", *_VECTOR)


def pack(blocks: list[Block], vector_dim: int, grid: tuple[int, int]) -> Arrays:
    """Blocks one behind the other, and how long each is."""
    empty = _block_of_nothing(vector_dim, grid)
    arrays: Arrays = {
        name: np.concatenate([getattr(block, name) for block in [empty, *blocks]])
        for name in _ARRAYS
    }
    arrays["ordinals"] = np.array([block.ordinal for block in blocks], np.int64)
    arrays["runs"] = np.array([block.run for block in blocks], np.int64)
    arrays["frames"] = np.array([len(block.t_s) for block in blocks], np.int64)
    return arrays


def unpack(arrays: Arrays, vector_dim: int, grid: tuple[int, int]) -> Iterator[Block]:
    """The blocks that `pack` was given; KeyError or ValueError when the lengths do not fit."""
    ordinals, runs, frames = arrays["ordinals"], arrays["runs"], arrays["frames"]
    empty = _block_of_nothing(vector_dim, grid)
    for name in _ARRAYS:
        like, array = getattr(empty, name), arrays[name]
        if array.dtype != like.dtype or array.shape[1:] != like.shape[1:]:
            raise ValueError(f"{name} is {array.dtype} {array.shape}")
    counts, vector_counts = arrays["counts"], arrays["vector_counts"]
    n, m, k = len(arrays["t_s"]), len(arrays["rows"]), len(arrays["vector_rows"])
    fits = (
        len(ordinals) == len(runs) == len(frames)
        and all(a.dtype == np.int64 and a.ndim == 1 for a in (ordinals, runs, frames))
        and int(frames.sum()) == n == len(counts) == len(vector_counts) == len(arrays["passed_s"])
        and int(counts.sum(dtype=np.int64)) == m == len(arrays["cols"]) == len(arrays["features"])
        and int(vector_counts.sum(dtype=np.int64)) == k == len(arrays["vector_cols"])
        and k == len(arrays["vectors"])
        and len(arrays["looks"]) == len(arrays["at_s"]) == n
        and int(arrays["looks"].sum()) == len(arrays["cells"])
        and all(not len(a) or a.min() >= 0 for a in (frames, counts, vector_counts))
    )
    if not fits:
        raise ValueError("its parts do not belong together")
    f = t = c = v = 0
    for ordinal, run, length in zip(ordinals, runs, frames, strict=True):
        f1 = f + int(length)
        t1, v1 = t + int(counts[f:f1].sum()), v + int(vector_counts[f:f1].sum())
        parts = {name: arrays[name][f:f1] for name in _FRAME}
        c1 = c + int(arrays["looks"][f:f1].sum())
        parts |= {name: arrays[name][t:t1] for name in _TOKEN}
        parts["cells"] = arrays["cells"][c:c1]
        parts |= {name: arrays[name][v:v1] for name in _VECTOR}
        yield Block(ordinal=int(ordinal), run=int(run), **parts)
        f, t, c, v = f1, t1, c1, v1


def _block_of_nothing(vector_dim: int, grid: tuple[int, int]) -> Block:
    whole, half = np.zeros(0, np.int32), np.zeros(0, np.int16)
    return Block(
        ordinal=0,
        run=0,
        t_s=np.zeros(0),
        passed_s=np.zeros(0, np.float32),
        at_s=np.zeros(0),
        counts=whole,
        rows=half,
        cols=half,
        features=np.zeros((0, FEATURES), np.float16),
        looks=np.zeros(0, np.bool_),
        cells=np.zeros((0, *grid), np.uint8),
        vector_counts=whole,
        vector_rows=half,
        vector_cols=half,
        vectors=np.zeros((0, vector_dim), np.float16),
    )
