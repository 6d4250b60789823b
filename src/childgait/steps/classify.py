"""Train a network of finetune on another task of the same children, and classify the test children.

The tasks are motor severity, gait types of each limb, knee alignment and scoliosis (domain/tasks.py), in cohorts with
such columns. The network, its settings and the children of each part are those of the run of finetune that it starts
from; only the last layer is new. The commonest class of the training children is the baseline.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.engine.flags import Input, Output
from childgait.errors import StepError
from childgait.params import Classify

if TYPE_CHECKING:
    import polars as pl

    from childgait.files.model_description import ModelDescription
    from childgait.training.classes import Classes, Classified

log = logging.getLogger("childgait")


def classify(
    weights: Input,
    model: Input,
    train: Input,
    validation: Input,
    test: Input,
    subjects: Input,
    clips: list[Input],
    weights_out: Output,
    classes: Output,
    metrics: Output,
    task_name: str,
    model_name: str,
    fold: str,
    seed: int,
    params: Classify,
    checkpoint: Path = Path(".cache/finetune"),
) -> None:
    """Train one run's network on a task, classify its test children; write weights, classes and metrics."""
    from safetensors.numpy import load_file, save_file

    from childgait.domain.tasks import TASKS
    from childgait.files.atomic import write_json
    from childgait.files.labels import SUBJECTS
    from childgait.files.parts import children_of, open_part
    from childgait.files.tables import read_table
    from childgait.training import classes as training
    from childgait.training.leak_checks import check_children_unseen, check_split
    from childgait.training.predict import TrainedModel

    task, description = TASKS[task_name], read_network(model, model_name, fold, seed)
    classes_of = training.classes_of_children(read_table(subjects, SUBJECTS), task)
    paths = {"train": train, "validation": validation, "test": test}
    parts = {
        name: training.part_of_task(open_part(path, clips), task, classes_of, path) for name, path in paths.items()
    }
    for name, part in parts.items():
        check_split(description, model, paths[name], part.table)
        check_children_unseen(description, paths[name], part.table["subject"], name)
    save_as = checkpoint / f"{task_name}-{model_name}-{fold}-{seed}.safetensors"
    network, outcome = training.train_on_classes(
        TrainedModel(description, load_file(weights)),
        parts["train"],
        parts["validation"],
        seed=seed,
        save_as=save_as,
        fingerprint=_fingerprint(task_name, [model, weights, *paths.values(), subjects, *clips]),
    )
    predicted = training.classify_children(network, description, parts["test"], task, params.windows_per_video)
    truth = training.true_classes(parts["test"], task)
    commonest = training.commonest(training.true_classes(parts["train"], task))
    result = {
        "task": task_name,
        "classes": list(task.classes),
        "model": model_name,
        "fold": fold,
        "seed": seed,
        "split_hash": description.split_hash,
        "kept_epoch": outcome.kept_epoch,
        "children": {name: len(children_of(part.table)) for name, part in parts.items()},
        "without_class": {name: _children_without_class(paths[name], part.table) for name, part in parts.items()},
    }
    save_file({name: value.numpy() for name, value in outcome.weights.items()}, weights_out)
    _write_classes(classes, predicted, truth, commonest)
    write_json(metrics, result | _evaluation(predicted, truth, commonest, params))
    save_as.unlink(missing_ok=True)
    _log_accuracy(f"{task_name}, {model_name}, fold {fold}, seed {seed}", predicted.classes, truth, commonest)


def _log_accuracy(name: str, predicted: Classes, truth: Classes, commonest: int) -> None:
    """Log the accuracy of the network, and that of the commonest class, over the units whose class is known."""
    from childgait.training.classes import UNKNOWN

    known = truth != UNKNOWN
    log.info("classify: %s: accuracy %.3f", name, (predicted[known] == truth[known]).mean())
    log.info("classify: accuracy of the commonest class %.3f, of %d", (truth[known] == commonest).mean(), known.sum())


def read_network(model: Path, model_name: str, fold: str, seed: int) -> ModelDescription:
    """Read the description of the run to start from; StepError for another run's, or a model without a last layer."""
    from childgait.files.model_description import ModelDescription
    from childgait.training.leak_checks import check_run

    description = ModelDescription.read(model)
    check_run(description, model, model_name, fold, seed)
    if description.kind != "network":
        raise StepError(
            f"{model_name} is no network: it has no last layer to replace",
            hint="name networks in classify.models",
        )
    return description


def _evaluation(predicted: Classified, truth: Classes, commonest: int, params: Classify) -> dict[str, object]:
    """Compute the confusion table and the metrics of the network, and those of one class for all, where it is known."""
    import numpy as np

    from childgait.training.classes import UNKNOWN, class_cells, confusion_tables

    task, known = predicted.task, truth != UNKNOWN
    children = [child for child, is_known in zip(predicted.children, known, strict=True) if is_known]
    truth, own = truth[known], predicted.classes[known]

    def metrics(classes: Classes) -> dict[str, object]:
        cells = class_cells(classes, truth, children, task, draws=params.bootstrap, seed=params.seed)
        return {name: cell.as_json() for name, cell in cells.items()}

    table = confusion_tables(own, truth, np.ones((1, len(truth))), len(task.classes))[0]
    return {
        "confusion": table.astype(int).tolist(),
        "metrics": metrics(own),
        "commonest": {"class": task.classes[commonest]} | metrics(np.full_like(truth, commonest)),
    }


def _children_without_class(path: Path, kept: pl.DataFrame) -> list[str]:
    """Return the children of the part whose class is missing or shown in none of their recordings."""
    from childgait.files.split import read_part

    return sorted(set(read_part(path)["subject"]) - set(kept["subject"]))


def _fingerprint(task_name: str, inputs: list[Path]) -> str:
    """Return a hash of the task, the inputs and the code, which a checkpoint must have to be resumed."""
    from childgait.engine.record import describe_code
    from childgait.files.hashes import sha256, sha256_of_text

    return sha256_of_text(json.dumps([task_name, *(sha256(path) for path in inputs), describe_code(classify)]))


def _write_classes(path: Path, predicted: Classified, truth: Classes, commonest: int) -> None:
    """Write one row per unit: child, limb, true, predicted and commonest class, probability of each binary target."""
    import polars as pl

    from childgait.training.classes import UNKNOWN

    task = predicted.task
    names = {**dict(enumerate(task.classes)), UNKNOWN: None}
    columns = {
        "subject": predicted.children,
        "limb": predicted.limbs,
        "true": [names[one] for one in truth.tolist()],
        "predicted": [names[one] for one in predicted.classes.tolist()],
        "commonest": [task.classes[commonest]] * len(truth),
    }
    columns |= {name: predicted.probabilities[:, number] for number, name in enumerate(task.outputs)}
    pl.DataFrame(columns).write_csv(path, float_precision=6)
