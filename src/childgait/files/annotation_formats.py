"""Keypoints on single frames in the formats of annotation tools: COCO keypoints, CVAT for images 1.1, Label Studio.

Each format is written from `FramePoints` and read back as such. Coordinates differ: ours and COCO's have (0, 0) at the
centre of the top left pixel, CVAT's and Label Studio's at its corner; Label Studio counts in percent of the picture.
A point without a position is one that cannot be seen: visibility 0 in COCO, `outside` in CVAT, absent in Label Studio.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from childgait.domain.names import parse_video_name
from childgait.domain.skeleton import BONES, INDEX, POINTS
from childgait.errors import StepError
from childgait.files.atomic import write_json, write_text
from childgait.user_files import read_json, read_text, shorten

FORMATS = ("coco", "cvat", "label-studio")
FILE_NAMES = {"coco": "annotations.json", "cvat": "annotations.xml", "label-studio": "tasks.json"}
LABEL = "child"  # of the skeleton
IMAGE = re.compile(r"(?P<video>\d+-\d+_[a-z]+_\d+-\d+)_(?P<frame>\d{6})\.(?:png|jpe?g)$")
Place = tuple[float, float]


@dataclass(frozen=True)
class FramePoints:
    """The child's points in one frame, in pixels; a point that is not there cannot be seen."""

    video: str
    frame: int
    width: int
    height: int
    points: dict[str, Place]
    interpolated: frozenset[str] = frozenset()  # points whose place is interpolated: occluded, in the tools' terms

    @property
    def image(self) -> str:
        """Return the name of the frame's picture, which identifies it in every format."""
        return f"{self.video}_{self.frame:06d}.png"


def write_frames(path: Path, format: str, frames: Sequence[FramePoints]) -> None:
    """Write frames in one of FORMATS."""
    if format == "coco":
        write_json(path, as_coco(frames))
    elif format == "cvat":
        write_text(path, as_cvat(frames))
    else:
        write_json(path, as_label_studio(frames))


def read_frames(path: Path, format: str) -> tuple[list[FramePoints], list[str]]:
    """Read frames in one of FORMATS; returns them and the pictures without a skeleton."""
    try:
        frames, without_skeleton = {"coco": _from_coco, "cvat": _from_cvat, "label-studio": _from_label_studio}[format](
            path
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
        raise StepError(
            f"{path} is no file of {format}: {type(error).__name__} at {shorten(str(error))}",
            hint=f"export it from the tool as {format}, and keep its structure",
        ) from None
    counts = Counter(frame.image for frame in frames)
    if twice := next((name for name, count in counts.items() if count > 1), None):
        raise StepError(f"{path} has two skeletons on {twice}", hint="keep the child's")
    return frames, without_skeleton


def frame_of(path: Path, name: str) -> tuple[str, int]:
    """Return video and frame from the name of a picture; a tool may have put a folder or a prefix before it."""
    match = IMAGE.search(name)
    if match is None:
        raise StepError(
            f"{path}: the picture {shorten(name)} was not exported by childgait", hint="keep the names of the pictures"
        )
    return str(parse_video_name(match["video"])), int(match["frame"])


def _points(path: Path, image: str, named: Iterable[tuple[str, float, float]]) -> dict[str, Place]:
    points: dict[str, Place] = {}
    for name, x, y in named:
        if name not in INDEX:
            raise StepError(
                f"{path}, {image}: there is no joint {shorten(name)}", hint=f"joints are {', '.join(POINTS)}"
            )
        if name in points:
            raise StepError(f"{path}, {image}: {name} is there twice", hint="keep one of them")
        if not (math.isfinite(x) and math.isfinite(y)):
            raise StepError(f"{path}, {image}: {name} is at {x}, {y}", hint="give its place in pixels")
        points[name] = (x, y)
    return points


# --- COCO keypoints


def as_coco(frames: Sequence[FramePoints]) -> dict[str, Any]:
    """Return a COCO keypoint data set; visibility 0: no position, 1: interpolated, 2: visible."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, frame in enumerate(frames, 1):
        images.append({"id": number, "file_name": frame.image, "width": frame.width, "height": frame.height})
        if not frame.points:
            continue
        flat: list[float] = []
        for name in POINTS:
            x, y = frame.points.get(name, (0.0, 0.0))
            flat += [x, y, 0 if name not in frame.points else 1 if name in frame.interpolated else 2]
        xs, ys = zip(*frame.points.values(), strict=True)
        box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "keypoints": flat,
                "num_keypoints": len(frame.points),
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
        )
    skeleton = [[INDEX[first] + 1, INDEX[second] + 1] for first, second in BONES]  # COCO counts from 1 here
    category = {"id": 1, "name": LABEL, "supercategory": "person", "keypoints": list(POINTS), "skeleton": skeleton}
    return {"images": images, "annotations": annotations, "categories": [category]}


def _from_coco(path: Path) -> tuple[list[FramePoints], list[str]]:
    return _coco_frames(path, read_json(path))


def _coco_frames(path: Path, content: dict[str, Any]) -> tuple[list[FramePoints], list[str]]:
    images = {image["id"]: image for image in content["images"]}
    names = {category["id"]: category["keypoints"] for category in content["categories"]}
    frames: list[FramePoints] = []
    covered = set()
    for annotation in content["annotations"]:
        image, joints = images[annotation["image_id"]], names[annotation["category_id"]]
        flat = [float(value) for value in annotation["keypoints"]]
        triples = list(zip(joints, flat[::3], flat[1::3], flat[2::3], strict=True))
        video, frame = frame_of(path, image["file_name"])
        points = _points(
            path, image["file_name"], ((name, x, y) for name, x, y, visibility in triples if visibility > 0)
        )
        interpolated = frozenset(name for name, _, _, visibility in triples if visibility == 1)
        frames.append(FramePoints(video, frame, int(image["width"]), int(image["height"]), points, interpolated))
        covered.add(annotation["image_id"])
    return frames, [image["file_name"] for number, image in images.items() if number not in covered]


# --- CVAT for images 1.1


def as_cvat(frames: Sequence[FramePoints]) -> str:
    """Return the XML of CVAT for images 1.1 with one skeleton per picture."""
    root = ElementTree.Element("annotations")
    ElementTree.SubElement(root, "version").text = "1.1"
    labels = ElementTree.SubElement(ElementTree.SubElement(ElementTree.SubElement(root, "meta"), "task"), "labels")
    _cvat_label(labels, LABEL, "skeleton")
    for name in POINTS:
        _cvat_label(labels, name, "points", parent=LABEL)
    for number, frame in enumerate(frames):
        size = {"width": str(frame.width), "height": str(frame.height)}
        image = ElementTree.SubElement(root, "image", {"id": str(number), "name": frame.image, **size})
        if not frame.points:
            continue
        skeleton = ElementTree.SubElement(image, "skeleton", label=LABEL, source="file", occluded="0", z_order="0")
        for name in POINTS:
            x, y = frame.points.get(name, (-0.5, -0.5))
            marks = {"outside": str(int(name not in frame.points)), "occluded": str(int(name in frame.interpolated))}
            place = f"{x + 0.5:.4f},{y + 0.5:.4f}"
            ElementTree.SubElement(skeleton, "points", {"label": name, "source": "file", **marks, "points": place})
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _cvat_label(labels: ElementTree.Element, name: str, kind: str, parent: str = "") -> None:
    label = ElementTree.SubElement(labels, "label")
    for key, text in (("name", name), ("type", kind), ("attributes", ""), ("parent", parent)):
        if text or key == "attributes":
            ElementTree.SubElement(label, key).text = text


def cvat_labels() -> list[dict[str, Any]]:
    """Return the labels of a CVAT task, for its raw editor: a skeleton with the joints as its points."""
    places = {name: (10 + 80 * (INDEX[name] % 5) / 4, 5 + 90 * INDEX[name] / len(POINTS)) for name in POINTS}
    edges = "".join(
        '<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" data-type="edge" '
        'data-node-from="{}" data-node-to="{}"></line>'.format(*places[a], *places[b], INDEX[a] + 1, INDEX[b] + 1)
        for a, b in BONES
    )
    nodes = "".join(
        f'<circle r="1.5" cx="{x:.1f}" cy="{y:.1f}" data-type="element node" data-element-id="{INDEX[name] + 1}" '
        f'data-node-id="{INDEX[name] + 1}" data-label-name="{name}"></circle>'
        for name, (x, y) in places.items()
    )
    sublabels = [{"name": name, "type": "points", "attributes": []} for name in POINTS]
    return [{"name": LABEL, "type": "skeleton", "attributes": [], "sublabels": sublabels, "svg": edges + nodes}]


def _from_cvat(path: Path) -> tuple[list[FramePoints], list[str]]:
    text = read_text(path)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise StepError(f"{path} declares a document type", hint="export it from CVAT as `CVAT for images 1.1`")
    try:
        root = ElementTree.fromstring(text)  # without a document type it holds no entities
    except ElementTree.ParseError as error:
        raise StepError(f"{path} is no XML: {error}", hint="export it from CVAT as `CVAT for images 1.1`") from None
    if root.tag != "annotations":
        raise StepError(f"{path} has the root {shorten(root.tag)}, not annotations", hint="export it from CVAT again")
    frames: list[FramePoints] = []
    without_skeleton: list[str] = []
    for image in root.iter("image"):
        name = image.attrib["name"]
        video, frame = frame_of(path, name)
        skeletons = image.findall("skeleton")
        without_skeleton += [] if skeletons else [name]
        for skeleton in skeletons:
            inside = [one for one in skeleton.findall("points") if one.get("outside", "0") != "1"]
            points = _points(path, name, ((one.attrib["label"], *_cvat_place(one)) for one in inside))
            interpolated = frozenset(one.attrib["label"] for one in inside if one.get("occluded") == "1")
            size = int(image.attrib["width"]), int(image.attrib["height"])
            frames.append(FramePoints(video, frame, *size, points, interpolated))
    return frames, without_skeleton


def _cvat_place(element: ElementTree.Element) -> Place:
    x, y = (float(value) - 0.5 for value in element.attrib["points"].split(","))
    return x, y


# --- Label Studio


def as_label_studio(
    frames: Sequence[FramePoints], folder: str = "/data/local-files/?d=images/"
) -> list[dict[str, Any]]:
    """Return Label Studio tasks with the points as a prediction, which an annotator takes over and changes."""
    tasks = []
    for number, frame in enumerate(frames, 1):
        results = [_label_studio_point(frame, name, place) for name, place in frame.points.items()]
        data = {"image": folder + frame.image, "video": frame.video, "frame": frame.frame}
        tasks.append({"id": number, "data": data, "predictions": [{"model_version": "childgait", "result": results}]})
    return tasks


def _label_studio_point(frame: FramePoints, name: str, place: Place) -> dict[str, Any]:
    x, y = ((place[0] + 0.5) / frame.width * 100, (place[1] + 0.5) / frame.height * 100)
    return {
        "id": f"{frame.frame}-{name}",
        "type": "keypointlabels",
        "from_name": "joint",
        "to_name": "image",
        "original_width": frame.width,
        "original_height": frame.height,
        "image_rotation": 0,
        "value": {"x": x, "y": y, "width": 0.4, "keypointlabels": [name]},
        "meta": {"text": ["interpolated"]} if name in frame.interpolated else {},
    }


def label_studio_config() -> str:
    """Return the labelling interface that the tasks need."""
    labels = "".join(f'    <Label value="{name}"/>\n' for name in POINTS)
    points = f'  <KeyPointLabels name="joint" toName="image">\n{labels}  </KeyPointLabels>\n'
    return f'<View>\n  <Image name="image" value="$image" zoom="true"/>\n{points}</View>\n'


def _from_label_studio(path: Path) -> tuple[list[FramePoints], list[str]]:
    frames: list[FramePoints] = []
    without_skeleton: list[str] = []
    for task in read_json(path):
        name = task["data"]["image"]
        video, frame = frame_of(path, name)
        made = [one for one in task.get("annotations", []) if not one.get("was_cancelled")]
        if len(made) > 1:
            raise StepError(
                f"{path}: {len(made)} people annotated {shorten(name)}", hint="keep one annotation per task"
            )
        results = [
            one
            for one in (made or task.get("predictions") or [{"result": []}])[0]["result"]
            if one["type"] == "keypointlabels"
        ]
        if not results:
            without_skeleton.append(name)
            continue
        size = int(results[0]["original_width"]), int(results[0]["original_height"])
        points = _points(path, name, (_label_studio_place(one) for one in results))
        interpolated = frozenset(
            _label(one) for one in results if (one.get("meta") or {}).get("text") == ["interpolated"]
        )
        frames.append(FramePoints(video, frame, *size, points, interpolated))
    return frames, without_skeleton


def _label(result: dict[str, Any]) -> str:
    (name,) = result["value"]["keypointlabels"]
    return str(name)


def _label_studio_place(result: dict[str, Any]) -> tuple[str, float, float]:
    x = float(result["value"]["x"]) / 100 * float(result["original_width"]) - 0.5
    y = float(result["value"]["y"]) / 100 * float(result["original_height"]) - 0.5
    return _label(result), x, y


# --- what was exported


def write_baseline(path: Path, frames: Sequence[FramePoints], hashes: dict[str, str]) -> None:
    """Write what was exported, with which an import compares, and the sha256 of each de-identified video."""
    write_json(path, {"videos": hashes, "coco": as_coco(frames)})


def read_baseline(path: Path) -> tuple[dict[str, FramePoints], dict[str, str]]:
    """Read what was exported: frames by the name of their picture, and the sha256 of each video."""
    if not path.is_file():
        raise StepError(f"{path} is missing", hint="give the folder that `childgait export-frames` wrote by --exported")
    content = read_json(path)
    try:
        frames, without_skeleton = _coco_frames(path, content["coco"])
        hashes = {str(key): str(value) for key, value in content["videos"].items()}
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise StepError(
            f"{path} is not as `childgait export-frames` wrote it: {type(error).__name__} at {shorten(str(error))}",
            hint="export the frames again",
        ) from None
    known = {frame.image: frame for frame in frames}
    for name in without_skeleton:
        video, frame = frame_of(path, name)
        known[name] = FramePoints(video, frame, 0, 0, {})
    return known, hashes
