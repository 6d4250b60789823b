"""The section of the report's page on single children: a row and a link per page, and pictures of a few recordings."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from childgait.report.child.record import ChildRecord, read_record
from childgait.report.formats import data_uri

CAPTIONS = {
    "covered": "Frames of the de-identified videos with the refined skeleton (red: left, blue: right) and the outline "
    "of the child's mask.",
    "received": "The same moments as the network receives them: its input pixels with the drawn skeleton; dark patches "
    "are left out.",
    "evidence": "The same moments with the evidence (Grad-CAM; orange) for the item with the highest predicted "
    "probability; grey patches are left out. Evidence shows what a prediction depends on, not whether it is right.",
}


@dataclass(frozen=True)
class ChildRow:
    """A child with a page: what its page states, in one row."""

    record: ChildRecord
    address: str  # of its page, relative to the report's page

    @property
    def used(self) -> int:
        return sum(recording.used for recording in self.record.recordings)


@dataclass(frozen=True)
class ChildrenSection:
    """Both lists are empty where the study has no such files."""

    rows: list[ChildRow]
    pictures: list[tuple[str, str]]  # caption and data URI


def children_section(records: list[Path], pictures: list[Path], page: Path) -> ChildrenSection:
    """Collect the children's pages (by their JSON) and the pictures; `page` is the report's page."""
    rows = [
        ChildRow(read_record(path), Path(os.path.relpath(path.with_suffix(".html"), page.parent)).as_posix())
        for path in sorted(records)
    ]
    rows.sort(key=lambda row: (row.record.part != "test", row.record.child))
    by_name = {path.stem: path for path in pictures}
    return ChildrenSection(
        rows, [(caption, data_uri(by_name[name])) for name, caption in CAPTIONS.items() if name in by_name]
    )
