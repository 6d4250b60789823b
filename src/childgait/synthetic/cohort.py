"""Writes the cohort in the release's layout, one child per job, with `truth/` beside it.

Every child draws from its own seed, so the files are the same on any number of processes, and a job keeps nothing of a
child once it is written: memory does not grow with the number of children.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NotRequired, TypedDict

from childgait.domain.evgs import BY_CODE, CODES, LIMBS
from childgait.domain.tasks import CLASS_COLUMNS
from childgait.errors import StepError
from childgait.files.atomic import write_json, write_text
from childgait.files.hashes import sha256
from childgait.files.tombstones import is_erased
from childgait.params import Synthesize
from childgait.synthetic.child import Child
from childgait.synthetic.conditions import conditions_of
from childgait.synthetic.population import cohort_child
from childgait.synthetic.rating import RATINGS, Scores, draw_rater, rate_child, severity_of, stream

if TYPE_CHECKING:
    from pydantic import JsonValue

    from childgait.synthetic.recording import Recording, WrittenRecording


class LabelRow(TypedDict):
    """One child in labels.json: ordinal scores under the items' numbers, and their sum as `Total`."""

    patient_id: str
    rater: NotRequired[str]  # the second rater alone is named, so that the first one's scores are the labels
    left: dict[str, int]
    right: dict[str, int]


class CohortSummary(TypedDict):
    """The content of cohort.json."""

    made_by: str
    params: dict[str, JsonValue]
    recordings: list[WrittenRecording]


class WrittenChild(NamedTuple):
    """What the cohort's tables need of one child."""

    labels: list[LabelRow]  # one per rater
    subject: dict[str, object]  # the child, its severity and its scores
    recordings: list[Recording]


def child_of(index: int, params: Synthesize) -> tuple[Child, Scores]:
    """Return the cohort's child number `index`, from 0, and its scores: no picture is made."""
    child = cohort_child(index, params)
    raters = []
    if params.population == "clinic":
        raters = [draw_rater(stream(params.seed, 0, 7, number)) for number in range(len(RATINGS))]
    return child, rate_child(child, params.rater_margin, stream(params.seed, index, 1), raters)


def label_row(child: Child, scores: Scores, rating: str = "rated") -> LabelRow:
    """Return the child's row of labels.json, as the release has it; that of the second rater names the rater."""
    left, right = (_rated(scores, limb, rating) for limb in LIMBS)
    row: LabelRow = {"patient_id": child.subject, "left": left, "right": right}
    return row if rating == "rated" else {**row, "rater": rating}


def _label_rows(child: Child, scores: Scores) -> list[LabelRow]:
    ratings = [rating for rating in RATINGS if rating in scores["left"]["IC"]]
    return [label_row(child, scores, rating) for rating in ratings]


def _rated(scores: Scores, limb: str, rating: str) -> dict[str, int]:
    rated = {str(BY_CODE[code].number): int(scores[limb][code][rating]) for code in CODES}
    return rated | {"Total": sum(rated.values())}


def _make_child(index: int, root: Path, params: Synthesize) -> WrittenChild:
    """Render all recordings of one child; return what the cohort's tables need of it."""
    from childgait.synthetic.recording import record_child

    child, scores = child_of(index, params)
    recordings = record_child(index, child, scores, root, params)
    return WrittenChild(_label_rows(child, scores), subject_facts(child, scores, params), recordings)


def subject_facts(child: Child, scores: Scores, params: Synthesize) -> dict[str, object]:
    """Return what is known of a child: its plan, severity and scores, and with `conditions` its classes."""
    facts = asdict(child) | {"severity": severity_of(scores), "scores": scores}
    return facts | conditions_of(child, scores) if params.conditions else facts


def _made(root: Path, params: Synthesize, processes: int) -> Iterator[WrittenChild]:
    # A child whose data was erased is not made again; the others stay as they are, each from its own seed.
    indices = [index for index in range(params.subjects) if not is_erased(f"{index + 1:04d}")]
    if processes == 1:
        for index in indices:
            yield _make_child(index, root, params)
        return
    try:
        with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
            yield from pool.map(_make_child, indices, [root] * len(indices), [params] * len(indices))
    except BrokenProcessPool as error:
        raise StepError(
            "a process that renders videos was ended by the system",
            hint="free disk space or memory (on a full disk: No space left on device), or use fewer --processes",
        ) from error


def write_cohort(root: Path, params: Synthesize, processes: int) -> CohortSummary:
    """Write the whole cohort below `root`; return the content of cohort.json."""
    from tqdm import tqdm

    (root / "dataset").mkdir(parents=True)
    (root / "truth").mkdir()
    labels: list[LabelRow] = []
    subjects: dict[str, dict[str, object]] = {}
    recordings: list[WrittenRecording] = []
    for entry in tqdm(
        _made(root, params, processes), total=params.subjects, desc="children", unit="child", mininterval=1
    ):
        labels += entry.labels
        subjects[entry.labels[0]["patient_id"]] = entry.subject
        recordings += [_with_files(root, recording) for recording in entry.recordings]
    write_json(root / "labels.json", labels)
    write_text(root / "subjects.csv", subjects_text(subjects.values(), params))
    write_json(root / "truth" / "subjects.json", subjects)
    summary: CohortSummary = {
        "made_by": "childgait synthesize",
        "params": params.model_dump(mode="json"),
        "recordings": recordings,
    }
    write_json(root / "cohort.json", summary)
    return summary


def subjects_text(subjects: Iterable[Mapping[str, object]], params: Synthesize) -> str:
    """Return the content of subjects.csv; with `conditions` it has the columns of the classes."""
    columns = ["subject", "age_years", "sex", "diagnosis", "aid", "severity"]
    if params.conditions:
        columns += CLASS_COLUMNS
    lines = [",".join(["patient_id", *columns[1:]])]
    lines += [",".join(str(subject[key]) for key in columns) for subject in subjects]
    return "\n".join(lines) + "\n"


def _with_files(root: Path, recording: Recording) -> WrittenRecording:
    """Add size and hash of the recording's files."""
    video_bytes, video_sha256 = _measure_file(root / recording["video"])
    poses_bytes, poses_sha256 = _measure_file(root / recording["poses"])
    return {
        **recording,
        "video_bytes": video_bytes,
        "video_sha256": video_sha256,
        "poses_bytes": poses_bytes,
        "poses_sha256": poses_sha256,
    }


def _measure_file(path: Path) -> tuple[int, str]:
    """Return size and hash of a file, or of a folder's files together."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files), sha256(path) if path.is_file() else _sha256_of_folder(files)


def _sha256_of_folder(files: list[Path]) -> str:
    from childgait.files.hashes import sha256_of_text

    return sha256_of_text(json.dumps([[file.name, sha256(file)] for file in files]))
