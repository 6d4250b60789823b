"""Checks params.yaml: every section, every key, all problems at once; and what is around it that a run trusts.

Raw recordings have a remote of their own; nobody real goes uncovered by a setting that is for people who do not exist;
what a person decided names recordings that are there; and no later stage will stop at what could be known now.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from childgait.errors import StepError
from childgait.files.annotations import rows_of
from childgait.files.recordings import list_recordings
from childgait.params import Deidentify

SYNTHETIC_ROOT = "data/demo"  # what dvc.yaml's stage `cohort` makes; any other cohort is there before a run
OF_VIDEOS = ("regions", "cleared", "selections", "corrections")  # tables in cohort.annotations with a row a video


def check_unseen(cohort: Path, params: Deidentify) -> None:
    """Whom nothing can see is let pass only where nobody is real: in a cohort that `synthesize` made and stamped."""
    real = (cohort / "dataset").is_dir() and not (cohort / "cohort.json").is_file()
    if real and params.unseen == "accept" and "sam3" not in params.backends:
        raise StepError(
            f"deidentify.unseen is accept, but {cohort} is no cohort that `synthesize` made: without SAM 3 somebody who "
            "stands still with the back to the camera would pass uncovered",
            hint="set deidentify.unseen to hold (a person then clears each video), or name sam3 in deidentify.backends",
        )


def check_ahead(sections: dict[str, Any]) -> None:
    """What a stage hours from now would stop at: a cohort, tables, models, folds or weights that are not there."""
    from childgait.files.split import HOLDOUT
    from childgait.files.split_list import read_split_list
    from childgait.models.registry import BASELINES, KEYPOINTS, MODELS, find_model, settings_of

    cohort, learning, folds = sections["cohort"], sections["finetune"], sections["split_subjects"].folds
    if not Path(cohort.root).is_dir() and Path(cohort.root) != Path(SYNTHETIC_ROOT):
        raise StepError(
            f"cohort.root is {cohort.root}, and there is no such folder",
            hint="put the recordings there (`childgait check-cohort` says how), `dvc pull` them, or set it to data/demo",
        )
    for table in (*OF_VIDEOS, "split"):
        if not (path := Path(cohort.annotations) / f"{table}.csv").is_file():
            raise StepError(
                f"cohort.annotations is {cohort.annotations}, but there is no {path}",
                hint="copy the folder annotations/ of this repository and keep the first line of each table",
            )
    read_split_list(Path(cohort.annotations) / "split.csv")
    for name in (*learning.models, *BASELINES):
        settings_of(find_model(name), learning)
        if cohort.modality == "keypoints" and MODELS[name].kind == "network" and name not in KEYPOINTS:
            raise StepError(
                f"cohort.modality is keypoints, but finetune.models names {name}, which looks at frames",
                hint=f"networks that need no video are {', '.join(KEYPOINTS)}",
            )
    check_graders(sections)
    known = [HOLDOUT, *(str(fold) for fold in range(folds))]
    if strange := [fold for fold in learning.folds if fold not in known]:
        raise StepError(
            f"finetune.folds names {', '.join(strange)}, but split_subjects.folds is {folds}",
            hint=f"there are {', '.join(known)}",
        )
    for key, named in weights_named(sections).items():
        if not named or not Path(named).exists():
            raise StepError(
                f"{key} is {named!r}, and nothing is there", hint="put your weights there, or choose without them"
            )


def check_graders(sections: dict[str, Any]) -> None:
    """Only a network has a last layer to replace; in a cohort without videos only one that looks at keypoints."""
    from childgait.models.registry import KEYPOINTS, MODELS, find_model

    without_video = sections["cohort"].modality == "keypoints"
    can = KEYPOINTS if without_video else [name for name, model in MODELS.items() if model.kind == "network"]
    for name in sections["grade_severity"].models:
        if find_model(name).name not in can:
            raise StepError(
                f"grade_severity.models names {name}, which is no network{' on keypoints' if without_video else ''}",
                hint=f"there are {', '.join(can)}",
            )


def weights_named(sections: dict[str, Any]) -> dict[str, str]:
    """By key, where the chosen backends and the network look for weights."""
    covering, segment, pose = sections["deidentify"], sections["segment"], sections["estimate_pose"]
    found = {
        f"deidentify.{name}_weights": getattr(covering, f"{name}_weights")
        for name in ("retinaface", "sam3")
        if name in covering.backends
    }
    if segment.backend == "sam3":
        found["segment.sam3_folder"] = segment.sam3_folder
    if pose.backend == "sapiens2":
        found["estimate_pose.weights"] = pose.weights
    if sections["finetune"].weights:
        found["finetune.weights"] = sections["finetune"].weights
    return found


def unmatched_rows(cohort: Path, annotations: Path) -> list[str]:
    """A line for each row of a person's tables that names a child of the cohort, but no recording: it would do nothing."""
    if not (cohort / "dataset").is_dir():
        return []
    recordings = {recording.name for recording in list_recordings(cohort)}
    children = {name.split("-", 1)[0] for name in recordings}
    return [
        f"{path}, line {line}: {name} is no recording of {cohort}; the line does nothing."
        for path in (annotations / f"{table}.csv" for table in OF_VIDEOS)
        for line, name in videos_named(path)
        if name not in recordings and name.strip().split("-", 1)[0] in children
    ]


def videos_named(table: Path) -> list[tuple[int, str]]:
    """Line and video of each row of a person's table; a row that nobody could read would be a head that stays bare."""
    if not table.exists():
        return []
    return [(line, row["video"]) for line, row in rows_of(table, ("video",))]


def check_remotes(cohort: Path, root: Path = Path()) -> None:
    """Recordings that `dvc add` put away must name their remote: else `dvc push` sends them where derived data go."""
    from childgait.lineage.versions import dvc_files, load_yaml

    for path in dvc_files(root):
        for out in (load_yaml(path.read_text(encoding="utf-8")) or {}).get("outs", []):
            place = path.parent / out["path"]
            touches = place.is_relative_to(root / cohort) or (root / cohort).is_relative_to(place)
            if touches and not out.get("remote") and out.get("push", True):
                raise StepError(
                    f"{path} names no remote of its own, so `dvc push` would send recordings with faces among derived data",
                    hint="add the line `remote: raw` below its `path:` (.dvc/config says more), or `push: false`",
                )
