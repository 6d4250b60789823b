"""The cohort's way: how many children, videos, frames and scores entered and left each step, and why the rest did not."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import polars as pl

from childgait.domain.evgs import TARGET_NAMES
from childgait.domain.names import parse_video_name
from childgait.files.split import HOLDOUT, PART_NAMES


@dataclass(frozen=True)
class Stage:
    """What left a step; None where the step does not count such things."""

    step: str
    children: int | None
    videos: int | None
    frames: int | None
    scores: int | None
    left_out: str  # what entered and did not leave, with the reason

    def row(self) -> dict[str, Any]:
        return asdict(self)


def flow_of(
    pooled: dict[str, pl.DataFrame],
    settings: dict[str, Any],
    judged_children: int,
    judged_videos: int,
    judged_scores: int,
) -> list[Stage]:
    """In running order. `pooled` holds the gates' tables by step."""
    excluded: dict[str, str] = settings["cohort"]["exclude"]
    register = pooled["register"]
    names = set(register["video"]) | set(excluded)
    stages = [
        Stage(
            "recorded",
            len({parse_video_name(name).subject for name in names}),
            len(names),
            None,
            None,
            listed([f"{name}: {reason}" for name, reason in sorted(excluded.items())]),
        ),
        _of_videos("register", register, None),
    ]
    for step, entered in (("deidentify", "register"), ("refine_pose", "register"), ("prepare_clips", "refine_pose")):
        if step in pooled:
            stages.append(_of_videos(step, pooled[step], pooled.get(entered, register)))
    stages.append(_of_labels(pooled["build_labels"]))
    stages += _of_splits(pooled["split_subjects"], pooled["prepare_clips"])
    unasked = judged_children * len(TARGET_NAMES) - judged_scores
    why = f"{unasked} answers: the score is unknown, or no view of the child shows the item" if unasked else ""
    stages.append(Stage("evaluate", judged_children, judged_videos, None, judged_scores, why))
    return stages


def _of_videos(step: str, table: pl.DataFrame, before: pl.DataFrame | None) -> Stage:
    lost = sorted(set(before["video"]) - set(table["video"])) if before is not None else []
    frames = int(table["frames"].sum()) if "frames" in table.columns else None
    return Stage(step, table["subject"].n_unique(), table.height, frames, None, listed(lost))


def _of_labels(labels: pl.DataFrame) -> Stage:
    reasons = Counter(labels["reason"].drop_nulls().to_list())
    known = labels.height - sum(reasons.values())
    told = [f"{count} scores: {reason}" for reason, count in sorted(reasons.items())]
    return Stage("build_labels", labels["subject"].n_unique(), None, None, known, listed(told))


def _of_splits(who: pl.DataFrame, clips: pl.DataFrame) -> list[Stage]:
    """The hold-out, and the folds together (each child of theirs is tested once)."""
    found = []
    for fold in sorted(who["fold"].unique().to_list(), key=lambda name: (name != HOLDOUT, name)):
        rows = who.filter(pl.col("fold") == fold)
        used = rows.filter(pl.col("part") != "none")
        parts = ", ".join(f"{used.filter(pl.col('part') == part).height} {part}" for part in PART_NAMES)
        reasons = Counter(rows.filter(pl.col("part") == "none")["reason"].to_list())
        told = [f"{count} children: {reason}" for reason, count in sorted(reasons.items())]
        videos = clips.filter(pl.col("subject").is_in(used["subject"].implode())).height
        title = f"split_subjects, {'hold-out' if fold == HOLDOUT else f'fold {fold}'}"
        found.append(Stage(f"{title} ({parts})", used.height, videos, None, None, listed(told)))
    return found


def listed(parts: list[str], most: int = 6) -> str:
    """A few by name, the others counted."""
    more = [f"and {len(parts) - most} more"] if len(parts) > most else []
    return "; ".join(parts[:most] + more)


def prevalence(labels: pl.DataFrame) -> list[tuple[str, int, int]]:
    """(target, atypical, known) in the registry's order."""
    keyed = (
        labels.with_columns(target=pl.col("limb").str.slice(0, 1).str.to_uppercase() + pl.lit(".") + pl.col("code"))
        .group_by("target")
        .agg(atypical=(pl.col("score") > 0).sum(), known=pl.col("score").is_not_null().sum())
    )
    found = {target: (atypical, known) for target, atypical, known in keyed.iter_rows()}
    return [(name, *found.get(name, (0, 0))) for name in TARGET_NAMES]
