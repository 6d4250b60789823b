"""Agreement of the raters so far: weighted kappa per item and ICC of the limb totals, for the coordinator."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from childgait.domain.evgs import BY_NUMBER, LIMBS
from childgait.files.agreement import Coefficient
from childgait.files.labels import subject_name
from childgait.metrics.agreement import icc, weighted_kappa


@dataclass(frozen=True)
class PairAgreement:
    """Two raters: the children that both scored, kappa by number of the item, ICC of the totals of complete limbs."""

    raters: tuple[str, str]
    children: int
    kappa: dict[int, Coefficient]
    totals: Coefficient


def rater_agreement(entries: list[dict[str, Any]], highest: int) -> list[PairAgreement]:
    """Compare every pair of raters over the children that both scored."""
    by_rater: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in entries:
        by_rater.setdefault(str(entry.get("rater") or ""), {})[subject_name(entry["patient_id"])] = entry
    pairs = []
    for first, second in itertools.combinations(sorted(by_rater), 2):
        children = sorted(by_rater[first].keys() & by_rater[second].keys())
        grids = [np.array([_scores(by_rater[rater][child]) for child in children]) for rater in (first, second)]
        one, two = (grid.reshape(-1, len(BY_NUMBER)) for grid in grids)  # a row per child and limb
        kappa = {n: weighted_kappa(one[:, n - 1], two[:, n - 1], highest=highest) for n in BY_NUMBER}
        pairs.append(PairAgreement((first, second), len(children), kappa, icc(one.sum(axis=1), two.sum(axis=1))))
    return pairs


def _scores(entry: dict[str, Any]) -> list[list[float]]:
    """Return (2, 17) scores of an entry, NaN where there is none."""
    rows = []
    for limb in LIMBS:
        given = {int(key): value for key, value in (entry.get(limb) or {}).items() if key != "Total"}
        rows.append([np.nan if given.get(n) in (None, "") else float(given[n]) for n in BY_NUMBER])
    return rows
