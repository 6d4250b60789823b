"""Writes the arrays of a child's clip: frames, mask bits and points of the same crop, and the clip's description.

`plan_clip` chooses the source frame and the square of every frame of the clip; the writers follow that plan.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from childgait.domain.names import parse_video_name
from childgait.domain.poses import Poses
from childgait.errors import StepError
from childgait.files.clips import ClipEvent, create_array, pack_bits
from childgait.files.masks import Masks, read_boxes
from childgait.files.regions import REGIONS
from childgait.files.tables import read_table
from childgait.files.video import read_frames
from childgait.gait.events import EVENTS
from childgait.params import PrepareClips
from childgait.vision.child_covers import boxes_by_frame, measure_covers, ranges_of
from childgait.vision.crop import Square, boxes_of_points, cut, cut_mask, square_path, to_crop

ClipFact = str | int | float | list[str]


@dataclass(frozen=True)
class ClipPlan:
    """The source frame and the square of every frame of a clip."""

    source: NDArray[np.int64]
    squares: list[Square]
    start_seconds: float


def corners_of_child(poses: Poses, boxes: Path | None) -> NDArray[np.float64]:
    """Return the child's box in every frame (T, 4): segment's, or around the keypoints; NaN without a child."""
    if boxes is None:
        return boxes_of_points(np.where(poses.seen[..., None], poses.xy, np.nan))
    return read_boxes(boxes, len(poses)).corners


def describe_clip(name: str, poses: Poses, plan: ClipPlan, params: PrepareClips) -> dict[str, ClipFact]:
    """Return the clip's description as plain values."""
    video = parse_video_name(name)
    return {
        "video": name,
        "subject": video.subject,
        "session": video.session,
        "view": video.view,
        "frames": len(plan.source),
        "size": params.size,
        "rate": params.rate,
        "seconds": round(len(plan.source) / params.rate, 4),
        "start_seconds": round(plan.start_seconds, 6),
        "source_frames": len(poses),
        "repeated_frames": int((np.diff(plan.source) == 0).sum()),
        "crop_side_pixels": float(np.median([square.side for square in plan.squares])),
        "crops": [f"{square.left} {square.top} {square.side}" for square in plan.squares],
    }


def plan_clip(name: str, seconds: NDArray[np.float64], boxes: NDArray[np.float64], params: PrepareClips) -> ClipPlan:
    """Plan a clip from the first to the last frame with a box; its frames are the source frames nearest in time."""
    there = np.flatnonzero(np.isfinite(boxes).all(axis=1))
    if there.size == 0:
        raise StepError(
            f"{name}: the child is found in none of the {len(seconds)} frames",
            hint="look at segment's summary, select the child in selections.csv, or exclude the video in params.yaml",
        )
    first, last = seconds[there[0]], seconds[there[-1]]
    moments = first + np.arange(int((last - first) * params.rate + 1e-6) + 1) / params.rate
    borders = (seconds[1:] + seconds[:-1]) / 2
    source = np.searchsorted(borders, moments - 1e-9).astype(np.int64)
    squares = square_path(seconds, boxes, margin=params.margin, smoothing_seconds=params.smoothing_seconds)
    return ClipPlan(source, [squares[index] for index in source], float(first))


def write_points(path: Path, name: str, poses: Poses, plan: ClipPlan, params: PrepareClips) -> dict[str, float]:
    """Write the points (T, 23, 3); return shares; fail if fewer than `min_inside` of them are inside the crop."""
    xy = np.where(poses.seen[..., None], poses.xy, np.nan)[plan.source]
    placed = np.stack([to_crop(at, square, params.size) for at, square in zip(xy, plan.squares, strict=True)])
    known = np.isfinite(placed).all(axis=2)
    inside = known & ((placed >= -0.5) & (placed < params.size - 0.5)).all(axis=2)
    share = float(inside.sum() / max(known.sum(), 1))
    if share < params.min_inside:
        raise StepError(
            f"{name}: {share:.0%} of the keypoints are inside the child's crop,"
            f" expected {params.min_inside:.0%} or more",
            hint="masks and keypoints show different people or come from different videos; see selections.csv",
        )
    score = np.where(known, poses.score[plan.source], 0.0)
    np.save(path, np.concatenate([placed, score[..., None]], axis=2).astype(np.float32), allow_pickle=False)
    return {"points_known": round(float(known.mean()), 4), "points_inside": round(share, 4)}


def write_frames(path: Path, video: Path, count: int, plan: ClipPlan, params: PrepareClips) -> None:
    """Write the crop's pixels of every frame (T, size, size, 3); fail unless the video has `count` frames."""
    array = create_array(path, (len(plan.source), params.size, params.size, 3), np.uint8)
    decoded = 0
    for frame in read_frames(video):
        decoded += 1
        rows = np.flatnonzero(plan.source == frame.index)
        if rows.size:  # a repeated source frame has one square, and only its part of the frame is converted to RGB
            square = plan.squares[rows[0]]
            x0, y0, x1, y1 = square.inside(frame.planes.width, frame.planes.height)
            pixels = frame.part(x0, y0, x1, y1)
            array[rows] = cut(pixels, Square(square.left - x0, square.top - y0, square.side), params.size)
    if decoded != count:
        raise StepError(
            f"{video} has {decoded} frames, its keypoints {count}",
            hint="the keypoints belong to another version of the video; run the chain from register again",
        )
    array.flush()


def write_masks(path: Path, masks: Path, count: int, plan: ClipPlan, params: PrepareClips) -> dict[str, float | int]:
    """Write the masks as bits; return the share of the crop that is child; fail if every mask is empty."""
    source = Masks(masks)
    if len(source) != count:
        raise StepError(
            f"{masks} has {len(source)} frames, the keypoints have {count}", hint="run segment again for this video"
        )
    array = create_array(path, (len(plan.source), params.size, params.size // 8), np.uint8)
    shares = []
    for row, (index, square) in enumerate(zip(plan.source, plan.squares, strict=True)):
        mask = cut_mask(source[int(index)], square, params.size)
        array[row] = pack_bits(mask)
        shares.append(float(mask.mean()))
    array.flush()
    if not any(shares):
        raise StepError(f"{masks}: the child's mask is empty in every frame", hint="look at segment's summary")
    return {"child_share": round(float(np.mean(shares)), 4), "empty_masks": shares.count(0.0)}


def list_covered_frames(
    regions: Path, masks: Path, poses: Poses, corners: NDArray[np.float64], plan: ClipPlan, params: PrepareClips
) -> dict[str, ClipFact]:
    """Return the frames, of the clip and of the video, in which more than `most_covered` of the child is covered."""
    covers = boxes_by_frame(read_table(regions, REGIONS))
    shares = measure_covers(poses, corners, Masks(masks), covers)
    hidden = shares.largest > params.most_covered
    frames = int(shares.present.sum())
    return {
        "covered_frames": ranges_of(hidden[plan.source]),
        "covered_video_frames": ranges_of(hidden),
        "covered_share": round(int((hidden & shares.present).sum()) / max(frames, 1), 4),
        "largest_covered_share": round(float(np.max(shares.largest, initial=0)), 4),
    }


def clip_events(path: Path, poses: Poses, plan: ClipPlan) -> list[str]:
    """Return contacts and foot-offs inside the clip, at its frames, in order of time."""
    times = poses.seconds[plan.source]
    table = read_table(path, EVENTS).select("limb", "kind", "seconds").sort("seconds", "limb")
    return [
        str(ClipEvent(limb, kind, int(np.abs(times - seconds).argmin()), seconds))
        for limb, kind, seconds in table.iter_rows()
        if times[0] <= seconds <= times[-1]
    ]
