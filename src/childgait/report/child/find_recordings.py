"""Find the recordings of one child: in a cohort's folder, in a child's folder, or among single videos."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from childgait.domain.evgs import VIEWS, View
from childgait.domain.names import VIDEO_ENDINGS, parse_video_name
from childgait.errors import StepError
from childgait.files.recordings import Recording, collect_recordings, list_recordings
from childgait.files.tombstones import refuse_erased
from childgait.report.child.find_view import ViewFinder
from childgait.user_files import mask, shorten

YOUNGEST, OLDEST = 0.05, 120.0  # years, as in subjects.csv
UNNUMBERED = "0000"  # child of videos without a number in their names


@dataclass(frozen=True)
class Request:
    """One child to score: its paths, and what is known of it."""

    paths: list[Path]
    views: list[str] = field(default_factory=list)  # of videos whose names do not state it, in their order
    child: str | None = None
    age_years: float | None = None
    sex: str | None = None
    sessions: list[str] = field(default_factory=list)  # of the same videos as `views`, else one session
    ages_years: dict[str, float] = field(default_factory=dict)  # by session, where they differ


def check_request(request: Request) -> None:
    """Check the child's number and its age, which become file names and the normative band."""
    if request.child is not None and not re.fullmatch("[0-9]{4,12}", request.child):
        raise StepError(
            f"the child's number is {shorten(request.child)}",
            hint="give four to twelve digits, as 0042: a pseudonym, never a name",
        )
    for age in (request.age_years, *request.ages_years.values()):
        if age is not None and not YOUNGEST < age < OLDEST:
            raise StepError(f"the age is {age:g} years", hint="give it in years, as 8.5, or leave it out")
    for session in request.sessions:
        if not re.fullmatch("[0-9]{4,12}", session):
            raise StepError(f"the session is {shorten(session)}", hint="give four to twelve digits, as 0001 and 0002")


def find_recordings(request: Request, finder: ViewFinder | None = None) -> list[Recording]:
    """Find the recordings of the one child that a request names; `finder` finds views that nothing states."""
    check_request(request)
    recordings: list[Recording] = []
    files: list[Path] = []
    for path in request.paths:
        if not path.exists():
            raise StepError(f"{path} does not exist", hint="give a video, a child's folder, or a cohort's folder")
        if (path / "dataset").is_dir():
            recordings += list_recordings(path)
        elif path.is_dir():
            recordings += collect_recordings(sorted(path.iterdir()))
        else:
            files.append(path)
    recordings += name_files(files, request, finder)
    children = sorted({recording.subject for recording in recordings})
    if request.child is not None:
        recordings = [recording for recording in recordings if recording.subject == request.child]
    if not recordings:
        where = ", ".join(map(str, request.paths)) or "no path"
        who = f"child {request.child}" if request.child else "a child"
        raise StepError(f"there is no recording of {who} in {where}", hint="check the path and --child")
    if len({recording.subject for recording in recordings}) > 1:
        raise StepError(
            f"there are recordings of {len(children)} children ({children[0]} to {children[-1]})",
            hint="name one by --child, or list several in a table for --table",
        )
    if any(recording.video is None for recording in recordings):
        recordings = [recording for recording in recordings if recording.video is not None]
        if not recordings:
            raise StepError("there are keypoints, but no video", hint="give the videos, or run a study on keypoints")
    refuse_erased(recordings[0].subject)
    return recordings


def name_files(files: list[Path], request: Request, finder: ViewFinder | None = None) -> list[Recording]:
    """Return recordings of single files; one whose name does not state child and view is named from --view."""
    from childgait.files.video import probe

    named, unnamed = _split_by_name(files)
    if len(request.views) != len(unnamed) and (request.views or finder is None):
        raise StepError(
            f"{len(unnamed)} video(s) have names without a view, but {len(request.views)} view(s) were given"
            + (f"; first {mask(unnamed[0].name)}" if unnamed else ""),
            hint=f"give one of {', '.join(VIEWS)} for each by --view, in the order of the paths",
        )
    for view in request.views:
        _check_view(view)
    if request.sessions and len(request.sessions) != len(unnamed):
        raise StepError(
            f"{len(unnamed)} video(s) have names without a session, but {len(request.sessions)} session(s) were given",
            hint="give one for each by --session, in the order of the paths",
        )
    recordings = [
        recording for path in named for recording in collect_recordings(sorted(path.parent.glob(f"{path.stem}*")))
    ]
    for place, path in enumerate(unnamed):
        poses = [one.poses for one in collect_recordings(sorted(path.parent.glob(f"{path.stem}_*")), strict=False)]
        recordings.append(_name_file(place, path, poses[0] if poses else None, probe(path).frames, request, finder))
        if sum(recording.name == recordings[-1].name for recording in recordings) > 1:
            view = parse_video_name(recordings[-1].name).view
            raise StepError(
                f"two videos are {view} views of one session",
                hint="score them one by one, or state view and session of each by --view and --session",
            )
    return recordings


def _split_by_name(files: list[Path]) -> tuple[list[Path], list[Path]]:
    """Return the videos whose names have the release's form, and the others; fail on a file that is no video."""
    named: list[Path] = []
    unnamed: list[Path] = []
    for path in files:
        if path.suffix.lower() not in VIDEO_ENDINGS:
            raise StepError(f"{path} is no video", hint=f"videos end in {', '.join(VIDEO_ENDINGS)}")
        try:
            parse_video_name(path.stem)
            named.append(path)
        except StepError:
            unnamed.append(path)
    return named, unnamed


def _name_file(
    place: int, path: Path, poses: Path | None, frames: int, request: Request, finder: ViewFinder | None
) -> Recording:
    """Name one video in the release's form: from the request, or by the view that `finder` finds."""
    child = request.child or UNNUMBERED
    session = request.sessions[place] if request.sessions else "0001"
    if request.views:
        view = _check_view(request.views[place])
    else:
        assert finder is not None
        view = finder.find(f"{child}-{place + 1:04d}_forward_1-{frames}", path, poses)
    recording = Recording(f"{child}-{session}_{view}_1-{frames}", child, path, poses)
    if not request.views and finder is not None:
        finder.names.add(recording.name)
    return recording


def _check_view(view: str) -> View:
    for candidate in VIEWS:
        if view == candidate:
            return candidate
    raise StepError(f"{shorten(view)} is no view", hint=f"views are {', '.join(VIEWS)}")
