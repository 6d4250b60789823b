"""Marks of parametrised tests of which only some rows are slow."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import pytest


def mark_slow(rows: Iterable[str], slow: Collection[str]) -> list[object]:
    """Return the rows as pytest parameters; those in `slow` have the mark, so that `make quick` leaves them out."""
    rows = list(rows)
    assert set(slow) <= set(rows), f"no such row: {sorted(set(slow) - set(rows))}"
    return [pytest.param(row, marks=pytest.mark.slow) if row in slow else row for row in rows]
