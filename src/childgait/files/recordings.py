"""Lists the recordings of a cohort folder in the release's layout (domain/names.py). Opens no file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from childgait.domain.names import POSE_FOLDER, VIDEO_ENDINGS, parse_video_name
from childgait.errors import StepError


@dataclass(frozen=True)
class Recording:
    """The files of one recording in the cohort; either may be missing."""

    name: str
    subject: str
    video: Path | None
    poses: Path | None  # the packed keypoints (.zip) where they exist, else the folder of one-frame files


def list_recordings(root: Path) -> list[Recording]:
    """List every recording below `root/dataset`, by name; fail on a name of another form."""
    folder = root / "dataset"
    if not folder.is_dir():
        raise StepError(
            f"the cohort folder {root} has no folder 'dataset'",
            hint="point cohort.root at a folder in the release's layout, or run `make run` for the demo cohort",
        )
    videos: dict[str, Path] = {}
    poses: dict[str, Path] = {}
    for path in sorted(folder.glob("*/*")):
        if path.suffix.lower() in VIDEO_ENDINGS:
            if path.stem in videos:
                raise StepError(f"two videos are named {path.stem} ({videos[path.stem]} and {path})", hint="keep one")
            videos[path.stem] = path
        elif path.name.endswith(POSE_FOLDER + ".zip"):
            poses[path.name.removesuffix(POSE_FOLDER + ".zip")] = path
        elif path.is_dir() and path.name.endswith(POSE_FOLDER):
            poses.setdefault(path.name.removesuffix(POSE_FOLDER), path)
    names = sorted(videos.keys() | poses.keys())
    return [Recording(n, parse_video_name(n).subject, videos.get(n), poses.get(n)) for n in names]
