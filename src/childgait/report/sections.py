"""The sections of the report page: each function turns the study into what the template shows."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from childgait import __version__
from childgait.domain.evgs import CODES, ITEMS, LIMBS, PUBLISHED_ORDER, TARGET_NAMES, Limb, Target
from childgait.libraries import LIBRARIES
from childgait.metrics.cells import Cell
from childgait.metrics.scores import METRICS
from childgait.report.agreement_tables import totals_table
from childgait.report.children_section import ChildrenSection
from childgait.report.external import EXPLAINED
from childgait.report.formats import data_uri, number, percent
from childgait.report.headline import Headline
from childgait.report.methods import HEADINGS, STEPS, fill_in, methods
from childgait.report.pretraining import NOT_SHOWN, SHOWN
from childgait.report.published import AVERAGES, FOOTING, FRAMES, ITEM_ACCURACY, item_accuracy
from childgait.report.tables import item_readings, subgroup_table

if TYPE_CHECKING:
    from childgait.files.agreement import RaterAgreement
    from childgait.files.gate_results import GateResult
    from childgait.files.vault import VaultRow
    from childgait.metrics.external import ExternalRow
    from childgait.metrics.of_study import GapToBest, ScopeMetrics
    from childgait.metrics.run_metrics import AppearanceTest, ItemReading, RunMetrics
    from childgait.report.flow import Stage
    from childgait.report.promises import PromiseResult
    from childgait.report.study import Study

SCOPE_TITLES = {"holdout": "Hold-out", "folds": "Cross-validation"}
EVALUATIONS = {
    "natural": "class shares as observed, threshold 0.5",
    "balanced": "classes reweighed to be equal, threshold 0.5",
    "tuned": "class shares as observed, thresholds tuned on validation children",
}


@dataclass(frozen=True)
class ModelRow:
    """One model in the table of a scope."""

    name: str
    metrics: ScopeMetrics
    gap: GapToBest | None  # None for the best model
    inputs: str
    parameters: int
    operations: int | None
    weights_from: str

    @property
    def accuracy_of_limb(self) -> list[Cell]:
        return [self.metrics.groups[f"limb.{limb}"]["accuracy"] for limb in LIMBS]


@dataclass(frozen=True)
class ScopeTable:
    """All models of the hold-out, or of the folds."""

    title: str
    best: str | None
    models: list[ModelRow]


@dataclass(frozen=True)
class PublishedModel:
    """A row of the published result page, as shares."""

    name: str
    left: float
    right: float
    f1: float | None


@dataclass(frozen=True)
class FramesRow:
    """Initial contact by a network on windows of so many frames, with equal classes, beside the published one."""

    name: str
    frames: int
    accuracy: float | None
    f1: float | None
    published: float | None
    published_f1: float | None


@dataclass(frozen=True)
class ModelsSection:
    scopes: list[ScopeTable]
    published: list[PublishedModel]
    comparable: list[PublishedModel]  # this study's models on the published rows' footing: equal classes
    frames: list[FramesRow]  # of the study on the number of frames; else empty
    remarks: list[tuple[str, str]]  # model and remark
    external: list[ExternalRow]  # predictions that were made elsewhere
    openings: list[VaultRow]  # evaluations on the sealed children
    footing: str = FOOTING
    external_means: str = EXPLAINED


@dataclass(frozen=True)
class ItemRow:
    """Accuracy per item of one model and limb, as text."""

    name: str
    mean: str
    f1: str
    cells: list[str]
    style: str = ""  # class of the row: published, chosen or none


@dataclass(frozen=True)
class ItemTable:
    """The items in one of the two column orders in use."""

    title: str
    codes: tuple[str, ...]
    rows: list[ItemRow]


@dataclass(frozen=True)
class TargetRow:
    name: str
    children: int
    atypical: int
    cells: list[Cell]


@dataclass(frozen=True)
class ReadingTable:
    """Measured items: one row per child and limb, one column per item."""

    codes: list[str]
    rows: list[tuple[str, list[ItemReading | None]]]


@dataclass(frozen=True)
class ItemsSection:
    tables: list[ItemTable]
    evaluations: list[tuple[str, list[Cell]]]
    calibration: str
    targets: list[TargetRow]
    subgroups: list[dict[str, object]]
    readings: ReadingTable
    importance: dict[str, list[tuple[str, list[tuple[str, float]]]]]  # by model: item, features by share
    appearance: list[tuple[str, AppearanceTest]]
    names: dict[str, str]  # of items, by code
    numbers: dict[str, int]  # of items, by code


@dataclass(frozen=True)
class CohortSection:
    flow: list[Stage]
    oddities: list[tuple[str, int]]
    agreement: str
    totals: list[dict[str, object]]  # of the headline's scope, by model


@dataclass(frozen=True)
class PretrainingSection:
    """Checkpoints that networks start from; empty lists where none does."""

    sentences: list[str]
    has_curves: bool
    strips: list[tuple[str, str]]  # models and data URI
    shows: str = SHOWN
    does_not_show: str = NOT_SHOWN


@dataclass(frozen=True)
class GatesSection:
    gates: list[GateResult]
    promises: list[PromiseResult]


@dataclass(frozen=True)
class EnvironmentSection:
    version: str
    versions: list[tuple[str, str]]
    lock: str | None
    settings: str


@dataclass(frozen=True)
class Report:
    """Everything that the template shows."""

    cohort_root: str
    preset: str
    headline: Headline
    caveats: list[str]
    models: ModelsSection
    pretraining: PretrainingSection
    items: ItemsSection
    cohort: CohortSection
    gates: GatesSection
    methods: list[tuple[str, list[str]]]  # heading and sentences
    environment: EnvironmentSection
    figures: dict[str, str]  # data URI by name
    children: ChildrenSection
    metrics: tuple[str, ...] = METRICS


def build_report(
    study: Study,
    headline: Headline,
    caveats: list[str],
    flow: list[Stage],
    figures: dict[str, str],
    lock: str | None,
    children: ChildrenSection,
) -> Report:
    """Build the page's sections from the study."""
    return Report(
        cohort_root=study.cohort.root,
        preset=str(study.settings["preset"]),
        headline=headline,
        caveats=caveats,
        models=models_section(study),
        pretraining=pretraining_section(study),
        items=items_section(study),
        cohort=CohortSection(flow, oddity_kinds(study), agreement_sentence(study.agreement), child_totals(study)),
        gates=GatesSection(study.gates, study.promises),
        methods=methods_section(study),
        environment=environment_section(study, lock),
        figures=figures,
        children=children,
    )


def models_section(study: Study) -> ModelsSection:
    """Collect the table of every scope, the headline's first, with the published rows and the models' remarks."""
    scopes = sorted(study.metrics, key=lambda scope: scope != study.scope)
    published = [
        PublishedModel(row.name, row.left / 100, row.right / 100, None if row.f1 is None else sum(row.f1) / 2)
        for row in AVERAGES
    ]
    remarks = sorted({(run.model, run.remark) for run in study.runs})
    tables = [scope_table(study, scope) for scope in scopes]
    return ModelsSection(
        tables, published, comparable_rows(study), frames_rows(study), remarks, study.external, study.openings
    )


def comparable_rows(study: Study) -> list[PublishedModel]:
    """List this study's models as the published rows are: accuracy and F1 with classes of equal size."""
    rows = []
    for name, metrics in study.metrics[study.scope].items():
        left, right = (metrics.groups[f"limb.{limb}"]["balanced_accuracy"].value for limb in LIMBS)
        if left is not None and right is not None:
            title = f"{name}: balanced accuracy, this study"
            rows.append(PublishedModel(title, left, right, metrics.balanced["overall"]["f1"].value))
    return rows


def frames_rows(study: Study) -> list[FramesRow]:
    """List initial contact by frames per window, where the study's networks of one kind differ in them."""
    lengths = {name: run.trained.frames for name, run in study.first_runs().items() if run.trained is not None}
    names = [name for name in study.metrics[study.scope] if name.startswith("childgait_video") and name in lengths]
    names = [name for name in names if re.fullmatch(r"childgait_video(_t\d+)?", name)]
    if len({lengths[name] for name in names}) < 2:
        return []
    rows = []
    for name in sorted(names, key=lambda name: lengths[name]):
        metrics, (published, f1) = study.metrics[study.scope][name], FRAMES.get(lengths[name], (None, None))
        accuracy = metrics.groups["item.IC"]["balanced_accuracy"].value
        rows.append(FramesRow(name, lengths[name], accuracy, metrics.balanced["item.IC"]["f1"].value, published, f1))
    return rows


def scope_table(study: Study, scope: str) -> ScopeTable:
    """List the models of a scope, best balanced accuracy first."""
    gaps, runs = study.gaps[scope], study.first_runs()
    rows = [
        ModelRow(
            name,
            metrics,
            gaps.get(name),
            ", ".join(runs[name].inputs) or "nothing",
            runs[name].parameters,
            runs[name].operations,
            runs[name].weights_from,
        )
        for name, metrics in study.metrics[scope].items()
    ]
    rows.sort(key=lambda row: (-(row.metrics.overall["balanced_accuracy"].value or 0.0), row.name))
    return ScopeTable(SCOPE_TITLES[scope], next((gap.best for gap in gaps.values()), None), rows)


def pretraining_section(study: Study) -> PretrainingSection:
    """Collect the checkpoints that networks of the study start from."""
    strips = [(", ".join(start.models), data_uri(start.strip)) for start in study.pretraining if start.strip]
    has_curves = any(start.history is not None for start in study.pretraining)
    return PretrainingSection([start.sentence for start in study.pretraining], has_curves, strips)


def items_section(study: Study) -> ItemsSection:
    """Collect everything about single items and targets of the headline model."""
    run = study.headline_run
    fold_runs = [other for other in study.runs if other.fold == study.first_fold]
    return ItemsSection(
        tables=item_tables(study.headline, study.majority),
        evaluations=evaluation_rows(run),
        calibration=calibration_sentence(run),
        targets=target_rows(study.headline),
        subgroups=subgroup_table([run]),
        readings=reading_table([reading for _, reading in item_readings(fold_runs)]),
        importance=importance_lists(study.first_runs()),
        appearance=appearance_rows(study.first_runs()),
        names={item.code: item.name for item in ITEMS},
        numbers={item.code: item.number for item in ITEMS},
    )


def item_tables(headline: ScopeMetrics, majority: ScopeMetrics | None) -> list[ItemTable]:
    """Build the per-item table in both column orders in use, with the published rows."""
    orders = {"official order, items 1 to 17": CODES, "column order of the published tables": PUBLISHED_ORDER}
    return [
        ItemTable(title, codes, [row for limb in LIMBS for row in _item_rows(codes, limb, headline, majority)])
        for title, codes in orders.items()
    ]


def _item_rows(
    codes: tuple[str, ...], limb: Limb, headline: ScopeMetrics, majority: ScopeMetrics | None
) -> list[ItemRow]:
    rows = [_item_row(codes, limb, headline, "chosen"), _balanced_row(codes, limb, headline)]
    if majority is not None:
        rows.append(_item_row(codes, limb, majority, "chosen" if majority is headline else ""))
    return rows + [_published_row(codes, limb, name) for name, side in ITEM_ACCURACY if side == limb]


def _item_row(codes: tuple[str, ...], limb: Limb, metrics: ScopeMetrics, style: str) -> ItemRow:
    cells = [percent(metrics.targets[Target(limb, code).name]["accuracy"].value) for code in codes]
    mean = metrics.groups[f"limb.{limb}"]
    return ItemRow(f"{metrics.model}, {limb}", percent(mean["accuracy"].value), number(mean["f1"].value), cells, style)


def _balanced_row(codes: tuple[str, ...], limb: Limb, metrics: ScopeMetrics) -> ItemRow:
    """Make the row to compare with published rows, whose classes are of equal size."""
    cells = [percent(metrics.targets[Target(limb, code).name]["balanced_accuracy"].value) for code in codes]
    mean, f1 = metrics.groups[f"limb.{limb}"]["balanced_accuracy"], metrics.balanced[f"limb.{limb}"]["f1"]
    name = f"{metrics.model}, {limb}: balanced accuracy"
    return ItemRow(name, percent(mean.value), number(f1.value), cells, "chosen")


def _published_row(codes: tuple[str, ...], limb: Limb, name: str) -> ItemRow:
    accuracy = item_accuracy(name, limb)
    average = next(row for row in AVERAGES if row.name == name)
    side = LIMBS.index(limb)
    mean, f1 = (average.left, average.right)[side], average.f1[side] if average.f1 else None
    cells = [str(accuracy[code]) for code in codes]
    return ItemRow(f"{name}, {limb} (published)", f"{mean:.0f}", number(f1), cells, "published")


def target_rows(metrics: ScopeMetrics) -> list[TargetRow]:
    """List all metrics of every target."""
    return [
        TargetRow(
            name,
            metrics.labelled[name],
            metrics.atypical[name],
            [metrics.targets[name][metric] for metric in METRICS],
        )
        for name in TARGET_NAMES
    ]


def evaluation_rows(run: RunMetrics) -> list[tuple[str, list[Cell]]]:
    """List the means of one run's predictions: as they are, with equal classes, and at thresholds where tuned."""
    rows = []
    for key, name in EVALUATIONS.items():
        if key == "tuned" and set(run.thresholds.values()) == {0.5}:
            continue
        overall = getattr(run, key).groups["overall"]
        rows.append((name, [overall[metric] for metric in METRICS]))
    return rows


def calibration_sentence(run: RunMetrics) -> str:
    """Describe how well the calibrated probabilities of one run hold, over all its predictions."""
    before, after = run.calibration.before, run.calibration.after
    if after.brier is None:
        return "No label of a test child is known, so calibration is not defined."
    text = (
        "Calibrated on validation children (class weights undone, then intercept and slope per item), all predictions "
        f"together have a Brier score of {number(after.brier, 3)} (before: {number(before.brier, 3)}) "
        f"and a calibration error of {number(after.ece, 3)} (before: {number(before.ece, 3)}"
    )
    if after.ece_expected is not None:
        text += f"; perfectly calibrated predictions would have {number(after.ece_expected, 3)}"
    text += ")."
    for name, cell, perfect in (("slope", after.slope, 1), ("intercept", after.intercept, 0)):
        if cell is not None and cell.value is not None:
            text += f" Calibration {name} {number(cell.value)}{_bounds(cell)}; {perfect} is perfect."
    if set(run.thresholds.values()) == {0.5}:
        text += " Thresholds are not tuned: over fewer than 200 validation children that costs balanced accuracy."
    return text


def _bounds(cell: Cell) -> str:
    return "" if cell.low is None else f" (95 % interval {number(cell.low)} to {number(cell.high)})"


def importance_lists(first_runs: dict[str, RunMetrics]) -> dict[str, list[tuple[str, list[tuple[str, float]]]]]:
    """List per tree model the items in order, each with its features, the largest share first."""
    lists = {}
    for name, run in first_runs.items():
        if run.importance is not None:
            lists[name] = [(code, _by_share(run.importance.get(code, {}))) for code in CODES]
    return lists


def appearance_rows(first_runs: dict[str, RunMetrics]) -> list[tuple[str, AppearanceTest]]:
    """List the models that read pictures, each with its test for shortcuts."""
    return [(name, run.appearance) for name, run in first_runs.items() if run.appearance is not None]


def _by_share(shares: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(shares.items(), key=lambda pair: -pair[1])


def reading_table(readings: list[ItemReading]) -> ReadingTable:
    """Arrange measured items by child and limb (rows) and item (columns)."""
    codes = [code for code in CODES if any(reading.code == code for reading in readings)]
    by_place = {(reading.subject, reading.limb, reading.code): reading for reading in readings}
    rows = []
    for subject in sorted({reading.subject for reading in readings}):
        for limb in LIMBS:
            rows.append((f"{subject}, {limb}", [by_place.get((subject, limb, code)) for code in codes]))
    return ReadingTable(codes, rows)


def oddity_kinds(study: Study) -> list[tuple[str, int]]:
    """Count the recordings' oddities that differ in their numbers only; the most frequent kind first."""
    kinds: Counter[str] = Counter()
    for oddities in study.pooled["register"]["oddities"].to_list():
        kinds.update({re.sub(r"\d+(\.\d+)?", "…", text) for text in oddities or []})
    return sorted(kinds.items(), key=lambda pair: (-pair[1], pair[0]))


def agreement_sentence(agreement: RaterAgreement) -> str:
    """Describe how far the raters agree; empty where one rater scored."""
    parts = []
    for pair in agreement.pairs:
        values = [kappa.value for kappa in pair.weighted_kappa.values()]
        kappas = sorted(value for value in values if value is not None)
        if kappas:
            parts.append(
                f"Raters {' and '.join(name or 'unnamed' for name in pair.raters)} both scored {pair.children} "
                f"children; weighted kappa of the items lies between {kappas[0]:.2f} and {kappas[-1]:.2f} "
                f"(median {kappas[len(kappas) // 2]:.2f})."
            )
    return " ".join(parts)


def child_totals(study: Study) -> list[dict[str, object]]:
    """List the agreement of the child's total by model, the smallest error first; empty without rated totals."""
    rows = [row for row in totals_table(study) if row["scope"] == study.scope and row["total"] == "child"]
    measured = [row for row in rows if row["mae"] is not None]
    return sorted(measured, key=lambda row: float(str(row["mae"])))


def methods_section(study: Study) -> list[tuple[str, list[str]]]:
    """List each step's sentence on its method, with the settings that ran, under headings."""
    settings = fill_in(study.settings, study.runs)
    by_heading: dict[str, list[str]] = {}
    for step, text in methods(settings, list(STEPS), video=study.cohort.modality == "video"):
        by_heading.setdefault(HEADINGS[step], []).append(text)
    return list(by_heading.items())


def environment_section(study: Study, lock: str | None) -> EnvironmentSection:
    """List versions and settings; `lock` is the sha256 of the environment's lock."""
    installed = {dist.metadata["Name"].lower(): dist.version for dist in importlib.metadata.distributions()}
    versions = [(name, installed[name]) for name in LIBRARIES.values() if name in installed]
    settings = json.dumps(study.settings, indent=2, ensure_ascii=False)
    return EnvironmentSection(__version__, versions, lock, settings)
