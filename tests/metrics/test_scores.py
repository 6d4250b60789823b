"""Our metrics equal scikit-learn's, with and without weights; what is undefined is NaN."""

from itertools import chain

import numpy as np
import pytest
from sklearn import metrics as sk

from childgait.domain.evgs import TARGET_NAMES
from childgait.metrics.scores import bin_of, groups, measure, sigmoid, undefined_reason

HALF = {"bins": 10, "balanced": False}


def cells(seed: int, n: int = 40, t: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = (random.random((n, t)) < 0.4).astype(float)
    probability = np.round(np.clip(0.3 * truth + 0.7 * random.random((n, t)), 0, 1), 1)  # ties are likely
    return probability, truth, random.integers(0, 4, (2, n)).astype(float)


@pytest.mark.parametrize("seed", range(4))
def test_every_metric_equals_scikit_learn(seed: int) -> None:
    p, y, weights = cells(seed)
    ours = measure(p, y, weights, thresholds=np.full(3, 0.5), **HALF)
    for draw, w in enumerate(weights):
        for t in range(3):
            predicted, true, score = p[:, t] >= 0.5, y[:, t], p[:, t]
            theirs = {
                "accuracy": sk.accuracy_score(true, predicted, sample_weight=w),
                "balanced_accuracy": sk.balanced_accuracy_score(true, predicted, sample_weight=w),
                "f1": sk.f1_score(true, predicted, sample_weight=w),
                "f1_both": sk.f1_score(true, predicted, average="macro", sample_weight=w),
                "auroc": sk.roc_auc_score(true, score, sample_weight=w),
                "auprc": sk.average_precision_score(true, score, sample_weight=w),
                "sensitivity": sk.recall_score(true, predicted, sample_weight=w),
                "specificity": sk.recall_score(true, predicted, pos_label=0, sample_weight=w),
                "ppv": sk.precision_score(true, predicted, sample_weight=w),
                "npv": sk.precision_score(true, predicted, pos_label=0, sample_weight=w),
                "brier": sk.brier_score_loss(true, score, sample_weight=w),
            }
            for name, value in theirs.items():
                assert ours[name][draw, t] == pytest.approx(value), name


def test_calibration_error_by_hand() -> None:
    p, y = np.array([[0.05], [0.05], [0.95], [0.95]]), np.array([[0.0], [1.0], [1.0], [1.0]])
    value = measure(p, y, np.ones((1, 4)), thresholds=np.array([0.5]), **HALF)["ece"][0, 0]
    assert value == pytest.approx(0.5 * abs(0.5 - 0.05) + 0.5 * abs(1 - 0.95))
    assert bin_of(np.array([0.0, 0.1, 1.0]), 10).tolist() == [0, 1, 9]


def test_a_draw_is_the_same_as_repeating_children() -> None:
    p, y, _ = cells(7)
    w = np.random.default_rng(1).integers(0, 3, 40)
    drawn = measure(p, y, w[None].astype(float), thresholds=np.full(3, 0.5), **HALF)
    again = np.repeat(np.arange(40), w)
    plain = measure(p[again], y[again], np.ones((1, len(again))), thresholds=np.full(3, 0.5), **HALF)
    for name in drawn:
        np.testing.assert_allclose(drawn[name], plain[name])


def test_balanced_is_what_resampling_to_equal_classes_gives() -> None:
    p, y, _ = cells(3, n=30, t=1)
    ours = measure(p, y, np.ones((1, 30)), thresholds=np.array([0.5]), bins=10, balanced=True)
    positives, negatives = np.flatnonzero(y[:, 0] == 1), np.flatnonzero(y[:, 0] == 0)
    equal = np.concatenate([np.repeat(positives, len(negatives)), np.repeat(negatives, len(positives))])
    predicted, true = p[equal, 0] >= 0.5, y[equal, 0]
    assert ours["accuracy"][0, 0] == pytest.approx(sk.accuracy_score(true, predicted))
    assert ours["ppv"][0, 0] == pytest.approx(sk.precision_score(true, predicted))
    assert ours["f1"][0, 0] == pytest.approx(sk.f1_score(true, predicted))
    assert ours["brier"][0, 0] == pytest.approx(sk.brier_score_loss(true, p[equal, 0]))


def test_what_is_not_defined_is_nan_and_never_zero() -> None:
    p, y = np.array([[0.2], [0.3], [np.nan]]), np.array([[0.0], [0.0], [1.0]])
    values = {k: v[0, 0] for k, v in measure(p, y, np.ones((1, 3)), thresholds=np.array([0.5]), **HALF).items()}
    for name in ("balanced_accuracy", "f1", "f1_both", "auroc", "auprc", "sensitivity", "ppv"):
        assert np.isnan(values[name]), name
    assert values["accuracy"] == values["specificity"] == values["npv"] == 1
    assert undefined_reason("f1", 0, 2) == "no atypical child"
    assert undefined_reason("ppv", 1, 1) == "nobody was called atypical"


def test_groups_cover_all_targets_once_per_kind() -> None:
    result = groups()
    for kind, count in (("limb", 2), ("plane", 2), ("region", 6), ("item", 17)):
        inside = [members for name, members in result.items() if name.startswith(kind + ".")]
        assert len(inside) == count
        assert sorted(chain.from_iterable(inside)) == list(range(34))
    assert [TARGET_NAMES[t] for t in result["item.IC"]] == ["L.IC", "R.IC"]


def test_sigmoid_bears_extremes() -> None:
    assert sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist() == [0.0, 0.5, 1.0]


def test_a_constant_prediction_has_one_half_in_any_scope() -> None:
    """Each fold's majority is another constant: ranked across folds it had an AUROC of .3 to .44 (statistics D4)."""
    rng = np.random.default_rng(0)
    truth = (rng.random((110, 34)) < 0.4).astype(float)
    folds = np.arange(110) % 5
    constant = np.zeros_like(truth)
    for fold in range(5):
        constant[folds == fold] = truth[folds != fold].mean(axis=0)
    options = {"thresholds": np.full(34, 0.4), **HALF}
    within = measure(constant, truth, np.ones((1, 110)), folds=folds, **options)
    assert within["auroc"] == pytest.approx(0.5)
    assert within["balanced_accuracy"] == pytest.approx(0.5)
    pooled = measure(constant, truth, np.ones((1, 110)), **options)
    assert pooled["auroc"].mean() < 0.48


def test_within_folds_counts_pairs_of_the_same_fold() -> None:
    p, y = np.array([[0.9], [0.1], [0.2], [0.3]]), np.array([[1.0], [0.0], [1.0], [0.0]])
    value = measure(p, y, np.ones((1, 4)), thresholds=np.full(1, 0.5), folds=np.array([0, 0, 1, 1]), **HALF)
    assert value["auroc"][0, 0] == pytest.approx(0.5)  # one of two pairs
    assert value["balanced_accuracy"][0, 0] == pytest.approx((1 + 0.5) / 2)


def test_equal_classes_need_both_classes() -> None:
    """Where a class is missing the other's recall is no accuracy (statistics D5)."""
    p, y = np.array([[0.2, 0.2], [0.3, 0.3]]), np.array([[0.0, 0.0], [0.0, 1.0]])
    values = measure(p, y, np.ones((1, 2)), thresholds=np.full(2, 0.5), bins=10, balanced=True)
    for name in ("accuracy", "npv", "brier", "ece", "specificity"):
        assert np.isnan(values[name][0, 0]), name
        assert not np.isnan(values[name][0, 1]), name
    assert values["accuracy"][0, 1] == 0.5


def test_accuracy_is_of_calibrated_probabilities_where_given() -> None:
    p, y = np.full((4, 1), 0.6), np.array([[1.0], [0.0], [0.0], [0.0]])
    calibrated = np.full((4, 1), 0.25)
    values = measure(p, y, np.ones((1, 4)), thresholds=np.full(1, 0.5), calibrated=calibrated, **HALF)
    assert values["accuracy"][0, 0] == 0.75
    assert values["sensitivity"][0, 0] == 1.0
    assert values["brier"][0, 0] == pytest.approx((0.75**2 + 3 * 0.25**2) / 4)
