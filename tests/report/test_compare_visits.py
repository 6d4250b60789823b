"""Two visits of a child: a change counts only beyond repeated walks; what a visit lacks is listed with its reason."""

from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from childgait.domain.evgs import BY_CODE, CODES, LIMBS, TARGETS
from childgait.gait.walk_summary import CURVES, SHARES, STRIDE_VALUES, StrideCurve, norm_curves
from childgait.metrics.repeatability import RepeatedCurve, RepeatedValue, StudyRepeatability
from childgait.report.child.compare import (
    REPETITION,
    VisitComparison,
    compare_visits,
    read_comparison,
    write_comparison_csv,
)
from childgait.report.child.compare_page import build_comparison_page, render_comparison
from childgait.report.child.record import (
    FORMAT,
    ChildRecord,
    ItemAnswer,
    RecordingQuality,
    RuleReading,
    StrideStatistic,
)
from support.chromium import CHROMIUM, chromium

NO_VIEW = "no usable recording from the front or from behind"


def limits(mdc95: float | None) -> RepeatedValue:
    reason = "fewer than two children with repeated walks" if mdc95 is None else None
    return RepeatedValue(groups=20, walks=40, sem=None if mdc95 is None else mdc95 / 2.77, mdc95=mdc95, reason=reason)


STUDY = StudyRepeatability(
    probability={code: limits(0.2) for code in CODES},
    rules={code: limits(None if code == "HL" else 8.0) for code in CODES},
    expected_atypical={"limb": limits(1.5), "both": limits(2.0)},
    rule_score={"limb": limits(3.0), "both": limits(5.0)},
    strides={name: limits(0.1) for name, _, _ in STRIDE_VALUES.values()},
    curves={curve: RepeatedCurve(pairs=40, rms_limit=5.0) for curve in CURVES},
)


def item_of(number: int, probability: float, value: float, *, coronal: bool) -> ItemAnswer:
    target = TARGETS[number]
    lacking = BY_CODE[target.code].plane == "coronal" and not coronal
    rule = RuleReading(
        value=value,
        unit="degrees",
        score=1,
        zero_low=0.0,
        zero_high=15.0,
        video="0042-0001_left_1-99",
        frame=3,
        seconds=0.1,
        strides=3,
    )
    return ItemAnswer(
        target=target.name,
        number=BY_CODE[target.code].number,
        code=target.code,
        limb=target.limb,
        name=BY_CODE[target.code].name,
        answer="cannot tell" if lacking else "atypical",
        reason=NO_VIEW if lacking else None,
        evidence=not lacking,
        probability=None if lacking else probability,
        prediction_set=["atypical"],
        models={},
        runs={},
        rule=None if lacking else rule,
        rule_answer=None if lacking else "atypical",
    )


def visit(session: str, probability: float, value: float, *, coronal: bool = True) -> ChildRecord:
    views = ("left", "right", "forward", "backward") if coronal else ("left", "right")
    return ChildRecord(
        format=FORMAT,
        child="0042",
        session=session,
        age_years=8.0,
        sex="female",
        bundle="b" * 64,
        childgait="0.1.0",
        model="childgait_video",
        part=None,
        synthetic=True,
        error_rate=0.1,
        recordings=[
            RecordingQuality(
                video=f"0042-{session}_{view}_1-99", session=session, view=view, used=True, reasons=[], remarks=[]
            )
            for view in views
        ],
        cadence_steps_per_minute=None,
        speed_heights_per_second=None,
        expected_stride_seconds=None,
        strides=[
            StrideStatistic(name=name, unit=unit, limb=limb, mean=value / 10, sd=0.1, strides=4)
            for name, unit, _ in STRIDE_VALUES.values()
            for limb in LIMBS
        ],
        asymmetry=[],
        norm="",
        items=[item_of(number, probability, value, coronal=coronal) for number in range(len(TARGETS))],
        totals=[],
        distance=None,
        distance_limit=1.0,
        agreement_items=0,
        agreement=0,
        inputs=session,
    )


def curves(offset: float) -> list[StrideCurve]:
    shape = 20 * np.sin(2 * np.pi * SHARES)
    return [StrideCurve(limb, curve, shape + offset + n) for curve in CURVES for limb in LIMBS for n in (-1, 1)]


def compare(first: ChildRecord, second: ChildRecord, offset: float = 0.0) -> VisitComparison:
    return compare_visits(first, second, (curves(0.0), curves(offset)), STUDY, "input")


def test_a_change_below_the_limit_is_not_distinguishable_from_repetition() -> None:
    made = compare(visit("0001", 0.5, 10.0), visit("0002", 0.55, 10.5), 4.0)
    assert {item.probability.verdict for item in made.items} == {REPETITION}
    assert {item.rule.verdict for item in made.items if item.code != "HL"} == {REPETITION}
    assert {item.rule.verdict for item in made.items if item.code == "HL"} == {"no limit known"}
    assert [total.expected_atypical.verdict for total in made.totals] == [REPETITION] * 3
    assert {one.value.verdict for one in made.strides} == {REPETITION}
    assert {(one.verdict, one.rms, one.largest) for one in made.curves} == {(REPETITION, 4.0, 4.0)}


def test_a_change_beyond_the_limit_is_a_rise_or_a_fall() -> None:
    made = compare(visit("0001", 0.9, 30.0), visit("0002", 0.5, 40.0), -6.0)
    assert {item.probability.verdict for item in made.items} == {"fall"}
    assert {item.rule.verdict for item in made.items if item.code != "HL"} == {"rise"}
    both = made.totals[-1].expected_atypical
    assert (both.verdict, both.before, both.after) == ("fall", pytest.approx(30.6), pytest.approx(17.0))
    assert {one.value.verdict for one in made.strides} == {"rise"}
    assert {(one.verdict, one.largest) for one in made.curves} == {("changed", -6.0)}


def test_an_item_without_evidence_in_one_visit_is_listed_with_its_reason() -> None:
    made = compare(visit("0001", 0.9, 30.0, coronal=False), visit("0002", 0.5, 30.0))
    lacking = [item for item in made.items if BY_CODE[item.code].plane == "coronal"]
    assert lacking
    for item in lacking:
        assert item.reason == f"visit 0001: {NO_VIEW}"
        assert (item.probability.verdict, item.probability.change) == ("not compared", None)
        assert item.rule.reason == "not measured in visit 0001"
    both = made.totals[-1]
    assert both.judged == len(TARGETS) - len(lacking)
    assert both.expected_atypical.verdict == "no limit known"  # the limit is of all items
    assert both.expected_atypical.before == pytest.approx(0.9 * both.judged)


def test_no_curve_and_no_stride_in_a_visit_are_not_compared() -> None:
    second = visit("0002", 0.5, 10.0).model_copy(update={"strides": []})
    made = compare_visits(visit("0001", 0.5, 10.0), second, (curves(0.0), []), STUDY, "input")
    assert {(one.value.verdict, one.value.reason) for one in made.strides} == {
        ("not compared", "no stride in visit 0002")
    }
    assert {one.reason for one in made.curves} == {"no complete stride in visit 0002"}


def test_the_table_has_every_value_and_the_numbers_are_read_again(tmp_path: Path) -> None:
    made = compare(visit("0001", 0.9, 30.0), visit("0002", 0.5, 31.0), 6.0)
    write_comparison_csv(tmp_path / "visits.csv", made)
    with (tmp_path / "visits.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 2 * len(made.items) + 2 * len(made.totals) + len(made.strides) + len(made.curves)
    assert {row["verdict"] for row in rows if row["kind"] == "probability"} == {"fall"}
    (tmp_path / "visits.json").write_text(made.model_dump_json())
    assert read_comparison(tmp_path / "visits.json") == made
    (tmp_path / "visits.json").write_text("{}")
    assert read_comparison(tmp_path / "visits.json") is None


def page_of(folder: Path, *, coronal: bool) -> Path:
    records = (visit("0001", 0.9, 30.0, coronal=coronal), visit("0002", 0.5, 31.0))
    norm = norm_curves(8.0, "female", None)
    walks: Any = tuple(SimpleNamespace(curves=curves(offset), norm=norm) for offset in (0.0, 6.0))
    bundle: Any = SimpleNamespace(description=SimpleNamespace(card={"intended use": "Research.", "limits": "Many."}))
    page = build_comparison_page(compare(*records, 6.0), records, walks, bundle)
    path = folder / "visits_0001_0002.html"
    path.write_text(render_comparison(page), encoding="utf-8")
    return path


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_page_is_readable_on_screens_and_on_paper(tmp_path: Path) -> None:
    path = page_of(tmp_path, coronal=False)
    text = path.read_text()
    assert "not distinguishable from repetition" in text
    assert 'src="' not in text
    with chromium(tmp_path) as page:
        for width in (1280, 400):
            page.resize(width, 900)
            page.go(f"file://{path}")
            assert page.run("document.documentElement.scrollWidth <= innerWidth")
            assert page.run("document.querySelectorAll('.panels svg').length") == 2 * len(CURVES)
        assert NO_VIEW in page.text()
        assert page.printed_pages() == 2
