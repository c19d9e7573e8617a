"""Figures of an evaluation, against scikit-learn and against what can be counted by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from streamer.evaluation import metrics


def drawn(seed: int, n: int = 300, levels: int = 12) -> tuple[metrics.Scores, metrics.Mask]:
    """Scores with many ties, higher where anomalous, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.random(n) < rng.uniform(0.1, 0.9)
    truth[:2] = (True, False)
    scores = np.round(levels * np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1)) / levels
    return scores, truth


@pytest.mark.parametrize("seed", range(8))
def test_as_scikit_learn_has_it(seed: int) -> None:
    """AUC, average precision and ROC curve are what scikit-learn computes, ties included."""
    scores, truth = drawn(seed)
    assert metrics.auc(scores, truth) == pytest.approx(sklearn.roc_auc_score(truth, scores))
    assert metrics.average_precision(scores, truth) == pytest.approx(
        sklearn.average_precision_score(truth, scores)
    )
    fpr, tpr, _ = sklearn.roc_curve(truth, scores, drop_intermediate=False)
    own = metrics.roc(scores, truth)
    assert own[0] == pytest.approx(fpr)
    assert own[1] == pytest.approx(tpr)
    eer = metrics.equal_error_rate(scores, truth)
    assert eer is not None
    assert np.interp(eer, fpr, tpr) == pytest.approx(1 - eer, abs=1e-6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_auc_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    """AUC is what counting all pairs gives, ties half; None where there are none."""
    high = [score for score, anomalous in pairs if anomalous]
    low = [score for score, anomalous in pairs if not anomalous]
    won = [(a > b) + 0.5 * (a == b) for a in high for b in low]
    scores = np.array([score for score, _ in pairs], np.float64)
    found = metrics.auc(scores, np.array([anomalous for _, anomalous in pairs]))
    assert found == (pytest.approx(np.mean(won)) if won else None)


def test_by_hand() -> None:
    """Perfect, reversed and constant scores give what they must."""
    truth = np.array([False, False, True, True])
    perfect = np.array([0.0, 1.0, 2.0, 3.0])
    assert metrics.auc(perfect, truth) == 1.0
    assert metrics.auc(-perfect, truth) == 0.0
    assert metrics.auc(np.zeros(4), truth) == 0.5
    assert metrics.equal_error_rate(perfect, truth) == 0.0
    assert metrics.equal_error_rate(-perfect, truth) == 1.0
    assert metrics.equal_error_rate(np.zeros(4), truth) == 0.5
    assert metrics.average_precision(perfect, truth) == 1.0
    assert metrics.average_precision(np.zeros(4), truth) == 0.5


@pytest.mark.parametrize("anomalous", [True, False])
def test_one_class_alone_has_no_curve(anomalous: bool) -> None:
    """Where nothing, or everything, is anomalous there is no AUC, and that is no error."""
    scores, truth = np.array([1.0, 2.0]), np.full(2, anomalous)
    assert metrics.auc(scores, truth) is None
    assert metrics.equal_error_rate(scores, truth) is None
    assert metrics.macro_auc([scores], [truth]) == (None, 0)
    assert metrics.bootstrap_auc([scores, scores], [truth, truth]) is None
    assert metrics.average_precision(scores, truth) == (1.0 if anomalous else None)


def test_macro_leaves_out_entries_of_one_class() -> None:
    """The macro AUC is the mean of the entries that have both classes, and says how many."""
    both = np.array([False, True])
    macro = metrics.macro_auc(
        [np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([5.0, 6.0])],
        [both, both, np.array([True, True])],
    )
    assert macro == (0.5, 2)


def test_bootstrap_draws_entries() -> None:
    """The interval is what drawing entries anew and ranking all their frames gives; seeded."""
    drawn_entries = [drawn(seed, 60) for seed in range(6)]
    scores, truth = [s for s, _ in drawn_entries], [t for _, t in drawn_entries]
    interval = metrics.bootstrap_auc(scores, truth)
    assert interval == metrics.bootstrap_auc(scores, truth)
    assert interval is not None
    rng = np.random.default_rng(20)
    values = []
    for draw in rng.integers(0, 6, (1000, 6)):
        picked = np.concatenate([truth[i] for i in draw])
        values.append(sklearn.roc_auc_score(picked, np.concatenate([scores[i] for i in draw])))
    assert interval == pytest.approx(np.percentile(values, [2.5, 97.5]))
    assert metrics.bootstrap_auc(scores[:1], truth[:1]) is None


@pytest.mark.parametrize(
    ("count", "bound"),
    # chi2.ppf(0.95, 2 * (count + 1)) / 2, as tables of the exact Poisson limit have it
    [(0, 2.9957), (1, 4.7439), (2, 6.2958), (5, 10.5130), (10, 16.9622), (100, 118.0787)],
)
def test_upper_bound_of_a_count(count: int, bound: float) -> None:
    """The bound on a Poisson mean is the exact one."""
    assert metrics.poisson_upper(count) == pytest.approx(bound, abs=1e-3)


def test_upper_bound_of_large_counts() -> None:
    """It neither overflows nor loses its way for a million."""
    assert metrics.poisson_upper(1_000_000) == pytest.approx(1_000_000 + 1.645e3, rel=1e-4)
    with pytest.raises(ValueError, match="no bound"):
        metrics.poisson_upper(-1)
