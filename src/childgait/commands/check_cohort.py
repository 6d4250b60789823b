"""Say within seconds what a cohort folder holds and what is wrong with it, all at once, before any long work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from childgait.params import Cohort

if TYPE_CHECKING:
    from childgait.preflight.cohort import Problem


def check_cohort(folder: Path, params: Cohort) -> int:
    """Check a folder in the release's layout; the keypoint layout, modality and exclusions are those of params.yaml."""
    from childgait.domain.evgs import VIEWS
    from childgait.preflight.cohort import take_inventory

    found = take_inventory(folder, params)
    views = ", ".join(f"{sum(said.view == view for said in found.recordings.values())} {view}" for view in VIEWS)
    print(f"{folder}: {len(found.subjects)} children, {len(found.recordings)} recordings ({views})")
    print(f"  {len(found.videos)} videos, {found.video_frames.total():,} frames, {found.seconds / 60:.1f} minutes")
    print(f"  {len(found.poses)} with keypoints, {found.pose_frames.total():,} frames, read as {params.pose_layout}")
    print(f"  {len(found.labelled)} children with scores, {len(found.listed)} in the list of subjects")
    if params.exclude:
        print(f"  {len(params.exclude)} recordings are excluded in params.yaml")
    errors = sorted({problem for problem in found.problems if problem.level == "error"})
    notes = sorted({problem for problem in found.problems if problem.level == "note"})
    for title, problems in (("to mend before a run", errors), ("handled, and told in the report", notes)):
        if problems:
            print(f"\n{len(problems)} {title}:")
        for (reason, mend), files in grouped(problems).items():
            more = f" and {len(files) - 1} more like it" if len(files) > 1 else ""
            print(f"  {files[0]}{more}: {reason}. {mend[0].upper()}{mend[1:]}.")
    print("\nnothing would stop a run" if not errors else f"\n{len(errors)} problem(s) would stop a run")
    return int(bool(errors))


def grouped(problems: list[Problem]) -> dict[tuple[str, str], list[str]]:
    """Files by fault: the same fault in a thousand files is one line."""
    together: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        together.setdefault((problem.reason, problem.mend), []).append(problem.file)
    return together
