"""The table of a model's predictions for every window, video, child and target, from which all metrics are computed."""

from __future__ import annotations

from childgait.files.tables import Column, Table

LEVELS = ("window", "video", "child")

PREDICTIONS = Table(
    "predictions",
    ("part", "level", "subject", "video", "window", "target"),
    (
        Column("part", "String", "validation or test"),
        Column("level", "String", "window; video: mean over its windows; child: mean over its videos that count"),
        Column("subject", "String", "pseudonym"),
        Column("video", "String", "name of the recording; empty for a child"),
        Column("view", "String", "of the video; empty for a child"),
        Column("window", "Int64", "number of the window in its video; -1 for a video or a child"),
        Column("start", "Int64", "first frame of the window; -1 for a video or a child"),
        Column("target", "String", "L.IC … R.TLT"),
        Column("counts", "Boolean", "whether the item is scored and can be scored from this view"),
        Column("atypical", "Int64", "the child's truth, 0 or 1; null where unknown"),
        Column("logit", "Float64", "the model's output; null for a child without a view that counts"),
        Column("probability", "Float64", "of atypical, from the logit"),
        Column(
            "calibrated", "Float64", "of atypical: class weights undone, intercept and slope per item of validation"
        ),
    ),
    optional=(
        Column("severe", "Float64", "probability of score 2 of an atypical item; of ordinal models (loss corn) only"),
    ),
)
