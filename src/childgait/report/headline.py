"""The numbers on top of the report, what they are not, and metrics.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from childgait.domain.evgs import CODES
from childgait.errors import StepError
from childgait.files.split import HOLDOUT
from childgait.metrics.of_study import HEADLINE_METRICS, Judgement, Measured
from childgait.params import SYNTHETIC_ROOT

TOO_FEW = 10  # test children, below which drawing them again tells nothing about chance
FEW = 30  # test children, below which differences of a few points say nothing


def headline_of(settings: dict[str, Any], judged: dict[str, dict[str, Judgement]]) -> tuple[str, str]:
    """The scope and model whose numbers stand on top: the first model of params, on the hold-out where there is one."""
    model = settings["finetune"]["models"][0]
    scope = HOLDOUT if HOLDOUT in judged else next(iter(judged), "")
    if model not in judged.get(scope, {}):
        raise StepError(
            f"there are no predictions of {model}, the first of finetune.models",
            hint=f"there are those of {', '.join(judged.get(scope, {})) or 'no model'}; run evaluate for it",
        )
    return scope, model


def headline_numbers(scope: str, shown: Measured, majority: Measured | None) -> dict[str, Any]:
    over = shown.groups["overall"]
    head: dict[str, Any] = {
        "model": shown.model,
        "part": "hold-out" if scope == "holdout" else "cross-validated",
        "children": shown.children,
        "videos": shown.videos,
        "seeds": shown.seeds,
    }
    for metric in HEADLINE_METRICS:
        head |= {
            metric: over[metric]["value"],
            f"{metric}_low": over[metric]["low"],
            f"{metric}_high": over[metric]["high"],
        }
    head["majority_accuracy"] = majority.groups["overall"]["accuracy"]["value"] if majority else None
    return head


def caveats_of(settings: dict[str, Any], shown: Measured, told: list[dict[str, Any]]) -> list[str]:
    """What a hurried reader must not take these numbers for."""
    found = []
    if Path(settings["cohort"]["root"]) == SYNTHETIC_ROOT:
        found.append(
            "The children of this cohort are made up: the numbers show that the chain works, not how well a "
            "model judges real children."
        )
    fresh = sorted({t["model"] for t in told if t["weights_from"] == "from scratch"})
    if fresh:
        found.append(f"Trained from scratch, without published weights: {', '.join(fresh)}.")
    taught = sorted({f"{t['model']} ({t['weights_from']})" for t in told if t.get("pretrained")})
    if taught:
        found.append(
            f"{', '.join(taught)}: on a synthetic cohort such a row has met the generator of its test children, though "
            "not the children; it shows that the network learns, not what it would do on real children."
        )
    if shown.children < TOO_FEW:
        found.append(f"{shown.children} test children: intervals over so few are much too narrow, and no p is given.")
    elif shown.children < FEW:
        found.append(f"{shown.children} test children: differences of a few points between models are within chance.")
    lacking = [name for name, cells in shown.targets.items() if cells["balanced_accuracy"]["value"] is None]
    if len(lacking) == len(shown.targets):
        found.append(
            "No target has both typical and atypical test children: balanced accuracy and AUROC are not defined."
        )
    elif lacking:
        found.append(
            f"{len(lacking)} of 34 targets lack typical or atypical test children; balanced accuracy and AUROC "
            f"are means over the others, F1 over those with atypical ones."
        )
    found.append("The published rows were measured on other children and videos; they stand beside, not in a contest.")
    if settings["cohort"]["modality"] == "video":
        found.append("The videos are de-identified, not anonymous: gait itself identifies.")
    return found


def numbers_of(
    head: dict[str, Any],
    caveats: list[str],
    scopes: dict[str, dict[str, Measured]],
    shown: Measured,
    rows: list[dict[str, Any]],
) -> dict[str, Any]:
    """metrics.json: `accuracy.L.IC` is the headline model's; `models.{scope}.{model}` are means over the targets."""
    found: dict[str, Any] = {"headline": head, "caveats": caveats}
    for metric in HEADLINE_METRICS:
        found[metric] = {
            side: {code: shown.targets[f"{side}.{code}"][metric]["value"] for code in CODES} for side in "LR"
        }
    found["models"] = {
        scope: {
            name: {metric: model.groups["overall"][metric]["value"] for metric in HEADLINE_METRICS}
            for name, model in models.items()
        }
        for scope, models in scopes.items()
    }
    found["cohort"] = {
        row["step"].split(" (")[0]: {
            key: row[key] for key in ("children", "videos", "frames", "scores") if row[key] is not None
        }
        for row in rows
    }
    return found
