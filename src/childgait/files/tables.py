"""Reads and writes parquet tables through polars, each with a schema of columns, types, key and meaning.

A step writes with `write_table(path, frame, TABLE)` and reads with `read_table(path, TABLE)`; both check the schema, so
a wrong column is reported where it is made and not three steps later.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.errors import StepError

if TYPE_CHECKING:
    import polars as pl


AGAIN = "run the step that makes it again"


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    type: str  # the name of a polars type: String, Int64, Float64, Boolean ...
    meaning: str


@dataclass(frozen=True)
class Table:
    """The schema of a table; rows are unique in `key`."""

    name: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    optional: tuple[Column, ...] = ()  # columns that a frame may lack

    def schema(self) -> dict[str, pl.DataType]:
        import polars as pl

        return {column.name: getattr(pl, column.type)() for column in self.columns}

    def optional_schema(self) -> dict[str, pl.DataType]:
        import polars as pl

        return {column.name: getattr(pl, column.type)() for column in self.optional}


def write_table(path: Path, frame: pl.DataFrame, table: Table) -> None:
    """Write a frame in the table's column order; fail on wrong types or doubled keys. Same rows give the same bytes."""
    _check(frame, table, str(path))
    extra = [column.name for column in table.optional if column.name in frame.columns]
    selected = [*(column.name for column in table.columns), *extra]
    frame.select(selected).write_parquet(path, compression="zstd", statistics=False)


def read_table(path: Path, table: Table) -> pl.DataFrame:
    """Read a table; fail unless columns, types and keys are those of the schema."""
    import polars as pl

    try:
        frame = pl.read_parquet(path)
    except (pl.exceptions.ComputeError, OSError) as error:
        raise StepError(f"{path} cannot be read as the table {table.name!r} ({error})", hint=AGAIN) from None
    _check(frame, table, str(path))
    return frame


def empty(table: Table) -> pl.DataFrame:
    """Return a frame of the table without rows."""
    import polars as pl

    return pl.DataFrame(schema=table.schema())


def _check(frame: pl.DataFrame, table: Table, where: str) -> None:
    schema = table.schema()
    missing = [name for name in schema if name not in frame.columns]
    schema |= {name: kind for name, kind in table.optional_schema().items() if name in frame.columns}
    if missing:
        raise StepError(f"{where}: table {table.name!r} lacks the column(s) {', '.join(missing)}", hint=AGAIN)
    wrong = [
        f"{name} is {frame.schema[name]}, not {kind}" for name, kind in schema.items() if frame.schema[name] != kind
    ]
    if wrong:
        raise StepError(f"{where}: table {table.name!r}: {'; '.join(wrong)}", hint=AGAIN)
    if table.key and frame.height:
        doubled = frame.filter(frame.select(list(table.key)).is_duplicated())
        if doubled.height:
            raise StepError(
                f"{where}: table {table.name!r} has {doubled.height} rows that share a key {table.key}, "
                f"first {doubled.row(0, named=True)}",
                hint="remove the duplicates at their source",
            )
