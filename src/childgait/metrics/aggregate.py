"""Aggregate logits from windows to videos to children, and write all three levels into the predictions table.

Logits are averaged, never probabilities or votes: over the windows of a video, then over the videos of a child whose
view shows the item.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGET_NAMES
from childgait.files.parts import Part, children_of, labels_of_children
from childgait.metrics.scores import Array, sigmoid

if TYPE_CHECKING:
    import polars as pl

    from childgait.metrics.calibration import CalibrationMap

NONE = -1  # in the columns of a row's window and its start, where the row is no window


@dataclass(frozen=True)
class WindowLogits:
    """A network's logits, one row per window."""

    rows: NDArray[np.int64]  # row of the part table
    starts: NDArray[np.int64]  # first frame
    logits: NDArray[np.float64]  # (windows, 34)
    severe: NDArray[np.float64] | None = None  # (windows, 34) of score 2 given atypical; ordinal models only


@dataclass(frozen=True)
class Level:
    """The rows of one level of the predictions table: window, video or child."""

    name: str
    child: NDArray[np.int64]  # index of the row's child
    video: NDArray[np.object_]
    view: NDArray[np.object_]
    window: NDArray[np.int64]
    start: NDArray[np.int64]
    counts: NDArray[np.bool_]  # (rows, 34): the row counts towards the child's mean
    logits: Array  # (rows, 34)
    severe: Array | None = None  # (rows, 34) of score 2 given atypical


def mean_by_child(
    logits: Array, visible: NDArray[np.bool_], subject_of_row: NDArray[np.object_], children: list[str]
) -> Array:
    """Average (rows, 34) logits per child over the rows that are visible; NaN where none is."""
    means = np.full((len(children), logits.shape[1]), np.nan)
    for number, child in enumerate(children):
        own = subject_of_row == child
        count = visible[own].sum(axis=0)
        total = np.where(visible[own], logits[own], 0.0).sum(axis=0)
        means[number] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return means


def mean_by_video(windows: WindowLogits, videos: int) -> Array:
    """Average logits over the windows of each video: (rows of the part, 34)."""
    return _mean_over_windows(windows.logits, windows.rows, videos)


def _mean_over_windows(logits: Array, rows: NDArray[np.int64], videos: int) -> Array:
    total = np.zeros((videos, logits.shape[1]))
    np.add.at(total, rows, logits)
    return total / np.bincount(rows, minlength=videos)[:, None]


def child_logits(part: Part, windows: WindowLogits, views: tuple[str, ...] | None = None) -> Array:
    """Average a part's logits per child, (children, 34), over all camera views or over `views` only."""
    visible = ~np.isnan(part.atypical)
    if views is not None:
        visible &= np.isin(part.table["view"].to_numpy(), views)[:, None]
    return _mean_of_children(part, mean_by_video(windows, part.table.height), visible)


def _mean_of_children(part: Part, by_video: Array, visible: NDArray[np.bool_]) -> Array:
    return mean_by_child(by_video, visible, part.table["subject"].to_numpy(), children_of(part.table))


def predictions_table(name: str, part: Part, windows: WindowLogits, calibration: CalibrationMap) -> pl.DataFrame:
    """Write a part's predictions as long rows of windows, videos and children: one row per target."""
    import polars as pl

    children, labels = children_of(part.table), labels_of_children(part.table)
    levels = _levels(part, windows, children)
    return pl.concat([_rows_of_level(name, level, children, labels, calibration) for level in levels])


def _levels(part: Part, windows: WindowLogits, children: list[str]) -> tuple[Level, Level, Level]:
    """Describe the rows of the three levels."""
    table, counts, r = part.table, ~np.isnan(part.atypical), windows.rows
    child = np.array([children.index(subject) for subject in table["subject"]])
    video, view = table["video"].to_numpy(), table["view"].to_numpy()
    by_video, by_child = mean_by_video(windows, table.height), child_logits(part, windows)
    blank = np.full(len(children), "", dtype=object)
    no_window, no_window_of_child = np.full(table.height, NONE), np.full(len(children), NONE)
    of_children = np.arange(len(children))
    levels = (
        Level("window", child[r], video[r], view[r], _window_numbers(r), windows.starts, counts[r], windows.logits),
        Level("video", child, video, view, no_window, no_window, counts, by_video),
        Level(
            "child", of_children, blank, blank, no_window_of_child, no_window_of_child, ~np.isnan(by_child), by_child
        ),
    )
    if windows.severe is None:
        return levels
    severe_by_video = _mean_over_windows(windows.severe, r, table.height)
    severe = (windows.severe, severe_by_video, _mean_of_children(part, severe_by_video, counts))
    window, of_video, of_child = (replace(level, severe=one) for level, one in zip(levels, severe, strict=True))
    return window, of_video, of_child


def _window_numbers(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the windows of each video from 0."""
    numbers = np.zeros(len(rows), dtype=np.int64)
    for row in np.unique(rows):
        numbers[rows == row] = np.arange((rows == row).sum())
    return numbers


def _rows_of_level(
    part_name: str, level: Level, children: list[str], labels: NDArray[np.floating], calibration: CalibrationMap
) -> pl.DataFrame:
    """Spread one level's (rows, 34) arrays over long rows."""
    import polars as pl

    targets, logits = len(TARGET_NAMES), level.logits.reshape(-1)
    calibrated = sigmoid(calibration.apply(level.logits)).reshape(-1)
    frame = pl.DataFrame(
        {
            "part": [part_name] * logits.size,
            "level": [level.name] * logits.size,
            "subject": np.repeat(np.array(children)[level.child], targets),
            "video": np.repeat(level.video, targets),
            "view": np.repeat(level.view, targets),
            "window": np.repeat(level.window, targets),
            "start": np.repeat(level.start, targets),
            "target": list(TARGET_NAMES) * len(level.logits),
            "counts": level.counts.reshape(-1),
            "atypical": pl.Series(labels[level.child].reshape(-1)).fill_nan(None).cast(pl.Int64),
            "logit": pl.Series(logits).fill_nan(None),
            "probability": pl.Series(sigmoid(logits)).fill_nan(None),
            "calibrated": pl.Series(calibrated).fill_nan(None),
        }
    )
    if level.severe is not None:
        frame = frame.with_columns(severe=pl.Series(sigmoid(level.severe).reshape(-1)).fill_nan(None))
    return frame.with_columns(
        pl.col("subject", "video", "view").cast(pl.String), pl.col("window", "start").cast(pl.Int64)
    )
