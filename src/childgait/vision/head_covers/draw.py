"""Drawing of the planned covers: a second pass over the raw video, which is covered frame by frame and encoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from childgait.files.video import write_video
from childgait.params import Deidentify
from childgait.vision import mosaic
from childgait.vision.head_covers.plan import CoverPlan
from childgait.vision.head_covers.raw_video import RawVideo


def draw(video: RawVideo, covered: Path, plan: CoverPlan, params: Deidentify) -> None:
    """Write the covered video, with the frame times and colour tags of the raw one."""
    write_video(
        covered,
        covered_frames(video, plan.covers),
        plan.observation.seconds,
        lossless=params.lossless,
        crf=params.crf,
        colour=plan.observation.colour,
    )


def covered_frames(video: RawVideo, covers: list[mosaic.Cover]) -> Iterator[mosaic.Planes]:
    """Yield the frames of the raw video, covered. No uncovered frame leaves this loop."""
    for frame in video.frames():
        mosaic.draw(frame.planes, frame.index, covers)
        yield frame.planes
