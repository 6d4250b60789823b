"""Find the view of a video whose name does not state it: by the child's path, size and toes in its keypoints.

Delivered keypoints are read as they are. Without them the steps up to `estimate_pose` run once in a folder of their
own, because every file of a recording is named by its view; a second call finds their records current.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from childgait.domain.evgs import VIEWS, View
from childgait.domain.poses import Poses
from childgait.engine.video_chain import Job, prepare, write_params
from childgait.errors import StepError
from childgait.files.poses import read_poses
from childgait.gait.delivered_keypoints import read_delivered
from childgait.gait.events.travel import find_view
from childgait.report.child.covering import covering_params

FOLDER = "find_view"  # below the output folder
STATE_IT = f"state the view by --view: one of {', '.join(VIEWS)} per video, in the order of the paths"


@dataclass(frozen=True)
class ViewFinder:
    """Finds views with the bundle's settings; `names` collects the recordings that are named by them."""

    folder: Path  # of the output
    params: dict[str, Any]  # of the bundle's study
    names: set[str] = field(default_factory=set)

    def find(self, name: str, video: Path, poses: Path | None) -> View:
        """Return the view of a video, and print it; fail in one sentence if it is doubtful. `name` is provisional."""
        view = find_view(self._keypoints(name, video, poses))
        if view is None:
            raise StepError(
                f"the view of {video.name} is doubtful: path, size and toes of the child do not agree on one",
                hint=STATE_IT,
            )
        print(f"{video.name}: the view is {view}, by the child's path, size and toes", file=sys.stderr, flush=True)
        return view

    def _keypoints(self, name: str, video: Path, poses: Path | None) -> Poses:
        layout = self.params["cohort"]["pose_layout"]
        if poses is not None:
            return read_delivered(poses, layout).poses
        folder = self.folder.resolve() / FOLDER
        params = write_params(folder, covering_params(self.params, [video]))
        job = Job(name, video.resolve(), None, layout, folder, params)
        done = prepare(job, last="estimate_pose")
        if done.problem:
            raise StepError(f"the view of {video.name} cannot be found: {done.problem}", hint=STATE_IT)
        return read_poses(folder / f"data/estimate_pose/{name}.poses.parquet")
