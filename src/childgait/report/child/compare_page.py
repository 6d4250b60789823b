"""The page of two visits of one child: one HTML file that loads nothing."""

from __future__ import annotations

from dataclasses import dataclass

from childgait.domain.evgs import CODES, LIMBS, Limb
from childgait.gait.walk_summary import CURVES
from childgait.report.child.assess import Walks
from childgait.report.child.compare import (
    Change,
    CurveChange,
    ItemChange,
    StrideChange,
    VisitComparison,
    mean_curve,
)
from childgait.report.child.curves_svg import draw_two_visits
from childgait.report.child.page import template_environment
from childgait.report.child.record import ChildRecord
from childgait.training.bundle import Bundle

CURVE_NAMES = {"hip": "hip", "knee": "knee", "ankle": "ankle", "obliquity": "pelvis"}


@dataclass(frozen=True)
class ComparisonPage:
    """What the template shows."""

    comparison: VisitComparison
    records: tuple[ChildRecord, ChildRecord]
    rows: list[tuple[ItemChange, ItemChange]]  # per item, left and right
    panels: dict[Limb, list[str]]  # SVG
    stride_rows: list[tuple[StrideChange, StrideChange]]
    curve_rows: list[tuple[CurveChange, CurveChange]]
    not_assessed: dict[str, list[str]]  # items by reason
    counts: dict[str, int]  # of items by verdict on the probability
    norm: str
    card: dict[str, str]


def build_comparison_page(
    comparison: VisitComparison,
    records: tuple[ChildRecord, ChildRecord],
    walks: tuple[Walks, Walks],
    bundle: Bundle,
) -> ComparisonPage:
    """Build the page's content; the normative band is that of the second visit's age and speed."""
    items = {(item.limb, item.code): item for item in comparison.items}
    curves = {(one.limb, one.curve): one for one in comparison.curves}
    strides = {(one.limb, one.name): one for one in comparison.strides}
    not_assessed: dict[str, list[str]] = {}
    for item in comparison.items:
        if item.reason:
            not_assessed.setdefault(item.reason, []).append(f"{item.limb} {item.code}")
    verdicts = [item.probability.verdict for item in comparison.items]
    return ComparisonPage(
        comparison=comparison,
        records=records,
        rows=[(items["left", code], items["right", code]) for code in CODES],
        panels={limb: [_panel(curve, limb, walks) for curve in CURVES] for limb in LIMBS},
        stride_rows=[
            (strides["left", name], strides["right", name])
            for name in dict.fromkeys(s.name for s in comparison.strides)
        ],
        curve_rows=[(curves["left", curve], curves["right", curve]) for curve in CURVES],
        not_assessed=not_assessed,
        counts={verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))},
        norm=walks[1].norm.note,
        card=bundle.description.card,
    )


def _panel(curve: str, limb: Limb, walks: tuple[Walks, Walks]) -> str:
    before, after = (mean_curve(visit.curves, curve, limb)[0] for visit in walks)
    return draw_two_visits(curve, limb, before, after, walks[1].norm)


def signed(value: float | None, digits: int = 2) -> str:
    """Write a change with its sign; a dash for None."""
    return "–" if value is None else f"{value:+.{digits}f}"


def exceeds_limit(change: Change | CurveChange) -> bool:
    """Whether a change exceeds the limit of repeated walks."""
    return change.verdict in ("rise", "fall", "changed")


def render_comparison(page: ComparisonPage) -> str:
    """Fill in the template."""
    environment = template_environment()
    environment.filters["signed"] = signed
    template = environment.get_template("visits.html")
    return template.render(
        page=page, synthetic=page.comparison.synthetic, curve_names=CURVE_NAMES, exceeds_limit=exceeds_limit
    )
