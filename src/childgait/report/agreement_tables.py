"""Tables of agreement: total scores against the rated ones, kappa per item beside the raters' own, repeated walks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from childgait.domain.evgs import BY_CODE, CODES, LIMBS, TARGET_NAMES, Target
from childgait.domain.names import parse_video_name
from childgait.metrics.agreement import weighted_kappa_interval
from childgait.metrics.decision import children_for_precision, decision_curve
from childgait.metrics.repeatability import repeatability
from childgait.metrics.totals import compare_totals, expected_totals, mean_atypical_score, rated_totals
from childgait.report.walk_values import DEVIATION

if TYPE_CHECKING:
    from childgait.files.agreement import Coefficient
    from childgait.metrics.of_study import ScopePredictions
    from childgait.report.study import Study

Array = NDArray[np.float64]
Row = dict[str, object]
DIGITS = 4
SENSITIVITY, PRECISION = 0.80, 0.10  # of the sample size
QUALITY = ("share_measured", "share_swapped", "share_filled", "share_missing")  # of a recording's keypoints


def score_grid(labels: pl.DataFrame, children: list[str]) -> Array:
    """Arrange rated scores as (children, 34), NaN where unknown."""
    row = {child: n for n, child in enumerate(children)}
    column = {name: n for n, name in enumerate(TARGET_NAMES)}
    grid = np.full((len(children), len(TARGET_NAMES)), np.nan)
    for subject, limb, code, score in labels.select("subject", "limb", "code", "score").iter_rows():
        if subject in row and score is not None:
            grid[row[subject], column[Target(limb, code).name]] = score
    return grid


def expected_scores(predictions: ScopePredictions, labels: pl.DataFrame) -> tuple[Array, Array]:
    """Return (N, 34) calibrated probabilities, averaged over seeds, and the mean score of an atypical item.

    The children of a test child's own fold are not read for its mean scores. An ordinal model predicts the mean score
    of an atypical item itself: one plus the probability of score 2.
    """
    probability = np.mean(predictions.calibrated or predictions.probability, axis=0)
    if predictions.severe is not None:
        return probability, 1 + np.mean(predictions.severe, axis=0)
    count = len(predictions.children)
    folds = np.zeros(count, np.int64) if predictions.folds is None else predictions.folds
    everyone, weights = sorted(set(labels["subject"])), np.zeros((count, len(TARGET_NAMES)))
    for fold in np.unique(folds):
        tested = {child for child, own in zip(predictions.children, folds, strict=True) if own == fold}
        others = [child for child in everyone if child not in tested]
        weights[folds == fold] = mean_atypical_score(score_grid(labels, others))
    return probability, weights


def totals_table(study: Study) -> list[Row]:
    """One row per scope, model and total (left limb, right limb, child): agreement with the rated total, in points."""
    rows: list[Row] = []
    for scope, models in study.predictions.items():
        for name, predictions in models.items():
            predicted = expected_totals(*expected_scores(predictions, study.labels))
            rated = rated_totals(score_grid(study.labels, list(predictions.children)))
            rows += [
                {"scope": scope, "model": name, "total": total} | _totals_row(predicted[total], rated[total])
                for total in predicted
            ]
    return rows


def _totals_row(predicted: Array, rated: Array) -> Row:
    agreement = compare_totals(predicted, rated)
    if agreement is None:
        names = ("children", "mae", "rmse", "bias", "limits_low", "limits_high", "icc", "within_mdc", "within_mcid")
        return dict.fromkeys((*names, "mae_of_constant"))
    values = {
        "mae": agreement.mean_error,
        "rmse": agreement.root_mean_square,
        "bias": agreement.limits.bias,
        "limits_low": agreement.limits.low,
        "limits_high": agreement.limits.high,
        "icc": agreement.icc.value,
        "within_mdc": agreement.within_mdc,
        "within_mcid": agreement.within_mcid,
        "mae_of_constant": agreement.constant_error,
    }
    return {"children": agreement.limits.cases} | {
        name: None if value is None else round(value, DIGITS) for name, value in values.items()
    }


def kappa_table(study: Study) -> list[Row]:
    """One row per item: the headline model's kappa with the labels, beside the raters' own.

    `kappa` is of atypical or not, `weighted_kappa` of the scores 0 to 2, as the raters': a limb predicted atypical has
    the score nearest to the mean one of atypical limbs, or to the one that an ordinal model predicts.
    """
    predictions = study.headline_predictions
    unknown, atypical = np.isnan(predictions.probability[0]), predictions.probability[0] >= 0.5
    called = np.where(unknown, np.nan, atypical)
    scores = np.where(unknown, np.nan, atypical * np.rint(expected_scores(predictions, study.labels)[1]))
    rated = score_grid(study.labels, list(predictions.children))
    rows: list[Row] = []
    for code in CODES:
        members = [TARGET_NAMES.index(Target(limb, code).name) for limb in LIMBS]
        children = np.tile(np.arange(len(called)), len(members))
        binary, weighted = (
            weighted_kappa_interval(one[:, members].T.ravel(), two[:, members].T.ravel(), children, highest=highest)
            for one, two, highest in ((called, predictions.truth, 1), (scores, rated, 2))
        )
        row: Row = {"item": BY_CODE[code].number, "code": code, "name": BY_CODE[code].name, "cases": binary.cases}
        row |= _kappa_fields(binary, "kappa", "") | _kappa_fields(weighted, "weighted_kappa", "weighted_")
        pairs = [pair.weighted_kappa[code] for pair in study.agreement.pairs if code in pair.weighted_kappa]
        rows.append(row | _of_raters(pairs) | {"reason": binary.reason or weighted.reason or ""})
    return rows


def _kappa_fields(kappa: Coefficient, name: str, prefix: str) -> Row:
    row: Row = {name: _rounded(kappa.value)}
    return row | {f"{prefix}low": _rounded(kappa.low), f"{prefix}high": _rounded(kappa.high)}


def _of_raters(pairs: list[Coefficient]) -> Row:
    """Return the raters' mean weighted kappa; with its interval where there are two raters."""
    known = [pair.value for pair in pairs if pair.value is not None]
    row: Row = {"raters": _rounded(float(np.mean(known))) if known else None, "raters_low": None, "raters_high": None}
    if len(pairs) == 1:
        row |= {"raters_low": _rounded(pairs[0].low), "raters_high": _rounded(pairs[0].high)}
    return row


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def repeatability_table(walks: pl.DataFrame, values: pl.DataFrame) -> list[Row]:
    """SEM, MDC95 and ICC over repeated walks of a child: one row per probability, measured value and total.

    Probabilities: the calibrated one of a target per walk that shows the item. Values: what the rules measure in such
    a walk (walk_values.py). Totals of a limb and of the child: the expected number of atypical items per session,
    whose four views together show all items.
    """
    rows: list[Row] = []
    deviations = [Target(limb, DEVIATION).name for limb in LIMBS]
    for measure, table, column, names in (
        ("probability", walks, "calibrated", TARGET_NAMES),
        ("value", values, "value", [*TARGET_NAMES, *deviations]),
    ):
        for name in names:
            own = table.filter(pl.col("target") == name)
            numbers = own[column].cast(pl.Float64).fill_null(np.nan)
            rows.append(_repeatability_row(measure, name, own["subject"].to_list(), numbers.to_numpy()))
    children, totals = session_totals(walks)
    rows += [_repeatability_row("total", name, children, total) for name, total in totals.items()]
    return rows


def session_totals(walks: pl.DataFrame) -> tuple[list[str], dict[str, Array]]:
    """Return each session's child, and the expected atypical items per limb and child; NaN where a view is missing."""
    session = pl.col("video").map_elements(lambda name: parse_video_name(name).session, return_dtype=pl.String)
    known = walks.with_columns(session=session).filter(pl.col("calibrated").is_not_null())
    means = known.group_by("subject", "session", "target").agg(pl.col("calibrated").mean())
    children: list[str] = []
    grids: list[Array] = []
    for (child, _), own in sorted(means.group_by("subject", "session"), key=lambda group: str(group[0])):
        shown = dict(own.select("target", "calibrated").iter_rows())
        children.append(str(child))
        grids.append(np.array([shown.get(name, np.nan) for name in TARGET_NAMES], dtype=float))
    grid = np.array(grids).reshape(len(grids), len(LIMBS), len(CODES))
    limbs = {f"{limb} total": grid[:, number].sum(axis=1) for number, limb in enumerate(LIMBS)}
    return children, limbs | {"child total": grid.sum(axis=(1, 2))}


def _repeatability_row(measure: str, name: str, children: list[str], values: Array) -> Row:
    result = repeatability(children, values)
    row: Row = {"measure": measure, "target": name, "children": result.children, "walks": result.walks}
    row |= {"sem": _rounded(result.sem), "mdc95": _rounded(result.mdc95), "icc": _rounded(result.icc)}
    return row | {"reason": result.reason or ""}


def decision_table(study: Study) -> list[Row]:
    """One row per threshold probability: net benefit of the headline model over all items and children."""
    predictions = study.headline_predictions
    probability = np.mean(predictions.calibrated or predictions.probability, axis=0)
    return [
        {"threshold": row.threshold, "model": _rounded(row.model), "everyone": _rounded(row.everyone), "none": 0.0}
        for row in decision_curve(probability, predictions.truth)
    ]


def failure_table(study: Study) -> list[Row]:
    """One row per child of the headline model, the most wrong predictions first, with the child's recordings."""
    predictions = study.headline_predictions
    truth, probability = predictions.truth, np.mean(predictions.probability, axis=0)
    known = np.isfinite(truth) & np.isfinite(probability)
    wrong = known & ((probability >= 0.5) != (truth == 1))
    recordings = _recordings(study)
    rows: list[Row] = []
    for n, child in enumerate(predictions.children):
        count = int(known[n].sum())
        share = round(float(wrong[n].sum() / count), DIGITS) if count else None
        missed = int((wrong[n] & (truth[n] == 1)).sum())
        row: Row = {"child": child, "predictions": count, "wrong": int(wrong[n].sum()), "share_wrong": share}
        rows.append(row | {"missed_atypical": missed} | recordings.get(child, {}))
    return sorted(rows, key=lambda row: (-float(str(row["share_wrong"] or 0)), str(row["child"])))


def _recordings(study: Study) -> dict[str, Row]:
    """Return by child the number of videos and frames, the quality of its keypoints, age, sex and walking aid."""
    clips = study.pooled["prepare_clips"].group_by("subject").agg(videos=pl.len(), frames=pl.col("frames").sum())
    refined = study.pooled["refine_pose"]
    quality = refined.group_by("subject").agg(
        pl.col(name).mean().round(DIGITS) for name in QUALITY if name in refined.columns
    )
    people = study.subjects.select("subject", "age_years", "sex", "aid")
    rows = clips.join(quality, on="subject", how="left").join(people, on="subject", how="left").sort("subject")
    return {row.pop("subject"): row for row in rows.to_dicts()}


def sample_size_table(study: Study) -> list[Row]:
    """One row per item: the children needed so that a sensitivity of .80 is known to ± .10, and those there are."""
    predictions = study.headline_predictions
    rows: list[Row] = []
    for code in CODES:
        members = [TARGET_NAMES.index(Target(limb, code).name) for limb in LIMBS]
        known = predictions.truth[:, members][np.isfinite(predictions.truth[:, members])]
        share = float(known.mean()) if len(known) else 0.0
        needed = children_for_precision(SENSITIVITY, PRECISION, share) if share else None
        rows.append({"item": BY_CODE[code].number, "code": code, "share_atypical": _rounded(share), "needed": needed})
    return [row | {"children": len(predictions.children)} for row in rows]
