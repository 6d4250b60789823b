"""The headline numbers of the report, their caveats, and reports/metrics.json."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from childgait.domain.evgs import CODES
from childgait.errors import StepError
from childgait.files.split import HOLDOUT
from childgait.metrics.cells import Cell, Record
from childgait.metrics.of_study import HEADLINE_METRICS, PredictionsByModel, ScopeMetrics
from childgait.params import SYNTHETIC_ROOT

if TYPE_CHECKING:
    from childgait.metrics.run_metrics import RunMetrics
    from childgait.report.flow import Stage
    from childgait.report.study import Study

TOO_FEW = 10  # test children, below which a bootstrap over children is meaningless
APPROXIMATE_BELOW = 60  # test children
APPROXIMATE = "Below 60 test children the intervals are approximate: at 27 they cover about 93 to 97 % (nominal 95 %)."
FEW = 30  # test children, below which differences of a few points are within chance
Value = float | None


class Headline(Record):
    """The headline model's means over targets, with the bounds of their 95 % intervals."""

    model: str
    part: str
    children: int
    videos: int
    seeds: int
    accuracy: Value
    accuracy_low: Value
    accuracy_high: Value
    balanced_accuracy: Value
    balanced_accuracy_low: Value
    balanced_accuracy_high: Value
    f1: Value
    f1_low: Value
    f1_high: Value
    auroc: Value
    auroc_low: Value
    auroc_high: Value
    majority_accuracy: Value
    verdict: str = ""  # the first sentence of the report

    def interval(self, metric: str) -> tuple[Value, Value, Value]:
        """Return value, lower and upper bound of a headline metric."""
        value, low, high = (getattr(self, metric + ending) for ending in ("", "_low", "_high"))
        return value, low, high


class StudyMetrics(Record):
    """The form of reports/metrics.json: `accuracy.L.IC` is the headline model's, `models` are means over targets."""

    headline: Headline
    caveats: list[str]
    accuracy: dict[str, dict[str, Value]]  # by side and item
    balanced_accuracy: dict[str, dict[str, Value]]
    f1: dict[str, dict[str, Value]]
    auroc: dict[str, dict[str, Value]]
    models: dict[str, dict[str, dict[str, Value]]]  # by scope, model and metric
    cohort: dict[str, dict[str, int]]  # by step: children, videos, frames, scores


def read_study_metrics(path: Path) -> StudyMetrics:
    """Read reports/metrics.json and check its form."""
    try:
        return StudyMetrics.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "the file"
        raise StepError(f"{path}: {key}: {first['msg']}", hint="run write_report again: `make run`") from None


def choose_headline(model: str, predictions: dict[str, PredictionsByModel]) -> tuple[str, str]:
    """Choose scope and model of the headline: the first of finetune.models, on the hold-out where there is one."""
    scope = HOLDOUT if HOLDOUT in predictions else next(iter(predictions), "")
    models = predictions.get(scope, {})
    if model not in models:
        raise StepError(
            f"there are no predictions of {model}, the first of finetune.models",
            hint=f"there are those of {', '.join(models) or 'no model'}; run evaluate for it",
        )
    return scope, model


def headline_numbers(study: Study) -> Headline:
    """Collect the headline numbers."""
    metrics, majority = study.headline, study.majority
    values: dict[str, Value] = {}
    for metric in HEADLINE_METRICS:
        cell = metrics.overall[metric]
        values |= {metric: cell.value, f"{metric}_low": cell.low, f"{metric}_high": cell.high}
    return Headline(
        model=metrics.model,
        part="hold-out" if study.scope == HOLDOUT else "cross-validated",
        children=metrics.children,
        videos=metrics.videos,
        seeds=metrics.seeds,
        majority_accuracy=majority.overall["accuracy"].value if majority else None,
        verdict=verdict(metrics, majority),
        **values,
    )


def verdict(model: ScopeMetrics, majority: ScopeMetrics | None) -> str:
    """Compare the model with the training majority and with chance, in one sentence."""
    accuracy, balanced = model.overall["accuracy"], model.overall["balanced_accuracy"]
    if accuracy.value is None:
        return f"No label of a test child is known, so {model.model} is not evaluated."
    text = f"On {model.children} test children {model.model}"
    constant = None if majority is None else majority.overall["accuracy"].value
    if majority is model or constant is None:
        text += f" has an accuracy of {accuracy.value:.2f}"
    elif accuracy.value < constant:
        text += f" is less accurate than always predicting the majority ({accuracy.value:.2f} against {constant:.2f})"
    elif accuracy.value == constant:
        text += f" is exactly as accurate as always predicting the majority ({constant:.2f})"
    else:
        text += f" has an accuracy of {accuracy.value:.2f}, always predicting the majority {constant:.2f}"
    return f"{text}; {_against_chance(balanced)}."


def _against_chance(balanced: Cell) -> str:
    """Describe balanced accuracy against chance, .5."""
    if balanced.value is None:
        return "balanced accuracy is not defined"
    text = f"its balanced accuracy is {balanced.value:.2f} (chance is 0.50)"
    if balanced.low is None or balanced.low > 0.5:
        return text
    return text + ", which the interval does not separate from chance"


def list_caveats(study: Study) -> list[str]:
    """List the limits of the headline numbers."""
    return [
        *_synthetic(study),
        *_starting_weights(study.runs),
        *_few_children(study.headline.children),
        *_rule_row(study),
        *_undefined_targets(study.headline),
        "The published rows were measured on other children and videos; they are for reference, not a comparison.",
        *_identity(study),
    ]


def _synthetic(study: Study) -> list[str]:
    if Path(study.cohort.root) != SYNTHETIC_ROOT:
        return []
    return [
        "The children of this cohort are synthetic: the numbers show that the workflow runs, not how well a model "
        "predicts the scores of real children."
    ]


def _rule_row(study: Study) -> list[str]:
    if Path(study.cohort.root) != SYNTHETIC_ROOT or not any(
        run.model in ("rules", "kinematic_trees") for run in study.runs
    ):
        return []
    synthetic = study.settings.get("synthesize")
    if isinstance(synthetic, dict) and synthetic.get("population") == "clinic":
        return [
            "The rows rules and kinematic_trees share the curves and the printed bands with the synthetic raters, but "
            "not their windows, their bias and their own band edges: part of their lead is still by construction."
        ]
    return [
        "The rows rules and kinematic_trees share bands and windows with the generator of the synthetic labels: their "
        "lead is partly by construction."
    ]


def _starting_weights(runs: list[RunMetrics]) -> list[str]:
    lines = []
    from_scratch = sorted({run.model for run in runs if run.weights_from == "from scratch"})
    if from_scratch:
        lines.append(f"Trained from scratch, without published weights: {', '.join(from_scratch)}.")
    pretrained = sorted({f"{run.model} ({run.weights_from})" for run in runs if run.pretrained})
    if pretrained:
        lines.append(
            f"{', '.join(pretrained)}: on a synthetic cohort, pre-training used the generator of the test children, "
            "though not the children; such a row shows that the network learns, not how it performs on real children."
        )
    if from_scratch and pretrained:
        lines.append(
            "Networks from scratch and pre-trained networks have different initial weights: a difference between them "
            "is not that of their designs. For equal ones name all of them in pretrain.models."
        )
    return lines


def _few_children(children: int) -> list[str]:
    if children < TOO_FEW:
        return [f"{children} test children: intervals over so few are rough, and no p is given."]
    if children < FEW:
        return [
            f"{children} test children: differences of a few points between models are within chance. {APPROXIMATE}"
        ]
    return [APPROXIMATE] if children < APPROXIMATE_BELOW else []


def _undefined_targets(metrics: ScopeMetrics) -> list[str]:
    undefined = [name for name, cells in metrics.targets.items() if cells["balanced_accuracy"].value is None]
    if len(undefined) == len(metrics.targets):
        return ["No target has both typical and atypical test children: balanced accuracy and AUROC are not defined."]
    if undefined:
        return [
            f"{len(undefined)} of 34 targets lack typical or atypical test children; balanced accuracy and AUROC "
            "are means over the others, F1 over those with atypical ones."
        ]
    return []


def _identity(study: Study) -> list[str]:
    if study.cohort.modality != "video":
        return []
    return ["The videos are de-identified, not anonymous: gait itself identifies."]


def study_metrics(study: Study, headline: Headline, caveats: list[str], flow: list[Stage]) -> StudyMetrics:
    """Collect reports/metrics.json."""
    return StudyMetrics(
        headline=headline,
        caveats=caveats,
        **{metric: _by_item(study.headline, metric) for metric in HEADLINE_METRICS},
        models={
            scope: {name: _means(model) for name, model in models.items()} for scope, models in study.metrics.items()
        },
        cohort={stage.step.split(" (")[0]: stage.counts() for stage in flow},
    )


def _by_item(metrics: ScopeMetrics, metric: str) -> dict[str, dict[str, Value]]:
    return {side: {code: metrics.targets[f"{side}.{code}"][metric].value for code in CODES} for side in "LR"}


def _means(metrics: ScopeMetrics) -> dict[str, Value]:
    return {metric: metrics.overall[metric].value for metric in HEADLINE_METRICS}
