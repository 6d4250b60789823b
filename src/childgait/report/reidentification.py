"""Writes the page, the table and the figure of a re-identification audit."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.report.formats import number

if TYPE_CHECKING:
    from childgait.metrics.cells import Cell
    from childgait.metrics.reidentification import Audit, AuditRow

COLUMNS = ("rank_1", "rank_5", "eer", "items")
HEAD = ("input", "strength", "children")


def write_page(audit: Audit) -> str:
    """Return the audit as a page of Markdown."""
    halves = "; ".join(f"{count} by {kind}" for kind, count in audit.children.items())
    lines = [
        "# Re-identification audit",
        "",
        f"A linear head per plane has one half of each child's recordings as its classes and identifies the other half "
        f"({halves}). Rank-k: share of children whose own first half is among the k best. Equal error rate (EER): 0 "
        "separates all pairs of children, .5 none. Items: mean balanced accuracy of a classifier of the same kind on "
        "the same features, split by child. 95 % intervals over children. Other heads and other features may identify "
        "more children: these numbers are lower bounds of what an attacker can do.",
        "",
        "| input | children | rank-1 | chance | rank-5 | chance | EER | chance | items |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|",
        *(_line(row) for row in audit.rows if row.strength == 0),
        "",
        f"Drawn clips and frames are features of the frozen encoder {audit.encoder} (weights: {audit.weights}). Halves "
        "of one session show the same clothes and the same light.",
        "",
        *_by_halves(audit),
        "## Protector",
        "",
        "Limb lengths are moved to those of a mean child (keypoints), and the child's region to its mean grey level "
        "(frames), in both halves. Strength 0: unchanged; 1: all children alike.",
        "",
        "| input | strength | rank-1 | EER | items |",
        "|---|--:|--:|--:|--:|",
        *(
            f"| {row.input} | {row.strength:g} | {_cell(row.identification.rank_1)} | {_cell(row.identification.eer)} "
            f"| {_cell(row.items)} |"
            for row in protected_rows(audit)
        ),
        "",
    ]
    return "\n".join(lines)


def protected_rows(audit: Audit) -> list[AuditRow]:
    """Return the rows of the inputs that the protector changes, by input and strength."""
    changed = {row.input for row in audit.rows if row.strength > 0}
    return sorted((row for row in audit.rows if row.input in changed), key=lambda row: (row.input, row.strength))


def write_curve(path: Path, audit: Audit) -> None:
    """Write identification and items by input and strength of the protector."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*HEAD, *(f"{name}{end}" for name in COLUMNS for end in ("", "_low", "_high"))])
        for row in protected_rows(audit):
            of_row = row.identification
            cells = (of_row.rank_1, of_row.rank_5, of_row.eer, row.items)
            bounds = [value for cell in cells for value in (cell.value, cell.low, cell.high)]
            writer.writerow([row.input, row.strength, of_row.children, *bounds])


def draw_curve(path: Path, audit: Audit) -> None:
    """Draw rank-1 and the items' accuracy by strength of the protector, a panel per input."""
    import matplotlib.pyplot as plt

    from childgait.report.figures import BLUE, GREY, ORANGE, STYLE, save

    rows = protected_rows(audit)
    names = sorted({row.input for row in rows})
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(1, max(len(names), 1), figsize=(3.6 * max(len(names), 1), 2.8), squeeze=False)
        for axis, name in zip(axes[0], names, strict=False):
            own = [row for row in rows if row.input == name]
            strengths = [row.strength for row in own]
            curves = (
                ("rank-1", BLUE, "o", [row.identification.rank_1 for row in own]),
                ("items, balanced accuracy", ORANGE, "s", [row.items for row in own]),
            )
            for label, colour, marker, cells in curves:
                axis.plot(
                    strengths, [_plotted(cell.value) for cell in cells], marker, ls="-", color=colour, label=label
                )
                low, high = ([_plotted(getattr(cell, end)) for cell in cells] for end in ("low", "high"))
                axis.fill_between(strengths, low, high, color=colour, alpha=0.15, lw=0)
            axis.axhline(own[0].identification.chance_1, color=GREY, ls=":", label="rank-1 by chance")
            axis.set(title=name, xlabel="strength of the protector", ylim=(0, 1.02))
            axis.legend(fontsize=7)
        save(figure, path)


def _plotted(value: float | None) -> float:
    return float("nan") if value is None else value


def _line(row: AuditRow) -> str:
    own = row.identification
    return (
        f"| {row.input} | {own.children} | {_cell(own.rank_1)} | {number(own.chance_1, 3)} | {_cell(own.rank_5)} "
        f"| {number(own.chance_5, 3)} | {_cell(own.eer)} | {number(0.5, 3)} | {_cell(row.items)} |"
    )


def _by_halves(audit: Audit) -> list[str]:
    """Return rank-1 by what the halves are, where both kinds occur."""
    if len(audit.children) < 2:
        return []
    kinds = list(audit.children)
    rows = [row for row in audit.rows if row.strength == 0]
    return [
        "Rank-1 by what the halves are:",
        "",
        "| input | " + " | ".join(kinds) + " |",
        "|---" + "|--:" * len(kinds) + "|",
        *(
            f"| {row.input} | "
            + " | ".join(_cell(row.identification.rank_1_by_halves.get(kind)) for kind in kinds)
            + " |"
            for row in rows
        ),
        "",
    ]


def _cell(cell: Cell | None) -> str:
    if cell is None or cell.value is None:
        return "–"
    bounds = "" if cell.low is None else f" ({number(cell.low, 2)} to {number(cell.high, 2)})"
    return f"{number(cell.value, 2)}{bounds}"
