"""A bundle: the trained models of a study with all that is needed to score a new child, in two files.

    bundle.json            runs, params, calibration, limits of prediction sets, performance, provenance, model card
    weights.safetensors    weights of every run (`{model}/{fold}-{seed}/{tensor}`) and the reference of gait features

The last key of bundle.json, `hash`, is the sha256 of the rest, which holds the sha256 of the weights: one hash names
the whole bundle, and a change on disk is detected when the bundle is opened.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from childgait.domain.evgs import CODES, TARGET_NAMES, TARGETS, VIEWS
from childgait.errors import StepError
from childgait.files.hashes import sha256, sha256_of_text
from childgait.files.model_description import ModelDescription
from childgait.gait.feature_distance import Reference
from childgait.metrics.abstention import AbstentionMetrics, ItemLimits
from childgait.metrics.calibration import CalibrationMap
from childgait.metrics.cells import Cell, Record
from childgait.metrics.repeatability import StudyRepeatability
from childgait.metrics.run_metrics import Recalibration
from childgait.models.registry import find_model
from childgait.params import check_sections
from childgait.user_files import read_json, shorten

if TYPE_CHECKING:
    from childgait.files.parts import Part
    from childgait.models.table import Arrays

FORMAT = 2
DESCRIPTION, WEIGHTS = "bundle.json", "weights.safetensors"
REFERENCE = "reference/"  # prefix of the arrays of the gait features' reference
AGAIN = "write it again with `childgait bundle`, or give the folder of another one by --bundle"


class TargetPerformance(Record):
    """Performance of the main model on one target, on children unseen in training."""

    children: int
    atypical: int
    accuracy: Cell
    sensitivity: Cell
    specificity: Cell


class BundledRun(Record):
    """One trained run: its description, and how calibrated probabilities follow from its logits."""

    description: ModelDescription
    recalibration: Recalibration

    @property
    def name(self) -> str:
        return f"{self.description.model}/{self.description.fold}-{self.description.seed}"

    def calibrate(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the logits of calibrated probabilities."""
        return CalibrationMap.from_record(self.recalibration).apply(logits)


class BundleDescription(Record):
    """Everything of a bundle but its arrays."""

    format: int
    childgait: str  # version
    main: str  # the model that answers
    runs: list[BundledRun]
    params: dict[str, Any]  # params.yaml of the study, whole
    views: dict[str, list[str]]  # per item, the views that show it
    error_rate: float
    limits: dict[str, ItemLimits]  # by item code
    total_error: dict[str, float | None]  # `limb`, `both`: largest error of the expected total at the error rate
    calibration_children: int  # children whose predictions the limits were fitted on
    abstention: dict[str, AbstentionMetrics]  # by item code, and `overall`, on the test children
    performance: dict[str, TargetPerformance]  # by target, on the test children
    test_children: int
    repeatability: StudyRepeatability  # of a single walk; two visits of a child are compared with it
    reference_children: int
    distance_limit: float
    split_hashes: dict[str, str]  # by fold
    synthetic: bool
    card: dict[str, str]  # intended use, limits, training data
    sources: dict[str, str]  # sha256 of the study's files that the bundle was made of
    environment: dict[str, str]
    weights_sha256: str


@dataclass(frozen=True)
class Bundle:
    """An opened bundle."""

    description: BundleDescription
    hash: str
    arrays: Arrays

    def weights(self, run: BundledRun) -> Arrays:
        """Return the weights of a run, by tensor."""
        start = f"{run.name}/"
        return {name.removeprefix(start): value for name, value in self.arrays.items() if name.startswith(start)}

    @property
    def reference(self) -> Reference:
        centre, scale = (self.arrays[REFERENCE + name] for name in ("centre", "scale"))
        return Reference(centre, scale, self.description.distance_limit)

    def models(self) -> list[str]:
        """Return the models, the main one first."""
        return list(dict.fromkeys(run.description.model for run in self.description.runs))

    def visible(self) -> dict[str, NDArray[np.bool_]]:
        """Return per view which of the 34 targets it shows."""
        return visible_targets(self.description.views)


def visible_targets(views: dict[str, list[str]]) -> dict[str, NDArray[np.bool_]]:
    """Return per view which of the 34 targets it shows, from the views of each item."""
    return {view: np.array([view in views[target.code] for target in TARGETS]) for view in VIEWS}


def write_description(path: Path, description: BundleDescription) -> str:
    """Write bundle.json with its hash as the last key; returns the hash."""
    values = description.model_dump(mode="json", by_alias=True, exclude_unset=True)
    body = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    digest = sha256_of_text(body)
    path.write_text(f'{body[:-2]},\n "hash": "{digest}"\n}}\n', encoding="utf-8")
    return digest


def open_bundle(folder: Path) -> Bundle:
    """Open a bundle; fail if there is none, if it is of another version, or if it was changed on disk."""
    path, weights = folder / DESCRIPTION, folder / WEIGHTS
    if not path.is_file() or not weights.is_file():
        raise StepError(
            f"there is no bundle in {folder} (expected: {DESCRIPTION} and {WEIGHTS})",
            hint="run the study with `make run`, or `childgait bundle` after it, or name a bundle by --bundle",
        )
    return open_bundle_files(path, weights)


def open_bundle_files(path: Path, weights: Path) -> Bundle:
    """Open a bundle by its two files: bundle.json and the weights."""
    description, digest = _read_description(path)
    if (found := sha256(weights)) != description.weights_sha256:
        raise StepError(
            f"{weights} has sha256 {found[:12]}…, but {path} names {description.weights_sha256[:12]}…: it was changed",
            hint=AGAIN,
        )
    bundle = Bundle(description, digest, _read_arrays(weights))
    check_sections(description.params, f"params of {path}")
    if missing := next(_missing(bundle), None):
        raise StepError(f"{path} is not complete: {missing}", hint=AGAIN)
    return bundle


def _read_arrays(path: Path) -> Arrays:
    """Read the weights; a hash proves that a file was not changed, not that it is a file of weights."""
    import safetensors
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path)
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, MemoryError) as error:
        reason = " ".join(str(error).split())[:120]
        raise StepError(f"{path} cannot be read as weights ({reason})", hint=AGAIN) from None
    for name, array in arrays.items():
        if not name.startswith(REFERENCE) and not np.isfinite(array).all():  # NaN there: a feature that is left out
            raise StepError(f"{path}: {name} contains NaN or infinity", hint=AGAIN)
    return arrays


def _missing(bundle: Bundle) -> Iterator[str]:
    """Yield what a child's page needs and a bundle lacks, which only a bundle of another program can."""
    described, items = bundle.description, set(CODES)
    if described.main not in bundle.models():
        yield f"no run is of the main model {shorten(described.main)}"
    for run in described.runs:
        find_model(run.description.model)
        if not bundle.weights(run):
            yield f"{WEIGHTS} has nothing of the run {shorten(run.name)}"
        known = run.recalibration
        if not known.log_weight.keys() >= set(TARGET_NAMES) or not known.intercept.keys() & known.slope.keys() >= items:
            yield f"the recalibration of {shorten(run.name)} lacks items"
    by_item = {"views": {*described.views}, "limits": {*described.limits}, "abstention": {*described.abstention}}
    for name, own in by_item.items():
        if not own >= items:
            yield f"{name} lacks items: {', '.join(sorted(items - own))}"
    unknown = {view for views in described.views.values() for view in views} - {*VIEWS}
    yield from (f"views names an unknown view: {shorten(view)}" for view in sorted(unknown))
    if "overall" not in described.abstention or not described.total_error.keys() >= {"limb", "both"}:
        yield "abstention.overall or total_error is missing"
    centre, scale = (bundle.arrays.get(REFERENCE + name) for name in ("centre", "scale"))
    if centre is None or scale is None or centre.ndim != 1 or centre.shape != scale.shape:
        yield f"{WEIGHTS} has no reference of gait features"


def _read_description(path: Path) -> tuple[BundleDescription, str]:
    """Read bundle.json and check its hash and its format."""
    values = read_json(path, hint=AGAIN)
    if not isinstance(values, dict) or not isinstance(digest := values.pop("hash", None), str):
        raise StepError(f"{path} is not the description of a bundle", hint=AGAIN)
    body = json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False)
    if values.get("format") != FORMAT:
        raise StepError(
            f"{path} has format {shorten(values.get('format'))}, but this version of childgait reads format {FORMAT}",
            hint=AGAIN,
        )
    if (computed := sha256_of_text(body)) != digest:
        raise StepError(f"{path} was changed: its hash is {computed[:12]}…, but it states {digest[:12]}…", hint=AGAIN)
    try:
        return BundleDescription.model_validate_json(body), digest
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise StepError(
            f"{path} was written by another version of childgait ({shorten(values.get('childgait'))}): {key}: "
            f"{first['msg'].lower()}",
            hint=AGAIN,
        ) from None


def child_logits_by_run(bundle: Bundle, part: Part, windows_per_video: int) -> dict[str, NDArray[np.float64]]:
    """Return the logits (34,) of every run for the one child of a part; NaN where no view shows the item."""
    from childgait.metrics.aggregate import mean_by_child, mean_by_video
    from childgait.training.predict import TrainedModel, predict_described

    visible, subjects = bundle.visible(), part.table["subject"].to_numpy()
    visible_by_video = np.stack([visible[view] for view in part.table["view"]])
    logits = {}
    for run in bundle.description.runs:
        model = TrainedModel(run.description, bundle.weights(run))
        by_video = mean_by_video(predict_described(model, part, windows_per_video), part.table.height)
        logits[run.name] = mean_by_child(by_video, visible_by_video, subjects, [subjects[0]])[0]
    return logits


def calibrated_probability(
    runs: list[BundledRun], logits: dict[str, NDArray[np.float64]], model: str
) -> NDArray[np.float64]:
    """Return a model's probability (34,): of the mean calibrated logit over those of its runs that have logits."""
    from childgait.metrics.scores import sigmoid

    own = [run.calibrate(logits[run.name]) for run in runs if run.description.model == model and run.name in logits]
    return sigmoid(np.mean(own, axis=0))
