"""Invariants of a finished study, checked on its outputs: not on params, plans or what a step reports of itself.

Each promise is a function of the tables that yields its breaches, one line each; its docstring is the promise as the
report states it. No line means that the promise is kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import polars as pl

from childgait.domain.evgs import TARGET_NAMES
from childgait.errors import StepError
from childgait.files.atomic import write_json
from childgait.files.json_files import read_typed
from childgait.files.labels import target_column
from childgait.files.model_description import RunDescription
from childgait.files.split import HOLDOUT, PART_NAMES
from childgait.metrics.of_study import RunKey

CLOSE = 1e-9  # a mean of the same numbers in another order


@dataclass(frozen=True)
class PromiseResult:
    """One promise, whether it is kept, and the first of its breaches."""

    promise: str
    kept: bool
    breaches: int
    found: str


@dataclass(frozen=True)
class PromiseResults:
    """The form of check_study's file."""

    promises: list[PromiseResult]
    kept: int


def write_promises(path: Path, promises: list[PromiseResult]) -> None:
    """Write the results of all promises, which are kept."""
    write_json(path, asdict(PromiseResults(promises, len(promises))))


def read_promises(path: Path) -> list[PromiseResult]:
    """Read the results of all promises."""
    return read_typed(path, PromiseResults, hint="run the step check_study again").promises


@dataclass(frozen=True)
class StudyOutputs:
    """The outputs that the promises are checked on."""

    gates: dict[str, pl.DataFrame]  # pooled tables by step
    labels: pl.DataFrame
    assignment: pl.DataFrame  # fold, subject, part
    parts: dict[tuple[str, str], pl.DataFrame]  # by fold and part
    models: dict[RunKey, RunDescription]
    predictions: dict[RunKey, pl.DataFrame]


Check = Callable[[StudyOutputs], Iterator[str]]


def part_of(path: Path) -> tuple[str, str]:
    """Read fold and part off a file name such as `holdout.test.parquet`."""
    pieces = path.name.split(".")
    if len(pieces) != 3 or pieces[1] not in PART_NAMES:
        raise StepError(f"{path} is not named FOLD.PART.parquet", hint="give the files that split_subjects writes")
    return pieces[0], pieces[1]


def one_part_a_child(study: StudyOutputs) -> Iterator[str]:
    """No child stands in two parts of a fold."""
    for fold in sorted({fold for fold, _ in study.parts}):
        members = {part: set(study.parts[fold, part]["subject"]) for part in PART_NAMES if (fold, part) in study.parts}
        for one, other in itertools.combinations(members, 2):
            for child in sorted(members[one] & members[other]):
                yield f"fold {fold}: child {child} is in {one} and {other}"


def holdout_is_spared(study: StudyOutputs) -> Iterator[str]:
    """No test child of the hold-out was used by any fold."""
    if (HOLDOUT, "test") not in study.parts:
        return
    held = set(study.parts[HOLDOUT, "test"]["subject"])
    for (fold, part), table in sorted(study.parts.items()):
        if fold != HOLDOUT:
            for child in sorted(held & set(table["subject"])):
                yield f"child {child} is in {part} of fold {fold}"


def parts_are_as_assigned(study: StudyOutputs) -> Iterator[str]:
    """The children of each part are those that subjects.csv names, no more and no fewer."""
    for (fold, part), table in sorted(study.parts.items()):
        assigned = study.assignment.filter((pl.col("fold") == fold) & (pl.col("part") == part))
        for child in sorted(set(assigned["subject"]) ^ set(table["subject"])):
            yield f"fold {fold}, {part}: child {child} is in only one of the two"


def no_model_saw_its_test(study: StudyOutputs) -> Iterator[str]:
    """No model was trained or selected on a child that it was tested on."""
    for run, description in sorted(study.models.items()):
        test = study.predictions[run].filter(pl.col("part") == "test") if run in study.predictions else None
        tested = set() if test is None else set(test["subject"])
        for part, children in description.children.items():
            for child in sorted(tested & set(children)):
                yield f"{run}: child {child} was in {part}"


def one_split(study: StudyOutputs) -> Iterator[str]:
    """Every part of a fold, and every model trained on it, carries the same split hash."""
    for fold in sorted({fold for fold, _ in study.parts}):
        hashes = {str(h) for (f, _), table in study.parts.items() if f == fold for h in table["split_hash"].unique()}
        hashes |= {model.split_hash for run, model in study.models.items() if run.fold == fold}
        if len(hashes) > 1:
            yield f"fold {fold} has {len(hashes)} different ones"


def every_video_arrives(study: StudyOutputs) -> Iterator[str]:
    """Every registered recording came through each video step."""
    registered = set(study.gates["register"]["video"])
    for step in ("deidentify", "refine_pose", "prepare_clips"):
        if step in study.gates:
            for video in sorted(registered ^ set(study.gates[step]["video"])):
                yield f"{step}: {video} is {'missing' if video in registered else 'not registered'}"


def every_frame_is_kept(study: StudyOutputs) -> Iterator[str]:
    """The de-identified video has as many frames as the raw one, and so have its keypoints."""
    raw = study.gates["register"].select("video", raw="frames")
    for step, column in (("deidentify", "frames"), ("refine_pose", "frames"), ("prepare_clips", "source_frames")):
        table = study.gates.get(step)
        if table is None or column not in table.columns:
            continue
        both = table.join(raw, on="video").filter(pl.col(column) != pl.col("raw"))
        for video, frames, expected in both.select("video", column, "raw").sort("video").iter_rows():
            yield f"{step}: {video} has {frames} frames of {expected}"


def parts_have_clips(study: StudyOutputs) -> Iterator[str]:
    """Every video of a part has a clip."""
    clips = set(study.gates["prepare_clips"]["video"])
    for (fold, part), table in sorted(study.parts.items()):
        for video in sorted(set(table["video"]) - clips):
            yield f"fold {fold}, {part}: {video} has none"


def parts_hold_the_labels(study: StudyOutputs) -> Iterator[str]:
    """Each score in a part is the child's label, and only for views that show the item."""
    labels = study.labels.select("subject", "score", "views", target=target_column())
    visible = pl.col("views").str.split(" ").list.contains(pl.col("view"))
    expected = pl.when(visible).then(pl.col("score"))
    for (fold, part), table in sorted(study.parts.items()):
        index = ["video", "subject", "view"]
        long = table.unpivot(TARGET_NAMES, index=index, variable_name="target", value_name="value")
        both = long.join(labels, on=["subject", "target"], how="left")
        wrong = both.filter(~pl.col("value").eq_missing(expected)).select("video", "target", "value")
        for video, target, value in wrong.sort("video", "target").iter_rows():
            yield f"fold {fold}, {part}: {video}, {target} is {value}"


def predictions_are_whole(study: StudyOutputs) -> Iterator[str]:
    """Every test video and every test child has a prediction for each of the 34 targets, of each run."""
    for run, table in sorted(study.predictions.items()):
        test = table.filter(pl.col("part") == "test")
        part = study.parts.get((run.fold, "test"))
        if part is None:
            yield f"{run}: the fold has no test part"
            continue
        for level, column in (("video", "video"), ("child", "subject")):
            expected = {(name, target) for name in part[column].unique() for target in TARGET_NAMES}
            rows = test.filter(pl.col("level") == level).select(column, "target").rows()
            if len(rows) != len(set(rows)):
                yield f"{run}: a {level} is predicted twice"
            for name, target in sorted(expected ^ set(rows))[:3]:
                problem = "missing" if (name, target) in expected else "not of the test"
                yield f"{run}: {level} {name}, {target} is {problem}"


def probabilities_are_sound(study: StudyOutputs) -> Iterator[str]:
    """Probabilities lie between 0 and 1 and are missing only where no view of the child shows the item."""
    for run, table in sorted(study.predictions.items()):
        p = pl.col("probability")
        wrong = table.filter(
            (p.is_null() & (pl.col("level") != "child"))
            | p.is_nan()
            | (p < 0)
            | (p > 1)
            | (p.is_null() & pl.col("counts"))
        )
        if wrong.height:
            first = wrong.row(0, named=True)
            yield f"{run.model}, fold {run.fold}: {first['subject']}, {first['target']} is {first['probability']}"


def children_are_means(study: StudyOutputs) -> Iterator[str]:
    """A child's prediction is the mean of the logits of its videos that count, computed again."""
    for run, table in sorted(study.predictions.items()):
        keys = ["part", "subject", "target"]
        again = (
            table.filter((pl.col("level") == "video") & pl.col("counts"))
            .group_by(keys)
            .agg(again=pl.col("logit").mean())
        )
        both = table.filter(pl.col("level") == "child").join(again, on=keys, how="left")
        pairs = both.filter(pl.col("logit").is_not_null() | pl.col("again").is_not_null()).select("logit", "again")
        gap = np.abs(
            pairs["logit"].cast(pl.Float64).fill_null(np.inf).to_numpy() - pairs["again"].fill_null(-np.inf).to_numpy()
        )
        if gap.size and not (gap <= CLOSE).all():
            count = int((~(gap <= CLOSE)).sum())
            yield f"{run.model}, fold {run.fold}: {count} predictions differ, at most by {gap.max():.3g}"


def truth_is_the_label(study: StudyOutputs) -> Iterator[str]:
    """The truth that a child's prediction is compared with is the label."""
    labels = study.labels.select("subject", target=target_column(), label=pl.col("atypical").cast(pl.Int64))
    for run, table in sorted(study.predictions.items()):
        children = table.filter((pl.col("level") == "child") & pl.col("counts"))
        both = children.join(labels, on=["subject", "target"], how="left")
        wrong = both.filter(~pl.col("atypical").eq_missing(pl.col("label")))
        if wrong.height:
            yield f"{run.model}, fold {run.fold}: child {wrong['subject'][0]}, {wrong['target'][0]}"


PROMISES: tuple[Check, ...] = (
    one_part_a_child,
    holdout_is_spared,
    parts_are_as_assigned,
    no_model_saw_its_test,
    one_split,
    every_video_arrives,
    every_frame_is_kept,
    parts_have_clips,
    parts_hold_the_labels,
    predictions_are_whole,
    probabilities_are_sound,
    children_are_means,
    truth_is_the_label,
)


def check_promises(study: StudyOutputs) -> list[PromiseResult]:
    """Check every promise."""
    results = []
    for check in PROMISES:
        breaches = list(check(study))
        first = "; ".join(breaches[:3]) + (f"; and {len(breaches) - 3} more" if len(breaches) > 3 else "")
        results.append(PromiseResult((check.__doc__ or "").strip(), not breaches, len(breaches), first))
    return results
