"""Train a network of finetune on the motor severity of the same children, and grade the test children.

Only in cohorts with such a column. The network, its settings and the children of each part are those of the run of
finetune that it starts from; only the last layer is new. The commonest level of the training children is the baseline.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.engine.flags import Input, Output
from childgait.errors import StepError
from childgait.params import GradeSeverity

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from childgait.files.model_description import ModelDescription
    from childgait.training.severity import Graded

log = logging.getLogger("childgait")


def grade_severity(
    weights: Input,
    model: Input,
    train: Input,
    validation: Input,
    test: Input,
    subjects: Input,
    clips: list[Input],
    weights_out: Output,
    levels: Output,
    metrics: Output,
    model_name: str,
    fold: str,
    seed: int,
    params: GradeSeverity,
    checkpoint: Path = Path(".cache/finetune"),
) -> None:
    """Train one run's network on the levels, grade its test children; write weights, levels and metrics."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    from childgait.files.atomic import write_json
    from childgait.files.labels import SUBJECTS
    from childgait.files.parts import open_part
    from childgait.files.tables import read_table
    from childgait.training import severity
    from childgait.training.leak_checks import check_children_unseen, check_split
    from childgait.training.predict import TrainedModel, settings_from

    description = _read_network(model, model_name, fold, seed)
    level_of = dict(read_table(subjects, SUBJECTS).select("subject", "severity").iter_rows())
    paths = {"train": train, "validation": validation, "test": test}
    parts = {name: severity.part_of_levels(open_part(path, clips), level_of, path) for name, path in paths.items()}
    for name, part in parts.items():
        check_split(description, model, paths[name], part.table)
        check_children_unseen(description, paths[name], part.table["subject"], name)
    save_as = checkpoint / f"severity-{model_name}-{fold}-{seed}.safetensors"
    network, outcome = severity.train_on_levels(
        TrainedModel(description, load_file(weights)),
        parts["train"],
        parts["validation"],
        seed=seed,
        save_as=save_as,
        fingerprint=_fingerprint([model, weights, *paths.values(), subjects, *clips]),
    )
    graded = severity.grade(network, settings_from(description), parts["test"], params.windows_per_video)
    truth, commonest = severity.levels_of(parts["test"]), severity.commonest(severity.levels_of(parts["train"]))
    result = {
        "model": model_name,
        "fold": fold,
        "seed": seed,
        "split_hash": description.split_hash,
        "kept_epoch": outcome.kept_epoch,
        "children": {name: len(severity.levels_of(part)) for name, part in parts.items()},
        "without_level": {name: _children_without_level(paths[name], part.table) for name, part in parts.items()},
    }
    save_file({name: value.numpy() for name, value in outcome.weights.items()}, weights_out)
    _write_levels(levels, graded, truth, commonest)
    write_json(metrics, result | _evaluation(graded.levels, truth, commonest, params))
    save_as.unlink(missing_ok=True)
    run_name, accuracy = f"{model_name}, fold {fold}, seed {seed}", float(np.mean(graded.levels == truth))
    log.info("grade_severity: %s on %d children: accuracy %.3f", run_name, len(truth), accuracy)
    log.info("grade_severity: accuracy of the commonest level %.3f", np.mean(truth == commonest))


def _read_network(model: Path, model_name: str, fold: str, seed: int) -> ModelDescription:
    """Read the description of the run to start from; StepError for another run's, or a model without a last layer."""
    from childgait.files.model_description import ModelDescription
    from childgait.training.leak_checks import check_run

    description = ModelDescription.read(model)
    check_run(description, model, model_name, fold, seed)
    if description.kind != "network":
        raise StepError(
            f"{model_name} is no network: it has no last layer to replace",
            hint="name networks in grade_severity.models",
        )
    return description


def _evaluation(
    predicted: NDArray[np.int64], truth: NDArray[np.int64], commonest: int, params: GradeSeverity
) -> dict[str, object]:
    """Compute the confusion table and the metrics of the network, and those of the commonest level for all children."""
    import numpy as np

    from childgait.training.severity import confusion_tables

    table = confusion_tables(predicted, truth, np.ones((1, len(truth))))[0]
    return {
        "confusion": table.astype(int).tolist(),
        "metrics": _metrics(predicted, truth, params),
        "commonest": {"level": commonest} | _metrics(np.full_like(truth, commonest), truth, params),
    }


def _metrics(predicted: NDArray[np.int64], truth: NDArray[np.int64], params: GradeSeverity) -> dict[str, object]:
    """Compute every severity metric with its interval, as plain values for a file."""
    from childgait.training.severity import severity_cells

    cells = severity_cells(predicted, truth, draws=params.bootstrap, seed=params.seed)
    return {name: cell.as_json() for name, cell in cells.items()}


def _children_without_level(path: Path, kept: pl.DataFrame) -> list[str]:
    """Return the children of the part whose level is missing."""
    from childgait.files.split import read_part

    return sorted(set(read_part(path)["subject"]) - set(kept["subject"]))


def _fingerprint(inputs: list[Path]) -> str:
    """Return a hash of the inputs and the code, which a checkpoint must have to be resumed."""
    from childgait.engine.record import describe_code
    from childgait.files.hashes import sha256, sha256_of_text

    return sha256_of_text(json.dumps([*(sha256(path) for path in inputs), describe_code(grade_severity)]))


def _write_levels(path: Path, graded: Graded, truth: NDArray[np.int64], commonest: int) -> None:
    """Write one row per test child: true and predicted level, commonest level, probability of each threshold."""
    import polars as pl

    from childgait.training.severity import THRESHOLDS

    columns = {"subject": graded.subjects, "level": truth, "said": graded.levels, "commonest": [commonest] * len(truth)}
    columns |= {f"at_least_{level}": graded.probabilities[:, n] for n, level in enumerate(THRESHOLDS)}
    pl.DataFrame(columns).write_csv(path, float_precision=6)
