"""The form of `gate/{step}.json`: the outcome of a step's gate, which `gate` writes and the report shows."""

from __future__ import annotations

from pathlib import Path

from typing_extensions import TypedDict

from childgait.files.json_files import read_typed


class GateCheck(TypedDict):
    """The outcome of one expectation of a gate."""

    expects: str
    columns: str
    needs: str
    why: str
    severity: str  # critical or warning
    success: bool
    unexpected: int  # rows that break it
    problem: str
    failing: list[str]


class GateResult(TypedDict):
    """The outcome of a step's gate."""

    step: str
    rows: int
    passed: bool
    critical_failures: int
    warnings: int
    checks: list[GateCheck]


def write_gate_result(path: Path, result: GateResult) -> None:
    """Write the file."""
    from childgait.files.atomic import write_json

    write_json(path, result)


def read_gate_result(path: Path) -> GateResult:
    """Read the file and check its form."""
    return read_typed(path, GateResult, hint="run the step gate again")
