"""Reads the clinicians' scores and the list of children as they are delivered; defines the tables made of them.

Delivered: `labels.json`, a list of `{"patient_id": "0001", "rater": "A", "left": {"1": 0, …, "17": 2, "Total": 7},
"right": {…}}` (`rater` only where several people scored), and `subjects.csv` with patient_id, age (or age_years), sex,
diagnosis, aid, and, where the clinic graded them, severity (1 to 4, or I to IV) and the classes of domain/tasks.py.
Returns plain Python rows; `steps/build_labels.py` writes the tables below.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from childgait.domain.evgs import BY_NUMBER, LIMBS, TARGETS
from childgait.domain.tasks import CLASS_COLUMNS
from childgait.errors import StepError
from childgait.files.tables import Column, Table
from childgait.user_files import read_json, read_rows, shorten

if TYPE_CHECKING:
    import polars as pl

LABELS = Table(
    "labels",
    ("subject", "limb", "code"),
    (
        Column("subject", "String", "pseudonym, four digits or more"),
        Column("limb", "String", "left or right"),
        Column("code", "String", "item, as in domain/evgs.py"),
        Column("score", "Int64", "0 typical, 1, 2; on a binary scale 1 stands for 1 or 2; null where missing"),
        Column("atypical", "Boolean", "score above 0; null where missing"),
        Column("reason", "String", "why the score is missing; null where it is known"),
        Column("views", "String", "views from which the item is scored, separated by spaces"),
        Column("rater", "String", "whose score it is; null where the file names nobody"),
    ),
)
TOTALS = Table(
    "totals",
    ("subject", "limb"),
    (
        Column("subject", "String", "pseudonym"),
        Column("limb", "String", "left, right, or both"),
        Column("scored", "Int64", "items with a score"),
        Column("total", "Int64", "sum of scores; null unless every item is scored"),
        Column("atypical", "Int64", "atypical items; null unless every item is scored"),
        Column("stated", "Int64", "the total written in the file, where there is one"),
    ),
)
SUBJECTS = Table(
    "subjects",
    ("subject",),
    (
        Column("subject", "String", "pseudonym"),
        Column("age_years", "Float64", "age at the recording; null where unknown"),
        Column("sex", "String", "female, male or unknown"),
        Column("diagnosis", "String", "as delivered, or unknown"),
        Column("aid", "String", "walking aid as delivered, or none"),
        Column("severity", "Int64", "motor severity, 1 to 4, as GMFCS I to IV; null where unknown"),
    ),
    optional=tuple(
        Column(name, "String", f"{', '.join(task.classes)}; null where unknown") for name, task in CLASS_COLUMNS.items()
    ),
)

REQUIRED = ("patient_id", "age", "sex")  # columns of subjects.csv
OTHER_NAMES = {"age_years": "age"}
SEXES = {
    "f": "female",
    "female": "female",
    "girl": "female",
    "m": "male",
    "male": "male",
    "boy": "male",
    "": "unknown",
    "unknown": "unknown",
}
SEVERITIES = {"": None, "1": 1, "2": 2, "3": 3, "4": 4, "I": 1, "II": 2, "III": 3, "IV": 4}


class LabelRow(TypedDict):
    """One row of LABELS."""

    subject: str
    limb: str
    code: str
    score: int | None
    atypical: bool | None
    reason: str | None
    views: str
    rater: str | None


class TotalRow(TypedDict):
    """One row of TOTALS."""

    subject: str
    limb: str
    scored: int
    total: int | None
    atypical: int | None
    stated: int | None


class SubjectRow(TypedDict):
    """One row of SUBJECTS."""

    subject: str
    age_years: float | None
    sex: str
    diagnosis: str
    aid: str
    severity: int | None
    left_gait_type: str | None
    right_gait_type: str | None
    knee_alignment: str | None
    scoliosis: str | None


def target_column() -> pl.Expr:
    """Return the name of a row's target, such as L.KFX, from its limb and code."""
    import polars as pl

    names = {f"{target.limb} {target.code}": target.name for target in TARGETS}
    return pl.concat_str("limb", "code", separator=" ").replace_strict(names, default=None)


@dataclass(frozen=True)
class Sheet:
    """One rater's scores of one child: `scores[limb][code]` is 0, 1, 2 or None."""

    subject: str
    rater: str | None
    scores: dict[str, dict[str, int | None]]
    stated: dict[str, int | None]


def subject_name(value: object) -> str:
    """Return a child's pseudonym; `7`, `"7"` and `"0007"` are the same. Fail on anything but digits: a name or path."""
    text = str(value).strip() if isinstance(value, int | str) else ""
    if isinstance(value, bool) or not re.fullmatch("[0-9]{1,12}", text):
        raise StepError(
            f"the patient id {shorten(value)} is not a number",
            hint="give every child a pseudonym of digits, such as 0001, in labels, subjects and file names alike",
        )
    return text.zfill(4)


def read_sheets(path: Path, *, highest: int) -> list[Sheet]:
    """Read and check every sheet of a labels file. `highest` is 2 on the ordinal scale, 1 on the binary one."""
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "patient_id" in row for row in rows):
        raise StepError(
            f"{path} is not a list of entries with a 'patient_id'",
            hint='write [{"patient_id": "0001", "left": {"1": 0, …}, "right": {…}}, …]',
        )
    if not rows:
        raise StepError(f"{path} contains no child", hint="a study needs scores")
    sheets = [read_sheet(path, row, highest) for row in rows]
    seen: set[tuple[str, str | None]] = set()
    for sheet in sheets:
        if (sheet.subject, sheet.rater) in seen:
            by = f" by rater {sheet.rater}" if sheet.rater else ""
            raise StepError(f"{path} scores child {sheet.subject}{by} twice", hint="keep one entry per child and rater")
        seen.add((sheet.subject, sheet.rater))
    return sheets


def read_sheet(path: Path, row: Mapping[str, object], highest: int) -> Sheet:
    """Parse and check one entry of the file."""
    subject = subject_name(row["patient_id"])
    _check_keys(path, subject, row)
    scores: dict[str, dict[str, int | None]] = {}
    stated: dict[str, int | None] = {}
    for limb in LIMBS:
        limb_scores = _items_of(f"{path}: child {subject}, {limb}", row.get(limb))
        scores[limb] = {
            item.code: _score(path, subject, limb, item.code, limb_scores.get(str(number)), highest)
            for number, item in BY_NUMBER.items()
        }
        stated[limb] = _total(f"{path}: child {subject}, {limb}", limb_scores.get("Total"))
    return Sheet(subject, _rater(f"{path}: child {subject}", row.get("rater")), scores, stated)


def _check_keys(path: Path, subject: str, row: Mapping[str, object]) -> None:
    """Fail on `Left` in place of `left`: its scores would count as missing."""
    known = ("patient_id", "rater", *LIMBS)
    for key in row:
        if key not in known and key.strip().lower() in known:
            raise StepError(
                f"{path}: child {subject} has the key {shorten(key)}", hint=f"write it as {key.strip().lower()!r}"
            )


def _items_of(where: str, sheet: object) -> dict[str, object]:
    """Return the entries of one limb by item: its number without leading zeros, or `Total`."""
    if not isinstance(sheet, dict | None):
        raise StepError(f"{where} is {shorten(sheet)}", hint='write its scores as {"1": 0, …, "17": 2}')
    scores: dict[str, object] = {}
    for key, value in (sheet or {}).items():
        number = int(key) if re.fullmatch("[0-9]{1,4}", key) else None
        if number not in BY_NUMBER and key != "Total":
            raise StepError(f"{where}: {shorten(key)} is no item", hint="items are '1' to '17', and 'Total'")
        item = key if number is None else str(number)
        if item in scores:
            raise StepError(f"{where} has item {item} twice, once as {key!r}", hint="keep one score for each item")
        scores[item] = value
    return scores


def _total(where: str, value: object) -> int | None:
    """Return the stated total of a limb, where there is one."""
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2 * len(BY_NUMBER):
        raise StepError(f"{where}: Total is {shorten(value)}", hint=f"write 0 to {2 * len(BY_NUMBER)}, or leave it out")
    return int(value)


def _rater(where: str, value: object) -> str | None:
    """Return the name or number of the rater, where there is one."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise StepError(f"{where}: rater is {shorten(value)}", hint="write a pseudonym, such as A")
    return None if value is None else str(value)


def _score(path: Path, subject: str, limb: str, code: str, value: object, highest: int) -> int | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in range(highest + 1):
        allowed = ", ".join(str(score) for score in range(highest + 1))
        raise StepError(
            f"{path}: child {subject}, {limb}, item {code} is scored {shorten(value)}, "
            f"but {allowed} or null is expected",
            hint="mend the score, or say which scale the file uses in params.yaml: build_labels.scale",
        )
    return int(value)


def read_children(path: Path) -> pl.DataFrame:
    """Read subjects.csv as the table SUBJECTS, sorted; of the optional columns those with a value."""
    import polars as pl

    rows: dict[str, SubjectRow] = {}
    for number, row in read_rows(path, REQUIRED, OTHER_NAMES):
        child = read_child(path, number, row)
        if child["subject"] in rows:
            raise StepError(
                f"{path}, line {number}: child {child['subject']} is there twice", hint="keep one row per child"
            )
        rows[child["subject"]] = child
    children = pl.DataFrame(list(rows.values()), schema=SUBJECTS.schema() | SUBJECTS.optional_schema()).sort("subject")
    return children.drop([name for name in CLASS_COLUMNS if children[name].null_count() == children.height])


def read_child(path: Path, number: int, row: Mapping[str, str | None]) -> SubjectRow:
    """Parse and check one line of the file."""
    sex = str(row["sex"] or "").strip().lower()
    if sex not in SEXES:
        raise StepError(
            f"{path}, line {number}: sex is {shorten(row['sex'])}", hint="write female, male, or leave it empty"
        )
    return {
        "subject": subject_name(row["patient_id"]),
        "age_years": _age(path, number, row["age"]),
        "sex": SEXES[sex],
        "diagnosis": row.get("diagnosis") or "unknown",
        "aid": row.get("aid") or "none",
        "severity": _severity(path, number, row.get("severity")),
        "left_gait_type": _class_of(path, number, row, "left_gait_type"),
        "right_gait_type": _class_of(path, number, row, "right_gait_type"),
        "knee_alignment": _class_of(path, number, row, "knee_alignment"),
        "scoliosis": _class_of(path, number, row, "scoliosis"),
    }


def _severity(path: Path, number: int, value: str | None) -> int | None:
    level = (value or "").strip().upper()
    if level not in SEVERITIES:
        raise StepError(
            f"{path}, line {number}: severity is {shorten(value)}", hint="write 1 to 4 or I to IV, or leave it empty"
        )
    return SEVERITIES[level]


def _class_of(path: Path, number: int, row: Mapping[str, str | None], column: str) -> str | None:
    """Return the child's class in a column of a task, as domain/tasks.py writes it; None where it is empty."""
    text = (row.get(column) or "").strip()
    known = {name.lower(): name for name in CLASS_COLUMNS[column].classes}
    if text and text.lower() not in known:
        raise StepError(
            f"{path}, line {number}: {column} is {shorten(text)}",
            hint=f"write {', '.join(known.values())}, or leave it empty",
        )
    return known.get(text.lower())


def _age(path: Path, number: int, value: str | None) -> float | None:
    if value is None or not value.strip():
        return None
    text = value.strip()
    age = float(text) if re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?", text) else math.nan
    if not 0.05 < age < 120:
        raise StepError(
            f"{path}, line {number}: age is {shorten(value)}", hint="write the age in years, as 8.5, or leave it empty"
        )
    return age
