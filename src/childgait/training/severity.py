"""Motor severity in four levels, as three questions that build on each other: at level 2 or above, 3 or above, 4?

A child's level is one more than the number of questions answered with yes, so that a mistake by one level is a smaller
one than a mistake by two (ordinal classes as cumulative questions: Frank and Hall 2001). The questions are learnt as
the items are: masked cross-entropy, weights from the training children, logits averaged over a child's windows and
videos.

Metrics are computed for many weightings of the same children at once, as in metrics/scores.py; what is not defined is
NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.parts import Part, children_of
from childgait.metrics.cells import Cell, make_cell
from childgait.metrics.scores import Array, sigmoid

if TYPE_CHECKING:
    from childgait.models.network import Network
    from childgait.models.registry import Model
    from childgait.params import Finetune
    from childgait.training.loop import Outcome

LEVELS = (1, 2, 3, 4)
QUESTIONS = LEVELS[1:]  # at this level or above?
SEVERITY_METRICS = (
    "accuracy",
    "balanced_accuracy",
    "f1",
    "kappa",
    "error",
)  # error: levels a child is off, in the mean


@dataclass(frozen=True)
class Graded:
    """What a network says of children: a row each, in the order of `subjects`."""

    subjects: list[str]
    probabilities: Array  # (children, 3) of each question

    @property
    def levels(self) -> NDArray[np.int64]:
        return 1 + (self.probabilities >= 0.5).sum(axis=1)


def part_of_levels(part: Part, level_of: Mapping[str, int | None], path: Path) -> Part:
    """The part's videos of children whose level is known, with the three questions to learn in place of the items."""
    known = [level_of.get(subject) is not None for subject in part.table["subject"]]
    if not any(known):
        raise StepError(
            f"no child of {path} has a severity",
            hint="add a column `severity` (1 to 4, or I to IV) to the cohort's subjects.csv; "
            "without one there is no such task",
        )
    kept = part.filter(known)
    levels = np.array([level_of[subject] for subject in kept.table["subject"]])
    return Part(kept.table, kept.clips, (levels[:, None] >= np.array(QUESTIONS)).astype(np.float32))


def learn_levels(
    model: Model,
    settings: Finetune,
    told: dict[str, Any],
    weights: Mapping[str, Any],
    train: Part,
    validation: Part,
    *,
    seed: int,
    save_as: Path,
    fingerprint: str,
) -> tuple[Network, Outcome]:
    """Teach the levels to a network that has learnt the items; it, with the weights to keep, and how that went."""
    import torch

    from childgait.training.distributed import join_group, leave_group
    from childgait.training.fit import set_class_prior, teach
    from childgait.training.predict import prepare_torch

    prepare_torch(settings)
    torch.manual_seed(seed)
    network = model.build(settings, told["facts"]["pixels"])
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in weights.items()})
    network.reset_classifier(len(QUESTIONS))
    positive, _ = set_class_prior(network, train, settings)
    group = join_group(settings.device)
    try:
        outcome = teach(
            network,
            train,
            validation,
            settings,
            weights=positive,
            seed=seed,
            group=group,
            save_as=save_as,
            fingerprint=fingerprint,
        )
    finally:
        leave_group(group)
    network.load_state_dict(outcome.weights)
    return network, outcome


def grade(network: Network, settings: Finetune, part: Part, windows_per_video: int) -> Graded:
    """The mean logit of a child's windows, a video counting once, as probabilities."""
    from childgait.metrics.aggregate import child_logits
    from childgait.training.predict import loading_of, predict_windows
    from childgait.training.windows import Windows

    network.to(settings.device)
    windows = Windows(part.clips, part.atypical, loading_of(network, settings), windows_per_video=windows_per_video)
    logits = child_logits(part, predict_windows(network, windows, settings, settings.device))
    return Graded(children_of(part.table), sigmoid(logits))


def levels_of(part: Part) -> NDArray[np.int64]:
    """(children,) the true level of each, from the questions' answers."""
    from childgait.files.parts import targets_by_child

    return 1 + targets_by_child(part.table, part.atypical).sum(axis=1).astype(np.int64)


def confusions(said: NDArray[np.int64], truth: NDArray[np.int64], weights: Array) -> Array:
    """(D, 4, 4) children of each true level (rows) by the level said (columns), for D weightings (D, N) of N
    children."""
    cell = (truth - 1) * len(LEVELS) + said - 1
    placed = np.eye(len(LEVELS) ** 2)[cell]  # (N, 16)
    return (weights @ placed).reshape(-1, len(LEVELS), len(LEVELS))


def measure_levels(tables: Array) -> dict[str, Array]:
    """(D,) every metric of SEVERITY_METRICS, of D confusion tables."""
    total, right = tables.sum(axis=(1, 2)), np.einsum("dii->di", tables)
    true, said = tables.sum(axis=2), tables.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(true > 0, right / true, np.nan)
        both = true + said
        f1 = np.where(both > 0, 2 * right / both, np.nan)  # of the levels that are there or were said
        off = np.abs(np.subtract.outer(np.array(LEVELS), np.array(LEVELS)))
        by_chance = true[:, :, None] * said[:, None, :] / total[:, None, None]
        disagreement = np.einsum("dij,ij->d", by_chance, off**2.0)
        kappa = np.where(disagreement > 0, 1 - np.einsum("dij,ij->d", tables, off**2.0) / disagreement, np.nan)
        return {
            "accuracy": right.sum(axis=1) / total,
            "balanced_accuracy": np.nanmean(recall, axis=1),
            "f1": np.nanmean(f1, axis=1),
            "kappa": kappa,
            "error": np.einsum("dij,ij->d", tables, off) / total,
        }


def severity_cells(predicted: NDArray[np.int64], truth: NDArray[np.int64], *, draws: int, seed: int) -> dict[str, Cell]:
    """Compute every metric with its 95 % interval over draws of children."""
    from childgait.metrics.intervals import draw_weights

    plain = measure_levels(confusions(predicted, truth, np.ones((1, len(truth)))))
    drawn = measure_levels(confusions(predicted, truth, draw_weights(len(truth), draws, seed))) if draws else None
    reason = "all children have one level, and nothing else was said"
    return {
        name: make_cell(float(plain[name][0]), None if drawn is None else drawn[name], reason)
        for name in SEVERITY_METRICS
    }


def commonest(levels: NDArray[np.int64]) -> int:
    """The level most children have, the lower of equals: what knows nothing of a child would say."""
    return int(np.bincount(levels, minlength=LEVELS[-1] + 1)[1:].argmax()) + 1
