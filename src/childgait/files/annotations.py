"""Manual tables in `cohort.annotations`: CSV files from an editor or a spreadsheet.

A row that is not read could leave a head visible, so a table that cannot be read completely stops the study.
"""

from __future__ import annotations

from pathlib import Path

from childgait.user_files import read_rows


def rows_of(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Return every row with its line number; these columns are required. A line that begins with # is a comment."""
    return read_rows(path, columns)
