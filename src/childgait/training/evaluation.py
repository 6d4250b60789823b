"""Evaluates a trained model on the test children of a run, or on the vault: predictions and metrics.

Calibration and thresholds come from the validation children; the others are only predicted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from childgait.training.predict import TrainedModel, predict, settings_from

if TYPE_CHECKING:
    import polars as pl

    from childgait.files.parts import Part
    from childgait.metrics.run_metrics import RunMetrics, TrainingLength
    from childgait.params import Evaluate, Finetune

log = logging.getLogger("childgait")


@dataclass(frozen=True)
class EvaluatedRun:
    """The predictions of both parts as one table, and the metrics of the second one."""

    predictions: pl.DataFrame
    metrics: RunMetrics


def evaluate_model(
    trained: TrainedModel, validation: Part, test: Part, params: Evaluate, *, part: str = "test"
) -> EvaluatedRun:
    """Predict both parts and measure the model on `test`, which is named `part` in the table of predictions."""
    import polars as pl

    from childgait.metrics.aggregate import predictions_table
    from childgait.metrics.of_run import evaluate_run
    from childgait.metrics.run_metrics import RunMetrics
    from childgait.models.registry import find_model
    from childgait.training.run_facts import appearance_of, explanations, inputs_and_cost

    run, arrays = trained.description, trained.weights
    network, settings, facts = find_model(run.model), settings_from(run), run.facts
    parts = {"validation": validation, part: test}
    logits = {
        name: predict(network, settings, arrays, facts, one, params.windows_per_video) for name, one in parts.items()
    }
    result, calibration = evaluate_run(
        validation, logits["validation"], test, logits[part], params, facts.get("positive_weights")
    )
    frames = [predictions_table(name, one, logits[name], calibration) for name, one in parts.items()]
    cost = inputs_and_cost(network, settings, facts, test)
    metrics = RunMetrics(
        **dict(result),
        **{key: getattr(run, key) for key in ("model", "remark", "fold", "seed", "split_hash", "kept_epoch")},
        weights_from=facts.get("weights_from", "fitted"),
        pretrained=run.pretrained,
        trained=_training_length(settings) if network.kind == "network" else None,
        trained_on={name: len(children) for name, children in run.children.items()},
        inputs=cost.inputs,
        parameters=cost.parameters,
        operations=cost.operations,
        **explanations(network, settings, facts, test),
        **appearance_of(network, settings, arrays, facts, params.appearances),
    )
    return EvaluatedRun(pl.concat(frames), metrics)


def _training_length(settings: Finetune) -> TrainingLength:
    """Return how a network was trained; the default loss stays unset, so that the file leaves it out."""
    from childgait.metrics.run_metrics import TrainingLength

    length = TrainingLength(epochs=settings.epochs, frames=settings.frames)
    return length if settings.loss == "bce" else TrainingLength(**length.model_dump() | {"loss": settings.loss})


def log_summary(step: str, metrics: RunMetrics) -> None:
    """Log the means over targets, and warn of targets whose balanced accuracy is undefined."""
    overall = metrics.natural.groups["overall"]
    values = {name: overall[name].value for name in ("accuracy", "balanced_accuracy", "f1")}
    text = ", ".join(f"{name} {value:.3f}" for name, value in values.items() if value is not None)
    log.info("%s: %s on %d children: %s", step, metrics.name, metrics.children["test"], text)
    cells = {target: row.balanced_accuracy for target, row in metrics.natural.targets.items()}
    undefined = [target for target, cell in cells.items() if cell.value is None]
    if undefined:
        reasons = sorted({str(cells[target].reason) for target in undefined})
        names = ", ".join(undefined)
        log.warning("%s: balanced accuracy is not defined for %s (%s)", step, names, "; ".join(reasons))
