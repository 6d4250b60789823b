"""Splits children into train, validation and test: k folds and a fixed hold-out, or a given list.

The hold-out's test children are in no fold; the folds divide the others. A child is in one part of a fold or in none
(with the reason), and every row has the fold's split hash. Where params say so, equal parts take turns as the hold-out
test, one per phase, and a share of the children is sealed in a vault, the same in every phase.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.engine.flags import Input, Output
from childgait.errors import StepError
from childgait.params import SplitSubjects

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    from numpy.typing import NDArray

METHODS = (
    "Children, never videos, were dealt to parts: {holdout:.0%} of them, or those whom a person's list names, to a "
    "hold-out test that no fold uses, the others to {folds} folds, evenly by items, age and sex (seed {seed})."
)
log = logging.getLogger("childgait")


def split_subjects(
    labels: Input,
    subjects: Input,
    clips: Input,
    assignment: Output,
    parts: list[Output],
    params: SplitSubjects,
    lists: Input | None = None,
    vault: Output | None = None,
) -> None:
    """Write the assignment and the part tables; `parts` are in the order of part_files; `lists` has subject, part.

    `vault` gets the rows of the sealed children, none where params seal none.
    """
    import polars as pl

    from childgait.files.labels import LABELS, SUBJECTS
    from childgait.files.split import SEALED, fold_names, part_files, rows_of_videos
    from childgait.files.tables import read_table
    from childgait.training.splits import phase_test, plan_folds, seal_children

    expected = part_files(params.folds)
    if len(parts) != len(expected) or not all(p.name.endswith(n) for p, n in zip(parts, expected, strict=True)):
        raise StepError(
            f"--parts names {len(parts)} files ending in {parts[-1].name if parts else 'nothing'}",
            hint=f"split_subjects.folds is {params.folds}, so it writes {', '.join(expected)} in this order",
        )
    scored = read_table(labels, LABELS)
    children = read_table(subjects, SUBJECTS)
    videos = pl.read_parquet(clips)
    videos_with_labels = rows_of_videos(videos, children, scored)
    usable, left_out = _usable(scored, children, videos, videos_with_labels)
    requested = _given(lists, usable, left_out) if lists else {}
    features, seed = _features(usable, scored, children), params.seed
    sealed = seal_children(usable, features, requested, vault=params.vault, seed=seed)
    _write_vault(vault, videos_with_labels, sealed)
    left_out |= dict.fromkeys(sealed, SEALED)
    features = features[[name not in sealed for name in usable]]
    usable = [name for name in usable if name not in sealed]
    requested = phase_test(usable, features, requested, phases=params.phases, phase=params.phase, seed=seed)
    planned = plan_folds(
        usable,
        features,
        requested,
        folds=params.folds,
        holdout=params.holdout,
        validation=params.validation,
        seed=seed,
    )
    folds = {fold: planned[fold] for fold in fold_names(params.folds)}  # in the order of part_files
    _write_assignment(assignment, folds, set(usable), left_out)
    _write_parts(parts, folds, videos_with_labels)
    for subject, reason in sorted((one, why) for one, why in left_out.items() if why != SEALED):
        log.warning("split_subjects: child %s is in no part: %s", subject, reason)


def _write_assignment(
    target: Path, folds: dict[str, dict[str, str]], usable: set[str], left_out: dict[str, str]
) -> None:
    """Write the part of every child in every fold; for a child in none, the reason."""
    import polars as pl

    from childgait.files.split import ASSIGNMENT, HOLDOUT

    rows: list[tuple[str, str, str, str | None]] = []
    for fold, part_of in folds.items():
        rows += [(fold, subject, part, None) for subject, part in sorted(part_of.items())]
        rows += [(fold, subject, "none", reason) for subject, reason in sorted(left_out.items())]
        if fold != HOLDOUT:
            spared = sorted(usable - part_of.keys())
            rows += [(fold, subject, "none", "kept for the hold-out test") for subject in spared]
    pl.DataFrame(rows, schema=ASSIGNMENT.schema(), orient="row").sort("fold", "subject").write_csv(target)


def _write_parts(targets: list[Output], folds: dict[str, dict[str, str]], videos: pl.DataFrame) -> None:
    """Write the part tables of all folds; `targets` are in the order of part_files."""
    import polars as pl

    from childgait.files.split import PART_NAMES, PARTS, hash_of_split
    from childgait.files.tables import write_table

    names = [(fold, part) for fold in folds for part in PART_NAMES]
    for target, (fold, part) in zip(targets, names, strict=True):
        inside = [subject for subject, where in folds[fold].items() if where == part]
        split_hash = pl.lit(hash_of_split(folds[fold])).alias("split_hash")
        frame = videos.filter(pl.col("subject").is_in(inside)).with_columns(split_hash)
        _warn_of_gaps(frame, fold, part)
        write_table(target, frame, PARTS)


def _write_vault(target: Path | None, videos: pl.DataFrame, sealed: set[str]) -> None:
    """Write the rows of the sealed children, with a hash by which no part is mistaken for the vault."""
    import polars as pl

    from childgait.files.split import PARTS, VAULT, hash_of_split
    from childgait.files.tables import write_table

    if target is None:
        if sealed:
            raise StepError("split_subjects.vault seals children, but --vault is not given", hint="give its file")
        return
    rows = videos.filter(pl.col("subject").is_in(list(sealed)))
    split = VAULT + hash_of_split(dict.fromkeys(sealed, "vault"))
    write_table(target, rows.with_columns(pl.lit(split).alias("split_hash")), PARTS)
    if sealed:
        log.info("split_subjects: %d children are sealed in the vault", len(sealed))


def _usable(
    scored: pl.DataFrame, children: pl.DataFrame, videos: pl.DataFrame, rows: pl.DataFrame
) -> tuple[list[str], dict[str, str]]:
    """Return children with a clip that shows a scored item, and the reason for every other child."""
    import polars as pl

    from childgait.domain.evgs import TARGET_NAMES

    with_item = set(rows.filter(pl.any_horizontal(pl.col(TARGET_NAMES).is_not_null()))["subject"])
    with_clip = set(videos["subject"])
    with_score = set(scored.filter(pl.col("score").is_not_null())["subject"])
    left_out = {}
    for subject in sorted(with_clip | set(children["subject"])):
        if subject not in set(children["subject"]):
            left_out[subject] = "the child is not in the subjects file"
        elif subject not in with_clip:
            left_out[subject] = "no clip of the child came through"
        elif subject not in with_score:
            left_out[subject] = "the child has no score"
        elif subject not in with_item:
            left_out[subject] = "no clip of the child shows an item that is scored"
    return sorted(with_item), left_out


def _given(lists: Path, usable: list[str], left_out: dict[str, str]) -> dict[str, str]:
    """Return the part of each listed child that is usable.

    Test children without scores, as in a challenge, get predictions by write_submission but evaluate nothing: if no
    listed test child has scores, the hold-out is drawn from the other children.
    """
    from childgait.files.split import REQUESTED
    from childgait.files.split_list import read_split_list

    listed = read_split_list(lists)
    requested = {subject: part for subject, part in listed.items() if subject in usable}
    for subject in sorted(set(listed) - set(requested) - set(left_out)):
        log.warning("split_subjects: %s lists child %s, who is not in the cohort", lists, subject)
    for subject in left_out:
        if listed.get(subject) == "test":
            left_out[subject] += REQUESTED
    if "test" in listed.values() and "test" not in requested.values():
        log.warning(
            "split_subjects: no test child of %s has scores: the hold-out is drawn from the unlisted children", lists
        )
    return requested


def _features(usable: list[str], scored: pl.DataFrame, children: pl.DataFrame) -> NDArray[np.bool_]:
    """Return the features that are balanced over the parts: items, age and sex of each usable child."""
    import numpy as np
    import polars as pl

    from childgait.domain.evgs import TARGET_NAMES
    from childgait.files.split import wide_scores
    from childgait.training.splits import features_of_children

    wide = wide_scores(scored.with_columns(pl.col("atypical").cast(pl.Int64).alias("value")))
    wide = pl.DataFrame({"subject": usable}).join(wide, on="subject", how="left", maintain_order="left")
    people = pl.DataFrame({"subject": usable}).join(children, on="subject", how="left", maintain_order="left")
    atypical = wide.select(TARGET_NAMES).to_numpy().astype(np.float32)
    return features_of_children(atypical, people["age_years"].to_numpy().astype(float), list(people["sex"]))


def _warn_of_gaps(frame: pl.DataFrame, fold: str, part: str) -> None:
    """Warn of items without an atypical or a typical child in this part: their metrics will be NaN."""
    import numpy as np

    from childgait.domain.evgs import TARGET_NAMES
    from childgait.files.split import atypical_of

    atypical = atypical_of(frame)
    for value, word in ((1, "atypical"), (0, "typical")):
        without = [name for name, column in zip(TARGET_NAMES, atypical.T, strict=True) if not np.any(column == value)]
        if without and part != "validation":
            log.warning("split_subjects: fold %s, %s: no %s child for %s", fold, part, word, ", ".join(without))
