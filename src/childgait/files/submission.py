"""Writes, reads and checks the submission files of both tracks of the keypoint challenge (CV4CHL 2026).

    ID,L1,…,L17,R1,…,R17,Total,Left_gait_subtype,Right_gait_subtype
    track1-4,1,0,…,9,-1,-1
    track2-6,-1,-1,…,-1,type2,WNL

Track 1 has one row per child of its test: 1 where an item is atypical, under the item's number; `Total` is the sum of
the 34. Track 2 has one row per child of its own test: the gait type of both limbs (WNL, type1 to type4). Columns of the
other track are -1. Columns and IDs are those of published submissions, which hold the rows of both tracks in one file.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.domain.evgs import BY_CODE, TARGETS
from childgait.domain.tasks import TASKS
from childgait.errors import StepError
from childgait.user_files import parse_line, read_lines, shorten

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NAME, SECOND = "track1-", "track2-"
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


def write_subtypes(path: Path, children: list[str], types: Sequence[Sequence[str]]) -> None:
    """Write the gait types of the left and the right limb of every child: the rows of track 2."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream, lineterminator="\n")
        rows.writerow(COLUMNS)
        for child, of_limbs in zip(children, types, strict=True):
            rows.writerow([f"{SECOND}{int(child)}", *[-1] * (len(ITEMS) + 1), *of_limbs])


def read_submission(path: Path, expected: set[str] | None = None) -> dict[str, list[int]]:
    """Read the 34 predictions by child (`0004`); fail on anything that the challenge would reject."""
    rows = _rows_of_track(path, NAME, expected)
    return {child: _answers_of(path, line, row) for child, (line, row) in rows.items()}


def read_subtypes(path: Path, expected: set[str] | None = None) -> dict[str, list[str]]:
    """Read the gait types of both limbs by child (`0004`) from the rows of track 2."""
    rows = _rows_of_track(path, SECOND, expected)
    return {child: _types_of(path, line, row) for child, (line, row) in rows.items()}


def join_submissions(first: Path, second: Path, target: Path) -> None:
    """Write the rows of both tracks into one file, as the challenge takes them."""
    from childgait.files.atomic import write_text

    lines = [path.read_text(encoding="utf-8").splitlines() for path in (first, second)]
    write_text(target, "\n".join([*lines[0], *lines[1][1:], ""]))


def _rows_of_track(path: Path, track: str, expected: set[str] | None) -> dict[str, tuple[int, list[str]]]:
    """Return line and values by child; fail on other columns, other IDs, and children that are not `expected`."""
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
    by_child: dict[str, tuple[int, list[str]]] = {}
    for line, row in rows[1:]:
        child = _child_of(path, line, row, track)
        if child in by_child:
            raise StepError(f"{path}, line {line}: {row[0]} is in it twice", hint="keep one row per child")
        by_child[child] = line, row
    if not by_child:
        raise StepError(f"{path} contains no child", hint="a submission has one row per child of the test")
    if expected is not None and (wrong := sorted(expected ^ set(by_child))):
        lacks = wrong[0] in expected
        raise StepError(
            f"{path} {'lacks' if lacks else 'has'} child {wrong[0]}, who {'is' if lacks else 'is not'} in the test"
            f" ({len(wrong)} such children)",
            hint="the test's children are those that split.csv lists as test",
        )
    return by_child


def _child_of(path: Path, line: int, row: list[str], track: str) -> str:
    name = row[0] if row else ""
    if not re.fullmatch(track + "[0-9]{1,12}", name):
        raise StepError(
            f"{path}, line {line}: the ID is {shorten(name)}", hint=f"IDs are {track} and the child's number: {track}4"
        )
    if len(row) != len(COLUMNS):
        raise StepError(f"{path}, line {line}: {len(row)} values, not {len(COLUMNS)}", hint="give one value per column")
    return f"{int(name.removeprefix(track)):04d}"


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


def _types_of(path: Path, line: int, row: list[str]) -> list[str]:
    values = dict(zip(COLUMNS, row, strict=True))
    for name in (*ITEMS, "Total"):
        if values[name] != "-1":
            raise StepError(
                f"{path}, line {line}: {name} is {shorten(values[name])}", hint="a row of track 2 has -1 there"
            )
    classes = TASKS["gait_type"].classes
    for name in OTHER_TRACK:
        if values[name] not in classes:
            raise StepError(
                f"{path}, line {line}: {name} is {shorten(values[name])}", hint=f"gait types are {', '.join(classes)}"
            )
    return [values[name] for name in OTHER_TRACK]
