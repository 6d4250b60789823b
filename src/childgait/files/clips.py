"""Reads and writes prepared clips: child-centred frames at one rate, read window by window without decoding a video.

    {video}.frames.npy   uint8 (T, S, S, 3) RGB; absent in a study of keypoints alone
    {video}.masks.npy    uint8 (T, S, S / 8): one bit per pixel, set where the child is; absent likewise
    {video}.points.npy   float32 (T, 23, 3): x, y in pixels of the crop, score; NaN and score 0 where missing
    {video}.clip.json    its description, flat

A Clip returns numpy arrays of the requested frames. Arrays are memory-mapped at each access, so a Clip is small and can
be sent to worker processes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from childgait.domain.names import parse_video_name
from childgait.domain.poses import Poses, make_poses
from childgait.errors import StepError

ENDING = ".clip.json"


@dataclass(frozen=True)
class ClipEvent:
    """Initial contact or foot-off of one foot, at a frame of the clip."""

    limb: str
    kind: str  # contact or foot_off
    frame: int
    seconds: float  # from the video's first frame

    def __str__(self) -> str:
        return f"{self.limb} {self.kind} {self.frame} {self.seconds:.6f}"


def parse_event(text: str) -> ClipEvent:
    """Parse the form that `str(event)` has in `.clip.json`."""
    limb, kind, frame, seconds = text.split(" ")
    return ClipEvent(limb, kind, int(frame), float(seconds))


class ClipFacts(TypedDict):
    """The part of a `.clip.json` that is read back; prepare_clips writes more facts beside it."""

    video: str
    view: str
    frames: int
    size: int  # pixels per side
    rate: float  # frames per second
    events: list[str]
    start_seconds: NotRequired[float]
    crops: NotRequired[list[str]]
    covered_frames: NotRequired[list[str]]
    unmeasured: NotRequired[list[str]]


@dataclass(frozen=True)
class Clip:
    """One video's clip on disk."""

    facts_path: Path
    video: str
    view: str
    length: int  # frames
    size: int  # pixels per side
    rate: float  # frames per second
    events: tuple[ClipEvent, ...] = field(repr=False)
    start_seconds: float = 0.0  # of its first frame, in the video
    crops: tuple[str, ...] = field(default=(), repr=False)  # per frame: left, top and side of its square in the video
    covered: tuple[str, ...] = field(default=(), repr=False)  # stretches of frames in which covers hide the child
    unmeasured: tuple[str, ...] = ()  # joint curves that the pose estimator does not show

    @property
    def subject(self) -> str:
        """The child's pseudonym."""
        return parse_video_name(self.video).subject

    def usable(self) -> NDArray[np.bool_]:
        """Return (length,) which frames show the child; all of them if covers hide it in every frame."""
        usable = np.ones(self.length, bool)
        for stretch in self.covered:
            first, _, last = stretch.partition("-")
            usable[int(first) : int(last or first) + 1] = False
        return usable if usable.any() else ~usable

    def path(self, part: str) -> Path:
        """Return the path of the array `frames`, `masks` or `points`."""
        return self.facts_path.with_name(f"{self.video}.{part}.npy")

    def _rows(self, part: str, index: NDArray[np.int64]) -> NDArray[Any]:
        path = self.path(part)
        try:
            rows = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise StepError(
                f"{path} cannot be read ({' '.join(str(error).split())})", hint="run prepare_clips again for this video"
            ) from None
        if len(rows) != self.length:
            raise StepError(
                f"{path} contains {len(rows)} frames, but {self.facts_path.name} has {self.length}",
                hint="run prepare_clips again for this video",
            )
        return np.asarray(rows[index])  # a copy: the map is closed with this call

    def frames(self, index: NDArray[np.int64]) -> NDArray[np.uint8]:
        return self._rows("frames", index)

    def masks(self, index: NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.unpackbits(self._rows("masks", index), axis=2, count=self.size).view(np.bool_)

    def points(self, index: NDArray[np.int64]) -> NDArray[np.float32]:
        return self._rows("points", index)

    def poses(self) -> Poses:
        """Return the keypoints in pixels and seconds of the video, where floor and camera do not move."""
        if len(self.crops) != self.length:
            raise StepError(
                f"{self.facts_path} has the crops of {len(self.crops)} of {self.length} frames",
                hint="run prepare_clips again for this video",
            )
        cut = np.array([[int(word) for word in crop.split(" ")] for crop in self.crops], dtype=np.float64)
        points = self.points(np.arange(self.length)).astype(np.float64)
        corner, side = cut[:, None, :2], cut[:, None, 2:]
        xy = (points[..., :2] + 0.5) * (side / self.size) - 0.5 + corner
        seconds = self.start_seconds + np.arange(self.length) / self.rate
        return make_poses(seconds, xy.astype(np.float32), points[..., 2].astype(np.float32))


def open_clip(facts_path: Path) -> Clip:
    """Open the clip that a `.clip.json` describes; its arrays are beside it."""
    facts: ClipFacts = json.loads(facts_path.read_text(encoding="utf-8"))
    events = tuple(parse_event(text) for text in facts["events"])
    return Clip(
        facts_path,
        facts["video"],
        facts["view"],
        facts["frames"],
        facts["size"],
        facts["rate"],
        events,
        facts.get("start_seconds", 0.0),
        tuple(facts.get("crops", ())),
        tuple(facts.get("covered_frames", ())),
        tuple(facts.get("unmeasured", ())),
    )


def create_array(path: Path, shape: tuple[int, ...], kind: type) -> np.memmap:
    """Create a .npy file to be filled row by row, without holding a long video in memory."""
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=shape)


def pack_bits(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Pack the columns of a mask eight per byte."""
    return np.packbits(mask, axis=-1)


def clips_by_video(paths: list[Path]) -> dict[str, Clip]:
    """Open clips, by the name of their video."""
    return {clip.video: clip for clip in map(open_clip, paths)}
