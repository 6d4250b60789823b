"""Values that the rules measure in each walk, of the limb near the camera: every item, and deviations from the norm.

Rules are fitted to no child, so that all children of the study count, whatever their part of the split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from childgait.domain.evgs import LIMBS, Limb, Target

if TYPE_CHECKING:
    from childgait.gait.features import ClipKinematics

DEVIATION = "sagittal deviation"  # RMS of the deviations of hip, knee, ankle and trunk; no Gait Variable Score
COLUMNS = {"subject": pl.String, "video": pl.String, "target": pl.String, "value": pl.Float64}
DIGITS = 4


def measure_walks(clips: Sequence[Path]) -> pl.DataFrame:
    """Measure all clips: one row per video and value, in the item's unit, deviations in degrees."""
    from childgait.files.clips import open_clip
    from childgait.gait.features import measure_clip

    rows: list[tuple[str, str, str, float]] = []
    for path in sorted(clips):
        clip = open_clip(path)
        walk = measure_clip(clip)
        rows += [
            (clip.subject, clip.video, Target(limb, name).name, round(value, DIGITS))
            for limb in LIMBS
            if walk.near(limb)
            for name, value in _values_of_limb(walk, limb)
        ]
    return pl.DataFrame(rows, schema=COLUMNS, orient="row")


def _values_of_limb(walk: ClipKinematics, limb: Limb) -> Iterator[tuple[str, float]]:
    """Yield items by code, then the deviation of each sagittal curve and their RMS, as far as the view shows them."""
    from childgait.gait.features import score_walk
    from childgait.gait.gvs import SAGITTAL, sagittal_deviation, variable_scores

    for code, item in score_walk(walk)[limb].items():
        yield code, item.value
    curves = {name: walk.angles.curves[limb][name] for name in SAGITTAL if name in walk.curves}
    deviations = variable_scores(walk.poses.seconds, curves, walk.strides[limb])
    for name, value in deviations.items():
        yield f"{name} deviation", value
    total = sagittal_deviation(deviations)
    if total is not None:
        yield DEVIATION, total
