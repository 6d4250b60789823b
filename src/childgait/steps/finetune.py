"""Train a model on the training children; validate it on the validation children. The test children are not read.

One job per model, fold and seed. A killed job resumes from its last checkpoint, kept in an untracked folder until the
job is done. Under torchrun the processes share every step, and the first of them writes.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.engine.flags import Input, Output
from childgait.params import Finetune

if TYPE_CHECKING:
    from childgait.engine.mlflow_tracking import TrackedRun
    from childgait.files.parts import Part
    from childgait.models.registry import Model
    from childgait.training.fit import FitResult

METHODS = (
    "Networks learnt with a masked {losses} over 34 targets ({networks}); fitted in one go: {fitted}. Test "
    "children were never given to training (seeds {seeds})."
)
log = logging.getLogger("childgait")


def finetune(
    train: Input,
    validation: Input,
    clips: list[Input],
    weights: Output,
    model: Output,
    history: Output,
    model_name: str,
    fold: str,
    seed: int,
    params: Finetune,
    unlabelled: list[Input] | None = None,
    assignment: Input | None = None,
    pretrained: list[Input] | None = None,
    teacher: list[Input] | None = None,
    checkpoint: Path = Path(".cache/finetune"),
) -> None:
    """Train `model_name` on one fold with one seed; write its weights, its description and its learning curve.

    `unlabelled` are clips of children in no part of any fold, for a mean teacher; `assignment` has every child's part.
    `pretrained` is the network's checkpoint of the stage pretrain and its description; `teacher` are weights and
    description of the run that it is distilled from.
    """
    from safetensors.numpy import save_file

    from childgait.engine.mlflow_tracking import track_training
    from childgait.engine.record import describe_code
    from childgait.files.clips import open_clip
    from childgait.files.parts import open_part
    from childgait.models.registry import find_model, settings_of
    from childgait.training.checkpoint import run_fingerprint
    from childgait.training.description import describe, last_losses, write_history
    from childgait.training.leak_checks import check_parts, check_pool
    from childgait.training.teacher_run import read_teacher

    selected = find_model(model_name)
    settings = _resolve(selected, settings_of(selected, params))
    parts = {"train": open_part(train, clips), "validation": open_part(validation, clips)}
    check_parts(parts)
    pool = [open_clip(path) for path in unlabelled or []]
    check_pool({clip.subject for clip in pool}, assignment)
    teacher_run = read_teacher(teacher or [], settings, fold, seed, train, parts["train"])
    inputs, code = [*clips, *(unlabelled or [])], describe_code(finetune)
    started_from = [*(pretrained or []), *(teacher or [])]
    fingerprint = run_fingerprint(model_name, fold, seed, settings, [train, validation], inputs, started_from, code)
    save_as = checkpoint / f"{model_name}-{fold}-{seed}.safetensors"
    split_hash = parts["train"].table["split_hash"][0]
    leads = os.environ.get("RANK", "0") == "0"
    with track_training(leads, selected, fold, seed, settings, split_hash, fingerprint) as run:
        result = _fit(
            *(selected, settings, parts),
            seed=seed,
            save_as=save_as,
            fingerprint=fingerprint,
            unlabelled=pool,
            pretrained=next((path for path in pretrained or [] if path.suffix == ".safetensors"), None),
            teacher=teacher_run,
            on_epoch=lambda row, speed: run.metrics(int(row["epoch"]), row | speed),
        )
        if not leads:
            return
        save_file(result.weights, weights)
        describe(selected, fold, seed, settings, parts, result, pool, teacher_run).write(model)
        write_history(history, result.history)
        _log_run(run, {"train": train, "validation": validation}, parts, weights, model)
    save_as.unlink(missing_ok=True)
    name, losses = f"{model_name}, fold {fold}, seed {seed}", last_losses(result.history)
    log.info("finetune: %s trained on %d clips%s", name, len(parts["train"].clips), losses)


def _log_run(run: TrackedRun, tables: dict[str, Path], parts: dict[str, Part], weights: Path, model: Path) -> None:
    """Log data, weights and model of a finished run to MLflow, and its id to the record."""
    from childgait.engine.record import add_run_note
    from childgait.files.hashes import sha256
    from childgait.files.parts import hash_of_part

    for name, table in tables.items():
        run.data(name, table, hash_of_part(table, parts[name]))
    run.tags({"weights_sha256": sha256(weights)})
    run.model(weights, model)
    add_run_note(mlflow_run=run.id)


def _resolve(model: Model, settings: Finetune) -> Finetune:
    """Return the settings with the precision that `auto` stands for on this machine; a table model has fp32."""
    from childgait.training.precision import resolve_precision

    return settings.model_copy(update={"precision": "fp32"}) if model.kind == "table" else resolve_precision(settings)


def _fit(model: Model, settings: Finetune, parts: dict[str, Part], *, seed: int, **of_network: Any) -> FitResult:
    """Fit a table model, or train a network with the options that only a network has."""
    from childgait.training.fit import fit_network, fit_table

    if model.kind == "table":
        return fit_table(model, settings, parts["train"], seed=seed)
    return fit_network(model, settings, parts["train"], parts["validation"], seed=seed, **of_network)
