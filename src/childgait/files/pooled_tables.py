"""The steps whose outputs are pooled into one table and checked by a gate, and the files that are pooled.

The rules, the gates (`childgait.gates.SUITES`) and the report read this one list.
"""

from __future__ import annotations

# Step -> its files; those with {video} are one per video, the others one per cohort.
GATED = {
    "register": "data/register/{video}.json",
    "deidentify": "data/deidentify/{video}.evidence.json",
    "refine_pose": "data/refine_pose/{video}.summary.json",
    "prepare_clips": "data/prepare_clips/{video}.clip.json",
    "build_labels": "data/build_labels/labels.parquet",
    "split_subjects": "data/split_subjects/subjects.csv",
}
