"""Manual tables in `cohort.annotations`: CSV files from an editor or a spreadsheet.

A row that is not read could leave a head visible, so a table that cannot be read completely stops the study.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

from childgait.errors import StepError


def text_of(path: Path) -> str:
    """Read a text file in UTF-8, with or without the byte order mark that spreadsheets write."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise StepError(
            f"{path} is not text in UTF-8 (byte {error.start})",
            hint='save it as "CSV UTF-8" in the spreadsheet',
        ) from None


def rows_of(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Return every row with its line number; these columns are required. A line that begins with # is a comment."""
    lines = ["" if line.startswith("#") else line for line in text_of(path).splitlines()]
    before = next((number for number, line in enumerate(lines) if line.strip()), 0)
    reader = csv.DictReader(io.StringIO("\n".join(lines[before:]), newline=""))
    if missing := [name for name in columns if name not in (reader.fieldnames or ())]:
        raise StepError(
            f"{path} lacks the column(s) {', '.join(missing)}",
            hint=f"its first line is {', '.join(columns)}, separated by commas (a spreadsheet may write semicolons)",
        )
    rows = []
    for row in reader:
        line = before + reader.line_num
        if None in row or any(row[name] is None for name in columns):
            raise StepError(
                f"{path}, line {line}: has more or fewer values than columns",
                hint='put a text that contains a comma into quotes: "…"',
            )
        rows.append((line, {name: value or "" for name, value in row.items()}))
    return rows
