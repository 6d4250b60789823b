"""Reads and writes the keypoints of one child over one video: parquet with one row per frame and point.

Arrays in memory, because everything that works on them is arithmetic over time; a long table on disk, because it can be
filtered. Missing points are NaN in the arrays and null in the table.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from childgait.domain.poses import Poses, Status, make_poses
from childgait.domain.skeleton import POINTS
from childgait.errors import StepError
from childgait.files.tables import Column, Table, read_table, write_table

POSES = Table(
    "poses",
    ("frame", "point"),
    (
        Column("frame", "Int32", "index of the frame in the video, from 0"),
        Column("seconds", "Float64", "time since the video's first frame"),
        Column("point", "String", "one of the 23 points of domain/skeleton.py"),
        Column("x", "Float32", "pixels to the right of the top left pixel's centre; null where missing"),
        Column("y", "Float32", "pixels below it; null where missing"),
        Column("score", "Float32", "confidence of the estimator, 0 where missing"),
        Column("status", "String", "measured, corrected, swapped, filled or missing"),
    ),
)
_GRID = 64.0  # positions are rounded to 1/64 pixel: far below any error, and the files are half the size


def write_poses(path: Path, poses: Poses) -> None:
    """Write poses, positions rounded to 1/64 pixel and scores to 0.001."""
    import polars as pl

    frames, points = poses.score.shape
    xy = np.round(poses.xy * _GRID) / _GRID
    labels = np.array([status.label for status in Status])
    table = pl.DataFrame(
        {
            "frame": np.repeat(np.arange(frames, dtype=np.int32), points),
            "seconds": np.repeat(poses.seconds, points),
            "point": np.tile(np.array(POINTS), frames),
            "x": xy[..., 0].ravel().astype(np.float32),
            "y": xy[..., 1].ravel().astype(np.float32),
            "score": np.round(poses.score, 3).ravel().astype(np.float32),
            "status": labels[poses.status.ravel()],
        }
    ).with_columns(pl.col("x", "y").fill_nan(None))
    write_table(path, table, POSES)


def read_poses(path: Path) -> Poses:
    """Read poses; fail unless every frame has all points in order."""
    table = read_table(path, POSES)
    if table.height % len(POINTS):
        raise StepError(
            f"{path} contains {table.height} rows, which is no multiple of the {len(POINTS)} points",
            hint="run the step that makes it again",
        )
    frames = table.height // len(POINTS)
    if table["point"].to_list() != list(POINTS) * frames:
        raise StepError(
            f"{path} does not list the {len(POINTS)} points in order for every frame",
            hint="run the step that makes it again",
        )
    codes = {status.label: int(status) for status in Status}
    shape = (frames, len(POINTS))
    xy = np.stack([table[axis].to_numpy().reshape(shape) for axis in ("x", "y")], axis=2).astype(np.float32)
    status = table["status"].replace_strict(codes, default=None)
    if status.null_count():
        unknown = sorted(set(table["status"].unique()) - set(codes))
        raise StepError(f"{path} has the unknown status {unknown[0]!r}", hint=f"allowed are {', '.join(codes)}")
    return Poses(
        table["seconds"].to_numpy().reshape(shape)[:, 0].copy(),
        xy,
        table["score"].to_numpy().reshape(shape).astype(np.float32),
        status.to_numpy().reshape(shape).astype(np.uint8),
    )


def fit_to_video(poses: Poses, seconds: NDArray[np.float64], path: Path) -> Poses:
    """Return delivered poses of the file `path` on a video's time stamps; frames after their end are missing."""
    if len(poses) > len(seconds):
        raise StepError(
            f"{path} has keypoints for {len(poses)} frames, but the video has {len(seconds)}",
            hint="keypoints and video do not belong together; deliver the matching pair",
        )
    rest = len(seconds) - len(poses)
    xy = np.pad(poses.xy, ((0, rest), (0, 0), (0, 0)), constant_values=np.nan)
    return make_poses(seconds, xy, np.pad(poses.score, ((0, rest), (0, 0))))
