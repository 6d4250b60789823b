"""Clips of synthetic children rendered straight from the truth of their motion: exact points in a crop, the skeleton
drawn in grey as the picture, its neighbourhood as the mask. No video, no detector, no refinement; seconds instead of
minutes.

The label is one item of the left limb, the knee in stance, of children in whom it is clear: well inside the typical
band, or far beyond its upper edge. `neutral` children keep their labels and their bodies, but all walk alike: no cue is
left.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from childgait.domain.evgs import TARGETS
from childgait.engine.source_files import ROOT
from childgait.gait.scoring import bands_of
from childgait.params import Drawing, Synthesize, read_params
from childgait.synthetic.camera import into_world, place_camera
from childgait.synthetic.child import Child, LimbPlan
from childgait.synthetic.cohort import child_of
from childgait.synthetic.motion import walk
from childgait.synthetic.rating import stream
from childgait.vision.drawing import draw_skeletons
from support.small_study import Study, part_row, write_parts

SIZE = 48
SECONDS = 2.0
ITEM, VIEW = "KEX", "left"  # the knee in stance, as the side camera sees it
GREY = Drawing(
    line_pixels=2, dot_pixels=2, min_score=0.1, left=(235, 235, 235), right=(150, 150, 150), middle=(190, 190, 190)
)


@cache
def clear_children(each: int, seed: int = 11) -> tuple[tuple[Child, bool], ...]:
    """`each` children whose left knee is clearly typical and as many in whom it clearly is not, by turns."""
    changes = {"seed": seed, "population": "independent"}
    params = Synthesize.model_validate(read_params(ROOT / "params.yaml")["synthesize"] | changes)
    found: dict[bool, list[Child]] = {True: [], False: []}
    bands, index = bands_of(ITEM), 0
    while min(len(children) for children in found.values()) < each:
        child, scores = child_of(index, params)
        index += 1
        value = scores["left"][ITEM]["value"]
        sick = value > bands.zero_high + 10
        if (sick or bands.zero_low + 3 < value < bands.zero_high - 3) and len(found[sick]) < each:
            found[sick].append(child)
    return tuple((found[sick][number], sick) for number in range(each) for sick in (False, True))


def without_cue(child: Child) -> Child:
    """The same body, walking as everybody does: no pattern, no offset, one rhythm."""
    normal = LimbPlan("normal", 0.0)
    return replace(
        child,
        left=normal,
        right=normal,
        speed=0.35,
        stride=1.0,
        phase_lag=0.5,
        tilt=0.0,
        obliquity=0.0,
        rotation=0.0,
        trunk_lean=0.0,
        trunk_lean_swing=0.0,
        arm_swing=20.0,
        bent_arm="",
    )


def write_clip(folder: Path, video: str, child: Child, *, neutral: bool, rate: float, pictures: bool) -> None:
    child = without_cue(child) if neutral else child
    frames_there = round(SECONDS * rate)
    motion = walk(child, np.arange(frames_there) / rate, seed=1)
    offset = np.array([-motion.parts["pelvis"][:, 0].mean(), 0, 0])
    camera = place_camera(VIEW, child.height, 640, 360, stream(3, int(child.subject)))
    pixels, _ = camera.project(into_world(motion.points + offset, "out"))
    side = int(1.15 * np.ptp(pixels[..., 1], axis=1).max())
    corner = np.round((pixels.min(axis=1) + pixels.max(axis=1)) / 2 - side / 2).astype(int)
    points = np.full((frames_there, 23, 3), 0.9, np.float32)
    points[..., :2] = (pixels - corner[:, None] + 0.5) * SIZE / side - 0.5
    np.save(folder / f"{video}.points.npy", points)
    if pictures:
        frames = draw_skeletons(np.full((frames_there, SIZE, SIZE, 3), 30, np.uint8), points, GREY, VIEW)
        masks = np.stack([cv2.dilate((one > 30).any(axis=2).astype(np.uint8), np.ones((3, 3))) > 0 for one in frames])
        np.save(folder / f"{video}.frames.npy", frames)
        np.save(folder / f"{video}.masks.npy", np.packbits(masks, axis=-1))
    events = [
        f"{event['limb']} {event['kind']} {round(float(event['seconds']) * rate)} {event['seconds']:.6f}"
        for event in motion.events
        if round(float(event["seconds"]) * rate) < frames_there
    ]
    facts = {
        "video": video,
        "view": VIEW,
        "frames": frames_there,
        "size": SIZE,
        "rate": rate,
        "start_seconds": 0.0,
        "events": events,
        "crops": [f"{x} {y} {side}" for x, y in corner],
    }
    (folder / f"{video}.clip.json").write_text(json.dumps(facts))


def make_walking_study(
    folder: Path, train: int, test: int, *, neutral: bool, rate: float, pictures: bool = True
) -> Study:
    """`train` and `test` children, half of each atypical, and four who validate."""
    folder.mkdir(parents=True, exist_ok=True)
    who, rows = {}, []
    names = [target.name for target in TARGETS]
    for number, (child, sick) in enumerate(clear_children((train + test + 4) // 2)):
        subject = f"{number + 1:04d}"
        who[subject] = "validation" if number < 4 else "train" if number < 4 + train else "test"
        video = f"{subject}-0001_{VIEW}_1-240"
        write_clip(folder, video, child, neutral=neutral, rate=rate, pictures=pictures)
        scores = {name: 2 * sick if name == f"L.{ITEM}" else None for name in names}
        rows.append(part_row(video, VIEW, child.age_years, child.sex, scores))
    return write_parts(folder, rows, who)
