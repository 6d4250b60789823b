"""Repeated sessions of a child give the repeatability of totals, and incomplete sessions none."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from childgait.domain.evgs import BY_CODE, TARGET_NAMES, TARGETS, VIEWS, VIEWS_OF_PLANE
from childgait.report.agreement_tables import repeatability_table, session_totals


def walks_of(probabilities: dict[tuple[str, int], float]) -> pl.DataFrame:
    """One probability for all items of a session, in the views that show them."""
    rows = [
        {
            "subject": child,
            "video": f"{child}-{session:04d}_{view}_1-100",
            "view": view,
            "target": target.name,
            "calibrated": value,
        }
        for (child, session), value in probabilities.items()
        for view in VIEWS
        for target in TARGETS
        if view in VIEWS_OF_PLANE[BY_CODE[target.code].plane]
    ]
    return pl.DataFrame(rows)


def test_totals_of_repeated_sessions() -> None:
    sessions = {("0001", 1): 0.2, ("0001", 2): 0.3, ("0002", 1): 0.6, ("0002", 2): 0.5, ("0003", 1): 0.9}
    rows = {str(row["target"]): row for row in repeatability_table(walks_of(sessions))}
    assert list(rows) == [*TARGET_NAMES, "left total", "right total", "child total"]
    child = rows["child total"]
    assert (child["children"], child["walks"]) == (2, 4)
    assert child["sem"] == pytest.approx(34 * 0.1 / np.sqrt(2), abs=1e-3)
    assert child["mdc95"] == pytest.approx(1.96 * 34 * 0.1, abs=1e-3)
    assert rows["left total"]["sem"] == pytest.approx(17 * 0.1 / np.sqrt(2), abs=1e-3)
    assert rows["L.IC"]["walks"] == 10  # two views of each of five sessions, also of the child who came once


def test_a_session_that_lacks_views_has_no_total() -> None:
    walks = walks_of({("0001", 1): 0.2, ("0001", 2): 0.3}).filter(
        ~(pl.col("video").str.starts_with("0001-0002") & pl.col("view").is_in(["forward", "backward"]))
    )
    children, totals = session_totals(walks)
    assert children == ["0001", "0001"]
    assert np.isfinite(totals["child total"]).tolist() == [True, False]
