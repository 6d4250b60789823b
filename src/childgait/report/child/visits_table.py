"""Reads a table of children to score: columns path, and child, age, sex, view where known."""

from __future__ import annotations

import csv
from pathlib import Path

from childgait.errors import StepError
from childgait.report.child.score import Request

COLUMNS = ("path", "child", "age", "sex", "view")


def read_requests(table: Path) -> list[Request]:
    """Return one request per child; rows of one child (by path or number) are its recordings."""
    if not table.is_file():
        raise StepError(f"there is no table {table}", hint="give a CSV file with the column path")
    with table.open(newline="", encoding="utf-8") as stream:
        rows = csv.DictReader(stream)
        unknown = sorted(set(rows.fieldnames or ()) - set(COLUMNS))
        if "path" not in (rows.fieldnames or ()) or unknown:
            raise StepError(
                f"{table} has the columns {', '.join(rows.fieldnames or ['none'])}",
                hint=f"columns are {', '.join(COLUMNS)}; all but path may be missing",
            )
        listed = list(rows)
    if not listed:
        raise StepError(f"{table} has no row", hint="give one row per video or per child's folder")
    groups: dict[str, list[dict[str, str]]] = {}
    for row in listed:
        groups.setdefault(row.get("child") or row["path"], []).append(row)
    return [_request(group, table) for group in groups.values()]


def _request(rows: list[dict[str, str]], table: Path) -> Request:
    first = rows[0]
    try:
        age = float(first["age"]) if first.get("age") else None
    except ValueError:
        raise StepError(f"{table}: the age {first['age']!r} is no number", hint="give it in years, as 8.5") from None
    sexes = {"f": "female", "female": "female", "m": "male", "male": "male", "unknown": "unknown", "": None}
    sex = (first.get("sex") or "").lower()
    if sex not in sexes:
        raise StepError(f"{table}: the sex {sex!r} is unknown", hint="give F, M or unknown")
    views = [row["view"] for row in rows if row.get("view")]
    paths = [path if path.is_absolute() else table.parent / path for path in (Path(row["path"]) for row in rows)]
    return Request(paths, views, first.get("child") or None, age, sexes[sex])
