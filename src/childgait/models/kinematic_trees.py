"""Boosted trees on numbers of the walk: one small forest an item, which both limbs of every child teach.

For a limb's item the forest reads that limb's numbers, the other limb's, and their difference, so that left and right
share what is learnt. scikit-learn's gradient boosting grows the trees; they are kept as plain arrays and read with numpy.
Both classes weigh the same. A number that is missing takes the training children's median. Where an item's training
children have one class only, it is answered as the majority row answers it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import CODES
from childgait.models.majority import prior_logit

Floats = NDArray[np.float64]


class KinematicTrees:
    features = "kinematics"

    def __init__(self, count: int, depth: int, learning_rate: float, sample: float, numbers: float) -> None:
        self.count, self.depth, self.learning_rate = count, depth, learning_rate
        self.sample, self.numbers = sample, numbers

    def fit(self, features: Floats, atypical: NDArray[np.float32], seed: int) -> dict[str, NDArray]:
        rows = limb_rows(features)
        known = ~np.isnan(rows).all(axis=0)
        middle = np.zeros(rows.shape[1])
        middle[known] = np.nanmedian(rows[:, known], axis=0)
        filled = np.where(np.isnan(rows), middle, rows).astype(np.float32)
        nodes = 2 ** (self.depth + 1) - 1
        shape = (len(CODES), self.count, nodes)
        state: dict[str, NDArray] = {
            "middle": middle,
            "prior": prior_logit(atypical),
            "grown": np.zeros(len(CODES), np.int64),
            "left": np.full(shape, -1),
            "right": np.full(shape, -1),
            "feature": np.zeros(shape, np.int64),
            "threshold": np.zeros(shape),
            "value": np.zeros(shape),
            "importance": np.zeros((len(CODES), rows.shape[1])),
        }
        truth = atypical.reshape(len(atypical), 2, len(CODES)).transpose(1, 0, 2).reshape(-1, len(CODES))
        for item in range(len(CODES)):
            seen = ~np.isnan(truth[:, item])
            if len(np.unique(truth[seen, item])) == 2:
                self._grow(state, item, filled[seen], truth[seen, item], seed)
        return state

    def _grow(self, state: dict[str, NDArray], item: int, rows: Any, truth: Any, seed: int) -> None:
        from sklearn.ensemble import GradientBoostingClassifier
        from sklearn.utils.class_weight import compute_sample_weight

        forest = GradientBoostingClassifier(
            n_estimators=self.count,
            max_depth=self.depth,
            learning_rate=self.learning_rate,
            subsample=self.sample,
            max_features=self.numbers,
            init="zero",
            random_state=seed * len(CODES) + item,
        )
        forest.fit(rows, truth, sample_weight=compute_sample_weight("balanced", truth))
        state["grown"][item] = 1
        state["importance"][item] = forest.feature_importances_
        for number, (tree,) in enumerate(forest.estimators_):
            grown = tree.tree_
            place = (item, number, slice(grown.node_count))
            state["left"][place], state["right"][place] = grown.children_left, grown.children_right
            state["feature"][place], state["threshold"][place] = grown.feature, grown.threshold
            state["value"][place] = self.learning_rate * grown.value[:, 0, 0]

    def predict(self, state: dict[str, NDArray], features: Floats) -> Floats:
        rows = limb_rows(features)
        filled = np.where(np.isnan(rows), state["middle"], rows).astype(np.float32)
        logits = np.stack([_read(state, item, filled) for item in range(len(CODES))], axis=1)
        of_children = logits.reshape(2, len(features), len(CODES)).transpose(1, 0, 2).reshape(len(features), -1)
        return np.where(np.tile(state["grown"] > 0, 2), of_children, state["prior"])


def limb_rows(features: Floats) -> Floats:
    """(children, 2 F) to (2 children, 3 F): first every left limb, then every right one; own, other, their difference."""
    left, right = features.reshape(len(features), 2, -1).transpose(1, 0, 2)
    return np.concatenate([np.hstack([own, other, own - other]) for own, other in ((left, right), (right, left))])


def _read(state: dict[str, NDArray], item: int, rows: NDArray[np.float32]) -> Floats:
    """(rows,) the sum of an item's trees: every row walks down every tree at once."""
    trees = np.arange(state["left"].shape[1])
    node = np.zeros((len(rows), len(trees)), np.int64)
    for _ in range(int(np.log2(state["left"].shape[2] + 1)) - 1):
        at = (item, trees, node)
        goes_left = rows[np.arange(len(rows))[:, None], state["feature"][at].clip(min=0)] <= state["threshold"][at]
        below = np.where(goes_left, state["left"][at], state["right"][at])
        node = np.where(below < 0, node, below)
    return np.asarray(state["value"][item, trees, node].sum(axis=1))


def important(state: dict[str, NDArray], names: tuple[str, ...], most: int = 5) -> dict[str, dict[str, float]]:
    """For each item the numbers that its forest leaned on most, and by which share."""
    whole = [f"{whose} {name}" for whose in ("own", "other", "own less other") for name in names]
    found = {}
    for code, shares in zip(CODES, state["importance"], strict=True):
        order = np.argsort(-shares, kind="stable")[:most]
        found[code] = {whole[n]: round(float(shares[n]), 4) for n in order if shares[n] > 0}
    return found


def from_settings(settings: Any, pixels: int) -> KinematicTrees:
    chosen = settings.trees
    return KinematicTrees(chosen.count, chosen.depth, chosen.learning_rate, chosen.sample, chosen.numbers)
