"""The report's page: one HTML file that loads nothing. Figures are data URIs, styles are inline, there is no script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from childgait.report.formats import count, metric_name, number, reading, signed, size_of

if TYPE_CHECKING:
    from childgait.report.sections import Report

FILTERS: dict[str, Callable[..., str]] = {
    "number": number,
    "signed": signed,
    "count": count,
    "size": size_of,
    "reading": reading,
    "metric_name": metric_name,
}


def render(report: Report) -> str:
    """Fill in the template."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=False,
        keep_trailing_newline=True,
    )
    environment.filters.update(FILTERS)
    return environment.get_template("report.html").render(report=report)
