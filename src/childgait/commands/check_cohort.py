"""List within seconds what a cohort folder holds and all its problems, before any long work."""

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

    inventory = take_inventory(folder, params)
    views = ", ".join(f"{sum(name.view == view for name in inventory.recordings.values())} {view}" for view in VIEWS)
    recordings, poses = inventory.recordings, inventory.poses
    print(f"{folder}: {len(inventory.subjects)} children, {len(recordings)} recordings ({views})")
    minutes, frames = inventory.seconds / 60, inventory.video_frames.total()
    print(f"  {len(inventory.videos)} videos, {frames:,} frames, {minutes:.1f} minutes")
    print(f"  {len(poses)} with keypoints, {inventory.pose_frames.total():,} frames, read as {params.pose_layout}")
    print(f"  {len(inventory.labelled)} children with scores, {len(inventory.listed)} in the list of subjects")
    if params.exclude:
        print(f"  {len(params.exclude)} recordings are excluded in params.yaml")
    errors = sorted({problem for problem in inventory.problems if problem.level == "error"})
    notes = sorted({problem for problem in inventory.problems if problem.level == "note"})
    for title, problems in (("to correct before a run", errors), ("handled, and noted in the report", notes)):
        if problems:
            print(f"\n{len(problems)} {title}:")
        for (reason, fix), files in grouped(problems).items():
            more = f" and {len(files) - 1} more like it" if len(files) > 1 else ""
            print(f"  {files[0]}{more}: {reason}. {fix[0].upper()}{fix[1:]}.")
    print("\nnothing would stop a run" if not errors else f"\n{len(errors)} problem(s) would stop a run")
    return int(bool(errors))


def grouped(problems: list[Problem]) -> dict[tuple[str, str], list[str]]:
    """Group the files by fault and correction: the same fault in a thousand files is printed once."""
    together: dict[tuple[str, str], list[str]] = {}
    for problem in problems:
        together.setdefault((problem.reason, problem.fix), []).append(problem.file)
    return together
