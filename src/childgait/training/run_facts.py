"""Inputs, cost, feature importance, measured items and the test for shortcuts of one trained model.

Reads a trained model's description and a part of the study; yields numbers that depend on neither the machine nor its
load. Training time is in the untracked log only (bench/peers.py joins it to these numbers).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from childgait.metrics.run_metrics import AppearanceTest, ItemReading
from childgait.training.features import READS

if TYPE_CHECKING:
    from childgait.files.model_description import Facts
    from childgait.files.parts import Part
    from childgait.models.registry import Model
    from childgait.models.table import Arrays
    from childgait.params import Finetune


@dataclass(frozen=True)
class InputsAndCost:
    """What a model reads and what it costs."""

    inputs: list[str]
    parameters: int
    operations: int | None  # of one clip's forward pass, the mean over a batch; None for a table model


def inputs_and_cost(model: Model, settings: Finetune, facts: Facts, part: Part) -> InputsAndCost:
    """List a model's inputs and count its parameters and operations."""
    if model.kind == "table":
        return InputsAndCost(list(READS[model.build_table(settings).features]), facts["learns"], None)
    from childgait.models.cost import cost
    from childgait.training.predict import loading_of
    from childgait.training.windows import Windows, make_loader

    network = model.build(settings, facts["pixels"])
    several = slice(settings.micro_batch_size)
    windows = Windows(part.clips[several], part.atypical[several], loading_of(network, settings), windows_per_video=1)
    loader, _ = make_loader(windows, batch_size=settings.micro_batch_size, workers=0, shuffle=False)
    count = cost(network, next(iter(loader)))
    return InputsAndCost(sorted(network.inputs), count.parameters, count.operations)


def explanations(model: Model, settings: Finetune, facts: Facts, part: Part) -> dict[str, object]:
    """Collect `importance` of a tree model and `measured` items of a model that reads those; else nothing."""
    fields: dict[str, object] = {"importance": facts["importance"]} if "importance" in facts else {}
    if model.kind == "table" and model.build_table(settings).features == "measured":
        fields["measured"] = item_readings(part)
    return fields


def appearance_of(
    model: Model, settings: Finetune, weights: Arrays, facts: Facts, appearances: int
) -> dict[str, AppearanceTest]:
    """Test a network that reads pictures for shortcuts; return nothing for other models."""
    from childgait.training.appearance import measure_appearance
    from childgait.training.predict import inference_settings, load_network, loading_of

    if model.kind != "network":
        return {}
    settings = inference_settings(model, settings)
    network = load_network(model, settings, weights, facts)
    test = measure_appearance(network, settings, loading_of(network, settings), facts["pixels"], appearances)
    return {} if test is None else {"appearance": test}


def item_readings(part: Part) -> list[ItemReading]:
    """Choose per child, limb and item the reading nearest to the median, with its typical band and where it was read.

    Of near limbs where a recording shows the limb near, as the rules choose (gait/features.py).
    """
    import polars as pl

    from childgait.gait.features import measure_items

    subject_of = {clip.video: clip.subject for clip in part.clips}
    items = measure_items(part.clips).with_columns(
        subject=pl.col("video").replace_strict(subject_of, return_dtype=pl.String)
    )
    items = items.filter(pl.col("value").is_finite())
    keys = ["subject", "limb", "code"]
    near = items.filter(pl.col("near") == pl.col("near").max().over(keys))
    distance = (pl.col("value") - pl.col("value").median().over(keys)).abs()
    order = [*keys, "distance", "video"]
    nearest = near.with_columns(distance=distance).sort(order).group_by(keys, maintain_order=True).first()
    rows = nearest.select(*keys, "value", "zero_low", "zero_high", "score", "video", "frame", "seconds")
    rows = rows.with_columns(pl.col("value", "seconds").round(3))
    return [ItemReading(**row) for row in rows.iter_rows(named=True)]
