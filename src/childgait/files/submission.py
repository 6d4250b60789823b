"""Writes, reads and checks the submission file of the keypoint challenge (CV4CHL 2026, track 1).

    ID,L1,…,L17,R1,…,R17,Total,Left_gait_subtype,Right_gait_subtype
    track1-4,1,0,…,9,-1,-1

One row per child of the test; 1 where an item is atypical, under the item's number; `Total` is the sum of the 34. The
last two columns belong to track 2 and are -1. Columns and IDs are those of published submissions.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.domain.evgs import BY_CODE, TARGETS
from childgait.errors import StepError
from childgait.user_files import parse_line, read_lines, shorten

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME = "track1-"
ITEMS: tuple[str, ...] = tuple(f"{target.limb[0].upper()}{BY_CODE[target.code].number}" for target in TARGETS)
OTHER_TRACK = ("Left_gait_subtype", "Right_gait_subtype")
COLUMNS: tuple[str, ...] = ("ID", *ITEMS, "Total", *OTHER_TRACK)


def write_submission(path: Path, children: list[str], atypical: NDArray[np.bool_]) -> None:
    """Write predictions (children, 34) in the order of domain.evgs.TARGETS."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(COLUMNS)
        for child, answers in zip(children, atypical.astype(int).tolist(), strict=True):
            rows.writerow([f"{NAME}{int(child)}", *answers, sum(answers), -1, -1])


def read_submission(path: Path, expected: set[str] | None = None) -> dict[str, list[int]]:
    """Read the 34 predictions by child (`0004`); fail on anything that the challenge would reject."""
    rows = [(number, parse_line(path, number, line)) for number, line in read_lines(path)]
    first = rows[0][1] if rows else []
    if tuple(first) != COLUMNS:
        lacking = [name for name in COLUMNS if name not in first]
        problem = (
            f"lacks the column(s) {', '.join(lacking)}"
            if lacking
            else "has its columns in another order, or more of them"
        )
        raise StepError(
            f"{path} {problem}", hint=f"the first line is {','.join(COLUMNS[:3])},…,{','.join(COLUMNS[-3:])}"
        )
    answers: dict[str, list[int]] = {}
    for line, row in rows[1:]:
        child = _child_of(path, line, row)
        if child in answers:
            raise StepError(f"{path}, line {line}: {row[0]} is in it twice", hint="keep one row per child")
        answers[child] = _answers_of(path, line, row)
    if not answers:
        raise StepError(f"{path} contains no child", hint="a submission has one row per child of the test")
    if expected is not None and (wrong := sorted(expected ^ set(answers))):
        lacks = wrong[0] in expected
        raise StepError(
            f"{path} {'lacks' if lacks else 'has'} child {wrong[0]}, who {'is' if lacks else 'is not'} in the test"
            f" ({len(wrong)} such children)",
            hint="the test's children are those that split.csv lists as test",
        )
    return answers


def _child_of(path: Path, line: int, row: list[str]) -> str:
    name = row[0] if row else ""
    if not re.fullmatch(NAME + "[0-9]{1,12}", name):
        raise StepError(
            f"{path}, line {line}: the ID is {shorten(name)}", hint=f"IDs are {NAME} and the child's number: {NAME}4"
        )
    if len(row) != len(COLUMNS):
        raise StepError(f"{path}, line {line}: {len(row)} values, not {len(COLUMNS)}", hint="give one value per column")
    return f"{int(name.removeprefix(NAME)):04d}"


def _answers_of(path: Path, line: int, row: list[str]) -> list[int]:
    values = dict(zip(COLUMNS, row, strict=True))
    for name in ITEMS:
        if values[name] not in ("0", "1"):
            raise StepError(
                f"{path}, line {line}: {name} is {shorten(values[name])}", hint="0 is typical, 1 is atypical"
            )
    answers = [int(values[name]) for name in ITEMS]
    if values["Total"] != str(sum(answers)):
        raise StepError(
            f"{path}, line {line}: Total is {shorten(values['Total'])}, but the 34 items add up to {sum(answers)}",
            hint="write their sum",
        )
    for name in OTHER_TRACK:
        if values[name] != "-1":
            raise StepError(
                f"{path}, line {line}: {name} is {shorten(values[name])}", hint="a row of track 1 has -1 there"
            )
    return answers
