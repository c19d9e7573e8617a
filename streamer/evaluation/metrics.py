"""How well scores rank anomalous frames above normal ones. numpy alone; higher is better.

*micro*: all frames of all entries in one ranking. *macro*: the mean over the entries that hold
both anomalous and normal frames. The two differ where entries differ in how high they score at
all; the literature reports either (Georgescu et al., TPAMI 2021, compare them).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Mask = NDArray[np.bool_]

BOOTSTRAP_RESAMPLES = 1000
_SEED = 20


class Interval(NamedTuple):
    """A confidence interval, both ends in it."""

    low: float
    high: float


def auc(scores: Scores, truth: Mask) -> float | None:
    """Area under the ROC curve: the share of pairs (anomalous, normal) in the right order.

    `scores`, `truth`: (n,). Ties count half (Hanley & McNeil 1982). None without both classes.
    """
    positives, negatives = scores[truth], scores[~truth]
    if not len(positives) or not len(negatives):
        return None
    return float(_wins(positives, np.sort(negatives)).sum() / (len(positives) * len(negatives)))


def _wins(positives: Scores, negatives: Scores) -> NDArray[np.float64]:
    """Of each positive the negatives (ascending) below it, those equal to it half."""
    below = np.searchsorted(negatives, positives, side="left")
    upto = np.searchsorted(negatives, positives, side="right")
    return np.asarray((below + upto) / 2, np.float64)


def macro_auc(scores: Sequence[Scores], truth: Sequence[Mask]) -> tuple[float | None, int]:
    """Mean AUC of the entries that hold both classes, and how many those are."""
    own = [auc(s, t) for s, t in zip(scores, truth, strict=True)]
    found = [value for value in own if value is not None]
    return (float(np.mean(found)) if found else None), len(found)


def bootstrap_auc(
    scores: Sequence[Scores],
    truth: Sequence[Mask],
    *,
    resamples: int = BOOTSTRAP_RESAMPLES,
    confidence: float = 0.95,
) -> Interval | None:
    """Percentile interval of the micro AUC when whole entries are drawn anew (Efron 1979).

    Frames of one entry are anything but independent, so entries are drawn, not frames. Seeded: the
    same scores give the same interval. Draws without both classes are left out; None when there
    are fewer than two entries, or none of the draws holds both.
    """
    n = len(scores)
    if n < 2:
        return None
    # Pairs won between the anomalous frames of each entry and the normal ones of each other:
    # every draw is then a weighted sum of these.
    won = np.zeros((n, n))
    for j in range(n):
        negatives = np.sort(scores[j][~truth[j]])
        for i in range(n):
            won[i, j] = _wins(scores[i][truth[i]], negatives).sum()
    anomalous = np.array([t.sum() for t in truth], np.float64)
    normal = np.array([(~t).sum() for t in truth], np.float64)
    rng = np.random.default_rng(_SEED)
    draws = rng.integers(0, n, (resamples, n))
    weight = np.stack([np.bincount(draw, minlength=n) for draw in draws]).astype(np.float64)
    pairs = (weight @ anomalous) * (weight @ normal)
    held = pairs > 0
    if not held.any():
        return None
    values = np.einsum("ri,ij,rj->r", weight[held], won, weight[held]) / pairs[held]
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(float(low), float(high))


def average_precision(scores: Scores, truth: Mask) -> float | None:
    """Precision averaged over recall, by steps and not by trapezoids; None without anomalous ones.

    Frames of equal score enter together, in whatever order they come.
    """
    total = int(truth.sum())
    if not total:
        return None
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)  # of equal scores
    hits = np.cumsum(truth[order])[last]
    gained = np.diff(hits, prepend=0)
    return float((gained * hits / (last + 1)).sum() / total)


def equal_error_rate(scores: Scores, truth: Mask) -> float | None:
    """Where as large a share of normal frames is flagged as of anomalous ones is missed.

    On the ROC curve, straight between its points; lower is better. None without both classes.
    """
    fpr, tpr = roc(scores, truth)
    if not len(fpr):
        return None
    gap = (1 - tpr) - fpr  # falls from 1 to -1
    k = int(np.argmax(gap <= 0))
    share = gap[k - 1] / (gap[k - 1] - gap[k])
    return float(fpr[k - 1] + share * (fpr[k] - fpr[k - 1]))


def roc(scores: Scores, truth: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False and true positive rate from the highest threshold to the lowest, from (0, 0) to (1, 1).

    Empty without both classes.
    """
    if not truth.any() or truth.all():
        return np.zeros(0), np.zeros(0)
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(truth[order])[last]
    false = last + 1 - hits
    return (
        np.concatenate([[0.0], false / false[-1]]),
        np.concatenate([[0.0], hits / hits[-1]]),
    )


def poisson_upper(count: int, confidence: float = 0.95) -> float:
    """Highest mean of a Poisson count that `count` does not rule out, one-sided and exact.

    The mean at which `count` or fewer come with probability 1 - `confidence` (Garwood 1936).
    """
    if count < 0 or not 0 < confidence < 1:
        raise ValueError(f"no bound for {count} at {confidence}")
    low, high = float(count), count + 10 * math.sqrt(count + 1) + 20
    for _ in range(200):
        middle = (low + high) / 2
        if _at_most(count, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(count: int, mean: float) -> float:
    """Probability that a Poisson count of this mean is `count` or fewer; summed by logarithms."""
    if mean <= 0:
        return 1.0
    k = np.arange(count + 1)
    # log k! as a running sum: it never overflows
    logs = k * math.log(mean) - mean - np.concatenate([[0.0], np.cumsum(np.log(k[1:]))])
    top = float(logs.max())
    return min(1.0, math.exp(top) * float(np.exp(logs - top).sum()))
