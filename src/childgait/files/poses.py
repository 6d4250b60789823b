"""Keypoints of one child over one video, and how they lie on disk: parquet, a row a frame and point.

Arrays in memory, because everything that works on them is arithmetic over time; a long table on disk, because a
person can filter it. What is missing is NaN in the arrays and null in the table.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from childgait.domain.poses import Poses, Status
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
        Column("score", "Float32", "what the estimator says of itself, 0 where missing"),
        Column("status", "String", "measured, corrected, swapped, filled or missing"),
    ),
)
_GRID = 64.0  # positions are kept to 1/64 pixel: far below any error, and the files get half as big


def write_poses(path: Path, poses: Poses) -> None:
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
    """The poses of a file; whoever wrote it, they are checked to be whole."""
    table = read_table(path, POSES)
    if table.height % len(POINTS):
        raise StepError(
            f"{path} holds {table.height} rows, which is no multiple of the {len(POINTS)} points",
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
        raise StepError(f"{path} has the unknown status {unknown[0]!r}", hint=f"known are {', '.join(codes)}")
    return Poses(
        table["seconds"].to_numpy().reshape(shape)[:, 0].copy(),
        xy,
        table["score"].to_numpy().reshape(shape).astype(np.float32),
        status.to_numpy().reshape(shape).astype(np.uint8),
    )
