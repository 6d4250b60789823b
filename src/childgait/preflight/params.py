"""Checks of params.yaml beyond its own values, before a run is planned.

They cover the remote of raw recordings, the handling of people whom no detector sees, manual tables that name
recordings, and everything at which a later stage would stop: a missing cohort, table, model, fold or file of weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from childgait.domain.names import parse_video_name
from childgait.errors import StepError
from childgait.files.annotations import rows_of
from childgait.files.recordings import list_recordings
from childgait.params import SYNTHETIC_ROOT, Deidentify
from childgait.preflight.weights import required_weights

if TYPE_CHECKING:
    from childgait.params import Cohort, Finetune, Params

SECONDS_PER_SECOND = 9  # of one core, of video at 60 Hz and 640 x 360, through deidentify, segment and estimate_pose
VIDEO_TABLES = ("regions", "cleared", "selections", "corrections")  # tables in cohort.annotations, one row per video


def check_unseen_policy(cohort: Path, params: Deidentify) -> None:
    """Check that `deidentify.unseen: accept` is used only for a cohort made by `synthesize`, or with SAM 3."""
    real = (cohort / "dataset").is_dir() and not (cohort / "cohort.json").is_file()
    if real and params.unseen == "accept" and "sam3" not in params.backends:
        raise StepError(
            f"deidentify.unseen is accept, but {cohort} was not made by `synthesize`: without SAM 3 a person who "
            "stands still with the back to the camera would stay uncovered",
            hint="set deidentify.unseen to hold and add blazepose (or sam3) to deidentify.backends; without "
            "either every video is reviewed",
        )


def check_later_stages(sections: Params) -> None:
    """Check for everything that would stop a later stage: cohort, tables, models, folds and weights."""
    from childgait.preflight.pretraining import check_pretraining

    _check_cohort_folder(sections["cohort"])
    _check_models(sections["cohort"], sections["finetune"])
    _check_moments_rate(sections["finetune"], sections["prepare_clips"].rate)
    check_bench_models(sections)
    check_task_models(sections)
    check_reidentify_encoder(sections)
    check_pretraining(sections)
    _check_folds(sections["finetune"], sections["split_subjects"].folds)
    for key, path in required_weights(sections).items():
        if not path or not Path(path).exists():
            raise StepError(
                f"{key} is {path!r}, but there is no such file or folder",
                hint="put your weights there, or choose a backend without weights",
            )


def _check_cohort_folder(cohort: Cohort) -> None:
    """Check that the cohort and the manual tables exist; the synthetic cohort is made by the run itself."""
    from childgait.files.corrections import check_corrections
    from childgait.files.external_answers import read_kept_answers
    from childgait.files.regions import CLEARED_COLUMNS, REGION_COLUMNS
    from childgait.files.selections import COLUMNS as SELECTION_COLUMNS
    from childgait.files.split_list import read_split_list
    from childgait.files.vault import read_openings

    if not Path(cohort.root).is_dir() and Path(cohort.root) != SYNTHETIC_ROOT:
        raise StepError(
            f"cohort.root is {cohort.root}, but there is no such folder",
            hint=f"copy or `dvc pull` the recordings (layout: `childgait check-cohort`), or set it to {SYNTHETIC_ROOT}",
        )
    for table in (*VIDEO_TABLES, "split", "external", "vault"):
        if not (path := Path(cohort.annotations) / f"{table}.csv").is_file():
            raise StepError(
                f"cohort.annotations is {cohort.annotations}, but there is no {path}",
                hint="copy the folder annotations/ of this repository and keep the first line of each table",
            )
    required = {"regions": REGION_COLUMNS, "cleared": CLEARED_COLUMNS, "selections": SELECTION_COLUMNS}
    for table, columns in required.items():
        rows_of(Path(cohort.annotations) / f"{table}.csv", columns)
    check_corrections(Path(cohort.annotations) / "corrections.csv")
    read_split_list(Path(cohort.annotations) / "split.csv")
    read_kept_answers(Path(cohort.annotations) / "external.csv")
    read_openings(Path(cohort.annotations) / "vault.csv")


def _check_models(cohort: Cohort, finetune: Finetune) -> None:
    """Check that every model exists, its overrides are valid, and its inputs are in the cohort."""
    from childgait.models.registry import BASELINES, find_model, settings_of

    for name in (*finetune.models, *BASELINES):
        model, settings = find_model(name), settings_of(find_model(name), finetune)
        if model.kind == "network" and settings.distillation.teacher:
            _check_teacher_is_trained(name, settings.distillation.teacher, finetune)
        _check_input(name, "finetune.models", cohort)


def _check_input(name: str, key: str, cohort: Cohort) -> None:
    """Check that the cohort has what a model reads; `key` of params.yaml names the model."""
    from childgait.models.registry import KEYPOINTS, needs_video

    if cohort.modality == "keypoints" and needs_video(name):
        raise StepError(
            f"cohort.modality is keypoints, but {name} of {key} needs video frames",
            hint=f"networks without video are {', '.join(KEYPOINTS)}",
        )


def check_bench_models(sections: Params) -> None:
    """Check that each model of bench exists, is no baseline (those are added) and that its inputs are in the cohort."""
    from childgait.models.registry import BASELINES, find_model

    for name in sections["bench"].models:
        if find_model(name).name in BASELINES:
            raise StepError(f"bench.models names {name}, which is added to every comparison", hint="remove it there")
        _check_input(name, "bench.models", sections["cohort"])


def _check_moments_rate(finetune: Finetune, rate: float) -> None:
    """Check that networks with joint moments know the rate of their windows, which accelerations depend on."""
    from childgait.models.registry import KEYPOINTS, find_model, settings_of

    for name in set(finetune.models) & set(KEYPOINTS):
        own = settings_of(find_model(name), finetune)
        expected = rate / own.frame_step
        if "moments" in own.skeleton.extra and abs(own.skeleton.moments_rate - expected) > 0.01 * expected:
            raise StepError(
                f"finetune.skeleton.moments_rate is {own.skeleton.moments_rate:g} for {name}, but its windows have "
                f"{expected:g} frames per second (prepare_clips.rate {rate:g}, frame_step {own.frame_step})",
                hint=f"set it to {expected:g}",
            )


def _check_teacher_is_trained(student: str, teacher: str, finetune: Finetune) -> None:
    """Check that the teacher is a model of the study and has no teacher of its own."""
    from childgait.models.registry import find_model, settings_of

    if teacher not in finetune.models:
        raise StepError(
            f"finetune.distillation.teacher of {student} is {teacher}, which finetune.models does not name",
            hint=f"add {teacher} to finetune.models, so that its runs are trained, evaluated and reported as well",
        )
    if further := settings_of(find_model(teacher), finetune).distillation.teacher:
        raise StepError(
            f"finetune.distillation.teacher of {student} is {teacher}, whose own teacher is {further}",
            hint=f"take {further} as the teacher of both, or train {teacher} without one",
        )


def check_task_models(sections: Params) -> None:
    """Check that each model of classify is a network (its last layer is replaced) whose inputs exist."""
    from childgait.models.registry import KEYPOINTS, MODELS, find_model

    without_video = sections["cohort"].modality == "keypoints"
    networks = KEYPOINTS if without_video else [name for name, model in MODELS.items() if model.kind == "network"]
    for name in sections["classify"].models:
        if find_model(name).name not in networks:
            raise StepError(
                f"classify.models names {name}, which is no network{' on keypoints' if without_video else ''}",
                hint=f"there are {', '.join(networks)}",
            )


def check_reidentify_encoder(sections: Params) -> None:
    """Check that the encoder of reidentify is a network of the registry."""
    from childgait.models.registry import MODELS, find_model

    name = sections["reidentify"].encoder
    if find_model(name).kind != "network":
        networks = [other for other, model in MODELS.items() if model.kind == "network"]
        raise StepError(f"reidentify.encoder is {name}, which is no network", hint=f"there are {', '.join(networks)}")


def _check_folds(finetune: Finetune, folds: int) -> None:
    """Check that the folds to train on are folds of the split."""
    from childgait.files.split import HOLDOUT

    valid = [HOLDOUT, *(str(fold) for fold in range(folds))]
    if invalid := [fold for fold in finetune.folds if fold not in valid]:
        raise StepError(
            f"finetune.folds names {', '.join(invalid)}, but split_subjects.folds is {folds}",
            hint=f"there are {', '.join(valid)}",
        )


def unmatched_rows(cohort: Path, annotations: Path) -> list[str]:
    """List the rows of the manual tables that name a child of the cohort but no recording, a sentence each."""
    if not (cohort / "dataset").is_dir():
        return []
    recordings = {recording.name for recording in list_recordings(cohort)}
    children = {parse_video_name(name).subject for name in recordings}
    return [
        f"{path}, line {line}: {name} is no recording of {cohort}; the line has no effect."
        for path in (annotations / f"{table}.csv" for table in VIDEO_TABLES)
        for line, name in videos_of_table(path)
        if name not in recordings and name.strip().split("-", 1)[0] in children
    ]


def explain_missing_keypoints(sections: Params) -> list[str]:
    """List what a run will do with videos without keypoints: backends, time, and what stays unmeasured.

    Fails if estimate_pose would stop at them.
    """
    cohort, segment = sections["cohort"], sections["segment"]
    root = Path(cohort.root)
    if cohort.modality != "video" or not (root / "dataset").is_dir():
        return []
    recordings = [one for one in list_recordings(root) if one.video is not None and one.name not in cohort.exclude]
    missing = [one.name for one in recordings if one.poses is None]
    if not missing:
        return []
    count = f"{len(missing)} of {len(recordings)} videos have no keypoints (first {missing[0]})"
    if sections["estimate_pose"].backend == "delivered":
        raise StepError(
            f"{count}, but estimate_pose.backend is delivered",
            hint="set estimate_pose.backend to auto, deliver the keypoints, or name the videos in cohort.exclude",
        )
    pose = sections["estimate_pose"].backend.replace("auto", "blazepose")
    mask = segment.backend.replace("auto", "blazepose")
    cost = f"{SECONDS_PER_SECOND} s of one core per second of video"
    lines = [f"{count}: segment uses {mask} and estimate_pose {pose}, {cost}."]
    if pose == "blazepose":
        lines.append(
            "BlazePose has no small toes and does not show how the pelvis tilts: the items FCL and POB are not "
            "measured from these videos."
        )
    if mask == "classical":
        lines.append(
            "Without keypoints the backend classical of segment takes a walking adult for the child in places."
        )
    if not {"blazepose", "sam3"} & {*sections["deidentify"].backends}:
        lines.append("Each of these videos waits for a reviewer, unless deidentify.backends lists blazepose or sam3.")
    return lines


def videos_of_table(table: Path) -> list[tuple[int, str]]:
    """List line number and video of each row of a manual table; an unreadable table is an error, never skipped.

    A skipped row of regions.csv would leave a head uncovered.
    """
    if not table.exists():
        return []
    return [(line, row["video"]) for line, row in rows_of(table, ("video",))]


def check_recordings(cohort: Cohort) -> None:
    """Check names and headers of all recordings, scores and subjects: the problems that check-cohort lists."""
    from childgait.preflight.cohort import take_inventory

    inventory = take_inventory(Path(cohort.root), cohort)
    errors = sorted({problem for problem in inventory.problems if problem.level == "error"})
    if errors:
        first = errors[0]
        raise StepError(
            f"{cohort.root} has {len(errors)} problem(s) that would stop a run, first {first.file}: {first.reason}",
            hint=f"{first.fix}; `childgait check-cohort {cohort.root}` lists them all",
        )


def check_remotes(cohort: Path, root: Path = Path()) -> None:
    """Check that raw recordings tracked by DVC name their own remote, so that `dvc push` keeps them apart."""
    from childgait.lineage.versions import dvc_files, outs_of
    from childgait.user_files import read_text

    for path in dvc_files(root):
        for out in outs_of(str(path), read_text(path)):
            place = path.parent / out["path"]
            overlaps = place.is_relative_to(root / cohort) or (root / cohort).is_relative_to(place)
            if overlaps and not out.get("remote") and out.get("push", True):
                raise StepError(
                    f"{path} names no remote of its own, so `dvc push` would send recordings with faces to the "
                    "remote of derived data",
                    hint="add the line `remote: raw` below its `path:` (see .dvc/config), or `push: false`",
                )
