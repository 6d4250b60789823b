"""The vault: children whom the split seals, and the register of its openings.

Nothing reads the table of the vault but `read_vault`, which takes an Opening, and an Opening is made from a git tag
that was checked (engine/git_tags.py). annotations/vault.csv has one row per run and opening, written before the
children are predicted, and completed with the result: an opening without a result remains visible.

    tag,commit,split_hash,model,fold,seed,children,balanced_accuracy,low,high
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.errors import StepError
from childgait.files.split import PARTS, VAULT
from childgait.files.tables import read_table
from childgait.user_files import parse_number, read_rows, shorten

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Opening:
    """A tag that opens the vault, and the commit that it names."""

    tag: str
    commit: str


@dataclass(frozen=True)
class VaultRow:
    """One run's evaluation on the vault; the mean over targets with its interval, None before there is a result."""

    tag: str
    commit: str
    split_hash: str
    model: str
    fold: str
    seed: int
    children: int
    balanced_accuracy: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def run(self) -> tuple[str, str, str, str, str, int]:
        return self.tag, self.commit, self.split_hash, self.model, self.fold, self.seed


COLUMNS = tuple(field.name for field in fields(VaultRow))


def read_vault(path: Path, opening: Opening) -> pl.DataFrame:
    """Read the rows of the sealed children; `opening` is the checked tag."""
    assert opening.tag, "an opening has a tag"
    table = read_table(path, PARTS)
    if table.is_empty():
        raise StepError(f"{path} has no child", hint="set split_subjects.vault above 0 before the study is run")
    if not all(split.startswith(VAULT) for split in table["split_hash"].unique()):
        raise StepError(f"{path} is not the vault", hint="give data/split_subjects/vault.parquet")
    return table


def read_openings(path: Path) -> list[VaultRow]:
    """Read annotations/vault.csv, in the order of the openings."""
    return [_row(f"{path}, line {line}", row) for line, row in read_rows(path, COLUMNS)]


def _row(where: str, row: dict[str, str]) -> VaultRow:
    seed, children = (_whole_number(where, name, row[name]) for name in ("seed", "children"))
    value, low, high = (_share(where, name, row[name]) for name in ("balanced_accuracy", "low", "high"))
    tag, commit, split_hash, model, fold = (row[name] for name in ("tag", "commit", "split_hash", "model", "fold"))
    return VaultRow(tag, commit, split_hash, model, fold, seed, children, value, low, high)


def _whole_number(where: str, name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise StepError(f"{where}: {name} is {shorten(text)}, not a whole number", hint="restore the file from git")
    return int(text)


def _share(where: str, name: str, text: str) -> float | None:
    value = parse_number(text) if text else None
    if value is not None and not 0 <= value <= 1:
        raise StepError(f"{where}: {name} is {shorten(text)}, not from 0 to 1", hint="restore the file from git")
    return value


def record_opening(path: Path, row: VaultRow) -> None:
    """Add a row to annotations/vault.csv, or complete the one of the same run and opening; no row is ever removed."""
    from childgait.files.atomic import write_text

    with _locked(path.parent):  # several runs are evaluated at the same time
        rows = read_openings(path) if path.exists() else []
        others = [one for one in rows if one.run != row.run]
        place = next((number for number, one in enumerate(rows) if one.run == row.run), len(others))
        write_text(path, _as_text([*others[:place], row, *others[place:]]))


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def with_result(row: VaultRow, value: float | None, low: float | None, high: float | None) -> VaultRow:
    """Return the row with the result of the evaluation."""
    return replace(row, balanced_accuracy=value, low=low, high=high)


def _as_text(rows: list[VaultRow]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([{name: "" if value is None else value for name, value in asdict(row).items()} for row in rows])
    return stream.getvalue()
