"""Tasks of several classes as binary targets: severity, gait types of each limb, knee alignment, scoliosis.

Ordered classes are cumulative thresholds (Frank and Hall, "A Simple Approach to Ordinal Classification", ECML 2001):
the class is the number of thresholds with a probability of at least 0.5, so that an error by one class costs less than
one by two. Unordered classes are one target each, against the rest; the largest logit gives the class. The targets are
trained as the items are: masked cross-entropy, class weights from the training children, logits averaged over a child's
windows and videos.

A unit is what has a class: a child, or each limb of a child. Metrics are computed for many weightings of the same units
at once, as in metrics/scores.py; undefined ones are NaN. Intervals are over children: both limbs of a child together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.tasks import Task
from childgait.errors import StepError
from childgait.files.parts import Part, children_of, targets_by_child
from childgait.metrics.cells import Cell, make_cell
from childgait.metrics.scores import Array, sigmoid

if TYPE_CHECKING:
    import polars as pl

    from childgait.files.model_description import ModelDescription
    from childgait.models.network import Network
    from childgait.params import Finetune
    from childgait.training.loop import Outcome
    from childgait.training.predict import TrainedModel

Classes = NDArray[np.int64]  # indices into Task.classes; UNKNOWN where a unit has none
ClassesOf = Mapping[str, tuple[int, ...]]  # by child, of its limbs or of itself
UNKNOWN = -1


@dataclass(frozen=True)
class Classified:
    """Predictions of a task, one row per unit: the children in order, of each its limbs."""

    task: Task
    subjects: list[str]
    probabilities: Array  # (units, outputs) of the binary targets

    @property
    def classes(self) -> Classes:
        if self.task.ordered:
            return (self.probabilities >= 0.5).sum(axis=1)
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def limbs(self) -> list[str]:
        return [limb for _ in self.subjects for limb in self.task.limbs]

    @property
    def children(self) -> list[str]:
        """The child of every unit."""
        return [subject for subject in self.subjects for _ in self.task.limbs]


def classes_of_children(children: pl.DataFrame, task: Task) -> dict[str, tuple[int, ...]]:
    """Return the classes of every child with any, from the table SUBJECTS."""
    absent = [None] * children.height
    columns = [children[name].to_list() if name in children.columns else absent for name in task.columns]
    place = {name: number for number, name in enumerate(task.classes)}
    rows = {
        subject: tuple(UNKNOWN if value is None else place[str(value)] for value in values)
        for subject, *values in zip(children["subject"], *columns, strict=True)
    }
    return {subject: units for subject, units in rows.items() if set(units) != {UNKNOWN}}


def binary_targets(classes: Classes, task: Task) -> NDArray[np.float32]:
    """Return (units, outputs) the binary targets of classes, NaN where a unit has none."""
    of_output = np.arange(1, len(task.classes)) if task.ordered else np.arange(len(task.classes))
    known = classes[:, None] >= of_output if task.ordered else classes[:, None] == of_output
    return np.where(classes[:, None] == UNKNOWN, np.nan, known.astype(np.float32)).astype(np.float32)


def part_of_task(part: Part, task: Task, classes_of: ClassesOf, path: Path) -> Part:
    """Return the videos that show the task, of children with a class, with the task's binary targets as labels."""
    rows = part.table.select("subject", "view").iter_rows()
    known = [subject in classes_of and view in task.views for subject, view in rows]
    if not any(known):
        raise StepError(
            f"no child of {path} has a class of {task.name} and a recording that shows it",
            hint=f"add {' and '.join(task.columns)} ({', '.join(task.classes)}) to the cohort's subjects.csv, or take"
            f" {task.name} out of classify.tasks",
        )
    labelled = part.filter(known)
    classes = np.array([classes_of[subject] for subject in labelled.table["subject"]], dtype=np.int64)
    targets = binary_targets(classes.reshape(-1), task).reshape(len(classes), -1)
    return Part(labelled.table, labelled.clips, targets, task.mirrored)


def train_on_classes(
    trained: TrainedModel, train: Part, validation: Part, *, seed: int, save_as: Path, fingerprint: str
) -> tuple[Network, Outcome]:
    """Train a network of finetune on the binary targets, with a new classifier; return it and the run."""
    import torch

    from childgait.training.distributed import join_group, leave_group
    from childgait.training.fit import Fitting, set_class_prior
    from childgait.training.precision import resolve_precision
    from childgait.training.predict import prepare_torch, settings_from

    settings = resolve_precision(settings_from(trained.description))
    prepare_torch(settings)
    torch.manual_seed(seed)
    network = untrained_network(trained, settings)
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in trained.weights.items()})
    network.reset_classifier(train.atypical.shape[1])
    settings = settings.model_copy(update={"loss": "bce"})  # thresholds are ordinal themselves
    positive, _ = set_class_prior(network, train, settings)
    group = join_group(settings.device)
    try:
        fitting = Fitting(train, validation, positive, seed, group, fingerprint)
        outcome = fitting.run(network, settings, save_as=save_as)
    finally:
        leave_group(group)
    network.load_state_dict(outcome.weights)
    return network, outcome


def untrained_network(trained: TrainedModel, settings: Finetune) -> Network:
    """Build the network of a run, without its weights."""
    from childgait.models.registry import find_model

    return find_model(trained.description.model).build(settings, trained.description.facts["pixels"])


def network_of_task(trained: TrainedModel, task: Task) -> Network:
    """Return a network that was trained on a task; the description is that of the run it started from."""
    import torch

    from childgait.models.registry import find_model
    from childgait.training.predict import inference_settings, prepare_torch, settings_from

    settings = inference_settings(find_model(trained.description.model), settings_from(trained.description))
    prepare_torch(settings)
    network = untrained_network(trained, settings)
    network.reset_classifier(len(task.mirrored))
    network.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in trained.weights.items()})
    return network


def logits_by_child(network: Network, description: ModelDescription, part: Part, windows_per_video: int) -> Array:
    """Return (children, outputs): the mean logit of a child's windows, each video with the same weight.

    `description` is that of the run of finetune that the network started from.
    """
    from childgait.metrics.aggregate import mean_by_child, mean_by_video
    from childgait.models.registry import find_model
    from childgait.training.predict import inference_settings, loading_of, predict_windows, settings_from
    from childgait.training.windows import Windows

    settings = inference_settings(find_model(description.model), settings_from(description))
    network.to(settings.device)
    windows = Windows(part.clips, part.atypical, loading_of(network, settings), windows_per_video=windows_per_video)
    by_video = mean_by_video(predict_windows(network, windows, settings, settings.device), part.table.height)
    every = np.ones(by_video.shape, dtype=bool)
    return mean_by_child(by_video, every, part.table["subject"].to_numpy(), children_of(part.table))


def classify_children(
    network: Network, description: ModelDescription, part: Part, task: Task, windows_per_video: int
) -> Classified:
    """Classify the children of a part."""
    logits = logits_by_child(network, description, part, windows_per_video)
    return classified(task, children_of(part.table), logits)


def classified(task: Task, children: list[str], logits: Array) -> Classified:
    """Return the predictions that (children, outputs) logits stand for."""
    return Classified(task, children, sigmoid(logits.reshape(-1, len(task.outputs))))


def true_classes(part: Part, task: Task) -> Classes:
    """Return (units,) the true classes, from the binary targets; UNKNOWN where a limb has none."""
    targets = targets_by_child(part.table, part.atypical).reshape(-1, len(task.outputs))
    classes = targets.sum(axis=1) if task.ordered else np.nan_to_num(targets).argmax(axis=1)
    return np.where(np.isnan(targets).any(axis=1), UNKNOWN, np.nan_to_num(classes)).astype(np.int64)


def metrics_of(task: Task) -> tuple[str, ...]:
    """Return the names of a task's metrics: `error` is the mean distance, `challenge` the mean of accuracy and F1."""
    common = ("accuracy", "balanced_accuracy", "f1")
    return (*common, "kappa", "error") if task.ordered else (*common, "challenge")


def confusion_tables(predicted: Classes, truth: Classes, weights: Array, count: int) -> Array:
    """Return (D, K, K) units by true (rows) and predicted class (columns), for D weightings (D, N) of N units."""
    placed = np.eye(count**2)[truth * count + predicted]  # (N, K²)
    return (weights @ placed).reshape(-1, count, count)


def measure_classes(tables: Array, task: Task) -> dict[str, Array]:
    """Return (D,) every metric of the task, for D confusion tables."""
    total, correct = tables.sum(axis=(1, 2)), np.einsum("dii->di", tables)
    true, predicted = tables.sum(axis=2), tables.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(true > 0, correct / true, np.nan)
        both = true + predicted
        f1 = np.where(both > 0, 2 * correct / both, np.nan)  # of the classes that occur, true or predicted
        measured = {
            "accuracy": correct.sum(axis=1) / total,
            "balanced_accuracy": np.nanmean(recall, axis=1),
            "f1": np.nanmean(f1, axis=1),
        }
    if not task.ordered:
        return measured | {"challenge": (measured["accuracy"] + measured["f1"]) / 2}
    return measured | _ordinal_metrics(tables, total, true, predicted)


def _ordinal_metrics(tables: Array, total: Array, true: Array, predicted: Array) -> dict[str, Array]:
    """Return Cohen's kappa with quadratic weights, and the mean distance of true and predicted class."""
    order = np.arange(tables.shape[1])
    distance = np.abs(np.subtract.outer(order, order))
    with np.errstate(invalid="ignore", divide="ignore"):
        by_chance = true[:, :, None] * predicted[:, None, :] / total[:, None, None]
        disagreement = np.einsum("dij,ij->d", by_chance, distance**2.0)
        kappa = np.where(disagreement > 0, 1 - np.einsum("dij,ij->d", tables, distance**2.0) / disagreement, np.nan)
        return {"kappa": kappa, "error": np.einsum("dij,ij->d", tables, distance) / total}


def weights_of_units(children: list[str], draws: int, seed: int) -> Array:
    """Return (draws, units) how often each unit is drawn where children are: both limbs of a child together."""
    from childgait.metrics.intervals import draw_weights

    names, of_unit = np.unique(children, return_inverse=True)
    return draw_weights(len(names), draws, seed)[:, of_unit]


def class_cells(
    predicted: Classes, truth: Classes, children: list[str], task: Task, *, draws: int, seed: int
) -> dict[str, Cell]:
    """Compute every metric with its 95 % interval over draws of children; `children` is the child of every unit."""
    from childgait.metrics.intervals import interval

    count = len(task.classes)
    plain = measure_classes(confusion_tables(predicted, truth, np.ones((1, len(truth))), count), task)
    drawn = None
    if draws:
        weights = weights_of_units(children, draws, seed)
        drawn = measure_classes(confusion_tables(predicted, truth, weights, count), task)
    reason = "all have one class, and no other was predicted"
    return {
        name: make_cell(float(plain[name][0]), None if drawn is None else interval(drawn[name]), reason)
        for name in metrics_of(task)
    }


def commonest(classes: Classes) -> int:
    """Return the class of most units, the first of equals: a prediction without any input."""
    return int(np.bincount(classes[classes != UNKNOWN]).argmax())
