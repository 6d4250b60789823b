"""What trained models answer for children they have never seen, with or without scores.

Which views show an item comes from the labels' table, not from a child's scores, for it may have none. Logits are averaged
as everywhere: over a video's windows, over the child's videos that show the item, and over runs.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from childgait.errors import StepError
from childgait.training.features import children_of
from childgait.training.metrics import Array
from childgait.training.predictions import mean_by_child, mean_by_video

if TYPE_CHECKING:
    from childgait.training.learn import Part

log = logging.getLogger("childgait")


@dataclass(frozen=True)
class Run:
    """A trained model: its description (model.json) and its weights."""

    told: dict[str, Any]
    weights: dict[str, NDArray[Any]]


def answer(runs: list[Run], part: Part, shown: dict[str, NDArray[np.bool_]], views: int) -> tuple[list[str], Array]:
    """The children and their (N, 34) logits. `shown[view]` says which targets are judged from a view."""
    from childgait.models.registry import find_model
    from childgait.training.learn import predict, settings_from

    children, subjects = children_of(part.table), part.table["subject"].to_numpy()
    visible = np.stack([shown[view] for view in part.table["view"]])
    logits = []
    for run in runs:
        learnt_from = {child for names in run.told["children"].values() for child in names}
        if both := sorted(learnt_from & set(children)):
            raise StepError(
                f"{run.told['model']}, fold {run.told['fold']}, has learnt from child {both[0]}, for whom it is to answer",
                hint="list the test's children in split.csv before the split is made, and train again",
            )
        judged = predict(
            find_model(run.told["model"]), settings_from(run.told), run.weights, run.told["facts"], part, views
        )
        logits.append(mean_by_video(judged, part.table.height))
    of_video = np.mean(logits, axis=0)
    found = mean_by_child(of_video, visible, subjects, children)
    if hidden := int(np.isnan(found).sum()):
        log.warning("%d answers are of children without a recording that shows the item; another view answers", hidden)
        found = np.where(np.isnan(found), mean_by_child(of_video, np.ones_like(visible), subjects, children), found)
    return children, found
