"""The tables that a person writes, in `cohort.annotations`: CSV, from an editor or a spreadsheet.

A row that nobody reads would be a head that stays bare, so a table that cannot be read whole stops the study.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from childgait.errors import StepError


def text_of(path: Path) -> str:
    """What a person wrote, in UTF-8, with or without the mark that spreadsheets put in front."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StepError(
            f"{path} is not text in UTF-8 (byte {error.start} says so)",
            hint='save it as "CSV UTF-8" in the spreadsheet',
        ) from None


def rows_of(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Every row with its line; the columns named must be there. A line that begins with # is a remark."""
    lines = ["" if line.startswith("#") else line for line in text_of(path).splitlines()]
    before = next((number for number, line in enumerate(lines) if line.strip()), 0)
    reader = csv.DictReader(io.StringIO("\n".join(lines[before:]), newline=""))
    if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise StepError(
            f"{path} lacks the column(s) {', '.join(missing)}",
            hint=f"its first line names {', '.join(columns)}, with commas between (a spreadsheet may have put semicolons)",
        )
    rows = []
    for row in reader:
        line = before + reader.line_num
        if None in row or any(row[name] is None for name in columns):
            raise StepError(
                f"{path}, line {line}: has more or fewer values than columns",
                hint='put a text that has a comma between two marks: "…"',
            )
        rows.append((line, {name: value or "" for name, value in row.items()}))
    return rows
