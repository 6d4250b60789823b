"""Measures how well recordings identify children: rank-k identification and the equal error rate of verification.

A score (probe, enrolled) is greater the more a child's second half of recordings resembles the first half of another
one, or of itself on the diagonal; both are in the same order of children. A pair that no view compares is NaN.

Rank-k is the share of children whose own first half is among the k best. The equal error rate is that of false accepts
and false rejects at the threshold at which both are equal: 0 separates all pairs, .5 none. Rank-k has Wilson's interval
over children, the equal error rate a percentile one over draws of children, who come with both their halves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.metrics.cells import Cell, Record, make_cell, round_value
from childgait.metrics.intervals import draw_weights, interval
from childgait.metrics.small_samples import wilson

Floats = NDArray[np.float64]
CHUNK = 100  # draws per pass; bounds memory


class Identification(Record):
    """How well one input identifies children, and what chance gives for as many."""

    children: int
    rank_1: Cell
    rank_5: Cell
    eer: Cell
    chance_1: float | None
    chance_5: float | None
    rank_1_by_halves: dict[str, Cell]  # by kind of halves: two sessions, or ways out and back


class AuditRow(Record):
    """One input at one strength of the protector: identification of children, and prediction of the items."""

    input: str
    strength: float
    identification: Identification
    items: Cell  # mean balanced accuracy


class Audit(Record):
    """A re-identification audit."""

    children: dict[str, int]  # by kind of halves
    encoder: str
    weights: str  # of the encoder
    rows: list[AuditRow]


def rank_hits(scores: Floats, rank: int) -> Floats:
    """Return (N,) per probe the probability that its own child is among the first `rank`, ties broken at random."""
    own = np.diag(scores)[:, None]
    above = (scores > own).sum(axis=1)
    equal = (scores == own).sum(axis=1)  # itself among them
    return np.clip((rank - above) / equal, 0.0, 1.0)


def rank_chance(scores: Floats, rank: int) -> float:
    """Return the share of hits that random scores have."""
    return float(np.mean(np.minimum(1.0, rank / np.isfinite(scores).sum(axis=1))))


def equal_error_rate(scores: Floats, weights: Floats) -> Floats:
    """Return (D,) the equal error rate for D weightings (D, N) of the children, interpolated between thresholds."""
    known = np.isfinite(scores)
    order = np.argsort(-scores[known], kind="stable")
    ordered = scores[known][order]
    own = np.eye(len(scores), dtype=bool)[known][order]
    last = np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)  # of each group of equal scores
    rows, columns = (index[order] for index in np.nonzero(known))
    rates = []
    for start in range(0, len(weights), CHUNK):
        part = weights[start : start + CHUNK]
        pairs = np.where(own, part[:, rows], part[:, rows] * part[:, columns])
        rates.append(_crossing(_accepted(pairs * ~own, last), 1 - _accepted(pairs * own, last)))
    return np.concatenate(rates)


def _accepted(pairs: Floats, last: NDArray[np.int64]) -> Floats:
    """Return (D, thresholds) the share of pairs that are accepted, from none to all of them."""
    total = np.cumsum(pairs, axis=1)[:, last]
    with np.errstate(invalid="ignore"):
        share = total / total[:, -1:]
    return np.concatenate([np.zeros((len(pairs), 1)), share], axis=1)


def _crossing(false_accepts: Floats, false_rejects: Floats) -> Floats:
    """Return (D,) the rate at which both curves cross; NaN where one of them has no pair."""
    gap = false_rejects - false_accepts
    after = np.argmax(gap <= 0, axis=1)
    row = np.arange(len(gap))
    before = np.maximum(after - 1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = gap[row, before] / (gap[row, before] - gap[row, after])
        return np.asarray(false_accepts[row, before] + share * (false_accepts[row, after] - false_accepts[row, before]))


def measure_identification(scores: Floats, halves: list[str], *, draws: int, seed: int) -> Identification:
    """Measure scores (N, N) of N children; `halves` is the kind of halves of each child."""
    count = len(scores)
    hits = {rank: rank_hits(scores, rank) for rank in (1, 5)}
    plain = float(equal_error_rate(scores, np.ones((1, count)))[0])
    drawn = equal_error_rate(scores, draw_weights(count, draws, seed)) if draws else np.zeros(0)
    kinds = np.array(halves)
    return Identification(
        children=count,
        rank_1=_share(hits[1]),
        rank_5=_share(hits[5]),
        eer=make_cell(plain, interval(drawn), "no pair of children"),
        chance_1=round_value(rank_chance(scores, 1)),
        chance_5=round_value(rank_chance(scores, 5)),
        rank_1_by_halves={kind: _share(hits[1][kinds == kind]) for kind in sorted(set(halves))},
    )


def _share(hits: Floats) -> Cell:
    value = float(np.mean(hits))
    return make_cell(value, wilson(value, len(hits)), "no child")
