"""Pictures for the report's first page: covered frames, what the first network receives of them, where it looks.

One strip per recording, of the same moments in all three. Only de-identified videos and clips made of them are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import polars as pl
from numpy.typing import NDArray

from childgait.domain.evgs import TARGETS, VIEWS, default_views
from childgait.domain.names import parse_video_name
from childgait.files.clips import clips_by_video
from childgait.files.masks import Masks
from childgait.files.model_description import ModelDescription
from childgait.files.parts import Part
from childgait.files.poses import read_poses
from childgait.files.split import PARTS
from childgait.models.registry import find_model
from childgait.params import Drawing
from childgait.report.child.film import draw_still, read_pixels
from childgait.training.examined_window import ExaminedWindow, examine_windows
from childgait.training.gradcam import SHEET_FRAMES, draw_on_frames
from childgait.training.predict import settings_from
from childgait.vision.drawing import Side

Pixels = NDArray[np.uint8]
SIDE = 160  # pixels of one frame on a strip
OUTLINE = (255, 221, 51)  # of the mask
QUALITY = 85  # of JPEG


@dataclass(frozen=True)
class ExampleFiles:
    """The files of one recording."""

    clip: Path
    video: Path
    masks: Path
    poses: Path


@dataclass(frozen=True)
class Sheets:
    """The three pictures, one strip per recording below each other."""

    covered: Pixels
    received: Pixels
    evidence: Pixels


def draw_sheets(files: list[ExampleFiles], description: ModelDescription, weights: Path) -> Sheets:
    """Draw the pictures of some recordings, for the network of `description`."""
    from safetensors.numpy import load_file

    settings = settings_from(description)
    part = _part([one.clip for one in files])
    windows = examine_windows(
        find_model(description.model), settings, load_file(weights), description.facts, part, visible_items(part)
    )
    strips = [
        draw_covered(window, one, part.clips[row].start_seconds, part.clips[row].rate, settings.drawing)
        for row, (window, one) in enumerate(zip(windows, files, strict=True))
    ]
    return Sheets(
        covered=np.concatenate(strips),
        received=np.concatenate([_enlarge(_strip(window.received), SIDE) for window in windows]),
        evidence=np.concatenate([_enlarge(draw_on_frames(w.frames, w.evidence), SIDE) for w in windows]),
    )


def _part(clips: list[Path]) -> Part:
    opened = list(clips_by_video(clips).values())
    rows = [{"video": clip.video, "subject": clip.subject, "view": clip.view} for clip in opened]
    return Part(pl.DataFrame(rows, schema=PARTS.schema()), opened)


def visible_items(part: Part) -> NDArray[np.bool_]:
    """Return (rows, 34) which items the view of each recording shows."""
    views = default_views()
    by_view = {view: np.array([view in views[target.code] for target in TARGETS]) for view in VIEWS}
    return np.stack([by_view[view] for view in part.table["view"]])


def chosen_moments(frames: int) -> NDArray[np.int64]:
    """Return which frames of a window are shown, as on the sheets of the evidence."""
    return np.unique(np.linspace(0, frames - 1, SHEET_FRAMES).round().astype(int))


def draw_covered(window: ExaminedWindow, files: ExampleFiles, start: float, rate: float, style: Drawing) -> Pixels:
    """Draw a strip of the de-identified video: the child, with the outline of its mask and its skeleton."""
    poses, masks = read_poses(files.poses), Masks(files.masks)
    times = start + window.index[chosen_moments(len(window.index))] / rate
    numbers = [int(np.abs(poses.seconds - time).argmin()) for time in times]
    pixels = read_pixels(files.video, set(numbers))
    near: Side = "left" if parse_video_name(window.video).view == "left" else "right"
    stills = []
    for number in numbers:
        picture = pixels[number].copy()
        contours, _ = cv2.findContours(masks[number].astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(picture, contours, -1, OUTLINE, 1, cv2.LINE_AA)
        stills.append(draw_still(picture, poses, number, style, near, SIDE))
    return np.concatenate(stills, axis=1)


def _strip(frames: Pixels) -> Pixels:
    return np.concatenate(list(frames[chosen_moments(len(frames))]), axis=1)


def _enlarge(strip: Pixels, side: int) -> Pixels:
    """Scale a strip of square frames to `side` pixels per frame, without smoothing: each pixel is one of the input."""
    height, width = strip.shape[:2]
    size = (width // height * side, side)
    return np.asarray(cv2.resize(strip, size, interpolation=cv2.INTER_NEAREST), dtype=np.uint8)


def write_jpeg(path: Path, pixels: Pixels) -> None:
    """Write RGB pixels."""
    done, data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    assert done
    path.write_bytes(data.tobytes())
