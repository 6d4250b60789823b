"""Checks of pre-training before a run: no child of the cohort is in it, and the networks read what the study shows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from childgait.errors import StepError
from childgait.files.pretrained import (
    SHIPPED_NAME,
    check_same_network,
    check_source,
    find_start,
    read_description,
    shipped_checkpoint,
    study_values,
)
from childgait.models.registry import MODELS, find_model, settings_of
from childgait.params import SYNTHETIC_ROOT

if TYPE_CHECKING:
    from childgait.params import Params


def check_pretraining(sections: Params) -> None:
    """Check the models to pre-train, and the seeds of those and of the shipped checkpoints that the study uses."""
    if sections["pretrain"].models:
        check_source(sections["pretrain"])
    for name in sections["pretrain"].models:
        check_same_settings(name, sections)
    check_starts(sections)
    if Path(sections["cohort"].root) == Path(SYNTHETIC_ROOT):
        check_other_children(sections)


def check_starts(sections: Params) -> None:
    """Check the checkpoints that networks start from: made on the study's inputs, and present for a measures head."""
    for name in sections["finetune"].models:
        model = find_model(name)
        if model.kind != "network" or name in sections["pretrain"].models:
            continue
        settings = settings_of(model, sections["finetune"])
        weights = find_start(name, settings)
        if weights is not None:
            description = read_description(weights)
            study = study_values(description.network, settings, sections["prepare_clips"].size)
            check_same_network(weights, description, study)


def check_same_settings(name: str, sections: Params) -> None:
    """Check that a model can be pre-trained, at the size and frame step of the study's clips."""
    pretrain, size = sections["pretrain"], sections["prepare_clips"].size
    model = find_model(name)
    if model.kind != "network":
        raise StepError(f"pretrain.models names {name}, which is no network", hint="name a network, or none")
    step = settings_of(model, sections["finetune"]).frame_step
    if pretrain.frame_step != step:
        raise StepError(
            f"pretrain.frame_step is {pretrain.frame_step}, but finetune.frame_step is {step} for {name}",
            hint="give both the same value",
        )
    if pretrain.pixels != size:
        raise StepError(
            f"pretrain.pixels is {pretrain.pixels}, but prepare_clips.size is {size}",
            hint="give both the same value: a network is pre-trained at the size of the study's clips",
        )


def check_other_children(sections: Params) -> None:
    """Check that the synthetic cohort's children are of another seed than those of pre-training."""
    pretrain, finetune, seed = sections["pretrain"], sections["finetune"], sections["synthesize"].seed
    if pretrain.models and pretrain.seed == seed:
        raise StepError(
            f"pretrain.seed is {seed}, as synthesize.seed: pre-training would see the cohort's test children",
            hint="choose another pretrain.seed",
        )
    for name in finetune.models:
        model = find_model(name)
        own = settings_of(model, finetune)
        read_by_encoder = name == "linear_probe" and own.frozen.encoder in MODELS
        if own.weights != SHIPPED_NAME or not (read_by_encoder or model.kind == "network"):
            continue
        network = own.frozen.encoder if read_by_encoder else name
        if name not in pretrain.models and read_description(shipped_checkpoint(network)).seed == seed:
            raise StepError(
                f"synthesize.seed is {seed}, the seed of the children that {network}'s shipped checkpoint was trained "
                f"on, with which {name} starts",
                hint="choose another synthesize.seed",
            )
