"""Write the keypoint challenge's file of track 2: the gait types of the test's children, per limb.

Reads the networks that `classify` trained on gait types (all seeds of one fold of its first model), their descriptions
from finetune, the clips and a person's list. The test's children are those that the list names as test; where it names
nobody, all whom the networks have never seen. A network starts from one that was trained on item scores, so a child in
the training of either track is refused: the challenge itself leaks in this way (docs/COVERAGE.md).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from childgait.engine.flags import Input, Output
from childgait.errors import StepError

if TYPE_CHECKING:
    from childgait.files.clips import Clip
    from childgait.files.model_description import ModelDescription
    from childgait.files.parts import Part

log = logging.getLogger("childgait")


def write_subtypes(
    weights: list[Input],
    models: list[Input],
    clips: list[Input],
    submission: Output,
    windows_per_video: int,
    lists: Input | None = None,
    assignment: Input | None = None,
) -> None:
    """Classify the gait types of the test's children by the mean logits of the networks; write the submission file."""
    import numpy as np
    from safetensors.numpy import load_file

    from childgait.domain.tasks import TASKS
    from childgait.files import submission as form
    from childgait.files.clips import open_clip
    from childgait.files.model_description import ModelDescription
    from childgait.files.parts import children_of
    from childgait.files.split import sealed_children
    from childgait.files.split_list import read_split_list
    from childgait.training.classes import classified, logits_by_child, network_of_task
    from childgait.training.predict import TrainedModel

    task, described = TASKS["gait_type"], [ModelDescription.read(path) for path in models]
    listed = {name for name, part in read_split_list(lists).items() if part == "test"} if lists else set()
    sealed = sealed_children(assignment) if assignment else set()
    opened = [clip for path in clips if (clip := open_clip(path)).subject not in sealed]
    part = _part_of_test(opened, listed, described)
    logits = []
    for path, description in zip(weights, described, strict=True):
        network = network_of_task(TrainedModel(description, load_file(path)), task)
        logits.append(logits_by_child(network, description, part, windows_per_video))
    children = children_of(part.table)
    predicted = classified(task, children, np.mean(logits, axis=0)).classes.reshape(-1, len(task.limbs))
    form.write_subtypes(submission, children, [tuple(task.classes[one] for one in row) for row in predicted.tolist()])
    for child in sorted(listed - set(children)):
        log.warning("write_subtypes: child %s is listed as test, but has no clip", child)
    log.info("write_subtypes: %s classifies %d children", described[0].model, len(children))


def _part_of_test(clips: list[Clip], listed: set[str], described: list[ModelDescription]) -> Part:
    """Return the clips of the test's children as a part without targets; fail on a child in training of a network."""
    import numpy as np
    import polars as pl

    from childgait.domain.tasks import TASKS
    from childgait.files.parts import Part
    from childgait.files.split import PARTS

    training = set().union(*(one.children_of_training() for one in described))
    selected = [clip for clip in clips if clip.subject in listed or not (listed or clip.subject in training)]
    task = TASKS["gait_type"]
    seen = {clip.subject for clip in selected if clip.view in task.views}  # of the others any view has to do
    selected = [clip for clip in selected if clip.view in task.views or clip.subject not in seen]
    if both := sorted(training & {clip.subject for clip in selected}):
        raise StepError(
            f"{described[0].model} was trained on child {both[0]}, whose gait types it is to predict",
            hint="list the test's children of both tracks in split.csv before the split is made, and train again",
        )
    if not selected:
        raise StepError(
            "no child is left to classify: the networks were trained on every child with a clip",
            hint="list the test's children in annotations/split.csv, or give split_subjects.holdout a share",
        )
    rows = [{"video": clip.video, "subject": clip.subject, "view": clip.view} for clip in selected]
    targets = np.full((len(rows), len(task.mirrored)), np.nan, np.float32)
    return Part(pl.DataFrame(rows, schema=PARTS.schema()), selected, targets, task.mirrored)
