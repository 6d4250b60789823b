"""A small study with its bundle: two models without training, evaluated, on the clips of small_study."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from safetensors.numpy import save_file

from childgait.domain.evgs import CODES, LIMBS, default_views
from childgait.files.labels import LABELS
from childgait.files.parts import open_part
from childgait.models.registry import MODELS, settings_of
from childgait.params import Evaluate
from childgait.steps.bundle import bundle
from childgait.steps.evaluate import evaluate
from childgait.training.description import describe
from childgait.training.fit import FitResult
from support.small_study import PARAMS, SIZE, Study, make_study, settings

MODELS_OF_STUDY = ("childgait_video", "coin")  # the main one first


@dataclass(frozen=True)
class BundledStudy:
    folder: Path
    study: Study
    params: Path

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    def run_file(self, model: str, name: str) -> Path:
        return self.folder / model / name


def make_bundled_study(folder: Path) -> BundledStudy:
    """Write clips, models, evaluations and the bundle."""
    clips = folder / "prepare_clips"  # the name of the step, as in a study
    clips.mkdir(parents=True)
    made = BundledStudy(folder, make_study(clips, children=40), folder / "params.yaml")
    sections: dict[str, Any] = {**PARAMS}
    sections["prepare_clips"] = {**PARAMS["prepare_clips"], "size": SIZE}
    sections["evaluate"] = {**PARAMS["evaluate"], "windows_per_video": 2, "bootstrap": 20, "appearances": 0}
    sections["finetune"] = {**PARAMS["finetune"], "models": list(MODELS_OF_STUDY), "overrides": {}}
    made.params.write_text(yaml.safe_dump(sections))
    for name in MODELS_OF_STUDY:
        _train_and_evaluate(made, name, Evaluate.model_validate(sections["evaluate"]))
    write_labels(folder / "labels.parquet")
    write_bundle(made, made.bundle)
    return made


def write_bundle(made: BundledStudy, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    kinds = {"weights": "weights.safetensors", "models": "model.json", "metrics": "metrics.json"}
    files = {kind: [made.run_file(model, name) for model in MODELS_OF_STUDY] for kind, name in kinds.items()}
    bundle(
        **files,
        predictions=[made.run_file(model, "predictions.parquet") for model in MODELS_OF_STUDY],
        clips=made.study.clips,
        labels=made.folder / "labels.parquet",
        settings=made.params,
        description=folder / "bundle.json",
        weights_out=folder / "weights.safetensors",
    )


def write_labels(path: Path) -> None:
    """Labels of one child: the bundle reads only which views show an item."""
    views = default_views()
    rows = [
        {"subject": "0001", "limb": limb, "code": code, "score": 0, "atypical": False, "views": " ".join(views[code])}
        for limb in LIMBS
        for code in CODES
    ]
    pl.DataFrame(rows).with_columns(reason=None, rater=None).cast(LABELS.schema()).write_parquet(path)


def _train_and_evaluate(made: BundledStudy, name: str, params: Evaluate) -> None:
    """Write random weights: scoring does not depend on how weights came about."""
    chosen = settings_of(MODELS[name], settings(frames=4))
    parts = {part: open_part(getattr(made.study, part), made.study.clips) for part in ("train", "validation")}
    if name == "coin":
        weights: dict[str, Any] = {"seed": np.array([1])}
        facts: dict[str, Any] = {"learns": 1}
    else:
        import torch

        torch.manual_seed(0)
        network = MODELS[name].build(chosen, SIZE)
        torch.nn.init.normal_(network.head[-1].weight, std=0.5)
        weights, facts = {k: v.numpy() for k, v in network.state_dict().items()}, {"pixels": SIZE}
    made.run_file(name, "").mkdir(exist_ok=True)
    save_file(weights, made.run_file(name, "weights.safetensors"))
    described = describe(MODELS[name], "holdout", 0, chosen, parts, FitResult(weights, [], 2, facts))
    described.write(made.run_file(name, "model.json"))
    evaluate(
        weights=made.run_file(name, "weights.safetensors"),
        model=made.run_file(name, "model.json"),
        validation=made.study.validation,
        test=made.study.test,
        clips=made.study.clips,
        predictions=made.run_file(name, "predictions.parquet"),
        metrics=made.run_file(name, "metrics.json"),
        model_name=name,
        fold="holdout",
        seed=0,
        params=params,
    )
