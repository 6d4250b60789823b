"""Predict validation and test children with a trained model; write every probability and every metric.

Calibration and thresholds come from the validation children; the test children are only predicted.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from childgait.engine.flags import Input, Output
from childgait.params import Evaluate

if TYPE_CHECKING:
    from childgait.metrics.run_metrics import RunMetrics, TrainingLength
    from childgait.params import Finetune

METHODS = (
    "Each video was predicted in {windows_per_video} windows; logits were averaged over windows, then over the child's "
    "videos that show the item. Probabilities were calibrated on validation children only: the loss's class weights "
    "were undone, then an intercept and a slope per item were fitted, shrunk towards those of all items. Intervals are "
    "Wilson's for proportions, DeLong's for AUROC, and of the jackknife over children for all else."
)
log = logging.getLogger("childgait")


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
    import polars as pl
    from safetensors.numpy import load_file

    from childgait.files.model_description import ModelDescription
    from childgait.files.parts import open_part
    from childgait.files.predictions import PREDICTIONS
    from childgait.files.tables import write_table
    from childgait.metrics.aggregate import predictions_table
    from childgait.metrics.of_run import evaluate_run
    from childgait.metrics.run_metrics import RunMetrics, write_run_metrics
    from childgait.models.registry import find_model
    from childgait.training.leak_checks import check_children_unseen, check_run, check_split
    from childgait.training.predict import predict, settings_from
    from childgait.training.run_facts import appearance_of, explanations, inputs_and_cost

    run = ModelDescription.read(model)
    check_run(run, model, model_name, fold, seed)
    parts = {"validation": open_part(validation, clips), "test": open_part(test, clips)}
    for path, part in zip((validation, test), parts.values(), strict=True):
        check_split(run, model, path, part.table)
    check_children_unseen(run, test, parts["test"].table["subject"])
    network, arrays, settings, facts = find_model(model_name), load_file(weights), settings_from(run), run.facts
    logits = {
        name: predict(network, settings, arrays, facts, part, params.windows_per_video) for name, part in parts.items()
    }
    result, calibration = evaluate_run(
        parts["validation"],
        logits["validation"],
        parts["test"],
        logits["test"],
        params,
        facts.get("positive_weights"),
    )
    frames = [predictions_table(name, part, logits[name], calibration) for name, part in parts.items()]
    write_table(predictions, pl.concat(frames), PREDICTIONS)
    cost = inputs_and_cost(network, settings, facts, parts["test"])
    is_network = network.kind == "network"
    run_metrics = RunMetrics(
        **dict(result),
        **{key: getattr(run, key) for key in ("model", "remark", "fold", "seed", "split_hash", "kept_epoch")},
        weights_from=facts.get("weights_from", "fitted"),
        pretrained=run.pretrained,
        trained=_training_length(settings) if is_network else None,
        trained_on={name: len(children) for name, children in run.children.items()},
        inputs=cost.inputs,
        parameters=cost.parameters,
        operations=cost.operations,
        **explanations(network, settings, facts, parts["test"]),
        **appearance_of(network, settings, arrays, facts, params.appearances),
    )
    write_run_metrics(metrics, run_metrics)
    _log_summary(run_metrics)


def _training_length(settings: Finetune) -> TrainingLength:
    """Return how a network was trained; the default loss stays unset, so that the file leaves it out."""
    from childgait.metrics.run_metrics import TrainingLength

    length = TrainingLength(epochs=settings.epochs, frames=settings.frames)
    return length if settings.loss == "bce" else TrainingLength(**length.model_dump() | {"loss": settings.loss})


def _log_summary(metrics: RunMetrics) -> None:
    """Log the means over targets, and warn of targets whose balanced accuracy is undefined."""
    overall = metrics.natural.groups["overall"]
    values = {name: overall[name].value for name in ("accuracy", "balanced_accuracy", "f1")}
    text = ", ".join(f"{name} {value:.3f}" for name, value in values.items() if value is not None)
    log.info("evaluate: %s on %d children: %s", metrics.name, metrics.children["test"], text)
    cells = {target: row.balanced_accuracy for target, row in metrics.natural.targets.items()}
    undefined = [target for target, cell in cells.items() if cell.value is None]
    if undefined:
        reasons = sorted({str(cells[target].reason) for target in undefined})
        log.warning("evaluate: balanced accuracy is not defined for %s (%s)", ", ".join(undefined), "; ".join(reasons))
