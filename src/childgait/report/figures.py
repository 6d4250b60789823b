"""The report's figures, drawn by matplotlib without a display. The same numbers give the same bytes.

Colours are safe for colour-blind readers (Okabe and Ito 2008, https://jfly.uni-koeln.de/color/); shape or position
carries the same information.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from childgait.domain.evgs import BY_CODE, CODES, LIMBS, TARGETS, Target
from childgait.report.flow import prevalence
from childgait.report.published import PREVALENCE

if TYPE_CHECKING:
    import polars as pl

    from childgait.metrics.cells import Cell
    from childgait.metrics.of_study import ScopeMetrics, ScopePredictions
    from childgait.report.pretraining import PretrainedStart
    from childgait.report.study import Study

WIDEST = 0.75  # a wider interval carries no information and is not drawn
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6b7280"
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#9ca3af",
    "axes.labelcolor": "#374151",
    "xtick.color": "#374151",
    "ytick.color": "#374151",
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "figure.dpi": 100,
    "savefig.dpi": 130,
    "svg.hashsalt": "childgait",
}


def save(figure: Any, path: Path) -> None:
    """Write a PNG without date and software version, and close the figure."""
    figure.savefig(path, format="png", metadata={"Software": None}, bbox_inches="tight", facecolor="white")
    plt.close(figure)


def draw_all(paths: dict[str, Path], study: Study) -> None:
    """Draw every figure of the report to the path given by its name."""
    metrics, predictions = study.headline, study.headline_predictions
    draw_items(paths["items.png"], metrics, study.majority)
    draw_models(paths["models.png"], list(study.metrics[study.scope].values()))
    draw_confusion(paths["confusion.png"], predictions)
    draw_curves(paths["curves.png"], predictions)
    draw_calibration(paths["calibration.png"], predictions, study.evaluation.bins)
    draw_decision(paths["decision.png"], predictions)
    draw_learning(paths["learning.png"], study.histories)
    draw_pretraining(paths["pretraining.png"], study.pretraining)
    published = {code: row.atypical for code, row in PREVALENCE.items()}
    draw_cohort(paths["cohort.png"], study.subjects, prevalence(study.labels), published)


def _point(axes: Any, y: float, cell: Cell, colour: str, marker: str, label: str | None = None) -> None:
    if cell.value is None:
        axes.plot([0.02], [y], marker="x", color=colour, markersize=4, linestyle="none")  # not defined
        return
    if cell.low is not None and cell.high is not None and cell.high - cell.low < WIDEST:
        axes.plot([cell.low, cell.high], [y, y], color=colour, linewidth=1.4, alpha=0.7)
    axes.plot([cell.value], [y], marker=marker, color=colour, markersize=5, linestyle="none", label=label)


def _tick(axes: Any, y: float, value: float | None, label: str | None) -> None:
    if value is not None:
        style = {"marker": "|", "markersize": 11, "markeredgewidth": 2, "linestyle": "none"}
        axes.plot([value], [y], color=GREY, label=label, **style)


def _item_name(code: str) -> str:
    """Name an item in words, with its number."""
    return f"{BY_CODE[code].number} {BY_CODE[code].name}"


def draw_items(path: Path, metrics: ScopeMetrics, majority: ScopeMetrics | None) -> None:
    """Draw accuracy per item, one panel per limb, with intervals and the accuracy of the majority class."""
    with mpl.rc_context(STYLE):
        figure, panels = plt.subplots(1, 2, figsize=(10.5, 5.6), sharey=True)
        for axes, limb in zip(panels, LIMBS, strict=True):
            for y, code in enumerate(CODES):
                name = Target(limb, code).name
                if majority is not None:
                    _tick(axes, y, majority.targets[name]["accuracy"].value, "always the majority" if y == 0 else None)
                _point(axes, y, metrics.targets[name]["accuracy"], BLUE, "o", metrics.model if y == 0 else None)
            axes.set_title(f"{limb} limb", fontsize=10)
            axes.set_xlim(-0.02, 1.02)
            axes.set_xlabel("accuracy over test children")
        panels[0].set_yticks(range(len(CODES)), [_item_name(code) for code in CODES])
        panels[0].invert_yaxis()
        figure.tight_layout()
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="upper center", bbox_to_anchor=(0.5, 0.01), ncol=2, fontsize=8
        )
        save(figure, path)


def draw_models(path: Path, models: list[ScopeMetrics]) -> None:
    """Draw means over the targets for which a metric is defined, one row per model."""
    models = sorted(models, key=lambda model: -(model.overall["balanced_accuracy"].value or 0.0))
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5.6, 1.3 + 0.42 * len(models)))
        shapes = (("accuracy", BLUE, "o", -0.16), ("balanced_accuracy", ORANGE, "s", 0.0), ("f1", GREEN, "D", 0.16))
        labels = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "f1": "F1, atypical"}
        for y, model in enumerate(models):
            for metric, colour, marker, shift in shapes:
                label = labels[metric] if y == 0 else None
                _point(axes, y + shift, model.overall[metric], colour, marker, label)
        axes.axvline(0.5, color=GREY, linewidth=1, linestyle=":")
        axes.set_yticks(range(len(models)), [model.model for model in models])
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(len(models) - 0.5, -0.5)
        axes.set_xlabel("mean over targets, with 95 % interval over children")
        axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.32 if len(models) < 5 else -0.16), ncol=3, fontsize=8)
        save(figure, path)


def draw_confusion(path: Path, predictions: ScopePredictions) -> None:
    """Draw the confusion matrix of every target, one column per item and one row per limb; of the first seed."""
    from childgait.metrics.scores import confusion

    counts = confusion(predictions.probability[0], predictions.truth)
    with mpl.rc_context(STYLE):
        figure, panels = plt.subplots(2, len(CODES), figsize=(11, 2.3))
        for row, limb in zip(panels, LIMBS, strict=True):
            for axes, code in zip(row, CODES, strict=True):
                _draw_matrix(axes, counts[Target(limb, code).name])
                if limb == LIMBS[0]:
                    axes.set_title(_item_name(code), fontsize=7, rotation=60, ha="left", va="bottom")
            row[0].set_yticks([0, 1], ["typical", "atypical"], fontsize=7)
            row[0].set_ylabel(f"{limb}: label", fontsize=8)
        figure.tight_layout(w_pad=0.2, h_pad=0.3)
        figure.text(0.5, -0.03, "predicted: typical (left), atypical (right)", ha="center", fontsize=8)
        save(figure, path)


def _draw_matrix(axes: Any, counts: dict[str, int]) -> None:
    """Draw one 2 x 2 confusion matrix: labels in rows, predictions in columns, coloured by the share of the row."""
    grid = np.array([[counts["tn"], counts["fp"]], [counts["fn"], counts["tp"]]], float)
    shares = grid / np.maximum(grid.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for (y, x), value in np.ndenumerate(grid):
        colour = "white" if shares[y, x] > 0.6 else "#1f2937"
        axes.text(x, y, f"{value:.0f}", ha="center", va="center", fontsize=7.5, color=colour)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(visible=False)


def draw_curves(path: Path, predictions: ScopePredictions) -> None:
    """Draw ROC and precision-recall curves, predictions of all targets of a plane pooled; of the first seed."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    with mpl.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.8))
        left.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
        for plane, colour, style in (("sagittal", BLUE, "-"), ("coronal", ORANGE, "--")):
            own = [n for n, target in enumerate(TARGETS) if BY_CODE[target.code].plane == plane]
            p, truth = predictions.probability[0][:, own].ravel(), predictions.truth[:, own].ravel()
            valid = ~np.isnan(p) & ~np.isnan(truth)
            if len(np.unique(truth[valid])) < 2:
                continue
            false, true, _ = roc_curve(truth[valid], p[valid])
            precision, recall, _ = precision_recall_curve(truth[valid], p[valid])
            left.plot(false, true, color=colour, linestyle=style, label=f"{plane} items")
            right.plot(recall, precision, color=colour, linestyle=style, drawstyle="steps-post")
            right.axhline(float(truth[valid].mean()), color=colour, linewidth=0.8, linestyle=":")
        left.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        right.set(xlabel="sensitivity (recall)", ylabel="PPV (precision)", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        left.legend(loc="lower right", fontsize=8)
        figure.tight_layout()
        save(figure, path)


def draw_calibration(path: Path, predictions: ScopePredictions, bins: int) -> None:
    """Draw the reliability diagram over all cells of the first seed, as trained and calibrated; counts: the latter."""
    from childgait.metrics.calibration import reliability

    kinds = [("as trained", predictions.probability[0], ORANGE, "--", "s")]
    if predictions.calibrated:
        kinds.append(("calibrated", predictions.calibrated[0], BLUE, "-", "o"))
    with mpl.rc_context(STYLE):
        figure, (above, below) = plt.subplots(2, 1, figsize=(4.6, 5.4), sharex=True, height_ratios=(3, 1))
        above.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
        for name, probability, colour, style, marker in kinds:
            rows = [row for row in reliability(probability, predictions.truth, bins) if row.cells]
            mean, share = [row.mean_probability for row in rows], [row.share_atypical for row in rows]
            look = {"color": colour, "linestyle": style, "marker": marker, "markersize": 5, "linewidth": 1.2}
            above.plot(mean, share, label=name, **look)
        above.legend(loc="upper left", fontsize=8)
        above.set_ylabel("observed share atypical")
        above.set_ylim(-0.02, 1.02)
        above.set_xlim(-0.02, 1.02)
        middles = [(row.start + row.end) / 2 for row in rows]
        below.bar(middles, [row.cells for row in rows], width=0.9 / bins, color=BLUE, alpha=0.7)
        below.set_xlabel("predicted probability")
        below.set_ylabel("predictions")
        figure.tight_layout()
        save(figure, path)


def draw_decision(path: Path, predictions: ScopePredictions) -> None:
    """Draw net benefit by threshold probability, beside calling everything or nothing atypical."""
    from childgait.metrics.decision import decision_curve

    probability = np.mean(predictions.calibrated or predictions.probability, axis=0)
    rows = decision_curve(probability, predictions.truth)
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(4.6, 3.4))
        axes.axhline(0, color=GREY, linewidth=1, linestyle=":", label="nothing called atypical")
        thresholds = [row.threshold for row in rows]
        axes.plot(thresholds, [row.everyone for row in rows], color=ORANGE, linestyle="--", label="everything")
        axes.plot(
            thresholds, [row.model for row in rows], color=BLUE, marker="o", markersize=4, label=predictions.model
        )
        highest = max((max(row.model, row.everyone) for row in rows), default=0.5)
        axes.set_ylim(-0.1, highest + 0.05)
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel("threshold probability")
        axes.set_ylabel("net benefit per prediction")
        axes.legend(fontsize=8)
        figure.tight_layout()
        save(figure, path)


def draw_learning(path: Path, histories: dict[str, pl.DataFrame]) -> None:
    """Draw loss by epoch on training and validation children, one panel per network."""
    learning = {
        name: table
        for name, table in histories.items()
        if {"epoch", "validation_loss"} <= set(table.columns) and table.height
    }
    with mpl.rc_context(STYLE):
        count = max(len(learning), 1)
        figure, panels = plt.subplots(1, count, figsize=(min(3.4 * count, 10) + 1, 3), squeeze=False, sharey=True)
        for axes, (name, table) in zip(panels[0], learning.items(), strict=False):
            for column, colour, style in (("loss", BLUE, "-"), ("validation_loss", ORANGE, "--")):
                if column in table.columns:
                    label = "training" if column == "loss" else "validation"
                    axes.plot(table["epoch"], table[column], color=colour, linestyle=style, label=label)
            axes.set_title(name, fontsize=9)
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        if learning:
            panels[0][0].set_ylabel("loss")
            panels[0][0].legend(fontsize=8)
        else:
            panels[0][0].text(0.5, 0.5, "no model of this study is trained in epochs", ha="center", va="center")
            panels[0][0].set_axis_off()
        figure.tight_layout()
        save(figure, path)


PRETRAINING_FIGURES = (
    ("validation_r2_knee", "knee R²", BLUE, "-", "o"),
    ("validation_r2_measures", "measures R²", ORANGE, "--", "s"),
    ("validation_bands", "balanced accuracy of the bands", GREEN, ":", "D"),
)


def draw_pretraining(path: Path, starts: list[PretrainedStart]) -> None:
    """Draw loss and validation figures by windows, one row of panels per checkpoint."""
    curves = [(", ".join(start.models), start.history) for start in starts if start.history is not None]
    with mpl.rc_context(STYLE):
        count = max(len(curves), 1)
        figure, panels = plt.subplots(count, 2, figsize=(9, 0.4 + 2.7 * count), squeeze=False)
        for (left, right), (name, table) in zip(panels, curves, strict=False):
            windows = table["windows"] / 1000
            for column, label, colour, style in (
                ("loss", "training children", BLUE, "-"),
                ("validation_loss", "held-out children", ORANGE, "--"),
            ):
                left.plot(windows, table[column], color=colour, linestyle=style, marker=".", label=label)
            for column, label, colour, style, marker in PRETRAINING_FIGURES:
                if column in table.columns:
                    look = {"color": colour, "linestyle": style, "marker": marker, "markersize": 3}
                    right.plot(windows, table[column], label=label, **look)
            left.set(title=name, xlabel="thousand windows", ylabel="loss")
            right.set(xlabel="thousand windows", ylim=(-0.05, 1.02))
            left.legend(fontsize=8)
            if right.get_legend_handles_labels()[0]:
                right.legend(fontsize=8)
        if not curves:
            for axes in panels[0]:
                axes.set_axis_off()
            text = "no model of this study starts from a checkpoint with a curve"
            figure.text(0.5, 0.5, text, ha="center", va="center")
        figure.tight_layout()
        save(figure, path)


def draw_cohort(
    path: Path, subjects: pl.DataFrame, counts: list[tuple[str, int, int]], published: dict[str, float]
) -> None:
    """Draw ages, and the share atypical per item beside the published cohort's training labels."""
    with mpl.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), width_ratios=(1, 1.7))
        _draw_ages(left, subjects)
        shares = {name: atypical / labelled if labelled else np.nan for name, atypical, labelled in counts}
        here = [_mean_share([shares[Target(limb, code).name] for limb in LIMBS]) for code in CODES]
        right.bar(range(len(CODES)), here, color=BLUE, alpha=0.75, label="this cohort, both limbs")
        values = [published[code] for code in CODES]
        style = {"marker": "D", "linestyle": "none", "markersize": 4}
        right.plot(range(len(CODES)), values, color=ORANGE, label="published training labels", **style)
        right.set_xticks(range(len(CODES)), [_item_name(code) for code in CODES], rotation=60, ha="right", fontsize=7)
        right.set_ylim(0, 1)
        right.set_ylabel("share atypical")
        right.legend(fontsize=8)
        figure.tight_layout()
        save(figure, path)


def _mean_share(shares: list[float]) -> float:
    return float(np.nanmean(shares)) if np.isfinite(shares).any() else float("nan")


def _draw_ages(axes: Any, subjects: pl.DataFrame) -> None:
    """Draw a histogram of ages by sex, two years per bin."""
    ages = subjects["age_years"].drop_nulls().to_numpy()
    top = int(np.ceil(ages.max())) if ages.size else 18
    kinds = {"female": ORANGE, "male": BLUE} | ({"unknown": GREY} if "unknown" in subjects["sex"] else {})
    axes.hist(
        [subjects.filter(subjects["sex"] == sex)["age_years"].drop_nulls().to_numpy() for sex in kinds],
        bins=range(0, max(top, 2) + 2, 2),
        stacked=True,
        color=list(kinds.values()),
        label=list(kinds),
    )
    axes.set_xlabel("age in years")
    axes.set_ylabel("children")
    axes.yaxis.get_major_locator().set_params(integer=True)
    axes.legend(fontsize=8)
