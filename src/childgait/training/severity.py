"""Motor severity in four levels, as three cumulative thresholds: level 2 or above, 3 or above, 4.

A child's level is one plus the number of thresholds with a probability of at least 0.5, so that an error by one level
costs less than an error by two (ordinal classes as cumulative binary ones: Frank and Hall, "A Simple Approach to
Ordinal Classification", ECML 2001). The thresholds are trained as the items are: masked cross-entropy, class weights
from the training children, logits averaged over a child's windows and videos.

Metrics are computed for many weightings of the same children at once, as in metrics/scores.py; undefined ones are NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.files.parts import Part, children_of
from childgait.metrics.cells import Cell, make_cell
from childgait.metrics.scores import Array, sigmoid

if TYPE_CHECKING:
    from childgait.models.network import Network
    from childgait.params import Finetune
    from childgait.training.loop import Outcome
    from childgait.training.predict import TrainedModel

LEVELS = (1, 2, 3, 4)
THRESHOLDS = LEVELS[1:]  # this level or above
SEVERITY_METRICS = ("accuracy", "balanced_accuracy", "f1", "kappa", "error")  # error: mean absolute, in levels


@dataclass(frozen=True)
class Graded:
    """Predictions of severity, one row per child in the order of `subjects`."""

    subjects: list[str]
    probabilities: Array  # (children, 3) per threshold

    @property
    def levels(self) -> NDArray[np.int64]:
        return 1 + (self.probabilities >= 0.5).sum(axis=1)


def part_of_levels(part: Part, level_of: Mapping[str, int | None], path: Path) -> Part:
    """Return the part's videos of children with a known level, with the three thresholds as labels."""
    known = [level_of.get(subject) is not None for subject in part.table["subject"]]
    if not any(known):
        raise StepError(
            f"no child of {path} has a severity",
            hint="add a column `severity` (1 to 4, or I to IV) to the cohort's subjects.csv, or skip grade_severity",
        )
    graded = part.filter(known)
    levels = np.array([level_of[subject] for subject in graded.table["subject"]])
    return Part(graded.table, graded.clips, (levels[:, None] >= np.array(THRESHOLDS)).astype(np.float32))


def train_on_levels(
    trained: TrainedModel, train: Part, validation: Part, *, seed: int, save_as: Path, fingerprint: str
) -> tuple[Network, Outcome]:
    """Train a network of finetune on the levels, with a new classifier; return it and the run."""
    import torch

    from childgait.models.registry import find_model
    from childgait.training.distributed import join_group, leave_group
    from childgait.training.fit import Fitting, set_class_prior
    from childgait.training.precision import resolve_precision
    from childgait.training.predict import prepare_torch, settings_from

    settings = resolve_precision(settings_from(trained.description))
    prepare_torch(settings)
    torch.manual_seed(seed)
    network = find_model(trained.description.model).build(settings, trained.description.facts["pixels"])
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in trained.weights.items()})
    network.reset_classifier(len(THRESHOLDS))
    settings = settings.model_copy(update={"loss": "bce"})  # the thresholds are ordinal themselves
    positive, _ = set_class_prior(network, train, settings)
    group = join_group(settings.device)
    try:
        fitting = Fitting(train, validation, positive, seed, group, fingerprint)
        outcome = fitting.run(network, settings, save_as=save_as)
    finally:
        leave_group(group)
    network.load_state_dict(outcome.weights)
    return network, outcome


def grade(network: Network, settings: Finetune, part: Part, windows_per_video: int) -> Graded:
    """Grade the children of a part: the mean logit of a child's windows, each video with the same weight."""
    from childgait.metrics.aggregate import child_logits
    from childgait.training.predict import loading_of, predict_windows
    from childgait.training.windows import Windows

    network.to(settings.device)
    windows = Windows(part.clips, part.atypical, loading_of(network, settings), windows_per_video=windows_per_video)
    logits = child_logits(part, predict_windows(network, windows, settings, settings.device))
    return Graded(children_of(part.table), sigmoid(logits))


def levels_of(part: Part) -> NDArray[np.int64]:
    """Return (children,) the true levels, from the labels of the thresholds."""
    from childgait.files.parts import targets_by_child

    return 1 + targets_by_child(part.table, part.atypical).sum(axis=1).astype(np.int64)


def confusion_tables(predicted: NDArray[np.int64], truth: NDArray[np.int64], weights: Array) -> Array:
    """Return (D, 4, 4) children by true (rows) and predicted level (columns), for D weightings (D, N) of N children."""
    cell = (truth - 1) * len(LEVELS) + predicted - 1
    placed = np.eye(len(LEVELS) ** 2)[cell]  # (N, 16)
    return (weights @ placed).reshape(-1, len(LEVELS), len(LEVELS))


def measure_levels(tables: Array) -> dict[str, Array]:
    """Return (D,) every metric of SEVERITY_METRICS, for D confusion tables."""
    total, correct = tables.sum(axis=(1, 2)), np.einsum("dii->di", tables)
    true, predicted = tables.sum(axis=2), tables.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(true > 0, correct / true, np.nan)
        both = true + predicted
        f1 = np.where(both > 0, 2 * correct / both, np.nan)  # of the levels that occur, true or predicted
        distance = np.abs(np.subtract.outer(np.array(LEVELS), np.array(LEVELS)))
        by_chance = true[:, :, None] * predicted[:, None, :] / total[:, None, None]
        disagreement = np.einsum("dij,ij->d", by_chance, distance**2.0)
        kappa = np.where(disagreement > 0, 1 - np.einsum("dij,ij->d", tables, distance**2.0) / disagreement, np.nan)
        return {
            "accuracy": correct.sum(axis=1) / total,
            "balanced_accuracy": np.nanmean(recall, axis=1),
            "f1": np.nanmean(f1, axis=1),
            "kappa": kappa,
            "error": np.einsum("dij,ij->d", tables, distance) / total,
        }


def severity_cells(predicted: NDArray[np.int64], truth: NDArray[np.int64], *, draws: int, seed: int) -> dict[str, Cell]:
    """Compute every metric with its 95 % interval over draws of children."""
    from childgait.metrics.intervals import draw_weights, interval

    plain = measure_levels(confusion_tables(predicted, truth, np.ones((1, len(truth)))))
    drawn = measure_levels(confusion_tables(predicted, truth, draw_weights(len(truth), draws, seed))) if draws else None
    reason = "all children have one level, and nothing else was said"
    return {
        name: make_cell(float(plain[name][0]), None if drawn is None else interval(drawn[name]), reason)
        for name in SEVERITY_METRICS
    }


def commonest(levels: NDArray[np.int64]) -> int:
    """Return the level of most children, the lower of equals: a prediction without any input."""
    return int(np.bincount(levels, minlength=LEVELS[-1] + 1)[1:].argmax()) + 1
