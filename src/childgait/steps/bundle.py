"""Write the bundle of a study: what `childgait score` needs to score a new child (training/bundle.py).

Reads weights, descriptions, predictions and metrics of the study's runs, the clips of its training children, labels and
params.yaml. Without arguments the files are those of the study in the working folder.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.engine.flags import Input, Output
from childgait.errors import StepError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from childgait.files.clips import Clip
    from childgait.files.model_description import ModelDescription
    from childgait.gait.feature_distance import Reference
    from childgait.params import Evaluate, Params
    from childgait.training.bundle import BundleDescription, BundledRun

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
    from childgait.training.bundle import REFERENCE, write_description

    params = load_params(settings)
    files = {"weights": weights, "models": models, "metrics": metrics, "predictions": predictions}
    paths = {name: given if given is not None else list_run_files(params, name) for name, given in files.items()}
    runs = read_runs(paths["models"], paths["metrics"])
    arrays: dict[str, NDArray[Any]] = {}
    for run, path in zip(runs, paths["weights"], strict=True):
        arrays |= {f"{run.name}/{name}": value for name, value in load_file(path).items()}
    reference, children = reference_of(
        runs[0].description, clips or sorted(Path("data/prepare_clips").glob("*.clip.json"))
    )
    arrays |= {REFERENCE + "centre": reference.centre, REFERENCE + "scale": reference.scale}
    save_file(arrays, weights_out)
    facts = describe(runs, paths, labels, settings, params) | {
        "reference_children": children,
        "distance_limit": reference.limit,
        "weights_sha256": sha256(weights_out),
    }
    digest = write_description(description, _description(facts))
    log.info("bundle: %d runs, hash %s", len(runs), digest)


def _description(facts: dict[str, Any]) -> BundleDescription:
    from childgait.training.bundle import BundleDescription

    return BundleDescription(**facts)


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


def reference_of(description: ModelDescription, clips: list[Path]) -> tuple[Reference, int]:
    """Fit the reference of the gait features to the training children of a run; returns it and their number."""
    import polars as pl

    from childgait.files.clips import open_clip
    from childgait.gait.feature_distance import fit_reference
    from childgait.gait.features import kinematics

    training = set(description.children["train"])
    opened: dict[str, Clip] = {clip.video: clip for clip in map(open_clip, clips) if clip.subject in training}
    if not opened:
        raise StepError(
            "no clip of a training child was given", hint="give --clips, or run from the folder of a finished study"
        )
    table = pl.DataFrame({"video": list(opened), "subject": [clip.subject for clip in opened.values()]})
    return fit_reference(kinematics(table, opened)), table["subject"].n_unique()


def describe(
    runs: list[BundledRun], paths: dict[str, list[Path]], labels: Path, settings: Path, params: Params
) -> dict[str, Any]:
    """Collect everything of the description that does not depend on the arrays."""
    import importlib.metadata

    import polars as pl

    from childgait.engine.record import lock_hash, shown
    from childgait.files.hashes import sha256
    from childgait.libraries import installed_versions
    from childgait.params import SYNTHETIC_ROOT, read_params
    from childgait.training.bundle import FORMAT

    synthetic = Path(params["cohort"].root) == SYNTHETIC_ROOT
    views = pl.read_parquet(labels).select("code", pl.col("views").str.split(" ")).unique("code").sort("code")
    sources = [*paths["models"], *paths["weights"], *paths["metrics"], *paths["predictions"]]
    return {
        "format": FORMAT,
        "childgait": importlib.metadata.version("childgait"),
        "main": runs[0].description.model,
        "runs": runs,
        "params": read_params(settings),
        "views": dict(views.iter_rows()),
        "error_rate": params["evaluate"].error_rate,
        **measure(runs, paths["predictions"], params["evaluate"]),
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


def measure(runs: list[BundledRun], predictions: list[Path], params: Evaluate) -> dict[str, Any]:
    """Fit the limits on children unseen in training, and measure the main model on the test children.

    With a hold-out its test children are the test, and those of the folds belong to the calibration; without one the
    folds' test children are both, as there are no others.
    """
    import numpy as np

    from childgait.domain.evgs import TARGET_NAMES
    from childgait.files.split import HOLDOUT
    from childgait.metrics.abstention import fit_limits, measure_abstention
    from childgait.metrics.of_run import metrics_block
    from childgait.metrics.target_cells import Predictions
    from childgait.training.bundle import TargetPerformance

    own = [
        (run, path)
        for run, path in zip(runs, predictions, strict=True)
        if run.description.model == runs[0].description.model
    ]
    folds = {run.description.fold for run, _ in own}
    tested = {HOLDOUT} if HOLDOUT in folds else folds
    calibration = [(run, path, "validation") for run, path in own]
    calibration += [(run, path, "test") for run, path in own if run.description.fold != HOLDOUT]
    test = [(run, path, "test") for run, path in own if run.description.fold in tested]
    fit_p, fit_y = pooled_predictions(calibration)
    p, y = pooled_predictions(test)
    limits = fit_limits(fit_p, fit_y, params.error_rate)
    abstention = measure_abstention(p, y, limits, params.error_rate)
    half, predicted = np.full(len(TARGET_NAMES), 0.5), Predictions(y, [p], [p])
    targets = metrics_block(predicted, half, params.bins, balanced=False, intervals=True).targets
    kept = ("children", "atypical", "accuracy", "sensitivity", "specificity")
    return {
        "limits": limits,
        "total_error": total_errors(fit_p, fit_y, params.error_rate),
        "calibration_children": len(fit_y),
        "abstention": {**abstention.items, "overall": abstention.overall},
        "performance": {
            name: TargetPerformance(**{key: getattr(row, key) for key in kept}) for name, row in targets.items()
        },
        "test_children": len(y),
    }


def total_errors(
    probability: NDArray[np.float64], truth: NDArray[np.float64], error_rate: float
) -> dict[str, float | None]:
    """Return the error of the expected number of atypical items that all but `error_rate` of the totals stay below.

    Of limbs and of whole children with all labels; None where there are too few of them.
    """
    import math

    import numpy as np

    limbs = [slice(0, 17), slice(17, 34)]
    sums = {
        "limb": np.concatenate([_total_error(probability[:, limb], truth[:, limb]) for limb in limbs]),
        "both": _total_error(probability, truth),
    }
    errors: dict[str, float | None] = {}
    for name, values in sums.items():
        known = np.sort(values[~np.isnan(values)])
        rank = math.ceil((1 - error_rate) * (len(known) + 1))
        errors[name] = float(known[rank - 1]) if 0 < rank <= len(known) else None
    return errors


def _total_error(probability: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray(np.abs((probability - truth).sum(axis=1)))


def pooled_predictions(
    parts: list[tuple[BundledRun, Path, str]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (N, 34) probabilities and labels of children: of the mean calibrated logit over their runs."""
    import numpy as np
    import polars as pl

    from childgait.domain.evgs import TARGET_NAMES
    from childgait.metrics.scores import sigmoid

    logits: dict[str, list[NDArray[np.float64]]] = {}
    labels: dict[str, NDArray[np.float64]] = {}
    for run, path, part in parts:
        table = pl.read_parquet(path).filter((pl.col("level") == "child") & (pl.col("part") == part))
        wide = {
            column: table.pivot("target", index="subject", values=column).sort("subject")
            for column in ("logit", "atypical")
        }
        arrays = {name: rows.select(TARGET_NAMES).to_numpy().astype(np.float64) for name, rows in wide.items()}
        for row, child in enumerate(wide["logit"]["subject"]):
            logits.setdefault(child, []).append(run.calibrate(arrays["logit"][row]))
            labels[child] = arrays["atypical"][row]
    children = sorted(logits)
    mean = np.stack([np.mean(logits[child], axis=0) for child in children])
    return sigmoid(mean), np.stack([labels[child] for child in children])
