"""Measures how often 95 % intervals cover the truth over few children, and how well calibrated probabilities hold.

    python bench/intervals.py            # writes reports/bench/intervals.md

The simulated children have 34 correlated items at the published prevalences, and a model whose errors are correlated,
too. Coverage is that of a metric's true value, from 60,000 children.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression

from childgait.domain.evgs import TARGETS
from childgait.metrics.calibration import fit_calibration, overall_calibration
from childgait.metrics.intervals import draw_weights, mean_balanced_accuracy
from childgait.metrics.scores import METRICS, measure, sigmoid
from childgait.metrics.small_samples import (
    auroc_interval,
    auroc_variance,
    jackknife_t,
    leave_one_out,
    mean_of_proportions,
    wilson,
)
from childgait.metrics.target_cells import Predictions, cells_of_groups, measure_values, targets_of
from childgait.params import Synthesize, load_section
from childgait.report.published import PREVALENCE
from childgait.synthetic.cohort import child_of

SHARES = np.array([getattr(PREVALENCE[target.code], target.limb) for target in TARGETS])
SIZES = (10, 16, 27, 60)
Hits = dict[str, float]
HEADER = """# Intervals and calibration over few children

Written by `python bench/intervals.py` ({repeats} simulated studies per row, 300 bootstrap draws, nominal coverage .95).
34 correlated items at the published prevalences. "mean" is over the 34 targets, the others are of single targets.

"""


CLINIC = """

On children of `synthesize.population: clinic` (labels of a rater with own windows, bands and bias): class-weighted
logistic regressions on the items' values with noise, {children} children each to train, to calibrate and to test.

"""
CELLS = """

## Coverage of every interval that a report shows

{repeats} simulated studies; nominal .95. Columns: number of children, intervals of single targets, of their mean.

"""


def simulate(children: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits and labels (children, 34): a severity is shared by the items, another by the model's errors."""
    severity, error = rng.normal(size=(children, 1)), rng.normal(size=(children, 1))
    latent = 0.55 * severity + np.sqrt(1 - 0.55**2) * rng.normal(size=(children, len(TARGETS)))
    truth = (latent > norm.ppf(1 - SHARES)).astype(float)
    noise = 0.55 * error + np.sqrt(1 - 0.55**2) * rng.normal(size=truth.shape)
    return truth - 0.5 + noise, truth


def bca(value: float, draws: np.ndarray, left: np.ndarray) -> tuple[float, float]:
    """Return the bias-corrected and accelerated interval (Efron 1987), to compare with."""
    defined = draws[~np.isnan(draws)]
    share = (np.sum(defined < value) + 0.5 * np.sum(defined == value)) / len(defined)
    bias = norm.ppf(np.clip(share, 0.5 / len(defined), 1 - 0.5 / len(defined)))
    deviation = np.nanmean(left) - left[~np.isnan(left)]
    acceleration = np.sum(deviation**3) / (6 * np.sum(deviation**2) ** 1.5 + 1e-12)
    z = bias + norm.ppf([0.025, 0.975])
    low, high = np.quantile(defined, norm.cdf(bias + z / (1 - acceleration * z)))
    return float(low), float(high)


def true_values(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Return sensitivity, balanced accuracy and AUROC per target over many children."""
    logits, truth = simulate(60_000, rng)
    positive, predicted = truth == 1, logits >= 0
    sensitivity = np.array([predicted[positive[:, t], t].mean() for t in range(len(TARGETS))])
    specificity = np.array([1 - predicted[~positive[:, t], t].mean() for t in range(len(TARGETS))])
    small = slice(0, 4000)
    area = [auroc_of(logits[small, t], positive[small, t]) for t in range(len(TARGETS))]
    return {"sensitivity": sensitivity, "balanced": (sensitivity + specificity) / 2, "auroc": np.array(area)}


def true_cells(rng: np.random.Generator, children: int = 40_000) -> dict[str, np.ndarray]:
    """Return every metric per target over many children."""
    logits, truth = simulate(children, rng)
    p = sigmoid(logits)
    half, ones = np.full(len(TARGETS), 0.5), np.ones((1, 4000))
    parts = [slice(start, start + 4000) for start in range(0, children, 4000)]
    each = [measure(p[part], truth[part], ones, thresholds=half, bins=10, balanced=False) for part in parts]
    return {metric: np.mean([values[metric][0] for values in each], axis=0) for metric in METRICS}


def coverage_of_cells(children: int, repeats: int, true: dict[str, np.ndarray], rng: np.random.Generator) -> list[Hits]:
    """Return the share of a report's intervals that cover the true value, by metric: of targets, and of their mean."""
    single: dict[str, list[bool]] = defaultdict(list)
    mean: dict[str, list[bool]] = defaultdict(list)
    for _ in range(repeats):
        logits, truth = simulate(children, rng)
        predictions = Predictions(truth, [sigmoid(logits)])
        values = measure_values(predictions, np.full(len(TARGETS), 0.5), 10, balanced=False, intervals=True)
        for t, cells in enumerate(targets_of(values).values()):
            for metric, cell in cells.items():
                if cell.low is not None and cell.high is not None:
                    single[metric].append(cell.low <= true[metric][t] <= cell.high)
        for metric, cell in cells_of_groups(values)["overall"].items():
            if cell.low is not None and cell.high is not None:
                mean[metric].append(cell.low <= true[metric].mean() <= cell.high)
    return [{metric: float(np.mean(hits)) for metric, hits in group.items()} for group in (single, mean)]


def auroc_of(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the AUROC of all pairs."""
    return auroc_variance(scores, positive, np.zeros(len(scores), np.int64))[0]


def coverage(children: int, repeats: int, true: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, float]:
    """Return the share of intervals that cover the true value, by kind of interval."""
    covered: dict[str, list[bool]] = defaultdict(list)

    def note(name: str, bounds: tuple[float, float] | None, value: float) -> None:
        if bounds is not None:
            covered[name].append(bounds[0] <= value <= bounds[1])

    for repeat in range(repeats):
        logits, truth = simulate(children, rng)
        p, mean = sigmoid(logits), float(true["balanced"].mean())
        value = float(mean_balanced_accuracy(p, truth, np.ones((1, children)))[0])
        drawn = mean_balanced_accuracy(p, truth, draw_weights(children, 300, repeat))
        left = mean_balanced_accuracy(p, truth, leave_one_out(children))
        note("mean, percentile", tuple(np.nanquantile(drawn, [0.025, 0.975])), mean)
        note("mean, BCa", bca(value, drawn, left), mean)
        note("mean, jackknife t", jackknife_t(value, left), mean)
        plain = measure(p, truth, np.ones((1, children)), thresholds=np.full(34, 0.5), bins=2, balanced=False)
        for t in range(len(TARGETS)):
            atypical = float(truth[:, t].sum())
            if not 0 < atypical < children:
                continue
            recalls = [(plain["sensitivity"][0, t], atypical), (plain["specificity"][0, t], children - atypical)]
            note("sensitivity, Wilson", wilson(*recalls[0]), true["sensitivity"][t])
            middle = float(plain["balanced_accuracy"][0, t])
            note("balanced accuracy, MOVER", mean_of_proportions(middle, recalls), true["balanced"][t])
            area, variance = auroc_variance(logits[:, t], truth[:, t] == 1, np.zeros(children, np.int64))
            note("AUROC, DeLong", auroc_interval(area, variance, atypical, children - atypical), true["auroc"][t])
    return {name: float(np.mean(hits)) for name, hits in covered.items()}


def calibration_rows(rng: np.random.Generator) -> list[str]:
    """Measure slope and intercept of class-balanced logits before and after calibration on so many children."""
    weights = np.clip((1 - SHARES) / SHARES, 0.2, 5)
    test_truth = (rng.random((900, 34)) < SHARES).astype(float)
    prior = np.log(SHARES / (1 - SHARES)) + np.log(weights)
    test = 2 * rng.normal(2 * test_truth - 1, 1) + prior
    rows = ["| validation children | Brier | calibration error | slope | intercept |", "|--:|--:|--:|--:|--:|"]
    for children in (0, 17, 66, 300):
        truth = (rng.random((max(children, 1), 34)) < SHARES).astype(float)
        logits = 2 * rng.normal(2 * truth - 1, 1) + prior
        fitted = fit_calibration(logits, truth, weights)
        found = overall_calibration(fitted.apply(test) if children else test, test_truth, 10)
        assert found.slope is not None
        assert found.intercept is not None
        values = (found.brier, found.ece, found.slope.value, found.intercept.value)
        rows.append(f"| {children or 'not calibrated'} | " + " | ".join(f"{value:.3f}" for value in values) + " |")
    return rows


def clinic_children(children: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw children of the clinic's population: (N, 34) values of their items as the curves have them, and labels."""
    section = load_section(Path("params.yaml"), Synthesize)
    params = section.model_copy(update={"population": "clinic", "seed": 52001})
    drawn = [child_of(index, params)[1] for index in range(children)]
    cells = [[scores[target.limb][target.code] for target in TARGETS] for scores in drawn]
    values = np.array([[cell["value"] for cell in row] for row in cells])
    return values, np.array([[float(cell["rated"] > 0) for cell in row] for row in cells])


def clinic_rows(rng: np.random.Generator, children: int) -> list[str]:
    """Measure calibration of class-balanced predictions over children of the generator: train, validation, test."""
    values, truth = clinic_children(3 * children)
    deviation = values.std(axis=0)
    features = (values + 0.25 * deviation * rng.normal(size=values.shape) - values.mean(axis=0)) / deviation
    train, validation, test = (slice(start, start + children) for start in range(0, 3 * children, children))
    positives = truth[train].sum(axis=0)
    weights = np.clip((children - positives) / positives, 0.2, 5)
    logits = np.empty_like(values)
    for t in range(len(TARGETS)):
        squares = np.concatenate([features, features**2], axis=1)
        model = LogisticRegression(C=0.1, max_iter=500, class_weight={0: 1.0, 1: weights[t]})
        logits[:, t] = model.fit(squares[train], truth[train, t]).decision_function(squares)
    fitted = fit_calibration(logits[validation], truth[validation], weights)
    rows = ["| predictions | Brier | slope | 95 % | intercept | 95 % |", "|---|--:|--:|--:|--:|--:|"]
    for name, tested in (("as trained", logits[test]), ("calibrated", fitted.apply(logits[test]))):
        result = overall_calibration(tested, truth[test], 10)
        cells = [f"{result.brier:.3f}"]
        for cell in (result.slope, result.intercept):
            assert cell is not None
            cells += [f"{cell.value:.3f}", f"{cell.low:.2f} to {cell.high:.2f}"]
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return rows


def cell_rows(table: dict[int, list[Hits]]) -> list[str]:
    """Arrange the coverage of a report's intervals: one row per metric, targets then their mean per size."""
    rows = ["| metric | " + " | ".join(f"{n}: targets | mean" for n in table) + " |"]
    rows.append("|---|" + "--:|--:|" * len(table))
    for metric in METRICS:
        hits = [group.get(metric) for groups in table.values() for group in groups]
        if any(hit is not None for hit in hits):
            cells = ["–" if hit is None else f"{hit:.3f}" for hit in hits]
            rows.append(f"| {metric} | " + " | ".join(cells) + " |")
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=300)
    parser.add_argument("--truth", type=int, default=40_000, help="children of the true values, times of 4,000")
    parser.add_argument("--children", type=int, default=300, help="of the clinic: to train, to calibrate, to test")
    parser.add_argument("--out", type=Path, default=Path("reports/bench/intervals.md"))
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    true = true_values(rng)
    table = {children: coverage(children, arguments.repeats, true, rng) for children in SIZES}
    names = list(table[SIZES[0]])
    lines = ["| interval | " + " | ".join(f"{n} children" for n in SIZES) + " |", "|---|" + "--:|" * len(SIZES)]
    lines += [f"| {name} | " + " | ".join(f"{table[n][name]:.3f}" for n in SIZES) + " |" for name in names]
    text = HEADER.format(repeats=arguments.repeats) + "\n".join(lines) + "\n\n## Calibration\n\n"
    text += "900 test children; an ideal network under the loss's class weights.\n\n"
    text += (
        "\n".join(calibration_rows(rng))
        + CLINIC.format(children=arguments.children)
        + "\n".join(clinic_rows(rng, arguments.children))
    )
    values = true_cells(rng, arguments.truth)
    cells = {n: coverage_of_cells(n, arguments.repeats // 2, values, rng) for n in (27,)}
    text += CELLS.format(repeats=arguments.repeats // 2) + "\n".join(cell_rows(cells)) + "\n"
    arguments.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
