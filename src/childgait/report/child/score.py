"""Score children from their raw recordings: find the files, run the study's steps, predict, write the pages.

Everything is written below the output folder: `data/` as in a study (with records), child.html, child.json, child.csv.
Several sessions get a folder each, and every two that follow each other a comparison (visits_0001_0002.html).
"""

from __future__ import annotations

import json
import logging
import sys
from itertools import groupby, pairwise
from pathlib import Path

from childgait.domain.names import parse_video_name
from childgait.engine.record import describe_code
from childgait.engine.video_chain import REVIEW_FIRST, Job, prepare_all, write_params
from childgait.errors import StepError
from childgait.files.atomic import write_json, write_text
from childgait.files.hashes import sha256_of_text
from childgait.files.recordings import Recording
from childgait.params import Evaluate, Gate
from childgait.report.child.assess import (
    Logits,
    Visit,
    assess,
    describe_recordings,
    inputs_of,
    measure_walks,
    part_of,
)
from childgait.report.child.compare import (
    VisitComparison,
    compare_visits,
    inputs_of_pair,
    read_comparison,
    write_comparison_csv,
)
from childgait.report.child.compare_page import build_comparison_page, render_comparison
from childgait.report.child.covering import covering_params
from childgait.report.child.find_recordings import UNNUMBERED, Request, find_recordings
from childgait.report.child.find_view import ViewFinder
from childgait.report.child.page import build_page, render_child
from childgait.report.child.record import ChildRecord, read_record, write_csv
from childgait.training.bundle import Bundle, child_logits_by_run

log = logging.getLogger("childgait")
PAGE, RECORD, TABLE = "child.html", "child.json", "child.csv"


def score_requests(
    requests: list[Request], bundle: Bundle, out: Path, annotations: Path | None, processes: int
) -> list[ChildRecord]:
    """Score every request; several children get a folder each below `out`."""
    children: dict[str, tuple[Request, list[Recording], set[str]]] = {}
    for request in requests:
        folder = out / (request.child or UNNUMBERED) if len(requests) > 1 else out
        finder = ViewFinder(folder, bundle.description.params)
        recordings = find_recordings(request, finder)
        child = recordings[0].subject
        if child in children:
            raise StepError(
                f"two rows are of child {child} and do not state it: "
                f"{children[child][0].paths[0]} and {request.paths[0]}",
                hint="state the number of the child in both rows, or different numbers for different children",
            )
        children[child] = request, recordings, finder.names
    records = []
    for child, (request, recordings, views) in children.items():
        folder = out / child if len(requests) > 1 else out
        records += score_child(request, child, recordings, views, bundle, folder, annotations, processes)
    if len(requests) > 1:
        write_csv(out / TABLE, records)
    return records


def score_child(
    request: Request,
    child: str,
    recordings: list[Recording],
    found_views: set[str],
    bundle: Bundle,
    out: Path,
    annotations: Path | None,
    processes: int,
) -> list[ChildRecord]:
    """Prepare the recordings of a child, score each of its sessions, and compare sessions that follow each other."""
    videos = [recording.video for recording in recordings if recording.video is not None]
    write_params(out, covering_params(bundle.description.params, videos))
    problems = prepare_recordings(recordings, bundle, out, annotations, processes)
    sessions = groupby(
        sorted(recording.name for recording in recordings), key=lambda name: parse_video_name(name).session
    )
    visits = []
    for session, names in sessions:
        age, sex = known_facts(request, child, session)
        visits.append(Visit(child, session, age, sex, list(names), problems, out, found_views=frozenset(found_views)))
    if len(visits) == 1:
        return [score_visit(visits[0], bundle, out)]
    for name in (PAGE, RECORD, TABLE):  # of an earlier call with one session
        (out / name).unlink(missing_ok=True)
    records = [score_visit(visit, bundle, out / visit.session) for visit in visits]
    pairs = list(pairwise(range(len(visits))))
    for first, second in pairs + ([(0, len(visits) - 1)] if len(visits) > 2 else []):
        compare((visits[first], visits[second]), (records[first], records[second]), bundle, out)
    return records


def known_facts(request: Request, child: str, session: str) -> tuple[float | None, str]:
    """Return age and sex at a session: as given, else as the cohort's subjects.csv beside the recordings lists them."""
    from childgait.files.labels import read_children

    age, sex = request.ages_years.get(session, request.age_years), request.sex
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
    problems = {}
    for number, done in enumerate(prepare_all(jobs, processes), start=1):
        state = done.problem or (f"{len(done.ran)} steps run" if done.ran else "nothing to do")
        print(f"[{number} of {len(jobs)}] {done.name}: {state}", file=sys.stderr, flush=True)
        if done.problem:
            problems[done.name] = done.problem
    if any(problem.startswith(REVIEW_FIRST) for problem in problems.values()):
        print(
            f"Hint: look at {out}/data/deidentify/*.heads.jpg. Write a row with the sheet's sha256 into "
            "FOLDER/cleared.csv for each video whose heads are all covered; score again with --annotations FOLDER.",
            file=sys.stderr,
        )
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


def compare(
    visits: tuple[Visit, Visit], records: tuple[ChildRecord, ChildRecord], bundle: Bundle, folder: Path
) -> VisitComparison:
    """Compare two sessions of a child and write their page, unless the files there were made of the same input."""
    inputs = inputs_of_pair(*records, _code())
    stem = folder / f"visits_{visits[0].session}_{visits[1].session}"
    page, numbers, table = (stem.with_suffix(ending) for ending in (".html", ".json", ".csv"))
    if page.is_file() and table.is_file() and numbers.is_file():
        before = read_comparison(numbers)
        if before is not None and before.inputs == inputs:
            print(f"{page}: nothing to compute, the input is the same")
            return before
    first, second = (measure_walks(visit, record.recordings) for visit, record in zip(visits, records, strict=True))
    repeatability = bundle.description.repeatability
    comparison = compare_visits(*records, (first.curves, second.curves), repeatability, inputs)
    write_text(page, render_comparison(build_comparison_page(comparison, records, (first, second), bundle)))
    write_comparison_csv(table, comparison)
    write_json(numbers, comparison.model_dump(mode="json"))
    both = comparison.totals[-1]
    print(f"{page}: {both.judged} of {len(comparison.items)} items assessed in both visits")
    return comparison


def _code() -> str:
    """Return one hash of the source files that a score depends on."""
    return sha256_of_text(json.dumps(describe_code(score_child), sort_keys=True))


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
