# Which runs there are, and which clips a run reads. Included by finetune and evaluate.
# Requires: data/split_subjects/subjects.csv (before it is made, for a plan of the whole study, every clip is named).

import csv
from itertools import product
from pathlib import Path

from childgait.files.split import assigned_children
from childgait.models.registry import BASELINES, MODELS, settings_of
from childgait.params import section_of_run

ASSIGNMENT = Path("data/split_subjects/subjects.csv")


def runs(models=None):
    """Every model of the study (or those named), fold and seed, as the three wildcards. The baselines stand beside all."""
    chosen = PARAMS["finetune"]
    models = list(dict.fromkeys([*BASELINES, *(models or chosen.models)]))
    triples = list(product(models, chosen.folds, chosen.seeds))
    return dict(zip(("model", "fold", "seed"), zip(*triples)))


def training_params(wildcards):
    """The section as one run sees it: one more model, fold or seed in the study retrains no other."""
    return section_of_run(config["finetune"], wildcards.model)


def settings_for(wildcards):
    """The section with the overrides of this run's model."""
    return as_workflow_error(settings_of, MODELS[wildcards.model], PARAMS["finetune"])


def on_gpu(model):
    """Whether this model's runs ask for a GPU: a table model's never do."""
    return (
        MODELS[model].kind == "network"
        and as_workflow_error(settings_of, MODELS[model], PARAMS["finetune"]).device == "cuda"
    )


def clips_of(*parts):
    """An input function: the clips of a fold's children in these parts, and of no others."""

    def find(wildcards):
        if not ASSIGNMENT.exists():
            return expand("data/prepare_clips/{video}.clip.json", video=VIDEOS)
        with ASSIGNMENT.open(newline="") as rows:
            wanted = {
                row["subject"] for row in csv.DictReader(rows) if row["fold"] == wildcards.fold and row["part"] in parts
            }
        return [f"data/prepare_clips/{video}.clip.json" for video in VIDEOS if SUBJECT_OF[video] in wanted]

    return find


def learns_from_a_pool(model):
    """Whether a mean teacher teaches this model on clips without scores."""
    return as_workflow_error(settings_of, MODELS[model], PARAMS["finetune"]).mean_teacher.pool != "none"


def unlabelled(wildcards):
    """An input function: the clips of children in no part of any fold, for a model that learns from a pool; none for any
    other. Before the split is made nobody is known to be in no part, so a plan of the whole study names none."""
    if not learns_from_a_pool(wildcards.model) or not ASSIGNMENT.exists():
        return []
    placed = assigned_children(ASSIGNMENT)
    return [f"data/prepare_clips/{video}.clip.json" for video in VIDEOS if SUBJECT_OF[video] not in placed]


def assignment_of_pool(wildcards):
    """An input function: who is where, by which the step checks its pool; it holds no score."""
    return [str(ASSIGNMENT)] if unlabelled(wildcards) else []
