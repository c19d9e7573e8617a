"""A bank of normal tokens, asked how far the nearest of them are."""

import cv2
import numpy as np
from numpy.typing import NDArray

NEIGHBOURS = 3
_CANDIDATES = 50_000  # that `thin` looks for rare tokens among; keeps an hour's footage quick


class Bank:
    """Normal tokens, n >= 1 of d numbers each, already scaled so that distances mean something.

    `tokens`: (n, d) float32. `moments_s`: (n,) float32, when each was seen, seconds into the
    footage that was learned from; None where that is not known. Immutable; may be asked by several
    threads at once. A query costs n distances: OpenCV's, which lets go of the interpreter and knows
    nothing of BLAS threads.
    """

    def __init__(
        self, tokens: NDArray[np.float32], moments_s: NDArray[np.float32] | None = None
    ) -> None:
        """Keep `tokens`; ValueError unless (n, d) float32 with n >= 1, and as many moments."""
        if tokens.ndim != 2 or tokens.dtype != np.float32 or not len(tokens):
            raise ValueError(f"a bank takes (n, d) float32, not {tokens.shape} {tokens.dtype}")
        if moments_s is not None and moments_s.shape != (len(tokens),):
            raise ValueError(f"{len(tokens)} tokens have {moments_s.shape} moments")
        self.tokens = np.ascontiguousarray(tokens)
        self.moments_s = moments_s

    def __len__(self) -> int:
        """Number of tokens kept."""
        return len(self.tokens)

    def moment_of(self, index: int) -> float | None:
        """When the token of this index was seen, seconds into the footage; None: not known."""
        return None if self.moments_s is None else float(self.moments_s[index])

    def nearest(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Distance (m,) to the nearest token."""
        distances, _ = cv2.batchDistance(
            np.ascontiguousarray(queries, np.float32),
            self.tokens,
            cv2.CV_32F,
            normType=cv2.NORM_L2,
            K=1,
        )
        return np.asarray(distances)[:, 0]

    def ask(self, queries: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Mean distance (m,) to the nearest three, and the index (m,) of the nearest one."""
        if not len(queries):
            return np.zeros(0, np.float32), np.zeros(0, np.int32)
        k = min(NEIGHBOURS, len(self.tokens))
        distances, nearest = cv2.batchDistance(
            np.ascontiguousarray(queries, np.float32),
            self.tokens,
            cv2.CV_32F,
            normType=cv2.NORM_L2,
            K=k,
        )
        return np.asarray(distances).mean(1), np.asarray(nearest)[:, 0]


def thin(tokens: NDArray[np.float32], size: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices of at most `size` tokens that stand for all of them, ascending.

    Half are drawn by chance, which follows what is common; the others are each the farthest from
    all drawn before it, so that what is rare but normal is not forgotten.
    """
    n = len(tokens)
    if n <= size:
        return np.arange(n)
    order = rng.permutation(n)
    common, others = order[: size // 2], order[size // 2 : size // 2 + _CANDIDATES]
    candidates = np.ascontiguousarray(tokens[others])
    distance = Bank(tokens[common]).nearest(candidates)
    rare = np.empty(min(size - len(common), len(others)), np.intp)
    for i in range(len(rare)):
        rare[i] = farthest = int(np.argmax(distance))
        apart = Bank(candidates[farthest : farthest + 1]).nearest(candidates)
        np.minimum(distance, apart, out=distance)
        distance[farthest] = -1.0
    return np.sort(np.concatenate([common, others[rare]]))
