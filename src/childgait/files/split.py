"""The split of children into train, validation and test: the tables that split_subjects writes and every model reads.

A part has one row per video: child, view, and 34 scores (null where unknown, or where the view does not show the item).
`split_hash` is the same in all three parts of a fold: two models are compared in one table only if their hashes agree.
The vault is a table of the same form, of children in no part of any fold. Its hash begins with VAULT, by which
`read_part` refuses it; files/vault.py reads it, and only with an opening.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.domain.evgs import TARGET_NAMES, TARGETS, VIEWS
from childgait.errors import StepError
from childgait.files.hashes import sha256_of_text
from childgait.files.tables import Column, Table, read_table

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

PART_NAMES = ("train", "validation", "test")
HOLDOUT = "holdout"

VAULT = "vault:"  # begins the split hash of the sealed children's rows
SEALED = "sealed in the vault"  # reason of a child in no part that no model may train on
REQUESTED = "; the list requests it as test"  # end of the reason of a child in no part that no model may train on

PARTS = Table(
    "parts",
    ("video",),
    (
        Column("video", "String", "name of the recording"),
        Column("subject", "String", "pseudonym"),
        Column("session", "String", "session of the recording"),
        Column("view", "String", "forward, backward, left or right"),
        Column("age_years", "Float64", "age; null where unknown"),
        Column("sex", "String", "female, male or unknown"),
        Column("aid", "String", "walking aid, or none"),
        Column("split_hash", "String", "sha256 of the fold's list of children and their parts"),
        *(Column(name, "Int64", "score 0, 1, 2; null: unknown, or not seen from this view") for name in TARGET_NAMES),
    ),
)
ASSIGNMENT = Table(
    "who",
    ("fold", "subject"),
    (
        Column("fold", "String", "0, 1, … or holdout"),
        Column("subject", "String", "pseudonym"),
        Column("part", "String", "train, validation, test, or none"),
        Column("reason", "String", "why the child is in no part; null otherwise"),
    ),
)


def fold_names(folds: int) -> list[str]:
    """Return the names of the folds: `0` … `folds - 1`, then `holdout`."""
    return [*(str(number) for number in range(folds)), HOLDOUT]


def part_files(folds: int) -> list[str]:
    """Return the file names that split_subjects writes, in the order of its argument `parts`."""
    return [f"{fold}.{part}.parquet" for fold in fold_names(folds) for part in PART_NAMES]


def hash_of_split(part_of: dict[str, str]) -> str:
    """Return one hash of a fold's split: one line `subject part` per child, sorted."""
    return sha256_of_text("".join(f"{subject} {part}\n" for subject, part in sorted(part_of.items())))


def assigned_children(assignment: Path) -> dict[str, str]:
    """Return part and fold by child, of children in a part of any fold, in the vault, or listed manually as test.

    No model may train on them outside their part, not even without their scores. Reads split_subjects' subjects.csv.
    """
    assigned: dict[str, str] = {}
    with assignment.open(newline="", encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            if row["part"] != "none":
                assigned[row["subject"]] = f"in {row['part']} of fold {row['fold']}"
            elif row.get("reason") == SEALED:
                assigned[row["subject"]] = SEALED
            elif (row.get("reason") or "").endswith(REQUESTED):
                assigned.setdefault(row["subject"], "asked for as test by the list of the split")
    return assigned


def read_part(path: Path) -> pl.DataFrame:
    """Read a part table; fail on the vault, which no step may read without its tag."""
    part = read_table(path, PARTS)
    if any(split.startswith(VAULT) for split in part["split_hash"].unique()):
        raise StepError(
            f"{path} is the vault: its children are sealed",
            hint="only `snakemake vault` reads it, with a git tag named in params.yaml: open_vault.tag",
        )
    return part


def sealed_children(assignment: Path) -> set[str]:
    """Return the children in the vault. Reads split_subjects' subjects.csv."""
    with assignment.open(newline="", encoding="utf-8") as rows:
        return {row["subject"] for row in csv.DictReader(rows) if row.get("reason") == SEALED}


def scores_of(part: pl.DataFrame) -> NDArray[np.float32]:
    """Return the scores (rows, 34), NaN where null."""
    import numpy as np

    return part.select(TARGET_NAMES).to_numpy().astype(np.float32)


def atypical_of(part: pl.DataFrame) -> NDArray[np.float32]:
    """Return the targets of every model (rows, 34): 1 atypical, 0 typical, NaN where null."""
    import numpy as np

    scores = scores_of(part)
    return np.where(np.isnan(scores), np.nan, (scores > 0).astype(np.float32)).astype(np.float32)


def wide_scores(long: pl.DataFrame) -> pl.DataFrame:
    """Pivot the column `value` of a table by subject, limb and code to one row per child, one column per target."""
    import polars as pl

    wide = long.select("subject").unique(maintain_order=True)
    for target in TARGETS:
        rows = long.filter((pl.col("limb") == target.limb) & (pl.col("code") == target.code))
        column = rows.select("subject", pl.col("value").alias(target.name))
        wide = wide.join(column, on="subject", how="left", maintain_order="left")
    return wide


def rows_of_videos(videos: pl.DataFrame, children: pl.DataFrame, labels: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of all videos without `split_hash`; a score is null where the view does not show the item."""
    import polars as pl

    names = videos.select("video", "subject", "session", "view")
    people = children.select("subject", "age_years", "sex", "aid")
    frames = []
    for view in VIEWS:
        seen = pl.col("views").str.split(" ").list.contains(view)
        wide = wide_scores(labels.with_columns(pl.when(seen).then(pl.col("score")).alias("value")))
        frames.append(names.filter(pl.col("view") == view).join(people, on="subject").join(wide, on="subject"))
    return pl.concat(frames).sort("video")
