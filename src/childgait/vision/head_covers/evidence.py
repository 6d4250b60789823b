"""The evidence of a covered video: what was detected and covered, and whether a manual review is needed."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from childgait.params import Deidentify
from childgait.vision.head_covers.look import Observation
from childgait.vision.head_covers.plan import CoverPlan

Fact = str | int | float | bool | Sequence[str]


def describe(covers: CoverPlan, params: Deidentify) -> dict[str, Fact]:
    """Return what was detected and covered, as flat facts."""
    observation = covers.observation
    frames, heads = len(observation.seconds), covers.table.filter(~pl.col("whole"))

    def share(source: str) -> float:
        rows = heads.filter(pl.col("source").str.contains(source))
        return round(rows["frame"].n_unique() / frames, 6)

    return {
        "changed_covers": covers.changes,
        "frames": frames,
        "width": observation.width,
        "height": observation.height,
        "seconds": float(observation.seconds[-1]),
        "backends": params.backends,
        "style": params.style,
        "cells": params.cells,
        "looks": observation.detection_frames,
        "unseen": params.unseen,
        "camera_still": covers.static_camera,
        "people": covers.people,
        "frames_covered": covers.table["frame"].n_unique(),
        "frames_without_head": covers.frames_without_head,
        "share_of_picture": _share_of_picture(covers.table, observation),
        **{
            f"share_{source}": share(source)
            for source in ("detected", "keypoints", "silhouette", "blazepose", "sam3", "region", "bridged", "extended")
        },
    }


def _share_of_picture(table: pl.DataFrame, observation: Observation) -> float:
    """Return the covered share of all pixels; where covers overlap they count twice."""
    return round(float(table["area"].sum()) / (len(observation.seconds) * observation.width * observation.height), 6)


def review_reasons(covers: CoverPlan, has_keypoints: bool, params: Deidentify) -> list[str]:
    """List why a manual review is needed: a person may have been missed. It fails closed."""
    frames, reasons = len(covers.observation.seconds), []
    if covers.frames_without_head > params.max_whole_person_share * frames:
        reasons.append(
            f"in {covers.frames_without_head} of {frames} frames somebody without a known head is covered whole"
        )
    if "blazepose" in params.backends and "sam3" not in params.backends:
        reasons += covers.doubts
    elif not has_keypoints and "sam3" not in params.backends:
        # Measured: before a background as dark as the hair, or beside another walker, a silhouette loses the head.
        reasons.append("there are no keypoints and no SAM 3: who turns away is known by a silhouette at best")
    elif params.unseen == "hold" and "sam3" not in params.backends:
        # Measured: a person who stands still with the back to the camera and has no keypoints is never covered.
        reasons.append("without SAM 3 nothing here sees somebody who stands still with the back to the camera")
    return reasons
