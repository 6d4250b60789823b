"""Reads a table of children to score: columns path, and child, session, age, sex, view where known."""

from __future__ import annotations

import math
from pathlib import Path

from childgait.domain.names import parse_video_name
from childgait.errors import StepError
from childgait.report.child.find_recordings import Request
from childgait.user_files import parse_number, read_rows, shorten

COLUMNS = ("path", "child", "session", "age", "sex", "view")
SEXES = {"f": "female", "female": "female", "m": "male", "male": "male", "unknown": "unknown", "": None}
Row = tuple[int, dict[str, str]]  # number of the line, and the values by column


def read_requests(table: Path) -> list[Request]:
    """Return one request per child; rows of one child (by path or number) are its recordings."""
    if not table.is_file():
        raise StepError(f"there is no table {table}", hint="give a CSV file with the column path")
    rows = read_rows(table, ("path",))
    if not rows:
        raise StepError(f"{table} has no row", hint="give one row per video or per child's folder")
    if unknown := sorted(set(rows[0][1]) - set(COLUMNS)):
        raise StepError(
            f"{table} has the unknown column {shorten(unknown[0])}",
            hint=f"columns are {', '.join(COLUMNS)}; all but path may be missing",
        )
    return group_requests(rows, str(table), table.parent)


def group_requests(rows: list[Row], source: str, folder: Path) -> list[Request]:
    """Return one request per child of a table's rows; relative paths start at `folder`."""
    groups: dict[str, list[Row]] = {}
    for number, row in rows:
        if not row["path"].strip():
            raise StepError(f"{source}, line {number}: the path is empty", hint="name a video or a child's folder")
        groups.setdefault(row.get("child") or row["path"], []).append((number, row))
    return [_request(group, source, folder) for group in groups.values()]


def _request(rows: list[Row], table: str, folder: Path) -> Request:
    child, sex = (_one_value(rows, table, column) for column in ("child", "sex"))
    line = f"{table}, line {rows[0][0]}"
    if sex.lower() not in SEXES:
        raise StepError(f"{line}: the sex {shorten(sex)} is unknown", hint="give F, M or unknown")
    by_session: dict[str, list[Row]] = {}
    for row in rows:
        by_session.setdefault(row[1].get("session", "").strip(), []).append(row)
    ages = {session: _age(own, table) for session, own in by_session.items()}
    known = {session: age for session, age in ages.items() if session and age is not None}
    views = [row["view"] for _, row in rows if row.get("view")]
    sessions = [one for number, row in rows if (one := _unnamed_session(row, f"{table}, line {number}"))]
    paths = [folder / row["path"] for _, row in rows]
    return Request(paths, views, child or None, ages.get(""), SEXES[sex.lower()], sessions=sessions, ages_years=known)


def _unnamed_session(row: dict[str, str], line: str) -> str:
    """Return the session that a row states of a file whose name does not; empty for another file."""
    session = row.get("session", "").strip()
    try:
        named = parse_video_name(Path(row["path"]).stem).session
    except StepError:
        return session
    if session not in ("", named):
        raise StepError(
            f"{line}: the session is {shorten(session)}, but the file's name states {named}",
            hint="correct the session, or leave it empty",
        )
    return ""


def _age(rows: list[Row], table: str) -> float | None:
    """Return the age in years that the rows of one session share."""
    age = _one_value(rows, table, "age")
    years = parse_number(age) if age else None
    if years is not None and math.isnan(years):
        number = next(number for number, row in rows if row.get("age", "").strip() == age)
        raise StepError(f"{table}, line {number}: the age {shorten(age)} is no number", hint="give it in years, as 8.5")
    return years


def _one_value(rows: list[Row], table: str, column: str) -> str:
    """Return the value of a column that all rows of a child share; rows may leave it empty."""
    values = {value: number for number, row in reversed(rows) if (value := row.get(column, "").strip())}
    if len(values) > 1:
        raise StepError(
            f"{table}, line {rows[-1][0]}: {column} differs between rows of one child ({', '.join(sorted(values))})",
            hint="give the rows of another child another number in the column child",
        )
    return next(iter(values), "")
