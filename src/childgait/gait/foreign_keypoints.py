"""Reads keypoints of other programs: frames of OpenPose, and files per video of DeepLabCut, COCO and MMPose.

OpenPose writes one file per frame, `{"people": [{"pose_keypoints_2d": [x, y, c, ...]}]}`; a point that it did not
detect is 0, 0, 0. A file per video is read where it is named `{video}_filtered_pose.csv` or `.json`:

    DeepLabCut  CSV with the header rows scorer, (individuals,) bodyparts, coords; the body parts are matched by name
    COCO        a list of results, or `images` and `annotations`; `keypoints` are x, y and a confidence, or a visibility
    MMPose      `instance_info`: per frame `frame_id` and `instances` with `keypoints` and `keypoint_scores`

Positions are pixels of the video, and left is the child's own left, in all of them. Any other file is named with its
conversion by `describe_file`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from childgait.domain.skeleton import INDEX, POINTS, Layout
from childgait.errors import StepError
from childgait.user_files import parse_line, parse_number, read_json, read_lines, shorten

HEAD_BYTES = 4096  # of a file, enough to recognise its format
FRAME_FORM = (
    'write one file per frame, frame_000001.json with {"instance_info": [{"keypoints": [[x, y], ...], '
    '"keypoint_scores": [...]}]}, into {video}_filtered_pose/ beside the video'
)
NAMED = Layout("named23", len(POINTS), tuple(range(len(POINTS))))  # points matched by name, in the order of POINTS
NEEDED = [f"{side}_{joint}" for side in ("left", "right") for joint in ("hip", "knee", "ankle")]
OCCLUDED_SCORE = 0.5  # of a point that a COCO annotation marks as labelled but hidden
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}
_PARTS = {
    **{part: part for part in ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "heel")},
    **dict.fromkeys(("bigtoe", "toe", "hallux"), "big_toe"),
    **dict.fromkeys(("smalltoe", "littletoe"), "small_toe"),
    "calcaneus": "heel",
}
_LAST_NUMBER = re.compile(r"([0-9]{1,9})[^0-9]*$")


@dataclass(frozen=True)
class ForeignFile:
    """The frames of one file per video: the number of each with its people as the release has them; and oddities."""

    frames: Mapping[int, list[dict[str, Any]]]
    layout: Layout | None  # None: that of cohort.pose_layout
    oddities: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Return the names that its frames would have as one file each."""
        return [f"frame_{number:09d}.json" for number in sorted(self.frames)]

    def read(self, name: str) -> bytes:
        """Return one frame as a file of the release."""
        number = int(name[6:15])
        return json.dumps({"frame_index": number, "instance_info": self.frames[number]}).encode()


# --- OpenPose


def is_openpose(record: Any) -> bool:
    """Return whether a parsed frame is OpenPose's."""
    return isinstance(record, dict) and "instance_info" not in record and isinstance(record.get("people"), list)


def people_of_openpose(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return OpenPose's people as those of the release; a point with confidence 0 has no position.

    A list that is no flat list of triples comes back as it is, for the caller to refuse.
    """
    return [_person(one.get("pose_keypoints_2d") if isinstance(one, dict) else None) for one in record["people"]]


def _person(flat: Any, score_of: Callable[[Any], Any] = lambda value: value) -> dict[str, Any]:
    """Return one person of the release from x, y, value in a row; a point whose value is 0 has no position."""
    if not isinstance(flat, list) or len(flat) % 3:
        return {"keypoints": flat, "keypoint_scores": None}
    triples = [flat[n : n + 3] for n in range(0, len(flat), 3)]
    points = [[None, None] if score == 0 else [x, y] for x, y, score in triples]
    return {"keypoints": points, "keypoint_scores": [score_of(score) for _, _, score in triples]}


# --- one file per video


def read_file(path: Path) -> ForeignFile:
    """Read a file per video, by its ending and its content."""
    if path.suffix.lower() == ".csv":
        return read_deeplabcut(path)
    content = read_json(path, hint="export it again")
    if isinstance(content, dict) and "instance_info" in content:
        return read_mmpose(path, content["instance_info"])
    if isinstance(content, list) and all(isinstance(entry, dict) and "instances" in entry for entry in content):
        return read_mmpose(path, content)
    return read_coco(path, content)


def read_mmpose(path: Path, entries: Any) -> ForeignFile:
    """Read MMPose's results of a video."""
    frames: dict[int, list[dict[str, Any]]] = {}
    for place, entry in enumerate(_list_of_objects(path, entries, "instance_info")):
        instances = _list_of_objects(path, entry.get("instances"), f"entry {place}: instances")
        number = entry.get("frame_id")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 999_999_999:
            raise StepError(f"{path}: entry {place} has the frame_id {shorten(number)}", hint="a whole number from 0")
        if number in frames:
            raise StepError(f"{path} contains frame {number} twice", hint="keep one entry per frame")
        keys = ("keypoints", "keypoint_scores")
        frames[number] = [{key: one.get(key) for key in keys} for one in instances]
    return ForeignFile(frames, None)


def read_coco(path: Path, content: Any) -> ForeignFile:
    """Read COCO keypoints of a video: a list of results, or an object with images and annotations."""
    if isinstance(content, dict):
        listed = _list_of_objects(path, content.get("images"), "images")
        images = [(_key(image.get("id")), image.get("file_name")) for image in listed]
        rows = _list_of_objects(path, content.get("annotations"), "annotations")
    else:
        rows = _list_of_objects(path, content, "annotations")
        images = [(key, key) for key in dict.fromkeys(_key(row.get("image_id")) for row in rows)]
    numbers = _number_images(path, images)
    values = [value for row in rows if isinstance(row.get("keypoints"), list) for value in row["keypoints"][2::3]]
    has_flags = 2 in values  # visibility 0, 1, 2 of an annotation; results have a confidence
    if wrong := [v for v in values if not _is_number(v) or not (v in (0, 1, 2) if has_flags else 0 <= v <= 1)]:
        raise StepError(
            f"{path}: the third value of a keypoint is {shorten(wrong[0])}",
            hint="expected a confidence from 0 to 1, or a visibility of 0, 1 or 2",
        )
    score_of: Callable[[Any], Any] = (lambda flag: (0.0, OCCLUDED_SCORE, 1.0)[int(flag)]) if has_flags else float
    frames: dict[int, list[dict[str, Any]]] = {number: [] for number in numbers.values()}
    for row in rows:
        if (number := numbers.get(_key(row.get("image_id")))) is None:
            raise StepError(
                f"{path}: an annotation is of the image {shorten(row.get('image_id'))}, which is not in images",
                hint="export images and annotations together",
            )
        frames[number].append(_person(row.get("keypoints"), score_of))
    return ForeignFile(frames, None, ("COCO: visibility flags are used as scores 0, 0.5 and 1",) if has_flags else ())


def _number_images(path: Path, images: Sequence[tuple[object, object]]) -> dict[object, int]:
    """Return the frame number of each image by its id, given ids and file names; fail where one occurs twice."""
    numbers: dict[object, int] = {}
    names: dict[int, object] = {}
    for key, name in images:
        if key is None:
            raise StepError(f"{path}: an image has no id", hint="expected a whole number or a text, as image_id has it")
        number = _frame_of(path, name)
        if key in numbers or number in names:
            raise StepError(
                f"{path}: the images {shorten(names.get(number, key))} and {shorten(name)} have the same id or number",
                hint="write one file per video, whose frames are numbered once: frame_000001.png",
            )
        numbers[key], names[number] = number, name
    return numbers


def _key(value: Any) -> object:
    return value if isinstance(value, int | str) else None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _frame_of(path: Path, image: object) -> int:
    """Return the number of an image's frame: the number itself, or the last one in its file's name."""
    if isinstance(image, int) and not isinstance(image, bool) and 0 <= image <= 999_999_999:
        return image
    match = _LAST_NUMBER.search(Path(image).stem) if isinstance(image, str) else None
    if match is None:
        raise StepError(
            f"{path}: the image {shorten(image)} has no frame number", hint="number the frames, frame_000001.png"
        )
    return int(match[1])


def _list_of_objects(path: Path, value: Any, what: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise StepError(
            f"{path}: {what} is no list of objects",
            hint="expected results of MMPose (instance_info) or COCO keypoints (a list, or images and annotations)",
        )
    return value


def read_deeplabcut(path: Path) -> ForeignFile:
    """Read a CSV file of DeepLabCut, of one or several individuals; body parts are matched by their names."""
    lines = [(number, parse_line(path, number, line)) for number, line in read_lines(path)]
    rows = {values[0].strip().lower(): values for _, values in lines[:4] if values}
    heading = 4 if "individuals" in rows else 3
    names = ["scorer", *(["individuals"] if heading == 4 else []), "bodyparts", "coords"]
    if [values[0].strip().lower() if values else "" for _, values in lines[:heading]] != names:
        raise StepError(f"{path} is no CSV file of DeepLabCut", hint=f"its first rows begin with {', '.join(names)}")
    bodyparts, coords = rows["bodyparts"], [value.strip().lower() for value in rows["coords"]]
    individuals = rows.get("individuals", [""] * len(bodyparts))
    if not len(bodyparts) == len(coords) == len(individuals) or coords[1:] != ["x", "y", "likelihood"] * (
        len(coords) // 3
    ):
        raise StepError(f"{path}: the columns are not x, y, likelihood per body part", hint="export it again")
    columns, unused = _match_parts(path, bodyparts, individuals)
    frames: dict[int, list[dict[str, Any]]] = {}
    for number, values in lines[heading:]:
        if len(values) != len(coords):
            raise StepError(f"{path}, line {number}: {len(values)} values, not {len(coords)}", hint="export it again")
        frame = _whole_number(values[0])
        if frame is None or frame in frames:
            raise StepError(
                f"{path}, line {number}: the frame is {shorten(values[0])}",
                hint="the first column numbers the frames from 0, each once",
            )
        frames[frame] = [
            one for of_person in columns.values() if (one := _person_of_row(path, number, values, of_person))
        ]
    oddities = (f"DeepLabCut: body parts that are not used: {', '.join(unused[:20])}",) if unused else ()
    return ForeignFile(frames, NAMED, oddities)


def _match_parts(
    path: Path, bodyparts: Sequence[str], individuals: Sequence[str]
) -> tuple[dict[str, dict[str, int]], list[str]]:
    """Return per individual the column of each known point, and the body parts that are no point of ours."""
    columns: dict[str, dict[str, int]] = {}
    unused: set[str] = set()
    for place in range(1, len(bodyparts), 3):
        point = point_of(bodyparts[place])
        if point is None:
            unused.add(bodyparts[place].strip())
            continue
        known = columns.setdefault(individuals[place].strip(), {})
        if point in known:
            raise StepError(f"{path}: two body parts are named {point}", hint="rename or delete one of them")
        known[point] = place
    for known in columns.values() or [{}]:
        if missing := [point for point in NEEDED if point not in known]:
            raise StepError(
                f"{path} has no body part for {', '.join(missing)}",
                hint="name the child's body parts like left_hip, LKnee or ankle_r; left is the child's own left",
            )
    return columns, sorted(unused)


def point_of(name: str) -> str | None:
    """Return our point for a body part's name (left_knee, LKnee, ankle_r, left big toe); None if it is none."""
    words = [word.lower() for word in _WORD.findall(name)]
    sides = [_SIDES[word] for word in words if word in _SIDES]
    part = "".join(word for word in words if word not in _SIDES)
    if not sides and part not in ("nose", *_PARTS):  # lknee, leftknee
        for short, side in sorted(_SIDES.items(), key=lambda entry: -len(entry[0])):
            if part.removeprefix(short) in _PARTS and part.startswith(short):
                sides, part = [side], part.removeprefix(short)
                break
    if part == "nose" and not sides:
        return "nose"
    point = f"{sides[0]}_{_PARTS.get(part)}" if len(sides) == 1 else ""
    return point if point in INDEX else None


def _whole_number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else None


def _person_of_row(path: Path, number: int, values: Sequence[str], columns: Mapping[str, int]) -> dict[str, Any] | None:
    """Return one individual's points in the order of POINTS; None where the row has none of them."""
    points: list[list[float | None]] = [[None, None] for _ in POINTS]
    scores = [0.0] * len(POINTS)
    for point, place in columns.items():
        texts = [text.strip().lower() for text in values[place : place + 3]]
        if any(text in ("", "nan") for text in texts):
            continue
        x, y, score = (parse_number(text) for text in texts)
        if math.isnan(x + y + score):
            raise StepError(
                f"{path}, line {number}: {shorten(texts)} are no numbers", hint="expected x, y and likelihood"
            )
        if not 0 <= score <= 1:
            raise StepError(f"{path}, line {number}: the likelihood is {score:g}", hint="expected 0 to 1")
        points[INDEX[point]], scores[INDEX[point]] = [x, y], score
    return {"keypoints": points, "keypoint_scores": scores} if any(scores) else None


# --- files of other names


def describe_file(path: Path) -> tuple[str, str] | None:
    """Return what a file with keypoints of another program is, and what to do; None for any other file."""
    rename = "name it {video}_filtered_pose" + path.suffix.lower() + " beside its video"
    if path.suffix.lower() == ".h5":
        return "is an HDF5 file, as DeepLabCut writes", "export it as CSV, {video}_filtered_pose.csv beside the video"
    if path.suffix.lower() not in (".csv", ".json"):
        return None
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES).decode("utf-8", errors="replace")
    if path.suffix.lower() == ".csv":
        lines = [line.split(",", 1)[0].strip() for line in head.splitlines()[:4]]
        if lines[:2] == ["scorer", "bodyparts"] or lines[:3] == ["scorer", "individuals", "bodyparts"]:
            return "is a CSV file of DeepLabCut", rename
        return None
    if '"pose_keypoints_2d"' in head:
        return (
            "is a frame of OpenPose",
            "move the frames into {video}_filtered_pose/ and set cohort.pose_layout: body25",
        )
    if '"meta_info"' in head or '"instances"' in head:
        return "is a result file of MMPose", rename
    if '"keypoints"' in head and ('"image_id"' in head or '"annotations"' in head):
        return "is a file of COCO keypoints", rename
    return None
