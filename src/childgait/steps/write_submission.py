"""Write the challenge's submission file: predictions of the study's first model for the test's children, scored or not.

Reads the runs of that model (all seeds of one fold), the clips, who is who, which views show an item, and a person's
list. The test's children are those that the list names as test; where it names nobody, all whom the model has never
seen, without the children sealed in the vault (`assignment`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from childgait.engine.flags import Input, Output
from childgait.errors import StepError

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

    from childgait.training.predict import TrainedModel

METHODS = (
    "For the children of a challenge's test, the logits of the first model's seeds were averaged, the class weights of "
    "the loss undone, and items called atypical from a probability of 0.5."
)
log = logging.getLogger("childgait")


def write_submission(
    weights: list[Input],
    models: list[Input],
    clips: list[Input],
    subjects: Input,
    labels: Input,
    submission: Output,
    windows_per_video: int,
    lists: Input | None = None,
    assignment: Input | None = None,
) -> None:
    import polars as pl
    from safetensors.numpy import load_file

    from childgait.files import submission as form
    from childgait.files.clips import open_clip
    from childgait.files.labels import LABELS, SUBJECTS
    from childgait.files.model_description import ModelDescription
    from childgait.files.parts import Part
    from childgait.files.split import PARTS, sealed_children
    from childgait.files.split_list import read_split_list
    from childgait.files.tables import read_table
    from childgait.training.predict import TrainedModel, predictions_by_child

    trained = [
        TrainedModel(ModelDescription.read(description), load_file(path))
        for path, description in zip(weights, models, strict=True)
    ]
    people = read_table(subjects, SUBJECTS)
    listed = {name for name, part in read_split_list(lists).items() if part == "test"} if lists else set()
    training = set().union(*(one.description.children_of_training() for one in trained))
    sealed = sealed_children(assignment) if assignment else set()
    opened = [clip for path in clips if (clip := open_clip(path)).subject not in sealed]
    selected = [clip for clip in opened if (child := clip.subject) in listed or not (listed or child in training)]
    if not selected:
        raise StepError(
            "no child is left to predict: the model was trained on every child with a clip",
            hint="list the test's children in annotations/split.csv, or give split_subjects.holdout a share",
        )
    rows = [{"video": clip.video, "subject": clip.subject, "view": clip.view} for clip in selected]
    known = people.select("subject", "age_years", "sex", "aid")
    table = pl.DataFrame(rows, schema=PARTS.schema()).drop("age_years", "sex", "aid")
    table = table.join(known, on="subject", how="left", maintain_order="left").with_columns(
        pl.col("sex").fill_null("unknown")
    )
    visible = targets_by_view(read_table(labels, LABELS))
    children, logits = predictions_by_child(trained, Part(table, selected), visible, windows_per_video)
    form.write_submission(submission, children, logits - class_shift(trained) >= 0)
    for child in sorted(listed - set(children)):
        log.warning("write_submission: child %s is listed as test, but has no clip", child)
    log.info("write_submission: %s predicts %d children", trained[0].description.model, len(children))


def class_shift(trained: list[TrainedModel]) -> NDArray[np.float64]:
    """Return (34,) the mean log class weight of the models' losses: the natural threshold of their mean logits.

    A loss that weighs both classes alike calls too many items atypical at the shares as they are.
    """
    import numpy as np

    from childgait.domain.evgs import TARGETS

    equal = [1.0] * len(TARGETS)
    weights = [model.description.facts.get("positive_weights", equal) for model in trained]
    return np.asarray(np.log(weights).mean(axis=0))


def targets_by_view(labels: pl.DataFrame) -> dict[str, NDArray[np.bool_]]:
    """Return per view which of the 34 targets it shows."""
    import numpy as np
    import polars as pl

    from childgait.domain.evgs import TARGETS, VIEWS

    views = dict(labels.select("code", pl.col("views").str.split(" ")).unique("code").iter_rows())
    return {view: np.array([view in views[target.code] for target in TARGETS]) for view in VIEWS}
