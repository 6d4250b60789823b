"""The methods paragraph: each step's own sentence (`METHODS` in its module), filled with the params that ran.

The sentences are read from the source without importing a step. Braces in a sentence name keys of the step's section.
METHODS_OF_KEYPOINTS replaces the sentence for a cohort without video; it is empty where the step then does nothing.
"""

from __future__ import annotations

import ast
import string
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.engine.source_files import PACKAGE
from childgait.errors import StepError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from childgait.metrics.run_metrics import RunMetrics
    from childgait.params import JsonSection

# The steps whose results the report shows, in running order, and the heading of their sentences.
HEADINGS = {
    "register": "Participants and recordings",
    "deidentify": "De-identification",
    "segment": "Preparation of the videos",
    "estimate_pose": "Preparation of the videos",
    "refine_pose": "Preparation of the videos",
    "prepare_clips": "Preparation of the videos",
    "build_labels": "Outcome",
    "split_subjects": "Division into training, validation and test",
    "pretrain": "Models",
    "finetune": "Models",
    "evaluate": "Evaluation",
    "gate": "Quality of the data",
    "check_study": "Quality of the data",
    "write_report": "Statistics",
}
STEPS = tuple(HEADINGS)
LOSS_NAMES = {
    "bce": "binary cross-entropy",
    "focal": "focal loss",
    "class_balanced": "class-balanced cross-entropy (effective numbers)",
    "corn": "ordinal loss (CORN)",
}


def sentence_of(path: Path, name: str = "METHODS") -> str | None:
    """Read the text of METHODS in a module; None where there is none."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            value = ast.literal_eval(node.value)
            assert isinstance(value, str), f"{name} of {path} is no text"
            return value
    return None


class _ListFormatter(string.Formatter):
    """Writes lists with commas."""

    def format_field(self, value: object, spec: str) -> str:
        if isinstance(value, (list, tuple)):
            return ", ".join(map(str, value))
        return str(super().format_field(value, spec))


def methods(settings: Mapping[str, JsonValue], steps: list[str], *, video: bool = True) -> list[tuple[str, str]]:
    """List (step, sentence) of the steps that have a sentence, in the order given."""
    sentences = []
    for step in steps:
        path = PACKAGE / "steps" / f"{step}.py"
        template = None if video else sentence_of(path, "METHODS_OF_KEYPOINTS")
        template = sentence_of(path) if template is None else template
        if not template:
            continue
        try:
            sentences.append((step, _ListFormatter().format(template, **_section(settings, step))))
        except (KeyError, ValueError, IndexError) as error:
            raise StepError(
                f"the methods sentence of {step} cannot be filled in ({type(error).__name__}: {error})",
                hint=f"its braces must name keys of the section {step} in params.yaml",
            ) from None
    return sentences


def _section(settings: Mapping[str, JsonValue], name: str) -> JsonSection:
    """Return a section of params.yaml; empty where a step has none."""
    section = settings.get(name, {})
    assert isinstance(section, dict)
    return section


def _losses(runs: Sequence[RunMetrics]) -> str:
    """Name the losses of the networks; with more than one, the models of each."""
    models: dict[str, set[str]] = {}
    for run in runs:
        if run.trained is not None:
            models.setdefault(run.trained.loss, set()).add(run.model)
    if len(models) <= 1:
        return LOSS_NAMES[next(iter(models), "bce")]
    return " or ".join(
        f"{LOSS_NAMES[loss]} ({', '.join(sorted(models[loss]))})" for loss in LOSS_NAMES if loss in models
    )


def fill_in(settings: Mapping[str, JsonValue], runs: Sequence[RunMetrics]) -> JsonSection:
    """Add to the settings how the networks of these runs were trained, with overrides and other studies' runs."""
    models_by_length: dict[str, set[str]] = {}
    for run in runs:
        if run.trained is not None:
            length = f"at most {run.trained.epochs} epochs on windows of {run.trained.frames} frames"
            models_by_length.setdefault(length, set()).add(run.model)
    networks = "; ".join(f"{length}: {', '.join(sorted(models))}" for length, models in models_by_length.items())
    fitted = sorted({run.model for run in runs if run.trained is None})
    seeds = sorted({run.seed for run in runs})
    pretrained = sorted({f"{run.model} ({run.weights_from})" for run in runs if run.pretrained})
    finetune: JsonSection = {**_section(settings, "finetune"), "networks": networks or "none"}
    finetune |= {"fitted": [*fitted], "seeds": [*seeds], "losses": _losses(runs)}
    pretrain: JsonSection = {**_section(settings, "pretrain"), "networks": "; ".join(pretrained) or "none"}
    return {**settings, "finetune": finetune, "pretrain": pretrain}
