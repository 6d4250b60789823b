"""Write the bundle of a study: what `childgait score` needs to score a new child (training/bundle.py).

Reads weights, descriptions, predictions and metrics of the study's runs, the clips of its training children, labels and
params.yaml. Without arguments the files are those of the study in the working folder.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait import __version__
from childgait.engine.flags import Input, Output
from childgait.errors import StepError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from childgait.params import Params
    from childgait.training.bundle import BundledRun

METHODS = (
    "The models, with limits of class-conditional conformal prediction sets, were written as one bundle, which scores "
    "new children by the same steps."
)
log = logging.getLogger("childgait")

INTENDED_USE = (
    "Research on the scoring of children's gait from video. Not a medical device: no diagnosis, no decision on "
    "treatment. A person trained in the Edinburgh Visual Gait Score checks every item on the video."
)
LIMITS = (
    "Items are typical or atypical, not graded. Rotations and the hindfoot are not measured by the rules. "
    "Probabilities and error rates hold for children, cameras and raters like those of the study; walking aids, "
    "orthoses and other recording conditions were not tested unless the study's report lists them."
)
SYNTHETIC_DATA = "Synthetic children of the package's generator; no person was recorded. Not for use on a person."
OWN_DATA = "Recordings of the study's cohort; see its report for ages, sexes, diagnoses and cameras."


def bundle(
    weights: list[Input] | None = None,
    models: list[Input] | None = None,
    metrics: list[Input] | None = None,
    predictions: list[Input] | None = None,
    clips: list[Input] | None = None,
    labels: Input = Path("data/build_labels/labels.parquet"),
    settings: Input = Path("params.yaml"),
    description: Output = Path("data/bundle/bundle.json"),
    weights_out: Output = Path("data/bundle/weights.safetensors"),
) -> None:
    """Write the bundle and print its hash."""
    from safetensors.numpy import load_file, save_file

    from childgait.files.hashes import sha256
    from childgait.params import load_params
    from childgait.training.bundle import REFERENCE, BundleDescription, write_description
    from childgait.training.bundle_measures import fit_feature_reference
    from childgait.training.bundle_repeatability import measure_repeatability

    params = load_params(settings)
    files = {"weights": weights, "models": models, "metrics": metrics, "predictions": predictions}
    paths = {name: listed if listed is not None else list_run_files(params, name) for name, listed in files.items()}
    runs = read_runs(paths["models"], paths["metrics"])
    arrays: dict[str, NDArray[Any]] = {}
    for run, path in zip(runs, paths["weights"], strict=True):
        arrays |= {f"{run.name}/{name}": value for name, value in load_file(path).items()}
    clips = clips or sorted(Path("data/prepare_clips").glob("*.clip.json"))
    reference, children = fit_feature_reference(runs[0].description, clips)
    arrays |= {REFERENCE + "centre": reference.centre, REFERENCE + "scale": reference.scale}
    save_file(arrays, weights_out)
    facts = describe(runs, paths, labels, settings, params)
    facts |= {
        "repeatability": measure_repeatability(runs, paths["predictions"], clips, facts["views"]),
        "reference_children": children,
        "distance_limit": reference.limit,
        "weights_sha256": sha256(weights_out),
    }
    digest = write_description(description, BundleDescription(**facts))
    log.info("bundle: %d runs, hash %s", len(runs), digest)


def list_run_files(params: Params, kind: str) -> list[Path]:
    """List a file of every run of the study's models, as the rule does."""
    folder, name = {
        "weights": ("finetune", "weights.safetensors"),
        "models": ("finetune", "model.json"),
        "metrics": ("evaluate", "metrics.json"),
        "predictions": ("evaluate", "predictions.parquet"),
    }[kind]
    section = params["finetune"]
    paths = [
        Path(f"data/{folder}/{model}/{fold}-{seed}/{name}")
        for model in section.models
        for fold in section.folds
        for seed in section.seeds
    ]
    for path in paths:
        if not path.is_file():
            raise StepError(
                f"there is no {path}: the study has not been run to its end",
                hint="run `make run`, or change to the folder of a finished study",
            )
    return paths


def read_runs(models: list[Path], metrics: list[Path]) -> list[BundledRun]:
    """Read the description and the calibration of every run."""
    from childgait.files.model_description import ModelDescription
    from childgait.metrics.run_metrics import read_run_metrics
    from childgait.training.bundle import BundledRun

    runs = []
    for model, evaluated in zip(models, metrics, strict=True):
        described, measured = ModelDescription.read(model), read_run_metrics(evaluated)
        if (described.model, described.fold, described.seed) != (measured.model, measured.fold, measured.seed):
            raise StepError(
                f"{evaluated} is of {measured.name}, but {model} of {described.model}, fold {described.fold}, seed "
                f"{described.seed}",
                hint="give the files of the runs in the same order",
            )
        if measured.calibration.recalibration is None:
            raise StepError(f"{evaluated} states no recalibration", hint="run evaluate again")
        runs.append(BundledRun(description=described, recalibration=measured.calibration.recalibration))
    return runs


def describe(
    runs: list[BundledRun], paths: dict[str, list[Path]], labels: Path, settings: Path, params: Params
) -> dict[str, Any]:
    """Collect everything of the description that does not depend on the arrays."""

    import polars as pl

    from childgait.engine.record import lock_hash, shown
    from childgait.files.hashes import sha256
    from childgait.libraries import installed_versions
    from childgait.params import SYNTHETIC_ROOT, read_params
    from childgait.training.bundle import FORMAT
    from childgait.training.bundle_measures import measure_main_model

    synthetic = Path(params["cohort"].root) == SYNTHETIC_ROOT
    views = pl.read_parquet(labels).select("code", pl.col("views").str.split(" ")).unique("code").sort("code")
    sources = [*paths["models"], *paths["weights"], *paths["metrics"], *paths["predictions"]]
    return {
        "format": FORMAT,
        "childgait": __version__,
        "main": runs[0].description.model,
        "runs": runs,
        "params": read_params(settings),
        "views": dict(views.iter_rows()),
        "error_rate": params["evaluate"].error_rate,
        **measure_main_model(runs, paths["predictions"], params["evaluate"]),
        "split_hashes": {run.description.fold: run.description.split_hash for run in runs},
        "synthetic": synthetic,
        "card": {
            "intended use": INTENDED_USE,
            "limits": LIMITS,
            "training data": SYNTHETIC_DATA if synthetic else OWN_DATA,
        },
        "sources": {shown(path): sha256(path) for path in sources},
        "environment": {"lock_sha256": lock_hash() or "", **installed_versions()},
    }
