"""Trees kept as arrays answer as scikit-learn does; limbs share what is learnt; what mattered is named."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.utils.class_weight import compute_sample_weight

from childgait.domain.evgs import CODES
from childgait.models.kinematic_trees import KinematicTrees, largest_importances, limb_rows
from childgait.models.majority import prior_logit
from childgait.params import Trees

NAMES = ("knee", "hip", "toe", "time")
random = np.random.default_rng(0)
FEATURES = random.normal(size=(60, 2 * len(NAMES)))


def planted() -> np.ndarray:
    """KFX of a limb is atypical where that limb's knee is low; TSG where its hip is higher than the other's."""
    left, right = FEATURES.reshape(60, 2, len(NAMES)).transpose(1, 0, 2)
    atypical = np.zeros((60, 2, len(CODES)), np.float32)
    for side, own, other in ((0, left, right), (1, right, left)):
        atypical[:, side, CODES.index("KFX")] = own[:, 0] < 0
        atypical[:, side, CODES.index("TSG")] = own[:, 1] > other[:, 1]
    return atypical.reshape(60, -1)


def trees() -> KinematicTrees:
    return KinematicTrees(Trees(count=30, depth=2, learning_rate=0.2, sample=0.7, numbers=0.3))


@pytest.fixture(scope="module")
def state() -> dict[str, np.ndarray]:
    return trees().fit(FEATURES, planted(), seed=3)


def test_the_arrays_answer_as_the_library_does(state: dict[str, np.ndarray]) -> None:
    item, rows = CODES.index("KFX"), limb_rows(FEATURES).astype(np.float32)
    truth = planted().reshape(60, 2, -1)[:, :, item].T.ravel()
    library = GradientBoostingClassifier(
        n_estimators=30,
        max_depth=2,
        learning_rate=0.2,
        subsample=0.7,
        max_features=0.3,
        init="zero",
        random_state=3 * len(CODES) + item,
    ).fit(rows, truth, sample_weight=compute_sample_weight("balanced", truth))
    expected = library.decision_function(rows).reshape(2, 60).T
    result = trees().predict(state, FEATURES).reshape(60, 2, -1)[:, :, item]
    assert np.allclose(result, expected, atol=1e-9)
    assert np.ptp(result) > 1


def test_what_can_be_seen_is_learnt_and_named(state: dict[str, np.ndarray]) -> None:
    right = (trees().predict(state, FEATURES) > 0) == (planted() == 1)
    for code in ("KFX", "TSG"):
        assert right.reshape(60, 2, -1)[:, :, CODES.index(code)].mean() > 0.9
    named = largest_importances(state, NAMES)
    assert next(iter(named["KFX"])) == "own knee"
    assert next(iter(named["TSG"])) == "own less other hip"
    assert named["IC"] == {}  # nothing to learn from


def test_a_child_in_the_mirror_gets_the_mirrored_answer(state: dict[str, np.ndarray]) -> None:
    swapped = FEATURES.reshape(60, 2, -1)[:, ::-1].reshape(60, -1)
    here, there = (trees().predict(state, each).reshape(60, 2, -1) for each in (FEATURES, swapped))
    grown = state["grown"] > 0
    assert np.array_equal(here[:, :, grown], there[:, ::-1][:, :, grown])


def test_missing_numbers_and_one_class_are_no_obstacle(state: dict[str, np.ndarray]) -> None:
    holes = FEATURES.copy()
    holes[::3, 1], holes[:, 3] = np.nan, np.nan  # one of them for everybody, in the left limb
    atypical = planted()
    atypical[5, :4] = np.nan
    fitted = trees().fit(holes, atypical, seed=0)
    answers = trees().predict(fitted, np.full((2, 8), np.nan))
    assert np.isfinite(answers).all()
    assert np.allclose(answers[0, CODES.index("IC")], prior_logit(atypical)[CODES.index("IC")])
    nobody = trees().fit(np.full((4, 8), np.nan), atypical[:4], seed=0)  # no stride found in any child
    assert np.isfinite(trees().predict(nobody, holes)).all()
