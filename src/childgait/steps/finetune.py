"""Train a model on the training children; validate it on the validation children. The test children are not read.

One job per model, fold and seed. A killed job resumes from its last checkpoint, kept in an untracked folder until the
job is done. Under torchrun the processes share every step, and the first of them writes.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.engine.flags import Input, Output
from childgait.params import Finetune

if TYPE_CHECKING:
    from childgait.files.clips import Clip
    from childgait.files.model_description import ModelDescription
    from childgait.files.parts import Part
    from childgait.models.registry import Model
    from childgait.training.fit import FitResult

METHODS = (
    "Networks learnt with a masked binary cross-entropy over 34 targets ({networks}); fitted in one go: {fitted}. Test "
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
    checkpoint: Path = Path(".cache/finetune"),
) -> None:
    """Train `model_name` on one fold with one seed; write its weights, its description and its learning curve.

    `unlabelled` are clips of children in no part of any fold, for a mean teacher; `assignment` has every child's part.
    `pretrained` is the network's checkpoint of the stage pretrain and its description.
    """
    from safetensors.numpy import save_file

    from childgait.engine.record import add_run_note
    from childgait.files.clips import open_clip
    from childgait.files.hashes import sha256
    from childgait.files.parts import open_part
    from childgait.models.registry import find_model, settings_of
    from childgait.training.fit import fit_network, fit_table

    selected = find_model(model_name)
    settings = settings_of(selected, params)
    parts = {"train": open_part(train, clips), "validation": open_part(validation, clips)}
    _check_parts(parts)
    pool = [open_clip(path) for path in unlabelled or []]
    _check_pool({clip.subject for clip in pool}, assignment)
    fingerprint = _fingerprint(
        model_name, fold, seed, settings, [train, validation], [*clips, *(unlabelled or [])], pretrained
    )
    save_as = checkpoint / f"{model_name}-{fold}-{seed}.safetensors"
    leads = os.environ.get("RANK", "0") == "0"
    with _tracked(leads, selected, fold, seed, settings, parts, fingerprint) as run:
        if selected.kind == "table":
            result = fit_table(selected, settings, parts["train"], seed=seed)
        else:
            result = fit_network(
                selected,
                settings,
                parts["train"],
                parts["validation"],
                seed=seed,
                save_as=save_as,
                fingerprint=fingerprint,
                unlabelled=pool,
                pretrained=next((path for path in pretrained or [] if path.suffix == ".safetensors"), None),
                on_epoch=lambda row, speed: run.metrics(int(row["epoch"]), row | speed),
            )
        if not leads:
            return
        save_file(result.weights, weights)
        describe(selected, fold, seed, settings, parts, result, pool).write(model)
        _write_history(history, result.history)
        for name, table in (("train", train), ("validation", validation)):
            run.data(name, table, _hash_of_data(table, parts[name]))
        run.tags({"weights_sha256": sha256(weights)})
        run.model(weights, model)
        add_run_note(mlflow_run=run.id)
    save_as.unlink(missing_ok=True)
    run_name = f"{model_name}, fold {fold}, seed {seed}"
    log.info("finetune: %s trained on %d clips%s", run_name, len(parts["train"].clips), _last_losses(result.history))


def _last_losses(history: list[dict[str, float]]) -> str:
    """Format the losses of the last epoch for the log; empty for a model without epochs."""
    last = history[-1] if history else {}
    losses = ", ".join(f"{key} {last[key]:.3f}" for key in ("loss", "validation_loss") if key in last)
    return f" ({losses})" if losses else ""


def _check_parts(parts: dict[str, Part]) -> None:
    """Check against a leak: no child is in both parts, and both parts are of one split."""
    from childgait.errors import StepError

    children = {name: set(part.table["subject"]) for name, part in parts.items()}
    if both := sorted(children["train"] & children["validation"]):
        raise StepError(f"child {both[0]} is in train and in validation", hint="run split_subjects again")
    hashes = {part.table["split_hash"][0] for part in parts.values()}
    if len(hashes) != 1:
        raise StepError("the train and validation tables are of two splits", hint="run split_subjects again")


def _check_pool(children: set[str], assignment: Path | None) -> None:
    """Check that no child of the mean teacher's pool is in a part of a fold, so that no run tests it."""
    from childgait.errors import StepError
    from childgait.files.split import assigned_children

    if not children:
        return
    if assignment is None:
        raise StepError(
            "--unlabelled needs --assignment",
            hint="give data/split_subjects/subjects.csv, which has every child's part",
        )
    placed = assigned_children(assignment)
    if both := sorted(children & placed.keys()):
        raise StepError(
            f"child {both[0]} is in the unlabelled pool, but is {placed[both[0]]}",
            hint="the pool is for children in no part of any fold; a test child must never be in it",
        )


def _fingerprint(
    name: str,
    fold: str,
    seed: int,
    settings: Finetune,
    tables: list[Path],
    clips: list[Path],
    pretrained: list[Path] | None,
) -> str:
    """Return a hash of model, settings, data and code, which a checkpoint must have to be resumed."""
    from childgait.engine.record import describe_code
    from childgait.files.hashes import sha256, sha256_of_text

    arrays = sorted(
        path for clip in clips for path in clip.parent.glob(clip.name.removesuffix(".clip.json") + ".*.npy")
    )
    stamps = [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in arrays]
    inputs = [
        name,
        fold,
        seed,
        settings.of_run().model_dump(mode="json"),
        [sha256(p) for p in [*tables, *clips, *(pretrained or [])]],
        stamps,
        describe_code(finetune),
    ]
    return sha256_of_text(json.dumps(inputs, sort_keys=True))


def _hash_of_data(table: Path, part: Part) -> str:
    """Return a hash of a part's table and clips: their descriptions hold the hashes of frames, masks and points."""
    from childgait.files.hashes import sha256, sha256_of_text

    files = [table, *sorted(clip.facts_path for clip in part.clips)]
    return sha256_of_text("".join(f"{path.name} {sha256(path)}\n" for path in files))


def describe(
    model: Model,
    fold: str,
    seed: int,
    settings: Finetune,
    parts: dict[str, Part],
    result: FitResult,
    pool: Sequence[Clip] = (),
) -> ModelDescription:
    """Return the description of a trained model."""
    from childgait.files.model_description import ModelDescription

    children = {name: sorted(set(part.table["subject"])) for name, part in parts.items()}
    clips = {name: len(part.clips) for name, part in parts.items()}
    if pool:  # `evaluate` refuses a test child among any of these
        children["unlabelled"] = sorted({clip.subject for clip in pool})
        clips["unlabelled"] = len(pool)
    return ModelDescription(
        model=model.name,
        kind=model.kind,
        remark=model.remark,
        fold=fold,
        seed=seed,
        settings=settings.of_run(),
        split_hash=parts["train"].table["split_hash"][0],
        children=children,
        clips=clips,
        kept_epoch=result.kept_epoch,
        pretrained=result.pretrained,
        facts=result.facts,
    )


def _write_history(path: Path, rows: list[dict[str, float]]) -> None:
    import polars as pl

    from childgait.training.fit import CURVES

    curves = [*CURVES, *(name for name in (rows[0] if rows else ()) if name not in CURVES)]  # a mean teacher has more
    schema = dict.fromkeys(curves, pl.Float64)
    pl.DataFrame([{name: row[name] for name in curves} for row in rows], schema=schema).write_csv(
        path, float_precision=6
    )


def _tracked(
    leads: bool, model: Model, fold: str, seed: int, settings: Finetune, parts: dict[str, Part], fingerprint: str
) -> Any:
    """Return the MLflow run of this job; a table model and a process that does not lead have none."""
    from contextlib import nullcontext

    from childgait.engine.mlflow_tracking import TrackedRun, track_run
    from childgait.engine.record import git_state

    if not leads or model.kind == "table":
        return nullcontext(TrackedRun())
    split_hash = parts["train"].table["split_hash"][0]
    tags = {
        "model": model.name,
        "fold": fold,
        "seed": str(seed),
        "split_hash": split_hash,
        "weights_from": settings.weights_sha256 or "from scratch",
        "commit": str(git_state()["commit"]),
    }
    values = settings.of_run().model_dump(mode="json")
    return track_run(model.name, f"{model.name} {fold}-{seed}", values, tags, fingerprint)
