"""The cohort flow: how many children, videos, frames and scores each step kept, and why the others were left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import polars as pl

from childgait.domain.evgs import TARGET_NAMES
from childgait.domain.names import parse_video_name
from childgait.files.labels import target_column
from childgait.files.split import HOLDOUT, PART_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from childgait.metrics.of_study import ScopeMetrics

COUNTS = ("children", "videos", "frames", "scores")


@dataclass(frozen=True)
class Stage:
    """What a step kept; None where the step does not count such things."""

    step: str
    children: int | None
    videos: int | None
    frames: int | None
    scores: int | None
    left_out: str  # what the step did not keep, with the reason

    def row(self) -> dict[str, object]:
        return asdict(self)

    def counts(self) -> dict[str, int]:
        """Return the counts that the step has."""
        values = {name: getattr(self, name) for name in COUNTS}
        return {name: value for name, value in values.items() if value is not None}


def cohort_flow(pooled: dict[str, pl.DataFrame], excluded: Mapping[str, str], metrics: ScopeMetrics) -> list[Stage]:
    """List the stages in running order. `pooled` are the gates' tables by step; `metrics` the headline model's."""
    register = pooled["register"]
    stages = [_recorded(register, excluded), _videos("register", register, None)]
    for step, before in (("deidentify", "register"), ("refine_pose", "register"), ("prepare_clips", "refine_pose")):
        if step in pooled:
            stages.append(_videos(step, pooled[step], pooled.get(before, register)))
    stages.append(_labels(pooled["build_labels"]))
    stages += _splits(pooled["split_subjects"], pooled["prepare_clips"])
    stages.append(_evaluated(metrics))
    return stages


def _recorded(register: pl.DataFrame, excluded: Mapping[str, str]) -> Stage:
    names = set(register["video"]) | set(excluded)
    children = {parse_video_name(name).subject for name in names}
    reasons = [f"{name}: {reason}" for name, reason in sorted(excluded.items())]
    return Stage("recorded", len(children), len(names), None, None, shorten(reasons))


def _videos(step: str, table: pl.DataFrame, before: pl.DataFrame | None) -> Stage:
    missing = sorted(set(before["video"]) - set(table["video"])) if before is not None else []
    frames = int(table["frames"].sum()) if "frames" in table.columns else None
    return Stage(step, table["subject"].n_unique(), table.height, frames, None, shorten(missing))


def _labels(labels: pl.DataFrame) -> Stage:
    reasons = Counter(labels["reason"].drop_nulls().to_list())
    scores = labels.height - sum(reasons.values())
    lines = [f"{count} scores: {reason}" for reason, count in sorted(reasons.items())]
    return Stage("build_labels", labels["subject"].n_unique(), None, None, scores, shorten(lines))


def _splits(assignment: pl.DataFrame, clips: pl.DataFrame) -> list[Stage]:
    """Return one stage for the hold-out, and one per fold."""
    stages = []
    for fold in sorted(assignment["fold"].unique().to_list(), key=lambda name: (name != HOLDOUT, name)):
        rows = assignment.filter(pl.col("fold") == fold)
        used, unused = rows.filter(pl.col("part") != "none"), rows.filter(pl.col("part") == "none")
        parts = ", ".join(f"{used.filter(pl.col('part') == part).height} {part}" for part in PART_NAMES)
        reasons = Counter(unused["reason"].to_list())
        lines = [f"{count} children: {reason}" for reason, count in sorted(reasons.items())]
        videos = clips.filter(pl.col("subject").is_in(used["subject"].implode())).height
        title = f"split_subjects, {'hold-out' if fold == HOLDOUT else f'fold {fold}'}"
        stages.append(Stage(f"{title} ({parts})", used.height, videos, None, None, shorten(lines)))
    return stages


def _evaluated(metrics: ScopeMetrics) -> Stage:
    scores = sum(metrics.labelled.values())
    missing = metrics.children * len(TARGET_NAMES) - scores
    reason = f"{missing} predictions: the score is unknown, or no view of the child shows the item" if missing else ""
    return Stage("evaluate", metrics.children, metrics.videos, None, scores, reason)


def shorten(parts: list[str], most: int = 6) -> str:
    """Join the first `most` parts and count the others."""
    more = [f"and {len(parts) - most} more"] if len(parts) > most else []
    return "; ".join(parts[:most] + more)


def prevalence(labels: pl.DataFrame) -> list[tuple[str, int, int]]:
    """Count (target, atypical, labelled) children in the order of the targets."""
    keyed = (
        labels.with_columns(target=target_column())
        .group_by("target")
        .agg(atypical=(pl.col("score") > 0).sum(), known=pl.col("score").is_not_null().sum())
    )
    counts = {target: (atypical, known) for target, atypical, known in keyed.iter_rows()}
    return [(name, *counts.get(name, (0, 0))) for name in TARGET_NAMES]
