"""Measures how far repeated walks of a child differ in a study: probabilities, rules, strides, curves and totals.

A change between two visits below the minimal detectable change is not distinguishable from repetition. Probabilities
are those of children unseen in training; rules and curves are not trained, so all children count. Both limbs of an item
are pooled: a group is a limb of a child. Walks of one session do not contain the difference between days.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from childgait.domain.evgs import CODES, LIMBS, TARGETS, Limb
from childgait.domain.names import parse_video_name
from childgait.gait.features import ClipKinematics, measure_clip, score_walk
from childgait.gait.kinematics import END_CURVES
from childgait.gait.walk_summary import CURVES, STRIDE_VALUES, spatiotemporal, stride_curves
from childgait.metrics.repeatability import (
    RepeatedCurve,
    RepeatedValue,
    StudyRepeatability,
    repeated_curve,
    repeated_value,
)
from childgait.metrics.scores import sigmoid

if TYPE_CHECKING:
    from childgait.gait.scoring import Measurement
    from childgait.gait.walk_summary import Floats
    from childgait.training.bundle import BundledRun

Group = tuple[str, str]  # a child, and one of its limbs or `both`
Cell = tuple[str, Limb, str]  # a video, a limb and an item's code
SIDE_VIEWS, END_VIEWS = ("left", "right"), ("forward", "backward")


def measure_repeatability(
    runs: list[BundledRun], predictions: list[Path], clips: list[Path], views: dict[str, list[str]]
) -> StudyRepeatability:
    """Measure the repeatability of the main model's probabilities and of all that the rules measure."""
    from childgait.files.clips import open_clip

    own = [(run, path) for run, path in zip(runs, predictions, strict=True) if run.name.startswith(_main(runs))]
    probability = walk_probabilities(own, views)
    walks = {clip.video: measure_clip(clip) for clip in map(open_clip, clips)}
    rules = {(video, limb, code): item for video, walk in walks.items() for limb, code, item in _items(walk)}
    values = {key: item.value for key, item in rules.items()}
    scores = {key: float(item.score) for key, item in rules.items()}
    strides = [
        (video, limb, name, value.mean)
        for video, walk in walks.items()
        for name, by_limb in spatiotemporal([walk]).items()
        for limb, value in by_limb.items()
    ]
    return StudyRepeatability(
        probability={code: _all_walks(probability, code) for code in CODES},
        rules={
            code: _near_walks((v, limb, x) for (v, limb, one), x in values.items() if one == code) for code in CODES
        },
        expected_atypical=_of_totals(probability, expect_all=True),
        rule_score=_of_totals(scores, expect_all=False),
        strides={
            STRIDE_VALUES[name][0]: _near_walks((v, limb, x) for v, limb, one, x in strides if one == name)
            for name in STRIDE_VALUES
        },
        curves={name: _of_curve(name, walks) for name in CURVES},
    )


def _main(runs: list[BundledRun]) -> str:
    return f"{runs[0].description.model}/"


def _items(walk: ClipKinematics) -> Iterable[tuple[Limb, str, Measurement]]:
    for limb, items in score_walk(walk).items():
        yield from ((limb, code, item) for code, item in items.items() if np.isfinite(item.value))


def walk_probabilities(runs: list[tuple[BundledRun, Path]], views: dict[str, list[str]]) -> dict[Cell, float]:
    """Return probabilities by video, limb and code where the view shows the item; no run was trained on the child."""
    import polars as pl

    logits: dict[Cell, list[float]] = {}
    for run, path in runs:
        table = pl.read_parquet(path).filter(pl.col("level") == "video")
        for (video,), rows in table.sort("video").group_by("video", maintain_order=True):
            by_target = dict(rows.select("target", "logit").iter_rows())
            known = np.array([by_target.get(target.name, np.nan) for target in TARGETS], dtype=np.float64)
            for target, value in zip(TARGETS, run.calibrate(known), strict=True):
                if np.isfinite(value) and rows["view"][0] in views[target.code]:
                    logits.setdefault((str(video), target.limb, target.code), []).append(float(value))
    return {key: float(sigmoid(np.array(np.mean(values)))) for key, values in logits.items()}


def _all_walks(values: dict[Cell, float], code: str) -> RepeatedValue:
    """Compare all walks that show an item: a visit's probability is the mean over them."""
    rows = [((parse_video_name(video).subject, limb), x) for (video, limb, one), x in values.items() if one == code]
    return repeated_value([group for group, _ in rows], [x for _, x in rows])


def _near_walks(rows: Iterable[tuple[str, str, float]]) -> RepeatedValue:
    """Compare walks with the limb near the camera, as a visit's reading is; all walks if too few children repeat those.

    One walk near and one far differ more than two near ones, so the limit of all walks is the wider one.
    """
    listed = [(parse_video_name(video), limb, value) for video, limb, value in rows]
    near = [row for row in listed if row[0].view in END_VIEWS or row[0].view == row[1]]
    measured = [
        repeated_value([(name.subject, limb) for name, limb, _ in kept], [value for _, _, value in kept])
        for kept in (near, listed)
    ]
    return measured[0] if measured[0].sem is not None else measured[1]


def _of_totals(values: dict[Cell, float], *, expect_all: bool) -> dict[str, RepeatedValue]:
    """Compare totals of limbs and children over walks: a side view and an end view of a session give a total each.

    With `expect_all` a total needs all items; else it is of the items measured in every walk of the child.
    """
    totals: dict[str, list[tuple[Group, float]]] = {"limb": [], "both": []}
    for child, walks in _pair_views({video for video, _, _ in values}).items():
        cells = [
            {
                (limb, code): values[key]
                for limb in LIMBS
                for code in CODES
                for v in pair
                if (key := (v, limb, code)) in values
            }
            for pair in walks
        ]
        shared = set.intersection(*(set(one) for one in cells))
        for limbs in (("left",), ("right",), LIMBS):
            own = {cell for cell in shared if cell[0] in limbs}
            if own and (not expect_all or len(own) == len(limbs) * len(CODES)):
                kind = "both" if len(limbs) > 1 else "limb"
                name = limbs[0] if len(limbs) == 1 else "both"
                totals[kind] += [((child, name), sum(one[cell] for cell in sorted(own))) for one in cells]
    return {kind: repeated_value([g for g, _ in rows], [x for _, x in rows]) for kind, rows in totals.items()}


def _pair_views(videos: set[str]) -> dict[str, list[tuple[str, str]]]:
    """Pair each side view of a session with an end view of it, by child: together they show all items."""
    sessions: dict[tuple[str, str], list[str]] = {}
    for video in sorted(videos):
        name = parse_video_name(video)
        sessions.setdefault((name.subject, name.session), []).append(video)
    pairs: dict[str, list[tuple[str, str]]] = {}
    for (child, _), listed in sessions.items():
        side, end = ([v for v in listed if parse_video_name(v).view in views] for views in (SIDE_VIEWS, END_VIEWS))
        pairs[child] = pairs.get(child, []) + list(zip(side, end, strict=False))
    return {child: listed for child, listed in pairs.items() if len(listed) > 1}


def _of_curve(name: str, walks: dict[str, ClipKinematics]) -> RepeatedCurve:
    """Compare the mean curves of every two walks of a limb, near the camera if enough of them are repeated."""
    means: list[tuple[Group, bool, Floats]] = []
    for video, walk in walks.items():
        if (walk.view in END_VIEWS) != (name in END_CURVES):
            continue
        curves = stride_curves([walk], (name,))
        for limb in LIMBS:
            if own := [one.values for one in curves if one.limb == limb]:
                means.append(((parse_video_name(video).subject, limb), walk.near(limb), np.mean(own, axis=0)))
    near, every = (_pair_differences([row for row in means if row[1] or not only]) for only in (True, False))
    of_near = repeated_curve(near)
    return of_near if of_near.rms_limit is not None else repeated_curve(every)


def _pair_differences(rows: list[tuple[Group, bool, Floats]]) -> list[float]:
    """Return the RMS difference in degrees of every two walks of a group."""
    pairs = [(a, b) for a, b in combinations(rows, 2) if a[0] == b[0]]
    return [float(np.sqrt(np.mean((a[2] - b[2]) ** 2))) for a, b in pairs]
