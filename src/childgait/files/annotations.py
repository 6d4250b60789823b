"""Manual tables in `cohort.annotations`: CSV files from an editor or a spreadsheet.

A row that is not read could leave a head visible, so a table that cannot be read completely stops the study. A step of
one video reads a file with this video's rows alone, so that a row about another video reruns nothing.
"""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

from childgait.files.atomic import write_text
from childgait.user_files import read_rows

ADDED = ("last", "action", "reviewer", "time")  # columns that the review app adds to a table that lacks them
VIDEO_ROWS = Path(".snakemake/annotations")  # {table}/{video}.csv


def rows_of(path: Path, columns: tuple[str, ...]) -> list[tuple[int, dict[str, str]]]:
    """Return every row with its line number; these columns are required. A line that begins with # is a comment."""
    return read_rows(path, columns)


def parse_whole(text: str) -> int:
    """Parse a whole number; ValueError for what int() takes besides, such as 1_0 and digits of other scripts."""
    return int(_plain(text))


def parse_decimal(text: str) -> float:
    """Parse a number; ValueError for what float() takes besides."""
    return float(_plain(text))


def _plain(text: str) -> str:
    if "_" in text or not text.isascii():
        raise ValueError(text)
    return text


def rows_by_video(table: Path) -> dict[str, str]:
    """Return the rows of each video as the text of a table of its own; a missing table has none."""
    rows: dict[str, list[dict[str, str]]] = {}
    if table.exists():
        for _, row in rows_of(table, ("video",)):
            rows.setdefault(row["video"], []).append(row)
    return {video: _as_text(table.name, own) for video, own in rows.items()}


def _as_text(name: str, rows: list[dict[str, str]]) -> str:
    """Format rows as a table; an added column that is empty in all of them is left out, so that it reruns nothing."""
    columns = [key for key in rows[0] if key not in ADDED or any(row[key] for row in rows)]
    stream = io.StringIO()
    stream.write(f"# rows of {name}: edit them there, not here\n")
    writer = csv.DictWriter(stream, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def write_video_rows(table: Path, video: str, text: str) -> Path:
    """Write the rows of one video, if they differ from the file that is there; returns its path.

    A first file gets the date of the table, so that no output of a fresh clone looks outdated.
    """
    path = VIDEO_ROWS / table.stem / f"{video}.csv"
    is_first = not path.exists()
    if is_first or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
        if is_first:
            moment = table.stat().st_mtime_ns
            os.utime(path, ns=(moment, moment))
    return path
