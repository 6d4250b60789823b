"""Reads the manual split of the hold-out: annotations/split.csv, with the columns subject and part."""

from __future__ import annotations

from pathlib import Path

from childgait.errors import StepError
from childgait.files.annotations import rows_of
from childgait.files.split import PART_NAMES


def read_split_list(path: Path) -> dict[str, str]:
    """Read the part of each listed child; other children are assigned automatically."""
    from childgait.files.labels import subject_name

    part_of: dict[str, str] = {}
    for _, row in rows_of(path, ("subject", "part")):
        subject, part = subject_name(row["subject"]), row["part"].strip()
        if part not in PART_NAMES:
            raise StepError(f"{path}: child {subject} is put into {part!r}", hint=f"parts are {', '.join(PART_NAMES)}")
        if part_of.get(subject, part) != part:
            raise StepError(
                f"{path}: child {subject} is in two parts, {part_of[subject]} and {part}",
                hint="a child who trains a model cannot test it; keep one of the lines",
            )
        part_of[subject] = part
    if part_of and "test" not in part_of.values():
        raise StepError(f"{path} names no test child", hint="list the children of the hold-out test")
    return part_of
