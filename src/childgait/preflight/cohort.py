"""What lies in a cohort folder and what is wrong with it, found in seconds and all at once, before any long work.

Reads names, headers, a few frames of keypoints, labels and subjects; decodes one frame a video. `error`: a run would
stop there. `note`: it is handled and told in the report. What only shows in a whole reading (a damaged frame in the
middle, a strange point in one of 240 files) is found by `register`.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from childgait.domain.evgs import VIEWS
from childgait.domain.names import POSE_FOLDER, VIDEO_ENDINGS, VideoName, parse_video_name
from childgait.domain.skeleton import LAYOUTS
from childgait.errors import StepError
from childgait.files.annotations import text_of
from childgait.params import Cohort

READ_WHOLE = 15_000  # frames of keypoints that a cohort may have for all of them to be read; above, a few a recording
SAMPLED = 5  # frames of keypoints looked into, a recording
CUT_RATES = (23, 29, 59, 119)  # television's rates, cut to whole numbers


@dataclass(frozen=True, order=True)
class Problem:
    level: Literal["error", "note"]
    file: str
    reason: str
    mend: str


@dataclass
class Inventory:
    """Counts of what is there, and every problem."""

    subjects: set[str] = field(default_factory=set)
    recordings: dict[str, VideoName] = field(default_factory=dict)
    videos: dict[str, Path] = field(default_factory=dict)
    poses: dict[str, Path] = field(default_factory=dict)
    labelled: set[str] = field(default_factory=set)
    listed: set[str] = field(default_factory=set)
    video_frames: Counter[str] = field(default_factory=Counter)
    pose_frames: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    problems: list[Problem] = field(default_factory=list)

    def error(self, file: Path | str, reason: str, mend: str) -> None:
        self.problems.append(Problem("error", str(file), reason, mend))

    def note(self, file: Path | str, reason: str, mend: str) -> None:
        self.problems.append(Problem("note", str(file), reason, mend))

    def caught(self, file: Path, problem: StepError) -> None:
        reason = problem.message.removeprefix(str(file)).lstrip(":, ")
        self.error(file, reason, problem.hint)


def take_inventory(root: Path, cohort: Cohort) -> Inventory:
    """Look at everything; nothing found stops the looking."""
    found = Inventory()
    if not (root / "dataset").is_dir():
        found.error(root, "has no folder 'dataset'", "put videos there: dataset/0001/0001-0001_left_1-240.mp4")
    else:
        list_files(root / "dataset", found)
        check_exclusions(found, cohort)
        for name, path in sorted(found.videos.items()):
            check_video(name, path, found)
        check_all_poses(found, cohort)
        check_completeness(root, found, cohort)
    check_labels(root / "labels.json", found)
    check_subjects(root / "subjects.csv", found)
    compare_lists(root, found)
    return found


# --- names


def list_files(folder: Path, found: Inventory) -> None:
    for path in sorted(folder.glob("*/*")):
        if path.suffix.lower() in VIDEO_ENDINGS:
            place(path, path.stem, found.videos, found)
        elif path.name.endswith(POSE_FOLDER + ".zip"):
            place(path, path.name.removesuffix(POSE_FOLDER + ".zip"), found.poses, found)
        elif path.is_dir() and path.name.endswith(POSE_FOLDER):
            name = path.name.removesuffix(POSE_FOLDER)
            if (zipped := path.with_name(path.name + ".zip")).exists():
                found.note(path, f"stands beside {zipped.name}, which is used", "remove one of the two")
            else:
                place(path, name, found.poses, found)
        elif not path.name.startswith("."):
            found.note(path, "is neither a video nor keypoints and is not read", "remove it, or mend its name")
    for path in sorted(folder.glob("*")):
        if path.is_file() and not path.name.startswith("."):
            found.note(path, "does not lie in a child's folder and is not read", "move it into dataset/PATIENT/")


def place(path: Path, name: str, shelf: dict[str, Path], found: Inventory) -> None:
    try:
        said = parse_video_name(name)
    except StepError as problem:
        found.error(path, problem.message, problem.hint)
        return
    if said.subject != path.parent.name:
        found.error(path, f"says child {said.subject}, but lies in folder {path.parent.name}", "move or rename it")
    if said.end < said.start:
        found.error(path, f"its frame range runs backwards ({said.start}-{said.end})", "mend its name")
    if name in shelf:
        found.error(path, f"has the same name as {shelf[name]}", "keep one of the two")
    shelf[name] = path
    found.recordings[name] = said
    found.subjects.add(said.subject)


def check_exclusions(found: Inventory, cohort: Cohort) -> None:
    for name, reason in sorted(cohort.exclude.items()):
        if name not in found.recordings:
            found.error("params.yaml", f"cohort.exclude names {name}, which is not in the cohort", "mend the name")
        if not reason.strip():
            found.error("params.yaml", f"cohort.exclude gives no reason for {name}", "write why it stays out")
        for shelf in (found.recordings, found.videos, found.poses):
            shelf.pop(name, None)


# --- videos


def check_video(name: str, path: Path, found: Inventory) -> None:
    """Header, index and the first frame."""
    import av

    exclude = "copy it again from its source, or exclude it in cohort.exclude with the reason"
    if path.stat().st_size == 0:
        found.error(path, "is empty", exclude)
        return
    try:
        with av.open(str(path), metadata_errors="ignore") as container:
            if not container.streams.video:
                found.error(path, "holds no video stream", exclude)
                return
            stream = container.streams.video[0]
            check_index(name, path, stream, found)
            if container.streams.audio:
                found.note(path, "carries sound", "nothing to do: it is not passed on")
            first = next(container.decode(stream), None)
            if first is None:
                found.error(path, "holds no frame that can be decoded", exclude)
            elif first.rotation % 360:
                found.note(path, f"asks to be turned by {first.rotation % 360} degrees", "nothing to do: it is turned")
    except (av.error.FFmpegError, OSError) as error:
        found.error(path, f"cannot be read as a video ({getattr(error, 'strerror', None) or error})", exclude)


def check_index(name: str, path: Path, stream: Any, found: Inventory) -> None:
    """What the index says of length, rate and wholeness; containers without a whole index are left to `register`."""
    entries = list(stream.index_entries)
    if not entries or len(entries) != stream.frames:
        return
    said = found.recordings[name]
    found.video_frames[name] = len(entries)
    if max(entry.pos + entry.size for entry in entries) > path.stat().st_size:
        found.error(path, "is cut short: its index points behind its end", "copy it again from its source")
    length = said.end - said.start + 1
    if length != len(entries):
        found.note(path, f"its name says {length} frames, it has {len(entries)}", "nothing to do: frames are counted")
    stamps = [entry.timestamp for entry in entries]
    steps = [b - a for a, b in itertools.pairwise(stamps)]
    if not steps:
        found.error(path, "holds a single frame", "exclude it in cohort.exclude with the reason")
        return
    seconds = float((stamps[-1] - stamps[0]) * stream.time_base)
    rate = len(steps) / seconds if seconds else 0.0
    found.seconds += seconds
    mean = sum(steps) / len(steps)
    if max(abs(step - mean) for step in steps) > 0.05 * mean:
        found.note(path, f"its frame rate varies around {rate:.2f}", "nothing to do: frames are placed by time stamps")
    elif abs(rate - 60) > 0.3:
        found.note(path, f"has {rate:.2f} frames a second, not 60", "nothing to do: frames are placed by time stamps")


# --- keypoints


def check_all_poses(found: Inventory, cohort: Cohort) -> None:
    """A cohort's keypoints: all of them if they are few, else some frames of each recording."""
    from childgait.gait.delivered_keypoints import inspect_delivered

    for name, path in sorted(found.poses.items()):
        found.pose_frames[name] = len(frame_names(path, found))
    whole = found.pose_frames.total() <= READ_WHOLE
    for name, path in sorted(found.poses.items()):
        if not found.pose_frames[name]:
            continue
        if whole:
            try:
                facts = inspect_delivered(path, cohort.pose_layout)
            except StepError as problem:
                found.caught(path, problem)
                continue
            for oddity in facts.oddities:
                found.note(path, oddity, "nothing to do: it is handled")
            found.pose_frames[name] = facts.frames
        else:
            check_some_frames(path, cohort, found)
        frames, length = found.pose_frames[name], found.video_frames.get(name)
        if length and frames > length:
            found.error(path, f"has {frames} frames, but its video {length}", "deliver the pair that belongs together")
        elif length and frames < length:
            found.note(path, f"has {frames} frames, its video {length}", "nothing to do: the others count as missing")


def frame_names(path: Path, found: Inventory) -> list[str]:
    try:
        if path.is_dir():
            names = sorted(file.name for file in path.iterdir() if file.suffix == ".json")
        else:
            with zipfile.ZipFile(path) as archive:
                names = sorted(name for name in archive.namelist() if name.endswith(".json"))
    except (OSError, zipfile.BadZipFile) as error:
        found.error(path, f"cannot be read ({error})", "fetch or pack it again")
        return []
    if not names:
        found.error(path, "holds no keypoint file", "it should hold frame_000001.json and so on")
    return names


def check_some_frames(path: Path, cohort: Cohort, found: Inventory) -> None:
    """The first, the last and a few between."""
    names = frame_names(path, found)
    picked = sorted({round(index * (len(names) - 1) / (SAMPLED - 1)) for index in range(SAMPLED)})
    size = LAYOUTS[cohort.pose_layout].size
    empty = odd = without_info = 0
    for name, text in read_texts(path, [names[index] for index in picked]):
        try:
            record = json.loads(text)
            people = record.get("instance_info", [])
            counts = {len(person["keypoints"]) for person in people}
            values = [value for person in people for point in person["keypoints"] for value in point]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            found.error(f"{path}/{name}", f"is not a frame of the release ({error})", "fetch it again")
            continue
        if wrong := counts - {size}:
            found.error(
                f"{path}/{name}",
                f"has {wrong.pop()} keypoints, but {cohort.pose_layout} has {size}",
                "set cohort.pose_layout in params.yaml to the layout of the files",
            )
            return
        empty += not people
        odd += any(value is None or value != value for value in values)
        without_info += not record.get("video_info")
        if (record.get("video_info") or {}).get("fps") in CUT_RATES:
            found.note(path, "gives a frame rate that was cut to a whole number", "nothing to do: it is understood")
    told = ((empty, "have nobody in them"), (odd, "have points without a position"), (without_info, "lack video_info"))
    for count, words in told:
        if count:
            found.note(path, f"{count} of {len(picked)} frames looked into {words}", "nothing to do: it is handled")


def read_texts(path: Path, names: list[str]) -> Iterator[tuple[str, bytes]]:
    if path.is_dir():
        yield from ((name, (path / name).read_bytes()) for name in names)
        return
    with zipfile.ZipFile(path) as archive:
        yield from ((name, archive.read(name)) for name in names)


def check_completeness(root: Path, found: Inventory, cohort: Cohort) -> None:
    """Videos without keypoints, keypoints without videos, children without a view."""
    for name in sorted(found.recordings):
        if cohort.modality == "video" and name not in found.videos:
            found.error(found.poses[name], "has no video", "add it, or set cohort.modality to keypoints")
        if name not in found.poses:
            level = found.error if cohort.modality == "keypoints" else found.note
            level(found.videos[name], "has no keypoints", "deliver them, or set estimate_pose.backend")
    views: dict[str, set[str]] = defaultdict(set)
    for said in found.recordings.values():
        views[said.subject].add(said.view)
    for subject, seen in sorted(views.items()):
        if missing := [view for view in VIEWS if view not in seen]:
            found.note(
                root / "dataset" / subject,
                f"has no view {', '.join(missing)}",
                "nothing to do: items that need it are not judged for this child",
            )


# --- labels and subjects


def check_labels(path: Path, found: Inventory) -> None:
    from childgait.files.labels import read_sheet

    if not path.exists():
        found.error(path, "is not there", "write the scores as a list of entries with patient_id, left and right")
        return
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        found.error(path, f"is not JSON ({error})", "mend the file at that place")
        return
    if not isinstance(rows, list):
        found.error(path, f"holds a {type(rows).__name__}, not a list", "write a list of entries with patient_id")
        return
    seen: set[tuple[str, str | None]] = set()
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or "patient_id" not in row:
            found.error(path, f"entry {number} has no patient_id", "name the child")
            continue
        try:
            sheet = read_sheet(path, row, highest=2)
        except StepError as problem:
            found.caught(path, problem)
            continue
        if (sheet.subject, sheet.rater) in seen:
            found.error(path, f"scores child {sheet.subject} twice", "keep one entry per child and rater")
        seen.add((sheet.subject, sheet.rater))
        found.labelled.add(sheet.subject)
        missing = sum(score is None for limb in sheet.scores.values() for score in limb.values())
        if missing:
            found.note(path, f"child {sheet.subject} lacks {missing} of 34 scores", "nothing to do: they stay unknown")


def check_subjects(path: Path, found: Inventory) -> None:
    from childgait.files.labels import read_child

    if not path.exists():
        found.error(path, "is not there", "write patient_id, age, sex, diagnosis, aid: a row a child")
        return
    try:
        text = text_of(path)
    except StepError as problem:
        found.caught(path, problem)
        return
    reader = csv.DictReader(io.StringIO(text, newline=""))
    reader.fieldnames = ["age" if name == "age_years" else name for name in reader.fieldnames or []]
    if missing := [name for name in ("patient_id", "age", "sex") if name not in reader.fieldnames]:
        found.error(path, f"lacks the column(s) {', '.join(missing)}", "name the columns in its first line")
        return
    for number, row in enumerate(reader, start=2):
        try:
            child = read_child(path, number, row)
        except StepError as problem:
            found.caught(path, problem)
            continue
        if child["subject"] in found.listed:
            found.error(path, f"line {number}: child {child['subject']} is there twice", "keep one row a child")
        found.listed.add(child["subject"])
        if child["age_years"] is None:
            found.note(path, f"line {number}: child {child['subject']} has no age", "nothing to do")


def compare_lists(root: Path, found: Inventory) -> None:
    """Children that one file knows and another does not."""
    for subject in sorted(found.subjects - found.labelled):
        found.note(root / "dataset" / subject, "has no scores", "nothing to do: the child is in no part")
    for subject in sorted(found.labelled - found.subjects):
        found.note(root / "labels.json", f"scores child {subject}, who has no recording", "nothing to do")
    for subject in sorted(found.labelled - found.listed) if found.listed else ():
        found.error(root / "subjects.csv", f"does not list child {subject}, who has scores", "add a row for the child")
