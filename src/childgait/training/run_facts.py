"""What a row of the bench needs, costs and can say for itself: its inputs, what it learnt, the operations of a clip;
which numbers its trees lean on; what its rules measured.

Reads a trained model's description and a part of the study; yields numbers that depend on neither the machine nor its
load. How long training took stands in the untracked log alone (bench/peers.py lays it beside).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from childgait.training.features import READS

if TYPE_CHECKING:
    from childgait.files.parts import Part
    from childgait.models.registry import Model
    from childgait.params import Finetune


def needs_and_costs(model: Model, settings: Finetune, facts: dict[str, Any], part: Part) -> dict[str, Any]:
    """`inputs`, `parameters`, and `operations` of a clip's forward pass: the mean over a batch; null for a table model."""
    if model.kind == "table":
        reads = READS[model.build_table(settings).features]
        return {"inputs": list(reads), "parameters": facts["learns"], "operations": None}
    from childgait.models.cost import cost
    from childgait.training.predict import loading_of
    from childgait.training.windows import Windows, make_loader

    network = model.build(settings, facts["pixels"])
    several = slice(settings.micro_batch_size)
    windows = Windows(part.clips[several], part.atypical[several], loading_of(network, settings), windows_per_video=1)
    loader, _ = make_loader(windows, batch_size=settings.micro_batch_size, workers=0, shuffle=False)
    found = cost(network, next(iter(loader)))
    return {"inputs": sorted(network.inputs), "parameters": found.parameters, "operations": found.operations}


def explained(model: Model, settings: Finetune, facts: dict[str, Any], part: Part) -> dict[str, Any]:
    """`importance` where the model has it, and `measured` where it answers by what was measured on the part's children."""
    found = {key: facts[key] for key in ("importance",) if key in facts}
    if model.kind == "table" and model.build_table(settings).features == "measured":
        found["measured"] = measured_of(part)
    return found


def measured_of(part: Part) -> list[dict[str, Any]]:
    """A row a child, limb and item: the value nearest to the median of its readings, its band, and where it was read.

    Of near limbs where a recording shows the limb near, as the rules choose (gait/features.py).
    """
    import polars as pl

    from childgait.gait.features import measure_items

    items = measure_items(part.clips).with_columns(subject=pl.col("video").str.split("-").list.first())
    items = items.filter(pl.col("value").is_finite())
    keys = ["subject", "limb", "code"]
    near = items.filter(pl.col("near") == pl.col("near").max().over(keys))
    away = (pl.col("value") - pl.col("value").median().over(keys)).abs()
    chosen = near.with_columns(away=away).sort(*keys, "away", "video").group_by(keys, maintain_order=True).first()
    kept = [*keys, "value", "zero_low", "zero_high", "score", "video", "frame", "seconds"]
    return chosen.select(kept).with_columns(pl.col("value", "seconds").round(3)).to_dicts()
