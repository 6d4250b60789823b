"""Compare two visits of one child: change per item, total, stride value and curve, with the minimal detectable change.

A change is a rise or a fall only if it exceeds the MDC95 of repeated walks in the bundle's study; a smaller one is not
distinguishable from repetition. The limits are those of one walk, while a visit averages several, which makes them
wide; walks of one session do not contain the difference between days, which makes them narrow.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import ValidationError

from childgait.domain.evgs import LIMBS, Limb
from childgait.files.hashes import sha256_of_text
from childgait.gait.walk_summary import CURVES, SHARES, STRIDE_VALUES, Floats, StrideCurve
from childgait.metrics.cells import Record
from childgait.metrics.repeatability import RepeatedCurve, RepeatedValue, StudyRepeatability
from childgait.report.child.record import Answer, ChildRecord, ItemAnswer

FORMAT = 1
Verdict = Literal["rise", "fall", "not distinguishable from repetition", "no limit known", "not compared"]
REPETITION: Verdict = "not distinguishable from repetition"


class Change(Record):
    """One value at both visits; `reason` explains a verdict that there is no limit or no comparison."""

    before: float | None
    after: float | None
    change: float | None
    mdc95: float | None
    verdict: Verdict
    reason: str | None = None


class ItemChange(Record):
    """One item of one limb at both visits."""

    target: str
    number: int
    code: str
    limb: Limb
    name: str
    unit: str | None  # of the rules' value
    answer_before: Answer
    answer_after: Answer
    reason: str | None  # why it was not assessed in a visit
    probability: Change
    rule: Change


class TotalChange(Record):
    """Totals of a limb, or of both, over the items assessed or measured in both visits."""

    limb: Literal["left", "right", "both"]
    judged: int  # items with a probability and enough evidence in both visits
    measured: int  # items measured by the rules in both visits
    expected_atypical: Change
    rule_score: Change


class StrideChange(Record):
    """A spatiotemporal value of a limb at both visits."""

    name: str
    unit: str
    limb: Limb
    value: Change


class CurveChange(Record):
    """A joint's mean curve at both visits: RMS difference over the cycle, and its limit over repeated walks."""

    curve: str
    limb: Limb
    strides_before: int
    strides_after: int
    rms: float | None  # degrees
    rms_limit: float | None
    largest: float | None  # the largest difference in degrees, second visit minus first
    largest_at: float | None  # share of the cycle
    verdict: Literal["changed", "not distinguishable from repetition", "no limit known", "not compared"]
    reason: str | None = None


class VisitComparison(Record):
    """Everything that the page of two visits states."""

    format: int
    child: str
    sessions: tuple[str, str]
    ages_years: tuple[float | None, float | None]
    recordings: tuple[list[str], list[str]]  # used in each visit
    bundle: str  # hash
    childgait: str  # version
    model: str
    synthetic: bool
    items: list[ItemChange]
    totals: list[TotalChange]
    strides: list[StrideChange]
    curves: list[CurveChange]
    inputs: str  # hash of both visits' inputs


def compare_values(
    before: float | None, after: float | None, limit: RepeatedValue, missing: str | None = None
) -> Change:
    """Compare one value with the limit of repeated walks; `missing` explains why a visit has none."""
    if before is None or after is None or missing is not None:
        return Change(
            before=_rounded(before),
            after=_rounded(after),
            change=None,
            mdc95=limit.mdc95,
            verdict="not compared",
            reason=missing or "not measured",
        )
    change = after - before
    verdict: Verdict = "no limit known"
    if limit.mdc95 is not None:
        verdict = REPETITION if abs(change) <= limit.mdc95 else "rise" if change > 0 else "fall"
    return Change(
        before=_rounded(before),
        after=_rounded(after),
        change=_rounded(change),
        mdc95=limit.mdc95,
        verdict=verdict,
        reason=limit.reason if limit.mdc95 is None else None,
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def inputs_of_pair(first: ChildRecord, second: ChildRecord, code: str) -> str:
    """Return one hash of all that a comparison depends on."""
    return sha256_of_text("\n".join([first.inputs, second.inputs, code]))


def compare_visits(
    first: ChildRecord,
    second: ChildRecord,
    curves: tuple[list[StrideCurve], list[StrideCurve]],
    study: StudyRepeatability,
    inputs: str,
) -> VisitComparison:
    """Compare two visits of a child; `curves` are the strides' curves of each."""
    return VisitComparison(
        format=FORMAT,
        child=first.child,
        sessions=(first.session, second.session),
        ages_years=(first.age_years, second.age_years),
        recordings=(_used(first), _used(second)),
        bundle=second.bundle,
        childgait=second.childgait,
        model=second.model,
        synthetic=first.synthetic or second.synthetic,
        items=[_compare_item(a, b, first, second, study) for a, b in zip(first.items, second.items, strict=True)],
        totals=[_compare_total(limbs, first, second, study) for limbs in (("left",), ("right",), LIMBS)],
        strides=[
            _compare_stride(name, unit, limb, first, second, study)
            for name, unit, _ in STRIDE_VALUES.values()
            for limb in LIMBS
        ],
        curves=[
            _compare_curve(curve, limb, curves, (first, second), study.curves[curve])
            for limb in LIMBS
            for curve in CURVES
        ],
        inputs=inputs,
    )


def _used(record: ChildRecord) -> list[str]:
    return [recording.video for recording in record.recordings if recording.used]


def missing_in(items: tuple[ItemAnswer, ItemAnswer], records: tuple[ChildRecord, ChildRecord]) -> str | None:
    """Return why an item was not assessed in one visit or in both; None if it was assessed in both."""
    reasons = {
        record.session: item.reason or "no prediction"
        for item, record in zip(items, records, strict=True)
        if not item.evidence or item.probability is None
    }
    if len(reasons) == 2 and len(set(reasons.values())) == 1:
        return f"both visits: {next(iter(reasons.values()))}"
    return "; ".join(f"visit {session}: {reason}" for session, reason in reasons.items()) or None


def _compare_item(
    a: ItemAnswer, b: ItemAnswer, first: ChildRecord, second: ChildRecord, study: StudyRepeatability
) -> ItemChange:
    missing = missing_in((a, b), (first, second))
    without = [record.session for item, record in ((a, first), (b, second)) if item.rule is None]
    rule = a.rule or b.rule
    return ItemChange(
        target=a.target,
        number=a.number,
        code=a.code,
        limb=a.limb,
        name=a.name,
        unit=None if rule is None else rule.unit,
        answer_before=a.answer,
        answer_after=b.answer,
        reason=missing,
        probability=compare_values(a.probability, b.probability, study.probability[a.code], missing),
        rule=compare_values(
            a.rule.value if a.rule else None,
            b.rule.value if b.rule else None,
            study.rules[a.code],
            f"not measured in visit {' and '.join(without)}" if without else None,
        ),
    )


def _compare_total(
    limbs: tuple[Limb, ...], first: ChildRecord, second: ChildRecord, study: StudyRepeatability
) -> TotalChange:
    """Compare totals over the items that both visits have; the limit of expected totals is of all items only."""
    kind = "limb" if len(limbs) == 1 else "both"
    pairs = [(a, b) for a, b in zip(first.items, second.items, strict=True) if a.limb in limbs]
    probabilities = [
        (a.probability or 0.0, b.probability or 0.0) for a, b in pairs if missing_in((a, b), (first, second)) is None
    ]
    scores = [(a.rule.score, b.rule.score) for a, b in pairs if a.rule and b.rule]
    limit, missing = study.expected_atypical[kind], None if probabilities else "no item was assessed in both visits"
    if probabilities and len(probabilities) < len(pairs):
        limit = RepeatedValue(
            groups=0, walks=0, sem=None, mdc95=None, reason=f"only {len(probabilities)} of {len(pairs)} items"
        )
    expected, points = (
        [sum(one[place] for one in rows) if rows else None for place in (0, 1)] for rows in (probabilities, scores)
    )
    return TotalChange(
        limb=limbs[0] if len(limbs) == 1 else "both",
        judged=len(probabilities),
        measured=len(scores),
        expected_atypical=compare_values(expected[0], expected[1], limit, missing),
        rule_score=compare_values(
            points[0], points[1], study.rule_score[kind], None if scores else "no item was measured in both visits"
        ),
    )


def _compare_stride(
    name: str, unit: str, limb: Limb, first: ChildRecord, second: ChildRecord, study: StudyRepeatability
) -> StrideChange:
    values = [
        next((one.mean for one in record.strides if (one.name, one.limb) == (name, limb)), None)
        for record in (first, second)
    ]
    without = [record.session for record, value in zip((first, second), values, strict=True) if value is None]
    missing = f"no stride in visit {' and '.join(without)}" if without else None
    return StrideChange(
        name=name, unit=unit, limb=limb, value=compare_values(values[0], values[1], study.strides[name], missing)
    )


def mean_curve(curves: list[StrideCurve], curve: str, limb: Limb) -> tuple[Floats | None, int]:
    """Return the mean of a curve over the strides of a limb, and their number."""
    own = [one.values for one in curves if (one.curve, one.limb) == (curve, limb)]
    return (np.mean(own, axis=0) if own else None), len(own)


def _compare_curve(
    curve: str,
    limb: Limb,
    curves: tuple[list[StrideCurve], list[StrideCurve]],
    records: tuple[ChildRecord, ChildRecord],
    limit: RepeatedCurve,
) -> CurveChange:
    (before, strides_before), (after, strides_after) = (mean_curve(own, curve, limb) for own in curves)
    facts = {"curve": curve, "limb": limb, "strides_before": strides_before, "strides_after": strides_after}
    if before is None or after is None:
        without = [r.session for r, mean in zip(records, (before, after), strict=True) if mean is None]
        nothing = dict.fromkeys(("rms", "largest", "largest_at"))
        reason = f"no complete stride in visit {' and '.join(without)}"
        return CurveChange(**facts, **nothing, rms_limit=limit.rms_limit, verdict="not compared", reason=reason)
    difference = after - before
    rms, place = float(np.sqrt(np.mean(difference**2))), int(np.abs(difference).argmax())
    verdict: Literal["changed", "not distinguishable from repetition", "no limit known"] = "no limit known"
    if limit.rms_limit is not None:
        verdict = "changed" if rms > limit.rms_limit else "not distinguishable from repetition"
    return CurveChange(
        **facts,
        rms=_rounded(rms),
        rms_limit=limit.rms_limit,
        largest=_rounded(difference[place]),
        largest_at=_rounded(SHARES[place]),
        verdict=verdict,
        reason=limit.reason if limit.rms_limit is None else None,
    )


CSV_COLUMNS = ("child", "first", "second", "kind", "limb", "name", "unit", *Change.model_fields)


def write_comparison_csv(path: Path, comparison: VisitComparison) -> None:
    """Write one row per compared value."""
    rows: list[tuple[object, ...]] = []
    for item in comparison.items:
        rows.append(("probability", item.limb, item.code, "probability", *_values(item.probability)))
        rows.append(("rule", item.limb, item.code, item.unit, *_values(item.rule)))
    for total in comparison.totals:
        rows.append(("expected atypical", total.limb, "total", "items", *_values(total.expected_atypical)))
        rows.append(("score by rules", total.limb, "total", "points", *_values(total.rule_score)))
    rows += [("stride", one.limb, one.name, one.unit, *_values(one.value)) for one in comparison.strides]
    rows += [
        (
            "curve, RMS difference",
            one.limb,
            one.curve,
            "degrees",
            "",
            "",
            one.rms,
            one.rms_limit,
            one.verdict,
            one.reason,
        )
        for one in comparison.curves
    ]
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(CSV_COLUMNS)
        for row in rows:
            full = (comparison.child, *comparison.sessions, *row)
            table.writerow(["" if value is None else value for value in full])


def _values(change: Change) -> tuple[object, ...]:
    return tuple(getattr(change, name) for name in Change.model_fields)


def read_comparison(path: Path) -> VisitComparison | None:
    """Read the comparison of two visits; None if the file is of another version."""
    try:
        return VisitComparison.model_validate_json(path.read_bytes())
    except ValidationError:
        return None
