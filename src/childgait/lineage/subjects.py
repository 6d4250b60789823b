"""The child in a path, and the rows of a table and entries of a JSON file that name a child; the text without them.

Tables are read more leniently than by the steps, since a file that a step would refuse holds the child, too: other
delimiters, capitals in the header, rows of several lines.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from childgait.errors import StepError
from childgait.files.atomic import write_text
from childgait.user_files import parse_json

ID_COLUMNS = ("patient_id", "subject", "child", "video")
_LONGEST_HEADER = 10_000  # characters
DELIMITERS = {".tsv": "\t;,"}  # by ending, the usual one first
_SUBJECT = re.compile(r"(?:^|/)(\d{4,})(?=-\d{4,}_[a-z]+_\d+-\d+|[./])")


def subject_of(path: str) -> str | None:
    """Read the child off a file's name or folder; None for a file of several children, or of none."""
    numbers = _SUBJECT.findall(path)
    return numbers[-1] if numbers else None


def is_subject(value: object, subject: str) -> bool:
    """Whether an id field means the child: `7`, `"7"`, `"0007"`, or one of its videos."""
    text = str(value).strip()
    number = text.removesuffix(".0")  # as spreadsheets write it
    return (number.isdigit() and number.zfill(4) == subject) or text.startswith(f"{subject}-")


# --- tables


@dataclass(frozen=True)
class Row:
    """A row as written, its id fields, and those of its further lines, if a quotation mark makes it that long."""

    text: str
    ids: list[str]
    further_ids: list[str]


def rows_of(text: str, ending: str) -> Iterator[Row]:
    """Yield each row of a table; comments and the header have no ids. Raises csv.Error for a field of over 131,072."""
    lines = list(io.StringIO(text, newline=""))
    head, delimiter, columns = _header(lines, ending)
    reader, begin = csv.reader(iter(lines), delimiter=delimiter), 0
    for row in reader:
        end = reader.line_num
        ids = [row[place] for place in columns if place < len(row)] if begin > head else []
        further = [value for line in lines[begin + 1 : end] for value in _split(line, delimiter, columns)]
        yield Row("".join(lines[begin:end]), ids, further)
        begin = end


def _header(lines: Iterable[str], ending: str) -> tuple[int, str, list[int]]:
    """Find the header: its line, its delimiter, and the places of its id columns."""
    delimiters = DELIMITERS.get(ending, ",;\t")
    for number, line in enumerate(lines):
        if line.strip() and not line.lstrip("\ufeff").startswith("#"):
            return number, *_id_columns(line[:_LONGEST_HEADER], delimiters)
    return 0, delimiters[0], []


def _id_columns(header: str, delimiters: str) -> tuple[str, list[int]]:
    """Return the delimiter of a header and the places of its id columns."""
    for delimiter in delimiters:
        for names in (next(csv.reader([header], delimiter=delimiter), []), header.split(delimiter)):
            places = [n for n, name in enumerate(names) if name.strip("\ufeff\"' \r\n").casefold() in ID_COLUMNS]
            if places:
                return delimiter, places
    return delimiters[0], []


def _split(line: str, delimiter: str, columns: list[int]) -> list[str]:
    """Return the id fields of a line without regard to quotation marks."""
    cells = line.split(delimiter)
    return [cells[place].strip("\ufeff\"' \r\n") for place in columns if place < len(cells)]


def names_subject(text: str, subject: str, ending: str) -> bool:
    """Whether a delivered table or JSON names a child, in an id field or as a quoted string."""
    if ending in (".csv", ".tsv"):
        return _table_names(text, subject, ending)
    keys, bare = "|".join(ID_COLUMNS), subject.lstrip("0") or "0"
    number = f"0{{0,{4 - len(bare)}}}{bare}" if len(subject) == 4 else subject
    return bool(
        re.search(rf'"{re.escape(subject)}(?:"|-\d)', text)
        or re.search(rf'"(?:{keys})"\s*:\s*"?{number}"?\s*[,}}\]]', text)
    )


def _table_names(text: str, subject: str, ending: str) -> bool:
    """Whether an id field of a table is the child's, also in a line that a quotation mark of another row swallows."""
    lines = io.StringIO(text, newline="")
    _, delimiter, columns = _header(lines, ending)
    if not columns:
        return False
    try:
        return any(is_subject(v, subject) for row in rows_of(text, ending) for v in (*row.ids, *row.further_ids))
    except csv.Error:
        return any(is_subject(value, subject) for line in lines for value in _split(line, delimiter, columns))


# --- the same text without the child


def check_table(path: Path, subject: str) -> None:
    """Fail on a file that could not be rewritten without the child, before anything is removed."""
    try:
        text = path.read_bytes().decode("utf-8")
        left = _stripped(text, path, subject)
    except UnicodeDecodeError:
        raise StepError(
            f"{path} names the child and is not text in UTF-8", hint="save it as UTF-8; nothing was removed"
        ) from None
    except csv.Error as error:
        raise StepError(
            f"{path} names the child and cannot be read as CSV ({error})", hint="correct it first; nothing was removed"
        ) from None
    if names_subject(left, subject, path.suffix):
        raise StepError(
            f"{path} names the child where no row or entry can be removed, such as in a row that a quotation mark "
            "continues over several lines",
            hint="take the child out by hand, or delete the file; nothing was removed",
        )


def strip_table(path: Path, subject: str) -> None:
    """Rewrite a table without the rows, entries and keys of one child; the others' rows stay as they are."""
    write_text(path, _stripped(path.read_bytes().decode("utf-8"), path, subject))


def _stripped(text: str, path: Path, subject: str) -> str:
    if path.suffix == ".json":
        hint = "correct it first: it names the child; nothing was removed"
        value = parse_json(text.encode(), str(path), nan=True, hint=hint)
        if not _is_its(value, subject):  # else it is left whole, and `check_table` refuses it
            value = without(value, subject)
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    rows = rows_of(text, path.suffix)
    return "".join(row.text for row in rows if not any(is_subject(value, subject) for value in row.ids))


def without(value: Any, subject: str) -> Any:
    """Copy JSON without the child: without keys that are its number, and entries and values that name it."""
    if isinstance(value, dict):
        return {
            key: without(inside, subject)
            for key, inside in value.items()
            if not (_is_its(key, subject) or _is_its(inside, subject))
        }
    if isinstance(value, list):
        return [without(inside, subject) for inside in value if not _is_its(inside, subject)]
    return value


def _is_its(value: Any, subject: str) -> bool:
    if isinstance(value, dict):
        return any(is_subject(value[name], subject) for name in ID_COLUMNS if name in value) or any(
            isinstance(inside, str) and subject_of(inside) == subject for inside in value.values()
        )
    return isinstance(value, str) and (
        value == subject or value.startswith(f"{subject}-") or subject_of(value) == subject
    )
