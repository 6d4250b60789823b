"""The form of `estimate_pose/{video}.json`, which `estimate_pose` writes and `refine_pose` reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired

from typing_extensions import TypedDict

from childgait.files.atomic import write_json
from childgait.files.json_files import read_typed


class LegFacts(TypedDict):
    """How BlazePose's legs were given back to their sides."""

    sides_by: str
    frames_mirrored: int
    frames_exchanged: int
    frames_doubtful: int
    frames_disagreed: int  # the masks of both networks differ
    frames_without_pose: int


class EstimateSummary(TypedDict):
    """The flat summary of a video's keypoints; the keys from `sides_by` to `frames_without_pose` are LegFacts'."""

    video: str | None
    backend: str
    sides_settled: bool  # the legs are on their sides already
    sides_by: NotRequired[str]
    frames_mirrored: NotRequired[int]
    frames_exchanged: NotRequired[int]
    frames_doubtful: NotRequired[int]
    frames_disagreed: NotRequired[int]
    frames_without_pose: NotRequired[int]
    unmeasured: NotRequired[list[str]]  # joint curves that the backend does not show; none if left out


def write_estimate_summary(
    path: Path, video: str | None, backend: str, legs: LegFacts | None, unmeasured: Sequence[str] = ()
) -> None:
    """Write the summary; `legs` where the backend settled their sides, `unmeasured` the curves it does not show."""
    summary: EstimateSummary = {"video": video, "backend": backend, "sides_settled": legs is not None}
    if unmeasured:
        summary["unmeasured"] = list(unmeasured)
    write_json(path, summary if legs is None else {**summary, **legs})


def read_estimate_summary(path: Path) -> EstimateSummary:
    """Read the summary and check its form."""
    return read_typed(path, EstimateSummary, hint="run estimate_pose again for this video")
