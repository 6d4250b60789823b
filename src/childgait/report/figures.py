"""The report's figures, by matplotlib without a display. The same numbers give the same bytes.

Colours are told apart by people who see few (Okabe and Ito's set), and by shape or position as well.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from childgait.domain.evgs import BY_CODE, CODES, LIMBS, TARGETS, Target
from childgait.report.published import PREVALENCE

if TYPE_CHECKING:
    import polars as pl

    from childgait.metrics.of_study import Cell, Judgement, Measured

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
    figure.savefig(path, format="png", metadata={"Software": None}, bbox_inches="tight", facecolor="white")
    plt.close(figure)


def draw_all(
    shots: dict[str, Path],
    judged: Judgement,
    shown: Measured,
    everyone: dict[str, Measured],
    bins: int,
    histories: dict[str, pl.DataFrame],
    subjects: pl.DataFrame,
    rows: list[tuple[str, int, int]],
) -> None:
    """Every figure of the report, to the paths given by name."""
    draw_items(shots["items.png"], shown, everyone.get("majority"))
    draw_models(shots["models.png"], list(everyone.values()))
    draw_confusion(shots["confusion.png"], judged)
    draw_curves(shots["curves.png"], judged)
    draw_calibration(shots["calibration.png"], judged, bins)
    draw_learning(shots["learning.png"], histories)
    draw_cohort(shots["cohort.png"], subjects, rows, {code: row.atypical for code, row in PREVALENCE.items()})


def _point(axes: Any, y: float, cell: Cell, colour: str, marker: str, label: str | None = None) -> None:
    if cell["value"] is None:
        axes.plot([0.02], [y], marker="x", color=colour, markersize=4, linestyle="none")  # not defined
        return
    if cell["low"] is not None:
        axes.plot([cell["low"], cell["high"]], [y, y], color=colour, linewidth=1.4, alpha=0.7)
    axes.plot([cell["value"]], [y], marker=marker, color=colour, markersize=5, linestyle="none", label=label)


def draw_items(path: Path, shown: Measured, majority: Measured | None) -> None:
    """Accuracy of each item, a limb a panel, with intervals and what the majority gives."""
    with mpl.rc_context(STYLE):
        figure, panels = plt.subplots(1, 2, figsize=(9, 5.6), sharey=True)
        for axes, limb in zip(panels, LIMBS, strict=True):
            for y, code in enumerate(CODES):
                name = Target(limb, code).name
                if majority is not None:
                    value = majority.targets[name]["accuracy"]["value"]
                    if value is not None:
                        axes.plot(
                            [value],
                            [y],
                            marker="|",
                            color=GREY,
                            markersize=11,
                            markeredgewidth=2,
                            linestyle="none",
                            label="always the majority" if y == 0 else None,
                        )
                _point(axes, y, shown.targets[name]["accuracy"], BLUE, "o", shown.model if y == 0 else None)
            axes.set_title(f"{limb} limb", fontsize=10)
            axes.set_xlim(-0.02, 1.02)
            axes.set_xlabel("accuracy over test children")
        panels[0].set_yticks(range(len(CODES)), [f"{BY_CODE[code].number:>2} {code}" for code in CODES])
        panels[0].invert_yaxis()
        figure.tight_layout()
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="upper center", bbox_to_anchor=(0.5, 0.01), ncol=2, fontsize=8
        )
        save(figure, path)


def draw_models(path: Path, measured: list[Measured]) -> None:
    """Means over the targets for which a metric is defined, a model a row."""
    measured = sorted(measured, key=lambda model: -(model.groups["overall"]["balanced_accuracy"]["value"] or 0.0))
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5.6, 1.3 + 0.42 * len(measured)))
        shapes = (("accuracy", BLUE, "o", -0.16), ("balanced_accuracy", ORANGE, "s", 0.0), ("f1", GREEN, "D", 0.16))
        words = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "f1": "F1, atypical"}
        for y, model in enumerate(measured):
            for metric, colour, marker, shift in shapes:
                label = words[metric] if y == 0 else None
                _point(axes, y + shift, model.groups["overall"][metric], colour, marker, label)
        axes.axvline(0.5, color=GREY, linewidth=1, linestyle=":")
        axes.set_yticks(range(len(measured)), [model.model for model in measured])
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(len(measured) - 0.5, -0.5)
        axes.set_xlabel("mean over targets, with 95 % interval over children")
        axes.legend(
            loc="upper center", bbox_to_anchor=(0.45, -0.32 if len(measured) < 5 else -0.16), ncol=3, fontsize=8
        )
        save(figure, path)


def draw_confusion(path: Path, judged: Judgement) -> None:
    """What was said of typical and of atypical children, an item a square and a limb a row; of the first seed."""
    from childgait.metrics.scores import confusion

    found = confusion(judged.probability[0], judged.truth)
    with mpl.rc_context(STYLE):
        figure, panels = plt.subplots(2, len(CODES), figsize=(11, 2.3))
        for row, limb in zip(panels, LIMBS, strict=True):
            for axes, code in zip(row, CODES, strict=True):
                counts = found[Target(limb, code).name]
                grid = np.array([[counts["tn"], counts["fp"]], [counts["fn"], counts["tp"]]], float)
                shares = grid / np.maximum(grid.sum(axis=1, keepdims=True), 1)
                axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
                for (y, x), value in np.ndenumerate(grid):
                    axes.text(
                        x,
                        y,
                        f"{value:.0f}",
                        ha="center",
                        va="center",
                        fontsize=7.5,
                        color="white" if shares[y, x] > 0.6 else "#1f2937",
                    )
                axes.set_xticks([])
                axes.set_yticks([])
                axes.grid(visible=False)
                if limb == LIMBS[0]:
                    axes.set_title(code, fontsize=8)
            row[0].set_yticks([0, 1], ["typical", "atypical"], fontsize=7)
            row[0].set_ylabel(f"{limb}: is", fontsize=8)
        figure.tight_layout(w_pad=0.2, h_pad=0.3)
        figure.text(0.5, -0.03, "said: typical (left), atypical (right)", ha="center", fontsize=8)
        save(figure, path)


def draw_curves(path: Path, judged: Judgement) -> None:
    """ROC and precision over recall, answers of all targets of a plane pooled; of the first seed."""
    from sklearn.metrics import precision_recall_curve, roc_curve

    with mpl.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.8))
        left.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
        for plane, colour, style in (("sagittal", BLUE, "-"), ("coronal", ORANGE, "--")):
            own = [n for n, target in enumerate(TARGETS) if BY_CODE[target.code].plane == plane]
            p, truth = judged.probability[0][:, own].ravel(), judged.truth[:, own].ravel()
            known = ~np.isnan(p) & ~np.isnan(truth)
            if len(np.unique(truth[known])) < 2:
                continue
            false, true, _ = roc_curve(truth[known], p[known])
            precision, recall, _ = precision_recall_curve(truth[known], p[known])
            left.plot(false, true, color=colour, linestyle=style, label=f"{plane} items")
            right.plot(recall, precision, color=colour, linestyle=style, drawstyle="steps-post")
            right.axhline(float(truth[known].mean()), color=colour, linewidth=0.8, linestyle=":")
        left.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        right.set(xlabel="sensitivity (recall)", ylabel="PPV (precision)", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        left.legend(loc="lower right", fontsize=8)
        figure.tight_layout()
        save(figure, path)


def draw_calibration(path: Path, judged: Judgement, bins: int) -> None:
    """What was said against what was true, over all cells of the first seed."""
    from childgait.metrics.calibration import reliability

    rows = [row for row in reliability(judged.probability[0], judged.truth, bins) if row["cells"]]
    with mpl.rc_context(STYLE):
        figure, (above, below) = plt.subplots(2, 1, figsize=(4.6, 5.4), sharex=True, height_ratios=(3, 1))
        above.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
        above.plot(
            [row["mean_probability"] for row in rows],
            [row["share_atypical"] for row in rows],
            color=BLUE,
            marker="o",
            markersize=5,
            linewidth=1.2,
        )
        above.set_ylabel("share that was atypical")
        above.set_ylim(-0.02, 1.02)
        above.set_xlim(-0.02, 1.02)
        below.bar(
            [(row["from"] + row["to"]) / 2 for row in rows],
            [row["cells"] for row in rows],
            width=0.9 / bins,
            color=BLUE,
            alpha=0.7,
        )
        below.set_xlabel("probability that was said")
        below.set_ylabel("answers")
        figure.tight_layout()
        save(figure, path)


def draw_learning(path: Path, histories: dict[str, pl.DataFrame]) -> None:
    """Loss by epoch on training and validation children, a panel a model that learns."""
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
                    words = "training" if column == "loss" else "validation"
                    axes.plot(table["epoch"], table[column], color=colour, linestyle=style, label=words)
            axes.set_title(name, fontsize=9)
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        if learning:
            panels[0][0].set_ylabel("loss")
            panels[0][0].legend(fontsize=8)
        else:
            panels[0][0].text(0.5, 0.5, "no model of this study learns by epochs", ha="center", va="center")
            panels[0][0].set_axis_off()
        figure.tight_layout()
        save(figure, path)


def draw_cohort(
    path: Path, subjects: pl.DataFrame, rows: list[tuple[str, int, int]], published: dict[str, float]
) -> None:
    """Ages, and how often each item is atypical, beside the published cohort's training labels."""
    with mpl.rc_context(STYLE):
        figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), width_ratios=(1, 1.7))
        ages = subjects["age_years"].drop_nulls().to_numpy()
        top = int(np.ceil(ages.max())) if ages.size else 18
        kinds = {"female": ORANGE, "male": BLUE} | ({"unknown": GREY} if "unknown" in subjects["sex"] else {})
        left.hist(
            [subjects.filter(subjects["sex"] == sex)["age_years"].drop_nulls().to_numpy() for sex in kinds],
            bins=range(0, max(top, 2) + 2, 2),
            stacked=True,
            color=list(kinds.values()),
            label=list(kinds),
        )
        left.set_xlabel("age in years")
        left.set_ylabel("children")
        left.yaxis.get_major_locator().set_params(integer=True)
        left.legend(fontsize=8)
        shares = {name: atypical / known if known else np.nan for name, atypical, known in rows}
        here = [
            np.nanmean([shares[f"{limb}.{code}"] for limb in "LR"])
            if any(np.isfinite(shares[f"{limb}.{code}"]) for limb in "LR")
            else np.nan
            for code in CODES
        ]
        right.bar(range(len(CODES)), here, color=BLUE, alpha=0.75, label="this cohort, both limbs")
        right.plot(
            range(len(CODES)),
            [published[code] for code in CODES],
            marker="D",
            color=ORANGE,
            linestyle="none",
            markersize=4,
            label="published training labels",
        )
        right.set_xticks(range(len(CODES)), CODES, rotation=60)
        right.set_ylim(0, 1)
        right.set_ylabel("share atypical")
        right.legend(fontsize=8)
        figure.tight_layout()
        save(figure, path)
