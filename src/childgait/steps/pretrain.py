"""Trains a network before it reads any score: on synthetic walks, or on clips of children without scores.

One job per model. Synthetic children are those of a seed of their own, painted anew at each visit as the study shows
clips to this network. Children of the cohort are those in no part of any fold; their clips are reconstructed from a few
patches. A killed job takes up its last checkpoint, kept in an untracked folder until the job is done.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.engine.flags import Input, Output
from childgait.params import Pretrain

if TYPE_CHECKING:
    from childgait.files.pretrained import PretrainingDescription
    from childgait.params import Params as StudyParams
    from childgait.training.stream_pretraining import PretrainingResult

METHODS = (
    "Networks pre-trained on painted synthetic walks, with joint curves, gait phase, keypoints and the items' "
    "measures as "
    "targets and no item score: {networks}."
)
LOSS_COLUMNS = ("loss", "curves", "phases", "points", "measures", "masked")
TARGETS = {
    "dense": "joint curves, gait phase, points, measures; no item score",
    "masked": "hidden patches; no item score",
    "both": "joint curves, gait phase, points, measures and hidden patches; no item score",
}
log = logging.getLogger("childgait")


def pretrain(
    weights: Output,
    description: Output,
    history: Output,
    strip: Output,
    model_name: str,
    params: Pretrain,
    unlabelled: list[Input] | None = None,
    assignment: Input | None = None,
    study: Path = Path("params.yaml"),
    checkpoint: Path = Path(".cache/pretrain"),
) -> None:
    """Pre-train `model_name`; write its weights, their description, the learning curve and a strip of its windows.

    `unlabelled` are clips of children in no part of any fold, for the source cohort; `assignment` has every child's
    part. `study` is the file whose other sections describe the network's input: finetune, prepare_clips, refine_pose.
    """
    import cv2
    from safetensors.torch import save_file

    from childgait.engine.record import add_run_note
    from childgait.files.clips import open_clip
    from childgait.files.hashes import sha256
    from childgait.files.pretrained import check_source
    from childgait.models.registry import find_model, settings_of
    from childgait.params import load_params
    from childgait.training.cohort_pretraining import pretrain_on_clips
    from childgait.training.leak_checks import check_pool
    from childgait.training.stream_pretraining import make_stream_settings, pretrain_on_stream

    sections = load_params(study)
    model = find_model(model_name)
    check_network(model_name, model.kind)
    check_source(params)
    check_seeds(params, sections["synthesize"].seed)
    network_settings = settings_of(model, sections["finetune"])
    clips = [open_clip(path) for path in unlabelled or []]
    check_pool({clip.subject for clip in clips}, assignment)
    fingerprint = fingerprint_of(model_name, params, sections, unlabelled or [])
    save_as = checkpoint / f"{model_name}.safetensors"
    save_as.parent.mkdir(parents=True, exist_ok=True)
    with _tracked(model_name, params, fingerprint) as run:
        arguments: Any = {
            "save_as": save_as,
            "fingerprint": fingerprint,
            "on_round": lambda row, speed: run.metrics(int(row["windows"]), row | {"windows_per_second": speed}),
        }
        if params.source == "cohort":
            result = pretrain_on_clips(model, params, network_settings, clips, **arguments)
        else:
            stream = make_stream_settings(params, sections["prepare_clips"], sections["refine_pose"])
            cache = outline_folder(checkpoint)
            result = pretrain_on_stream(model, params, network_settings, stream, cache=cache, **arguments)
        save_file(result.tensors, weights)
        describe(model_name, params, result, sha256(weights), [clip.subject for clip in clips]).write(description)
        write_history(history, result.history)
        written, data = cv2.imencode(".png", result.strip[..., ::-1])
        assert written
        strip.write_bytes(data.tobytes())
        add_run_note(mlflow_run=run.id)
    save_as.unlink(missing_ok=True)
    log.info("pretrain: %s, %d windows: %s", model_name, params.windows, summary_of(result.history[-1]))


def outline_folder(checkpoint: Path) -> Path:
    """Return where the stream's outlines are kept: one folder per state of the generator's sources.

    Outlines of a former generator would give the network other targets than the description's code hash states.
    """
    from childgait.engine.record import describe_code
    from childgait.files.hashes import sha256_of_tree
    from childgait.synthetic.outlines import outline_child

    return checkpoint / "outlines" / sha256_of_tree(describe_code(outline_child).items())[:12]


def summary_of(row: dict[str, float]) -> str:
    """Describe the last validation in words."""
    names = {
        "validation_r2_knee": "knee R2",
        "validation_r2_measures": "measures R2",
        "validation_masked": "masked loss",
    }
    figures = [f"{words} {row[name]:.3f}" for name, words in names.items() if name in row]
    return f"{', '.join(figures)} on held-out children"


def check_network(name: str, kind: str) -> None:
    """Fail unless the model is a network: only networks are pre-trained."""
    from childgait.errors import StepError

    if kind != "network":
        raise StepError(
            f"pretrain.models names {name}, which is no network", hint="name a network of models/registry.py"
        )


def check_seeds(params: Pretrain, cohort_seed: int) -> None:
    """Fail if the demo cohort's children are of the stream's seed: the last check against a leak."""
    from childgait.errors import StepError

    if params.seed == cohort_seed:
        raise StepError(
            f"pretrain.seed is {params.seed}, as synthesize.seed: pre-training would see the cohort's test children",
            hint="choose another pretrain.seed",
        )


def fingerprint_of(name: str, params: Pretrain, sections: StudyParams, clips: list[Path]) -> str:
    """Hash what a checkpoint must have been made of to be resumed: the same model, settings, clips and code."""
    from childgait.engine.record import describe_code
    from childgait.files.hashes import sha256, sha256_of_text
    from childgait.params import network_section, section_of_pretraining

    made_of = [
        name,
        section_of_pretraining(params.model_dump(mode="json")),
        network_section(sections["finetune"].model_dump(mode="json"), name),
        sections["prepare_clips"].model_dump(mode="json"),
        sections["refine_pose"].model_dump(mode="json"),
        describe_code(pretrain),
        {path.name: sha256(path) for path in clips},
    ]
    return sha256_of_text(json.dumps(made_of, sort_keys=True))


def describe(
    name: str, params: Pretrain, result: PretrainingResult, digest: str, subjects: list[str]
) -> PretrainingDescription:
    """Return what lies beside the weights: everything that a study compares or reports."""
    from childgait.engine.record import describe_code
    from childgait.files.hashes import sha256_of_tree
    from childgait.files.pretrained import PretrainingDescription
    from childgait.params import section_of_pretraining

    last = {key: round(value, 6) if value == value else None for key, value in result.history[-1].items()}
    return PretrainingDescription(
        model=name,
        method=params.method,
        network=result.network,
        parameters=result.parameters,
        seed=params.seed,
        children=result.children,
        held_out_children=result.held_out_children,
        source=params.source,
        subjects=sorted(set(subjects)),
        windows=int(result.history[-1]["windows"]),
        targets=TARGETS[params.method],
        settings=section_of_pretraining(params.model_dump(mode="json")),
        code=sha256_of_tree(describe_code(pretrain).items()),
        losses={key: last[key] for key in LOSS_COLUMNS if key in last},
        validation={key.removeprefix("validation_"): last[key] for key in last if key.startswith("validation_")},
        sha256=digest,
    )


def write_history(path: Path, rows: list[dict[str, float]]) -> None:
    """Write one row per validation."""
    import polars as pl

    pl.DataFrame(rows).write_csv(path, float_precision=6)


def _tracked(name: str, params: Pretrain, fingerprint: str) -> Any:
    """Return the MLflow run of this job."""
    from childgait.engine.mlflow_tracking import track_run
    from childgait.engine.record import git_state
    from childgait.params import section_of_pretraining

    tags = {"model": name, "stage": "pretrain", "seed": str(params.seed), "commit": str(git_state()["commit"])}
    return track_run(
        name, f"pretrain {name}", section_of_pretraining(params.model_dump(mode="json")), tags, fingerprint
    )
