"""Describes a trained model: model.json beside its weights, its learning curve, and a line for the log."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from childgait.files.clips import Clip
from childgait.files.model_description import ModelDescription
from childgait.files.parts import Part
from childgait.models.registry import Model
from childgait.params import Finetune
from childgait.training.fit import CURVES, FitResult
from childgait.training.teacher_run import TeacherRun


def describe(
    model: Model,
    fold: str,
    seed: int,
    settings: Finetune,
    parts: dict[str, Part],
    result: FitResult,
    pool: Sequence[Clip] = (),
    teacher: TeacherRun | None = None,
) -> ModelDescription:
    """Return the description of a trained model."""
    children = {name: sorted(set(part.table["subject"])) for name, part in parts.items()}
    clips = {name: len(part.clips) for name, part in parts.items()}
    if pool:  # `evaluate` refuses a test child among any of these
        children["unlabelled"] = sorted({clip.subject for clip in pool})
        clips["unlabelled"] = len(pool)
    if result.pretrained and (subjects := result.pretrained.get("subjects")):
        children["pretraining"] = subjects
    for name, names in (teacher.other_children() if teacher else {}).items():
        children[name] = sorted({*children.get(name, []), *names})
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


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """Write the learning curve, one row per epoch."""
    import polars as pl

    curves = [*CURVES, *(name for name in (rows[0] if rows else ()) if name not in CURVES)]  # a mean teacher has more
    schema = dict.fromkeys(curves, pl.Float64)
    pl.DataFrame([{name: row[name] for name in curves} for row in rows], schema=schema).write_csv(
        path, float_precision=6
    )


def last_losses(history: list[dict[str, float]]) -> str:
    """Format the losses of the last epoch for the log; empty for a model without epochs."""
    last = history[-1] if history else {}
    losses = ", ".join(f"{key} {last[key]:.3f}" for key in ("loss", "validation_loss") if key in last)
    return f" ({losses})" if losses else ""
