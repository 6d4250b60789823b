"""Checks a manual table with the readers of the steps, for one recording."""

from __future__ import annotations

from pathlib import Path

from childgait.files.corrections import read_corrections, read_side_corrections
from childgait.files.regions import cleared_by, read_cover_changes, read_regions
from childgait.files.selections import read_selections
from childgait.review.decisions import Check
from childgait.review.study import Evidence


def check_for(table: str, video: str, evidence: Evidence) -> Check:
    """Return the function that reads a table as the step does which takes it."""
    frames, size = evidence["frames"], (evidence["height"], evidence["width"])

    def check(path: Path) -> object:
        match table:
            case "regions":
                return read_regions(path, video, frames), read_cover_changes(path, video, frames)
            case "cleared":
                return cleared_by(path, video, evidence["decoded_sha256"])
            case "selections":
                return read_selections(path, video, frames, size)
            case "corrections":
                return read_corrections(path, video, frames), read_side_corrections(path, video, frames)
        raise AssertionError(table)

    return check
