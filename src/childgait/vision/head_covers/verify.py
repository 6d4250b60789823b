"""Verification of the covered video: one decoding pass over the written file.

It checks every frame, time and cover, hashes the decoded frames, and keeps the few frames of the head strip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from childgait.errors import StepError
from childgait.files.video import Frame, read_frames, update_hash
from childgait.vision.head_covers.plan import CoverPlan
from childgait.vision.mosaic import is_covered

LOSSY_TOLERANCE = 6  # grey levels by which a lossy copy may differ from a texture on average


@dataclass(frozen=True)
class Verification:
    """The hash of the decoded covered video, and the frames that were to be kept."""

    sha256: str
    frames: tuple[Frame, ...] = field(repr=False)


def verify(covered: Path, name: str, plan: CoverPlan, *, lossless: bool, keep: Collection[int] = ()) -> Verification:
    """Decode the covered video: every frame has its time, and every cover is where it must be. Keep frames `keep`."""
    digest, times, frames = hashlib.sha256(), [], []
    for frame in read_frames(covered):
        update_hash(digest, frame)
        times.append(frame.seconds)
        if not is_covered(frame.planes, frame.index, plan.covers, 0 if lossless else LOSSY_TOLERANCE):
            raise StepError(
                f"{name}: frame {frame.index} of the covered video differs from its covers",
                hint="no output was kept; lower deidentify.crf or set deidentify.lossless",
            )
        if frame.index in keep:
            frames.append(frame)
    observation = plan.observation
    if tuple(times) != observation.seconds or (frame.planes.width, frame.planes.height) != observation.size:
        raise StepError(
            f"{name}: the covered video has {len(times)} frames of {frame.planes.width}x{frame.planes.height}, the raw "
            f"one {len(observation.seconds)} of {observation.width}x{observation.height}, or their times differ",
            hint="no output was kept; check the time stamps of the raw video",
        )
    return Verification(digest.hexdigest(), tuple(frames))
