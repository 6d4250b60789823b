"""Further sources of head tracks: the delivered keypoints and the manual regions of a video."""

from __future__ import annotations

from pathlib import Path

from childgait.errors import StepError
from childgait.files.regions import read_regions
from childgait.files.selections import read_selections
from childgait.gait.delivered_keypoints import Delivered, DeliveredFacts, read_delivered
from childgait.params import Deidentify
from childgait.vision.head_covers.look import Observation, with_embedded, with_keypoints, with_regions
from childgait.vision.head_covers.raw_video import RawVideo


def read_keypoints(
    poses: Path | None, layout: str, observation: Observation, name: str, selections: Path | None
) -> Delivered | None:
    """Read the delivered keypoints on the frame times of the video; `selections` may state which person is the child.

    The selections are checked even where no keypoints were delivered.
    """
    size = (observation.height, observation.width)
    rows = [] if selections is None else read_selections(selections, name, len(observation.seconds), size)
    if poses is None:
        return None
    delivered = read_delivered(poses, layout, observation.times, [(row.frame, row.box) for row in rows])
    check_same_size(delivered.facts, observation, name)
    return delivered


def check_same_size(facts: DeliveredFacts, observation: Observation, name: str) -> None:
    """Refuse keypoints of a scaled or rotated copy: every head cover would be misplaced."""
    size = (facts.width, facts.height)
    if None not in size and size != observation.size:
        raise StepError(
            f"{name}: its keypoints are of {size[0]}x{size[1]} pixels, but the video is "
            f"{observation.width}x{observation.height}",
            hint="deliver keypoints of this very file, upright and at its size, or leave them out",
        )


def add_tracks(
    observation: Observation,
    delivered: Delivered | None,
    regions: Path | None,
    name: str,
    video: RawVideo,
    params: Deidentify,
) -> Observation:
    """Add the heads from keypoints, the embedded model and the manual regions."""
    if delivered is not None:
        observation = with_keypoints(observation, delivered.people, params, delivered.poses)
    observation = with_embedded(observation, video, params)
    return with_regions(observation, read_regions(regions, name, len(observation.seconds)), video, params)
