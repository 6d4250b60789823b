# The runs of the study, and the clips that a run reads. Included by finetune and evaluate.
# Requires: data/split_subjects/subjects.csv (before it exists, a plan of the whole study lists every clip).

import csv
from itertools import product
from pathlib import Path

from childgait.files.split import assigned_children, sealed_children
from childgait.models.registry import BASELINES, MODELS, settings_of
from childgait.params import section_of_run

ASSIGNMENT = Path("data/split_subjects/subjects.csv")


def list_runs(models=None):
    """All combinations of model, fold and seed as wildcards: the baselines, and `models` or else those of params.yaml."""
    settings = PARAMS["finetune"]
    models = list(dict.fromkeys([*BASELINES, *(models or settings.models)]))
    triples = list(product(models, settings.folds, settings.seeds))
    return dict(zip(("model", "fold", "seed"), zip(*triples)))


def select_training_params(wildcards):
    """The settings that one run depends on: one more model, fold or seed in the study retrains no other."""
    return section_of_run(config["finetune"], wildcards.model)


def get_settings(wildcards):
    """The settings of this run's model, with its overrides."""
    return as_workflow_error(settings_of, MODELS[wildcards.model], PARAMS["finetune"])


def needs_gpu(model):
    """Whether the runs of this model need a GPU; those of a table model never do."""
    settings = as_workflow_error(settings_of, MODELS[model], PARAMS["finetune"])
    return MODELS[model].kind == "network" and settings.device == "cuda"


def find_clips(*parts):
    """Return an input function: the clips of the children in these parts of a fold, and of no others."""

    def select(wildcards):
        if not ASSIGNMENT.exists():
            return expand("data/prepare_clips/{video}.clip.json", video=VIDEOS)
        with ASSIGNMENT.open(newline="") as rows:
            wanted = {
                row["subject"] for row in csv.DictReader(rows) if row["fold"] == wildcards.fold and row["part"] in parts
            }
        return [f"data/prepare_clips/{video}.clip.json" for video in VIDEOS if SUBJECT_OF[video] in wanted]

    return select


def find_vault_clips(wildcards):
    """An input function: the clips of a fold's validation children and of the sealed ones; all before the split exists."""
    validation = find_clips("validation")(wildcards)
    if not ASSIGNMENT.exists():
        return validation
    sealed = sealed_children(ASSIGNMENT)
    return validation + [f"data/prepare_clips/{video}.clip.json" for video in VIDEOS if SUBJECT_OF[video] in sealed]


def uses_unlabelled_clips(model):
    """Whether this model is trained by a mean teacher on clips without scores."""
    return as_workflow_error(settings_of, MODELS[model], PARAMS["finetune"]).mean_teacher.pool != "none"


def find_unlabelled_clips(wildcards):
    """An input function: the clips of children in no part of any fold, for a model with a mean teacher.

    Before the split exists, no child is known to be in no part, so a plan of the whole study lists none.
    """
    return list_unplaced_clips() if uses_unlabelled_clips(wildcards.model) else []


def find_pretraining_clips(wildcards):
    """An input function: the clips that pre-training reconstructs, of children in no part of any fold; else nothing."""
    return list_unplaced_clips() if PARAMS["pretrain"].source == "cohort" else []


def list_unplaced_clips():
    """The clips of children in no part of any fold, as far as the split exists."""
    if not ASSIGNMENT.exists():
        return []
    placed = assigned_children(ASSIGNMENT)
    return [f"data/prepare_clips/{video}.clip.json" for video in VIDEOS if SUBJECT_OF[video] not in placed]


def find_pretrained(wildcards):
    """An input function: the checkpoint and its description, for a network that this study pre-trains; else nothing."""
    if wildcards.model not in PARAMS["pretrain"].models:
        return []
    return expand("data/pretrain/{model}/{name}", model=wildcards.model, name=("weights.safetensors", "weights.json"))


def find_teacher(wildcards):
    """An input function: the run of the same fold and seed that this model is distilled from; else nothing."""
    if MODELS[wildcards.model].kind == "table" or not (teacher := get_settings(wildcards).distillation.teacher):
        return []
    run = f"data/finetune/{teacher}/{wildcards.fold}-{wildcards.seed}"
    return [f"{run}/weights.safetensors", f"{run}/model.json"]


def find_assignment(wildcards):
    """An input function: the split, by which the step checks its unlabelled clips; it contains no score."""
    return [str(ASSIGNMENT)] if find_unlabelled_clips(wildcards) else []


def count_processes(wildcards):
    """The number of training processes; a table model is fitted by one."""
    return get_settings(wildcards).processes if MODELS[wildcards.model].kind == "network" else 1


def count_cpus(wildcards):
    settings = get_settings(wildcards)
    return count_processes(wildcards) * (settings.threads + settings.workers)


def list_model_runs(folder, name):
    """A file of every run of the models in params.yaml, the main model first; the baselines are not among them."""
    settings = PARAMS["finetune"]
    path = f"data/{folder}/{{model}}/{{fold}}-{{seed}}/{name}"
    return expand(path, model=settings.models, fold=settings.folds, seed=settings.seeds)


def list_scored_children(part=None):
    """The children that a run of params.yaml tests or validates on, or those of one part of its first fold.

    Before the split exists, no child is known to be in a part, so a plan of the whole study lists none.
    """
    if not ASSIGNMENT.exists():
        return []
    folds = PARAMS["finetune"].folds if part is None else PARAMS["finetune"].folds[:1]
    with ASSIGNMENT.open(newline="") as rows:
        listed = {
            row["subject"]
            for row in csv.DictReader(rows)
            if row["fold"] in folds and row["part"] in ((part,) if part else ("test", "validation"))
        }
    return sorted(listed & set(SUBJECTS))


def list_files_of_child(wildcards):
    """An input function: what the page of a child shows, for each of its recordings."""
    of_video = {"deidentify": (".mp4", ".evidence.json"), "segment": (".summary.json",)} if HAS_VIDEO else {}
    of_all = {
        "register": (".json",),
        "refine_pose": (".summary.json", ".poses.parquet"),
        "prepare_clips": (".clip.json",),
    }
    return [
        f"data/{step}/{video}{ending}"
        for video in select_videos(wildcards.subject)
        for step, endings in (of_all | of_video).items()
        for ending in endings
    ]


def list_child_pages(ending):
    """A file of every child's page."""
    return expand("reports/children/{subject}.{ending}", subject=list_scored_children(), ending=ending)


def list_example_files(step, ending):
    """A file of the recordings that the report's pictures show: of the first two test children, two views each."""
    videos = [video for child in list_scored_children("test")[:2] for video in select_example_views(child)]
    return expand(f"data/{step}/{{video}}{ending}", video=videos)


def select_example_views(child):
    """The first recording of a child from the side, and its first one from the front or from behind."""
    sides = {}
    for video in select_videos(child):
        sides.setdefault(parse_video_name(video).view in ("left", "right"), video)
    return [sides[side] for side in (True, False) if side in sides]


def list_example_pictures():
    """The report's pictures of frames and of what the first model receives of them.

    None without videos, before the split, or if the first model is no network.
    """
    is_network = MODELS[PARAMS["finetune"].models[0]].kind == "network"
    if not (HAS_VIDEO and is_network and list_scored_children("test")):
        return []
    return expand("data/draw_examples/{picture}.jpg", picture=("covered", "received", "evidence"))


def list_submission_runs(name):
    """A file of the runs that predict the challenge's children: the first model, on the hold-out if the study has it."""
    settings = PARAMS["finetune"]
    fold = "holdout" if "holdout" in settings.folds else settings.folds[0]
    path = f"data/finetune/{{model}}/{{fold}}-{{seed}}/{name}"
    return expand(path, model=settings.models[0], fold=fold, seed=settings.seeds)


def list_classifications(name, task):
    """A file of every model, fold and seed of a task. The baseline is the most frequent class, within each run."""
    settings, models = PARAMS["finetune"], PARAMS["classify"].models
    path = f"data/classify/{task}/{{model}}/{{fold}}-{{seed}}/{name}"
    return expand(path, model=models, fold=settings.folds, seed=settings.seeds)


def list_subtype_runs(path):
    """A file of the runs that classify the challenge's children: the first model of classify, all seeds of one fold."""
    settings = PARAMS["finetune"]
    fold = "holdout" if "holdout" in settings.folds else settings.folds[0]
    return expand(path, model=PARAMS["classify"].models[0], fold=fold, seed=settings.seeds)


def list_openings(wildcards):
    """A file of every run of params.yaml under the tag; a WorkflowError unless the tag opens the vault."""
    from childgait.engine.git_tags import open_by_tag

    tag = as_workflow_error(open_by_tag, PARAMS["open_vault"].tag, Path(), f"{ANNOTATIONS}/vault.csv").tag
    return expand(f"data/open_vault/{tag}/{{model}}/{{fold}}-{{seed}}/metrics.json", zip, **list_runs())
