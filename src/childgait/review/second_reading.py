"""Chooses items for a blinded second reading: those on which the models and a rater differ most, and as many others.

The others, on which both agree, are mixed in so that the choice of an item does not reveal that the models differ. The
models' probabilities are those of `evaluate` for children whom a run did not train on, averaged over all runs. A second
reading is offered some days after the first one, whose scores are hidden from its start to its end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.domain.evgs import TARGET_NAMES, TARGETS, Target
from childgait.files.hashes import sha256_of_text
from childgait.files.labels import subject_name
from childgait.review.ratings import UNANSWERED, Entry, Ratings, Score, answer_of, entry_of, item_number, second_name

if TYPE_CHECKING:
    from childgait.review.study import Study

COUNT = 20  # items per rater on which the models differ
DIFFERENCE = 0.5  # from which a probability of atypical differs from a rater's score
DAYS = 14  # between the two readings


@dataclass(frozen=True)
class Difference:
    """An item of a child that a rater has scored, and how far the models' mean probability is from the score."""

    child: str
    target: str  # L.IC … R.TLT
    value: float


def model_probabilities(study: Study) -> dict[tuple[str, str], float]:
    """Return the mean probability of atypical by child and target; empty before `evaluate` ran."""
    paths = sorted((study.data / "evaluate").glob("*/*/predictions.parquet"))
    models = set(study.networks()) if paths else set()
    return _mean_probabilities(tuple((path, path.stat().st_mtime_ns) for path in paths if path.parts[-3] in models))


@lru_cache(maxsize=4)
def _mean_probabilities(files: tuple[tuple[Path, int], ...]) -> dict[tuple[str, str], float]:
    import polars as pl

    if not files:
        return {}
    tables = [pl.read_parquet(path, columns=["part", "level", "subject", "target", "probability"]) for path, _ in files]
    test = pl.concat(tables).filter((pl.col("part") == "test") & (pl.col("level") == "child"))
    means = test.drop_nulls("probability").group_by("subject", "target").agg(pl.col("probability").mean())
    return {(child, target): value for child, target, value in means.iter_rows()}


def second_items(study: Study, rater: str, now: datetime | None = None) -> dict[str, list[str]]:
    """Map each child to the targets that this rater is offered for a second reading, answered ones included."""
    ratings = Ratings(study.labels, study.annotations, study.highest)
    entries = [one for one in ratings.entries() if str(one.get("rater") or "") == rater]
    latest = (now or datetime.now(UTC)) - timedelta(days=DAYS)
    ripe = [one for one in entries if _changed(one) <= latest]
    differences = _differences(ripe, model_probabilities(study)) if ripe else []
    disputed = sorted((one for one in differences if one.value > DIFFERENCE), key=lambda one: -one.value)[:COUNT]
    agreed = [one for one in differences if one.value <= DIFFERENCE]
    agreed.sort(key=lambda one: sha256_of_text(f"{rater} {one.child} {one.target}"))
    offered: dict[str, list[str]] = {}
    for one in (*disputed, *agreed[: len(disputed)]):
        offered.setdefault(one.child, []).append(one.target)
    return {child: sorted(targets, key=TARGET_NAMES.index) for child, targets in sorted(offered.items())}


def open_items(study: Study, rater: str) -> dict[str, list[str]]:
    """Map each child to the offered targets that have no second answer yet."""
    entries = Ratings(study.labels, study.annotations, study.highest).entries()
    waiting = {}
    for child, targets in second_items(study, rater).items():
        second = entry_of(entries, child, second_name(rater)) or {}
        left = [one.name for one in TARGETS if one.name in targets and answer_of_target(second, one) == UNANSWERED]
        if left:
            waiting[child] = left
    return waiting


def is_reading(study: Study, child: str, rater: str) -> bool:
    """Whether this rater has begun the second reading of a child and not finished it: the first one stays hidden."""
    entries = Ratings(study.labels, study.annotations, study.highest).entries()
    return entry_of(entries, child, second_name(rater)) is not None and child in open_items(study, rater)


def _differences(entries: list[Entry], probabilities: dict[tuple[str, str], float]) -> list[Difference]:
    differences = []
    for entry in entries:
        child = subject_name(entry["patient_id"])
        for target in TARGETS:
            score, probability = answer_of_target(entry, target), probabilities.get((child, target.name))
            if isinstance(score, int) and probability is not None:
                differences.append(Difference(child, target.name, abs(probability - (score > 0))))
    return differences


def answer_of_target(entry: Entry, target: Target) -> Score:
    """Return the answer in an entry to the item of a limb."""
    return answer_of(entry, target.limb, item_number(target.code))


def _changed(entry: Entry) -> datetime:
    """Return when an entry was last changed; an entry without a time is old."""
    try:
        moment = datetime.fromisoformat(str(entry["changed"]))
    except (KeyError, ValueError):
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
