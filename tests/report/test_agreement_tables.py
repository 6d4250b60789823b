"""Repeated walks of a child give repeatability of probabilities, values and totals; incomplete sessions no total."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from childgait.domain.evgs import BY_CODE, CODES, TARGET_NAMES, TARGETS, VIEWS, VIEWS_OF_PLANE
from childgait.files.agreement import Coefficient, RaterAgreement, RaterPair
from childgait.metrics.of_study import ScopePredictions
from childgait.report.agreement_tables import kappa_table, repeatability_table, session_totals
from childgait.report.walk_values import measure_walks
from support.walking_study import clear_children, write_clip


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
    columns = ("subject", "video", "view", "target")
    return pl.DataFrame(rows, schema=dict.fromkeys(columns, pl.String) | {"calibrated": pl.Float64})


def test_totals_of_repeated_sessions() -> None:
    sessions = {("0001", 1): 0.2, ("0001", 2): 0.3, ("0002", 1): 0.6, ("0002", 2): 0.5, ("0003", 1): 0.9}
    table = repeatability_table(walks_of(sessions), measure_walks([]))
    assert [row["measure"] for row in table] == ["probability"] * 34 + ["value"] * 36 + ["total"] * 3
    rows = {str(row["target"]): row for row in table if row["measure"] != "value"}
    assert list(rows) == [*TARGET_NAMES, "left total", "right total", "child total"]
    child = rows["child total"]
    assert (child["children"], child["walks"]) == (2, 4)
    assert child["sem"] == pytest.approx(34 * 0.1 / np.sqrt(2), abs=1e-3)
    assert child["mdc95"] == pytest.approx(1.96 * 34 * 0.1, abs=1e-3)
    assert rows["left total"]["sem"] == pytest.approx(17 * 0.1 / np.sqrt(2), abs=1e-3)
    assert rows["L.IC"]["walks"] == 10  # two views of each of five sessions, also of the child who came once


def test_values_of_repeated_walks(tmp_path: Path) -> None:
    """The same walks filmed at two frame rates: the knee in stance differs between children, not between walks."""
    for number, (child, _) in enumerate(clear_children(2)):
        for session, rate in ((1, 60.0), (2, 50.0)):
            video = f"{number + 1:04d}-{session:04d}_left_1-240"
            write_clip(tmp_path, video, child, neutral=False, rate=rate, pictures=False)
    values = measure_walks(sorted(tmp_path.glob("*.clip.json")))
    rows = {row["target"]: row for row in repeatability_table(walks_of({}), values) if row["measure"] == "value"}
    knee = rows["L.KEX"]
    assert (knee["children"], knee["walks"]) == (4, 8)
    assert 0 < knee["sem"] < 1.5
    assert knee["mdc95"] == pytest.approx(1.96 * np.sqrt(2) * knee["sem"], abs=1e-3)
    assert knee["icc"] > 0.95
    deviation = rows["L.sagittal deviation"]
    assert (deviation["children"], deviation["reason"]) == (4, "")
    assert deviation["sem"] < 1
    assert rows["R.KEX"]["reason"]  # the limb far from the camera is not measured


def test_a_session_that_lacks_views_has_no_total() -> None:
    walks = walks_of({("0001", 1): 0.2, ("0001", 2): 0.3}).filter(
        ~(pl.col("video").str.starts_with("0001-0002") & pl.col("view").is_in(["forward", "backward"]))
    )
    children, totals = session_totals(walks)
    assert children == ["0001", "0001"]
    assert np.isfinite(totals["child total"]).tolist() == [True, False]


def test_kappa_of_graded_scores_stands_beside_the_raters_own() -> None:
    """Perfect graded predictions have 1 on both scales; without grades only on that of atypical or not."""
    scores = np.random.default_rng(0).integers(0, 3, (9, 34)).astype(float)
    children = tuple(f"{number:04d}" for number in range(9))
    places = [(child, target) for child in range(9) for target in range(34)]
    labels = pl.DataFrame(
        [(children[c], TARGETS[t].limb, TARGETS[t].code, int(scores[c, t])) for c, t in places],
        schema=["subject", "limb", "code", "score"],
        orient="row",
    )
    raters = RaterPair(
        raters=["", "second"],
        children=9,
        weighted_kappa=dict.fromkeys(CODES, Coefficient(0.6, 18, None, 0.4, 0.8)),
        exact={},
        icc_of_limb_totals=Coefficient(0.9, 18),
    )
    agreement = RaterAgreement(scale="ordinal", raters=["", "second"], labels_by="", pairs=[raters], oddities=[])
    probability = np.where(scores > 0, 0.9, 0.1)
    tables = {}
    for name, severe in (("graded", (np.where(scores == 2, 0.8, 0.2),)), ("binary", None)):
        truth = (scores > 0).astype(float)
        predictions = ScopePredictions("m", children, truth, (probability,), 80, (probability,), None, severe)
        study: Any = SimpleNamespace(headline_predictions=predictions, labels=labels, agreement=agreement)
        tables[name] = pl.DataFrame(kappa_table(study))
    assert tables["graded"]["weighted_kappa"].to_list() == [1.0] * 17
    assert tables["binary"]["kappa"].to_list() == [1.0] * 17
    assert tables["binary"]["weighted_kappa"].max() < 0.95
    bounds = tables["binary"].select("raters", "raters_low", "raters_high").unique().row(0)
    assert bounds == (0.6, 0.4, 0.8)
    assert (tables["binary"]["weighted_low"] < tables["binary"]["weighted_kappa"]).all()
