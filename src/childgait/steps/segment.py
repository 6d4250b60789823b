"""Finds the child's mask and box in every frame of a video, and says how far each frame is to be trusted.

Reads the de-identified video, the delivered keypoints as deidentify let them through (no rows where none were), and a
person's selections. Yields the masks (files/masks.py), a row a frame (FRAMES there) and a flat summary.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from childgait.engine.flags import Input, Output
from childgait.errors import StepError
from childgait.params import Segment

if TYPE_CHECKING:
    from childgait.domain.poses import Poses
    from childgait.files.masks import Mask
    from childgait.vision.segmenters import Film

METHODS = (
    "The child was segmented in every frame by the {backend} backend: limbs drawn as capsules from the delivered "
    "keypoints, refined against the empty room where the camera stood still; or SAM 3. A person could overrule who the "
    "child is. Frames below the quality gate are listed."
)
METHODS_OF_KEYPOINTS = ""

log = logging.getLogger(__name__)


def segment(
    name: str,
    video: Input,
    masks: Output,
    frames: Output,
    summary: Output,
    params: Segment,
    poses: Input | None = None,
    selections: Input | None = None,
) -> None:
    import cv2

    from childgait.domain.names import parse_video_name
    from childgait.files.atomic import write_json
    from childgait.files.masks import FRAMES, write_masks
    from childgait.files.selections import read_selections
    from childgait.files.tables import write_table
    from childgait.threads import threads
    from childgait.vision.segmenters import BACKENDS, look_through

    cv2.setNumThreads(threads())
    film = look_through(video, params)
    points = None if poses is None else _points(poses, film)
    chosen = [] if selections is None else read_selections(selections, name, len(film), film.size)
    found = BACKENDS[params.backend](film, points, chosen, params)
    rows: list[dict[str, Any]] = []
    write_masks(masks, _judged(found.masks, film, points, params, rows))
    table = _table(rows)
    write_table(frames, table, FRAMES)
    there = table.filter(table["area"] > 0)
    if not there.height:
        raise StepError(
            f"{name}: no walker found in any of the {len(film)} frames",
            hint="look at the video; give keypoints or a row in selections.csv, or name it in cohort.exclude",
        )
    below = int((~table["ok"]).sum())
    share = below / table.height
    if share > 1 - params.min_ok_share:
        found.flags.append(f"{below} of {table.height} frames are below the gate")
    view = parse_video_name(name)
    facts = {
        "video": name,
        "subject": view.subject,
        "view": view.view,
        "backend": params.backend,
        **found.facts,
        "selections": len(chosen),
        "keypoints": points is not None,
        "frames": table.height,
        "frames_without_child": table.height - there.height,
        "frames_below_gate": below,
        "share_below_gate": round(share, 4),
        "median_height_pixels": float((there["y1"] - there["y0"]).median()),
        "flags": found.flags,
        "ok": share <= 1 - params.min_ok_share,
    }
    write_json(summary, facts)
    log.info("%s: %s, %d of %d frames below the gate", name, facts["path"], below, table.height)


def _points(path: Path, film: Film) -> Poses | None:
    """The delivered keypoints on the film's frames; None where none were delivered."""
    import numpy as np

    from childgait.domain.poses import make_poses
    from childgait.files.poses import read_poses

    poses = read_poses(path)
    if not poses.seen.any():
        return None
    if len(poses) > len(film):
        raise StepError(
            f"{path} has keypoints for {len(poses)} frames, but the video {film.path} has {len(film)}",
            hint="keypoints and video do not belong together; deliver the matching pair",
        )
    missing = len(film) - len(poses)
    if missing:  # a delivery may end early; what it does not say is missing
        xy = np.pad(poses.xy, ((0, missing), (0, 0), (0, 0)), constant_values=np.nan)
        poses = make_poses(film.seconds, xy, np.pad(poses.score, ((0, missing), (0, 0))))
    return poses


def _judged(
    masks: Iterator[Mask], film: Film, poses: Poses | None, params: Segment, rows: list[dict[str, Any]]
) -> Iterator[Mask]:
    """The masks as they pass by, a row of quality left behind for each."""
    from childgait.vision.mask_quality import judge

    before = 0
    for frame, mask in enumerate(masks):
        row = judge(mask, before, poses, frame, params)
        before = row["area"]
        rows.append({"frame": frame, "seconds": float(film.seconds[frame]), **row})
        yield mask


def _table(rows: list[dict[str, Any]]) -> Any:
    import polars as pl

    from childgait.files.masks import FRAMES

    return pl.DataFrame(rows, schema=FRAMES.schema())
