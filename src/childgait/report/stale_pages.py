"""Remove the pages of children who have left the test and validation parts, so that a folder holds the current ones."""

from __future__ import annotations

from pathlib import Path

ENDINGS = (".html", ".json", ".csv", ".record.json")


def remove_stale_pages(folder: Path, children: list[str]) -> list[str]:
    """Remove the files of every child that is not listed; returns the children whose pages were removed."""
    stale = {}
    for path in sorted(folder.glob("*")):
        child = path.name.split(".", 1)[0]
        if path.name.removeprefix(child) in ENDINGS and child.isdigit() and child not in children:
            stale[path] = child
    for path in stale:
        path.unlink()
    return sorted(set(stale.values()))
