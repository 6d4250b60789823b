"""Inventory of a cohort folder with all its problems, in seconds, before any long work.

Reads names, headers, a few frames of keypoints, labels and subjects, and decodes one frame per video. A problem of
level `error` would stop a run; a `note` is handled and shown in the report. Faults that only a full reading reveals (a
damaged frame in the middle, a wrong point in one of 240 files) are left to `register`.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from childgait.domain.evgs import VIEWS
from childgait.domain.names import POSE_FOLDER, SUBJECT, VIDEO_ENDINGS, VideoName, parse_video_name
from childgait.domain.skeleton import LAYOUTS
from childgait.errors import StepError
from childgait.files.recordings import PSEUDONYMS, check_link, recording_name
from childgait.params import Cohort
from childgait.user_files import check_regular, read_json, read_rows

READ_WHOLE = 15_000  # keypoint frames of a cohort up to which all are read; above, SAMPLED frames per recording
SAMPLED = 5  # keypoint frames read per recording of a large cohort
TRUNCATED_RATES = (23, 29, 59, 119)  # NTSC frame rates (x 1000/1001) truncated to whole numbers, Hz


@dataclass(frozen=True, order=True)
class Problem:
    """A fault of a cohort: the file, the fault in words, and how to correct it."""

    level: Literal["error", "note"]
    file: str
    reason: str
    fix: str


@dataclass
class Inventory:
    """What a cohort folder holds, by name of the recording or number of the child, and every problem.

    `labelled` and `listed` are the children of labels.json and of subjects.csv; `seconds` sums the videos' lengths.
    """

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

    def error(self, file: Path | str, reason: str, fix: str) -> None:
        self.problems.append(Problem("error", str(file), reason, fix))

    def note(self, file: Path | str, reason: str, fix: str) -> None:
        self.problems.append(Problem("note", str(file), reason, fix))

    def refuse(self, file: Path, problem: StepError | OSError) -> None:
        """Enter an error of reading a file."""
        if isinstance(problem, StepError):
            self.error(file, problem.message.removeprefix(str(file)).lstrip(":, /"), problem.hint)
        else:
            self.error(file, f"cannot be read ({problem.strerror or problem})", "copy it again from its source")


def take_inventory(root: Path, cohort: Cohort) -> Inventory:
    """List the files of a cohort and check them all; no problem ends the check."""
    inventory = Inventory()
    if not root.is_dir():
        what = "is no folder" if root.exists() else "does not exist"
        inventory.error(root, what, "give the folder that contains 'dataset', labels.json and subjects.csv")
        return inventory
    if not (root / "dataset").is_dir():
        inventory.error(root, "has no folder 'dataset'", "put videos there: dataset/0001/0001-0001_left_1-240.mp4")
    else:
        list_files(root / "dataset", inventory)
        check_exclusions(inventory, cohort)
        for name, path in sorted(inventory.videos.items()):
            check_video(name, path, inventory)
        check_all_poses(inventory, cohort)
        check_completeness(root, inventory, cohort)
    check_labels(root / "labels.json", inventory)
    check_subjects(root / "subjects.csv", inventory)
    compare_lists(root, inventory)
    return inventory


# --- names


def list_files(folder: Path, inventory: Inventory) -> None:
    """Enter videos and keypoints by their names; note files in the wrong place."""
    for path in sorted(folder.glob("*/*")):
        name = recording_name(path)
        if name is not None:
            zipped = path.with_name(path.name + ".zip")
            if path.name.endswith(POSE_FOLDER) and zipped.exists():
                inventory.note(path, f"stands beside {zipped.name}, which is used", "remove one of the two")
                continue
            try:
                check_link(path, folder.parent)
            except (OSError, StepError) as problem:
                inventory.refuse(path, problem)
                continue
            files = inventory.videos if path.suffix.lower() in VIDEO_ENDINGS else inventory.poses
            add_recording(path, name, files, inventory)
        elif (other := describe_keypoints(path)) is not None:
            inventory.error(path, f"{other[0]} and is not read under this name", other[1])
        elif not path.name.startswith("."):
            inventory.note(path, "is neither a video nor keypoints and is not read", "remove it, or correct its name")
    for path in sorted(folder.glob("*")):
        if path.is_file() and not path.name.startswith("."):
            inventory.note(path, "does not lie in a child's folder and is not read", "move it into dataset/PATIENT/")


def describe_keypoints(path: Path) -> tuple[str, str] | None:
    """Return what a file of another program's keypoints is, and its conversion; None for anything else."""
    from childgait.gait.foreign_keypoints import describe_file

    return describe_file(path) if path.is_file() and not path.name.startswith(".") else None


def add_recording(path: Path, name: str, files: dict[str, Path], inventory: Inventory) -> None:
    """Parse a file's name and enter it into `files`; report a name that contradicts its folder or another file."""
    try:
        parsed = parse_video_name(name)
    except StepError as problem:
        inventory.error(path, problem.message, problem.hint)
        return
    if not SUBJECT.fullmatch(path.parent.name):
        inventory.error(path, f"is in the folder {path.parent.name!r}, which is no number of a child", PSEUDONYMS)
    elif parsed.subject != path.parent.name:
        inventory.error(path, f"names child {parsed.subject}, but is in folder {path.parent.name}", "move or rename it")
    if parsed.end < parsed.start:
        inventory.error(path, f"its frame range runs backwards ({parsed.start}-{parsed.end})", "correct its name")
    if name in files:
        inventory.error(path, f"has the same name as {files[name]}", "keep one of the two")
    files[name] = path
    inventory.recordings[name] = parsed
    inventory.subjects.add(parsed.subject)


def check_exclusions(inventory: Inventory, cohort: Cohort) -> None:
    """Check `cohort.exclude` and remove its recordings from the inventory."""
    for name, reason in sorted(cohort.exclude.items()):
        if name not in inventory.recordings:
            inventory.error(
                "params.yaml", f"cohort.exclude names {name}, which is not in the cohort", "correct the name"
            )
        if not reason.strip():
            inventory.error("params.yaml", f"cohort.exclude gives no reason for {name}", "add the reason")
        inventory.recordings.pop(name, None)
        inventory.videos.pop(name, None)
        inventory.poses.pop(name, None)


# --- videos


def check_video(name: str, path: Path, inventory: Inventory) -> None:
    """Check the header, the index and the first frame of a video."""
    import av

    from childgait.files.video import open_video

    exclude = "copy it again from its source, or exclude it in cohort.exclude with the reason"
    try:
        if check_regular(path).st_size == 0:
            inventory.error(path, "is empty", exclude)
            return
        with open_video(path) as container:
            stream = container.streams.video[0]
            check_index(name, path, stream, inventory)
            if container.streams.audio:
                inventory.note(path, "contains sound", "nothing to do: it is dropped")
            first = next(container.decode(stream), None)
            if first is None:
                inventory.error(path, "contains no frame that can be decoded", exclude)
            elif first.rotation % 360:
                inventory.note(
                    path, f"has a rotation flag of {first.rotation % 360} degrees", "nothing to do: it is rotated"
                )
    except StepError as problem:
        inventory.refuse(path, problem)
    except (av.error.FFmpegError, OSError) as error:
        inventory.error(path, f"cannot be read as a video ({getattr(error, 'strerror', None) or error})", exclude)


def check_index(name: str, path: Path, stream: Any, inventory: Inventory) -> None:
    """Check length, rate and completeness by the index; a container without a full index is left to `register`."""
    entries = list(stream.index_entries)
    if not entries or len(entries) != stream.frames:
        return
    parsed = inventory.recordings[name]
    inventory.video_frames[name] = len(entries)
    if max(entry.pos + entry.size for entry in entries) > path.stat().st_size:
        inventory.error(path, "is truncated: its index points beyond its end", "copy it again from its source")
    length = parsed.end - parsed.start + 1
    if length != len(entries):
        inventory.note(
            path, f"has {len(entries)} frames, but {length} by its name", "nothing to do: frames are counted"
        )
    stamps = [entry.timestamp for entry in entries]
    steps = [b - a for a, b in itertools.pairwise(stamps)]
    if not steps:
        inventory.error(path, "contains a single frame", "exclude it in cohort.exclude with the reason")
        return
    seconds = float((stamps[-1] - stamps[0]) * stream.time_base)
    rate = len(steps) / seconds if seconds else 0.0
    inventory.seconds += seconds
    mean = sum(steps) / len(steps)
    if max(abs(step - mean) for step in steps) > 0.05 * mean:
        inventory.note(path, f"its frame rate varies around {rate:.2f}", "nothing to do: time stamps are used")
    elif abs(rate - 60) > 0.3:
        inventory.note(path, f"has a frame rate of {rate:.2f} Hz, not 60", "nothing to do: time stamps are used")


# --- keypoints


def check_all_poses(inventory: Inventory, cohort: Cohort) -> None:
    """Check the keypoints: every frame of a small cohort, else a few frames per recording."""
    from childgait.gait.delivered_keypoints import inspect_delivered

    for name, path in sorted(inventory.poses.items()):
        inventory.pose_frames[name] = len(frame_names(path, inventory))
    whole = inventory.pose_frames.total() <= READ_WHOLE
    for name, path in sorted(inventory.poses.items()):
        if not inventory.pose_frames[name]:
            continue
        if whole:
            try:
                facts = inspect_delivered(path, cohort.pose_layout)
            except StepError as problem:
                inventory.refuse(path, problem)
                continue
            for oddity in facts.oddities:
                inventory.note(path, oddity, "nothing to do: it is handled")
            inventory.pose_frames[name] = facts.frames
        else:
            check_some_frames(path, cohort, inventory)
        frames, length = inventory.pose_frames[name], inventory.video_frames.get(name)
        if length and frames > length:
            inventory.error(path, f"has {frames} frames, but its video {length}", "use keypoints of the same video")
        elif length and frames < length:
            inventory.note(
                path, f"has {frames} frames, its video {length}", "nothing to do: the others count as missing"
            )


def frame_names(path: Path, inventory: Inventory) -> list[str]:
    """List the keypoint files in a folder or zip, in order."""
    from childgait.gait.keypoint_files import open_frames

    try:
        with open_frames(path) as frames:
            names = frames.names
    except (OSError, StepError) as problem:
        inventory.refuse(path, problem)
        return []
    if not names:
        inventory.error(path, "contains no keypoint file", "it should contain frame_000001.json and so on")
    return names


def check_some_frames(path: Path, cohort: Cohort, inventory: Inventory) -> None:
    """Check SAMPLED keypoint files of a recording, evenly spread from the first to the last."""
    import numpy as np

    from childgait.gait.delivered_keypoints import check_unit
    from childgait.gait.keypoint_files import open_frames, parse_frame

    empty = odd = without_info = 0
    people = []
    with open_frames(path) as files:
        last = len(files.names) - 1
        layout = files.layout or LAYOUTS[cohort.pose_layout]
        picked = sorted({round(index * last / (SAMPLED - 1)) for index in range(SAMPLED)})
        for name in (files.names[index] for index in picked):
            try:
                frame = parse_frame(f"{path}/{name}", files.read(name), layout)
            except StepError as problem:
                inventory.refuse(path, problem)
                return
            people.append(frame.people)
            empty += not len(frame.people)
            odd += bool(np.isnan(frame.people[..., :2]).any())
            without_info += not frame.info
            if (frame.info or {}).get("fps") in TRUNCATED_RATES:
                inventory.note(path, "has a frame rate truncated to a whole number", "nothing to do: it is corrected")
    try:
        check_unit(path, people)
    except StepError as problem:
        inventory.refuse(path, problem)
    faults = ((empty, "have no person"), (odd, "have points without a position"), (without_info, "lack video_info"))
    for count, words in faults:
        if count:
            inventory.note(path, f"{count} of {len(picked)} sampled frames {words}", "nothing to do: it is handled")


def check_completeness(root: Path, inventory: Inventory, cohort: Cohort) -> None:
    """Report videos without keypoints, keypoints without videos, and children without one of the four views."""
    for name in sorted(inventory.recordings):
        if cohort.modality == "video" and name not in inventory.videos:
            inventory.error(inventory.poses[name], "has no video", "add it, or set cohort.modality to keypoints")
        if name not in inventory.poses:
            level = inventory.error if cohort.modality == "keypoints" else inventory.note
            mend = "deliver them"
            if cohort.modality == "video":
                mend += (
                    ", or let estimate_pose.backend auto or blazepose estimate them: about 9 s of one core per second "
                    "of video; small toes stay missing"
                )
            level(inventory.videos[name], "has no keypoints", mend)
    views: dict[str, set[str]] = defaultdict(set)
    for parsed in inventory.recordings.values():
        views[parsed.subject].add(parsed.view)
    for subject, present in sorted(views.items()):
        if missing := [view for view in VIEWS if view not in present]:
            inventory.note(
                root / "dataset" / subject,
                f"has no view {', '.join(missing)}",
                "nothing to do: items that need it are not scored for this child",
            )


# --- labels and subjects


def check_labels(path: Path, inventory: Inventory) -> None:
    """Check labels.json: its form, every score, and one entry per child and rater."""
    from childgait.files.labels import read_sheet

    if not path.exists():
        inventory.error(path, "does not exist", "write the scores as a list of entries with patient_id, left and right")
        return
    try:
        rows = read_json(path)
    except (OSError, StepError) as problem:
        inventory.refuse(path, problem)
        return
    if not isinstance(rows, list):
        inventory.error(
            path, f"contains a {type(rows).__name__}, not a list", "write a list of entries with patient_id"
        )
        return
    scored: set[tuple[str, str | None]] = set()
    for number, row in enumerate(rows, start=1):
        if not isinstance(row, dict) or "patient_id" not in row:
            inventory.error(path, f"entry {number} has no patient_id", "name the child")
            continue
        try:
            sheet = read_sheet(path, row, highest=2)
        except StepError as problem:
            inventory.refuse(path, problem)
            continue
        if (sheet.subject, sheet.rater) in scored:
            inventory.error(path, f"scores child {sheet.subject} twice", "keep one entry per child and rater")
        scored.add((sheet.subject, sheet.rater))
        inventory.labelled.add(sheet.subject)
        missing = sum(score is None for limb in sheet.scores.values() for score in limb.values())
        if missing:
            inventory.note(
                path, f"child {sheet.subject} lacks {missing} of 34 scores", "nothing to do: they are missing values"
            )


def check_subjects(path: Path, inventory: Inventory) -> None:
    """Check subjects.csv: its columns, every value, and one row per child."""
    from childgait.files.labels import OTHER_NAMES, REQUIRED, read_child

    if not path.exists():
        inventory.error(path, "does not exist", "write patient_id, age, sex, diagnosis, aid: one row per child")
        return
    try:
        rows = read_rows(path, REQUIRED, OTHER_NAMES)
    except (OSError, StepError) as problem:
        inventory.refuse(path, problem)
        return
    for number, row in rows:
        try:
            child = read_child(path, number, row)
        except StepError as problem:
            inventory.refuse(path, problem)
            continue
        if child["subject"] in inventory.listed:
            inventory.error(path, f"line {number}: child {child['subject']} is listed twice", "keep one row per child")
        inventory.listed.add(child["subject"])
        if child["age_years"] is None:
            inventory.note(path, f"line {number}: child {child['subject']} has no age", "nothing to do")


def compare_lists(root: Path, inventory: Inventory) -> None:
    """Report children that are in one of dataset/, labels.json and subjects.csv but not in another."""
    for subject in sorted(inventory.subjects - inventory.labelled):
        inventory.note(
            root / "dataset" / subject, "has no scores", "nothing to do: the child is in no part of the split"
        )
    for subject in sorted(inventory.labelled - inventory.subjects):
        inventory.note(root / "labels.json", f"scores child {subject}, who has no recording", "nothing to do")
    for subject in sorted(inventory.labelled - inventory.listed) if inventory.listed else ():
        inventory.error(
            root / "subjects.csv", f"does not list child {subject}, who has scores", "add a row for the child"
        )
