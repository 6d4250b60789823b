"""What a study promises, tested on what it really wrote: not on params, plans or what a step says of itself.

Each promise is a function of the tables that yields its breaches, a line each; no line means that it is kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from childgait.domain.evgs import TARGET_NAMES
from childgait.errors import StepError
from childgait.files.split import HOLDOUT, PART_NAMES
from childgait.metrics.of_study import Run

CLOSE = 1e-9  # a mean of the same numbers in another order


@dataclass
class Study:
    """What the promises are about."""

    gates: dict[str, pl.DataFrame]  # pooled tables by step
    labels: pl.DataFrame
    assignment: pl.DataFrame  # fold, subject, part
    parts: dict[tuple[str, str], pl.DataFrame]  # by fold and part
    models: dict[Run, dict[str, Any]]  # model.json
    predictions: dict[Run, pl.DataFrame]


Check = Callable[[Study], Iterator[str]]


def part_of(path: Path) -> tuple[str, str]:
    """`holdout.test.parquet`: fold and part."""
    pieces = path.name.split(".")
    if len(pieces) != 3 or pieces[1] not in PART_NAMES:
        raise StepError(f"{path} is not named FOLD.PART.parquet", hint="give the files that split_subjects writes")
    return pieces[0], pieces[1]


def one_part_a_child(study: Study) -> Iterator[str]:
    """No child stands in two parts of a fold."""
    for fold in sorted({fold for fold, _ in study.parts}):
        members = {part: set(study.parts[fold, part]["subject"]) for part in PART_NAMES if (fold, part) in study.parts}
        for one, other in itertools.combinations(members, 2):
            for child in sorted(members[one] & members[other]):
                yield f"fold {fold}: child {child} is in {one} and {other}"


def holdout_is_spared(study: Study) -> Iterator[str]:
    """No test child of the hold-out was used by any fold."""
    if (HOLDOUT, "test") not in study.parts:
        return
    held = set(study.parts[HOLDOUT, "test"]["subject"])
    for (fold, part), table in sorted(study.parts.items()):
        if fold != HOLDOUT:
            for child in sorted(held & set(table["subject"])):
                yield f"child {child} is in {part} of fold {fold}"


def parts_are_as_assigned(study: Study) -> Iterator[str]:
    """The children of each part are those that subjects.csv names, no more and no fewer."""
    for (fold, part), table in sorted(study.parts.items()):
        said = study.assignment.filter((pl.col("fold") == fold) & (pl.col("part") == part))
        for child in sorted(set(said["subject"]) ^ set(table["subject"])):
            yield f"fold {fold}, {part}: child {child} is in only one of the two"


def no_model_saw_its_test(study: Study) -> Iterator[str]:
    """No model learnt from, or was selected on, a child that it was tested on."""
    for run, told in sorted(study.models.items(), key=lambda pair: str(pair[0])):
        test = study.predictions[run].filter(pl.col("part") == "test") if run in study.predictions else None
        tested = set() if test is None else set(test["subject"])
        for part, children in told["children"].items():
            for child in sorted(tested & set(children)):
                yield f"{run.model}, fold {run.fold}, seed {run.seed}: child {child} was in {part}"


def one_split(study: Study) -> Iterator[str]:
    """Every part of a fold, and every model trained on it, carries the same split hash."""
    for fold in sorted({fold for fold, _ in study.parts}):
        hashes = {str(h) for (f, _), table in study.parts.items() if f == fold for h in table["split_hash"].unique()}
        hashes |= {str(told["split_hash"]) for run, told in study.models.items() if run.fold == fold}
        if len(hashes) > 1:
            yield f"fold {fold} has {len(hashes)} different ones"


def every_video_arrives(study: Study) -> Iterator[str]:
    """Every registered recording came through each video step."""
    registered = set(study.gates["register"]["video"])
    for step in ("deidentify", "refine_pose", "prepare_clips"):
        if step in study.gates:
            for video in sorted(registered ^ set(study.gates[step]["video"])):
                yield f"{step}: {video} is {'missing' if video in registered else 'not registered'}"


def every_frame_is_kept(study: Study) -> Iterator[str]:
    """The de-identified video has as many frames as the raw one, and so have its keypoints."""
    raw = study.gates["register"].select("video", raw="frames")
    for step, column in (("deidentify", "frames"), ("refine_pose", "frames"), ("prepare_clips", "source_frames")):
        table = study.gates.get(step)
        if table is None or column not in table.columns:
            continue
        both = table.join(raw, on="video").filter(pl.col(column) != pl.col("raw"))
        for video, found, frames in both.select("video", column, "raw").sort("video").iter_rows():
            yield f"{step}: {video} has {found} frames of {frames}"


def parts_have_clips(study: Study) -> Iterator[str]:
    """Every video of a part has a clip."""
    clips = set(study.gates["prepare_clips"]["video"])
    for (fold, part), table in sorted(study.parts.items()):
        for video in sorted(set(table["video"]) - clips):
            yield f"fold {fold}, {part}: {video} has none"


def parts_hold_the_labels(study: Study) -> Iterator[str]:
    """Each score in a part is the child's label, and only for views that the item is judged from."""
    target = pl.col("limb").str.slice(0, 1).str.to_uppercase() + pl.lit(".") + pl.col("code")
    labels = study.labels.select("subject", "score", "views", target=target)
    for (fold, part), table in sorted(study.parts.items()):
        long = table.unpivot(
            TARGET_NAMES, index=["video", "subject", "view"], variable_name="target", value_name="given"
        )
        both = long.join(labels, on=["subject", "target"], how="left")
        shown = pl.col("views").str.split(" ").list.contains(pl.col("view"))
        wanted = pl.when(shown).then(pl.col("score"))
        for video, name, given in (
            both.filter(~pl.col("given").eq_missing(wanted))
            .select("video", "target", "given")
            .sort("video", "target")
            .iter_rows()
        ):
            yield f"fold {fold}, {part}: {video}, {name} is {given}"


def predictions_are_whole(study: Study) -> Iterator[str]:
    """Every test video and every test child has an answer for each of the 34 targets, of each run."""
    for run, table in sorted(study.predictions.items(), key=lambda pair: str(pair[0])):
        test, who = table.filter(pl.col("part") == "test"), f"{run.model}, fold {run.fold}, seed {run.seed}"
        part = study.parts.get((run.fold, "test"))
        if part is None:
            yield f"{who}: the fold has no test part"
            continue
        for level, column in (("video", "video"), ("child", "subject")):
            asked = {(name, target) for name in part[column].unique() for target in TARGET_NAMES}
            rows = test.filter(pl.col("level") == level).select(column, "target").rows()
            if len(rows) != len(set(rows)):
                yield f"{who}: a {level} is answered twice"
            for name, target in sorted(asked ^ set(rows))[:3]:
                yield f"{who}: {level} {name}, {target} is {'missing' if (name, target) in asked else 'not of the test'}"


def probabilities_are_sound(study: Study) -> Iterator[str]:
    """Probabilities lie between 0 and 1 and are missing only where no view of the child shows the item."""
    for run, table in sorted(study.predictions.items(), key=lambda pair: str(pair[0])):
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


def children_are_means(study: Study) -> Iterator[str]:
    """A child's answer is the mean of the logits of its videos that count, worked out again."""
    for run, table in sorted(study.predictions.items(), key=lambda pair: str(pair[0])):
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
            yield f"{run.model}, fold {run.fold}: {int((~(gap <= CLOSE)).sum())} answers differ, at most by {gap.max():.3g}"


def truth_is_the_label(study: Study) -> Iterator[str]:
    """The truth that a child's answer is compared with is the label."""
    target = pl.col("limb").str.slice(0, 1).str.to_uppercase() + pl.lit(".") + pl.col("code")
    labels = study.labels.select("subject", target=target, label=pl.col("atypical").cast(pl.Int64))
    for run, table in sorted(study.predictions.items(), key=lambda pair: str(pair[0])):
        said = table.filter((pl.col("level") == "child") & pl.col("counts"))
        told = said.join(labels, on=["subject", "target"], how="left")
        wrong = told.filter(~pl.col("atypical").eq_missing(pl.col("label")))
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


def check_promises(study: Study) -> list[dict[str, Any]]:
    """Each promise in words, whether it is kept, and what was found."""
    results = []
    for check in PROMISES:
        breaches = list(check(study))
        found = "; ".join(breaches[:3]) + (f"; and {len(breaches) - 3} more" if len(breaches) > 3 else "")
        words = (check.__doc__ or "").strip()
        results.append({"promise": words, "kept": not breaches, "breaches": len(breaches), "found": found})
    return results
