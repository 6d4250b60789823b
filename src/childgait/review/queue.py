"""The queue: what waits for a person, why, and in the order of what blocks the study."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, cast

from childgait.review.decisions import Decisions
from childgait.review.ratings import Ratings
from childgait.review.second_reading import open_items
from childgait.review.study import Study
from childgait.user_files import read_facts

Kind = Literal["clear", "choose", "gate", "legs", "rate", "reread", "arbitrate"]
State = Literal["waits", "held", "run"]
TITLES: dict[Kind, str] = {
    "clear": "Held videos",
    "choose": "Children not chosen",
    "gate": "Frames below the gate",
    "legs": "Doubtful legs",
    "rate": "Unscored items",
    "reread": "Second readings",
    "arbitrate": "Disagreements",
}
DOUBTFUL_LEGS = 0.05  # share of frames with exchanged legs from which a person should look


@dataclass(frozen=True)
class Entry:
    """One thing that waits: `held` for a person who put it aside, `run` for the next run of the chain."""

    kind: Kind
    name: str  # recording, or child
    why: str
    state: State = "waits"
    by: str = ""  # whose decision waits for a run, or who put it aside


@dataclass(frozen=True)
class Progress:
    """How many of a kind are decided."""

    kind: Kind
    title: str
    done: int
    total: int


def cleared_row(row: dict[str, str], sha256: str) -> bool:
    """Whether a row of cleared.csv accepts the video with this hash."""
    return row["sha256"] == sha256


def make_queue(study: Study, decisions: Decisions, rater: str | None = None, arbiter: bool = False) -> list[Entry]:
    """List everything that waits, blocking things first; within a kind what waits precedes what was put aside."""
    videos = [str(name) for name in study.recordings()]
    rows = {
        table: {row["video"]: row for row in decisions.rows(table)}
        for table in ("regions", "cleared", "selections", "corrections")
    }
    entries = [entry for video in videos for entry in _entries_of(study, rows, video)]
    if rater is not None:
        entries += list(_unscored(study, rater))
        entries += list(_unread(study, rater))
    if arbiter:
        entries += list(_disputed(study, rater))
    kinds, states = list(TITLES), ("waits", "held", "run")
    return sorted(entries, key=lambda one: (kinds.index(one.kind), states.index(one.state), one.name))


def progress(study: Study, entries: list[Entry]) -> list[Progress]:
    """Count what is decided per kind; a decision that waits for a run counts as decided."""
    videos = study.recordings()
    children = len({video.subject for video in videos})
    totals = {kind: children if kind in ("rate", "reread", "arbitrate") else len(videos) for kind in TITLES}
    return [
        Progress(kind, title, totals[kind] - sum(one.kind == kind and one.state != "run" for one in entries), total)
        for kind, title in TITLES.items()
        if (total := totals[kind])
    ]


Rows = dict[str, dict[str, dict[str, str]]]


def _entries_of(study: Study, rows: Rows, video: str) -> Iterator[Entry]:
    """Yield what waits of one recording: what blocks first hides what follows."""
    facts = read_facts(study.file("deidentify", video, ".evidence.json"), "verdict", "reasons")
    if facts["verdict"] == "held":
        yield _held(study, rows, video, str(facts.get("decoded_sha256")), cast(list[str], facts["reasons"]))
        return
    if facts["verdict"] == "keypoints" or not _some(study.data / "segment", ".summary.json"):
        return
    summary = study.file("segment", video, ".summary.json")
    if not summary.is_file():
        why = "no child was found in it, or several people may be the child"
        yield _with_decision(study, rows, "selections", video, summary, Entry("choose", video, why))
        return
    segment = read_facts(summary, "ok", "frames_below_gate", "frames", "flags")
    if not segment["ok"]:
        why = f"{segment['frames_below_gate']} of {segment['frames']} frames have a doubtful mask"
        yield _with_decision(study, rows, "selections", video, summary, Entry("gate", video, why))
    if why := _doubtful_legs(study, video):
        refined = study.file("refine_pose", video, ".summary.json")
        yield _with_decision(study, rows, "corrections", video, refined, Entry("legs", video, why))


def _some(folder: Path, ending: str) -> bool:
    return any(folder.glob(f"*{ending}"))


def _held(study: Study, rows: Rows, video: str, sha256: str, reasons: list[str]) -> Entry:
    entry = Entry("clear", video, "; ".join(reasons))
    row = rows["cleared"].get(video)
    if row and cleared_row(row, sha256):
        return Entry("clear", video, "cleared", "run", row["reviewer"])
    evidence = study.file("deidentify", video, ".evidence.json")
    entry = _with_decision(study, rows, "regions", video, evidence, entry)
    if entry.state == "waits" and row and not row["sha256"]:
        return Entry("clear", video, row["reason"], "held", row["reviewer"])
    return entry


def _with_decision(study: Study, rows: Rows, table: str, video: str, made: Path, entry: Entry) -> Entry:
    """Mark an entry whose decision is newer than the output that it concerns: it waits for a run."""
    row = rows[table].get(video)
    if row is None or not row.get("time"):
        return entry
    made_at = made.stat().st_mtime if made.exists() else 0.0
    try:
        decided = datetime.fromisoformat(row["time"]).astimezone(UTC).timestamp()
    except ValueError:
        return entry
    if decided <= made_at:
        return entry
    return Entry(entry.kind, video, row.get("reason", ""), "run", row.get("reviewer", ""))


def _doubtful_legs(study: Study, video: str) -> str:
    """Return why the legs of a recording are doubtful, or nothing."""
    path = study.file("refine_pose", video, ".summary.json")
    if not path.is_file():
        return ""
    facts = read_facts(path, "frames", "frames_swapped", "share_legs_missing")
    frames = int(str(facts["frames"]))
    doubtful = disagreed = 0
    estimate = study.file("estimate_pose", video, ".summary.json")
    if estimate.is_file():
        estimated = read_facts(estimate, "backend")
        doubtful, disagreed = (int(str(estimated.get(f"frames_{key}") or 0)) for key in ("doubtful", "disagreed"))
    reasons = []
    if disagreed > DOUBTFUL_LEGS * frames:
        reasons.append(f"the joints may be another person's in {disagreed} of {frames} frames")
    exchanged = max(int(str(facts["frames_swapped"])), doubtful)
    if exchanged > DOUBTFUL_LEGS * frames:
        reasons.append(f"left and right leg were exchanged in {exchanged} of {frames} frames")
    missing = float(str(facts["share_legs_missing"]))
    if missing > study.most_legs_missing / 2:
        reasons.append(f"{missing:.0%} of the leg points are missing")
    return "; ".join(reasons)


def _children(study: Study) -> list[str]:
    return sorted({video.subject for video in study.recordings()})


def _unscored(study: Study, rater: str) -> Iterator[Entry]:
    ratings = Ratings(study.labels, study.annotations, study.highest)
    done = ratings.answered(rater)
    for child in _children(study):
        if (count := done.get(child, 0)) < ratings.items:
            yield Entry("rate", child, f"{ratings.items - count} of {ratings.items} items without your score")


def _unread(study: Study, rater: str) -> Iterator[Entry]:
    for child, targets in open_items(study, rater).items():
        yield Entry("reread", child, f"{len(targets)} items for a second reading, without your first scores")


def _disputed(study: Study, arbiter: str | None) -> Iterator[Entry]:
    ratings = Ratings(study.labels, study.annotations, study.highest)
    for child, targets in ratings.disputes(arbiter).items():
        yield Entry("arbitrate", child, f"raters differ in {len(targets)} items")
