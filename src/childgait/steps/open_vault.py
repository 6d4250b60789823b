"""Evaluate a run on the sealed children of the vault, if params name a git tag that is on the checked out commit.

The opening is written into the register (annotations/vault.csv) before the children are predicted, and completed with
the result. Calibration comes from the run's validation children, as in evaluate.
"""

from __future__ import annotations

from pathlib import Path

from childgait.engine.flags import Input, Output
from childgait.params import OpenVault


def open_vault(
    weights: Input,
    model: Input,
    validation: Input,
    vault: Input,
    clips: list[Input],
    settings: Input,
    predictions: Output,
    metrics: Output,
    opening: Output,
    model_name: str,
    fold: str,
    seed: int,
    register: Path,
    params: OpenVault,
) -> None:
    """Check the tag, record the opening, predict the sealed children; write predictions, metrics and the opening.

    `settings` is params.yaml, whose section evaluate holds as for the test children.
    """
    from dataclasses import asdict

    from safetensors.numpy import load_file

    from childgait.engine.git_tags import open_by_tag
    from childgait.files.atomic import write_json
    from childgait.files.model_description import ModelDescription
    from childgait.files.parts import open_part, with_clips
    from childgait.files.predictions import PREDICTIONS
    from childgait.files.tables import write_table
    from childgait.files.vault import VaultRow, read_vault, record_opening, with_result
    from childgait.metrics.run_metrics import write_run_metrics
    from childgait.params import Evaluate, load_section
    from childgait.training.evaluation import evaluate_model, log_summary
    from childgait.training.leak_checks import check_children_unseen, check_run, check_split
    from childgait.training.predict import TrainedModel

    opened = open_by_tag(params.tag, register=str(register))
    run = ModelDescription.read(model)
    check_run(run, model, model_name, fold, seed)
    fitted = open_part(validation, clips)
    check_split(run, model, validation, fitted.table)
    table = read_vault(vault, opened)
    check_children_unseen(run, vault, table["subject"], "vault")
    row = VaultRow(
        opened.tag, opened.commit, table["split_hash"][0], model_name, fold, seed, table["subject"].n_unique()
    )
    record_opening(register, row)
    sealed = with_clips(vault, table, clips)
    trained, evaluation = TrainedModel(run, load_file(weights)), load_section(settings, Evaluate)
    evaluated = evaluate_model(trained, fitted, sealed, evaluation, part="vault")
    cell = evaluated.metrics.natural.groups["overall"]["balanced_accuracy"]
    row = with_result(row, cell.value, cell.low, cell.high)
    write_table(predictions, evaluated.predictions, PREDICTIONS)
    write_run_metrics(metrics, evaluated.metrics)
    write_json(opening, asdict(row))
    record_opening(register, row)
    log_summary("open_vault", evaluated.metrics)
