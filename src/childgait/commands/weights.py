"""List the weights that backends and presets use, their origin and licence, and check the files that are there.

The exit status is 1 if a file that params.yaml names, or one of the package, is missing or is another one.
"""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from childgait.preflight.weights import Check

COLUMNS = {"weights": 16, "used by": 22, "presets": 10, "origin": 30, "licence": 16, "key, file": 29, "check": 24}


def weights(params: Path = Path("params.yaml")) -> int:
    """Print one row per file of weights, or per key of params.yaml that could name one."""
    from childgait.params import load_params
    from childgait.preflight.weights import check_weights

    checks = check_weights(load_params(params))
    print(format_table(checks))
    failed = sum(one.state == "FAIL" for one in checks)
    print(f"{failed} problem(s)" if failed else "every file of weights that params.yaml names is there")
    return int(failed > 0)


def format_table(checks: list[Check]) -> str:
    """Return the table; facts about weights are printed once, above their files."""
    rows = [[*COLUMNS]]
    last = None
    for one in checks:
        own = one.weights
        facts = [own.name, own.used_by, own.presets, own.origin, own.licence] if own is not last else [""] * 5
        rows.append([*facts, f"{one.key} {one.path}".strip(), f"{one.state}: {one.result}"])
        last = own
    lines = [_format_row(rows[0]), "-" * (sum(COLUMNS.values()) + 2 * (len(COLUMNS) - 1))]
    return "\n".join([*lines, *map(_format_row, rows[1:])])


def _format_row(cells: list[str]) -> str:
    """Return one row, its cells wrapped to the widths of the columns."""
    wrapped = [textwrap.wrap(cell, width) or [""] for cell, width in zip(cells, COLUMNS.values(), strict=True)]
    height = max(map(len, wrapped))
    columns = [
        [line.ljust(width) for line in cell + [""] * (height - len(cell))]
        for cell, width in zip(wrapped, COLUMNS.values(), strict=True)
    ]
    return "\n".join("  ".join(line).rstrip() for line in zip(*columns, strict=True))
