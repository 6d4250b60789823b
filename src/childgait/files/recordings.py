"""Lists the recordings of a cohort folder in the release's layout (domain/names.py). Opens no file.

Names of folders and files become wildcards, command lines, paths of records and lines of logs, so the grammar of
names is checked here, where they enter. A name outside the grammar may be a child's: errors contain its first letter
and its length only; `childgait check-cohort` prints it on the terminal.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from childgait.domain.names import POSE_FOLDER, SUBJECT, VIDEO_ENDINGS, parse_video_name
from childgait.errors import StepError
from childgait.user_files import mask

_CACHE_OBJECT = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")  # DVC links a file to an object of its cache
POSE_ENDINGS = (".zip", ".csv", ".json")  # of packed keypoints, and of one file per video of another program
PSEUDONYMS = "name folders and files by pseudonyms of digits: `childgait pseudonymize SOURCE OUT KEY` does"


@dataclass(frozen=True)
class Recording:
    """The files of one recording in the cohort; either may be missing."""

    name: str
    subject: str
    video: Path | None
    poses: Path | None  # packed keypoints (.zip) where they exist, else one file (.csv, .json) or a folder of files


def list_recordings(root: Path) -> list[Recording]:
    """List every recording below `root/dataset`, by name; fail on a name of another form."""
    folder = root / "dataset"
    if not folder.is_dir():
        raise StepError(
            f"the cohort folder {root} has no folder 'dataset'",
            hint="point cohort.root at a folder in the release's layout, or run `make run` for the demo cohort",
        )
    paths = []
    for path in sorted(folder.glob("*/*")):
        if name := recording_name(path):
            check_place(path, name)
            check_link(path, root)
            paths.append(path)
    return collect_recordings(paths)


def collect_recordings(paths: list[Path], *, strict: bool = True) -> list[Recording]:
    """Pair videos with their keypoints by name. Not `strict`: keypoints alone, whatever their name."""
    videos: dict[str, Path] = {}
    poses: dict[str, Path] = {}
    for path in paths:
        name = recording_name(path)
        if name is None:
            continue
        if path.suffix.lower() in VIDEO_ENDINGS:
            if name in videos:
                raise StepError(f"two videos are named {name} ({videos[name]} and {path})", hint="keep one")
            videos[name] = path
        elif name in poses and not {poses[name].suffix, path.suffix} <= {"", ".zip"}:
            raise StepError(f"{name} has keypoints twice ({poses[name].name} and {path.name})", hint="keep one")
        elif path.suffix == ".zip":
            poses[name] = path
        else:
            poses.setdefault(name, path)
    names = sorted(videos.keys() | poses.keys())
    if not strict:
        return [Recording(name, "", None, poses[name]) for name in sorted(poses)]
    return [Recording(n, parse_video_name(n).subject, videos.get(n), poses.get(n)) for n in names]


def recording_name(path: Path) -> str | None:
    """Return the name of the recording that a file or folder belongs to by its ending; None for any other."""
    if path.suffix.lower() in VIDEO_ENDINGS:
        return path.stem
    if path.name.endswith(tuple(POSE_FOLDER + ending for ending in POSE_ENDINGS)):
        return path.name.removesuffix(path.suffix).removesuffix(POSE_FOLDER)
    if path.name.endswith(POSE_FOLDER) and path.is_dir():
        return path.name.removesuffix(POSE_FOLDER)
    return None


def check_place(path: Path, name: str) -> None:
    """Fail unless a recording's name has the form of the release and lies in the folder of its child."""
    folder = path.parent.name
    if not SUBJECT.fullmatch(folder):
        raise StepError(
            f"a folder of recordings in {path.parent.parent} is no number of a child: {mask(folder)}", hint=PSEUDONYMS
        )
    try:
        subject = parse_video_name(name).subject
    except StepError as error:
        raise StepError(
            f"the name of a file in {path.parent} is not of the form PATIENT-SESSION_VIEW_START-END: {mask(name)}",
            hint=f"{error.hint}; {PSEUDONYMS}",
        ) from None
    if subject != folder:
        raise StepError(f"{path} names child {subject}, but is in folder {folder}", hint="move or rename it")


def check_link(path: Path, root: Path) -> None:
    """Fail on a link that leads out of the cohort, except into DVC's cache, and on what is no file or folder."""
    linked = path.is_symlink() or path.parent.is_symlink()
    if linked:
        target = os.path.realpath(path)
        inside = Path(target).is_relative_to(os.path.realpath(root))
        if not inside and not _CACHE_OBJECT.search(target):
            raise StepError(
                f"{path} is a link out of the cohort", hint="copy the file there, or make cohort.root itself the link"
            )
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise StepError(f"{path} is neither a file nor a folder (a FIFO, socket or device)", hint="remove it")
