"""Dealing children into parts so that every part has its share of each item, age and sex.

Iterative stratification (the greedy rule of Sechidis, Tsoumakas and Vlahavas 2011, own wording of it): take the label
with the fewest children left to deal, give each of its children to the part that still lacks most of that label, then
most children, then by a seeded draw. The dealing is done for several draws and the most even one is kept. Every child
is dealt once, so no child can be in two parts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.split import HOLDOUT

DRAWS = 32  # dealings of which the most even one is kept


def deal(labels: NDArray[np.bool_], shares: list[float], seed: int) -> NDArray[np.int64]:
    """(N, L) labels to a part number for each of N children; part sizes are `shares` of N, rounded, all of N dealt."""
    sizes = _whole_sizes(len(labels), shares)
    ideal = np.outer(sizes / max(len(labels), 1), labels.sum(axis=0))
    random = np.random.default_rng(seed)
    dealings = [_deal_once(labels, sizes, random) for _ in range(DRAWS)]

    def unevenness(part: NDArray[np.int64]) -> float:
        sums = np.stack([labels[part == number].sum(axis=0) for number in range(len(shares))])
        return float(np.square(sums - ideal).sum())

    return min(dealings, key=unevenness)


def _deal_once(labels: NDArray[np.bool_], sizes: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    children = len(labels)
    lacking = np.outer(sizes / max(children, 1), labels.sum(axis=0)).astype(float)  # (parts, L) still lacking
    room = sizes.astype(float)
    part = np.full(children, -1, dtype=np.int64)
    order = random.permutation(children)
    tie = random.random((children, len(sizes)))
    while (waiting := part < 0).any():
        left = labels[waiting].sum(axis=0)
        if not left.any():
            for child in order[waiting[order]]:  # no label left on anybody: by room alone
                part[child] = _fullest(room, room, tie[child])
                room[part[child]] -= 1
            break
        rarest = int(np.where(left > 0, left, children + 1).argmin())
        for child in order[(waiting & labels[:, rarest])[order]]:
            emptiest = _fullest(np.where(room > 0, lacking[:, rarest], -np.inf), room, tie[child])
            part[child] = emptiest
            room[emptiest] -= 1
            lacking[emptiest] -= labels[child]
    return part


def _fullest(first: NDArray[np.float64], second: NDArray[np.float64], tie: NDArray[np.float64]) -> int:
    order = np.lexsort((tie, second, first))
    return int(order[-1])


def _whole_sizes(children: int, shares: list[float]) -> NDArray[np.int64]:
    """Largest remainders: whole numbers that add up to all children, at least one wherever a share is above zero."""
    exact = np.asarray(shares, dtype=float) / sum(shares) * children
    sizes = np.floor(exact).astype(np.int64)
    for index in np.argsort(sizes - exact, kind="stable")[: children - sizes.sum()]:
        sizes[index] += 1
    for index in np.flatnonzero((sizes == 0) & (exact > 0)):
        if sizes.max() > 1:
            sizes[sizes.argmax()] -= 1
            sizes[index] += 1
    return sizes


def features_of_children(
    atypical: NDArray[np.float32], ages: NDArray[np.float64], sexes: list[str]
) -> NDArray[np.bool_]:
    """What is to be shared out: each of 34 items atypical, the younger, middle and older third, and girls and boys."""
    columns = [atypical == 1]
    known = ages[~np.isnan(ages)]
    if known.size:
        edges = np.quantile(known, [1 / 3, 2 / 3])
        third = np.digitize(ages, edges)
        columns.append(np.stack([(third == t) & ~np.isnan(ages) for t in range(3)], axis=1))
    columns.append(np.stack([np.asarray(sexes) == sex for sex in ("female", "male")], axis=1))
    return np.concatenate(columns, axis=1)


VAULT_SEED, PHASE_SEED = 1_000, 1_001  # added to the split's: the vault is the same in every phase


def seal_children(
    subjects: list[str], features: NDArray[np.bool_], given: dict[str, str], *, vault: float, seed: int
) -> set[str]:
    """Return the children to seal, a share of all of them, evenly by features; none that a person has listed."""
    free = [number for number, name in enumerate(subjects) if name not in given]
    if not vault or not free:
        return set()
    share = min(vault * len(subjects) / len(free), 1.0)
    dealt = deal(features[free], [share, 1 - share], seed + VAULT_SEED)
    return {subjects[number] for number, part in zip(free, dealt, strict=True) if part == 0}


def phase_test(
    subjects: list[str], features: NDArray[np.bool_], given: dict[str, str], *, phases: int, phase: int, seed: int
) -> dict[str, str]:
    """Return the children whom one phase tests, as part by child, besides those that a person has listed."""
    if phases == 1:
        return given
    if "test" in given.values():
        raise StepError(
            f"split_subjects.phases is {phases}, but the list of the split names test children",
            hint="a listed test cannot take turns: set split_subjects.phases to 1, or take the test out of split.csv",
        )
    free = [number for number, name in enumerate(subjects) if name not in given]
    dealt = deal(features[free], [1.0] * phases, seed + PHASE_SEED)
    return given | {subjects[number]: "test" for number, part in zip(free, dealt, strict=True) if part == phase}


def plan_folds(
    subjects: list[str],
    features: NDArray[np.bool_],
    given: dict[str, str],
    *,
    folds: int,
    holdout: float,
    validation: float,
    seed: int,
) -> dict[str, dict[str, str]]:
    """For every fold the part of each child. `given` fixes parts of the hold-out; its test children are in no fold."""

    def dealt(names: list[str], shares: list[float], step: int) -> list[int]:
        rows = features[[subjects.index(name) for name in names]]
        return [int(part) for part in deal(rows, shares, seed + step)]

    def train_and_validation(names: list[str], step: int) -> dict[str, str]:
        parts = dealt(names, [1 - validation, validation], step)
        return {name: ("train", "validation")[part] for name, part in zip(names, parts, strict=True)}

    if "test" in given.values():
        test = [name for name in subjects if given.get(name) == "test"]
    else:
        free = [name for name in subjects if name not in given]  # a person's word on the others stands
        share = min(holdout * len(subjects) / max(len(free), 1), 1.0) if given else holdout
        test = (
            [name for name, part in zip(free, dealt(free, [1 - share, share], 0), strict=True) if part] if free else []
        )
    rest = [name for name in subjects if name not in test]
    if len(rest) < max(folds, 3) or not test:
        raise StepError(
            f"{len(subjects)} children have clips and scores, {len(rest)} of them outside the hold-out test:"
            f" too few for split_subjects.folds = {folds}",
            hint="lower split_subjects.folds or holdout, or add children",
        )
    fixed = {name: given[name] for name in rest if name in given}
    free = [name for name in rest if name not in given]
    if "validation" in fixed.values():
        fixed |= dict.fromkeys(free, "train")
    elif free:
        fixed |= train_and_validation(free, 1)
    plan = {HOLDOUT: dict.fromkeys(test, "test") | fixed}
    turn = dealt(rest, [1.0] * folds, 2)
    for fold in range(folds):
        inner = [name for name, number in zip(rest, turn, strict=True) if number != fold]
        tested = [name for name, number in zip(rest, turn, strict=True) if number == fold]
        plan[str(fold)] = dict.fromkeys(tested, "test") | train_and_validation(inner, 3 + fold)
    for fold_name, who in plan.items():
        if lacking := [part for part in ("train", "validation", "test") if part not in who.values()]:
            raise StepError(
                f"fold {fold_name} has no child for {' and '.join(lacking)}",
                hint="add children, change split_subjects.validation, or list a validation child in the file",
            )
    return plan
