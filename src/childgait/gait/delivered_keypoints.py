"""Reads, checks and writes keypoints in the layout of the release: one JSON file per frame, in a folder or a zip.

Files of OpenPose, DeepLabCut, COCO and MMPose are read as well (foreign_keypoints.py).

A frame is `{"instance_info": [{"keypoints": [[x, y], ...], "keypoint_scores": [...]}], "video_info": {...},
"frame_index": n}`. Variants that occur and are read: `video_info` on a few frames only, frames without people, several
people in one frame, a frame rate truncated to an integer (59 for 59.94), points that are null or NaN. All of them are
reported in the facts; only what cannot be interpreted is an error, which names the file.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from childgait.domain.boxes import Box
from childgait.domain.poses import Poses, make_poses
from childgait.domain.skeleton import LAYOUTS, POINTS, Layout
from childgait.errors import StepError
from childgait.files.keypoint_frames import FrameRecord, VideoInfo
from childgait.gait.keypoint_files import LONGEST, open_frames, parse_frame
from childgait.gait.select_walker import People, select_walker

_TRUNCATED_RATES: dict[float, float] = {23: 24000 / 1001, 29: 30000 / 1001, 59: 60000 / 1001, 119: 120000 / 1001}
LARGEST_SHARE = 2.0  # all positions at most that: shares of the picture, not pixels
_SPAN = re.compile(r"_([0-9]{1,9})-([0-9]{1,9})(?:_|\.|$)")
_NUMBER = re.compile(r"([0-9]+)[^0-9]*$")


@dataclass(frozen=True)
class DeliveredFacts:
    """Facts of a delivery about its video, and its oddities."""

    width: int | None
    height: int | None
    fps: float | None  # as delivered; `rate` is corrected
    total_frames: int | None  # as delivered
    frames: int  # from the first to the last frame that has a file
    frames_present: int
    frames_empty: int  # with a file, but without people
    people: int  # largest number in one frame
    oddities: tuple[str, ...]

    @property
    def rate(self) -> float | None:
        """The true frame rate: integers just below an NTSC rate are that rate, truncated."""
        return None if self.fps is None else _TRUNCATED_RATES.get(self.fps, self.fps)


@dataclass
class Delivered:
    """The child's poses, all people's skeletons per frame, and the facts."""

    poses: Poses
    people: People
    facts: DeliveredFacts


@dataclass(frozen=True)
class _Frames:
    people: dict[int, NDArray[np.float32]]  # index from 0: (n, 23, 3)
    facts: DeliveredFacts


def inspect_delivered(path: Path, layout: str) -> DeliveredFacts:
    """Read the facts alone, for a cohort's inventory; needs no frame rate."""
    return _read_frames(path, LAYOUTS[layout]).facts


def read_delivered(
    path: Path, layout: str, seconds: NDArray[np.float64] | None = None, selections: Sequence[tuple[int, Box]] = ()
) -> Delivered:
    """Read delivered keypoints on the video's time stamps; without a video (`seconds` None), at the delivered rate.

    `selections` mark the child manually (gait/select_walker.py).
    """
    frames = _read_frames(path, LAYOUTS[layout])
    count = max(frames.people, default=-1) + 1
    if seconds is None:
        if frames.facts.rate is None:
            raise StepError(
                f"no frame of {path} has a frame rate, and there is no video",
                hint="put video_info with fps into one of its frames, or bring the video",
            )
        seconds = np.arange(max(count, frames.facts.total_frames or 0)) / frames.facts.rate
    elif count > len(seconds):
        raise StepError(
            f"{path} has keypoints for frame {count - 1} (from 0), but its video ends after {len(seconds)} frames",
            hint="keypoints and video do not belong together, or the video was cut; deliver the matching pair",
        )
    nobody = np.zeros((0, len(POINTS), 3), np.float32)
    people = [frames.people.get(index, nobody) for index in range(len(seconds))]
    selected = select_walker(people, selections)
    child = np.full((len(seconds), len(POINTS), 3), np.nan, np.float32)
    for index in np.flatnonzero(selected >= 0):
        child[index] = people[index][selected[index]]
    return Delivered(make_poses(seconds, child[..., :2], child[..., 2]), people, frames.facts)


def _read_frames(path: Path, layout: Layout) -> _Frames:
    with open_frames(path) as files:
        if not files.names:
            raise StepError(
                f"{path} contains no JSON file", hint="it should contain one per frame, as the release does"
            )
        separator = "/" if path.is_dir() else ": "
        layout = files.layout or layout
        frames = [(name, parse_frame(f"{path}{separator}{name}", files.read(name), layout)) for name in files.names]
        of_file = files.oddities
    indices, oddities = _indices(path, [(name, frame.index) for name, frame in frames])
    oddities += of_file
    check_unit(path, [frame.people for _, frame in frames])
    infos = [frame.info for _, frame in frames if frame.info is not None]
    if not infos:
        oddities.append("no frame has video_info")
    elif len(infos) < len(frames):
        oddities.append(f"video_info on {len(infos)} of {len(frames)} frames only")
    stated = {key: _agreed(path, key, infos) for key in ("width", "height", "fps", "total_frames")}
    people = {index: frame.people for index, (_, frame) in zip(indices, frames, strict=True)}
    _check_length(path, max(people) + 1, stated["total_frames"])
    facts = _facts(stated, people, oddities)
    return _Frames(people, facts)


def check_unit(path: Path, people: Sequence[NDArray[np.float32]]) -> None:
    """Fail on positions that are shares of the picture, as OpenPose writes on request."""
    largest = [float(np.nanmax(one[..., :2])) for one in people if np.isfinite(one[..., :2]).any()]
    if largest and max(largest) <= LARGEST_SHARE:
        raise StepError(
            f"{path}: no position is above {max(largest):.3g}, so the positions are no pixels of the video",
            hint="write positions in pixels (OpenPose: --keypoint_scale 0)",
        )


def _check_length(path: Path, frames: int, total: float | None) -> None:
    """Fail on a recording longer than LONGEST frames: the memory follows the declared length."""
    if (most := max(frames, int(total or 0))) > LONGEST:
        raise StepError(
            f"{path} declares {most:,} frames (by frame_index or total_frames), more than {LONGEST:,}",
            hint="correct these numbers, or cut the recording into shorter ones",
        )


def _facts(
    stated: dict[str, float | None], people: dict[int, NDArray[np.float32]], oddities: list[str]
) -> DeliveredFacts:
    empty = sum(len(persons) == 0 for persons in people.values())
    crowded = sum(len(persons) > 1 for persons in people.values())
    unplaced = sum(int((~np.isfinite(persons[..., :2])).any()) for persons in people.values() if len(persons))
    last = max(people) + 1
    total = stated["total_frames"]
    fps = stated["fps"]
    if fps is not None and fps in _TRUNCATED_RATES:
        oddities.append(f"fps {fps:g} is a cut {_TRUNCATED_RATES[fps]:.2f}")
    if empty:
        oddities.append(f"{empty} frames with nobody")
    if crowded:
        oddities.append(f"{crowded} frames with several people")
    if unplaced:
        oddities.append(f"{unplaced} frames with points that have no position")
    if len(people) < last:
        oddities.append(f"{last - len(people)} frames without a file")
    if total is not None and total != last:
        oddities.append(f"{last} frames, but video_info states {int(total)}")
    return DeliveredFacts(
        width=_whole(stated["width"]),
        height=_whole(stated["height"]),
        fps=fps,
        total_frames=_whole(total),
        frames=last,
        frames_present=len(people),
        frames_empty=empty,
        people=max(len(persons) for persons in people.values()),
        oddities=tuple(oddities),
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _indices(path: Path, frames: list[tuple[str, int | None]]) -> tuple[list[int], list[str]]:
    """Return frame indices from 0 and oddities: by `frame_index` if every frame has one, else by the file names."""
    oddities: list[str] = []
    named = _all_numbers([_number_in(name) for name, _ in frames])
    numbers = _all_numbers([index for _, index in frames])
    if numbers is None and named is None:
        raise StepError(
            f"not every frame of {path} has a frame_index or a number in its name",
            hint="number the files like frame_000001.json",
        )
    if numbers is None:
        numbers, named = named, None
    assert numbers is not None
    if len(set(numbers)) < len(numbers):
        twice = Counter(numbers).most_common(1)[0][0]
        raise StepError(f"{path} contains frame {twice} twice", hint="keep one file for each frame")
    offsets = {name - index for name, index in zip(named, numbers, strict=True)} if named else set()
    if len(offsets) > 1:
        oddities.append("frame_index and the file names count differently; frame_index is used")
    offset = offsets.pop() if len(offsets) == 1 else None
    return [index - _first(numbers, offset, _named_span(path)) for index in numbers], oddities


def _number_in(name: str) -> int | None:
    """Return the last number in a file's name; None if it has none that could count frames."""
    match = _NUMBER.search(Path(name).stem)
    return int(match[1]) if match and len(match[1]) <= 9 else None


def _all_numbers(numbers: list[int | None]) -> list[int] | None:
    whole = [number for number in numbers if number is not None]
    return whole if len(whole) == len(numbers) else None


def _named_span(path: Path) -> tuple[int, int] | None:
    """Return first and last frame in the recording's name, `…_left_203-514…`."""
    match = _SPAN.search(path.name)
    return None if match is None else (int(match[1]), int(match[2]))


def _first(numbers: list[int], offset: int | None, named: tuple[int, int] | None) -> int:
    """Return the number of the clip's first frame, even if that frame was not delivered.

    Numbers count from 0, from 1, or from the clip's position in its source; file names may count differently (`offset`
    more). If only the recording's name (`named`) explains the numbers, they count from there. Otherwise numbers that
    start lower than their span count from 1, and higher ones from their lowest.
    """
    lowest, span = min(numbers), max(numbers) - min(numbers)
    if lowest == 0:
        return 0
    if named is not None:
        inside = named[0] <= lowest and max(numbers) <= named[1]
        if inside and (lowest == named[0] or max(numbers) > named[1] - named[0] + 1):
            return named[0]
    if offset is not None and 0 < lowest + offset <= span:
        return 1 - offset
    return 1 if lowest <= span else lowest


def _agreed(path: Path, key: str, infos: Sequence[Mapping[str, object]]) -> float | None:
    """Return the value that all frames with one agree on; fail if one video has two sizes or rates."""
    sizes = [info.get(key) for info in infos]
    values = {value for value in sizes if isinstance(value, int | float) and value > 0}
    if len(values) > 1:
        raise StepError(
            f"{path}: its frames give different values of video_info.{key}: {', '.join(map(str, sorted(values)))}",
            hint="files of two videos were mixed; deliver one video's frames",
        )
    return float(values.pop()) if values else None


# --- writing, for synthetic cohorts and for packing a delivery ------------------------------------------------------


def frame_record(
    index: int, people: list[tuple[NDArray[Any], NDArray[Any]]], video_info: VideoInfo | None
) -> FrameRecord:
    """Return one frame in the release's layout; `people` are (points (n, 2), scores (n,)). Positions to 0.01 pixel."""
    record: FrameRecord = {"frame_index": index, "instance_info": []}
    for xy, score in people:
        seen = xy[np.isfinite(xy).all(axis=1)]
        low, high = (seen.min(axis=0), seen.max(axis=0)) if len(seen) else (np.zeros(2), np.zeros(2))
        points = [[None if not np.isfinite(v) else round(float(v), 2) for v in point] for point in xy]
        record["instance_info"].append(
            {
                "keypoints": points,
                "keypoint_scores": [round(float(s), 4) for s in score],
                "gt_bbox_xywh_px": [round(float(v), 2) for v in (*low, *(high - low))],
            }
        )
    if video_info is not None:
        record["video_info"] = video_info
    return record


def write_frame(folder: Path, number: int, record: FrameRecord) -> None:
    """Write `frame_000001.json`; `number` counts from 1."""
    text = json.dumps(record, separators=(",", ":"), sort_keys=True, allow_nan=False)
    (folder / f"frame_{number:06d}.json").write_text(text, encoding="utf-8")


def pack(folder: Path, target: Path) -> None:
    """Pack a folder of one-frame files into a zip; the same files give the same bytes."""
    with open_frames(folder) as files, zipfile.ZipFile(target, "w") as archive:
        for name in files.names:
            entry = zipfile.ZipInfo(f"{folder.name}/{name}")  # dated 1980, the zip's own zero
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files.read(name), compresslevel=6)
