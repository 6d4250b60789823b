"""Score children from their raw recordings: find the files, run the study's steps, predict, write the pages.

Everything is written below the output folder: `data/` as in a study (with records), child.html, child.json, child.csv.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from childgait.domain.evgs import VIEWS, View
from childgait.domain.names import VIDEO_ENDINGS, parse_video_name
from childgait.engine.record import describe_code
from childgait.engine.video_chain import Job, prepare_all
from childgait.errors import StepError
from childgait.files.atomic import write_json, write_text
from childgait.files.hashes import sha256_of_text
from childgait.files.recordings import Recording, collect_recordings, list_recordings
from childgait.files.tombstones import refuse_erased
from childgait.params import Evaluate, Gate
from childgait.report.child.assess import Logits, Visit, assess, describe_recordings, inputs_of, measure_walks, part_of
from childgait.report.child.page import build_page, render_child
from childgait.report.child.record import ChildRecord, read_record, write_csv
from childgait.training.bundle import Bundle, child_logits_by_run
from childgait.user_files import mask, shorten

log = logging.getLogger("childgait")
PAGE, RECORD, TABLE = "child.html", "child.json", "child.csv"
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


def score_requests(
    requests: list[Request], bundle: Bundle, out: Path, annotations: Path | None, processes: int
) -> list[ChildRecord]:
    """Score every request; several children get a folder each below `out`."""
    records = []
    for request in requests:
        recordings = find_recordings(request)
        child = recordings[0].subject
        folder = out / child if len(requests) > 1 else out
        records += score_child(request, child, recordings, bundle, folder, annotations, processes)
    if len(requests) > 1:
        write_csv(out / TABLE, records)
    return records


def check_request(request: Request) -> None:
    """Check the child's number and its age, which become file names and the normative band."""
    if request.child is not None and not re.fullmatch("[0-9]{4,12}", request.child):
        raise StepError(
            f"the child's number is {shorten(request.child)}",
            hint="give four to twelve digits, as 0042: a pseudonym, never a name",
        )
    if request.age_years is not None and not YOUNGEST < request.age_years < OLDEST:
        raise StepError(f"the age is {request.age_years:g} years", hint="give it in years, as 8.5, or leave it out")


def find_recordings(request: Request) -> list[Recording]:
    """Find the recordings of the one child that a request names."""
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
    recordings += name_files(files, request)
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


def name_files(files: list[Path], request: Request) -> list[Recording]:
    """Return recordings of single files; one whose name does not state child and view is named from --view."""
    from childgait.files.video import probe

    named, unnamed = [], []
    for path in files:
        if path.suffix.lower() not in VIDEO_ENDINGS:
            raise StepError(f"{path} is no video", hint=f"videos end in {', '.join(VIDEO_ENDINGS)}")
        try:
            parse_video_name(path.stem)
            named.append(path)
        except StepError:
            unnamed.append(path)
    if len(request.views) != len(unnamed):
        raise StepError(
            f"{len(unnamed)} video(s) have names without a view, but {len(request.views)} view(s) were given"
            + (f"; first {mask(unnamed[0].name)}" if unnamed else ""),
            hint=f"give one of {', '.join(VIEWS)} for each by --view, in the order of the paths",
        )
    recordings = [
        recording for path in named for recording in collect_recordings(sorted(path.parent.glob(f"{path.stem}*")))
    ]
    for path, view in zip(unnamed, request.views, strict=True):
        name = f"{request.child or UNNUMBERED}-0001_{_check_view(view)}_1-{probe(path).frames}"
        if any(recording.name == name for recording in recordings):
            raise StepError(f"two videos are {view} views of one session", hint="score them one by one")
        poses = [one.poses for one in collect_recordings(sorted(path.parent.glob(f"{path.stem}_*")), strict=False)]
        recordings.append(Recording(name, parse_video_name(name).subject, path, poses[0] if poses else None))
    return recordings


def _check_view(view: str) -> View:
    for candidate in VIEWS:
        if view == candidate:
            return candidate
    raise StepError(f"{view!r} is no view", hint=f"views are {', '.join(VIEWS)}")


def score_child(
    request: Request,
    child: str,
    recordings: list[Recording],
    bundle: Bundle,
    out: Path,
    annotations: Path | None,
    processes: int,
) -> list[ChildRecord]:
    """Prepare the recordings of a child, then score each of its sessions."""
    out.mkdir(parents=True, exist_ok=True)
    params = out / "params.yaml"  # JSON is YAML
    settings = json.dumps(bundle.description.params, indent=1, ensure_ascii=False) + "\n"
    if not params.exists() or params.read_text(encoding="utf-8") != settings:
        write_text(params, settings)
    problems = prepare_recordings(recordings, bundle, out, annotations, processes)
    age, sex = known_facts(request, child)
    sessions = groupby(
        sorted(recording.name for recording in recordings), key=lambda name: parse_video_name(name).session
    )
    visits = [Visit(child, session, age, sex, list(names), problems, out) for session, names in sessions]
    return [score_visit(visit, bundle, out / visit.session if len(visits) > 1 else out) for visit in visits]


def known_facts(request: Request, child: str) -> tuple[float | None, str]:
    """Return age and sex: as given, else as the cohort's subjects.csv beside the recordings lists them."""
    from childgait.files.labels import read_children

    age, sex = request.age_years, request.sex
    for path in request.paths:
        for folder in (path, path.parent.parent, path.parent.parent.parent):
            listed = folder / "subjects.csv"
            if listed.is_file() and (age is None or sex is None):
                rows = read_children(listed).filter(subject=child).to_dicts()
                if rows:
                    age = rows[0]["age_years"] if age is None else age
                    sex = rows[0]["sex"] if sex is None else sex
    return age, sex or "unknown"


def prepare_recordings(
    recordings: list[Recording], bundle: Bundle, out: Path, annotations: Path | None, processes: int
) -> dict[str, str]:
    """Run the steps of every recording; returns the sentence of each that could not be finished."""
    layout = bundle.description.params["cohort"]["pose_layout"]
    jobs = [
        Job(
            name=one.name,
            video=one.video.resolve(),
            poses=None if one.poses is None else one.poses.resolve(),
            layout=layout,
            folder=out.resolve(),
            params=(out / "params.yaml").resolve(),
            annotations=None if annotations is None else annotations.resolve(),
        )
        for one in recordings
        if one.video is not None
    ]
    problems, steps = {}, 0
    for number, done in enumerate(prepare_all(jobs, processes), start=1):
        steps += len(done.ran)
        state = done.problem or (f"{len(done.ran)} steps run" if done.ran else "nothing to do")
        print(f"[{number} of {len(jobs)}] {done.name}: {state}", file=sys.stderr, flush=True)
        if done.problem:
            problems[done.name] = done.problem
    return problems


def score_visit(visit: Visit, bundle: Bundle, folder: Path) -> ChildRecord:
    """Score one session and write its page, unless the files there were made of the same input."""
    inputs = inputs_of(visit, bundle, _code())
    page, record_path, table = folder / PAGE, folder / RECORD, folder / TABLE
    if page.is_file() and table.is_file() and record_path.is_file():
        try:
            before = read_record(record_path)
        except StepError:
            before = None
        if before is not None and before.inputs == inputs:
            print(f"{page}: nothing to compute, the input is the same")
            return before
    gate, windows = bundle_settings(bundle)
    recordings = describe_recordings(visit, gate)
    walks = measure_walks(visit, recordings)
    logits: Logits = {}
    if walks.clips:
        print(
            f"child {visit.child}, session {visit.session}: {len(walks.clips)} recordings", file=sys.stderr, flush=True
        )
        logits = child_logits_by_run(bundle, part_of(visit, walks.clips), windows)
    record = assess(visit, recordings, walks, bundle, logits, inputs)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(page, render_child(build_page(record, walks, visit, bundle)))
    write_csv(table, [record])
    write_json(record_path, record.model_dump(mode="json"))
    print(f"{page}: {summary(record)}")
    return record


def _code() -> str:
    """Return one hash of the source files that a score depends on."""
    return sha256_of_text(json.dumps(describe_code(score_visit), sort_keys=True))


def bundle_settings(bundle: Bundle) -> tuple[Gate, int]:
    """Return the limits of the gates and the number of windows per video."""
    params = bundle.description.params
    evaluation = Evaluate.model_validate(params["evaluate"])
    return Gate.model_validate(params["gate"]), evaluation.windows_per_video


def summary(record: ChildRecord) -> str:
    """Return the result in one line."""
    if not record.fit:
        reasons = "; ".join(f"{one.video}: {', '.join(one.reasons)}" for one in record.recordings)
        return f"no recording could be used ({reasons})"
    both = record.totals[-1]
    stamp = "; synthetic training data, not for use on a person" if record.synthetic else ""
    return f"{both.answered} of {both.items} items answered, {both.atypical} atypical{stamp}"
