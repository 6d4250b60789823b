r"""Measure whether the prediction sets hold: realised coverage over random splits of children unseen in training.

    python bench/abstention.py --out reports/bench/abstention.md --predictions \
        data/evaluate/childgait_video/*/predictions.parquet

Reads the predictions of every seed of one model. Its validation and test children, none of whom it was trained on, are
divided at random, half to fit the limits and half to measure them, `--splits` times.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from childgait.domain.evgs import TARGET_NAMES
from childgait.metrics.abstention import AbstentionMetrics, fit_limits, measure_abstention
from childgait.metrics.scores import sigmoid

ERROR_RATES = (0.05, 0.1, 0.2)
COLUMNS = ("coverage", "coverage_typical", "coverage_atypical", "share_answered", "accuracy_answered")


def read_children(paths: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (N, 34) of the mean logit over seeds, and labels."""
    rows = pl.concat([pl.read_parquet(path) for path in paths]).filter(pl.col("level") == "child")
    mean = rows.group_by("subject", "target").agg(pl.col("logit").mean(), pl.col("atypical").first())
    wide = [mean.pivot("target", index="subject", values=name).sort("subject") for name in ("logit", "atypical")]
    logits, labels = (table.select(TARGET_NAMES).to_numpy().astype(float) for table in wide)
    return sigmoid(logits), labels


def measure_splits(probability: np.ndarray, labels: np.ndarray, error_rate: float, splits: int) -> np.ndarray:
    """Return (splits, COLUMNS) of the metrics over all items."""
    rows = []
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(labels))
        fitting, measuring = order[: len(order) // 2], order[len(order) // 2 :]
        limits = fit_limits(probability[fitting], labels[fitting], error_rate)
        overall = measure_abstention(probability[measuring], labels[measuring], limits, error_rate).overall
        rows.append([value_of(overall, name) for name in COLUMNS])
    return np.array(rows)


def value_of(metrics: AbstentionMetrics, name: str) -> float:
    value = getattr(metrics, name).value
    return float("nan") if value is None else float(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--predictions", type=Path, nargs="+", required=True)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    probability, labels = read_children(arguments.predictions)
    lines = [
        "# Abstention: do the prediction sets hold?",
        "",
        f"{len(labels)} children unseen in training, {arguments.splits} random splits: limits fitted on "
        f"{len(labels) // 2}, measured on {len(labels) - len(labels) // 2}. Mean over splits (standard deviation), all "
        "items, in percent.",
        "",
        "| stated coverage | coverage | of typical | of atypical | answered | right among the answered |",
        "|--:|--:|--:|--:|--:|--:|",
    ]
    for rate in ERROR_RATES:
        values = 100 * measure_splits(probability, labels, rate, arguments.splits)
        cells = [f"{np.nanmean(column):.1f} ({np.nanstd(column):.1f})" for column in values.T]
        lines.append(f"| {100 * (1 - rate):.0f} | " + " | ".join(cells) + " |")
    arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
