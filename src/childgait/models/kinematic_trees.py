"""Boosted trees on gait features: one small forest per item, fitted to both limbs of every child.

For a limb's item the forest reads that limb's features, the other limb's, and their difference, so that left and right
share one model. scikit-learn's gradient boosting grows the trees; they are kept as plain arrays and evaluated with
numpy. Both classes are weighted equally. A missing feature takes the training children's median. Where an item's
training children have one class only, it is predicted as by the majority baseline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import CODES
from childgait.models.majority import prior_logit
from childgait.models.table import Arrays, Floats, TableModel, balancing_weights

if TYPE_CHECKING:
    from childgait.params import Finetune, Trees


class KinematicTrees(TableModel):
    """Gradient boosting per item; its weights are the nodes of all trees."""

    features = "kinematics"

    def __init__(self, settings: Trees) -> None:
        self.settings = settings

    @classmethod
    def from_settings(cls, settings: Finetune) -> KinematicTrees:
        return cls(settings.trees)

    def fit(self, features: Floats, atypical: NDArray[np.float32], seed: int) -> Arrays:
        rows = limb_rows(features)
        known = ~np.isnan(rows).all(axis=0)
        median = np.zeros(rows.shape[1])
        median[known] = np.nanmedian(rows[:, known], axis=0)
        filled = np.where(np.isnan(rows), median, rows).astype(np.float32)
        weights = {"middle": median, "prior": prior_logit(atypical)} | self._no_trees(rows.shape[1])
        labels = atypical.reshape(len(atypical), 2, len(CODES)).transpose(1, 0, 2).reshape(-1, len(CODES))
        for item in range(len(CODES)):
            scored = ~np.isnan(labels[:, item])
            if len(np.unique(labels[scored, item])) == 2:
                self._grow(weights, item, filled[scored], labels[scored, item], seed)
        return weights

    def _no_trees(self, features: int) -> Arrays:
        """Return arrays (items, trees, nodes) for the trees of all items, none grown yet."""
        shape = (len(CODES), self.settings.count, 2 ** (self.settings.depth + 1) - 1)
        return {
            "grown": np.zeros(len(CODES), np.int64),
            "left": np.full(shape, -1),
            "right": np.full(shape, -1),
            "feature": np.zeros(shape, np.int64),
            "threshold": np.zeros(shape),
            "value": np.zeros(shape),
            "importance": np.zeros((len(CODES), features)),
        }

    def _grow(
        self, weights: Arrays, item: int, rows: NDArray[np.float32], labels: NDArray[np.float32], seed: int
    ) -> None:
        """Fit an item's trees and write their nodes into the arrays."""
        from sklearn.ensemble import GradientBoostingClassifier
        from sklearn.utils.class_weight import compute_sample_weight

        forest = GradientBoostingClassifier(
            n_estimators=self.settings.count,
            max_depth=self.settings.depth,
            learning_rate=self.settings.learning_rate,
            subsample=self.settings.sample,
            max_features=self.settings.numbers,
            init="zero",
            random_state=seed * len(CODES) + item,
        )
        forest.fit(rows, labels, sample_weight=compute_sample_weight("balanced", labels))
        weights["grown"][item] = 1
        weights["importance"][item] = forest.feature_importances_
        for number, (tree,) in enumerate(forest.estimators_):
            nodes = tree.tree_
            place = (item, number, slice(nodes.node_count))
            weights["left"][place], weights["right"][place] = nodes.children_left, nodes.children_right
            weights["feature"][place], weights["threshold"][place] = nodes.feature, nodes.threshold
            weights["value"][place] = self.settings.learning_rate * nodes.value[:, 0, 0]

    def positive_weights(self, atypical: NDArray[np.float32]) -> Floats:
        both_limbs = atypical.reshape(-1, len(CODES))
        return np.tile(balancing_weights(both_limbs), 2)

    def predict(self, weights: Arrays, features: Floats) -> Floats:
        rows = limb_rows(features)
        filled = np.where(np.isnan(rows), weights["middle"], rows).astype(np.float32)
        logits = np.stack([_sum_of_trees(weights, item, filled) for item in range(len(CODES))], axis=1)
        of_children = logits.reshape(2, len(features), len(CODES)).transpose(1, 0, 2).reshape(len(features), -1)
        return np.where(np.tile(weights["grown"] > 0, 2), of_children, weights["prior"])


def limb_rows(features: Floats) -> Floats:
    """Return (2 children, 3 F) from (children, 2 F): all left limbs, then all right ones; own, other, their
    difference."""
    left, right = features.reshape(len(features), 2, -1).transpose(1, 0, 2)
    return np.concatenate([np.hstack([own, other, own - other]) for own, other in ((left, right), (right, left))])


def _sum_of_trees(weights: Arrays, item: int, rows: NDArray[np.float32]) -> Floats:
    """Return (rows,) the sum of an item's trees; all rows descend all trees at once."""
    trees = np.arange(weights["left"].shape[1])
    node = np.zeros((len(rows), len(trees)), np.int64)
    for _ in range(int(np.log2(weights["left"].shape[2] + 1)) - 1):
        at = (item, trees, node)
        feature = weights["feature"][at].clip(min=0)
        goes_left = rows[np.arange(len(rows))[:, None], feature] <= weights["threshold"][at]
        below = np.where(goes_left, weights["left"][at], weights["right"][at])
        node = np.where(below < 0, node, below)
    return np.asarray(weights["value"][item, trees, node].sum(axis=1))


def largest_importances(weights: Arrays, names: tuple[str, ...], most: int = 5) -> dict[str, dict[str, float]]:
    """Return per item the features with the largest importance and their shares."""
    columns = [f"{whose} {name}" for whose in ("own", "other", "own less other") for name in names]
    by_item = {}
    for code, shares in zip(CODES, weights["importance"], strict=True):
        order = np.argsort(-shares, kind="stable")[:most]
        by_item[code] = {columns[n]: round(float(shares[n]), 4) for n in order if shares[n] > 0}
    return by_item
