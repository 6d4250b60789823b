"""How well probabilities fit the truth: per target, and as means over limbs, planes, regions and all.

All metrics are computed at once for many weightings of the same children, which makes the bootstrap cheap: a draw of
children with replacement is a row of whole-number weights. One row of ones gives the plain metrics; the tests hold
those equal to scikit-learn's. Atypical is the positive class. What is not defined (no atypical child, nobody called
atypical) is NaN here and null with a reason in files, never 0.
"""

from __future__ import annotations

from typing import Any

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
    """Sets of targets that metrics are averaged over, by name."""
    places = list(enumerate(TARGETS))
    found = {"overall": [n for n, _ in places]}
    found |= {f"limb.{limb}": [n for n, t in places if t.limb == limb] for limb in LIMBS}
    for kind in ("plane", "region"):
        names = dict.fromkeys(getattr(BY_CODE[code], kind) for code in CODES)
        found |= {f"{kind}.{name}": [n for n, t in places if getattr(BY_CODE[t.code], kind) == name] for name in names}
    return found | {f"item.{code}": [n for n, t in places if t.code == code] for code in CODES}


def measure(
    probability: Array, truth: NDArray[np.floating], weights: Array, *, thresholds: Array, bins: int, balanced: bool
) -> dict[str, Array]:
    """Every metric, (D, T), for D weightings `weights` (D, N) of N children and T targets.

    A NaN in probability or truth leaves the cell out. `balanced` reweighs each target to half atypical, half typical,
    as resampling to equal classes would on average.
    """
    known = ~np.isnan(truth) & ~np.isnan(probability)
    positive, negative = known & (truth == 1), known & (truth == 0)
    p = np.where(known, probability, 0.0)
    w = weights[:, :, None] * known  # (D, N, T)
    if balanced:
        with np.errstate(invalid="ignore", divide="ignore"):
            w = w * np.where(
                positive, 0.5 / _sum(w, positive)[:, None], np.where(negative, 0.5 / _sum(w, negative)[:, None], 0.0)
            )
        w = np.where(np.isfinite(w), w, 0.0)
    called = p >= thresholds
    tp, fn = _sum(w, positive & called), _sum(w, positive & ~called)
    fp, tn = _sum(w, negative & called), _sum(w, negative & ~called)
    total, atypical, typical = tp + fn + fp + tn, tp + fn, fp + tn
    both = (atypical > 0) & (typical > 0)
    sensitivity, specificity = _ratio(tp, atypical), _ratio(tn, typical)
    f1 = np.where(atypical > 0, _ratio(2 * tp, 2 * tp + fp + fn), np.nan)
    f1_negative = np.where(typical > 0, _ratio(2 * tn, 2 * tn + fp + fn), np.nan)
    error = _sum(w, np.where(known, (p - np.nan_to_num(truth)) ** 2, 0.0))
    return {
        "accuracy": _ratio(tp + tn, total),
        "balanced_accuracy": (sensitivity + specificity) / 2,
        "f1": f1,
        "f1_both": np.where(both, (f1 + f1_negative) / 2, np.nan),
        "auroc": _each_target(_auroc, w, p, positive, negative),
        "auprc": _each_target(_auprc, w, p, positive, negative),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": _ratio(tp, tp + fp),
        "npv": _ratio(tn, tn + fn),
        "brier": _ratio(error, total),
        "ece": _ratio(_calibration_gap(w, p, np.where(known, np.nan_to_num(truth), 0.0), bins), total),
    }


def _sum(w: Array, inside: NDArray) -> Array:
    return np.einsum("dnt,nt->dt", w, inside.astype(np.float64))


def _ratio(above: Array, below: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, above / below, np.nan)


def _each_target(metric, w: Array, p: Array, positive: NDArray, negative: NDArray) -> Array:  # type: ignore[no-untyped-def]
    columns = range(p.shape[1])
    return np.stack([metric(w[:, :, t], p[:, t], positive[:, t], negative[:, t]) for t in columns], axis=1)


def _auroc(w: Array, p: Array, positive: NDArray, negative: NDArray) -> Array:
    """The chance that an atypical child scores higher than a typical one; a tie counts half."""
    above, below = p[positive][:, None], p[negative][None]
    wins = (above > below) + 0.5 * (above == below)
    pairs = np.einsum("dp,pn,dn->d", w[:, positive], wins, w[:, negative], optimize=True)
    return _ratio(pairs, w[:, positive].sum(axis=1) * w[:, negative].sum(axis=1))


def _auprc(w: Array, p: Array, positive: NDArray, negative: NDArray) -> Array:
    """Average precision: precision at every distinct score, weighted by the recall it adds."""
    order = np.argsort(-p, kind="stable")
    order = order[(positive | negative)[order]]
    if not order.size:
        return np.full(len(w), np.nan)
    last = np.append(np.flatnonzero(np.diff(p[order])), order.size - 1)  # ends of runs of equal scores
    hits = np.cumsum(w[:, order] * positive[order], axis=1)[:, last]
    taken = np.cumsum(w[:, order], axis=1)[:, last]
    gained = np.diff(hits, axis=1, prepend=0.0)
    precision = np.where(taken > 0, hits / np.where(taken > 0, taken, 1), 0.0)
    return _ratio((gained * precision).sum(axis=1), hits[:, -1])


def bin_of(p: Array, bins: int) -> NDArray[np.int64]:
    """Bins of equal width, the last one closed."""
    return np.minimum((p * bins).astype(np.int64), bins - 1)


def _calibration_gap(w: Array, p: Array, truth: Array, bins: int) -> Array:
    number = bin_of(p, bins)
    return sum((np.abs(_sum(w, np.where(number == b, p - truth, 0.0))) for b in range(bins)), np.zeros(w.shape[::2]))


def balanced_accuracy(logits: Array, truth: NDArray[np.floating]) -> Array:
    """(T,) at threshold 0.5; NaN where a class is missing."""
    ones = np.ones((1, len(truth)))
    half = np.full(truth.shape[1], 0.5)
    return measure(sigmoid(logits), truth, ones, thresholds=half, bins=2, balanced=False)["balanced_accuracy"][0]


def confusion(probability: Array, truth: NDArray[np.floating]) -> dict[str, dict[str, int]]:
    """Children a target, at threshold 0.5."""
    called, known = probability >= 0.5, ~np.isnan(truth) & ~np.isnan(probability)
    found = {
        "tp": known & called & (truth == 1),
        "fp": known & called & (truth == 0),
        "fn": known & ~called & (truth == 1),
        "tn": known & ~called & (truth == 0),
    }
    return {name: {key: int(cells[:, t].sum()) for key, cells in found.items()} for t, name in enumerate(TARGET_NAMES)}


def sigmoid(logits: Array) -> Array:
    return 0.5 * (1 + np.tanh(logits / 2))


def reason(metric: str, atypical: int, typical: int) -> str:
    """Why a metric of a target has no value."""
    if atypical + typical == 0:
        return "no child with a known score"
    if atypical == 0:
        return "no atypical child"
    if typical == 0:
        return "no typical child"
    return "nobody was called atypical" if metric == "ppv" else "nobody was called typical"


def challenge_score(probability: Array, truth: NDArray[np.floating]) -> dict[str, Any]:
    """The public keypoint challenge's first metric: half accuracy, half 1 - RMSE of the child's total over 34."""
    whole = ~(np.isnan(truth) | np.isnan(probability)).any(axis=1)
    if not whole.any():
        return {"value": None, "reason": "no child has all 34 items scored and seen"}
    called, real = probability[whole] >= 0.5, truth[whole] == 1
    accuracy = float((called == real).mean())
    rmse = float(np.sqrt(np.mean((called.sum(axis=1) - real.sum(axis=1)) ** 2.0)))
    return {
        "value": round((accuracy + 1 - rmse / truth.shape[1]) / 2, 6),
        "accuracy": round(accuracy, 6),
        "rmse_of_total": round(rmse, 6),
        "children": int(whole.sum()),
    }
