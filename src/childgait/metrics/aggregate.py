"""From windows to videos to children, and into the predictions table.

Logits are averaged, never probabilities or votes: over the windows of a video, then over the videos of a child whose
view shows the item.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from childgait.domain.evgs import TARGET_NAMES
from childgait.files.parts import Part, children_of, labels_of_children
from childgait.metrics.scores import Array, sigmoid

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class WindowLogits:
    """One row a window."""

    rows: NDArray[np.int64]  # of the part table
    starts: NDArray[np.int64]  # first frame
    logits: NDArray[np.float64]  # (windows, 34)


def mean_by_child(
    logits: Array, visible: NDArray[np.bool_], subject_of_row: NDArray[Any], children: list[str]
) -> Array:
    """(children, 34) mean over the rows that are visible; NaN where none is."""
    means = np.full((len(children), logits.shape[1]), np.nan)
    for number, child in enumerate(children):
        own = subject_of_row == child
        seen = visible[own]
        count = seen.sum(axis=0)
        total = np.where(seen, logits[own], 0.0).sum(axis=0)
        means[number] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return means


def mean_by_video(judged: WindowLogits, videos: int) -> Array:
    """(rows of the part, 34) mean over a video's windows."""
    total = np.zeros((videos, judged.logits.shape[1]))
    np.add.at(total, judged.rows, judged.logits)
    return total / np.bincount(judged.rows, minlength=videos)[:, None]


def child_logits(part: Part, judged: WindowLogits, views: tuple[str, ...] | None = None) -> Array:
    """(children, 34) of a part, from all views or from these only."""
    visible = ~np.isnan(part.atypical)
    if views is not None:
        visible &= np.isin(part.table["view"].to_numpy(), views)[:, None]
    of_video = mean_by_video(judged, part.table.height)
    return mean_by_child(of_video, visible, part.table["subject"].to_numpy(), children_of(part.table))


def table_of(name: str, part: Part, judged: WindowLogits, temperature: float) -> pl.DataFrame:
    """The part's rows of the predictions table: windows, videos, children."""
    import polars as pl

    table, counts = part.table, ~np.isnan(part.atypical)
    subjects, videos = table["subject"].to_numpy(), table["video"].to_numpy()
    views, children, truth = table["view"].to_numpy(), children_of(table), labels_of_children(table)
    place = np.array([children.index(subject) for subject in subjects])
    number = np.zeros(len(judged.rows), dtype=np.int64)
    for row in np.unique(judged.rows):
        number[judged.rows == row] = np.arange((judged.rows == row).sum())
    whole, blank = np.arange(table.height), np.full(len(children), "")
    of_video, of_child = mean_by_video(judged, table.height), child_logits(part, judged)

    def rows(
        level: str, row_child: Any, video: Any, view: Any, window: Any, start: Any, count: Any, logits: Any
    ) -> Any:
        cells = logits.size
        each = {
            "subject": np.array(children)[row_child],
            "video": video,
            "view": view,
            "window": window,
            "start": start,
        }
        spread = {key: np.repeat(np.broadcast_to(value, len(logits)), len(TARGET_NAMES)) for key, value in each.items()}
        known = truth[row_child].reshape(-1)
        flat = logits.reshape(-1)
        frame = pl.DataFrame(
            {
                "part": [name] * cells,
                "level": [level] * cells,
                **spread,
                "target": list(TARGET_NAMES) * len(logits),
                "counts": count.reshape(-1),
                "atypical": pl.Series(known).fill_nan(None).cast(pl.Int64),
                "logit": pl.Series(flat).fill_nan(None),
                "probability": pl.Series(sigmoid(flat)).fill_nan(None),
                "calibrated": pl.Series(sigmoid(flat / temperature)).fill_nan(None),
            }
        )
        return frame.with_columns(
            pl.col("subject", "video", "view").cast(pl.String), pl.col("window", "start").cast(pl.Int64)
        )

    r = judged.rows
    return pl.concat(
        [
            rows("window", place[r], videos[r], views[r], number, judged.starts, counts[r], judged.logits),
            rows("video", place, videos, views, np.full(len(whole), -1), np.full(len(whole), -1), counts, of_video),
            rows(
                "child",
                np.arange(len(children)),
                blank,
                blank,
                np.full(len(children), -1),
                np.full(len(children), -1),
                ~np.isnan(of_child),
                of_child,
            ),
        ]
    )
