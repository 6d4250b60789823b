"""Classification metrics per target, for many weightings of the same children at once.

The bootstrap is cheap this way: a draw of children with replacement is a row of integer weights. One row of ones gives
the plain metrics; tests compare those with scikit-learn's. Atypical is the positive class. An undefined metric (no
atypical child, no positive prediction) is NaN here and null with a reason in files, never 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import BY_CODE, CODES, LIMBS, TARGET_NAMES, TARGETS

Array = NDArray[np.float64]

METRICS = (
    "accuracy",
    "balanced_accuracy",
    "f1",
    "f1_both",
    "auroc",
    "auprc",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "brier",
    "ece",
)


def groups() -> dict[str, list[int]]:
    """List the groups of targets that metrics are averaged over, by name."""
    places = list(enumerate(TARGETS))
    members = {"overall": [n for n, _ in places]}
    members |= {f"limb.{limb}": [n for n, t in places if t.limb == limb] for limb in LIMBS}
    for kind in ("plane", "region"):
        kind_of = {code: getattr(BY_CODE[code], kind) for code in CODES}
        for name in dict.fromkeys(kind_of.values()):
            members[f"{kind}.{name}"] = [n for n, t in places if kind_of[t.code] == name]
    return members | {f"item.{code}": [n for n, t in places if t.code == code] for code in CODES}


def measure(
    probability: Array,
    truth: NDArray[np.floating],
    weights: Array,
    *,
    thresholds: Array,
    bins: int,
    balanced: bool,
    calibrated: Array | None = None,
    folds: NDArray[np.int64] | None = None,
) -> dict[str, Array]:
    """Compute every metric, (D, T), for D weightings `weights` (D, N) of N children and T targets.

    A NaN in probability or truth leaves the cell out. `balanced` reweighs each target to half atypical, half typical,
    as resampling to equal classes would on average; a target that lacks a class is then undefined. Accuracy, Brier
    score and calibration error are those of `calibrated` at threshold 0.5, where given: the other metrics' operating
    point is that of the loss, at which both classes have the same weight. AUROC and balanced accuracy compare children
    of the same one of `folds` only: the folds' models differ.
    """
    valid = ~np.isnan(truth) & ~np.isnan(probability)
    labels = np.where(valid, np.nan_to_num(truth), 0.0)
    positive, negative = valid & (truth == 1), valid & (truth == 0)
    p = np.where(valid, probability, 0.0)
    w = weights[:, :, None] * valid  # (D, N, T)
    if balanced:
        w = _equal_classes(w, positive, negative)
    predicted = p >= thresholds
    q = p if calibrated is None else np.where(valid, np.nan_to_num(calibrated), 0.0)
    right = (predicted if calibrated is None else q >= 0.5) == (labels == 1)
    tp, fn = _sum(w, positive & predicted), _sum(w, positive & ~predicted)
    fp, tn = _sum(w, negative & predicted), _sum(w, negative & ~predicted)
    total, atypical, typical = tp + fn + fp + tn, tp + fn, fp + tn
    both = (atypical > 0) & (typical > 0)
    f1 = np.where(atypical > 0, _ratio(2 * tp, 2 * tp + fp + fn), np.nan)
    f1_negative = np.where(typical > 0, _ratio(2 * tn, 2 * tn + fp + fn), np.nan)
    squared_error = _sum(w, np.where(valid, (q - labels) ** 2, 0.0))
    members = members_of_folds(len(truth), folds)
    hard = predicted.astype(np.float64)
    return {
        "accuracy": _ratio(_sum(w, valid & right), total),
        "balanced_accuracy": _each_target(partial(_auroc, folds=members), w, hard, positive, negative),
        "f1": f1,
        "f1_both": np.where(both, (f1 + f1_negative) / 2, np.nan),
        "auroc": _each_target(partial(_auroc, folds=members), w, p, positive, negative),
        "auprc": _each_target(_auprc, w, p, positive, negative),
        "sensitivity": _ratio(tp, atypical),
        "specificity": _ratio(tn, typical),
        "ppv": _ratio(tp, tp + fp),
        "npv": _ratio(tn, tn + fn),
        "brier": _ratio(squared_error, total),
        "ece": _ratio(_calibration_gap(w, q, labels, bins), total),
    }


def members_of_folds(children: int, folds: NDArray[np.int64] | None) -> list[NDArray[np.bool_]]:
    """List (N,) the members of every fold; all children where there are no folds."""
    return [np.ones(children, bool)] if folds is None else [folds == fold for fold in np.unique(folds)]


def _equal_classes(w: Array, positive: NDArray, negative: NDArray) -> Array:
    """Reweigh each target to half positive, half negative; a target that lacks a class gets weight 0 throughout."""
    of_positive, of_negative = _sum(w, positive)[:, None], _sum(w, negative)[:, None]
    both = (of_positive > 0) & (of_negative > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(positive, 0.5 / of_positive, np.where(negative, 0.5 / of_negative, 0.0))
        return np.where(both, w * share, 0.0)


def _sum(w: Array, inside: NDArray) -> Array:
    return np.einsum("dnt,nt->dt", w, inside.astype(np.float64))


def _ratio(above: Array, below: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)


TargetMetric = Callable[[Array, Array, NDArray, NDArray], Array]


def _each_target(metric: TargetMetric, w: Array, p: Array, positive: NDArray, negative: NDArray) -> Array:
    columns = range(p.shape[1])
    return np.stack([metric(w[:, :, t], p[:, t], positive[:, t], negative[:, t]) for t in columns], axis=1)


def _auroc(w: Array, p: Array, positive: NDArray, negative: NDArray, folds: list[NDArray[np.bool_]]) -> Array:
    """Compute the chance that an atypical child scores higher than a typical one of its fold; a tie counts half.

    Of hard predictions this is the balanced accuracy.
    """
    won, pairs = np.zeros(len(w)), np.zeros(len(w))
    for fold in folds:
        high, low = fold & positive, fold & negative
        above, below = p[high][:, None], p[low][None]
        wins = (above > below) + 0.5 * (above == below)
        won += np.einsum("dp,pn,dn->d", w[:, high], wins, w[:, low], optimize=True)
        pairs += w[:, high].sum(axis=1) * w[:, low].sum(axis=1)
    return _ratio(won, pairs)


def _auprc(w: Array, p: Array, positive: NDArray, negative: NDArray) -> Array:
    """Compute average precision: precision at every distinct score, weighted by the recall it adds."""
    order = np.argsort(-p, kind="stable")
    order = order[(positive | negative)[order]]
    if not order.size:
        return np.full(len(w), np.nan)
    last = np.append(np.flatnonzero(np.diff(p[order])), order.size - 1)  # ends of runs of equal scores
    hits = np.cumsum(w[:, order] * positive[order], axis=1)[:, last]
    predicted = np.cumsum(w[:, order], axis=1)[:, last]
    added = np.diff(hits, axis=1, prepend=0.0)
    precision = np.where(predicted > 0, hits / np.where(predicted > 0, predicted, 1), 0.0)
    return _ratio((added * precision).sum(axis=1), hits[:, -1])


def bin_of(p: Array, bins: int) -> NDArray[np.int64]:
    """Assign probabilities to bins of equal width, the last one closed."""
    return np.minimum((p * bins).astype(np.int64), bins - 1)


def _calibration_gap(w: Array, p: Array, truth: Array, bins: int) -> Array:
    number = bin_of(p, bins)
    return sum((np.abs(_sum(w, np.where(number == b, p - truth, 0.0))) for b in range(bins)), np.zeros(w.shape[::2]))


def balanced_accuracy(logits: Array, truth: NDArray[np.floating]) -> Array:
    """Compute (T,) balanced accuracy at threshold 0.5; NaN where a class is missing."""
    ones = np.ones((1, len(truth)))
    half = np.full(truth.shape[1], 0.5)
    return measure(sigmoid(logits), truth, ones, thresholds=half, bins=2, balanced=False)["balanced_accuracy"][0]


def confusion(probability: Array, truth: NDArray[np.floating]) -> dict[str, dict[str, int]]:
    """Count children by target and cell of the confusion matrix, at threshold 0.5."""
    predicted, valid = probability >= 0.5, ~np.isnan(truth) & ~np.isnan(probability)
    counts = {
        "tp": (valid & predicted & (truth == 1)).sum(axis=0),
        "fp": (valid & predicted & (truth == 0)).sum(axis=0),
        "fn": (valid & ~predicted & (truth == 1)).sum(axis=0),
        "tn": (valid & ~predicted & (truth == 0)).sum(axis=0),
    }
    return {name: {key: int(count[t]) for key, count in counts.items()} for t, name in enumerate(TARGET_NAMES)}


def sigmoid(logits: Array) -> Array:
    """Turn logits into probabilities without overflow."""
    return 0.5 * (1 + np.tanh(logits / 2))


def undefined_reason(metric: str, atypical: int, typical: int) -> str:
    """Give the reason why a metric is undefined for a target with so many atypical and typical children."""
    if atypical + typical == 0:
        return "no child with a known score"
    if atypical == 0:
        return "no atypical child"
    if typical == 0:
        return "no typical child"
    return "nobody was called atypical" if metric == "ppv" else "nobody was called typical"
