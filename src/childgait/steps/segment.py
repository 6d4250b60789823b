"""Segments the child in every frame of a video, and measures how reliable each mask is.

Reads the de-identified video, the delivered keypoints as deidentify passed them on (no rows if none were delivered),
and manual selections. Writes the masks, a table with box and quality per frame (files/masks.py), and a flat summary.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.engine.flags import Input, Output
from childgait.errors import StepError
from childgait.params import Segment

if TYPE_CHECKING:
    import polars as pl

    from childgait.domain.poses import Poses
    from childgait.files.masks import FrameRow, Mask
    from childgait.files.segment_summary import SegmentSummary
    from childgait.vision.segmenters import Film, Segmentation

METHODS = (
    "The child was segmented in every frame by the {backend} backend (auto: classical for videos with delivered "
    "keypoints, else blazepose): limbs drawn as capsules from the delivered keypoints, refined against the empty room "
    "where the camera stood still; the person mask of BlazePose in the box of the smallest person who walks, with a "
    "disc for the head under its cover; or SAM 3. A person could overrule who the child is. Frames below the quality "
    "gate are listed."
)
METHODS_OF_KEYPOINTS = ""

log = logging.getLogger(__name__)


def segment(
    name: str,
    video: Input,
    masks: Output,
    boxes: Output,
    summary: Output,
    params: Segment,
    poses: Input | None = None,
    selections: Input | None = None,
    regions: Input | None = None,
) -> None:
    """Write masks, boxes and summary of one video. `regions` are deidentify's covers, for the embedded model."""
    import cv2
    import polars as pl

    from childgait.files.atomic import write_json
    from childgait.files.masks import FRAMES, write_masks
    from childgait.files.selections import read_selections
    from childgait.files.tables import write_table
    from childgait.threads import threads
    from childgait.vision.segmenters import BACKENDS, look_through

    cv2.setNumThreads(threads())
    film = look_through(video, params)
    keypoints = None if poses is None else _read_keypoints(poses, film)
    selected = [] if selections is None else read_selections(selections, name, len(film), film.size)
    backend = params.backend if params.backend != "auto" else "blazepose" if keypoints is None else "classical"
    if backend == "blazepose":
        from childgait.vision.drawn_heads import read_head_covers
        from childgait.vision.segment_blazepose import blazepose

        segmentation = blazepose(film, selected, params, name, read_head_covers(regions))
    else:
        segmentation = BACKENDS[backend](film, keypoints, selected, params)
    rows: list[FrameRow] = []
    write_masks(masks, _measure_quality(segmentation, film, keypoints, params, rows))
    table = pl.DataFrame(rows, schema=FRAMES.schema())
    write_table(boxes, table, FRAMES)
    facts = _summarise(name, table, segmentation, params, backend, len(selected), keypoints is not None)
    write_json(summary, facts)
    log.info("%s: %s, %d of %d frames below the gate", name, facts["path"], facts["frames_below_gate"], facts["frames"])


def _read_keypoints(path: Path, film: Film) -> Poses | None:
    """Return the delivered keypoints on the video's frames; None where none were delivered."""
    from childgait.files.poses import fit_to_video, read_poses

    poses = read_poses(path)
    return fit_to_video(poses, film.seconds, path) if poses.seen.any() else None


def _measure_quality(
    segmentation: Segmentation, film: Film, poses: Poses | None, params: Segment, rows: list[FrameRow]
) -> Iterator[Mask]:
    """Yield the masks unchanged, appending one row of FRAMES per mask to `rows`."""
    from childgait.vision.mask_quality import measure_mask

    area_before = 0
    for frame, mask in enumerate(segmentation.masks):
        row = measure_mask(mask, area_before, poses, frame, params)
        area_before = row["area"]
        row["ok"] = row["ok"] and frame not in segmentation.doubtful
        rows.append({"frame": frame, "seconds": float(film.seconds[frame]), **row})
        yield mask


def _summarise(
    name: str,
    table: pl.DataFrame,
    segmentation: Segmentation,
    params: Segment,
    backend: str,
    selections: int,
    keypoints: bool,
) -> SegmentSummary:
    """Return the flat summary of a video; fail if the child is in none of its frames."""
    import polars as pl

    from childgait.domain.names import parse_video_name

    with_child = table.filter(table["area"] > 0)
    if not with_child.height:
        raise StepError(
            f"{name}: no walker found in any of the {table.height} frames",
            hint="look at the video; give keypoints or a row in selections.csv, or name it in cohort.exclude",
        )
    below = int((~table["ok"]).sum())
    share = below / table.height
    flags = list(segmentation.flags)
    if share > 1 - params.min_ok_share:
        flags.append(f"{below} of {table.height} frames are below the gate")
    video = parse_video_name(name)
    return {
        "video": name,
        "subject": video.subject,
        "view": video.view,
        "backend": backend,
        **segmentation.facts,
        "frames": table.height,
        "frames_without_child": table.height - with_child.height,
        "frames_below_gate": below,
        "share_below_gate": round(share, 4),
        "median_height_pixels": float(with_child.select((pl.col("y1") - pl.col("y0")).median()).item()),
        "flags": flags,
        "ok": share <= 1 - params.min_ok_share,
        "selections": selections,
        "keypoints": keypoints,
    }
