"""Builds label tables from delivered scores and subjects: 34 items per child, ordinal and binary, or why missing.

If several raters scored, params name the one whose scores are the labels; agreement.json has the raters' agreement.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING

from childgait.engine.flags import Input, Output, Raw
from childgait.errors import StepError
from childgait.params import BuildLabels

if TYPE_CHECKING:
    import polars as pl

    from childgait.files.agreement import RaterAgreement
    from childgait.files.labels import LabelRow, Sheet, TotalRow

METHODS = (
    "Scores were read on the {scale} scale; scores 1 and 2 of the Edinburgh Visual Gait Score were merged to atypical. "
    "An item is scored only from views that show its plane."
)
log = logging.getLogger("childgait")

HIGHEST = {"ordinal": 2, "binary": 1}


def build_labels(
    labels: Raw,
    subjects: Raw,
    clips: Input,
    labels_out: Output,
    totals: Output,
    subjects_out: Output,
    agreement: Output,
    params: BuildLabels,
) -> None:
    """Check the delivered scores against the list of children; write labels, totals, subjects and rater agreement."""
    import polars as pl

    from childgait.files.labels import LABELS, SUBJECTS, TOTALS, read_children, read_sheets
    from childgait.files.tables import write_table

    children = read_children(subjects)
    sheets = read_sheets(labels, highest=HIGHEST[params.scale])
    unlisted = sorted({sheet.subject for sheet in sheets} - set(children["subject"]))
    if unlisted:
        raise StepError(
            f"{labels} has scores of {len(unlisted)} child(ren) that {subjects} does not list, first {unlisted[0]}",
            hint="add a row for each to the subjects file (age and sex may stay empty), or remove their scores",
        )
    raters = sorted({sheet.rater or "" for sheet in sheets})
    rater = _select_rater(raters, params.rater, str(labels))
    own = {sheet.subject: sheet for sheet in sheets if (sheet.rater or "") == rater}
    label_rows = _label_rows(list(children["subject"]), own, params)
    total_rows = _total_rows(own)
    write_table(labels_out, label_rows, LABELS)
    write_table(totals, total_rows, TOTALS)
    write_table(subjects_out, children, SUBJECTS)
    oddities = _oddities(own, total_rows, pl.read_parquet(clips), params)
    _agreement(sheets, raters, rater, oddities, params).write(agreement)
    missing = label_rows["score"].null_count()
    cells = label_rows.height
    log.info("build_labels: %d children, %d of %d scores there", children.height, cells - missing, cells)
    for oddity in oddities:
        log.warning("build_labels: %s", oddity)


def _select_rater(raters: list[str], wanted: str, where: str) -> str:
    """Return the rater whose scores are the labels; fail unless params name one of the raters."""
    if wanted in raters:
        return wanted
    if wanted or len(raters) > 1:
        raise StepError(
            f"{where} has scores by {', '.join(repr(r) for r in raters)}, and build_labels.rater is {wanted!r}",
            hint="name in params.yaml the rater whose scores are the labels; '' means entries without a rater",
        )
    return raters[0]


def _label_rows(subjects: list[str], own: dict[str, Sheet], params: BuildLabels) -> pl.DataFrame:
    """Return the table LABELS: one row per child, limb and item."""
    import polars as pl

    from childgait.domain.evgs import CODES, LIMBS, binary, default_views
    from childgait.files.labels import LABELS

    overridden = params.camera_views if isinstance(params.camera_views, dict) else {}
    if wrong := [code for code in overridden if code not in CODES]:
        raise StepError(
            f"build_labels.camera_views names {wrong[0]!r}, which is no item", hint=f"items are {', '.join(CODES)}"
        )
    views = default_views() | overridden
    rows: list[LabelRow] = []
    for subject, limb, code in itertools.product(subjects, LIMBS, CODES):
        sheet = own.get(subject)
        score = sheet.scores[limb][code] if sheet else None
        reason = None
        if score is None:
            reason = "the item has no score" if sheet else "the child is not in the labels file"
        rows.append(
            {
                "subject": subject,
                "limb": limb,
                "code": code,
                "score": score,
                "atypical": None if score is None else bool(binary(score)),
                "reason": reason,
                "views": " ".join(views[code]),
                "rater": sheet.rater if sheet else None,
            }
        )
    return pl.DataFrame(rows, schema=LABELS.schema())


def _total_rows(own: dict[str, Sheet]) -> pl.DataFrame:
    """Return sums per limb and child; null unless all items are scored: a partial sum reads as a better gait."""
    import polars as pl

    from childgait.domain.evgs import CODES, LIMBS
    from childgait.files.labels import TOTALS

    rows: list[TotalRow] = []
    for subject, sheet in sorted(own.items()):
        for limb, limbs in (*((limb, (limb,)) for limb in LIMBS), ("both", LIMBS)):
            scores = [s for one in limbs for s in sheet.scores[one].values() if s is not None]
            whole = len(scores) == len(CODES) * len(limbs)
            stated = [sheet.stated[one] for one in limbs]
            rows.append(
                {
                    "subject": subject,
                    "limb": limb,
                    "scored": len(scores),
                    "total": sum(scores) if whole else None,
                    "atypical": sum(score > 0 for score in scores) if whole else None,
                    "stated": None if None in stated else sum(total for total in stated if total is not None),
                }
            )
    return pl.DataFrame(rows, schema=TOTALS.schema())


def _agreement(
    sheets: list[Sheet], raters: list[str], rater: str, oddities: list[str], params: BuildLabels
) -> RaterAgreement:
    """Return kappa per item (limbs pooled) and ICC of the limb totals, for every pair of raters."""
    from childgait.domain.evgs import CODES, LIMBS
    from childgait.files.agreement import RaterAgreement, RaterPair
    from childgait.metrics.agreement import exact_agreement, icc, weighted_kappa_interval

    by = {name: {s.subject: s for s in sheets if (s.rater or "") == name} for name in raters}
    pairs = []
    for first, second in itertools.combinations(raters, 2):
        both = sorted(by[first].keys() & by[second].keys())
        two = {code: ([], []) for code in CODES}  # type: dict[str, tuple[list[float], list[float]]]
        sums: tuple[list[float], list[float]] = ([], [])
        for subject, limb in itertools.product(both, LIMBS):
            for side, name in enumerate((first, second)):
                delivered = by[name][subject].scores[limb]
                for code, score in delivered.items():
                    two[code][side].append(float("nan") if score is None else score)
                whole = None not in delivered.values()
                sums[side].append(float(sum(s for s in delivered.values() if s is not None)) if whole else float("nan"))
        children = [subject for subject, _ in itertools.product(both, LIMBS)]
        pairs.append(
            RaterPair(
                raters=[first, second],
                children=len(both),
                weighted_kappa={
                    code: weighted_kappa_interval(*two[code], children, highest=HIGHEST[params.scale]) for code in CODES
                },
                exact={code: exact_agreement(*two[code]) for code in CODES},
                icc_of_limb_totals=icc(*sums),
            )
        )
    return RaterAgreement(scale=params.scale, raters=raters, labels_by=rater, pairs=pairs, oddities=oddities)


def _oddities(own: dict[str, Sheet], totals: pl.DataFrame, clips: pl.DataFrame, params: BuildLabels) -> list[str]:
    """List what a person should check, though the run continues."""
    import polars as pl

    # Null never compares unequal.
    wrong = totals.filter((pl.col("limb") != "both") & (pl.col("stated") != pl.col("total")))
    oddities = [
        f"child {row['subject']}, {row['limb']}: the file's total is {row['stated']}, its items make {row['total']}"
        for row in wrong.iter_rows(named=True)
    ]
    filmed = set(clips["subject"])
    oddities += [f"child {subject} has scores but no clip" for subject in sorted(own.keys() - filmed)]
    oddities += [f"child {subject} has clips but no scores" for subject in sorted(filmed - own.keys())]
    scores = {score for sheet in own.values() for limb in sheet.scores.values() for score in limb.values()}
    if params.scale == "ordinal" and 2 not in scores:
        oddities.append("no score is above 1: if the file is on a binary scale, set build_labels.scale to binary")
    return oddities
