"""Opens delivered keypoints (a folder or zip of a file per frame, or one file) and parses single frames, within bounds.

What a file declares (unpacked size, frame numbers, rates, sizes, people) is accepted up to the limits below: a small
file must not fill the memory.
"""

from __future__ import annotations

import contextlib
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from childgait.domain.skeleton import LAYOUTS, POINTS, Layout, to_points
from childgait.errors import StepError
from childgait.gait.foreign_keypoints import FRAME_FORM, is_openpose, people_of_openpose, read_file
from childgait.user_files import parse_json, read_bytes, shorten

LONGEST = 100_000  # frames of a recording: 28 minutes at 60 Hz
LARGEST_FRAME = 4 << 20  # bytes of one frame's file; 308 points of one person are about 20 kB
LARGEST_DELIVERY = 512 << 20  # bytes of a zip, unpacked
MOST_PEOPLE = 50  # in one frame
LAST_INDEX = 100_000_000  # of frame_index, which may count from the beginning of a longer source
LIMITS: dict[str, tuple[float, float]] = {  # of the numbers in video_info
    "fps": (1.0, 1000.0),
    "width": (16.0, 16384.0),
    "height": (16.0, 16384.0),
    "total_frames": (1.0, float(LAST_INDEX)),
}
LARGEST_POSITION = 1e6  # pixels
ONE_FILE = (".csv", ".json")  # endings of keypoints of other programs, one file per video
_CACHE_OBJECT = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")


@dataclass(frozen=True)
class FrameFiles:
    """The files of a recording's frames, in the order of their names."""

    names: list[str]
    read: Callable[[str], bytes]
    layout: Layout | None = None  # of these files; None: that of cohort.pose_layout
    oddities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Frame:
    """One parsed frame: its number and video_info as delivered, and its people (n, 23, 3) as our points."""

    index: int | None
    info: Mapping[str, object] | None
    people: NDArray[np.float32]


@contextlib.contextmanager
def open_frames(path: Path) -> Iterator[FrameFiles]:
    """Open a folder or zip of keypoints, or one file of another program; every read is bounded."""
    if path.is_dir():
        names = sorted(file.name for file in path.iterdir() if file.suffix == ".json")
        _check_count(path, len(names))
        yield FrameFiles(names, lambda name: _read_loose(path, name))
        return
    if path.suffix.lower() in ONE_FILE:
        content = read_file(path)
        if not content.frames:
            raise StepError(f"{path} contains no frame", hint="export it again, with a row or an entry per frame")
        _check_count(path, len(content.frames))
        yield FrameFiles(content.names(), content.read, content.layout, content.oddities)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist() if _is_frame(entry.filename)}
            _check_count(path, len(entries))
            if (total := sum(entry.file_size for entry in entries.values())) > LARGEST_DELIVERY:
                raise StepError(
                    f"{path} unpacks to {total >> 20:,} MB, more than {LARGEST_DELIVERY >> 20} MB",
                    hint="deliver one zip per recording, with one JSON file per frame",
                )
            yield FrameFiles(sorted(entries), lambda name: _read_packed(path, archive, entries[name]))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, UnicodeDecodeError, OverflowError, ValueError) as error:
        raise StepError(f"{path} is not a whole zip file ({error})", hint="fetch or pack it again") from None


def _is_frame(name: str) -> bool:
    return name.endswith(".json") and not Path(name).name.startswith(".")


def _check_count(path: Path, count: int) -> None:
    if count > LONGEST:
        raise StepError(
            f"{path} contains {count:,} frames, more than {LONGEST:,}", hint="cut the recording into shorter ones"
        )


def _read_loose(folder: Path, name: str) -> bytes:
    """Read a frame's file in a folder; refuse a link that leads out of the cohort."""
    file = folder / name
    if file.is_symlink():
        target = os.path.realpath(file)
        cohort = os.path.realpath(folder.parent.parent)
        if not Path(target).is_relative_to(cohort) and not _CACHE_OBJECT.search(target):
            raise StepError(f"{file} is a link out of the cohort", hint="copy the file there")
    return read_bytes(file, LARGEST_FRAME)


def _read_packed(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """Read a frame's file in a zip."""
    if entry.file_size > LARGEST_FRAME:
        raise StepError(
            f"{path}: {entry.filename} unpacks to {entry.file_size >> 20:,} MB, more than {LARGEST_FRAME >> 20} MB",
            hint="one JSON file per frame is expected",
        )
    try:
        return archive.read(entry)
    except NotImplementedError:
        raise StepError(
            f"{path}: {entry.filename} is compressed by an unknown method", hint="pack it again, by deflate"
        ) from None
    except RuntimeError:
        raise StepError(f"{path} is encrypted", hint="pack it again without a password") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise StepError(f"{path}: {entry.filename} is damaged ({error})", hint="fetch or pack it again") from None


def parse_frame(name: str, content: bytes, layout: Layout) -> Frame:
    """Parse one frame; points that are null or NaN have no position."""
    record = parse_json(content, name, nan=True, hint="fetch it again, or remove that frame")
    if is_openpose(record):
        record = {"instance_info": people_of_openpose(record)}
    if not isinstance(record, dict) or not isinstance(record.get("instance_info", []), list):
        raise StepError(f"{name} is not a frame of the release", hint="expected an object with a list instance_info")
    if "instance_info" not in record and not record.keys() & {"frame_index", "video_info"}:
        raise StepError(
            f"{name} has none of the keys of a frame (instance_info, or people of OpenPose)",
            hint=f"its keys are {shorten(', '.join(sorted(record))) or 'none'}; {FRAME_FORM}",
        )
    delivered = record.get("instance_info", [])
    if len(delivered) > MOST_PEOPLE:
        raise StepError(f"{name} contains {len(delivered):,} people, more than {MOST_PEOPLE}", hint="check the file")
    people = [_person(name, person, layout) for person in delivered]
    info = record.get("video_info")
    if isinstance(info, dict):
        _check_info(name, info)
    return Frame(
        _frame_index(name, record.get("frame_index")),
        info if isinstance(info, dict) else None,
        np.stack(people) if people else np.zeros((0, len(POINTS), 3), np.float32),
    )


def _frame_index(name: str, value: Any) -> int | None:
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    if not 0 <= value <= LAST_INDEX:
        raise StepError(
            f"{name}: frame_index is {shorten(value)}", hint=f"frames are numbered from 0 or 1, up to {LAST_INDEX:,}"
        )
    return value


def _check_info(name: str, info: Mapping[str, object]) -> None:
    """Check the numbers of video_info; null, 0 and text count as not given."""
    for key, (low, high) in LIMITS.items():
        value = info.get(key)
        if isinstance(value, bool) or (isinstance(value, int | float) and value != 0 and not low <= value <= high):
            raise StepError(
                f"{name}: video_info.{key} is {shorten(value)}", hint=f"{low:,.0f} to {high:,.0f} is expected"
            )


def _person(name: str, person: Any, layout: Layout) -> NDArray[np.float32]:
    """Parse one person's points (23, 3)."""
    try:
        points, scores = person["keypoints"], person["keypoint_scores"]
        _check_numbers(points, scores)
        xy = np.array(points, np.float32)  # null becomes NaN
        score = np.array(scores, np.float32)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise StepError(
            f"{name}: a person's keypoints and keypoint_scores cannot be read ({type(error).__name__}: "
            f"{str(error)[:100]})",
            hint="expected a list of [x, y] and a list of scores, as long as each other",
        ) from None
    if xy.ndim != 2 or xy.shape[1] != 2 or score.shape != xy.shape[:1]:
        raise StepError(
            f"{name}: keypoints are {'x'.join(map(str, xy.shape))} and scores {'x'.join(map(str, score.shape))}",
            hint="expected n x 2 and n",
        )
    if len(xy) != layout.size:
        like = [other.name for other in LAYOUTS.values() if other.size == len(xy)]
        raise StepError(
            f"{name} has {len(xy)} keypoints, but cohort.pose_layout is {layout.name}, which has {layout.size}",
            hint=f"set cohort.pose_layout to {like[0]}" if like else "no layout in domain/skeleton.py has so many",
        )
    return to_points(xy, score, layout)


def _check_numbers(points: Any, scores: Any) -> None:
    """Fail on texts and booleans, which numpy would convert, and on positions outside any picture."""
    for values in (scores, *(points if isinstance(points, list) else ())):
        if not isinstance(values, list):
            raise TypeError(f"{shorten(values)} is no list")
        for value in values:
            if value is None or type(value) is float or type(value) is int:
                if value is not None and abs(value) > LARGEST_POSITION and value == value and abs(value) != np.inf:
                    raise ValueError(f"the number {shorten(value)}")
            else:
                raise TypeError(f"{shorten(value)} is no number")
