"""Stratified dealing: sizes, shares, and that it beats chance at sharing out."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from childgait.training.splits import deal, features_of_children, plan_folds


@settings(max_examples=50, deadline=None)
@given(st.integers(3, 60), st.integers(0, 8), st.integers(0, 99), st.lists(st.floats(0.1, 1), min_size=2, max_size=3))
def test_everybody_is_dealt_once_and_sizes_follow_shares(n: int, labels: int, seed: int, shares: list[float]) -> None:
    matrix = np.random.default_rng(seed).random((n, labels)) < 0.3
    part = deal(matrix, shares, seed)
    sizes = np.bincount(part, minlength=len(shares))
    assert sizes.sum() == n
    assert (sizes > 0).all()
    assert np.abs(sizes - np.array(shares) / sum(shares) * n).max() <= 2
    assert (deal(matrix, shares, seed) == part).all()


def test_rare_labels_are_shared_out_better_than_by_lot() -> None:
    random = np.random.default_rng(3)
    matrix = random.random((110, 34)) < np.linspace(0.08, 0.6, 34)

    def unevenness(part: np.ndarray) -> float:
        counts = np.stack([matrix[part == p].sum(axis=0) for p in range(5)])
        return float(counts.std(axis=0).mean())

    dealt = unevenness(deal(matrix, [1] * 5, seed=0))
    by_lot = np.mean([unevenness(random.permutation(110) % 5) for _ in range(20)])
    assert dealt < 0.7 * by_lot


def test_features_hold_items_age_thirds_and_sex_and_bear_unknowns() -> None:
    atypical = np.array([[1, np.nan], [0, 1], [0, 0]], dtype=np.float32)
    features = features_of_children(atypical, np.array([3.0, np.nan, 15.0]), ["female", "unknown", "male"])
    assert features.tolist() == [
        [True, False, True, False, False, True, False],
        [False, True, False, False, False, False, False],
        [False, False, False, False, True, False, True],
    ]


def test_whom_a_list_gives_to_learning_is_never_dealt_to_the_test() -> None:
    subjects = [f"{number:04d}" for number in range(1, 21)]
    features = np.random.default_rng(0).random((20, 5)) < 0.4
    listed = {"0003": "validation", "0006": "validation", **dict.fromkeys(subjects[10:], "train")}
    for seed in range(10):
        plan = plan_folds(subjects, features, listed, folds=2, holdout=0.25, validation=0.2, seed=seed)["holdout"]
        assert {name: plan[name] for name in listed} == listed
        assert list(plan.values()).count("test") == 5
