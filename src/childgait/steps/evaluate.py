"""A trained model judges children it has never seen: every probability kept, every metric with its interval.

Temperature and thresholds come from the validation children; the test children are only judged.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from childgait.engine.flags import Input, Output
from childgait.params import Evaluate

METHODS = (
    "Each video was judged in {windows_per_video} windows; logits were averaged over windows, then over the child's videos that show "
    "the item. Temperature and thresholds were fitted on validation children only; {bootstrap} draws give the intervals."
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
    """Judge the validation and test windows of one fold; write predictions and metrics."""
    import polars as pl
    from safetensors.numpy import load_file

    from childgait.files.atomic import write_json
    from childgait.files.parts import open_part
    from childgait.files.predictions import PREDICTIONS
    from childgait.files.tables import write_table
    from childgait.metrics.aggregate import table_of
    from childgait.metrics.of_run import report
    from childgait.models.registry import find_model
    from childgait.training.leak_checks import check_run, check_split, check_unseen
    from childgait.training.predict import predict, settings_from
    from childgait.training.run_facts import explained, needs_and_costs

    told = json.loads(model.read_text(encoding="utf-8"))
    check_run(told, model, model_name, fold, seed)
    parts = {"validation": open_part(validation, clips), "test": open_part(test, clips)}
    for path, part in zip((validation, test), parts.values(), strict=True):
        check_split(told, model, path, part.table)
    check_unseen(told, test, parts["test"].table["subject"])
    chosen, arrays = find_model(model_name), load_file(weights)
    settings = settings_from(told)
    judged = {
        name: predict(chosen, settings, arrays, told["facts"], part, params.windows_per_video)
        for name, part in parts.items()
    }
    found = report(parts["validation"], judged["validation"], parts["test"], judged["test"], params)
    frames = [table_of(name, part, judged[name], found["temperature"]) for name, part in parts.items()]
    write_table(predictions, pl.concat(frames), PREDICTIONS)
    about = {key: told[key] for key in ("model", "remark", "fold", "seed", "split_hash", "kept_epoch")}
    about["weights_from"] = told["facts"].get("weights_from", "fitted")
    about["pretrained"] = told.get("pretrained")
    learnt = chosen.kind == "network"
    about["trained"] = {"epochs": settings.epochs, "frames": settings.frames} if learnt else None
    about["trained_on"] = {name: len(children) for name, children in told["children"].items()}
    about |= needs_and_costs(chosen, settings, told["facts"], parts["test"])
    about |= explained(chosen, settings, told["facts"], parts["test"])
    write_json(metrics, about | found)
    _say(found, model_name, fold, seed)


def _say(found: dict[str, Any], name: str, fold: str, seed: int) -> None:
    from childgait.domain.evgs import TARGET_NAMES

    overall = found["natural"]["groups"]["overall"]
    values = ", ".join(
        f"{key} {overall[key]['value']:.3f}"
        for key in ("accuracy", "balanced_accuracy", "f1")
        if overall[key]["value"] is not None
    )
    log.info("evaluate: %s, fold %s, seed %d on %d children: %s", name, fold, seed, found["children"]["test"], values)
    targets = found["natural"]["targets"]
    if gone := [target for target in TARGET_NAMES if targets[target]["balanced_accuracy"]["value"] is None]:
        why = sorted({targets[target]["balanced_accuracy"]["reason"] for target in gone})
        log.warning("evaluate: balanced accuracy is not defined for %s (%s)", ", ".join(gone), "; ".join(why))
