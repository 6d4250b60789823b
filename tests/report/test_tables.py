"""Tables of the report that are made from the cohort alone."""

from __future__ import annotations

import polars as pl

from childgait.report.tables import population_table


def test_children_are_counted_once_per_characteristic() -> None:
    subjects = pl.DataFrame(
        {
            "age_years": [4.0, 7.0, 12.5, None],
            "sex": ["female", "male", "male", "unknown"],
            "diagnosis": ["typical development", "", None, "diplegia"],
            "aid": ["none", "none", "walker", "none"],
        }
    )
    rows = population_table(subjects, [7.0, 11.0])
    counts = {(row["characteristic"], row["value"]): row["children"] for row in rows}
    assert counts["age", "under 7"] == counts["age", "7 to 11"] == counts["age", "11 and over"] == 1
    assert counts["age", "unknown"] == 1
    assert counts["diagnosis", "unknown"] == 2
    for name in ("age", "sex", "diagnosis", "aid"):
        assert sum(count for (characteristic, _), count in counts.items() if characteristic == name) == 4
