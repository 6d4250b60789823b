"""Check params.yaml: all sections and keys at once, and the files that they name."""

from __future__ import annotations

from pathlib import Path

from childgait.params import SYNTHETIC_ROOT, Cohort, Deidentify, load_params, load_section
from childgait.preflight.params import (
    check_later_stages,
    check_recordings,
    check_remotes,
    check_unseen_policy,
    explain_missing_keypoints,
    unmatched_rows,
)


def check_params(params: Path = Path("params.yaml"), cohort: bool = False) -> None:
    """Check params.yaml and the files that it names; prints manual rows without effect, and what a run will do with
    videos without keypoints.

    --cohort also checks the recordings, as check-cohort does; the demo cohort, which a run makes itself, is skipped.
    """
    section = load_section(params, Cohort)  # checks every other section as well
    check_remotes(Path(section.root))
    check_unseen_policy(Path(section.root), load_section(params, Deidentify))
    sections = load_params(params)
    check_later_stages(sections)
    notes = explain_missing_keypoints(sections)
    if cohort and Path(section.root) != SYNTHETIC_ROOT and (Path(section.root) / "dataset").is_dir():
        check_recordings(section)
    for line in [*notes, *unmatched_rows(Path(section.root), Path(section.annotations))]:
        print(line)
