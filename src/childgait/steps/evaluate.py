"""Predict validation and test children with a trained model; write every probability and every metric.

Calibration and thresholds come from the validation children; the test children are only predicted.
"""

from __future__ import annotations

from childgait.engine.flags import Input, Output
from childgait.params import Evaluate

METHODS = (
    "Each video was predicted in {windows_per_video} windows; logits were averaged over windows, then over the child's "
    "videos that show the item. Probabilities were calibrated on validation children only: the loss's class weights "
    "were undone, then an intercept and a slope per item were fitted, shrunk towards those of all items. Intervals are "
    "Wilson's for proportions, DeLong's for AUROC, and of the jackknife over children for all else."
)


def evaluate(
    weights: Input,
    model: Input,
    validation: Input,
    test: Input,
    clips: list[Input],
    predictions: Output,
    metrics: Output,
    model_name: str,
    fold: str,
    seed: int,
    params: Evaluate,
) -> None:
    """Predict the validation and test windows of one fold; write predictions and metrics."""
    from safetensors.numpy import load_file

    from childgait.files.model_description import ModelDescription
    from childgait.files.parts import open_part
    from childgait.files.predictions import PREDICTIONS
    from childgait.files.tables import write_table
    from childgait.metrics.run_metrics import write_run_metrics
    from childgait.training.evaluation import evaluate_model, log_summary
    from childgait.training.leak_checks import check_children_unseen, check_run, check_split
    from childgait.training.predict import TrainedModel

    run = ModelDescription.read(model)
    check_run(run, model, model_name, fold, seed)
    parts = {"validation": open_part(validation, clips), "test": open_part(test, clips)}
    for path, part in zip((validation, test), parts.values(), strict=True):
        check_split(run, model, path, part.table)
    check_children_unseen(run, test, parts["test"].table["subject"])
    evaluated = evaluate_model(TrainedModel(run, load_file(weights)), parts["validation"], parts["test"], params)
    write_table(predictions, evaluated.predictions, PREDICTIONS)
    write_run_metrics(metrics, evaluated.metrics)
    log_summary("evaluate", evaluated.metrics)
