"""A network that has learnt the 34 items learns the motor severity of the same children, and grades the test children.

Where the cohort has such a column. The network, its settings and the children of each part are those of the run of
finetune that it starts from; only the last layer is new. The commonest level of the training children is judged beside
it.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.engine.flags import Input, Output
from childgait.errors import StepError
from childgait.params import GradeSeverity

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

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
    """Teach the levels to one run's network, grade its test children; write weights, levels and metrics."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    from childgait.files.atomic import write_json
    from childgait.files.labels import SUBJECTS
    from childgait.files.parts import open_part
    from childgait.files.tables import read_table
    from childgait.models.registry import find_model
    from childgait.training import severity
    from childgait.training.leak_checks import check_run, check_split, check_unseen
    from childgait.training.predict import settings_from

    told = json.loads(model.read_text(encoding="utf-8"))
    check_run(told, model, model_name, fold, seed)
    if told["kind"] != "network":
        raise StepError(
            f"{model_name} is no network: it has no last layer to replace",
            hint="name networks in grade_severity.models",
        )
    people = read_table(subjects, SUBJECTS)
    level_of = dict(people.select("subject", "severity").iter_rows())
    paths = {"train": train, "validation": validation, "test": test}
    parts = {name: severity.part_of_levels(open_part(path, clips), level_of, path) for name, path in paths.items()}
    for name, part in parts.items():
        check_split(told, model, paths[name], part.table)
        check_unseen(told, paths[name], part.table["subject"], name)
    chosen, settings = find_model(model_name), settings_from(told)
    save_as = checkpoint / f"severity-{model_name}-{fold}-{seed}.safetensors"
    network, outcome = severity.learn_levels(
        chosen,
        settings,
        told,
        load_file(weights),
        parts["train"],
        parts["validation"],
        seed=seed,
        save_as=save_as,
        fingerprint=_fingerprint([model, weights, *paths.values(), subjects, *clips]),
    )
    graded = severity.grade(network, settings, parts["test"], params.windows_per_video)
    truth, usual = severity.levels_of(parts["test"]), severity.commonest(severity.levels_of(parts["train"]))
    found = {
        "model": model_name,
        "fold": fold,
        "seed": seed,
        "split_hash": told["split_hash"],
        "kept_epoch": outcome.kept_epoch,
        "children": {name: len(severity.levels_of(part)) for name, part in parts.items()},
        "without_level": {name: _gone(paths[name], part.table) for name, part in parts.items()},
        "confusion": severity.confusions(graded.levels, truth, np.ones((1, len(truth))))[0].astype(int).tolist(),
        "metrics": _metrics(graded.levels, truth, params),
        "commonest": {"level": usual} | _metrics(np.full_like(truth, usual), truth, params),
    }
    save_file({name: value.numpy() for name, value in outcome.weights.items()}, weights_out)
    _write_levels(levels, graded, truth, usual)
    write_json(metrics, found)
    save_as.unlink(missing_ok=True)
    log.info(
        "grade_severity: %s, fold %s, seed %d on %d children: accuracy %.3f, the commonest level's %.3f",
        model_name,
        fold,
        seed,
        len(truth),
        np.mean(graded.levels == truth),
        np.mean(usual == truth),
    )


def _metrics(predicted: NDArray[np.int64], truth: NDArray[np.int64], params: GradeSeverity) -> dict[str, object]:
    """Compute every severity metric with its interval, as plain values for a file."""
    from childgait.training.severity import severity_cells

    cells = severity_cells(predicted, truth, draws=params.bootstrap, seed=params.seed)
    return {name: cell.as_json() for name, cell in cells.items()}


def _gone(path: Path, kept: pl.DataFrame) -> list[str]:
    """Children of the part whose level nobody gave."""
    from childgait.files.split import read_part

    return sorted(set(read_part(path)["subject"]) - set(kept["subject"]))


def _fingerprint(made_of: list[Path]) -> str:
    from childgait.engine.record import describe_code
    from childgait.files.hashes import sha256, sha256_of_text

    return sha256_of_text(json.dumps([*(sha256(path) for path in made_of), describe_code(grade_severity)]))


def _write_levels(path: Path, graded: Any, truth: Any, usual: int) -> None:
    """A row a test child: the true level, the level said, the probability of each question, what ignorance
    would say."""
    import polars as pl

    from childgait.training.severity import QUESTIONS

    columns = {"subject": graded.subjects, "level": truth, "said": graded.levels, "commonest": [usual] * len(truth)}
    columns |= {f"at_least_{level}": graded.probabilities[:, n] for n, level in enumerate(QUESTIONS)}
    pl.DataFrame(columns).write_csv(path, float_precision=6)
