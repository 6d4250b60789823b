"""The page of one child: one HTML file that loads nothing, for the screen and for two pages of A4."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.domain.evgs import CODES, LIMBS, Limb
from childgait.domain.skeleton import BONES, POINTS, bone_side
from childgait.gait.walk_summary import CURVES, STRIDE_VALUES
from childgait.report.child.assess import VIEW_WORDS, Visit, Walks
from childgait.report.child.curves_svg import draw_panel
from childgait.report.child.film import Film, make_film
from childgait.report.child.record import ChildRecord, ItemAnswer, StrideStatistic
from childgait.report.formats import number, reading
from childgait.training.bundle import Bundle
from childgait.training.predict import settings_from

if TYPE_CHECKING:
    from jinja2 import Environment


@dataclass(frozen=True)
class ItemRow:
    """One item with both limbs, and what the model achieved on it in its own test."""

    left: ItemAnswer
    right: ItemAnswer
    answered: float | None  # share of the test's cells
    correct: float | None  # of these
    cells: int


@dataclass(frozen=True)
class NotJudged:
    """Items without an answer for one reason."""

    reason: str
    items: list[str]


@dataclass(frozen=True)
class ChildPage:
    """What the template shows."""

    record: ChildRecord
    rows: list[ItemRow]
    panels: dict[Limb, list[str]]  # SVG
    films: list[Film]
    data: str  # of the films, as JSON for the script
    statistics: list[tuple[str, str, StrideStatistic | None, StrideStatistic | None, float | None]]
    not_judged: list[NotJudged]
    card: dict[str, str]
    bundle: Bundle
    back: str | None  # address of the study's report


def build_page(record: ChildRecord, walks: Walks, visit: Visit, bundle: Bundle, back: str | None = None) -> ChildPage:
    """Build the page's content from the record and the files of the recordings."""
    films = make_films(record, walks, visit, bundle)
    return ChildPage(
        record=record,
        rows=[_row(code, record, bundle) for code in CODES],
        panels={limb: [draw_panel(curve, limb, walks.curves, walks.norm) for curve in CURVES] for limb in LIMBS},
        films=films,
        data=_script_data(films),
        statistics=_statistics(record),
        not_judged=list_not_judged(record.items),
        card=bundle.description.card,
        bundle=bundle,
        back=back,
    )


def make_films(record: ChildRecord, walks: Walks, visit: Visit, bundle: Bundle) -> list[Film]:
    """Make the film of every usable recording; a held one is never shown."""
    style = settings_from(bundle.description.runs[0].description).drawing
    films = []
    for clip in sorted(walks.clips, key=lambda clip: (clip.view in ("forward", "backward"), clip.video)):
        read_at = {item.rule.frame for item in record.items if item.rule and item.rule.video == clip.video}
        video = visit.path("deidentify", clip.video, ".mp4")
        if video.is_file():
            poses = visit.path("refine_pose", clip.video, ".poses.parquet")
            films.append(make_film(clip, video, poses, read_at, style))
    return films


def _row(code: str, record: ChildRecord, bundle: Bundle) -> ItemRow:
    left, right = (next(i for i in record.items if (i.limb, i.code) == (limb, code)) for limb in LIMBS)
    tested = bundle.description.abstention[code]
    return ItemRow(left, right, tested.share_answered.value, tested.accuracy_answered.value, tested.cells)


def _statistics(
    record: ChildRecord,
) -> list[tuple[str, str, StrideStatistic | None, StrideStatistic | None, float | None]]:
    """Return name, unit, left, right and asymmetry of every spatiotemporal value."""
    by_name = {(one.name, one.limb): one for one in record.strides}
    asymmetry = {one.name: one.percent for one in record.asymmetry}
    return [
        (name, unit, by_name.get((name, "left")), by_name.get((name, "right")), asymmetry.get(name))
        for name, unit, _ in STRIDE_VALUES.values()
    ]


def list_not_judged(items: list[ItemAnswer]) -> list[NotJudged]:
    """Group the items without an answer by their reason."""
    without = sorted((item for item in items if item.reason), key=lambda item: str(item.reason))
    return [
        NotJudged(str(reason), [f"{item.limb} {item.code}" for item in group])
        for reason, group in groupby(without, key=lambda item: item.reason)
    ]


def _script_data(films: list[Film]) -> str:
    """Return the films as JSON that is safe inside a script element."""
    bones = [[POINTS.index(a), POINTS.index(b), bone_side((a, b))] for a, b in BONES]
    plain = [{key: value for key, value in asdict(film).items() if key != "stills"} for film in films]
    return json.dumps({"films": plain, "bones": bones}, separators=(",", ":")).replace("<", "\\u003c")


def percent(value: float | None) -> str:
    """Write a share in percent; a dash for None."""
    return "–" if value is None else f"{100 * value:.0f} %"


def band(low: float | None, high: float | None) -> str:
    """Write a typical band, open where it has no edge."""
    if low is None:
        return "any" if high is None else f"up to {reading(high)}"
    return f"{reading(low)} or more" if high is None else f"{reading(low)} to {reading(high)}"


def template_environment() -> Environment:
    """Return the environment of the pages' templates: strict, escaping, with the filters for numbers."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent.parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update({"number": number, "reading": reading, "percent": percent})
    return environment


def render_child(page: ChildPage) -> str:
    """Fill in the template."""
    template = template_environment().get_template("child.html")
    return template.render(page=page, synthetic=page.record.synthetic, band=band, view_words=VIEW_WORDS)
